"""The two diameters that a reader draws on a lesion: the longest in a slice, and the longest across it.

After RECIST 1.1 (Eisenhauer et al., European Journal of Cancer 45:228, 2009): the longest diameter in the plane of
measurement, and the short axis perpendicular to it, which counts for lymph nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semeion.measure.surface import mesh_vertices

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Point = tuple[float, float]

_EQUAL = 1e-9
"""Relative difference below which two diameters are equally long."""
_CANDIDATES = 64
"""Equally long diameters whose short axes are compared: far more than symmetric outlines have."""


@dataclass(frozen=True)
class Diameters:
    """The longest diameter in a slice and the longest chord of the outline perpendicular to it.

    Attributes
    ----------
    long_mm, short_mm
        Their lengths.
    slice_index
        Slice, from 0 in the array.
    long_ends, short_ends
        Ends of each as (column, row) in voxels, (0, 0) at the first voxel's centre: to be drawn on the slice.
    """

    long_mm: float
    short_mm: float
    slice_index: int
    long_ends: tuple[Point, Point]
    short_ends: tuple[Point, Point]


def largest_diameters(inside: Bools, spacing_kji: npt.ArrayLike) -> Diameters:
    """Return the longest in-plane diameter over slices, with its short axis.

    Pieces of a slice that do not touch, not even by a corner, are measured apart: a line across the gap between two
    pieces is no diameter of either. Diameters are those of the outline, which runs half way between voxels inside and
    outside; both are taken as calipers do, across dents. Of equally long ones the one with the longest short axis is
    reported.

    Parameters
    ----------
    inside
        Boolean array ``(slices, rows, columns)`` with at least one voxel set.
    spacing_kji
        Millimetres along slices, rows and columns; slices are taken as they are stored.
    """
    from scipy import ndimage

    spacing = np.asarray(spacing_kji, dtype=np.float64)
    joined = np.zeros((3, 3, 3), dtype=np.bool_)
    joined[1] = True
    pieces, _ = ndimage.label(inside, structure=joined)
    boxes = ndimage.find_objects(pieces)
    reach = [
        float(np.hypot(*((s.stop - s.start) * mm for s, mm in zip(box[1:], spacing[1:], strict=True)))) for box in boxes
    ]
    best: Diameters | None = None
    for number in np.argsort(-np.array(reach), kind="stable"):
        if best is not None and reach[number] < best.long_mm * (1 - _EQUAL):
            break
        box = boxes[number]
        found = _of_piece(pieces[box][0] == number + 1, spacing[1:], box)
        if best is None or _is_better(found, best):
            best = found
    if best is None:
        raise ValueError("the region has no voxel")
    return best


def _is_better(one: Diameters, other: Diameters) -> bool:
    if abs(one.long_mm - other.long_mm) > _EQUAL * other.long_mm:
        return one.long_mm > other.long_mm
    if abs(one.short_mm - other.short_mm) > _EQUAL * other.long_mm:
        return one.short_mm > other.short_mm
    return one.slice_index < other.slice_index


def _of_piece(inside: Bools, spacing_ji: Floats, box: tuple[slice, slice, slice]) -> Diameters:
    """Return the diameters of one piece ``(rows, columns)`` of the slice in `box`."""
    from scipy.spatial import ConvexHull

    points = mesh_vertices(inside[None], np.array([1.0, *spacing_ji]))
    outline = points[points[:, 0] == 0][:, 1:]
    outline = outline[ConvexHull(outline).vertices]
    apart = np.linalg.norm(outline[:, None] - outline[None], axis=2)
    longest = float(apart.max())
    pairs = np.argwhere(np.triu(apart >= longest * (1 - _EQUAL)))[:_CANDIDATES]
    chords = [_longest_chord(outline, outline[one], outline[other]) for one, other in pairs]
    lengths = np.array([np.linalg.norm(low - high) for low, high in chords])
    chosen = int(np.argmax(lengths))
    corner = np.array([box[1].start, box[2].start])

    def as_drawn(place: Floats) -> Point:
        row, column = place / spacing_ji + corner
        return float(column), float(row)

    one, other = pairs[chosen]
    low, high = chords[chosen]
    return Diameters(
        long_mm=longest,
        short_mm=float(lengths[chosen]),
        slice_index=int(box[0].start),
        long_ends=(as_drawn(outline[one]), as_drawn(outline[other])),
        short_ends=(as_drawn(low), as_drawn(high)),
    )


def _longest_chord(outline: Floats, one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the longest chord of a convex outline ``(n, 2)`` across the line from `one` to `other`.

    Along the line the chord's length is concave and straight between corners, so it is longest at a corner.
    """
    along = (other - one) / np.linalg.norm(other - one)
    across = np.array([-along[1], along[0]])
    u, v = (outline - one) @ along, (outline - one) @ across
    following = np.roll(np.arange(len(outline)), -1)
    # Where each side of the outline crosses the chord through each corner: (corners, sides).
    step = u[following] - u
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (u[:, None] - u) / step
    on_side = (share >= -_EQUAL) & (share <= 1 + _EQUAL)
    height = v + np.where(on_side, share, 0) * (v[following] - v)
    low = np.minimum(v, np.where(on_side, height, np.inf).min(axis=1))
    high = np.maximum(v, np.where(on_side, height, -np.inf).max(axis=1))
    corner = int(np.argmax(high - low))
    foot = one + u[corner] * along
    return foot + low[corner] * across, foot + high[corner] * across
