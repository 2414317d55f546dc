"""How alike two maps are: the rank correlation of their places.

Rank correlation is what Adebayo et al. (Sanity checks for saliency maps, NeurIPS 2018, section 3) compare maps by: it
asks for the order of the places and not for the scale of the map.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST = 64
"""Maps are compared at no more places a side than this: an enlarged map has no more to say."""


def ranks(values: npt.ArrayLike) -> Floats:
    """Return the ranks of values from 1, equal values with the mean of theirs, float64 of the same length."""
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    _, place, count = np.unique(flat, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2
    return np.asarray(middle[place.reshape(-1)], dtype=np.float64)


def spearman(one: npt.ArrayLike, other: npt.ArrayLike, *, absolute: bool = False) -> Floats:
    """Return Spearman's rank correlation of the maps of each case, float64 ``(N,)``.

    It is Pearson's correlation of the ranks, so equal values are counted right. A map without any order (a constant
    one) is like nothing: its correlation counts as 0.

    Parameters
    ----------
    one, other
        Maps ``(N, ...)`` of the same cases, of one shape, in any unit.
    absolute
        Compare absolute values: where a map says much, whichever way it pushes.

    Raises
    ------
    ValueError
        When the shapes differ or a value is no finite number.
    """
    a, b = (np.asarray(maps, dtype=np.float64) for maps in (one, other))
    if a.shape != b.shape or a.ndim < 2:
        raise ValueError(f"maps of shape {a.shape} and {b.shape} cannot be compared")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a map holds a value that is no finite number")
    if absolute:
        a, b = np.abs(a), np.abs(b)
    found = np.zeros(len(a))
    for row, (first, second) in enumerate(zip(a, b, strict=True)):
        x, y = (order - order.mean() for order in (ranks(first), ranks(second)))
        size = float(np.sqrt((x @ x) * (y @ y)))
        found[row] = float(x @ y) / size if size > 0 else 0.0
    return found


def coarse(maps: npt.ArrayLike, largest: int = LARGEST) -> Floats:
    """Return maps ``(N, *sides)`` as means over at most `largest` blocks a side, float64; see :func:`block_of`."""
    found = np.asarray(maps, dtype=np.float64)
    for axis in range(1, found.ndim):
        side = found.shape[axis]
        if side > largest:
            starts = np.searchsorted(block_of(side, largest), np.arange(largest))
            sizes = np.diff(np.append(starts, side))
            sizes = sizes.reshape(-1, *(1 for _ in found.shape[axis + 1 :]))
            found = np.add.reduceat(found, starts, axis=axis) / sizes
    return found


def block_of(side: int, largest: int) -> npt.NDArray[np.int64]:
    """Return the block of each place along a side, int64 ``(side,)``: at most `largest` blocks, as equal as can be."""
    return np.arange(side, dtype=np.int64) * min(side, largest) // side
