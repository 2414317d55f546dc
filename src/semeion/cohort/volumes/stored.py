"""From an array as a file stores it, its axes in any order, to a volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from semeion.cohort.volume import Grid, Volume
from semeion.cohort.volumes.payload import Voxels
from semeion.errors import ImageError

Several = Literal["channel", "time"]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stored:
    """What a header declares.

    Attributes
    ----------
    lengths
        Along each axis, the fastest first.
    dtype
        With its byte order.
    axes
        For each axis the step of one voxel in LPS mm; None for one that is not in space (channels, time).
    origin
        LPS mm of the first voxel.
    axis
        What the axis outside space is, when the file says.
    """

    lengths: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: tuple[Vector | None, ...]
    origin: Vector
    axis: Several | None = None


def stored_grid(stored: Stored, where: str) -> Grid:
    """Return the grid of the three axes in space.

    Raises
    ------
    ImageError
        Other than three, or axes that no volume can have.
    """
    space = [number for number, axis in enumerate(stored.axes) if axis is not None]
    if len(space) != 3:
        text = " x ".join(map(str, stored.lengths))
        raise ImageError(
            f"has {len(space)} axes in space ({text}) and is no volume", where=where, fix="give a file with three"
        )
    affine = np.eye(4)
    affine[:3, :3] = np.stack([cast("Vector", stored.axes[number]) for number in space], axis=1)
    affine[:3, 3] = stored.origin
    i, j, k = (stored.lengths[number] for number in space)
    try:
        return Grid.from_affine(affine, (i, j, k))
    except ValueError as error:
        raise ImageError(f"its geometry cannot be: {error}", where=where, fix="correct the header") from error


def ordered(
    voxels: Voxels, stored: Stored, where: str, several: Several | None, source_format: str, notes: tuple[str, ...]
) -> Volume:
    """Make a volume of voxels in the order of the file (the slowest axis first).

    Raises
    ------
    ImageError
        Not three axes in space, several volumes where one is meant, or axes that are not perpendicular.
    """
    grid = stored_grid(stored, where)
    space = [number for number, axis in enumerate(stored.axes) if axis is not None]
    other = [number for number, axis in enumerate(stored.axes) if axis is None]
    text = " x ".join(map(str, stored.lengths))
    if len(other) > 1:
        raise ImageError(f"has {len(other)} axes outside space ({text})", where=where, fix="save one volume a file")
    count = stored.lengths[other[0]] if other else 1
    if count > 1 and several is None and stored.axis is None:
        raise ImageError(
            f"holds {count} volumes ({text}) where one is meant",
            where=where,
            fix="say what they are with --channels or --frames, or save the one that is meant as a file of its own",
        )
    # The array has the axes in reverse order.
    back = len(stored.lengths) - 1
    array = np.transpose(voxels, [back - number for number in (*other, *reversed(space))])
    array = np.ascontiguousarray(array if other else array[np.newaxis])
    names = tuple(str(number) for number in range(count)) if count > 1 else ("",)
    axis: Several = (stored.axis or several or "channel") if count > 1 else "channel"
    return Volume(array, grid, names, axis, source_format=source_format, notes=notes)
