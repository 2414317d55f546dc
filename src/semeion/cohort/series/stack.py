"""Whether slices make a stack: order along the normal, gaps, tilt, and what is wrong, with numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semeion.cohort.series.header import Cosines, Vector

SAME_POSITION_MM = 0.01
"""Two slices nearer than this along the normal are at one position: headers hold hundredths."""
EVEN = 0.01
"""Share of the usual gap, and at least :data:`SAME_POSITION_MM`, by which a gap may differ and still be even."""
WHOLE = 0.1
"""How far from a whole multiple of the usual gap, in usual gaps, a gap may be and still mean missing slices."""
TILT_DEGREES = 0.1
"""Smaller angles between the stack's line and the normal come from rounding."""
STRAY_MM = 0.1
"""How far from one straight line positions may lie."""
UNIT = 1e-3
"""Largest error of the length and of the product of row and column cosines; stored with six digits or fewer."""


@dataclass(frozen=True)
class Stack:
    """Slices in order along the normal.

    Attributes
    ----------
    order
        Indices into the positions that were given, by rising distance along the normal; ties keep the given order.
    distances
        Millimetres along the normal of each distinct position, rising.
    members
        For each distinct position, the indices of the slices there.
    spacing
        The usual (median) gap in mm; None with fewer than two distinct positions.
    even
        Whether every gap is the usual one.
    tilt
        Degrees between the line through the positions and the normal.
    problems
        Coded remarks with numbers.
    """

    order: tuple[int, ...]
    distances: tuple[float, ...]
    members: tuple[tuple[int, ...], ...]
    spacing: float | None
    even: bool
    tilt: float
    problems: tuple[str, ...]


def normal_of(orientation: Cosines) -> tuple[float, float, float]:
    """Return row cosines x column cosines, of unit length (PS3.3 C.7.6.2.1.1).

    Raises
    ------
    ValueError
        When the two are parallel or zero.
    """
    a, b, c, d, e, f = orientation
    x, y, z = b * f - c * e, c * d - a * f, a * e - b * d
    length = math.sqrt(x * x + y * y + z * z)
    if not math.isfinite(length) or length < 0.1:
        raise ValueError("row and column direction are parallel")
    return x / length, y / length, z / length


def cosine_problems(orientation: Cosines) -> tuple[str, ...]:
    """Tell how far row and column cosines are from perpendicular unit vectors."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    worst = max(abs(float(row @ row) - 1), abs(float(column @ column) - 1), abs(float(row @ column)))
    return (f"not-orthonormal: direction cosines are off by {worst:.2g}",) if worst > UNIT else ()


def measure_stack(
    positions: Sequence[Vector], orientation: Cosines, *, thickness: float | None = None, frames: int = 1
) -> Stack:
    """Order slices along their normal and say what is wrong with their places.

    Parameters
    ----------
    positions
        Image position (patient) of each slice, LPS mm, in any order.
    orientation
        Row and column cosines that all slices share.
    thickness
        Slice thickness in mm, to tell overlapping slices.
    frames
        How many slices each position should hold.

    Raises
    ------
    ValueError
        No positions, or an orientation without a normal.
    """
    if not positions:
        raise ValueError("there are no positions")
    places = np.array(positions, dtype=np.float64).reshape(-1, 3)
    normal = np.array(normal_of(orientation))
    along = places @ normal
    order = np.argsort(along, kind="stable")
    groups: list[list[int]] = []
    for index in order.tolist():
        if groups and along[index] - along[groups[-1][0]] <= SAME_POSITION_MM:
            groups[-1].append(index)
        else:
            groups.append([index])
    distances = np.array([along[group[0]] for group in groups])
    problems = list(cosine_problems(orientation))
    if crowded := [group for group in groups if len(group) > frames]:
        most = max(len(group) for group in crowded)
        problems.append(
            f"duplicate-position: {len(crowded)} of {len(groups)} positions hold more than "
            f"{'one image' if frames == 1 else f'{frames} images'} (up to {most})"
        )
    if lacking := sum(len(group) < frames for group in groups):
        problems.append(f"incomplete-frames: {lacking} of {len(groups)} positions hold fewer than {frames} images")
    spacing, even, tilt = None, True, 0.0
    if len(groups) > 1:
        gaps = np.diff(distances)
        spacing = float(np.median(gaps))
        found, even = _gap_problems(gaps, spacing, thickness)
        problems += found
        tilt, remarks = _line_problems(places, along, groups, normal)
        problems += remarks
    return Stack(
        tuple(order.tolist()),
        tuple(distances.tolist()),
        tuple(tuple(group) for group in groups),
        spacing,
        even,
        tilt,
        tuple(problems),
    )


def _gap_problems(gaps: np.ndarray, spacing: float, thickness: float | None) -> tuple[list[str], bool]:
    """Tell missing slices from uneven spacing, and overlap."""
    problems = []
    odd = np.abs(gaps - spacing) > max(EVEN * spacing, SAME_POSITION_MM)
    if odd.any():
        times = gaps[odd] / spacing
        whole = np.round(times)
        if (np.abs(times - whole) <= WHOLE).all() and (whole >= 2).all():
            missing = int((whole - 1).sum())
            first = int(np.flatnonzero(odd)[0]) + 1
            problems.append(
                f"missing-slices: {missing} missing, first after slice {first} "
                f"(gap of {gaps[odd][0]:.2f} mm where {spacing:.2f} is usual)"
            )
        else:
            problems.append(f"uneven-spacing: {gaps.min():.2f} to {gaps.max():.2f} mm between slices")
    if thickness and 0 < spacing < thickness * (1 - EVEN):
        problems.append(f"overlapping-slices: {spacing:.2f} mm apart and {thickness:.2f} mm thick")
    return problems, not bool(odd.any())


def _line_problems(
    places: np.ndarray, along: np.ndarray, groups: list[list[int]], normal: np.ndarray
) -> tuple[float, list[str]]:
    """Measure the tilt of the line through all positions, and how far single ones stray from it."""
    across = places - np.outer(along, normal)
    middle = along - along.mean()
    slope = middle @ (across - across.mean(axis=0)) / float(middle @ middle)
    tilt = math.degrees(math.atan(float(np.linalg.norm(slope))))
    stray = np.linalg.norm(across - across.mean(axis=0) - np.outer(middle, slope), axis=1)
    problems = []
    if float(stray.max()) > STRAY_MM and len(groups) > 2:
        problems.append(f"crooked-stack: positions stray up to {stray.max():.2f} mm from a straight line")
    elif tilt > TILT_DEGREES:
        problems.append(f"tilt: {tilt:.2f} degrees")
    return tilt, problems
