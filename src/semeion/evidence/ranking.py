"""Areas under the curves for many weightings of the same cases at once: sorted once, weighed by matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from semeion.evidence.intervals.weights import Weights


def areas(y: NDArray[np.bool_], p: NDArray[np.float64]) -> Callable[[Weights], NDArray[np.float64]]:
    """Return a function of weights ``(resamples, cases)`` that gives AUROC and AUPRC, ``(resamples, 2)``.

    Parameters
    ----------
    y
        Whether each case is positive, ``(cases,)``.
    p
        Score that ranks them, ``(cases,)``.

    Notes
    -----
    AUROC is the weighted Mann-Whitney statistic, ties counting one half (Bamber 1975). AUPRC is average precision, the
    sum over thresholds of the gain in recall times the precision there, without interpolation, as in scikit-learn.
    Both are NaN where either class weighs nothing.
    """
    positive, negative = np.flatnonzero(y), np.flatnonzero(~y)
    positive = positive[np.argsort(p[positive], kind="stable")]
    negative = negative[np.argsort(p[negative], kind="stable")]
    score, other = p[positive], p[negative]
    # Per distinct score of a positive: where its positives begin, and how many negatives stand below and up to it.
    starts = np.flatnonzero(np.append(True, np.diff(score) > 0)) if len(score) else np.zeros(0, dtype=np.int64)
    below = np.searchsorted(other, score[starts], side="left")
    upto = np.searchsorted(other, score[starts], side="right")
    tied = bool((below < upto).any())

    def compute(weights: Weights) -> NDArray[np.float64]:
        if len(positive) == 0 or len(negative) == 0:
            return np.full((len(weights), 2), np.nan)
        gained = np.take(weights, positive, axis=1)
        if len(starts) < len(positive):
            gained = np.add.reduceat(gained, starts, axis=1)
        under = np.zeros((len(weights), len(negative) + 1))
        np.cumsum(np.take(weights, negative, axis=1), axis=1, out=under[:, 1:])
        negatives = under[:, -1:]
        lower = np.take(under, below, axis=1)
        rank = (lower + np.take(under, upto, axis=1)) / 2 if tied else lower
        hits = np.cumsum(gained[:, ::-1], axis=1)[:, ::-1]
        positives = hits[:, :1]
        called = negatives - lower
        called += hits
        # Where nothing is called nothing is gained either, so any finite precision serves.
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            auroc = np.einsum("ij,ij->i", gained, rank)[:, None] / (positives * negatives)
            auprc = np.einsum("ij,ij->i", gained, precision)[:, None] / positives
        return np.where((positives > 0) & (negatives > 0), np.hstack([auroc, auprc]), np.nan)

    return compute
