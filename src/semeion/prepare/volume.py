"""Volumes as they were read become model input, and what the model says goes back to their own grid.

The same code in training and in use. Steps and their order stand in
:class:`~semeion.prepare.volume_spec.VolumePreparation`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from semeion.cohort.volume import UNSIZED, Grid, Volume
from semeion.errors import ImageError
from semeion.prepare.geometry import (
    box_of,
    centred,
    centred_grid,
    crop_to,
    exchange,
    exchanged_grid,
    lps_turn,
    nearest_axes,
    resample,
    sized_grid,
    spaced_grid,
    to_lps,
    whole_shift,
    window,
)
from semeion.prepare.intensity import body, normalise
from semeion.prepare.register import align
from semeion.prepare.volume_spec import VolumePreparation

UNIT_ASSUMED = "unit-assumed"
"""Code of the note that values are taken to be in the plan's unit, since the file states none."""
SLAB_VOXELS = 4 << 20
"""Voxels of one class that are brought back at a time; memory is this times classes, four bytes each."""


@dataclass(frozen=True)
class PreparedVolume:
    """Model input of one case.

    Attributes
    ----------
    array
        float32 ``(channels, D, H, W)``.
    grid
        Of `array`: where each of its voxels lies in the patient.
    source
        Grid of the first volume as it was read; masks and answers are on it.
    notes
        Coded remarks of reading and preparation.
    """

    array: npt.NDArray[np.float32]
    grid: Grid
    source: Grid
    notes: tuple[str, ...] = ()


def prepare_volume(
    volumes: Sequence[Volume], spec: VolumePreparation, *, region: Volume | None = None
) -> PreparedVolume:
    """Prepare one case.

    Parameters
    ----------
    volumes
        One a channel in the order of ``spec.channels``, or fewer that hold several planes each.
    spec
        The steps.
    region
        Mask on the first volume's grid, for ``crop: mask``.

    Raises
    ------
    ImageError
        A missing channel, another unit than the plan's, channels that do not lie on one another, no region where one
        is asked for.
    """
    notes = [note for volume in volumes for note in volume.notes] + unstated_units(volumes, spec)
    planes, aligned, source = _cropped(volumes, spec, region)
    notes += aligned
    target = _target(planes[0].grid, spec)
    size_ijk = _size_ijk(spec)
    made = []
    for number, plane in enumerate(planes):
        values, said = normalise(plane.plane, plane.grid, spec.of_channel(number))
        notes += [f"{spec.channels[number]}: {note}" for note in said]
        one = resample(replace(plane, voxels=values[np.newaxis]), target, spec.interpolation)
        if size_ijk is not None and spec.size_mode == "centre":
            one = centred(one, size_ijk, float(one.voxels.min()))
        made.append(one)
    array = np.ascontiguousarray(np.concatenate([one.voxels for one in made]), dtype=np.float32)
    return PreparedVolume(array, made[0].grid, source, tuple(dict.fromkeys(notes)))


def model_grid(
    volumes: Sequence[Volume], spec: VolumePreparation, *, region: Volume | None = None
) -> tuple[Grid, Grid]:
    """Return the grid of the model's input, and that of the first volume as it was read; nothing is interpolated.

    Parameters and errors are those of :func:`prepare_volume`.
    """
    # Where nothing is cut by what the channels show, only the first one's grid counts, and none is registered again.
    if spec.crop in ("none", "body", "mask"):
        first = _planes(volumes, spec)[:1]
        volumes, spec = first, spec.model_copy(update={"channels": spec.channels[:1], "units": None})
    planes, _, source = _cropped(volumes, spec, region)
    target = _target(planes[0].grid, spec)
    size_ijk = _size_ijk(spec)
    if size_ijk is not None and spec.size_mode == "centre":
        target = centred_grid(target, size_ijk)
    return target, source


def _cropped(
    volumes: Sequence[Volume], spec: VolumePreparation, region: Volume | None
) -> tuple[list[Volume], list[str], Grid]:
    """Return the channels turned, aligned and cropped, notes on the alignment, and the first one's grid as read."""
    planes = _planes(volumes, spec)
    source = planes[0].grid
    if spec.orientation == "LPS":
        planes = [to_lps(plane) for plane in planes]
    planes, aligned = align(planes, spec.channels, spec.registration)
    chosen = _region(planes, spec, region)
    if chosen is not None:
        planes = [crop_to(plane, chosen, spec.margin_mm) for plane in planes]
    return planes, aligned, source


def _target(grid: Grid, spec: VolumePreparation) -> Grid:
    """Return the grid that channels on `grid` are resampled to, before a size is cut about its centre."""
    target = grid if spec.spacing is None else spaced_grid(grid, spec.spacing)
    size_ijk = _size_ijk(spec)
    return sized_grid(target, size_ijk) if size_ijk is not None and spec.size_mode == "stretch" else target


