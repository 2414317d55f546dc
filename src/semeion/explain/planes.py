"""Pictures of a map in a volume: the slices that contribute most, and the strongest of the map over three planes.

All are turned so that the patient is seen as radiologists see slices: the patient's right on the left of axial and
coronal pictures, the front on the left of sagittal ones, and voxels have the proportions of their spacing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from semeion.cohort.volume import Grid, Volume
from semeion.explain.overlay import (
    Bytes,
    Floats,
    Scale,
    above,
    beside,
    contoured,
    letters,
    outlined,
    overlay,
    scale_bar,
    windowed,
    write,
)
from semeion.prepare.geometry import exchange, lps_turn

SLICES = 3
"""Slices that are shown."""
LONG = 320
"""Longest side of the largest plane in pixels."""
APART = 16
"""Shown slices lie at least this part of all slices apart, so that they are not one place three times."""
OUTLINES = ((230, 159, 0), (86, 180, 233), (0, 200, 140), (240, 228, 66), (204, 121, 167), (213, 94, 0))
"""Colours of outlines, told apart in all common kinds of colour blindness (Okabe and Ito, 2008; green is lighter)."""
_LABELS = {0: ("A", "P", "S", "I"), 1: ("R", "L", "S", "I"), 2: ("R", "L", "A", "P")}
"""Letters at the left, right, top and bottom of a plane across the patient's axis 0 left, 1 posterior, 2 superior."""
_NAMES = {0: "sagittal", 1: "coronal", 2: "axial"}


@dataclass(frozen=True)
class Turned:
    """A volume and a map turned so that i, j, k run nearest to left, posterior and superior.

    Attributes
    ----------
    grey, values
        Arrays ``(k, j, i)`` of the first plane in 256 steps and of the map.
    grid
        Where they are.
    acquired
        Which axis of the turned grid (0 i, 1 j, 2 k) runs across the slices as they were stored, and whether it runs
        the other way.
    known
        Whether the file says where the patient's sides are.
    """

    grey: Bytes
    values: Floats
    grid: Grid
    acquired: tuple[int, bool]
    known: bool


def turned(volume: Volume, values: npt.ArrayLike) -> Turned:
    """Turn a volume and a map on its grid, ``(slices, rows, columns)``; no voxel is interpolated.

    Raises
    ------
    ValueError
        When the map has another shape.
    """
    array = np.asarray(values, dtype=np.float32)
    if array.shape != volume.grid.shape:
        raise ValueError(f"a map of {array.shape} for a volume of {volume.grid.shape}")
    order, flips = lps_turn(volume.grid)
    grey = Volume(windowed(volume.voxels[0])[None], volume.grid)
    grey = exchange(grey, order, flips)
    painted = exchange(Volume(np.nan_to_num(array)[None], volume.grid), order, flips)
    axis = order.index(2)
    known = not any(note.split(":")[0] == "no-orientation" for note in volume.notes)
    return Turned(grey.plane, painted.plane, grey.grid, (axis, flips[axis]), known)


