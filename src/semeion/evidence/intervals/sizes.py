"""Intervals of sizes: means of absolute or squared differences, which chance alone pushes up.

Where there is no true difference, every resample still shows some, and shows it twice: that of the cases and that of
the draw. Percentiles and BCa then lie far above 0 and miss the truth nearly always (the bootstrap is inconsistent at
the edge of the range: Andrews, Econometrica 68:399, 2000).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from semeion.evidence.intervals.bootstrap import LEVEL
from semeion.evidence.intervals.weights import Array

Size = Callable[[Array], Array]
"""Differences ``(rows, parts)`` to one size a row."""


def size_interval(differences: Array, drawn: Array, size: Size) -> tuple[float, float]:
    """Return low and high end of the 95 % interval of a size of differences, which holds that size.

    Parameters
    ----------
    differences
        On the cases as they are, ``(parts,)``.
    drawn
        On each resample, ``(resamples, parts)``; where one has none (NaN) it is taken to be that of the cases.
    size
        To be stated.

    Notes
    -----
    The differences seen are the true ones and an error, so a norm of the true ones is at least that of those seen less
    that of the error (triangle inequality). The low end is therefore the size less the 97.5 % percentile of the size of
    the resampled error: whatever the truth, it is no more often above it than that. It is low where differences are
    large. The high end is the 97.5 % percentile of the resampled size, which is too high where they are small.
    """
    error = np.where(np.isfinite(drawn), drawn - differences, 0.0)
    value = float(size(differences[None, :])[0])
    chance, most = (float(np.quantile(size(moved), (1 + LEVEL) / 2)) for moved in (error, differences + error))
    return max(0.0, min(value, value - chance)), max(value, most)


def mean_absolute(weight: Array) -> Size:
    """Return the size ``sum(weight * |difference|) / sum(weight)``, a norm."""
    return lambda differences: np.asarray(np.abs(differences) @ weight / weight.sum())


def root_mean_square(weight: Array) -> Size:
    """Return the size ``sqrt(sum(weight * difference ** 2) / sum(weight))``, a norm."""
    return lambda differences: np.asarray(np.sqrt(differences**2 @ weight / weight.sum()))


def quantile(weight: Array, share: float) -> Size:
    """Return the size that is the smallest absolute difference not exceeded by this share of the weight.

    It is no norm, so its low end rests on the error being of one size everywhere.
    """

    def size(differences: Array) -> Array:
        far = np.abs(differences)
        rank = np.argsort(far, axis=1, kind="stable")
        reached = np.cumsum(weight[rank], axis=1) >= share * weight.sum() * (1 - 1e-12)
        first = np.take_along_axis(rank, reached.argmax(axis=1)[:, None], axis=1)
        return np.asarray(np.take_along_axis(far, first, axis=1)[:, 0])

    return size
