"""Volumes kept as rows of an array in an ``.npz`` archive, as the 3-D sets of MedMNIST are."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.arrays import read_member
from semeion.cohort.limits import ReadLimits, bound_voxels
from semeion.cohort.volume import Grid, Volume
from semeion.cohort.volumes.payload import finite
from semeion.errors import ImageError

_LOADING = threading.Lock()


def read_npz_volume(path: Path, array: str, row: int, where: str, limits: ReadLimits) -> Volume:
    """Read row `row` of the stack `array`, shape ``(n, slices, rows, columns)``, in the archive `path`.

    Such archives say neither spacing nor orientation. The voxels are kept as they are on a grid of spacing 1 and the
    identity, with the notes ``no-spacing`` and ``no-orientation``: voxels, not millimetres. Whatever measures in
    millimetres must refuse a volume with the first.

    Raises
    ------
    ImageError
        No such archive, array or row; a stack of pictures; a pickle; too large; damaged.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ImageError("the archive does not exist or cannot be read", where=where, fix="correct the path") from error
    with _LOADING:  # threads that ask for the same stack wait for the first to load it
        stack = _stack(str(path), array, stat.st_mtime_ns, stat.st_size, limits)
    if stack.ndim == 5 and stack.shape[-1] == 1:
        stack = stack[..., 0]
    if stack.ndim != 4:
        raise ImageError(
            f"array {array!r} has shape {' x '.join(map(str, stack.shape))} and holds no volumes",
            where=where,
            fix="a stack of volumes is N x slices x rows x columns",
        )
    if not 0 <= row < len(stack):
        raise ImageError(
            f"array {array!r} has rows 0 to {len(stack) - 1}, not {row}", where=where, fix="correct the row"
        )
    bound_voxels(stack.shape[1:], where, limits)
    voxels = np.ascontiguousarray(stack[row][np.newaxis])
    voxels = voxels.astype(np.uint8) if voxels.dtype.kind == "b" else voxels.astype(voxels.dtype.newbyteorder("="))
    if voxels.dtype.kind not in "iuf":
        raise ImageError(f"holds {voxels.dtype} values", where=where, fix="save it as integers or float32")
    k, j, i = stack.shape[1:]
    grid = Grid((i, j, k), (1.0, 1.0, 1.0))
    return Volume(finite(voxels, where), grid, source_format="npz", notes=("no-spacing", "no-orientation"))


@lru_cache(maxsize=3)
def _stack(path: str, array: str, modified: int, size: int, limits: ReadLimits) -> npt.NDArray[Any]:  # noqa: ARG001 - of the key
    """Load a stack. Three are kept: train, val and test. The file's time and size are part of the key."""
    return read_member(Path(path), array, f"{Path(path).name}#{array}", limits)
