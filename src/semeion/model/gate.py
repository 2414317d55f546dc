"""The input gate: facts of a new image against what the training images were, as coded reasons of the finding.

Every code is listed in :mod:`semeion.model.codes`, with what it makes of the finding. Looks at pixels are in
:mod:`semeion.model.gate_image`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.body_parts import SAYS_NOTHING, modality_of, regions_of, side_of
from semeion.cohort.image import Image
from semeion.cohort.sniff import HEAD, image_format
from semeion.errors import ImageError
from semeion.model.codes import meaning_of
from semeion.model.gate_image import array_remarks, text_remarks
from semeion.model.manifest import Inputs, Intensity, SizeSeen
from semeion.prepare.spec import Preparation

if TYPE_CHECKING:
    from semeion.cohort.volume import Volume

INTENSITY_MARGIN = 0.1
"""Least distance, as a fraction of the grey scale, between the usual image means and one that is far from them."""
RARE_BLANK = 0.01
"""Share of nearly empty training pictures from which on such a picture is nothing odd."""
SIZE_FACTOR = 2.0
"""An image is far in size when a side is this many times smaller or larger than those of usual training images."""
SPACING_FACTOR = 1.5
"""Voxels are far in spacing when one side is this many times smaller or larger than those of usual training volumes."""


def brightness(prepared: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the mean of prepared images (..., C, H, W) as a fraction of the grey scale, 0 black and 1 white."""
    return np.asarray(prepared.mean(axis=(-3, -2, -1), dtype=np.float64) / 255)


def remarks(
    image: Image, prepared: npt.NDArray[np.uint8], inputs: Inputs, steps: Preparation | None = None
) -> tuple[str, ...]:
    """Return the coded reasons that one image gives, each ``code: text``.

    Parameters
    ----------
    image
        The image as it was read.
    prepared
        The same as the network sees it, uint8 (C, H, W).
    inputs
        What the training images were.
    steps
        How images are prepared: what the unit and the depth of a value mean to the model.
    """
    found = []
    if image.photometry != inputs.photometry:
        code = "colour-into-grey" if image.photometry == "colour" else "grey-into-colour"
        found.append(f"{code}: {meaning_of(code)}")
    found += _header_remarks(image, inputs)
    if inputs.unit is not None and image.unit != inputs.unit:
        code = "unit-unusable" if steps is not None and steps.intensity == "window" else "unit-differs"
        found.append(f"{code}: {image.unit or 'no unit'}, trained on {inputs.unit}")
    whole = steps is None or steps.intensity == "stored"
    if inputs.bits is not None and whole and not inputs.bits[0] <= image.bits <= inputs.bits[1]:
        low, high = inputs.bits
        found.append(f"bits-differ: {image.bits} bits, trained on {low if low == high else f'{low} to {high}'}")
    if _blank(image.pixels, strictly=(inputs.blank or 0.0) > RARE_BLANK):
        found.append("blank-image: all of it, or all but a hundredth, has one value")
    else:
        found += _seen_remarks(prepared, inputs)
        found += text_remarks(image, inputs.looks)
    if inputs.size_seen is not None:
        found.extend(_size_remark(image.pixels.shape[0], image.pixels.shape[1], inputs.size_seen))
    return tuple(found)


def volume_remarks(
    volumes: Sequence[Volume],
    notes: Sequence[str],
    inputs: Inputs,
    prepared: npt.NDArray[np.uint8] | None = None,
) -> tuple[str, ...]:
    """Return the coded reasons that the volumes of one case give, each ``code: text``.

    Parameters
    ----------
    volumes
        As they were read.
    notes
        Remarks of reading and preparation.
    inputs
        What the training images were.
    prepared
        The case as a classifier sees it, uint8 (C, D, H, W); None where nothing is looked at.
    """
    found = []
    first = volumes[0]
    blank = False
    for volume in volumes:
        found += _header_remarks(volume, inputs)
        if inputs.unit is not None and volume.unit != inputs.unit:
            found.append(f"unit-differs: {volume.unit or 'no unit'}, trained on {inputs.unit}")
        blank |= any(bool(plane.min() == plane.max()) for plane in volume.voxels)
    if blank:
        found.append("blank-image: all of it, or all but a hundredth, has one value")
    elif prepared is not None:
        found += _seen_remarks(prepared, inputs)
    if inputs.orientation:
        from semeion.prepare.geometry import orientation_code

        code = orientation_code(first.grid)
        if code not in inputs.orientation:
            found.append(f"orientation-differs: {code}, trained on {' '.join(inputs.orientation)}")
    seen = inputs.volumes_seen
    if seen is not None:
        spacing = zip(first.grid.spacing, seen.spacing, strict=True)
        if not all(low / SPACING_FACTOR <= side <= high * SPACING_FACTOR for side, (low, high) in spacing):
            low, high = (" x ".join(f"{span[end]:g}" for span in seen.spacing) for end in (0, 1))
            own = " x ".join(f"{side:.3g}" for side in first.grid.spacing)
            found.append(f"spacing-far: {own} mm, trained on {low} to {high} mm")
        size = zip(first.grid.size, seen.size, strict=True)
        if not all(low / SIZE_FACTOR <= side <= high * SIZE_FACTOR for side, (low, high) in size):
            low, high = (" x ".join(str(span[end]) for span in seen.size) for end in (0, 1))
            found.append(f"size-far: {' x '.join(map(str, first.grid.size))} voxels, trained on {low} to {high}")
    for note in notes:
        code, _, text = note.partition(": ")
        if code != "unit-assumed":  # of prepare.volume, which this module must not load for pictures
            found.append(f"corrected: {note}")
        elif inputs.unit is None:  # else said above; here some of the training volumes had no unit either
            found.append(f"unit-differs: {text}")
    return tuple(dict.fromkeys(found))


