"""Cohorts before they are spoiled: who, which class, which side, and columns that do not know the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.sabotage import sources
from benchmarks.sabotage.drafts import Draft, Half, Picture, Rng
from benchmarks.sabotage.sources import Pool

Base = Callable[[Half, Rng], Draft]
TEST_SHARE, VAL_SHARE = 1 / 3, 1 / 8


def draw(
    pool: Pool,
    rng: Rng,
    counts: tuple[int, int] | None = None,
    *,
    split: bool = True,
    shares: tuple[float, float] = (TEST_SHARE, VAL_SHARE),
) -> Draft:
    """Draw a cohort from a pool, in random order.

    Parameters
    ----------
    pool, rng
        Where from.
    counts
        Cases of the negative and of the positive class; all where None, which keeps patients whole.
    split
        Whether sides are drawn, by patient and stratified by class.
    shares
        Of test and validation cases.
    """
    rows = np.arange(len(pool.pictures))
    if counts is not None:
        each = [np.flatnonzero(pool.positive == side) for side in (False, True)]
        if any(len(found) < n for found, n in zip(each, counts, strict=True)):
            raise ValueError(f"the pool has {[len(found) for found in each]} cases a class, {counts} are asked for")
        rows = np.concatenate([rng.choice(found, n, replace=False) for found, n in zip(each, counts, strict=True)])
    rows = rng.permutation(rows)
    owners = [pool.patients[row] for row in rows] if pool.patients else [str(row) for row in rows]
    table = pd.DataFrame(
        {
            "case_id": [f"c{number:04d}" for number in range(len(rows))],
            "patient_id": [f"p{code:04d}" for code in pd.factorize(pd.Series(owners))[0]],
            "finding": np.where(pool.positive[rows], pool.names[1], pool.names[0]),
        }
    )
    people = table["patient_id"].unique()
    known = pd.DataFrame(
        {
            "site": rng.choice(["north", "south"], len(people)),
            "sex": rng.choice(["F", "M"], len(people)),
            "age": np.clip(np.rint(rng.normal(55, 12, len(people))), 18, 95).astype(int),
        },
        index=people,
    )
    table = table.join(known, on="patient_id")
    if split:
        table["split"] = sides(table, pool.names[1], rng, shares)
    pictures = tuple(np.ascontiguousarray(pool.pictures[row]) for row in rows)
    masks = tuple(pool.masks[row] for row in rows) if pool.masks else ()
    return Draft(table, pictures, pool.names[1], ("png",) * len(rows), masks)


def sides(table: pd.DataFrame, positive: str, rng: Rng, shares: tuple[float, float]) -> npt.NDArray[np.object_]:
    """Return ``train``, ``val`` or ``test`` a case: by patient, and as many of each class (as near as may be)."""
    share = (table["finding"] == positive).groupby(table["patient_id"]).mean().sample(frac=1, random_state=rng)
    order = share.sort_values(kind="stable").index
    place = (np.arange(len(order)) * np.sqrt(2) + rng.random()) % 1  # evenly spread over each stretch of the order
    side = np.where(place < shares[0], "test", np.where(place < sum(shares), "val", "train"))
    return table["patient_id"].map(dict(zip(order, side, strict=True))).to_numpy(dtype=object)


def phantom_cohort(half: Half, rng: Rng) -> Draft:
    """300 generated ultrasound pictures, 96 pixels a side."""
    return draw(sources.phantoms(half), rng, (165, 135))


def phantom_folds(half: Half, rng: Rng) -> Draft:
    """240 generated ultrasound pictures of 160 patients, without a split."""
    return in_pairs(draw(sources.phantoms(half), rng, (140, 100), split=False), rng)


def chest_cohort(half: Half, rng: Rng) -> Draft:
    """300 chest radiographs of 28 pixels."""
    return draw(sources.chests(half, 1), rng, (150, 150))


def breast_cohort(half: Half, rng: Rng) -> Draft:
    """Breast ultrasound, 160 pixels a side: as many benign cases as twice the malignant ones."""
    pool = sources.breasts(half)
    malignant = min(90, int(pool.positive.sum()))
    return draw(pool, rng, (min(2 * malignant, int((~pool.positive).sum())), malignant))


def small_breast_folds(half: Half, rng: Rng) -> Draft:
    """Breast ultrasound of 28 pixels, without a split."""
    return draw(sources.small_breasts(half), rng, split=False)


def heart_cohort(half: Half, rng: Rng) -> Draft:
    """Four pictures of each of 35 patients: two slices in diastole, the same two in systole."""
    return draw(sources.hearts(half), rng)


def lesion_cohort(half: Half, rng: Rng) -> Draft:
    """Lesions drawn into real tissue, with masks: the class is how dark they are, and nothing outside tells it."""
    pool = sources.quarters(half)
    dark = dict.fromkeys(pool.patients, False)
    for owner in dark:
        dark[owner] = bool(rng.random() < 0.5)
    positive = np.array([dark[owner] for owner in pool.patients])
    drawn = [_with_lesion(picture, bool(one), rng) for picture, one in zip(pool.pictures, positive, strict=True)]
    pictures, masks = zip(*drawn, strict=True)
    return draw(replace(pool, pictures=pictures, positive=positive, masks=masks), rng)


def _with_lesion(picture: Picture, dark: bool, rng: Rng) -> tuple[Picture, Picture]:
    """Return a picture with an ellipse in it that is darker towards its middle, and the ellipse's mask."""
    rows, cols = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float64)
    side = min(picture.shape)
    row, col = rng.uniform(0.35, 0.65, 2) * side
    high, wide = rng.uniform(0.13, 0.22, 2) * side
    turn = rng.uniform(0, np.pi)
    along = (rows - row) * np.cos(turn) + (cols - col) * np.sin(turn)
    across = (cols - col) * np.cos(turn) - (rows - row) * np.sin(turn)
    depth = np.clip(1 - np.hypot(along / high, across / wide), 0, 1)
    # Nothing outside the mask is touched, or the tissue around would tell the class too.
    factor = 1 - (rng.normal(0.75, 0.08) if dark else rng.normal(0.4, 0.08)) * np.clip(3 * depth, 0, 1)
    made = np.clip(np.rint(picture * factor), 0, 255).astype(np.uint8)
    return made, np.where(depth > 0, 255, 0).astype(np.uint8)


