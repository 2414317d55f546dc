"""From the model's input grid back to the image's own: where what a network says of a place lies in the image.

The inverse of :mod:`semeion.prepare.transform` for pictures and of :mod:`semeion.prepare.volume` for volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Image
from semeion.cohort.volume import Grid, Volume
from semeion.prepare.borders import Box
from semeion.prepare.geometry import resample
from semeion.prepare.spec import Preparation
from semeion.prepare.transform import fitted_size, resize, seen_box
from semeion.prepare.volume import model_grid
from semeion.prepare.volume_spec import VolumePreparation

Map = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Placement:
    """Which part of a picture fills which part of the model's input.

    Attributes
    ----------
    size
        Rows and columns of the picture as it was read.
    box
        Rows and columns of it that the model sees; the rest was cut away.
    inner
        Rows and columns of the model's input that the box fills; around it is padding.
    """

    size: tuple[int, int]
    box: Box
    inner: Box


def placement(image: Image, spec: Preparation) -> Placement:
    """Return how a picture was placed in the model's input.

    Raises
    ------
    InputError
        When the picture cannot be prepared.
    """
    rows, columns = image.pixels.shape[:2]
    box = seen_box(image, spec)
    height, width = fitted_size((box.bottom - box.top, box.right - box.left), spec)
    top, left = (spec.size[0] - height) // 2, (spec.size[1] - width) // 2
    return Placement((int(rows), int(columns)), box, Box(top, top + height, left, left + width))


def map_to_picture(values: npt.ArrayLike, where: Placement) -> Map:
    """Bring a map of the model's input to the picture's own pixels.

    Parameters
    ----------
    values
        ``(rows, columns)`` of the model's input; averaged over areas where the picture is smaller than the input,
        linearly interpolated where it is larger. Values keep their size: their sum is not kept.
    where
        Of the same picture.

    Returns
    -------
    numpy.ndarray
        float32 ``(rows, columns)`` of the picture as it was read. What the model did not see is 0; what the map holds
        in the padding is of no pixel, and left out.
    """
    seen = np.ascontiguousarray(where.inner.of(np.asarray(values, dtype=np.float32)))
    seen = resize(seen[..., np.newaxis], where.box.bottom - where.box.top, where.box.right - where.box.left)[..., 0]
    out = np.zeros(where.size, np.float32)
    where.box.of(out)[...] = seen
    return out


def map_on_image(values: npt.ArrayLike, image: Image, spec: Preparation) -> Map:
    """Bring a map ``(rows, columns)`` of the model's input to a picture's own pixels; see :func:`map_to_picture`."""
    return map_to_picture(values, placement(image, spec))


def map_on_volume(
    values: npt.ArrayLike, volumes: Sequence[Volume], spec: VolumePreparation, *, region: Volume | None = None
) -> Volume:
    """Bring a map of the model's input to the grid of the first volume as it was read.

    Parameters
    ----------
    values
        ``(slices, rows, columns)`` of the model's input.
    volumes, spec, region
        As :func:`semeion.prepare.volume.prepare_volume` had them: all channels of a case; of frames and views those of
        one (``volumes[n : n + 1]``, or a plane of :func:`semeion.prepare.case.planes_of`).

    Returns
    -------
    Volume
        One plane of float32, linearly interpolated in the patient's coordinates (LPS mm). Values keep their size.
        What the model did not see is 0.

    Raises
    ------
    ImageError
        As ``prepare_volume``.
    ValueError
        When the map does not fit the model's input.
    """
    grid, source = model_grid(volumes, spec, region=region)
    return map_on_grid(values, grid, source)


def map_on_grid(values: npt.ArrayLike, grid: Grid, source: Grid) -> Volume:
    """Bring a map on `grid` to the grid `source`; see :func:`map_on_volume`."""
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.shape != grid.shape:
        raise ValueError(f"a map of {array.shape} does not fit a grid of {grid.shape}")
    brought = resample(Volume(array[np.newaxis], grid), source, "linear", fill=0.0)
    return Volume(np.ascontiguousarray(brought.voxels, dtype=np.float32), source)
