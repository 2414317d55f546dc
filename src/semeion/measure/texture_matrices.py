"""The matrices that texture is read from: pairs of neighbours, runs along lines and zones of equal grey level.

IBSI reference manual, chapters 3.6 to 3.8. All take an integer array ``(slices, rows, columns)`` of grey levels from 1,
0 outside the region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Step = tuple[int, int, int]


@dataclass(frozen=True)
class Cells:
    """The cells above zero of a matrix of grey level by size: run lengths or zone sizes.

    Attributes
    ----------
    levels, sizes, counts
        Row, column (both from 1) and value of each cell, int64 ``(cells,)``; a cell occurs once.
    voxels
        Voxels that the matrix was made of, counted once for each direction.
    """

    levels: Ints
    sizes: Ints
    counts: Ints
    voxels: int


def co_occurrence(levels: Ints, step: Step, number: int) -> Floats:
    """Return how often levels i and j are neighbours along a direction and its opposite, ``(number, number)``."""
    first = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(step, levels.shape, strict=True))
    second = tuple(slice(max(0, d), n - max(0, -d)) for d, n in zip(step, levels.shape, strict=True))
    one, other = levels[first], levels[second]
    both = (one > 0) & (other > 0)
    pairs = np.bincount((one[both] - 1) * number + (other[both] - 1), minlength=number * number)
    matrix = pairs.reshape(number, number).astype(np.float64)
    return np.asarray(matrix + matrix.T)


def runs(levels: Ints, step: Step) -> Cells:
    """Return runs of voxels of one level along a direction, by level and length.

    With a border of zeros a step is a fixed distance in the flat array, also across the ends of rows, where it meets a
    zero. Taking every `distance`-th element gives all lines one after another.
    """
    padded = np.pad(levels, 1)
    _, rows, columns = padded.shape
    distance = (step[0] * rows + step[1]) * columns + step[2]
    if distance <= 0:
        raise ValueError(f"a direction {step} must point onward in the array")
    flat = np.pad(padded.ravel(), (0, -padded.size % distance)).reshape(-1, distance).T.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=0))
    lengths = np.diff(starts, append=len(flat))
    level = flat[starts]
    return _cells(level[level > 0], lengths[level > 0], int(np.count_nonzero(levels)))


def zones(levels: Ints) -> Cells:
    """Return zones of one level whose voxels touch by a face, edge or corner, by level and number of voxels."""
    from scipy import ndimage

    touching = np.ones((3, 3, 3), dtype=np.bool_)
    found_levels: list[int] = []
    found_sizes: list[Ints] = []
    for index, box in enumerate(ndimage.find_objects(levels)):
        if box is None:
            continue
        labelled, _ = ndimage.label(levels[box] == index + 1, structure=touching)
        found_levels.append(index + 1)
        found_sizes.append(np.bincount(labelled.ravel())[1:])
    level = np.repeat(np.array(found_levels, dtype=np.int64), [len(sizes) for sizes in found_sizes])
    return _cells(level, np.concatenate(found_sizes), int(np.count_nonzero(levels)))


def merge(parts: Sequence[Cells]) -> Cells:
    """Return the sum of matrices; their voxels add up."""
    return _cells(
        np.concatenate([part.levels for part in parts]),
        np.concatenate([part.sizes for part in parts]),
        sum(part.voxels for part in parts),
        np.concatenate([part.counts for part in parts]),
    )


def _cells(levels: Ints, sizes: Ints, voxels: int, counts: Ints | None = None) -> Cells:
    base = int(sizes.max()) + 1
    key, place = np.unique(levels.astype(np.int64) * base + sizes, return_inverse=True)
    total = np.bincount(place, weights=counts).astype(np.int64)
    return Cells(key // base, key % base, total, voxels)
