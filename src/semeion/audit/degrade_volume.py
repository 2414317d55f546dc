"""Volumes as a worse scanner would have made them; see :mod:`semeion.audit.degrade`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from semeion.audit.degrade import Array, Degradation, Key, added, as_stored, sign, turned
from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError


def degrade_volume(volume: Volume, how: Degradation, strength: float, key: Key, first: Grid) -> Volume:
    """Return a volume made worse, plane by plane; its type, shape, grid and everything known of it stay.

    Parameters
    ----------
    volume
        As it was read.
    how, strength
        What is done, and how much: a blur in mm along every axis (where its unit is voxels, in these), a turn about the
        slice axis, by mm.
    key
        Seeds what is random.
    first
        Grid of the case's first volume: its middle is what all the case's volumes are turned about.

    Returns
    -------
    Volume
        The very `volume` at the strength that changes nothing.

    Raises
    ------
    InputError
        When `how` is not done to volumes.
    """
    if strength == how.identity:
        return volume
    if how.name in ("crop", "jpeg"):
        raise InputError(f"{how.name!r} is not done to volumes", where="degradation", fix="use it on pictures")
    stream = key.stream(how.name)
    made = np.empty_like(volume.voxels)
    for number, plane in enumerate(volume.voxels):
        # Of single precision: a chest has a hundred million voxels.
        values = np.nan_to_num(plane.astype(np.float32), copy=False)
        if how.name == "blur":
            values = _blurred(values, strength, volume.grid, how.unit)
        elif how.name == "rotation":
            values = _turned(values, strength * sign(key), volume.grid, first)
        else:
            values = values + added(values, how, strength, stream)
        made[number] = as_stored(values, volume.voxels.dtype)
    return replace(volume, voxels=made)


def _blurred(values: Array, strength: float, grid: Grid, unit: str) -> Array:
    from scipy.ndimage import gaussian_filter

    steps = tuple(reversed(grid.spacing)) if unit == "mm" else (1.0, 1.0, 1.0)
    return np.asarray(gaussian_filter(values, [strength / step for step in steps], mode="mirror"))


def _turned(values: Array, degrees: float, grid: Grid, first: Grid) -> Array:
    middle = first.place((np.array(first.size) - 1) / 2)
    i, j, _ = grid.index(middle)
    spacing = grid.spacing[1], grid.spacing[0]
    return np.stack([turned(one, degrees, spacing, (float(j), float(i))) for one in values])
