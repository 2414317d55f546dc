"""From the positions of slices to the grid they fill: order, spacing, tilt, gaps. Nothing is taken from file names.

The position of a slice along the stack is its ImagePositionPatient projected on the normal of its plane (DICOM PS3.3
C.7.6.2.1.1); SliceThickness, SliceLocation and InstanceNumber say nothing about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from semeion.cohort.series import faults
from semeion.cohort.volume import Floats, Grid

SAME_PLACE_MM = 0.01
"""Slices nearer than this lie at one position (or a twentieth of a pixel, when that is less)."""
SAME_PLANE_DEGREES = 0.1
ORTHONORMAL, REPAIRABLE = 1e-4, 2e-3
"""Deviation of the cosines that six digits explain, and the largest that is repaired (0.1 degree)."""
EVEN = 0.03
"""Slices within this share of a step of an even grid fill it as they are."""
STRAIGHT = 0.1
"""Slices within this share of a pixel of the normal through the first are not tilted."""
MOST_TILT = 45.0
MOST_STEPS, MOST_GAP_MM = 2.2, 10.0
"""Gaps are filled up to so many steps, one missing slice, and up to so many millimetres."""


INSTANCE = "instance number"
TIMES = ("trigger time", "temporal offset")
"""Elements that order frames and hold milliseconds."""


@dataclass(frozen=True)
class Plane:
    """One slice of one moment: where its pixels are stored and where they lie.

    Attributes
    ----------
    name
        For messages: file name, and the frame when the file has several.
    source, frame
        Number of the file within its series, and frame within the file from 0.
    rows, cols, position, orientation, spacing, thickness
        As in `Header`: (0028,0010), (0028,0011), (0020,0032), (0020,0037), (0028,0030), (0018,0050).
    moment
        What may order planes of one position in time, by name of the element; only elements that are there.
    contrast
        What makes planes of one position different images: echo time, b-value, image type.
    tile
        Top row and left column within the stored picture, when it is a mosaic.
    """

    name: str
    source: int
    frame: int
    rows: int
    cols: int
    position: tuple[float, float, float] | None
    orientation: tuple[float, float, float, float, float, float] | None
    spacing: tuple[float, float] | None
    thickness: float | None = None
    moment: tuple[tuple[str, float], ...] = ()
    contrast: tuple[tuple[str, str], ...] = ()
    tile: tuple[int, int] | None = None


@dataclass(frozen=True)
class Layout:
    """How planes fill a volume.

    Attributes
    ----------
    order
        Numbers of planes by frame and slice.
    stored
        The grid of the slices as they are, when they neither slide nor are uneven.
    shifts
        ``(slices, 2)``: millimetres along i and j by which each slice lies beside the normal through the first.
    depths
        Millimetres along the normal from the first slice, ascending.
    tilt
        Degrees between the line through the slices and their normal; 0 when they are straight.
    even
        Whether the slices fill an even grid as they are.
    times
        Milliseconds from the first frame; empty when not known.
    channels
        Names of the planes when they differ in contrast and not in time; else empty.
    notes
        Coded remarks with numbers.
    """

    order: tuple[tuple[int, ...], ...]
    stored: Grid
    shifts: Floats
    depths: Floats
    tilt: float = 0.0
    even: bool = True
    times: tuple[float, ...] = ()
    channels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Moments:
    """Numbers of planes by frame (or channel) and slice, and what is known of the frames."""

    order: tuple[tuple[int, ...], ...]
    times: tuple[float, ...] = ()
    channels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """The plane that all slices share: unit vectors of i, j and the normal as columns, and the notes of its making."""

    axes: Floats
    notes: tuple[str, ...]


def shared_plane(planes: Sequence[Plane], where: str) -> Section:
    """Return the axes of slices that agree in size, spacing and orientation.

    Raises
    ------
    ImageError
        When an element is missing, slices differ, or the cosines are too far from perpendicular unit vectors.
    """
    total = len(planes)
    for tag, lacking in (
        ("ImageOrientationPatient (0020,0037)", [p.name for p in planes if p.orientation is None]),
        ("ImagePositionPatient (0020,0032)", [p.name for p in planes if p.position is None]),
        ("PixelSpacing (0028,0030)", [p.name for p in planes if p.spacing is None]),
    ):
        if lacking:
            raise faults.missing(tag, lacking, total, where)
    sizes = [f"{p.rows} x {p.cols}" for p in planes]
    if len(set(sizes)) > 1:
        raise faults.mixed("rows and columns (0028,0010)", sizes, where)
    spacing = np.array([p.spacing for p in planes])
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        bad = planes[int(np.argmin(np.where(np.isfinite(spacing), spacing, -1).min(axis=1)))]
        raise faults.missing("usable PixelSpacing (0028,0030)", [bad.name], total, where)
    if np.ptp(spacing, axis=0).max() > 1e-3 * spacing.min():
        raise faults.mixed("pixel spacing (0028,0030)", [f"{a:.4f} x {b:.4f} mm" for a, b in spacing], where)
    return _axes(planes, where)


def _axes(planes: Sequence[Plane], where: str) -> Section:
    cosines = np.array([p.orientation for p in planes], dtype=np.float64).reshape(-1, 2, 3)
    products = np.einsum("nac,nbc->nab", cosines, cosines)
    off = np.abs(products - np.eye(2)).max(axis=(1, 2))
    off = np.where(np.isfinite(off), off, np.inf)
    worst = int(off.argmax())
    if off[worst] > REPAIRABLE:
        raise faults.crooked(float(off[worst]), planes[worst].name, where)
    first = cosines[0]
    row = first[0] / np.linalg.norm(first[0])
    normals = np.cross(cosines[:, 0], cosines[:, 1])
    # Of the vectors across, for their sines stay exact at small angles.
    angles = np.degrees(
        np.maximum(
            np.arctan2(np.linalg.norm(np.cross(normals, normals[0]), axis=1), normals @ normals[0]),
            np.arctan2(np.linalg.norm(np.cross(cosines[:, 0], row), axis=1), cosines[:, 0] @ row),
        )
    )
    if angles.max() > SAME_PLANE_DEGREES:
        turned = int(angles.argmax())
        raise faults.turned(float(angles[turned]), planes[turned].name, where)
    column = first[1] - (first[1] @ row) * row
    column /= np.linalg.norm(column)
    notes = (f"cosines-corrected: off by {off[worst]:.4f}",) if off[worst] > ORTHONORMAL else ()
    return Section(np.stack([row, column, np.cross(row, column)], axis=1), notes)


def positions(planes: Sequence[Plane], axes: Floats, where: str) -> list[list[int]]:
    """Group planes by position, ascending along the normal; each group holds numbers of planes.

    Raises
    ------
    ImageError
        When planes at one depth lie beside each other.
    """
    places = np.array([p.position for p in planes], dtype=np.float64) @ axes
    if not np.isfinite(places).all():
        bad = [planes[int(n)].name for n in np.flatnonzero(~np.isfinite(places).all(axis=1))]
        raise faults.missing("finite ImagePositionPatient (0020,0032)", bad, len(planes), where)
    same = min(SAME_PLACE_MM, 0.05 * min(planes[0].spacing or (1.0,)))
    groups: list[list[int]] = []
    for number in np.argsort(places[:, 2], kind="stable"):
        if groups and places[number, 2] - places[groups[-1][0], 2] <= same:
            groups[-1].append(int(number))
        else:
            groups.append([int(number)])
    beside = STRAIGHT * min(planes[0].spacing or (1.0,))
    for group in groups:
        off = np.linalg.norm(places[group, :2] - places[group[0], :2], axis=1)
        if off.max() > beside:
            names = [planes[group[0]].name, planes[group[int(off.argmax())]].name]
            raise faults.beside(float(places[group[0], 2] - places[:, 2].min()), float(off.max()), names, where)
    return groups


def arrange(
    planes: Sequence[Plane],
    where: str,
    *,
    tilt: Literal["correct", "refuse"] = "correct",
    uneven: Literal["correct", "refuse"] = "correct",
) -> Layout:
    """Put planes in order along the normal and in time, and say what is wrong with where they lie.

    Raises
    ------
    ImageError
        When their geometry is missing, contradicts itself, or may not be corrected.
    """
    plane = shared_plane(planes, where)
    groups = positions(planes, plane.axes, where)
    moments = _moments(planes, groups, plane.axes, where)
    order = moments.order
    places = np.array([planes[n].position for n in order[0]], dtype=np.float64)
    local = (places - places[0]) @ plane.axes
    depths, shifts = local[:, 2], local[:, :2]
    row_mm, col_mm = planes[0].spacing or (1.0, 1.0)
    degrees, shifts = _tilt(planes, order[0], shifts, depths, min(row_mm, col_mm), where)
    if degrees and tilt == "refuse":
        raise faults.refused(f"its slices are tilted by {degrees:.1f} degrees (0020,0032)", where, "tilt")
    step, even = _step(depths, planes[order[0][0]].thickness, where)
    widest = float(np.diff(depths).max()) if len(depths) > 1 else step
    if not even and uneven == "refuse":
        narrowest = float(np.diff(depths).min())
        raise faults.refused(f"its slices are {narrowest:.2f} to {widest:.2f} mm apart (0020,0032)", where, "uneven")
    x, y, z = (float(value) for value in places[0])
    grid = Grid(
        (planes[0].cols, planes[0].rows, len(depths)),
        (float(col_mm), float(row_mm), step),
        (x, y, z),
        tuple(float(value) for value in plane.axes.ravel()),
    )
    notes = (*plane.notes, *moments.notes, *_remarks(depths, step, planes[0].thickness, degrees))
    return Layout(order, grid, shifts, depths, degrees, even, moments.times, moments.channels, notes)


def _tilt(
    planes: Sequence[Plane], order: Sequence[int], shifts: Floats, depths: Floats, pixel: float, where: str
) -> tuple[float, Floats]:
    """Return the tilt in degrees and each slice's shift; both zero when no slice lies beside the normal."""
    off = np.linalg.norm(shifts, axis=1)
    if off.max() <= STRAIGHT * pixel:
        return 0.0, np.zeros_like(shifts)
    slope = depths @ shifts / (depths @ depths)
    beside = np.linalg.norm(shifts - depths[:, np.newaxis] * slope, axis=1)
    worst = int(beside.argmax())
    if beside[worst] > max(STRAIGHT * pixel, 0.1):
        raise faults.wandering(float(beside[worst]), planes[order[worst]].name, where)
    degrees = float(np.degrees(np.arctan(np.linalg.norm(slope))))
    if degrees > MOST_TILT:
        raise faults.too_tilted(degrees, MOST_TILT, where)
    return degrees, shifts


