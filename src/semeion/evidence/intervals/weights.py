"""Many weightings of the same cases at once: what the bootstrap multiplies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = NDArray[np.float64]
"""One row a resample, one column a case: how often the case counts."""

_ONE_THREAD = 200_000
"""Multiplications up to which the BLAS library keeps to the calling thread."""


def distinct_codes(codes: NDArray[np.int64]) -> int:
    """Return how many different numbers there are, each 0 or more and none large: twenty times faster than unique."""
    return int(np.count_nonzero(np.bincount(codes)))


def weighted_sums(weights: Weights, columns: Array) -> Array:
    """Return ``weights @ columns``, shape ``(resamples, columns)``, in blocks of cases.

    The resamples are already spread over threads. A product large enough to wake the BLAS library's own threads makes
    both wait for the same cores: ten times slower on two busy ones.
    """
    rows, n = weights.shape
    width = columns.shape[1]
    block = max(1, _ONE_THREAD // max(1, rows * width))
    sums = np.zeros((rows, width))
    for first in range(0, n, block):
        sums += weights[:, first : first + block] @ columns[first : first + block]
    return sums
