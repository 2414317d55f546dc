"""The covariance of areas under ROC curves without resampling, for one model and for several on the same cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_Z = 1.959963984540054
_LEAST = 1e-15
"""Rounding leaves the variance of a model against itself a hair beside zero."""


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
        """Return the 95 % interval of one model's area, or None.

        Normal about the logit of the area (Pepe, The Statistical Evaluation of Medical Tests, 2003, section 5.2; Qin
        and Hotilovac, Statistical Methods in Medical Research 17:207, 2008): about the area itself, as the method is
        often used, it holds the truth too seldom where positive cases are few (``benchmarks/results``, row
        ``coverage-delong``). None where the variance is zero or undefined, as of areas of 0 and 1.
        """
        value, variance = float(self.values[model]), float(self.covariance[model, model])
        if not variance > _LEAST or not 0 < value < 1:
            return None
        middle = math.log(value / (1 - value))
        half = _Z * math.sqrt(variance) / (value * (1 - value))
        return 1 / (1 + math.exp(half - middle)), 1 / (1 + math.exp(-half - middle))

    def difference(self, one: int = 0, other: int = 1) -> tuple[float, tuple[float, float] | None]:
        """Return the area of `one` less that of `other`, and its 95 % interval or None.

        Normal about the difference and cut at -1 and 1. None where the variance is zero or undefined.
        """
        contrast = np.zeros(len(self.values))
        contrast[one] += 1
        contrast[other] -= 1
        value = float(contrast @ self.values)
        variance = float(contrast @ self.covariance @ contrast)
        if not variance > _LEAST:
            return value, None
        half = _Z * math.sqrt(variance)
        return value, (max(-1.0, value - half), min(1.0, value + half))


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
