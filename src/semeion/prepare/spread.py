"""Values of coarse places spread over a finer grid, or between its places, so that their sum stays what it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]


def spreading(centres: Sequence[float], cells: int) -> Matrix:
    """Return the matrix ``(cells, places)`` that spreads the values of places over the cells of one axis.

    A place is spread like linear interpolation between the places sees it: most where it is, nothing from its
    neighbours on. Every column sums to 1, so that a product with it keeps sums.

    Parameters
    ----------
    centres
        Of the places, rising, as parts of the axis' whole length: 0 is where it begins and 1 where it ends.
    cells
        That divide the axis evenly. As many as places that lie in their middles: nothing is changed.
    """
    return _spreading(tuple(float(centre) for centre in centres), cells)


@lru_cache(maxsize=512)
def _spreading(centres: tuple[float, ...], cells: int) -> Matrix:
    found = _weights(np.array(centres), cells)
    found.flags.writeable = False  # it is shared from here on
    return found


def _weights(places: npt.NDArray[np.float64], cells: int) -> Matrix:
    if len(places) == 1:
        return np.full((cells, 1), 1 / cells, np.float32)
    middles = (np.arange(cells) + 0.5) / cells
    if cells == len(places) and np.allclose(middles, places, rtol=0, atol=1e-9):
        return np.eye(cells, dtype=np.float32)
    seen = np.stack([np.interp(middles, places, one) for one in np.eye(len(places))], axis=1)
    for place in np.flatnonzero(seen.sum(axis=0) <= 0):
        # Of places that lie closer than cells some are seen by none: they go to the cell that holds them.
        seen[min(cells - 1, max(0, int(places[place] * cells))), place] = 1.0
    return np.asarray(seen / seen.sum(axis=0), dtype=np.float32)


WIDTH = 1.0
"""Standard deviation, in places, by which a place of a layer is spread: see :func:`seen_by`."""
_MIRRORED = 3
"""Lengths of the axis on each side from where what falls over its ends is brought back: 3 standard deviations of one
place alone, which is as long as the axis."""


@lru_cache(maxsize=512)
def seen_by(places: int, cells: int) -> Matrix:
    """Return the matrix ``(cells, places)`` that gives what the places of a layer add to the cells that each sees.

    What a place says comes from a region around it and not from its own pixels alone: the effective receptive field,
    which is close to a Gaussian, and in deep layers several places wide (Luo et al., Understanding the effective
    receptive field in deep convolutional neural networks, NeurIPS 2016, section 2). Each place, evenly spaced, is
    spread by a Gaussian with a standard deviation of :data:`WIDTH` places, mirrored at the ends of the axis. Every
    column sums to 1.
    """
    at = (np.arange(cells) + 0.5) * places / cells
    centres = np.arange(places) + 0.5
    found = np.zeros((cells, places))
    for turn in range(-_MIRRORED, _MIRRORED + 1):
        for image in (2 * turn * places + centres, 2 * turn * places - centres):
            found += np.exp(-0.5 * ((at[:, np.newaxis] - image) / WIDTH) ** 2)
    kept = np.asarray(found / found.sum(axis=0), dtype=np.float32)
    kept.flags.writeable = False  # it is shared from here on
    return kept


def even(places: int) -> list[float]:
    """Return the centres of places that divide an axis evenly."""
    return [(place + 0.5) / places for place in range(places)]


def spread_seen(values: npt.ArrayLike, cells: Sequence[int]) -> Matrix:
    """Spread a layer's map ``(..., *places)`` over ``(..., *cells)`` along its last axes by :func:`seen_by`, float32.

    Sums stay what they are.
    """
    found = np.asarray(values, dtype=np.float32)
    for axis, wanted in enumerate(cells, found.ndim - len(cells)):
        found = _along(found, axis, seen_by(found.shape[axis], int(wanted)))
    return np.ascontiguousarray(found, dtype=np.float32)


def spread(values: npt.ArrayLike, centres: Sequence[Sequence[float]], cells: Sequence[int]) -> Matrix:
    """Spread an array ``(..., *places)`` over ``(..., *cells)`` along its last axes; sums stay what they are.

    Parameters
    ----------
    values
        One number a place.
    centres, cells
        As of :func:`spreading`, of each of the last axes in their order.

    Returns
    -------
    numpy.ndarray
        float32.
    """
    found = np.asarray(values, dtype=np.float32)
    first = found.ndim - len(cells)
    for axis, (places, wanted) in enumerate(zip(centres, cells, strict=True), first):
        if wanted != found.shape[axis] or not np.allclose(places, even(wanted), rtol=0, atol=1e-9):
            found = _along(found, axis, spreading(places, wanted))
    return np.ascontiguousarray(found, dtype=np.float32)


def _along(values: Matrix, axis: int, matrix: Matrix) -> Matrix:
    """Return the product with a matrix ``(cells, places)`` along one axis.

    Such products are tiny, and not done by a matrix library: its threads contend with those of the networks' runtime,
    and take a thousand times as long as they save.
    """
    moved = np.einsum("...p,cp->...c", np.moveaxis(values, axis, -1), matrix)
    return np.moveaxis(moved, -1, axis)