def _step(depths: Floats, thickness: float | None, where: str) -> tuple[float, bool]:
    """Return the distance of slices in millimetres and whether all keep it.

    Where they do not, it is the lower quartile of the gaps, so that neither one stray narrow gap nor the thicker part
    of a scan decides.
    """
    if len(depths) == 1:
        if thickness is None or not np.isfinite(thickness) or thickness <= 0:
            raise faults.no_thickness(where)
        return float(thickness), True
    mean = float(depths[-1] / (len(depths) - 1))
    if np.abs(depths - mean * np.arange(len(depths))).max() <= EVEN * mean:
        return mean, True
    gaps = np.diff(depths)
    step = float(np.quantile(gaps, 0.25, method="lower"))
    widest = int(gaps.argmax())
    limit = min(MOST_STEPS * step, max(MOST_GAP_MM, step))
    if gaps[widest] > limit:
        raise faults.gap(float(gaps[widest]), step, float(depths[widest]), limit, where)
    return step, False


def _remarks(depths: Floats, step: float, thickness: float | None, degrees: float) -> tuple[str, ...]:
    """Say in coded notes what is odd about the distances of slices."""
    notes = []
    if degrees:
        notes.append(f"tilt-corrected: {degrees:.1f} degrees")
    gaps = np.diff(depths)
    if len(gaps) and np.ptp(gaps) > 2 * EVEN * step:
        wide = np.flatnonzero(gaps > 1.5 * step)
        if len(wide) and np.abs(gaps / step - np.round(gaps / step)).max() <= 0.1:
            lost = int(np.round(gaps[wide] / step).sum()) - len(wide)
            places = ", ".join(f"{depths[n] + step:.2f}" for n in wide[:5])
            notes.append(f"missing-slices: {lost}, interpolated at {places} mm along the normal, every {step:.2f} mm")
        else:
            notes.append(f"uneven-spacing: gaps {gaps.min():.2f} to {gaps.max():.2f} mm, resampled every {step:.2f} mm")
    if len(gaps) and thickness is not None and thickness > 0:
        if gaps.min() < 0.98 * thickness:
            notes.append(f"overlapping-slices: {thickness:.2f} mm thick, {gaps.min():.2f} mm apart")
        elif step > 1.5 * thickness:
            notes.append(f"gaps-between-slices: {thickness:.2f} mm thick, {step:.2f} mm apart")
    return tuple(notes)


