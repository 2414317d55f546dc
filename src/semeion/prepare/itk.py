"""Between volumes and SimpleITK images, with the geometry kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from semeion.cohort.volume import Grid

sitk: Any = SimpleITK
"""The library without its types, which are incomplete."""
_ALONE = Lock()
Array = npt.NDArray[Any]


def to_itk(array: Array, grid: Grid) -> Any:
    """Return a SimpleITK image of one plane ``(slices, rows, columns)`` on `grid`."""
    kind = np.dtype(np.uint8) if array.dtype == np.bool_ else array.dtype
    if kind == np.float16:
        kind = np.dtype(np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array, dtype=kind))
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    return image


def from_itk(image: Any) -> Array:
    """Return the voxels of a 3-D SimpleITK image, ``(slices, rows, columns)``."""
    array: Array = sitk.GetArrayFromImage(image)
    return array


def sampled(image: Any, grid: Grid, how: str, outside: float, transform: Any = None) -> Any:
    """Return an image at the voxels of `grid`: ``nearest``, ``linear`` or ``bspline``.

    `transform` leads from points of `grid` to points of the image; None is the identity.
    """
    kind = {"nearest": sitk.sitkNearestNeighbor, "linear": sitk.sitkLinear, "bspline": sitk.sitkBSpline}[how]
    transform = transform if transform is not None else sitk.Transform(3, sitk.sitkIdentity)
    return sitk.Resample(image, grid.size, transform, kind, grid.origin, grid.spacing, grid.direction, outside)


def clamp(image: Any, low: float, high: float) -> Any:
    """Take what lies outside `low` and `high`, the overshoot of a cubic, back to them."""
    return sitk.Clamp(image, sitk.sitkFloat32, low, high)


def largest_part(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the largest part of what is true in ``(k, j, i)`` that hangs together by faces; all false when none is."""
    if not chosen.any():
        return chosen
    parts = sitk.ConnectedComponent(sitk.GetImageFromArray(chosen.astype(np.uint8)), False)
    labels = sitk.GetArrayViewFromImage(parts)
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    return np.asarray(labels == int(counts.argmax()), dtype=np.bool_)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let the library use one thread a filter inside, as sums that must repeat exactly need; one caller at a time.

    The library has this setting for the whole process only. What other threads compute meanwhile is slower, not other.
    """
    with _ALONE:
        before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
        try:
            yield
        finally:
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
