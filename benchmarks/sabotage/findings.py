"""Kinds of spoiling that show in predictions: wrong labels, luck, failing subgroups, other mixes, trivial models."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.sabotage.bases import (
    exchanged,
    hard_hospital,
    learning_cohort,
    learning_folds,
    mixed_hospital,
    mixed_test,
    other_hospital,
    weak_folds,
)
from benchmarks.sabotage.drafts import Draft, Kind, Rng, Strength, strengths

Rows = npt.NDArray[np.int64]
SITE = 300
"""Most cases of a site."""


def with_mix(rows_positive: Rows, rows_negative: Rows, share: float, rng: Rng, most: int) -> Rows:
    """Return as many rows as there can be, `most` at most, of which `share` are positive."""
    total = min(len(rows_positive) / share, len(rows_negative) / (1 - share), most)
    positive, negative = round(share * total), round((1 - share) * total)
    return np.concatenate([rng.permutation(rows_positive)[:positive], rng.permutation(rows_negative)[:negative]])


def _mislabelled(draft: Draft, share: float, rng: Rng) -> Draft:
    """Give `share` of the cases the other label."""
    rows = rng.permutation(len(draft))[: round(share * len(draft))]
    names = draft.table["finding"].to_numpy(dtype=object).copy()
    other = dict(zip(sorted(set(names)), sorted(set(names), reverse=True), strict=True))
    names[rows] = [other[name] for name in names[rows]]
    return draft.with_columns(finding=names).planting(rows)


def _noise(draft: Draft, share: float, rng: Rng) -> Draft:
    return exchanged(draft, draft.rows(), share, rng)


def _few(draft: Draft, n: int, rng: Rng) -> Draft:
    rows = [rng.permutation(draft.rows(positive=positive))[: n // 2] for positive in (True, False)]
    return draft.taking(rng.permutation(np.concatenate(rows)))


def _age(draft: Draft, apart: float, rng: Rng) -> Draft:
    """Draw ages so that the classes lie `apart` standard deviations from each other."""
    middle = 50 - 10 * apart * (draft.is_positive - 0.5)
    return draft.with_columns(age=np.round(rng.normal(middle, 10), 1))


def _view(draft: Draft, share: float, rng: Rng) -> Draft:
    """Let the model fail in one level of a column: those cases have each other's pictures."""
    portable = rng.permutation(len(draft)) < round(share * len(draft))
    made = draft.with_columns(projection=np.where(portable, "portable", "standard"))
    return exchanged(made, np.flatnonzero(portable), 1.0, rng)


def _women(draft: Draft, share: float, rng: Rng) -> Draft:
    """Let the model fail for `share` of the women."""
    return exchanged(draft, np.flatnonzero(draft.table["sex"] == "F"), share, rng)


def _inverted(draft: Draft, share: float, rng: Rng) -> Draft:
    """Invert the contrast of `share` of the test cases; no column says so, and no training case looks like that."""
    test = rng.permutation(draft.rows("test"))
    rows = test[: round(share * len(test))]
    made = {
        int(row): cv2.GaussianBlur(255 - draft.pictures[row], (3, 3), 0).astype(draft.pictures[row].dtype)
        for row in rows
    }
    return draft.with_pictures(made).planting(rows)


def site_mix(draft: Draft, share: float, rng: Rng) -> Draft:
    """Make two sites, one with `share` positive cases and one with half: probabilities fit the latter only."""
    positive, negative = (rng.permutation(draft.rows(positive=side)) for side in (True, False))
    half = min(len(negative) // 2, SITE // 2)
    north = np.concatenate([positive[:half], negative[:half]])
    south = with_mix(positive[half:], negative[half:], share, rng, SITE)
    rows = np.concatenate([north, south])
    site = np.array(["north"] * len(north) + ["south"] * len(south))
    order = rng.permutation(len(rows))
    return draft.taking(rows[order]).with_columns(site=site[order])


def _test_mix(draft: Draft, share: float, rng: Rng) -> Draft:
    """Keep test cases so that `share` of them are positive; train and validation stay as they are."""
    test = with_mix(draft.rows("test", positive=True), draft.rows("test", positive=False), share, rng, len(draft))
    return draft.taking(rng.permutation(np.concatenate([draft.rows("train"), draft.rows("val"), test])))


FOLDS = {"folds": 5, "steps": 120}

KINDS = (
    Kind(
        "labels-flipped",
        "labels of the other class, in a cohort that is learned from",
        "label-errors",
        learning_folds,
        strengths("{:.0%} of the cases", (0.1, 0.05, 0.02)),
        _mislabelled,
        "train",
        plan=FOLDS,
    ),
    Kind(
        "little-to-learn",
        "pictures that have nothing to do with their labels: what is gained is luck",
        "seed-luck",
        weak_folds,
        strengths("{:.0%} of the cases", (1.0, 0.9, 0.8)),
        _noise,
        "train",
        plan=FOLDS,
    ),
    Kind(
        "few-cases",
        "few cases to be evaluated on",
        "small-sample",
        other_hospital,
        strengths("{} cases", (16, 30, 60)),
        _few,
        "evaluate",
    ),
    Kind(
        "joined-wrongly",
        "pictures joined to the wrong rows: the model is no better than prevalence",
        "trivial-baseline",
        other_hospital,
        strengths("{:.0%} of the cases", (1.0, 0.9, 0.75)),
        _noise,
        "evaluate",
    ),
    Kind(
        "age-tells",
        "the age alone tells the class, and pictures less (AUROC about 0.9)",
        "trivial-baseline",
        hard_hospital,
        (
            Strength("AUROC of age 0.97", 2.66),
            Strength("AUROC of age 0.94", 2.20),
            Strength("AUROC of age 0.90", 1.81),
        ),
        _age,
        "evaluate",
    ),
    Kind(
        "level-fails",
        "the model fails in one level of a column",
        "hidden-strata",
        other_hospital,
        strengths("{:.0%} of the cases", (0.4, 0.25, 0.12)),
        _view,
        "evaluate",
    ),
    Kind(
        "cluster-fails",
        "test pictures of inverted contrast, which no column names",
        "hidden-strata",
        learning_cohort,
        strengths("{:.0%} of the test", (0.4, 0.25, 0.15)),
        _inverted,
        "train",
        plan={"steps": 150},
    ),
    Kind(
        "women-fail",
        "the model fails for women",
        "subgroup-gap",
        other_hospital,
        strengths("{:.0%} of them", (1.0, 0.6, 0.3)),
        _women,
        "evaluate",
    ),
    Kind(
        "site-of-other-mix",
        "a site with another share of positive cases than half",
        "calibration-shift",
        mixed_hospital,
        strengths("{:.0%} positive", (0.9, 0.75, 0.62)),
        site_mix,
        "evaluate",
    ),
    Kind(
        "test-of-other-mix",
        "test cases with another share of positive cases than half",
        "prevalence-shift",
        mixed_test,
        strengths("{:.0%} positive", (0.9, 0.75, 0.62)),
        _test_mix,
        "train",
        plan={"steps": 150},
    ),
)
