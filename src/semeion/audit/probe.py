"""A small linear classifier in closed form: what do these features tell about the class of patients left out?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError
from semeion.evidence.intervals.bootstrap import case_weights, interval, resample
from semeion.evidence.ranking import areas
from semeion.folds import grouped_folds

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

FEWEST_CASES = 10
"""A class with fewer cases gives no figure that means anything..."""
FEWEST_GROUPS = 5
"""...nor one of fewer patients (groups), since a fold may then miss it."""
RESAMPLES = 400
"""Draws of groups for an interval: a screening figure, not one that is reported as the result."""
_PENALTIES = np.logspace(-4, 3, 15)
"""Tried penalties, as multiples of the mean eigenvalue of the features."""
_LARGEST_SHARE = 0.9
"""Of the training cases, the degrees of freedom beyond which generalised cross-validation divides by almost nothing."""


@dataclass(frozen=True)
class Probe:
    """What the features tell.

    Attributes
    ----------
    auroc
        Of the out-of-fold scores; of several classes the mean of each against the rest. NaN when not usable.
    low, high
        95 % percentile interval by drawing groups with replacement.
    n, n_groups
        Cases and groups that it rests on.
    scores
        Out-of-fold scores ``(cases, classes)``, a column a class code, comparable between folds; NaN for a class
        without cases. They rank and are no probabilities.
    usable
        Whether there were cases enough.
    reason
        Why not, or what the interval suffers from.
    """

    auroc: float
    low: float
    high: float
    n: int
    n_groups: int
    scores: Floats
    usable: bool
    reason: str


def probe(features: npt.NDArray[Any], y: Codes, groups: npt.NDArray[Any], *, folds: int = 5, seed: int = 0) -> Probe:
    """Fit a linear classifier on grouped stratified folds and weigh what it says of the cases left out.

    Ridge regression on one-hot targets; features are centred and scaled by the training cases of each fold, where a
    feature that is missing (NaN) is taken as the mean, so that a linear classifier does not see that it was missing.
    The penalty is the one of smallest generalised cross-validation on the training cases (Golub, Heath and Wahba,
    Technometrics 21:215, 1979), in the dual form where there are more features than cases. A fold's scores are taken
    about the training cases' mean and divided by their deviation, which makes folds comparable.

    Parameters
    ----------
    features
        Array ``(cases, d)``; NaN or infinite: missing.
    y
        Class codes from 0, ``(cases,)``.
    groups
        Whatever names the patient or group of each case, ``(cases,)``: all its cases are in one fold.
    folds, seed
        Number of folds, and where the random streams of folds and interval begin.

    Raises
    ------
    InputError
        When the lengths differ, a code is negative or fewer than 2 folds are asked for.
    """
    x = np.asarray(features, dtype=np.float64)
    y = np.asarray(y, dtype=np.int64)
    if x.ndim != 2 or len(x) != len(y) or len(y) != len(groups):
        raise InputError(
            f"features of shape {x.shape}, {len(y)} classes and {len(groups)} groups do not go together",
            where="probe",
            fix="give one row of features, one class and one group a case",
        )
    if len(y) and y.min() < 0:
        raise InputError("a class code is negative", where="probe", fix="leave cases of unknown class out")
    if folds < 2:
        raise InputError(f"{folds} folds leave nothing to learn from", where="folds", fix="ask for 2 folds or more")
    n_classes = int(y.max(initial=-1)) + 1
    group = _codes(groups)
    n_groups = int(group.max(initial=-1)) + 1
    reason = _too_few(y, group)
    if reason:
        empty = np.full((len(y), n_classes), np.nan)
        return Probe(math.nan, math.nan, math.nan, len(y), n_groups, empty, False, reason)
    scores = np.full((len(y), n_classes), np.nan)
    present = np.unique(y)
    side = grouped_folds(y, group, folds, seed)
    for fold in range(folds):
        held = side == fold
        if held.any():
            scores[np.ix_(held, present)] = _fold_scores(x[~held], y[~held], x[held], present)
    compute = _macro(y, scores)
    value = float(compute(np.ones((1, len(y))))[0])
    drawn = resample(
        lambda counts: compute(case_weights(counts, group))[:, None], n_groups, len(y), resamples=RESAMPLES, seed=seed
    )
    spread = interval(drawn[:, 0], n_groups)
    return Probe(value, spread.low, spread.high, len(y), n_groups, scores, True, spread.reason)


def difference(a: Probe, b: Probe, y: Codes, groups: npt.NDArray[Any]) -> tuple[float, float, float]:
    """Return AUROC of `a` less that of `b` with its 95 % interval, both weighed on the same draws of groups.

    Both must be of the same cases, `y` and `groups` as they were given to :func:`probe`. NaN when either is not usable.

    Raises
    ------
    InputError
        When the probes are not of these cases.
    """
    if not (a.usable and b.usable):
        return math.nan, math.nan, math.nan
    if not len(a.scores) == len(b.scores) == len(y) == len(groups):
        raise InputError(
            f"probes of {len(a.scores)} and {len(b.scores)} cases, {len(y)} classes and {len(groups)} groups",
            where="difference",
            fix="compare two probes of the same cases",
        )
    group = _codes(groups)
    n_groups = int(group.max()) + 1
    first, second = _macro(y, a.scores), _macro(y, b.scores)

    def compute(counts: Floats) -> Floats:
        weights = case_weights(counts, group)
        return (first(weights) - second(weights))[:, None]

    value = float(compute(np.ones((1, n_groups)))[0, 0])
    spread = interval(resample(compute, n_groups, len(y), resamples=RESAMPLES)[:, 0], n_groups)
    return value, spread.low, spread.high


def _too_few(y: Codes, group: Codes) -> str:
    """Return why these classes cannot be told apart by anyone, or nothing."""
    present, cases = np.unique(y, return_counts=True)
    if len(present) < 2:
        return "there are not two classes to tell apart"
    groups = [len(np.unique(group[y == code])) for code in present]
    if cases.min() < FEWEST_CASES:
        return f"a class has {cases.min()} cases, and {FEWEST_CASES} are needed"
    if min(groups) < FEWEST_GROUPS:
        return f"a class has cases of {min(groups)} patients or groups, and {FEWEST_GROUPS} are needed"
    return ""


def _fold_scores(x: Floats, y: Codes, other: Floats, classes: Codes) -> Floats:
    """Return the scores of `other`, ``(cases, classes)``, by a fit on `x`."""
    x, other = _standardised(x, other)
    target = (y[:, None] == classes).astype(np.float64)
    weights = _ridge(x, target - target.mean(axis=0))
    deviation = (x @ weights).std(axis=0)
    # Where nothing is learned, rounding errors must not be blown up to scores.
    learned = deviation > 1e-9
    return np.where(learned, other @ weights / np.where(learned, deviation, 1.0), 0.0)


def _standardised(x: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Return both with columns of mean 0 and deviation 1 in `x`; what is missing or constant there becomes 0."""
    seen = np.isfinite(x)
    known = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, x, 0.0).sum(axis=0) / known
    centred = np.where(seen, x - mean, 0.0)
    scale = np.sqrt((centred**2).sum(axis=0) / known)
    varies = scale > 1e-9 * np.maximum(np.abs(mean), 1e-9)
    scale = np.where(varies, scale, 1.0)
    turned = np.where(np.isfinite(other), other - mean, 0.0)
    return centred[:, varies] / scale[varies], turned[:, varies] / scale[varies]


