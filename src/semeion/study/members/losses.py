"""What each case costs, and whether one way to say it is worse than another beyond chance."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

FLOOR = 1e-7
"""Least probability that a logarithm is taken of, as in :func:`semeion.learn.objective.validation_loss`."""


def case_losses(values: Floats, y: Floats, task: str) -> Floats:
    """Return the loss of each case, ``(cases,)``: log loss, of labels their mean over known ones, or absolute error.

    Parameters
    ----------
    values
        ``(cases, outputs)``: probabilities, or the value.
    y
        Class index or value ``(cases,)``; ``(cases, labels)`` for multi-label, NaN unknown. A case without any known
        label has the loss NaN.
    task
        Of the target.
    """
    if task == "regression":
        return np.abs(values[:, 0] - y)
    clipped = np.clip(values, FLOOR, 1 - FLOOR)
    if task == "multilabel":
        terms = np.where(y == 1, -np.log(clipped), -np.log1p(-clipped))
        known = ~np.isnan(y)
        counts = known.sum(1)
        return np.where(counts > 0, np.where(known, terms, 0.0).sum(1) / np.maximum(counts, 1), np.nan)
    return np.asarray(-np.log(clipped[np.arange(len(y)), y.astype(np.int64)]), dtype=np.float64)


def paired_gain(worse: Floats, better: Floats, groups: Rows) -> tuple[float, float]:
    """Return the mean of ``worse - better`` over cases and its standard error over groups (patients).

    The error is that of a ratio estimator with groups as clusters (Cochran, Sampling Techniques, 1977, section 6.3).
    It is infinite with fewer than two groups.
    """
    difference = worse - better
    known = ~np.isnan(difference)
    difference, groups = difference[known], groups[known]
    if not len(difference):
        return 0.0, math.inf
    _, place = np.unique(groups, return_inverse=True)
    clusters = int(place.max()) + 1
    mean = float(difference.mean())
    if clusters < 2:
        return mean, math.inf
    residual = np.bincount(place, difference - mean, clusters)
    variance = clusters / (clusters - 1) * float((residual**2).sum()) / len(difference) ** 2
    return mean, math.sqrt(variance)