def learning_cohort(half: Half, rng: Rng) -> Draft:
    """560 chest radiographs to learn from: half of them with pneumonia."""
    return draw(sources.chests(half, 0), rng, (280, 280), shares=(0.25, 0.18))


def mixed_test(half: Half, rng: Rng) -> Draft:
    """Draw the same with more test cases, to draw other mixes of them."""
    return draw(sources.chests(half, 0), rng, (280, 280), shares=(0.4, 0.15))


def learning_folds(half: Half, rng: Rng) -> Draft:
    """500 chest radiographs to learn from, without a split."""
    return draw(sources.chests(half, 0), rng, (250, 250), split=False)


def weak_folds(half: Half, rng: Rng) -> Draft:
    """200 chest radiographs, without a split."""
    return draw(sources.chests(half, 0), rng, (100, 100), split=False)


def other_hospital(half: Half, rng: Rng) -> Draft:
    """280 chest radiographs that the model has never seen, without a split."""
    return draw(sources.chests(half, 1), rng, (140, 140), split=False)


def hard_hospital(half: Half, rng: Rng) -> Draft:
    """Draw the same, with a fifth of the pictures exchanged: the model cannot reach an AUROC above 0.9 by much."""
    draft = other_hospital(half, rng)
    return exchanged(draft, draft.rows(), 0.2, rng)


def exchanged(draft: Draft, rows: npt.NDArray[np.int64], share: float, rng: Rng) -> Draft:
    """Give `share` of `rows` each other's pictures: what they show has nothing to do with their labels any more."""
    picked = rng.permutation(rows)[: round(share * len(rows))]
    moved = np.roll(picked, 1)
    return draft.with_pictures({int(to): draft.pictures[source] for to, source in zip(picked, moved, strict=True)})


def mixed_hospital(half: Half, rng: Rng) -> Draft:
    """All chest radiographs that the model has never seen, to draw other mixes from."""
    return draw(sources.chests(half, 1), rng, split=False)


def in_pairs(draft: Draft, rng: Rng) -> Draft:
    """Give two thirds of the cases a patient with two cases of one class."""
    names = draft.table["patient_id"].to_numpy(dtype=object).copy()
    for positive in (False, True):
        rows = rng.permutation(draft.rows(positive=positive))
        paired = rows[: 2 * (len(rows) // 3)]
        names[paired[1::2]] = names[paired[0 : len(paired) - 1 : 2]]
    first = draft.table.drop_duplicates("patient_id").set_index("patient_id")
    table = draft.table.assign(patient_id=names)
    for column in ("site", "sex", "age"):
        table[column] = table["patient_id"].map(first[column])
    return replace(draft, table=table)


def resized(picture: Picture, factor: float) -> Picture:
    """Return a picture `factor` times as large."""
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=way)
