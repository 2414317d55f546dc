"""Size and shape of a region by the definitions of the IBSI reference manual, chapter 3.1 (arXiv:1612.07003)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semeion.measure.surface import crofton_area, find_cubes, mesh_area, mesh_vertices, mesh_volume

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_BLOCK = 2048
"""Points compared at a time when the farthest pair is looked for: bounds memory to some 50 MB."""


def shape_measurements(inside: Bools, spacing_kji: npt.ArrayLike) -> dict[str, float]:
    """Measure size and shape of a region.

    Parameters
    ----------
    inside
        Boolean array ``(slices, rows, columns)`` with at least one voxel set.
    spacing_kji
        Millimetres between voxel centres along slices, rows and columns.

    Returns
    -------
    dict
        Values by the names of :data:`semeion.measure.definitions.DEFINITIONS`; NaN where a value is undefined: the
        axes of a single voxel.
    """
    from scipy.spatial import ConvexHull

    spacing = np.asarray(spacing_kji, dtype=np.float64)
    cubes = find_cubes(inside)
    volume, surface = mesh_volume(cubes, spacing), mesh_area(cubes, spacing)
    vertices = mesh_vertices(inside, spacing)
    hull = ConvexHull(vertices)
    corners = vertices[hull.vertices]
    return {
        "volume_ml": float(np.count_nonzero(inside)) * float(np.prod(spacing)) / 1000,
        "mesh_volume_ml": volume / 1000,
        "surface_mm2": surface,
        "surface_crofton_mm2": crofton_area(cubes, spacing),
        "sphericity": float((36 * np.pi * volume**2) ** (1 / 3) / surface),
        **_axes(inside, spacing),
        "solidity": volume / float(hull.volume),
        "border_irregularity": surface / float(hull.area),
        "diameter_3d_mm": farthest(corners),
    }


def farthest(points: Floats) -> float:
    """Return the largest distance between two of the points ``(n, dimensions)``."""
    largest = 0.0
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        squares = sum(np.subtract.outer(block[:, axis], points[:, axis]) ** 2 for axis in range(points.shape[1]))
        largest = max(largest, float(np.max(squares)))
    return float(np.sqrt(largest))


def _axes(inside: Bools, spacing_kji: Floats) -> dict[str, float]:
    """Return four times the roots of the principal moments of the voxel centres and their ratios (IBSI TDIC and on).

    The moments are divided by one less than the number of voxels, as the published values of the phantom need. A solid
    ellipsoid's own axes are the root of five over two, 1.118, times as long.
    """
    count = np.count_nonzero(inside)
    if count < 2:
        return dict.fromkeys(
            ("major_axis_mm", "minor_axis_mm", "least_axis_mm", "elongation", "flatness"), float("nan")
        )
    # From the shadows of the region on planes and axes: a list of places would need 24 bytes a voxel.
    away = []
    for axis in range(3):
        along = inside.sum(axis=tuple({0, 1, 2} - {axis}))
        place = np.arange(len(along)) * spacing_kji[axis]
        away.append(place - along @ place / count)
    spread = np.empty((3, 3))
    for one, other in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
        shadow = inside.sum(axis=tuple({0, 1, 2} - {one, other}))
        both = shadow @ away[one] ** 2 if one == other else away[one] @ shadow @ away[other]
        spread[one, other] = spread[other, one] = both / (count - 1)
    # Not negative in theory; rounding may leave -1e-15 for a flat region.
    moments = np.linalg.eigvalsh(spread).clip(0)
    least, minor, major = (float(4 * np.sqrt(moment)) for moment in moments)
    return {
        "major_axis_mm": major,
        "minor_axis_mm": minor,
        "least_axis_mm": least,
        "elongation": minor / major,
        "flatness": least / major,
    }
