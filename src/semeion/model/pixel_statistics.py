"""What a prepared image is like, in some ninety numbers: grey levels, where they lie, and detail of every size.

Such numbers tell kinds of images apart where no network gives features for it: radiographs, slices and photographs
differ in their shares of grey levels and in their spectra.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from semeion.model.gate_image import planes_of

Floats = npt.NDArray[np.float64]

PIXELS = "pixels"
"""What stands for the path of a graph in a reference."""
LEVELS = 16
BANDS = 13
GRID = 4
SCALES = 3
FILTERS = 4
WIDTH = LEVELS + BANDS + 2 + 2 * GRID**2 + 2 * SCALES * FILTERS
LARGE = 384
"""Pixels along the shorter side from which on a plane is halved first: costs grow with the square of it, and looks at
single pixels are :mod:`semeion.model.gate_image`'s."""
TOGETHER = 1 << 19
"""Pixels of the cases that are looked at together, so that memory stays bounded."""


def statistics_of(prepared: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8]) -> Floats:
    """Return the statistics of prepared cases, float64 ``(N, WIDTH)``.

    Parameters
    ----------
    prepared
        Each uint8 ``(C, H, W)`` or ``(C, D, H, W)``. Channels are averaged, and of volumes the statistics of three
        slices. Planes of `LARGE` pixels or more are halved first.

    Returns
    -------
    numpy.ndarray
        Square roots of the shares of 16 ranges of grey; decimal logarithms of the mean power in 13 bands of spatial
        frequency, equally wide in its logarithm (the radially averaged power spectrum); mean and standard deviation as
        fractions of the grey scale; of each cell of a grid of 4 x 4 the mean and the logarithm of the standard
        deviation; and of differences to the right, down, along one diagonal and of the Laplacian, at full size, half
        and a quarter, the logarithms of the mean size and of the kurtosis.
    """
    found: list[Floats] = []
    for start in range(0, len(prepared), _step(prepared)):
        each = np.stack([np.stack(planes_of(one)) for one in prepared[start : start + _step(prepared)]])
        found += list(_of_planes(each.reshape(-1, *each.shape[2:])).reshape(*each.shape[:2], WIDTH).mean(axis=1))
    return np.asarray(np.stack(found) if found else np.zeros((0, WIDTH)), dtype=np.float64)


def _step(prepared: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8]) -> int:
    """Return how many cases are looked at together."""
    return max(1, TOGETHER // max(1, int(np.prod(prepared[0].shape[-2:])))) if len(prepared) else 1


def _of_planes(planes: Floats) -> Floats:
    """Return the statistics of planes ``(M, H, W)``, float64 ``(M, WIDTH)``."""
    while min(planes.shape[1:]) >= LARGE:
        planes = _halved(planes)
    count, size = len(planes), planes[0].size
    level = np.minimum(planes * (LEVELS / 256), LEVELS - 1).astype(np.int64) + LEVELS * np.arange(count)[:, None, None]
    shares = np.bincount(level.ravel(), minlength=LEVELS * count).reshape(count, LEVELS) / size
    middle, spread = planes.mean(axis=(1, 2)), planes.std(axis=(1, 2))
    power = np.abs(np.fft.rfft2(planes - middle[:, None, None])) ** 2 / size
    bands = np.log10(power.reshape(count, -1) @ _bands(planes.shape[1], planes.shape[2]) + 1)
    parts = [np.sqrt(shares), bands, middle[:, None] / 255, spread[:, None] / 255, _cells(planes), *_textures(planes)]
    return np.concatenate(parts, axis=1)


@lru_cache(maxsize=8)
def _bands(rows: int, cols: int) -> Floats:
    """Return the weights ``(frequencies of rfft2, BANDS)`` by which the mean power of each band is had."""
    away = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(cols)[None])
    # From one turn over 64 pixels to one over two; what is slower is in the first band.
    band = np.clip(np.floor((np.log2(np.maximum(away, 1e-6)) + 6) / 5 * (BANDS - 1)), 0, BANDS - 1).astype(np.int64)
    # The half of the frequencies that is left out is the mirror image of this one.
    twice = np.full(away.shape[1], 2.0)
    twice[0] = 1
    twice[-1] = 1 if cols % 2 == 0 else 2
    weights = np.zeros((away.size, BANDS))
    weights[np.arange(away.size), band.ravel()] = np.broadcast_to(twice, away.shape).ravel()
    return np.asarray(weights / np.maximum(weights.sum(axis=0), 1))


def _cells(planes: Floats) -> Floats:
    """Return mean and spread of each cell: where an image is bright and where something is in it."""
    rows, cols = (np.minimum(np.arange(GRID) * side // GRID, side - 1) for side in planes.shape[1:])

    def summed(values: Floats) -> Floats:
        return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, axis=1), cols, axis=2))

    count = summed(np.ones((1, *planes.shape[1:])))
    mean = summed(planes) / count
    spread = np.sqrt(np.maximum(summed(planes**2) / count - mean**2, 0))
    both = np.concatenate([mean / 255, np.log10(spread + 1)], axis=1)
    return np.asarray(both.reshape(len(planes), -1))


def _textures(planes: Floats) -> list[Floats]:
    """Return size and peakedness of small differences at three scales: edges, speckle, noise and what is smooth."""
    found = []
    for _ in range(SCALES):
        own = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
        middle = own[:, 1:-1, 1:-1]
        across, down, slanting = own[:, 1:-1, 2:] - middle, own[:, 2:, 1:-1] - middle, own[:, 2:, 2:] - middle
        edges = own[:, 1:-1, 2:] + own[:, 1:-1, :-2] + own[:, 2:, 1:-1] + own[:, :-2, 1:-1] - 4 * middle
        for one in (across, down, slanting, edges):
            square = one**2
            # One grey level of rounding keeps the kurtosis of an even ground finite.
            fourth, second = (square**2).mean(axis=(1, 2)), square.mean(axis=(1, 2))
            size = np.log10(np.abs(one).mean(axis=(1, 2)) + 0.1)
            found.append(np.stack([size, np.log10((fourth + 1) / (second + 1) ** 2)], axis=1))
        if min(planes.shape[1:]) >= 4:
            planes = _halved(planes)
    return found


def _halved(planes: Floats) -> Floats:
    """Return the means of 2 x 2 pixels; a last row or column that is alone is left out."""
    even = planes[:, : planes.shape[1] // 2 * 2, : planes.shape[2] // 2 * 2]
    return np.asarray((even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]) / 4)