def slice_shares(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the sum of a map ``(slices, rows, columns)`` over each slice as it was stored."""
    return np.asarray(np.nan_to_num(np.asarray(values, dtype=np.float64)).sum(axis=(1, 2)))


def strongest(shares: npt.ArrayLike, most: int = SLICES) -> list[int]:
    """Return the slices whose sum for the class is largest, the largest first, not next to one another.

    Slices lie at least a part of :data:`APART` of all apart, one at the least; there may be fewer than `most`. Where no
    slice speaks for the class, those that speak least against it are shown.
    """
    sums = np.asarray(shares, dtype=np.float64)
    apart = max(1, len(sums) // APART)
    chosen: list[int] = []
    for place in np.argsort(-sums, kind="stable"):
        if all(abs(int(place) - other) >= apart for other in chosen):
            chosen.append(int(place))
        if len(chosen) == most:
            break
    return chosen


def volume_picture(volume: Volume, values: npt.ArrayLike, scale: Scale) -> Bytes:
    """Return the picture of a map in a volume, uint8 ``(rows, columns, 3)``.

    Above the stored slices that contribute most, by their number from 1; below the middle of the volume in three planes
    and over it, at each place, the strongest value of the map along the line of sight; to the right the scale.

    Parameters
    ----------
    volume
        As it was read; its first plane is shown.
    values
        The map on its grid, ``(slices, rows, columns)``.
    scale
        What full colour means.
    """
    seen = turned(volume, values)
    pixel = _pixel(seen.grid)
    axis, backwards = seen.acquired
    count = volume.grid.size[2]
    rows = []
    for place in strongest(slice_shares(values)):
        at = count - 1 - place if backwards else place
        grey, painted = _across(seen.grey, axis, at), _across(seen.values, axis, at)
        rows.append(_panel(grey, painted, seen, axis, pixel, scale, f"slice {place + 1} of {count}"))
    planes = []
    for across in (2, 1, 0):
        grey = _across(seen.grey, across, seen.grid.size[across] // 2)
        name = f"{_NAMES[across]}, map projected"
        planes.append(_panel(grey, _projected(seen.values, across), seen, across, pixel, scale, name))
    pictures = above(beside(*rows, gap=6, ground=0), beside(*planes, gap=6, ground=0), gap=6, ground=0)
    return beside(pictures, scale_bar(min(len(pictures), 2 * LONG), scale))


def mask_picture(volume: Volume, mask: Volume, names: Mapping[int, str]) -> Bytes:
    """Return a volume's slices with the outlines of a mask, uint8 ``(rows, columns, 3)``.

    Parameters
    ----------
    volume
        As it was read; its first plane is shown.
    mask
        On the same grid.
    names
        What each value of the mask is, in the order of the :data:`OUTLINES`, which begin again where there are more.

    Notes
    -----
    The stored slices with the largest cross-sections of what is outlined are shown, three at most.
    """
    labels = mask.plane
    seen = turned(volume, labels)
    axis, backwards = seen.acquired
    count = volume.grid.size[2]
    panels = []
    for place in sorted(strongest((labels > 0).sum(axis=(1, 2)))):
        at = count - 1 - place if backwards else place
        grey, drawn = _across(seen.grey, axis, at), _across(seen.values, axis, at)
        size = _size(grey, seen.grid, axis, _pixel(seen.grid))
        picture = np.repeat(np.asarray(cv2.resize(grey, size), np.uint8)[..., None], 3, axis=2)
        sized = np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_NEAREST))
        for value, colour in zip(names, cycle(OUTLINES), strict=False):
            picture = contoured(picture, sized == value, colour)
        panels.append(_named(picture, seen, axis, f"slice {place + 1} of {count}"))
    return above(beside(*panels, gap=6, ground=0), _legend(names), ground=0)


def _legend(names: Mapping[int, str]) -> Bytes:
    """Return a strip that says which colour outlines what."""
    parts = []
    for name, colour in zip(names.values(), cycle(OUTLINES), strict=False):
        part: Bytes = np.zeros((20, 24 + 8 * len(name), 3), np.uint8)
        part[6:14, 6:18] = colour
        write(part, name, (22, 14), (220, 220, 220))
        parts.append(part)
    return beside(*parts, ground=0)


def _across(array: npt.NDArray[Any], axis: int, at: int) -> npt.NDArray[Any]:
    """Return the plane across axis 0 (i), 1 (j) or 2 (k) of ``(k, j, i)`` as it is looked at: superior at the top."""
    plane = np.take(array, at, axis=2 - axis)
    return np.ascontiguousarray(plane if axis == 2 else plane[::-1])


def _projected(values: Floats, axis: int) -> Floats:
    """Return the strongest value of a map along an axis, with its sign, as :func:`_across` turns planes."""
    along = 2 - axis
    high, low = values.max(axis=along), values.min(axis=along)
    plane = np.where(high >= -low, high, low)
    return np.ascontiguousarray(plane if axis == 2 else plane[::-1], dtype=np.float32)


def _pixel(grid: Grid) -> float:
    """Return the millimetres of a pixel at which the longest side of a volume is :data:`LONG` pixels."""
    return max(n * side for n, side in zip(grid.size, grid.spacing, strict=True)) / LONG


def _size(plane: npt.NDArray[np.generic], grid: Grid, axis: int, pixel: float) -> tuple[int, int]:
    """Return columns and rows in pixels of a plane across an axis."""
    across, down = {0: (1, 2), 1: (0, 2), 2: (0, 1)}[axis]
    columns = max(24, round(plane.shape[1] * grid.spacing[across] / pixel))
    rows = max(24, round(plane.shape[0] * grid.spacing[down] / pixel))
    return columns, rows


def _panel(
    grey: npt.NDArray[np.generic],
    values: npt.NDArray[np.generic],
    seen: Turned,
    axis: int,
    pixel: float,
    scale: Scale,
    name: str,
) -> Bytes:
    size = _size(grey, seen.grid, axis, pixel)
    shown = np.asarray(cv2.resize(np.asarray(grey, np.uint8), size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    laid = np.asarray(cv2.resize(np.asarray(values, np.float32), size, interpolation=cv2.INTER_LINEAR), np.float32)
    return _named(outlined(overlay(shown, laid, scale), laid, scale), seen, axis, name)


def _named(picture: Bytes, seen: Turned, axis: int, name: str) -> Bytes:
    """Return a picture with its orientation where it is known, and its name in a strip below it."""
    marked = letters(picture, *_LABELS[axis]) if seen.known else picture
    strip: Bytes = np.zeros((18, max(marked.shape[1], 8 * len(name)), 3), np.uint8)
    write(strip, name, (4, 13), (220, 220, 220))
    return above(marked, strip, ground=0)
