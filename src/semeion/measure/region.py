"""Measurements of one labelled region of a mask, with its image when intensity is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from semeion.cohort.volume import Volume
from semeion.errors import InputError
from semeion.measure.definitions import DEFINITIONS, SHAPE, STATISTICS, TEXTURE, unit_of
from semeion.measure.intensity import intensity_measurements
from semeion.measure.pattern import Definition, check_scale, labelled
from semeion.measure.recist import Diameters, Point, largest_diameters
from semeion.measure.shape import shape_measurements
from semeion.measure.texture import TextureSettings, texture_measurements

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

THE_MASK = "the mask"


@dataclass(frozen=True)
class Measurement:
    """One measured value.

    Attributes
    ----------
    name
        One of :data:`semeion.measure.definitions.DEFINITIONS`.
    value
        NaN where the definition is no number.
    unit
        ``ml``, ``mm``, ``HU``, ... or an empty string for a ratio.
    """

    name: str
    value: float
    unit: str

    @property
    def definition(self) -> Definition:
        """Title, one-line definition and source."""
        return DEFINITIONS[self.name]


@dataclass(frozen=True)
class Region:
    """The voxels of one label, cut out of their mask.

    Attributes
    ----------
    inside
        Boolean array ``(slices, rows, columns)`` of the smallest box around the label; at least one voxel is set.
    start_kji
        Array index of the box's first voxel in the mask.
    spacing_kji
        Millimetres along slices, rows and columns.
    """

    inside: Bools
    start_kji: tuple[int, int, int]
    spacing_kji: tuple[float, float, float]


def find_region(mask: Volume, label: int, *, where: str = THE_MASK) -> Region:
    """Cut the voxels of a label out of a mask.

    Parameters
    ----------
    mask
        One plane of whole numbers, 0 the background.
    label
        Which number; 1 or more.
    where
        What an error calls the mask, for example a case id.

    Raises
    ------
    InputError
        When the mask is none, is empty, does not hold the label, or does not know how large a voxel is.
    """
    check_scale(mask, where)
    if label < 1:
        raise InputError(f"label {label} names no region: 0 is the background", where=where, fix="take 1 or more")
    labels = labelled(mask, where)
    inside = labels == label
    rows = inside.any(axis=2)
    along = (rows.any(axis=1), rows.any(axis=0), inside.any(axis=(0, 1)))
    if not along[0].any():
        present = [str(int(value)) for value in np.unique(labels) if value != 0]
        if not present:
            raise InputError("the mask is empty: no voxel is labelled", where=where, fix="leave the case out")
        raise InputError(
            f"label {label} is not in the mask, which holds {', '.join(present[:20])}",
            where=where,
            fix="name one of those",
        )
    ends = [(int(np.argmax(line)), len(line) - int(np.argmax(line[::-1]))) for line in along]
    box = tuple(slice(first, last) for first, last in ends)
    i, j, k = mask.grid.spacing
    return Region(inside[box], (ends[0][0], ends[1][0], ends[2][0]), (k, j, i))


def values_in(region: Region, mask: Volume, image: Volume, *, where: str = THE_MASK) -> Floats:
    """Return the intensities of a region's voxels in array order, float64.

    Raises
    ------
    InputError
        When mask and image are on different grids, the image has several planes, or an intensity is not finite.
    """
    if len(image.voxels) != 1:
        named = ", ".join(name for name in image.names if name)
        raise InputError(
            f"intensity is measured in one plane and the image has {len(image.voxels)}{f' ({named})' if named else ''}",
            where=where,
            fix="give one plane at a time",
        )
    if not mask.grid.same_as(image.grid):
        apart = mask.grid.distance(image.grid)
        how = f"{apart:.3g} mm apart" if np.isfinite(apart) else f"{mask.grid.size} and {image.grid.size} voxels"
        raise InputError(
            f"mask and image are on different grids ({how})",
            where=where,
            fix="give the image the mask was drawn on, or resample the mask to the image's grid",
        )
    box = tuple(slice(start, start + n) for start, n in zip(region.start_kji, region.inside.shape, strict=True))
    values = np.asarray(image.plane[box][region.inside], dtype=np.float64)
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise InputError(
            f"{bad} of {len(values)} intensities in the region are not finite",
            where=where,
            fix="repair the image, or leave those voxels out of the mask",
        )
    return values


def diameters_of(region: Region) -> Diameters:
    """Return the longest in-plane diameter of a region and its short axis, with ends in voxels of the whole mask."""
    found = largest_diameters(region.inside, region.spacing_kji)
    k, j, i = region.start_kji

    def moved(ends: tuple[Point, Point]) -> tuple[Point, Point]:
        (a, b), (c, d) = ends
        return (a + i, b + j), (c + i, d + j)

    return replace(
        found,
        slice_index=found.slice_index + k,
        long_ends=moved(found.long_ends),
        short_ends=moved(found.short_ends),
    )


def measure_region(
    mask: Volume,
    label: int,
    image: Volume | None = None,
    *,
    texture: bool | TextureSettings = False,
    where: str = THE_MASK,
) -> dict[str, Measurement]:
    """Measure one labelled region: size and shape, and with an image intensity and texture.

    Parameters
    ----------
    mask
        One plane of whole numbers, 0 the background.
    label
        The region's number.
    image
        One plane on the grid of the mask.
    texture
        Whether to measure texture, which needs the image; True takes the settings' defaults (32 bins, 13 directions in
        space merged).
    where
        What an error calls the mask, for example a case id.

    Returns
    -------
    dict
        Measurements by name, in the order of :func:`measurement_names`.

    Raises
    ------
    InputError
        When the mask is empty, lacks the label or does not know how large a voxel is, mask and image are on different
        grids, an intensity is not finite, texture is asked for without an image, or its bins do not fit.
    """
    if texture is not False and image is None:
        raise InputError("texture is asked for without an image", where=where, fix="give the image of the mask")
    region = find_region(mask, label, where=where)
    line = diameters_of(region)
    values = shape_measurements(region.inside, region.spacing_kji)
    values |= {
        "recist_long_mm": line.long_mm,
        "recist_short_mm": line.short_mm,
        "recist_slice": float(line.slice_index),
    }
    if image is not None:
        values |= _seen_in(region, mask, image, texture, where)
    unit = image.unit if image is not None else None
    names = measurement_names(image=image is not None, texture=texture is not False)
    return {name: Measurement(name, values[name], unit_of(name, unit)) for name in names}


def measure_labels(
    mask: Volume,
    labels: Mapping[str, int],
    image: Volume | None = None,
    *,
    texture: bool | TextureSettings = False,
    absent: Literal["refuse", "nothing"] = "refuse",
    where: str = THE_MASK,
) -> dict[str, Measurement]:
    """Measure several labelled regions; names are ``<label>_<measurement>``, for example ``anterior_volume_ml``.

    Parameters
    ----------
    mask, image, texture, where
        As in :func:`measure_region`.
    labels
        Numbers by the labels' names.
    absent
        What a label without voxels is: ``refuse`` an error, ``nothing`` a region of volume 0 whose other measurements
        are NaN, as a predicted mask may lack a structure.

    Raises
    ------
    InputError
        As :func:`measure_region`.
    """
    check_scale(mask, where)
    held = np.unique(labelled(mask, where))
    found: dict[str, Measurement] = {}
    for name, number in labels.items():
        if absent == "nothing" and number >= 1 and number not in held:
            unit = image.unit if image is not None else None
            names = measurement_names(image=image is not None, texture=texture is not False)
            measured = {each: Measurement(each, float("nan"), unit_of(each, unit)) for each in names}
            for each in ("volume_ml", "mesh_volume_ml"):
                measured[each] = replace(measured[each], value=0.0)
        else:
            measured = measure_region(mask, number, image, texture=texture, where=where)
        found |= {f"{name}_{each}": value for each, value in measured.items()}
    return found


def measure_intensities(
    mask: Volume,
    labels: Mapping[str, int],
    image: Volume,
    *,
    texture: bool | TextureSettings = False,
    where: str = THE_MASK,
) -> dict[str, Measurement]:
    """Measure what several labelled regions look like in an image: :func:`measure_labels` without size and shape.

    A label without voxels, or with some where the image says nothing (NaN), has NaN everywhere.

    Raises
    ------
    InputError
        As :func:`measure_region`.
    """
    held = np.unique(labelled(mask, where))
    names = [definition.name for definition in (*STATISTICS, *(TEXTURE if texture is not False else ()))]
    found: dict[str, Measurement] = {}
    for name, number in labels.items():
        values = dict.fromkeys(names, float("nan"))
        if number in held and not np.isnan(image.plane[mask.plane == number]).any():
            values = _seen_in(find_region(mask, number, where=where), mask, image, texture, where)
        found |= {f"{name}_{each}": Measurement(each, values[each], unit_of(each, image.unit)) for each in names}
    return found


def _seen_in(
    region: Region, mask: Volume, image: Volume, texture: bool | TextureSettings, where: str
) -> dict[str, float]:
    intensities = values_in(region, mask, image, where=where)
    values = intensity_measurements(intensities)
    if texture is not False:
        settings = TextureSettings() if texture is True else texture
        values |= texture_measurements(region.inside, intensities, settings)
    return values


def measurement_names(*, image: bool, texture: bool) -> tuple[str, ...]:
    """Return the names that :func:`measure_region` gives with or without an image and texture, in their order."""
    parts = (*SHAPE, *(STATISTICS if image else ()), *(TEXTURE if texture else ()))
    return tuple(definition.name for definition in parts)
