"""The wall of the left ventricle on short-axis slices: inner radius and thickness along rays, sectors and levels.

A ray starts at the cavity's centre of gravity and runs in the slice. The length of its part inside the myocardium, by
the linearly interpolated mask, is the thickness there: it resolves less than a pixel and shrinks where the wall has a
gap. Angles are counted from the direction of the right ventricle, so that sectors are the same whichever way the
stack is stored; whether they then run towards the anterior or the inferior wall is not known from a mask, so what is
made of them must not depend on the sense of rotation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from semeion.cohort.volume import Grid
from semeion.measure.pattern import Bits, Floats

RAYS = 72
"""Rays of a slice, five degrees apart; a multiple of 4 and of 6."""
CLOSED = 0.75
"""Share of rays that must meet the wall for a slice to have one: fewer is a base or an apex that is cut obliquely."""
LEAST_PIXELS = 4
"""Smallest cavity, in pixels, that has a centre to measure from."""
SECTORS = (6, 6, 4)
"""Sectors of the basal, mid and apical level (Cerqueira et al., Circulation 105:539, 2002), without the apex."""
STEP = 0.25
"""Distance of the points on a ray, in the smaller pixel spacing."""


@dataclass(frozen=True)
class Wall:
    """Rays on the slices that have a closed wall, ordered from the base to the apex.

    Attributes
    ----------
    slices
        Numbers of the slices ``(n,)``.
    inner
        Millimetres from the cavity's centre to the wall ``(n, RAYS)``; the first ray points to the right ventricle.
    thickness
        Millimetres of myocardium ``(n, RAYS)``.
    """

    slices: tuple[int, ...]
    inner: Floats
    thickness: Floats

    def levels(self, values: Floats) -> list[Floats]:
        """Return the means of ``(n, RAYS)`` values by sector, for the basal, the mid and the apical third.

        Slices are dealt to the thirds by their place between base and apex, a slice across a boundary by its shares.
        A level has 6, 6 or 4 sectors; the middle of the first points to the right ventricle.
        """
        n = len(self.slices)
        edges = np.arange(n + 1) / n
        out = []
        for level, count in enumerate(SECTORS):
            share = np.minimum(edges[1:], (level + 1) / 3) - np.maximum(edges[:-1], level / 3)
            ring = np.average(values, axis=0, weights=np.maximum(share, 0))
            width = RAYS // count
            out.append(np.roll(ring, width // 2).reshape(count, width).mean(axis=1))
        return out

    def sectors(self, values: Floats) -> Floats:
        """Return the sixteen means of :meth:`levels` in one array."""
        return np.concatenate(self.levels(values))


def base_is_first(cavity: Bits, myocardium: Bits, right: Bits) -> bool:
    """Say whether the first slices of a heart are its base: the half where both ventricles are larger in section."""
    areas = (cavity | myocardium | right).sum(axis=(1, 2))
    slices = np.flatnonzero(areas)
    half = max(len(slices) // 2, 1)
    return bool(areas[slices[:half]].sum() >= areas[slices[-half:]].sum())


def find_wall(cavity: Bits, myocardium: Bits, right: Bits, grid: Grid, *, base_first: bool) -> Wall:
    """Send rays through every slice with a closed wall.

    Parameters
    ----------
    cavity, myocardium, right
        Left cavity, left myocardium and right cavity, bool ``(slices, rows, columns)``.
    grid
        For the spacing in the slice.
    base_first
        Whether the first slice is the most basal one.

    Returns
    -------
    Wall
        Without slices when none has a closed wall.
    """
    spacing_ji = np.array(grid.spacing[1::-1])
    towards = _directions(cavity, right, spacing_ji)
    found: list[tuple[int, Floats, Floats]] = []
    for k in np.flatnonzero(cavity.sum(axis=(1, 2)) >= LEAST_PIXELS):
        inner, thickness = _rays(cavity[k], myocardium[k], towards[int(k)], spacing_ji)
        if (thickness > STEP * spacing_ji.min()).mean() >= CLOSED:
            found.append((int(k), inner, thickness))
    if not found:
        return Wall((), np.zeros((0, RAYS)), np.zeros((0, RAYS)))
    if not base_first:
        found.reverse()
    return Wall(tuple(k for k, _, _ in found), np.stack([r for _, r, _ in found]), np.stack([t for _, _, t in found]))


def _directions(cavity: Bits, right: Bits, spacing_ji: Floats) -> dict[int, float]:
    """Return the angle from the left to the right cavity for each slice with a left one.

    Slices without a right cavity take the direction of the mean over those with one, or 0 when there is none.
    """
    away: dict[int, Floats] = {}
    slices = np.flatnonzero(cavity.any(axis=(1, 2)))
    for k in slices:
        if right[k].any():
            step = np.argwhere(right[k]).mean(axis=0) - np.argwhere(cavity[k]).mean(axis=0)
            away[int(k)] = step * spacing_ji
    mean: Floats = np.mean(list(away.values()), axis=0) if away else np.array([0.0, 1.0])
    steps = {int(k): away.get(int(k), mean) for k in slices}
    return {k: float(np.arctan2(step[0], step[1])) for k, step in steps.items()}


def _rays(cavity: Bits, myocardium: Bits, start: float, spacing_ji: Floats) -> tuple[Floats, Floats]:
    """Return millimetres inside the cavity and inside the myocardium along each ray of one slice."""
    centre = np.argwhere(cavity).mean(axis=0)
    both = np.argwhere(cavity | myocardium)
    reach = float(np.linalg.norm((both - centre) * spacing_ji, axis=1).max() + spacing_ji.max())
    step = STEP * float(spacing_ji.min())
    radii = (np.arange(int(np.ceil(reach / step))) + 0.5) * step
    angles = start + 2 * np.pi * np.arange(RAYS) / RAYS
    places = radii[None, :, None] * np.stack([np.sin(angles), np.cos(angles)], axis=1)[:, None, :]
    at = np.moveaxis(centre + places / spacing_ji, -1, 0)
    inside = ndimage.map_coordinates(cavity.astype(np.float64), at, order=1)
    wall = ndimage.map_coordinates(myocardium.astype(np.float64), at, order=1)
    return inside.sum(axis=1) * step, wall.sum(axis=1) * step
