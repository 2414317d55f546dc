"""One case, whatever its images are, as the array that a classifier sees: the same code in training and in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Image
from semeion.cohort.limits import ReadLimits
from semeion.cohort.reading import read_image
from semeion.cohort.volume import Volume
from semeion.errors import ImageError
from semeion.prepare.spec import Preparation
from semeion.prepare.transform import prepare_image
from semeion.prepare.volume_spec import Intensity, VolumePreparation

Pixels = npt.NDArray[np.uint8]
Spec = Preparation | VolumePreparation
ZSCORES = 4.0
"""Standardised values from minus to plus this many standard deviations become 0 to 255."""
_LIMITS = ReadLimits()


def case_shape(spec: Spec, images: int = 1, groups: int = 1) -> tuple[int, ...]:
    """Return the shape of a prepared case: planes of all its images, then (slices,) rows and columns.

    Parameters
    ----------
    spec
        The steps of preparation.
    images
        Images a case.
    groups
        Frames or views among them, each prepared for itself; 1 when all are channels of one grid.

    Raises
    ------
    ValueError
        When volumes have no fixed size.
    """
    if isinstance(spec, Preparation):
        return (images * spec.channels, *spec.size)
    if spec.size is None:
        raise ValueError("volumes need a fixed size to be classified")
    return (groups * len(spec.channels), *spec.size)


def read_case(
    references: Sequence[str],
    spec: Spec,
    groups: int = 1,
    *,
    names: Sequence[str] = (),
    limits: ReadLimits = _LIMITS,
) -> list[Image] | list[Volume]:
    """Read the images of a case; one file may hold all its channels, or (`groups` above 1) all its frames.

    `names` are of the images, for messages.

    Raises
    ------
    ImageError
        When one cannot be read, or is a picture where volumes are meant.
    """
    several: Literal["channel", "time"] | None = None
    if len(references) == 1 and isinstance(spec, VolumePreparation) and (groups > 1 or len(spec.channels) > 1):
        several = "time" if groups > 1 else "channel"
    found: list[Any] = []  # all of the kind that `spec` is of
    for number, reference in enumerate(references):
        try:
            found.append(_read(reference, spec, limits, several))
        except ImageError as error:
            if len(references) == 1:
                raise
            name = repr(names[number]) if names else f"{number + 1} of {len(references)}"
            raise ImageError(f"image {name} {error.what}", where=error.where, fix=error.fix) from error
    return found


def _read(reference: str, spec: Spec, limits: ReadLimits, several: Literal["channel", "time"] | None) -> Image | Volume:
    if isinstance(spec, Preparation):
        return read_image(reference, limits=limits)
    from semeion.cohort.volumes.read import is_volume, read_volume

    if "#" not in reference and not is_volume(reference):
        read_image(reference, limits=limits)  # what is missing or damaged says so itself
        raise ImageError("is a picture, and volumes are meant", where=reference, fix="give the volume")
    return read_volume(reference, limits=limits, several=several)


def prepare_case(images: Sequence[Image] | Sequence[Volume], spec: Spec, groups: int = 1) -> Pixels:
    """Return one case as uint8 ``(planes, (slices,) rows, columns)``; the planes of the first image come first.

    Parameters
    ----------
    images
        Of the case, in the order of their names.
    spec
        The steps of preparation; volumes need a fixed `size`.
    groups
        Frames or views, each prepared for itself on its own grid; 1 when all images are channels of one grid. A single
        file may hold all frames.

    Raises
    ------
    InputError
        When an image cannot be prepared.
    """
    return prepare_case_noted(images, spec, groups)[0]


def prepare_case_noted(
    images: Sequence[Image] | Sequence[Volume], spec: Spec, groups: int = 1
) -> tuple[Pixels, tuple[str, ...]]:
    """Return what :func:`prepare_case` returns, and coded notes on volumes (registration, bias field, units)."""
    if isinstance(spec, Preparation):
        return np.concatenate([prepare_image(image, spec) for image in images if isinstance(image, Image)]), ()
    from semeion.prepare.volume import prepare_volume

    volumes = [image for image in images if isinstance(image, Volume)]
    if groups > 1 and len(volumes) == 1:
        volumes = planes_of(volumes[0], groups)
    parts = [[volume] for volume in volumes] if groups > 1 else [volumes]
    made = [prepare_volume(part, spec) for part in parts]
    notes = dict.fromkeys(note for one in made for note in one.notes)
    return np.concatenate([to_bytes(one.array, spec) for one in made]), tuple(notes)


def planes_of(volume: Volume, count: int) -> list[Volume]:
    """Return the planes of a volume (frames of one file) each as a volume.

    Raises
    ------
    ImageError
        When there are more or fewer than `count`.
    """
    if len(volume.voxels) != count:
        raise ImageError(f"holds {len(volume.voxels)} frames, and {count} are meant", fix="give a file a frame")
    return [
        replace(volume, voxels=volume.voxels[n : n + 1], names=(name,), axis="channel", times=())
        for n, name in enumerate(volume.names)
    ]


def to_bytes(array: npt.NDArray[np.float32], spec: VolumePreparation) -> Pixels:
    """Return prepared values ``(channels, D, H, W)`` in 256 steps: each channel's range of intensity as 0 to 255."""
    out = np.empty(array.shape, dtype=np.uint8)
    for number, plane in enumerate(array):
        low, high = value_range(spec.of_channel(number))
        scaled = (plane.astype(np.float32) - low) * (255.0 / (high - low))
        out[number] = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return out


def value_range(intensity: Intensity) -> tuple[float, float]:
    """Return the prepared values that become 0 and 255."""
    if intensity.kind == "percentiles":
        return 0.0, 1.0
    if intensity.kind == "fixed":
        low, high, mean, std = (
            float(value or 0) for value in (intensity.low, intensity.high, intensity.mean, intensity.std)
        )
        return (low - mean) / std, (high - mean) / std
    return -ZSCORES, ZSCORES
