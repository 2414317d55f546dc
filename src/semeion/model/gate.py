"""What makes a new image unlike the training images: coded warnings that travel with the finding.

Every code is listed in `CODES`. A warning does not change the call; it says that nobody measured how good the model is
on such an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Image
from semeion.cohort.sniff import HEAD, image_format
from semeion.errors import ImageError
from semeion.model.manifest import Inputs, Intensity, SizeSeen

if TYPE_CHECKING:
    from semeion.cohort.volume import Volume

CODES: dict[str, str] = {
    "missing-file": "failed: the file does not exist",
    "too-large": "failed: the declared or stored size is above the limits, or memory ran out",
    "not-an-image": "failed: the file's content is no known image format",
    "unreadable": "failed: the image is damaged or of an unsupported kind",
    "not-prepared": "failed: the image was read but could not be brought to the model's input",
    "not-finite": "failed: the model's output is not a number",
    "not-probabilities": "failed: a network from elsewhere gave no probabilities (outside 0 to 1, or of another sum)",
    "not-measured": "failed: the masks do not show what must be measured",
    "measurement-missing": "warning: measurements could not be taken; the median of the training cases stands in",
    "colour-into-grey": "warning: a colour image, but the model was trained on grey ones",
    "grey-into-colour": "warning: a grey image, but the model was trained on colour ones",
    "modality-differs": "warning: the file names a modality that the model was not trained on",
    "unit-differs": "warning: pixel values are in another unit than the training images'",
    "intensity-far": "warning: much darker or brighter than the training images",
    "size-far": "warning: much smaller or larger than the training images",
    "spacing-far": "warning: voxels much smaller or larger than in the training volumes",
    "corrected": "warning: the geometry was corrected or assumed when the image was read or prepared",
    "blank-image": "warning: the image has one value only",
    "covariate-missing": "warning: a covariate is missing; the training cases' median, or 'missing', stands in",
    "covariate-unseen": "warning: a covariate has a level that the model was not trained on by name",
    "covariate-far": "warning: a covariate far outside the range of the training cases, and cut at its end",
}
"""Every reason code of the findings and what it means."""

INTENSITY_MARGIN = 0.1
"""Least distance, as a fraction of the grey scale, between the usual image means and one that is far from them."""
SIZE_FACTOR = 2.0
"""An image is far in size when a side is this many times smaller or larger than any training image's."""
SPACING_FACTOR = 1.5
"""Voxels are far in spacing when one side is this many times smaller or larger than any training volume's."""


def brightness(prepared: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the mean of prepared images (..., C, H, W) as a fraction of the grey scale, 0 black and 1 white."""
    return np.asarray(prepared.mean(axis=(-3, -2, -1), dtype=np.float64) / 255)


def training_intensity(prepared: npt.NDArray[np.uint8]) -> Intensity:
    """Describe the brightness of prepared training images for the manifest.

    Parameters
    ----------
    prepared
        Shape (N, C, H, W), uint8: the training images, or a random sample of them, as the network sees them.

    Returns
    -------
    Intensity
        0.5 and 99.5 percentiles of the pixels (`low`, `high`) and of the image means (`mean_low`, `mean_high`).
    """
    low, high = np.percentile(prepared, [0.5, 99.5]) / 255
    mean_low, mean_high = np.percentile(brightness(prepared), [0.5, 99.5])
    return Intensity(low=float(low), high=float(high), mean_low=float(mean_low), mean_high=float(mean_high))


def remarks(image: Image, prepared: npt.NDArray[np.uint8], inputs: Inputs) -> tuple[str, ...]:
    """Return the coded warnings about one image, each ``code: text``.

    Parameters
    ----------
    image
        The image as it was read.
    prepared
        The same as the network sees it, uint8 (C, H, W).
    inputs
        What the training images were.
    """
    found = []
    if image.photometry != inputs.photometry:
        code = "colour-into-grey" if image.photometry == "colour" else "grey-into-colour"
        found.append(f"{code}: {CODES[code].removeprefix('warning: ')}")
    if image.modality and inputs.modality and image.modality not in inputs.modality:
        found.append(f"modality-differs: {image.modality}, trained on {' '.join(inputs.modality)}")
    if inputs.unit is not None and image.unit != inputs.unit:
        found.append(f"unit-differs: {image.unit or 'no unit'}, trained on {inputs.unit}")
    if image.pixels.min() == image.pixels.max():
        found.append("blank-image: the image has one value only")
    elif inputs.intensity is not None:
        found.extend(_intensity_remark(float(brightness(prepared)), inputs.intensity))
    if inputs.size_seen is not None:
        found.extend(_size_remark(image.pixels.shape[0], image.pixels.shape[1], inputs.size_seen))
    return tuple(found)


def volume_remarks(volumes: Sequence[Volume], notes: Sequence[str], inputs: Inputs) -> tuple[str, ...]:
    """Return the coded warnings about the volumes of one case, each ``code: text``.

    Parameters
    ----------
    volumes
        As they were read.
    notes
        Remarks of reading and preparation.
    inputs
        What the training images were.
    """
    found = []
    first = volumes[0]
    for volume in volumes:
        if volume.modality and inputs.modality and volume.modality not in inputs.modality:
            found.append(f"modality-differs: {volume.modality}, trained on {' '.join(inputs.modality)}")
        if inputs.unit is not None and volume.unit != inputs.unit:
            found.append(f"unit-differs: {volume.unit or 'no unit'}, trained on {inputs.unit}")
        found += ["blank-image: the image has one value only" for plane in volume.voxels if plane.min() == plane.max()]
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