def _size_ijk(spec: VolumePreparation) -> tuple[int, int, int] | None:
    return None if spec.size is None else (spec.size[2], spec.size[1], spec.size[0])


def measured_planes(volumes: Sequence[Volume], spec: VolumePreparation) -> list[Volume]:
    """Return the channels of an image as intensity is measured in them, on the grid of the first, as it was read.

    A channel with a unit in the plan (HU, SUV) keeps its values. Others have none that another scanner would share, so
    they are scaled as for the networks, by the intensities of the whole image. A channel on another grid, or one that
    is registered, is interpolated linearly; where it was not seen stands NaN.

    Parameters
    ----------
    volumes, spec
        As for :func:`prepare_volume`.

    Raises
    ------
    ImageError
        As :func:`prepare_volume`.
    """
    units = spec.units or [None] * len(spec.channels)
    found = []
    for number, (plane, unit) in enumerate(zip(_planes(volumes, spec), units, strict=True)):
        values = plane.plane if unit else normalise(plane.plane, plane.grid, spec.of_channel(number))[0]
        found.append(replace(plane, voxels=values[np.newaxis]))
    return align(found, spec.channels, spec.registration, fill=math.nan)[0]


def unstated_units(volumes: Sequence[Volume], spec: VolumePreparation) -> list[str]:
    """Return a note for each channel whose unit the plan demands and whose file states none, as few formats do.

    The volumes may be of several frames or views, each with all channels.
    """
    planes = [volume for volume in volumes for _ in volume.voxels]
    demanded = list(zip(spec.channels, spec.units or [None] * len(spec.channels), strict=True))
    each = ((*demanded[number % len(demanded)], plane) for number, plane in enumerate(planes))
    found = [
        f"{UNIT_ASSUMED}: {name} states no unit, read as {unit}" for name, unit, one in each if unit and not one.unit
    ]
    return list(dict.fromkeys(found))


def prepare_mask(mask: Volume, prepared: PreparedVolume, *, where: str | None = None) -> npt.NDArray[np.uint8]:
    """Bring a mask to the grid of the model's input, each voxel from the nearest; uint8 ``(D, H, W)``.

    Raises
    ------
    ImageError
        When mask and image are on different grids, or the mask holds something else than whole numbers from 0 to 255.
    """
    labels = whole_labels(mask, where=where)
    require_same_grid(mask.grid, prepared.source, where=where)
    on_image = turned_back(Volume(labels[np.newaxis], prepared.source), prepared.grid)
    return np.ascontiguousarray(resample(on_image, prepared.grid, "nearest").plane)


def require_same_grid(mask: Grid, image: Grid, *, where: str | None = None) -> None:
    """Refuse a mask that does not lie on its image.

    Raises
    ------
    ImageError
        Saying how the grids differ.
    """
    if mask.same_as(image):
        return
    if mask.size != image.size:
        how = f"has {_by(mask.size)} voxels and its image has {_by(image.size)}"
    else:
        how = f"lies up to {mask.distance(image):.2f} mm from its image"
    raise ImageError(
        f"the mask {how}", where=where, fix="draw or resample the mask on the image's own grid, header included"
    )


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))


def whole_labels(mask: Volume, *, where: str | None = None) -> npt.NDArray[np.uint8]:
    """Return a mask as uint8 ``(slices, rows, columns)``; labels stored as floating numbers are taken when whole.

    Raises
    ------
    ImageError
        Several planes, fractions, or labels below 0 or above 255.
    """
    if len(mask.voxels) != 1:
        raise ImageError(f"the mask holds {len(mask.voxels)} volumes", where=where, fix="save one mask a case")
    values = mask.plane
    if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        raise ImageError(
            "the mask holds fractions, and labels are whole numbers",
            where=where,
            fix="save the labels, not probabilities",
        )
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        raise ImageError(
            f"the mask holds labels from {low:g} to {high:g}", where=where, fix="number the labels from 0 to 255"
        )
    return values.astype(np.uint8)


def prepared_bytes(grid: Grid, spec: VolumePreparation, *, mask: bool) -> int:
    """Return how many bytes a case takes in the store at most, before anything of it is cropped."""
    if spec.size is not None:
        voxels = math.prod(spec.size)
    else:
        turned = grid if spec.orientation == "stored" else exchanged_grid(grid, *lps_turn(grid))
        target = turned if spec.spacing is None else spaced_grid(turned, spec.spacing)
        voxels = math.prod(target.size)
    return voxels * (2 * len(spec.channels) + int(mask)) + 4096