def _moments(planes: Sequence[Plane], groups: list[list[int]], axes: Floats, where: str) -> Moments:
    """Order the planes of each position in time; one plane a position is a volume that does not move."""
    counts = [len(group) for group in groups]
    if max(counts) == 1:
        return Moments((tuple(group[0] for group in groups),))
    if min(counts) != max(counts):
        # Where most positions hold one slice the others are too many; else the few are half copied.
        if np.median(counts) == 1:
            group = groups[int(np.argmax(counts))]
            depths = [float(np.array(planes[n].position) @ axes[:, 2]) for n in (group[0], groups[0][0])]
            raise faults.duplicate(depths[0] - depths[1], [planes[n].name for n in group], where)
        raise faults.uneven_counts(counts, where)
    by_contrast = _by_contrast(planes, groups, where)
    if by_contrast is not None:
        return by_contrast
    for key in dict.fromkeys(key for plane in planes for key, _ in plane.moment):
        values = [[dict(planes[n].moment).get(key) for n in group] for group in groups]
        if any(None in row or len(set(row)) < len(row) for row in values):
            continue
        table = np.array(values, dtype=np.float64)
        if key == INSTANCE and not _in_runs(table):
            continue
        ranks = np.argsort(table, axis=1)
        frames = [[group[n] for n in row] for group, row in zip(groups, ranks, strict=True)]
        order = tuple(tuple(group[t] for group in frames) for t in range(counts[0]))
        notes: tuple[str, ...] = (f"frames: {counts[0]} by {key}",)
        times: tuple[float, ...] = ()
        if key in TIMES:
            middle = np.median(np.sort(table, axis=1), axis=0)
            times = tuple(float(value) for value in middle - middle[0])
            vary = float(np.abs(np.sort(table, axis=1) - middle).max())
            if vary > 0.5:
                notes = (*notes, f"times-vary: up to {vary:.1f} ms between slices")
        return Moments(order, times, (), notes)
    raise faults.duplicate(0.0, [planes[n].name for n in groups[0]], where)


