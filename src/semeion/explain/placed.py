"""Maps on the images that a clinician has: each on its image's own grid, as it was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Image
from semeion.cohort.volume import Volume
from semeion.model.manifest import Manifest
from semeion.prepare.case import planes_of
from semeion.prepare.spec import Preparation
from semeion.prepare.volume_spec import VolumePreparation

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Placed:
    """A map on the grid of one of a case's images.

    Attributes
    ----------
    name
        Of the image; empty for a case's only one, or for all channels of one grid.
    image
        As it was read.
    values
        float32 ``(rows, columns)`` of a picture, ``(slices, rows, columns)`` of a volume; 0 where nothing was seen.
    """

    name: str
    image: Image | Volume
    values: Floats


def image_names(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the images of a case that have a map each: frames and views; else one without a name."""
    return tuple(manifest.inputs.names) if manifest.inputs.groups > 1 else ("",)


def placed(values: npt.ArrayLike, images: Sequence[Image | Volume], manifest: Manifest) -> list[Placed]:
    """Bring a map of the model's input grid to the images of its case.

    Parameters
    ----------
    values
        As :attr:`semeion.explain.view.Where.map`: of several frames or views one each along the first axis.
    images
        As they were read, in the order of their names.
    manifest
        Of the model.

    Raises
    ------
    InputError
        When an image cannot be prepared again.
    ValueError
        When the map does not fit the model's input, or the images are not those of the model's case.
    """
    from semeion.prepare.back import map_on_image

    steps, groups = manifest.preparation, manifest.inputs.groups
    names = image_names(manifest)
    array = np.asarray(values, dtype=np.float32)
    maps = array if groups > 1 else array[np.newaxis]
    if isinstance(steps, Preparation):
        pictures = [image for image in images if isinstance(image, Image)]
        # The channels of a case have one map, on the grid that they share.
        seen = zip(names, pictures if groups > 1 else pictures[:1], maps, strict=True)
        return [Placed(name, image, map_on_image(one, image, steps)) for name, image, one in seen]
    return _on_volumes(maps, [image for image in images if isinstance(image, Volume)], names, steps)


def _on_volumes(maps: Floats, volumes: list[Volume], names: tuple[str, ...], steps: VolumePreparation) -> list[Placed]:
    from semeion.prepare.back import map_on_volume

    if len(names) == 1:
        return [Placed(names[0], volumes[0], map_on_volume(maps[0], volumes, steps).plane)]
    if len(volumes) == 1:
        volumes = planes_of(volumes[0], len(names))
    seen = zip(names, volumes, maps, strict=True)
    return [Placed(name, volume, map_on_volume(one, [volume], steps).plane) for name, volume, one in seen]