def _ridge(x: Floats, target: Floats) -> Floats:
    """Return the weights ``(d, classes)`` of centred targets, with the penalty of least generalised cross-validation.

    With the eigenvalues ``s`` of the features' products the fit keeps ``s / (s + penalty)`` of each direction, so the
    residuals and the degrees of freedom of every penalty follow from one decomposition.
    """
    n, d = x.shape
    if d == 0:
        return np.zeros((0, target.shape[1]))
    dual = d > n
    values, vectors = np.linalg.eigh(x @ x.T if dual else x.T @ x)
    useful = values > 1e-10 * max(float(values[-1]), 1e-300)
    values, vectors = values[useful], vectors[:, useful]
    if not len(values):
        return np.zeros((d, target.shape[1]))
    # Coordinates of the targets along the left singular vectors of x.
    along = vectors.T @ target if dual else (vectors.T @ (x.T @ target)) / np.sqrt(values)[:, None]
    power, total = (along**2).sum(axis=1), float((target**2).sum())
    best, chosen = math.inf, float(values.mean() * _PENALTIES[-1])
    for penalty in values.mean() * _PENALTIES:
        kept = values / (values + penalty)
        free = 1 + float(kept.sum())
        if free > _LARGEST_SHARE * n:
            continue
        left = total - float(((2 * kept - kept**2) * power).sum())
        score = left / (n - free) ** 2
        if score < best:
            best, chosen = score, float(penalty)
    if dual:
        return np.asarray(x.T @ (vectors @ (along / (values + chosen)[:, None])))
    return np.asarray(vectors @ (along * (np.sqrt(values) / (values + chosen))[:, None]))


def _macro(y: Codes, scores: Floats) -> Callable[[Floats], Floats]:
    """Return weights ``(resamples, cases)`` to AUROC: of two classes the later one's, of several the mean of each."""
    present = np.unique(y)
    chosen = present[1:] if len(present) == 2 else present
    parts = [areas(y == code, scores[:, code]) for code in chosen]

    def compute(weights: Floats) -> Floats:
        return np.asarray(np.mean([part(weights)[:, 0] for part in parts], axis=0))

    return compute


def _codes(groups: npt.NDArray[Any]) -> Codes:
    """Return groups as numbers from 0 in order of appearance; missing values are one group."""
    import pandas as pd

    return np.asarray(pd.factorize(np.asarray(groups), use_na_sentinel=False)[0], dtype=np.int64)