def _in_runs(numbers: Floats) -> bool:
    """Tell whether instance numbers ``(positions, frames)`` run frame by frame, or position by position."""
    ordered = np.sort(numbers, axis=1)
    by_frame = bool((ordered[:, :-1].max(axis=0) < ordered[:, 1:].min(axis=0)).all())
    ranks = ordered[np.argsort(ordered[:, 0])]
    return by_frame or bool((ranks[:-1, -1] < ranks[1:, 0]).all())


def _by_contrast(planes: Sequence[Plane], groups: list[list[int]], where: str) -> Moments | None:
    """Return channels when one element, such as the echo time, tells the planes of every position apart.

    Raises
    ------
    ImageError
        When planes of one position differ in contrast and it does not tell them all apart: several real volumes.
    """
    count = len(groups[0])
    for key in dict.fromkeys(key for plane in planes for key, _ in plane.contrast):
        values = [dict(plane.contrast).get(key, "none") for plane in planes]
        names = sorted(set(values), key=_natural)
        if len(names) == 1:
            continue
        rows = [{values[n]: n for n in group} for group in groups]
        if len(names) != count or any(len(row) != count for row in rows):
            raise faults.mixed(key, values, where)
        order = tuple(tuple(row[name] for row in rows) for name in names)
        return Moments(order, (), tuple(f"{key} {name}" for name in names), (f"channels: {count} by {key}",))
    return None


def _natural(text: str) -> tuple[float, str]:
    """Order numbers by size, other text behind them."""
    try:
        return float(text), text
    except ValueError:
        return np.inf, text


def even_depths(depths: Floats, step: float) -> Floats:
    """Return the depths of an even grid over uneven slices: from the first, every `step`, to the last (rounded)."""
    return np.arange(round(float(depths[-1]) / step) + 1, dtype=np.float64) * step