def _header_remarks(image: Image | Volume, inputs: Inputs) -> list[str]:
    """Return what the header says that the training images' did not: modality, part of the body, side.

    What a header leaves out is no reason: pictures have none.
    """
    found = []
    trained = {modality_of(name) for name in inputs.modality} - {""}
    if image.modality and trained:  # training images that are all copies say as little as none
        own = modality_of(image.modality)
        if not own:
            word = image.modality.upper() if image.modality.upper() in SAYS_NOTHING else "no modality that is known"
            found.append(f"modality-unstated: {word}, trained on {' '.join(inputs.modality)}")
        elif own not in trained:
            found.append(f"modality-differs: {image.modality}, trained on {' '.join(inputs.modality)}")
    parts = regions_of(image.body_part)
    if parts and inputs.body_part and not parts & set(inputs.body_part):
        found.append(f"body-part-differs: {' '.join(sorted(parts))}, trained on {' '.join(inputs.body_part)}")
    side = side_of(image.laterality)
    if side and inputs.laterality and side not in inputs.laterality:
        found.append(f"laterality-differs: {side}, trained on {' '.join(inputs.laterality)}")
    return found


def _seen_remarks(prepared: npt.NDArray[np.uint8], inputs: Inputs) -> list[str]:
    """Return what the prepared image looks like that the training images did not."""
    dark = [] if inputs.intensity is None else _intensity_remark(float(brightness(prepared).mean()), inputs.intensity)
    return [*dark, *array_remarks(prepared, inputs.looks)]


def _blank(pixels: npt.NDArray[Any], *, strictly: bool) -> bool:
    """Tell whether 99 % of about 16,000 regularly spaced pixels have one value, as a picture that was not exposed;
    `strictly` all of them, where training pictures too are nearly empty.
    """
    if strictly:
        return bool(pixels.min() == pixels.max())
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / 16384) ** 0.5))
    low, high = np.quantile(pixels[::step, ::step], (0.005, 0.995), method="nearest")
    return bool(low == high or not np.isfinite(high - low)) and _flat(pixels)


def _flat(pixels: npt.NDArray[Any]) -> bool:
    """The same of all pixels: a small bright thing on an even ground may lie between the regular ones."""
    values = pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels.reshape(-1)
    if not values.size:
        return True
    low, high = np.quantile(values, (0.005, 0.995), method="nearest")
    return bool(low == high)


def why_unread(source: object, error: ImageError) -> tuple[str, str]:
    """Return the code and the text of an image that was not read; reading itself only has sentences."""
    if "that are read" in error.what:  # how reading words every bound that was passed
        return "too-large", error.what
    if isinstance(source, str) and ".npz#" not in source:
        try:
            with Path(source).open("rb") as file:
                head = file.read(HEAD)
        except FileNotFoundError:
            return "missing-file", error.what
        except (OSError, ValueError):  # a folder, no permission: the error says which
            head = b""
        if head and image_format(head) is None and not _is_volume(source):
            return "not-an-image", error.what
    return "unreadable", error.what


def _is_volume(path: str) -> bool:
    from semeion.cohort.volumes.read import volume_format

    try:
        return volume_format(path) is not None
    except OSError:
        return False


def _intensity_remark(mean: float, seen: Intensity) -> list[str]:
    margin = max(INTENSITY_MARGIN, (seen.mean_high - seen.mean_low) / 2)
    if seen.mean_low - margin <= mean <= seen.mean_high + margin:
        return []
    return [f"intensity-far: mean {mean:.2f} of the grey scale, trained on {seen.mean_low:.2f} to {seen.mean_high:.2f}"]


def _size_remark(rows: int, cols: int, seen: SizeSeen) -> list[str]:
    for side, (low, high) in ((rows, seen.rows), (cols, seen.cols)):
        if not low / SIZE_FACTOR <= side <= high * SIZE_FACTOR:
            trained = f"{seen.rows[0]} x {seen.cols[0]} to {seen.rows[1]} x {seen.cols[1]}"
            return [f"size-far: {rows} x {cols} pixels, trained on {trained}"]
    return []
