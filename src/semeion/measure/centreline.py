"""The centre line of a tube in a mask, and its cross-sections on planes perpendicular to that line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from semeion.cohort.volume import Grid
from semeion.measure.pattern import Bits, Floats, Whole

STEP = 0.5
"""Distance of points on the line, in the smallest spacing."""
REACH = 2.0
"""Half the width of a plane, in the largest radius of the tube."""
FINE, FINEST = 0.35, 40
"""Distance of points on a plane, in the smallest spacing; and the most points from its middle to its border."""
SPARSE = 4
"""How many steps apart the cross-sections are that only centre the line."""
ROUNDS = 2
"""How often the line is moved to the centres of its cross-sections and smoothed again."""


@dataclass(frozen=True)
class Sections:
    """A centre line with its cross-sections.

    Attributes
    ----------
    points
        LPS millimetres of the line ``(n, 3)``, evenly spaced.
    along
        Millimetres from the first point ``(n,)``.
    area
        Square millimetres of the cross-section ``(n,)``: the integral of the linearly interpolated mask over the
        connected part of the plane around the line.
    minor
        Shorter axis in mm of the ellipse with the section's second moments ``(n,)``.
    """

    points: Floats
    along: Floats
    area: Floats
    minor: Floats

    @property
    def diameter(self) -> Floats:
        """Diameter in mm of the circle with the section's area ``(n,)``."""
        return np.asarray(2 * np.sqrt(self.area / np.pi))


def cut(bits: Bits, grid: Grid) -> Sections:
    """Find the centre line of one connected tube and cut it.

    The line runs between the two voxels that are farthest apart along the inside of the tube, by the path on which
    length over the square of the distance to the wall is smallest; it is smoothed by a Gaussian as wide as the tube's
    median radius, and moved to the centres of gravity of its own cross-sections.

    Parameters
    ----------
    bits
        Bool ``(slices, rows, columns)``: one connected piece.
    grid
        Where the voxels are.
    """
    spacing_kji = np.array(grid.spacing[::-1])
    box = ndimage.find_objects(bits.astype(np.uint8))[0]
    corner = np.array([part.start for part in box]) - 1
    inside = np.pad(bits[box], 1)
    depth = ndimage.distance_transform_edt(inside, sampling=spacing_kji)
    path = _path(inside, depth, spacing_kji)
    radius = float(np.median(depth[tuple(path.T)]))
    step = STEP * float(spacing_kji.min())
    line = _smooth(path * spacing_kji, step, radius)
    reach = REACH * float(depth.max()) + float(spacing_kji.max())
    soft = inside.astype(np.float64)
    for _ in range(ROUNDS):
        centres, _, _ = _planes(soft, _even(line, SPARSE * step), reach, spacing_kji)
        line = _smooth(centres, step, radius)
    _, area, minor = _planes(soft, line, reach, spacing_kji)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    return Sections(grid.place((line / spacing_kji + corner)[:, ::-1]), along, area, minor)


def _path(inside: Bits, depth: Floats, spacing_kji: Floats) -> Whole:
    """Return voxel indices ``(n, 3)`` of the path through the middle between the two farthest ends."""
    number = np.full(inside.shape, -1, dtype=np.int32)
    places = np.argwhere(inside)
    number[inside] = np.arange(len(places), dtype=np.int32)
    wall = depth[inside]
    heads, tails, lengths = [], [], []
    shifts = [s for s in np.ndindex(3, 3, 3) if s > (1, 1, 1)]
    for shift in shifts:
        away = np.array(shift) - 1
        # The border is empty, so that a neighbour always exists.
        other = number[tuple((places + away).T)]
        near = np.flatnonzero(other >= 0)
        heads.append(near)
        tails.append(other[near])
        lengths.append(np.full(len(near), np.linalg.norm(away * spacing_kji)))
    a, b, length = np.concatenate(heads), np.concatenate(tails), np.concatenate(lengths)
    shape = (len(places), len(places))
    plain = sparse.csr_array((length, (a, b)), shape=shape)
    start = int(np.argmax(_finite(csgraph.dijkstra(plain, directed=False, indices=0))))
    end = int(np.argmax(_finite(csgraph.dijkstra(plain, directed=False, indices=start))))
    central = sparse.csr_array((length / ((wall[a] + wall[b]) / 2) ** 2, (a, b)), shape=shape)
    _, before = csgraph.dijkstra(central, directed=False, indices=start, return_predecessors=True)
    steps = [end]
    while steps[-1] != start:
        steps.append(int(before[steps[-1]]))
    path: Whole = places[steps[::-1]]
    return path


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, -1.0)


