"""Kinds of spoiling: dates, raters, files and cells that are wrong or missing, classes that are too small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.sabotage.bases import breast_cohort, chest_cohort, draw, heart_cohort, phantom_cohort
from benchmarks.sabotage.drafts import Draft, Half, Kind, Rng, Strength, strengths
from benchmarks.sabotage.sources import phantoms
from benchmarks.sabotage.writing import BREAKS

DAY = np.timedelta64(1, "D")


def _days(rng: Rng, n: int) -> np.ndarray:
    """Return dates over seven years."""
    return np.datetime64("2015-01-05") + rng.integers(0, 2500, n) * DAY


def dated_after(draft: Draft, share: float, rng: Rng) -> Draft:
    """Date `share` of the images weeks after the outcome was known, and the others weeks before."""
    outcome = _days(rng, len(draft))
    late = rng.permutation(len(draft)) < round(share * len(draft))
    apart = rng.integers(7, 60, len(draft)) * DAY
    made = draft.with_columns(
        acquisition_date=np.where(late, outcome + apart, outcome - apart).astype(str), outcome_date=outcome.astype(str)
    )
    return made.planting(np.flatnonzero(late))


def _treated(draft: Draft, share: float, rng: Rng) -> Draft:
    """Date the treatment of `share` of the positive cases before their image; all others are treated after it."""
    images = _days(rng, len(draft))
    rows = rng.permutation(draft.rows(positive=True))
    early = np.zeros(len(draft), dtype=bool)
    early[rows[: round(share * len(rows))]] = True
    apart = rng.integers(7, 60, len(draft)) * DAY
    made = draft.with_columns(
        acquisition_date=images.astype(str), treatment_date=np.where(early, images - apart, images + apart).astype(str)
    )
    return made.planting(np.flatnonzero(early))


def with_raters(draft: Draft, wrong: float, rng: Rng) -> Draft:
    """Give three raters that each call `wrong` of the cases the other class."""
    names = np.array([name for name in sorted(draft.table["finding"].unique()) if name != draft.positive])
    columns = {}
    for number in range(1, 4):
        call = draft.is_positive ^ (rng.random(len(draft)) < wrong)
        columns[f"rater_{number}"] = np.where(call, draft.positive, names[0])
    return draft.with_columns(**columns)


def _blank(draft: Draft, n: int, rng: Rng) -> Draft:
    rows = rng.choice(draft.rows("train"), n, replace=False)
    flat = {int(row): np.full_like(draft.pictures[row], rng.integers(0, 256)) for row in rows}
    return draft.with_pictures(flat).planting(rows)


def _broken(draft: Draft, n: int, rng: Rng) -> Draft:
    rows = rng.choice(len(draft), n, replace=False)
    stored = {int(row): f"broken:{BREAKS[number % len(BREAKS)]}" for number, row in enumerate(rows)}
    return draft.with_pictures({}, stored).planting(rows)


def _stray(draft: Draft, n: int, rng: Rng) -> Draft:
    """Leave pictures beside the cohort's that no row names."""
    return replace(draft, strays=tuple(rng.permutation(draft.pictures[row]) for row in rng.choice(len(draft), n)))


def _holes(draft: Draft, share: float, rng: Rng) -> Draft:
    """Empty `share` of a covariate's cells."""
    ages = draft.table["age"].astype("Int64").mask(rng.permutation(len(draft)) < round(share * len(draft)))
    return replace(draft.with_columns(age=ages), options=("--covariates", "age"))


def _few(draft: Draft, n: int, rng: Rng) -> Draft:
    """Keep `n` of the positive cases and twenty times as many others, at most all."""
    rows = [rng.permutation(draft.rows(positive=True))[:n], rng.permutation(draft.rows(positive=False))[: 20 * n]]
    return draft.taking(rng.permutation(np.concatenate(rows)))


def rare_cohort(half: Half, rng: Rng) -> Draft:
    """Draw generated ultrasound, mostly benign, without a split."""
    return draw(phantoms(half), rng, (220, 40), split=False)


KINDS = (
    Kind(
        "imaged-after-outcome",
        "images are dated after the outcome",
        "time-order",
        chest_cohort,
        strengths("{:.0%} of the cases", (0.5, 0.2, 0.05)),
        dated_after,
    ),
    Kind(
        "treated-before-image",
        "treatment is dated before the image of positive cases",
        "time-order",
        breast_cohort,
        strengths("{:.0%} of the class", (0.6, 0.25, 0.08)),
        _treated,
    ),
    Kind(
        "raters-disagree",
        "three raters that err independently",
        "rater-agreement",
        breast_cohort,
        strengths("{:.0%} of the calls wrong", (0.4, 0.25, 0.15)),
        with_raters,
    ),
    Kind(
        "blank",
        "pictures of one grey level",
        "blank-images",
        heart_cohort,
        strengths("{} pictures", (10, 3, 1), one="1 picture"),
        _blank,
    ),
    Kind(
        "unreadable",
        "files cut off, foreign, empty or missing",
        "unreadable-images",
        phantom_cohort,
        strengths("{} files", (12, 4, 1), one="1 file"),
        _broken,
    ),
    Kind(
        "unnamed-files",
        "pictures beside the cohort's that no row names",
        "unmatched-files",
        chest_cohort,
        strengths("{} files", (30, 5, 1), one="1 file"),
        _stray,
    ),
    Kind(
        "cells-missing",
        "a covariate is not filled",
        "missing-values",
        phantom_cohort,
        strengths("{:.0%} of the cells", (0.4, 0.15, 0.05)),
        _holes,
    ),
    Kind(
        "class-too-small",
        "few positive cases among many",
        "class-counts",
        rare_cohort,
        tuple(Strength(f"{n} cases among {min(220, 20 * n)} others", n) for n in (3, 6, 11)),
        _few,
    ),
)
