"""A smooth curve of the observed share over the probability, for many weightings of the same cases at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semeion.evidence.intervals.weights import Array

SPAN = 2 / 3
"""Share of the cases that each point of the curve looks at."""
MOST_CELLS = 400
"""Distinct probabilities up to which each stands for itself; beyond, neighbours are put together."""
MOST_POINTS = 101
_ONE_THREAD = 200_000
"""Multiplications up to which the BLAS library keeps to the calling thread (see evidence.weights)."""


@dataclass(frozen=True)
class Smoother:
    """Local linear regression of the truth on the probability, ready for resampled sums.

    Attributes
    ----------
    order
        Indices that sort the cases by probability, ``(cases,)``.
    starts
        Where each cell begins among the sorted cases, ``(cells,)``.
    x
        Mean probability of each cell, rising, ``(cells,)``.
    grid
        Probabilities at which the curve stands, rising, within the range of `x`, ``(points,)``.
    curve
        Weights and events of the cells, each ``(resamples, cells)``, to the curve ``(resamples, points)``; NaN where
        a resample has nothing near.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    x: Array
    grid: Array
    curve: Callable[[Array, Array], Array]

    def at_cells(self, curve: Array) -> Array:
        """Return the curve at the cells ``(resamples, cells)``: straight lines between its points."""
        if len(self.grid) == 1:
            return np.repeat(curve, len(self.x), axis=1)
        left = np.clip(np.searchsorted(self.grid, self.x, side="right") - 1, 0, len(self.grid) - 2)
        share = np.clip((self.x - self.grid[left]) / (self.grid[left + 1] - self.grid[left]), 0, 1)
        return np.asarray(curve[:, left] * (1 - share) + curve[:, left + 1] * share)


def equal_groups(p: Array, most: int) -> NDArray[np.int64]:
    """Return the group of each case, from 0 on: at most `most`, rising, of about equally many cases.

    Equal probabilities never part, so groups may be fewer and uneven.
    """
    edges = np.unique(np.quantile(p, np.arange(1, most) / most, method="inverted_cdf"))
    _, group = np.unique(np.searchsorted(edges, p, side="left"), return_inverse=True)
    return np.asarray(group.reshape(-1), dtype=np.int64)


def _cells(p: Array) -> NDArray[np.int64]:
    """Return the cell of each case: its own probability, or one of 400 groups of neighbouring ones."""
    distinct, own = np.unique(p, return_inverse=True)
    return np.asarray(own.reshape(-1), dtype=np.int64) if len(distinct) <= MOST_CELLS else equal_groups(p, MOST_CELLS)


def smoother(p: Array, *, span: float = SPAN) -> Smoother:
    """Prepare the smooth calibration curve of a set of cases.

    Parameters
    ----------
    p
        Probability of the positive class, ``(cases,)``, at least one.
    span
        Share of the cases that each point looks at.

    Notes
    -----
    Local linear regression with the tricube kernel over the nearest neighbours (Cleveland, JASA 74:829, 1979), without
    his robust steps, which would cut off the rarer class of a binary truth; a span of 2/3 is the default of `lowess`.
    Loess curves for calibration: Austin and Steyerberg, Stat Med 33:517, 2014. Taken and not a spline in a logistic
    model because it is without bias wherever the model is calibrated (a straight line is met exactly, at any span),
    exists for separated classes, and is a ratio of weighted sums, so that a resample costs a product of matrices.

    Each cell of equal (or, beyond 400 distinct values, neighbouring) probabilities stands at its mean (binning: Fan and
    Marron, J Comput Graph Stat 3:35, 1994). The reach of a point is that of the cases as they are in every resample; it
    goes to at least 1.5 times the second-nearest cell, so that tied cases never stand alone. Where all that weighs is
    one cell, the mean is taken. The curve is kept within 0 to 1, which straight lines can leave at the ends.
    """
    order = np.argsort(p, kind="stable").astype(np.int64)
    group = _cells(p)[order]
    starts = np.flatnonzero(np.append(True, np.diff(group) > 0)).astype(np.int64)
    mass = np.diff(np.append(starts, len(p)))
    x = _means(p[order], starts)
    grid = _grid(p[order], float(x[0]), float(x[-1]))
    offset = x[:, None] - grid
    far = np.abs(offset)
    rank = np.argsort(far, axis=0, kind="stable")
    within = np.cumsum(mass[rank], axis=0) >= span * mass.sum() * (1 - 1e-12)
    sorted_far = np.take_along_axis(far, rank, axis=0)
    reach = np.take_along_axis(sorted_far, within.argmax(axis=0)[None, :], axis=0)[0]
    if len(x) > 1:
        reach = np.maximum(reach, 1.5 * sorted_far[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        kernel = np.clip(1 - np.where(far > 0, far / reach, 0) ** 3, 0, 1) ** 3
    first, second = kernel * offset, kernel * offset**2

    def curve(total: Array, events: Array) -> Array:
        s0, s1, s2 = (_product(total, matrix) for matrix in (kernel, first, second))
        t0, t1 = _product(events, kernel), _product(events, first)
        with np.errstate(invalid="ignore", divide="ignore"):
            determinant = s0 * s2 - s1**2
            line = (s2 * t0 - s1 * t1) / determinant
            return np.clip(np.where(determinant > 1e-10 * s0 * s2, line, t0 / s0), 0, 1)

    return Smoother(order, starts, x, grid, curve)


def _means(p: Array, starts: NDArray[np.int64]) -> Array:
    """Return the mean of each cell, exactly the probability where a cell holds but one."""
    ends = np.append(starts[1:], len(p)) - 1
    mean = np.add.reduceat(p, starts) / (ends + 1 - starts)
    return np.asarray(np.where(p[starts] == p[ends], p[starts], mean))


def _grid(p: Array, low: float, high: float) -> Array:
    """Return at most 101 points from `low` to `high`: half of them evenly spaced, half where the cases are."""
    even = np.linspace(low, high, MOST_POINTS // 2 + 1)
    dense = np.quantile(p, np.linspace(0, 1, MOST_POINTS // 2 + 2)[1:-1])
    points = np.unique(np.concatenate([even, np.clip(dense, low, high)]))
    # Points a rounding apart would make the straight lines between them steep without meaning.
    return np.asarray(points[np.append(True, np.diff(points) > 1e-9)])


def _product(left: Array, right: Array) -> Array:
    """Return ``left @ right`` in blocks of rows that do not wake the BLAS library's own threads."""
    rows = max(2, _ONE_THREAD // right.size)
    return np.concatenate([left[first : first + rows] @ right for first in range(0, len(left), rows)])