def restore_labels(probabilities: npt.NDArray[np.float32], prepared: PreparedVolume) -> Volume:
    """Bring class probabilities back to the source's grid and take the most probable class of each voxel.

    Each class is interpolated linearly, a slab of slices at a time, so memory beside the input is a slab of
    `SLAB_VOXELS` voxels a class and the answer. Voxels outside the model's input are background.

    Parameters
    ----------
    probabilities
        float32 ``(classes, D, H, W)`` on ``prepared.grid``; class 0 is the background.

    Returns
    -------
    Volume
        One plane of uint8 on ``prepared.source``; the values are class indices.

    Raises
    ------
    ValueError
        When the array does not fit the grid.
    """
    if probabilities.ndim != 4 or probabilities.shape[1:] != prepared.grid.shape:
        raise ValueError(f"probabilities {probabilities.shape} do not fit a grid of {prepared.grid.shape}")
    source = prepared.source
    if whole_shift(prepared.grid, turned_like(source, prepared.grid)) is not None:
        # Voxels coincide but for exchanged axes and a crop: nothing is interpolated.
        labels = probabilities.argmax(axis=0).astype(np.uint8)[np.newaxis]
        turned = turned_back(Volume(labels, prepared.grid), source)
        return replace(resample(turned, source, "nearest", fill=0), grid=source, notes=_unknown(prepared))
    out = np.zeros(source.shape, np.uint8)
    step = max(1, SLAB_VOXELS // (source.size[0] * source.size[1]))
    for first in range(0, source.size[2], step):
        count = min(step, source.size[2] - first)
        slab = window(source, (0, 0, first), (source.size[0], source.size[1], count))
        best = np.zeros(slab.shape, np.float32)
        for number, one in enumerate(probabilities):
            outside = 1.0 if number == 0 else 0.0
            here = resample(Volume(one[np.newaxis], prepared.grid), slab, "linear", fill=outside).plane
            better = here > best if number else np.ones(slab.shape, dtype=np.bool_)
            np.copyto(best, here, where=better)
            out[first : first + count][better] = number
    return Volume(out[np.newaxis], source, notes=_unknown(prepared))


def _unknown(prepared: PreparedVolume) -> tuple[str, ...]:
    """Return the notes that a mask shares with its image: nothing may be measured in mm where spacing is not known."""
    return tuple(note for note in prepared.notes if note.split(":")[0] in (*UNSIZED, "no-orientation"))


def turned_like(grid: Grid, other: Grid) -> Grid:
    """Return `grid` with its axes exchanged and flipped as those of `other` run."""
    return exchanged_grid(grid, *_turn(grid, other))


def turned_back(volume: Volume, grid: Grid) -> Volume:
    """Return a volume with its axes exchanged and flipped as those of `grid` run."""
    return exchange(volume, *_turn(volume.grid, grid))


def _turn(grid: Grid, other: Grid) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return the order of old axes and the flips that turn `grid` as `other` runs."""
    own, wanted = nearest_axes(grid), nearest_axes(other)
    order = tuple(own.index(axis) for axis in wanted)
    flips = tuple(bool(np.dot(grid.matrix[:, old], other.matrix[:, new]) < 0) for new, old in enumerate(order))
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def each_plane(volume: Volume) -> list[Volume]:
    """Return the planes of a volume as volumes of one plane; the voxels are shared."""
    return [replace(volume, voxels=plane[np.newaxis], names=("",), times=(), axis="channel") for plane in volume.voxels]


def _planes(volumes: Sequence[Volume], spec: VolumePreparation) -> list[Volume]:
    """Return one volume of one plane a channel."""
    planes = [plane for volume in volumes for plane in each_plane(volume)]
    if len(planes) < len(spec.channels):
        missing = ", ".join(spec.channels[len(planes) :])
        raise ImageError(
            f"{len(planes)} of {len(spec.channels)} channels are there", fix=f"give {missing} as well, in this order"
        )
    if len(planes) > len(spec.channels):
        raise ImageError(
            f"{len(planes)} planes are there and the plan has {len(spec.channels)} channels",
            fix=f"give {', '.join(spec.channels)} only, in this order",
        )
    for name, unit, plane in zip(spec.channels, spec.units or [None] * len(planes), planes, strict=True):
        if unit is not None and plane.unit is not None and plane.unit != unit:
            raise ImageError(
                f"channel {name!r} is in {plane.unit} and the plan's is in {unit}", fix="give the image in that unit"
            )
    return planes


def _region(planes: list[Volume], spec: VolumePreparation, region: Volume | None) -> npt.NDArray[np.bool_] | None:
    """Return the voxels to crop to on the grid of `planes`; None where nothing is cropped."""
    if spec.crop == "none":
        return None
    if spec.crop == "mask":
        if region is None:
            raise ImageError("the plan crops to a mask and none is there", fix="give the mask of the case")
        turned = to_lps(region) if spec.orientation == "LPS" else region
        require_same_grid(turned.grid, planes[0].grid)
        return np.asarray(turned.plane != 0)
    if spec.crop == "body":
        return body(planes[0].plane)
    chosen = np.zeros(planes[0].grid.shape, dtype=np.bool_)
    for plane in planes:
        chosen |= plane.plane != 0
    return chosen if box_of(chosen) is not None else None
