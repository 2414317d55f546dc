"""Curves and tables that a page draws: at most 201 points each, computed from the cases as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semeion.evidence.intervals.proportions import wilson

Array = NDArray[np.float64]
MOST_POINTS = 201
RELIABILITY_BINS = 10


def confusion(y: NDArray[np.int64], call: NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, Any]:
    """Return ``{classes, counts}``; rows are the truth, columns the call, in the order of `classes`."""
    k = len(classes)
    counts = np.bincount(y * k + call, minlength=k * k).reshape(k, k)
    return {"classes": list(classes), "counts": counts.tolist()}


def one_class_curves(positive: NDArray[np.bool_], p: Array) -> dict[str, Any]:
    """Return ``{roc, pr, calibration}`` of one class against the rest.

    ``roc`` has x = 1 - specificity and y = sensitivity, ``pr`` x = recall and y = precision, both from the highest
    threshold down; where nothing is called the threshold is None, and the precision that of the first call. A curve
    that needs a class that is missing is empty. ``calibration`` is :func:`reliability`.
    """
    threshold, tp, fp = _counts(positive, p)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    roc: dict[str, Any] = {"x": [], "y": [], "threshold": []}
    pr: dict[str, Any] = {"x": [], "y": [], "threshold": []}
    if n_pos and n_neg:
        x, y = np.append(0, fp / n_neg), np.append(0, tp / n_pos)
        kept = _evenly(x + y, _corners(x, y))
        roc = {"x": x[kept].tolist(), "y": y[kept].tolist(), "threshold": _or_none(threshold, kept)}
    if n_pos:
        x, y = np.append(0, tp / n_pos), tp / (tp + fp)
        y = np.append(y[0], y)
        kept = _evenly(x + np.linspace(0, 1, len(x)), np.arange(len(x)))
        pr = {"x": x[kept].tolist(), "y": y[kept].tolist(), "threshold": _or_none(threshold, kept)}
    return {"roc": roc, "pr": pr, "calibration": reliability(positive, p)}


def reliability(positive: NDArray[np.bool_], p: Array) -> dict[str, Any]:
    """Return ``{x, y, low, high, n}``: mean probability and observed share in 10 bins of equally many cases.

    Equal probabilities never part, so bins may be fewer and uneven. `low` and `high` are 95 % Wilson intervals that
    take cases for independent.
    """
    if len(p) == 0:
        return {"x": [], "y": [], "low": [], "high": [], "n": []}
    edges = np.unique(np.quantile(p, np.arange(1, RELIABILITY_BINS) / RELIABILITY_BINS, method="inverted_cdf"))
    _, group = np.unique(np.searchsorted(edges, p, side="left"), return_inverse=True)
    n = np.bincount(group).astype(np.float64)
    hits = np.bincount(group, weights=positive).astype(np.float64)
    low, high = wilson(hits, n)
    return {
        "x": (np.bincount(group, weights=p) / n).tolist(),
        "y": (hits / n).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "n": n.astype(np.int64).tolist(),
    }


def threshold_table(positive: NDArray[np.bool_], p: Array, include: float | None = None) -> dict[str, Any]:
    """Return ``{threshold, tp, fp, tn, fn}`` for a slider, thresholds rising; positive is ``p >= threshold``.

    Half of the thresholds lie evenly between 0 and 1, half follow the cases, and `include` is among them.
    """
    grid = np.linspace(0, 1, 101)
    values = np.unique(p)
    middles = values[:-1] + np.diff(values) / 2
    if len(middles) > 98:
        middles = middles[np.linspace(0, len(middles) - 1, 98).round().astype(np.int64)]
    threshold = np.unique(np.concatenate([grid, middles, [] if include is None else [include]]))
    high, low = np.sort(p[positive]), np.sort(p[~positive])
    fn, tn = np.searchsorted(high, threshold, side="left"), np.searchsorted(low, threshold, side="left")
    return {
        "threshold": threshold.tolist(),
        "tp": (len(high) - fn).tolist(),
        "fp": (len(low) - tn).tolist(),
        "tn": tn.tolist(),
        "fn": fn.tolist(),
    }


def scatter(truth: Array, predicted: Array) -> dict[str, Any]:
    """Return ``{scatter: {truth, pred}}`` of a measured value: at most 201 cases, evenly over the ranks of truth."""
    order = np.lexsort([predicted, truth])
    if len(order) > MOST_POINTS:
        order = order[np.linspace(0, len(order) - 1, MOST_POINTS).round().astype(np.int64)]
    return {"scatter": {"truth": truth[order].tolist(), "pred": predicted[order].tolist()}}


def _counts(positive: NDArray[np.bool_], p: Array) -> tuple[Array, Array, Array]:
    """Return the distinct probabilities from the highest down, and true and false positives at each."""
    values, group = np.unique(p, return_inverse=True)
    hits = np.bincount(group, weights=positive, minlength=len(values))
    misses = np.bincount(group, weights=~positive, minlength=len(values))
    return values[::-1], np.cumsum(hits[::-1]), np.cumsum(misses[::-1])


def _corners(x: Array, y: Array) -> NDArray[np.int64]:
    """Return the indices of a staircase that are not in the middle of a straight piece."""
    if len(x) <= 2:
        return np.arange(len(x))
    dx, dy = np.diff(x), np.diff(y)
    turns = np.abs(dx[:-1] * dy[1:] - dx[1:] * dy[:-1]) > 1e-15
    return np.flatnonzero(np.concatenate([[True], turns, [True]]))


def _evenly(along: Array, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most 201 of the indices `kept`, evenly along the rising `along`, the first and last included."""
    if len(kept) <= MOST_POINTS:
        return kept
    at = along[kept]
    wanted = np.linspace(at[0], at[-1], MOST_POINTS)
    return np.asarray(kept[np.unique(np.minimum(np.searchsorted(at, wanted, side="left"), len(kept) - 1))])


def _or_none(threshold: Array, kept: NDArray[np.int64]) -> list[float | None]:
    return [None if index == 0 else float(threshold[index - 1]) for index in kept]