def _smooth(points: Floats, step: float, sigma: float) -> Floats:
    """Return a line through `points` (mm), with points `step` mm apart, smoothed by a Gaussian of `sigma` mm."""
    even = _even(points, step)
    # Mirrored about its end, a straight line stays straight and keeps its length.
    smooth = np.stack(
        [ndimage.gaussian_filter1d(_extended(x, int(4 * sigma / step) + 1), sigma / step) for x in even.T], axis=1
    )
    margin = int(4 * sigma / step) + 1
    return _even(smooth[margin:-margin], step)


def _extended(values: Floats, n: int) -> Floats:
    n_first = np.minimum(np.arange(n, 0, -1), len(values) - 1)
    head = 2 * values[0] - values[n_first]
    tail = 2 * values[-1] - values[::-1][n_first[::-1]]
    return np.concatenate([head, values, tail])


def _even(points: Floats, step: float) -> Floats:
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    n = max(round(float(along[-1]) / step), 2)
    at = np.linspace(0, along[-1], n + 1)
    return np.stack([np.interp(at, along, x) for x in points.T], axis=1)


def _planes(soft: Floats, line: Floats, reach: float, spacing_kji: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the centre (mm), area and minor axis of the cross-section at each point of a line (mm, order k, j, i)."""
    tangents = np.gradient(line, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    fine = max(FINE * float(spacing_kji.min()), reach / FINEST)
    ticks = np.arange(-int(reach / fine), int(reach / fine) + 1) * fine
    u, v = np.meshgrid(ticks, ticks, indexing="ij")
    middle = len(ticks) // 2
    cross = ndimage.generate_binary_structure(2, 1)
    centres, areas, minors = line.copy(), np.zeros(len(line)), np.zeros(len(line))
    for n, (point, tangent) in enumerate(zip(line, tangents, strict=True)):
        first = np.cross(tangent, np.eye(3)[int(np.argmin(np.abs(tangent)))])
        first /= np.linalg.norm(first)
        second = np.cross(tangent, first)
        at = (point + u[..., None] * first + v[..., None] * second) / spacing_kji
        values = ndimage.map_coordinates(soft, np.moveaxis(at, -1, 0), order=1)
        values = _around(values, middle, cross)
        total = float(values.sum())
        if total <= 0:
            continue
        shift = np.array([(u * values).sum(), (v * values).sum()]) / total
        centres[n] = point + shift[0] * first + shift[1] * second
        areas[n] = total * fine**2
        du, dv = u - shift[0], v - shift[1]
        moments = np.array([[(du * du * values).sum(), (du * dv * values).sum()], [0.0, (dv * dv * values).sum()]])
        moments[1, 0] = moments[0, 1]
        low, vectors = np.linalg.eigh(moments / total)
        axis = vectors[0, 0] * first + vectors[1, 0] * second
        # Linear interpolation spreads a voxel by a triangle, whose variance is a sixth of the spacing's square.
        spread = float((axis**2 * spacing_kji**2).sum()) / 6
        minors[n] = 4 * np.sqrt(max(low[0] - spread, low[0] / 4))
    return centres, areas, minors


def _around(values: Floats, middle: int, cross: Bits) -> Floats:
    """Return `values` with all parts set to 0 but the connected one nearest to the middle of the plane."""
    numbered, n = ndimage.label(values > 0, structure=cross)
    if n == 0:
        return values
    kept = numbered[middle, middle]
    if kept == 0:
        places = np.argwhere(numbered > 0)
        kept = numbered[tuple(places[np.argmin(((places - middle) ** 2).sum(axis=1))])]
    return np.where(numbered == kept, values, 0)
