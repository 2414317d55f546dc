"""Slices that slide over one another or lie unevenly are brought onto an orthogonal, even grid.

A tilted gantry is corrected in the plane alone: each slice is moved by what its position says, interpolated linearly
over two pixels a direction, and the grid is widened so that none loses a pixel. Uneven slices are then interpolated
linearly along the normal; slices that lie on the even grid are kept as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.limits import ReadLimits, bound_voxels
from semeion.cohort.series.geometry import Layout, even_depths
from semeion.cohort.volume import Floats, Grid

_AIR_HU = -1000.0


def correct(
    voxels: npt.NDArray[Any], layout: Layout, unit: str | None, where: str, limits: ReadLimits
) -> tuple[npt.NDArray[Any], Grid]:
    """Return voxels ``(planes, slices, rows, columns)`` and the orthogonal, even grid they fill.

    What no slice covers gets the lowest voxel, in Hounsfield units at most that of air. The number type is kept.
    """
    grid = layout.stored
    if layout.tilt:
        voxels, grid = _straighten(voxels, grid, layout.shifts, _fill(voxels, unit), where, limits)
    if not layout.even:
        voxels, grid = _even(voxels, grid, layout.depths, where, limits)
    return voxels, grid


def _fill(voxels: npt.NDArray[Any], unit: str | None) -> float:
    least = float(voxels.min())
    if unit == "HU" and voxels.dtype.kind in "fi":
        return min(least, _AIR_HU)
    return least


def _straighten(
    voxels: npt.NDArray[Any], grid: Grid, shifts: Floats, fill: float, where: str, limits: ReadLimits
) -> tuple[npt.NDArray[Any], Grid]:
    """Move every slice in its plane to where its position says."""
    moved = shifts / np.array(grid.spacing[:2])
    # A thousandth of a pixel is the last digit of the header, and must not widen the grid.
    low = np.floor(moved.min(axis=0) + 1e-3).astype(int)
    high = np.ceil(moved.max(axis=0) - 1e-3).astype(int)
    wide, tall = grid.size[0] + int(high[0] - low[0]), grid.size[1] + int(high[1] - low[1])
    planes, slices = voxels.shape[:2]
    bound_voxels((planes, slices, tall, wide), where, limits)
    out = np.full((planes, slices, tall, wide), fill, voxels.dtype)
    for k in range(slices):
        across, down = moved[k] - low
        for p in range(planes):
            out[p, k] = _narrow(_moved(voxels[p, k], float(down), float(across), (tall, wide), fill), voxels.dtype)
    origin = grid.place((float(low[0]), float(low[1]), 0.0))
    x, y, z = (float(value) for value in origin)
    return out, replace(grid, size=(wide, tall, slices), origin=(x, y, z))


def _moved(
    picture: npt.NDArray[Any], down: float, across: float, shape: tuple[int, int], fill: float
) -> npt.NDArray[np.float32]:
    """Move a picture by fractions of pixels in a larger one, by linear interpolation."""
    result = picture.astype(np.float32)
    for axis, (move, length) in enumerate(zip((down, across), shape, strict=True)):
        whole = int(np.floor(move + 1e-3))
        part = max(move - whole, 0.0)
        size = list(result.shape)
        size[axis] = length + 1
        near = np.full(size, fill, np.float32)
        place = [slice(None), slice(None)]
        place[axis] = slice(whole, whole + result.shape[axis])
        near[tuple(place)] = result
        keep = np.take(near, range(length), axis=axis)
        if part > 1e-3:
            before = np.roll(near, 1, axis=axis)
            keep = (1 - part) * keep + part * np.take(before, range(length), axis=axis)
            # A border pixel mixed with fill is no measurement of either: the picture's own edge is kept there.
            edge, inner = [slice(None), slice(None)], [slice(None), slice(None)]
            edge[axis], inner[axis] = slice(whole, whole + 1), slice(0, 1)
            keep[tuple(edge)] = result[tuple(inner)]
        result = keep.astype(np.float32)
    return result


def _even(
    voxels: npt.NDArray[Any], grid: Grid, depths: Floats, where: str, limits: ReadLimits
) -> tuple[npt.NDArray[Any], Grid]:
    """Interpolate along the normal onto even depths; beyond the last slice, by half a step at most, it is repeated."""
    wanted = even_depths(depths, grid.spacing[2])
    planes, _, rows, cols = voxels.shape
    bound_voxels((planes, len(wanted), rows, cols), where, limits)
    out = np.empty((planes, len(wanted), rows, cols), voxels.dtype)
    for k, depth in enumerate(wanted):
        above = int(np.clip(np.searchsorted(depths, depth), 1, len(depths) - 1))
        gap = depths[above] - depths[above - 1]
        part = float(np.clip((depth - depths[above - 1]) / gap, 0.0, 1.0))
        near = 0.01 * grid.spacing[2] / gap
        if part < near or part > 1 - near:
            out[:, k] = voxels[:, above - 1 if part < near else above]
        else:
            low, high = voxels[:, above - 1].astype(np.float32), voxels[:, above].astype(np.float32)
            out[:, k] = _narrow(low + np.float32(part) * (high - low), voxels.dtype)
    return out, replace(grid, size=(grid.size[0], grid.size[1], len(wanted)))


def _narrow(values: npt.NDArray[np.float32], kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Round to the number type of the stored voxels; interpolation never leaves their range."""
    return values.astype(kind) if kind.kind == "f" else np.rint(values).astype(kind)
