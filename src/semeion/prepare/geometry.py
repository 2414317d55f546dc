"""Axes, spacing and extent of volumes: every operation keeps it true where each voxel lies in the patient."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from semeion.cohort.volume import Floats, Grid, Volume
from semeion.errors import InputError

Interpolation = Literal["nearest", "linear", "bspline"]
Array = npt.NDArray[Any]

COARSE = 3.0
"""An axis whose spacing is more than this many times the finest is interpolated on its own, linearly."""
_FWHM = 2 * math.sqrt(2 * math.log(2))
_WHOLE = 1e-3
"""Part of a voxel that a rounding of spacings may add to an extent."""


def orientation_code(grid: Grid) -> str:
    """Return three letters for the patient directions nearest to i, j and k, such as ``LPS`` or ``RAS``."""
    letters = (("R", "L"), ("A", "P"), ("I", "S"))
    code = ""
    for column, axis in enumerate(nearest_axes(grid)):
        code += letters[axis][int(grid.matrix[axis, column] > 0)]
    return code


def nearest_axes(grid: Grid) -> tuple[int, int, int]:
    """Return for i, j and k the patient axis (0 left, 1 posterior, 2 superior) that it is nearest to, each used once.

    Of the six assignments the one with the largest sum of cosines, so that an oblique volume has one answer.
    """
    cosines = np.abs(grid.matrix)
    axes = max(itertools.permutations(range(3)), key=lambda p: sum(cosines[p[column], column] for column in range(3)))
    return axes[0], axes[1], axes[2]


def to_lps(volume: Volume) -> Volume:
    """Exchange and flip axes so that i, j, k run nearest to left, posterior and superior. No voxel is interpolated."""
    return exchange(volume, *lps_turn(volume.grid))


def lps_turn(grid: Grid) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return the order of old axes and the flips that make a grid run nearest to left, posterior and superior."""
    axes = nearest_axes(grid)
    order = tuple(axes.index(axis) for axis in range(3))
    flips = tuple(bool(grid.matrix[axis, order[axis]] < 0) for axis in range(3))
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def exchange(volume: Volume, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """Return the volume with old axes `order` as i, j, k, then flipped where `flips` says."""
    if order == (0, 1, 2) and not any(flips):
        return volume
    # The array's axes stand in reverse: axis a of the grid is axis 3 - a of (planes, k, j, i).
    voxels = np.transpose(volume.voxels, [0, *(3 - order[2 - number] for number in range(3))])
    voxels = np.flip(voxels, tuple(3 - axis for axis in range(3) if flips[axis]))
    return replace(volume, voxels=np.ascontiguousarray(voxels), grid=exchanged_grid(volume.grid, order, flips))


def exchanged_grid(grid: Grid, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Grid:
    """Return the grid that :func:`exchange` gives a volume on `grid`."""
    first = [0, 0, 0]
    for new, old in enumerate(order):
        first[old] = grid.size[old] - 1 if flips[new] else 0
    size = tuple(grid.size[axis] for axis in order)
    spacing = tuple(grid.spacing[axis] for axis in order)
    return grid_with(size, spacing, grid.place(first), grid.matrix[:, list(order)] * np.where(flips, -1.0, 1.0))


def grid_with(size: tuple[int, ...], spacing: tuple[float, ...], origin: npt.ArrayLike, matrix: Floats) -> Grid:
    """Make a grid of plain sequences; the direction as a ``(3, 3)`` array."""
    i, j, k = (int(one) for one in size)
    a, b, c = (float(one) for one in spacing)
    x, y, z = (float(one) for one in np.asarray(origin))
    return Grid((i, j, k), (a, b, c), (x, y, z), tuple(float(one) + 0.0 for one in matrix.ravel()))


def window(grid: Grid, start: tuple[int, ...], size: tuple[int, ...]) -> Grid:
    """Return the grid of `size` voxels from index `start` (i, j, k; may lie outside) of `grid` on."""
    return grid_with(size, grid.spacing, grid.place(start), grid.matrix)


def cut(volume: Volume, start: tuple[int, ...], size: tuple[int, ...], fill: npt.ArrayLike = 0) -> Volume:
    """Cut or pad: `size` voxels from index `start` (i, j, k) on; outside `fill`, one value or one a plane."""
    new = window(volume.grid, start, size)
    inside = [(max(s, 0), min(s + n, whole)) for s, n, whole in zip(start, size, volume.grid.size, strict=True)]
    if any(low >= high for low, high in inside):
        inside = [(0, 0)] * 3
    if new.size == volume.grid.size and not any(start):
        return volume
    planes = len(volume.voxels)
    out = np.empty((planes, *new.shape), volume.voxels.dtype)
    out[...] = np.broadcast_to(np.asarray(fill), (planes,)).astype(out.dtype)[:, np.newaxis, np.newaxis, np.newaxis]
    source = tuple(slice(low, high) for low, high in reversed(inside))
    target = tuple(slice(low - s, high - s) for (low, high), s in zip(reversed(inside), reversed(start), strict=True))
    if inside[0][1] > inside[0][0]:
        out[(slice(None), *target)] = volume.voxels[(slice(None), *source)]
    return replace(volume, voxels=out, grid=new)


def box_of(chosen: npt.NDArray[np.bool_]) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """Return start and size (i, j, k) of the smallest box around what is true in ``(k, j, i)``; None for nothing."""
    start, size = [], []
    for axis in (2, 1, 0):
        others = tuple(number for number in range(3) if number != axis)
        held = np.flatnonzero(chosen.any(axis=others))
        if not len(held):
            return None
        start.append(int(held[0]))
        size.append(int(held[-1] - held[0]) + 1)
    return (start[0], start[1], start[2]), (size[0], size[1], size[2])


def crop_to(volume: Volume, chosen: npt.NDArray[np.bool_], margin_mm: float = 0.0) -> Volume:
    """Crop to the box of `chosen` (``(k, j, i)``) and a margin, within the volume; unchanged when nothing is chosen."""
    if chosen.shape != volume.grid.shape:
        raise InputError(f"a region of {chosen.shape} for a volume of {volume.grid.shape}", where="crop")
    box = box_of(chosen)
    if box is None:
        return volume
    start, size = [], []
    for low, n, spacing, whole in zip(*box, volume.grid.spacing, volume.grid.size, strict=True):
        margin = math.ceil(margin_mm / spacing - 1e-9)
        first, last = max(0, low - margin), min(whole, low + n + margin)
        start.append(first)
        size.append(last - first)
    return cut(volume, tuple(start), tuple(size))


def centred(volume: Volume, size: tuple[int, int, int], fill: npt.ArrayLike = 0) -> Volume:
    """Cut and pad about the centre to `size` voxels (i, j, k); an odd voxel is cut or added at the end."""
    return cut(volume, _centred_start(volume.grid, size), size, fill)


def centred_grid(grid: Grid, size: tuple[int, int, int]) -> Grid:
    """Return the grid that :func:`centred` gives a volume on `grid`."""
    return window(grid, _centred_start(grid, size), size)


def _centred_start(grid: Grid, size: tuple[int, int, int]) -> tuple[int, ...]:
    pairs = zip(grid.size, size, strict=True)
    return tuple((whole - n) // 2 if whole >= n else -((n - whole) // 2) for whole, n in pairs)


def spaced_grid(grid: Grid, spacing: tuple[float | None, ...]) -> Grid:
    """Return the grid of other `spacing` about the same centre that covers the same extent, edges of voxels counted.

    Along each axis as few voxels as cover the old extent, so that every old voxel's centre lies inside the new extent
    and every new one's inside the old: there and back loses no border.
    """
    new = tuple(old if one is None else float(one) for old, one in zip(grid.spacing, spacing, strict=True))
    pairs = zip(grid.size, grid.spacing, new, strict=True)
    size = tuple(n if a == b else max(1, math.ceil(n * a / b - _WHOLE)) for n, a, b in pairs)
    return _about_centre(grid, size, new)


def sized_grid(grid: Grid, size: tuple[int, int, int]) -> Grid:
    """Return the grid of `size` voxels (i, j, k) whose extent, edges of voxels counted, is that of `grid`."""
    spacing = tuple(n * s / m for n, s, m in zip(grid.size, grid.spacing, size, strict=True))
    return _about_centre(grid, size, spacing)


def _about_centre(grid: Grid, size: tuple[int, ...], spacing: tuple[float, ...]) -> Grid:
    if size == grid.size and spacing == grid.spacing:
        return grid
    centre = grid.place([(n - 1) / 2 for n in grid.size])
    half = np.array([(n - 1) / 2 * s for n, s in zip(size, spacing, strict=True)])
    return grid_with(size, spacing, centre - grid.matrix @ half, grid.matrix)


def resample(volume: Volume, grid: Grid, how: Interpolation = "linear", *, fill: float | None = None) -> Volume:
    """Interpolate a volume at the voxels of another grid.

    Before an axis is made coarser the volume is smoothed along it to what a voxel of the new size would have averaged:
    a Gaussian of variance ``(new^2 - old^2) / (8 ln 2)`` mm^2 (Cardoso et al., Scale factor point spread function
    matching, MICCAI 2015); not for ``nearest``. For ``bspline`` an axis more than `COARSE` times as coarse as the
    finest is interpolated on its own and linearly; values stay within the volume's own range.

    Parameters
    ----------
    fill
        Value outside the volume (half a voxel around its outer centres belongs to it); None: the plane's minimum, or 0
        for ``nearest``.

    Returns
    -------
    Volume
        Floating planes stay float32 or become so; ``nearest`` keeps the type.
    """
    if volume.grid == grid:
        return volume if how == "nearest" else replace(volume, voxels=volume.voxels.astype(np.float32, copy=False))
    whole = whole_shift(volume.grid, grid)
    dtype = volume.voxels.dtype if how == "nearest" else np.dtype(np.float32)
    planes = np.empty((len(volume.voxels), *grid.shape), dtype)
    for number, plane in enumerate(volume.voxels):
        outside = fill if fill is not None else (0.0 if how == "nearest" else float(plane.min()))
        if whole is not None:
            one = replace(volume, voxels=plane[np.newaxis].astype(dtype, copy=False), names=("",), times=())
            planes[number] = cut(one, whole, grid.size, outside).plane
        else:
            planes[number] = _plane(plane, volume.grid, grid, how, outside)
    return replace(volume, voxels=planes, grid=grid)


def whole_shift(old: Grid, new: Grid) -> tuple[int, int, int] | None:
    """Return the index in `old` of the first voxel of `new` when voxels coincide, so that nothing is interpolated."""
    if not np.allclose(old.matrix, new.matrix, atol=1e-6) or not np.allclose(old.spacing, new.spacing, rtol=1e-6):
        return None
    start = old.index(new.origin)
    nearest = np.rint(start)
    if np.abs(start - nearest).max() > 1e-4:
        return None
    return int(nearest[0]), int(nearest[1]), int(nearest[2])


def _plane(plane: Array, old: Grid, new: Grid, how: Interpolation, outside: float) -> Array:
    """Interpolate one plane ``(k, j, i)``."""
    from semeion.prepare.itk import clamp, from_itk, sampled, to_itk

    if how == "nearest":
        return from_itk(sampled(to_itk(plane, old), new, "nearest", outside))
    image = to_itk(smoothed(plane.astype(np.float32, copy=False), old, new), old)
    if how == "linear":
        return from_itk(sampled(image, new, "linear", outside))
    low, high = float(plane.min()), float(plane.max())
    fine = min(min(old.spacing), min(new.spacing))
    # A cubic needs some voxels to be one.
    coarse = [a for a in range(3) if max(old.spacing[a], new.spacing[a]) > COARSE * fine or old.size[a] < 4]
    if not coarse:
        return from_itk(clamp(sampled(image, new, "bspline", outside), low, high))
    # Axes go one by one only where both grids have the same axes.
    if len(coarse) < 3 and np.allclose(old.matrix, new.matrix, atol=1e-6):
        image = clamp(sampled(image, _mixed(old, new, coarse), "bspline", outside), low, high)
    return from_itk(sampled(image, new, "linear", outside))


def _mixed(old: Grid, new: Grid, keep: list[int]) -> Grid:
    """Return the grid with axes `keep` of `old` and the others of `new`; both have one direction."""
    start = old.index(new.origin)
    origin = old.place([0.0 if axis in keep else start[axis] for axis in range(3)])
    size = tuple(old.size[axis] if axis in keep else new.size[axis] for axis in range(3))
    spacing = tuple(old.spacing[axis] if axis in keep else new.spacing[axis] for axis in range(3))
    return grid_with(size, spacing, origin, old.matrix)


def smoothed(plane: Array, old: Grid, new: Grid) -> Array:
    """Smooth a plane along the axes that become coarser; float32 ``(k, j, i)``."""
    # How far one voxel of the new grid reaches along each old axis, for any rotation between them.
    reach = np.sqrt(((old.matrix.T @ new.matrix * np.array(new.spacing)) ** 2).sum(axis=1))
    for axis in range(3):
        spacing = old.spacing[axis]
        if reach[axis] > spacing * 1.001 and old.size[axis] > 1:
            sigma = math.sqrt(reach[axis] ** 2 - spacing**2) / _FWHM / spacing
            plane = _gaussian(plane, sigma, 2 - axis)
    return plane


def _gaussian(plane: Array, sigma: float, axis: int) -> Array:
    """Convolve with a Gaussian of `sigma` voxels along an array axis; the border is repeated."""
    radius = max(1, math.ceil(3 * sigma))
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    length = plane.shape[axis]
    out = np.zeros_like(plane)
    for offset, weight in zip(offsets, weights, strict=True):
        if weight > 1e-4:
            out += weight * np.take(plane, np.clip(np.arange(length) + offset, 0, length - 1), axis=axis)
    return out
