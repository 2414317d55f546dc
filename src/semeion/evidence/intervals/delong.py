"""The covariance of areas under ROC curves without resampling, for one model and for several on the same cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_Z = 1.959963984540054


@dataclass(frozen=True)
class Areas:
    """Areas under the ROC curve of models on the same cases.

    Attributes
    ----------
    values
        ``(models,)``; NaN without a case of either class.
    covariance
        ``(models, models)``; NaN with fewer than 2 patients of either class.
    """

    values: Array
    covariance: Array

    def interval(self, model: int = 0) -> tuple[float, float] | None:
        """Return the 95 % interval of one model's area, cut at 0 and 1, or None.

        Normal about the area, as the method is commonly used. None where the variance is zero or undefined.
        """
        return _normal(float(self.values[model]), float(self.covariance[model, model]), 0.0, 1.0)

    def difference(self, one: int = 0, other: int = 1) -> tuple[float, tuple[float, float] | None]:
        """Return the area of `one` less that of `other`, and its 95 % interval or None, as in :meth:`interval`."""
        contrast = np.zeros(len(self.values))
        contrast[one] += 1
        contrast[other] -= 1
        value = float(contrast @ self.values)
        return value, _normal(value, float(contrast @ self.covariance @ contrast), -1.0, 1.0)


def delong(positive: NDArray[np.bool_], scores: Array, patient: NDArray[np.int64]) -> Areas:
    """Return the areas under the ROC curve and their covariance.

    Parameters
    ----------
    positive
        Whether each case is positive, ``(cases,)``.
    scores
        Of each model, ``(models, cases)``; higher means more likely positive.
    patient
        Whose each case is, ``(cases,)``.

    Notes
    -----
    DeLong, DeLong and Clarke-Pearson, Biometrics 44:837 (1988); for patients with several cases Obuchowski, Biometrics
    53:567 (1997), which is the same when every patient has one. A placement, the share of the other class that a case
    lies above, is a difference of two mid-ranks, so that sorting is all it takes (Sun and Xu, IEEE Signal Processing
    Letters 21:1389, 2014).
    """
    models = len(scores)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    unknown = np.full((models, models), np.nan)
    if n_positive == 0 or n_negative == 0:
        return Areas(np.full(models, np.nan), unknown)
    _, own = np.unique(patient, return_inverse=True)
    n_patients = int(own.max()) + 1
    above, below = own[positive], own[~positive]
    values = np.empty(models)
    # Sums over each patient of the placements less the area, of positive and of negative cases.
    upper, lower = np.empty((models, n_patients)), np.empty((models, n_patients))
    for row, score in enumerate(scores):
        placed = _placements(score[positive], score[~positive])
        values[row] = placed.mean()
        upper[row] = np.bincount(above, weights=placed - values[row], minlength=n_patients)
        reached = 1 - _placements(score[~positive], score[positive])
        lower[row] = np.bincount(below, weights=reached - values[row], minlength=n_patients)
    with_positive, with_negative = len(np.unique(above)), len(np.unique(below))
    if with_positive < 2 or with_negative < 2:
        return Areas(values, unknown)
    upper, lower = upper / n_positive, lower / n_negative
    covariance = with_positive / (with_positive - 1) * (upper @ upper.T)
    covariance += with_negative / (with_negative - 1) * (lower @ lower.T)
    covariance += n_patients / (n_patients - 1) * (upper @ lower.T + lower @ upper.T)
    return Areas(values, covariance)


def _placements(score: Array, others: Array) -> Array:
    """Return for each score the share of `others` below it, ties counting one half."""
    ordered = np.sort(others)
    counted = np.searchsorted(ordered, score, side="left") + np.searchsorted(ordered, score, side="right")
    return np.asarray(counted / (2 * len(others)))


def _normal(value: float, variance: float, least: float, most: float) -> tuple[float, float] | None:
    # Rounding leaves the variance of a model against itself a hair beside zero.
    if not variance > 1e-15:
        return None
    half = _Z * float(np.sqrt(variance))
    return max(least, value - half), min(most, value + half)
