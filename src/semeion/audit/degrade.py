"""Images as a worse scanner would have made them: noise, blur, less contrast, a cut field, a turn, JPEG, a lower dose.

Not to be taken for :mod:`semeion.audit.perturbation`, which asks whether held-out images shape what is learned. Here
nothing is learned: the finished model reads the same test images made worse, before its own preparation.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Image
from semeion.errors import InputError
from semeion.prepare.levels import finite_pixels, quantiles

NAMES = ("noise", "blur", "contrast", "crop", "rotation", "jpeg", "low_dose")
X_RAY = frozenset({"CR", "DX", "MG", "IO", "PX", "RF", "XA", "CT"})
"""DICOM modalities whose noise is set by a dose of X-rays."""
OWN_RANGE = (0.005, 0.995)
"""Shares of the pixels between which an image's own range of intensity lies."""
_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float64)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Degradation:
    """One way of making images worse.

    Attributes
    ----------
    name
        One of `NAMES`.
    unit
        Of a strength, in words.
    strengths
        The mildest first.
    identity
        The strength that leaves an image as it is; None where there is none.
    how
        What is done, in a sentence.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    identity: float | None
    how: str


@dataclass(frozen=True)
class Seen:
    """What the images of a cohort are, as far as it decides what may be done to them.

    Attributes
    ----------
    volumes
        Whether they are volumes.
    units, modalities
        All that the files state; ``""`` among them where some state none.
    bits
        Meaningful bits a channel that pictures have; empty for volumes.
    sized
        Whether the size of every voxel is known.
    """

    volumes: bool
    units: frozenset[str]
    modalities: frozenset[str]
    bits: frozenset[int] = frozenset()
    sized: bool = True

    @property
    def hounsfield(self) -> bool:
        """Whether all values are Hounsfield units."""
        return self.units == {"HU"}


@dataclass(frozen=True)
class Key:
    """What a degradation hangs on besides the image: the same key gives the same image again.

    Attributes
    ----------
    seed
        Of the run.
    case_id
        Of the case.
    number
        Which of the case's images. All of them are turned the same way, and each has noise of its own.
    """

    seed: int
    case_id: str
    number: int = 0

    def stream(self, name: str, *, own: bool = True) -> np.random.Generator:
        """Return the random numbers of one degradation: the same for each strength, so that strengths compare."""
        parts = [self.seed, zlib.crc32(self.case_id.encode()), zlib.crc32(name.encode())]
        return np.random.default_rng([*parts, self.number] if own else parts)


def degradations(seen: Seen) -> tuple[tuple[Degradation, ...], dict[str, str]]:
    """Return what can be done to the images of a cohort, and why the rest cannot.

    Parameters
    ----------
    seen
        What the images are.

    Returns
    -------
    tuple
        The degradations in the order of `NAMES`, and a reason for each other name.
    """
    noise = Degradation(
        "noise", "% of the image's own range", (2, 5, 10, 20), 0, "White noise of this deviation is added."
    )
    if seen.hounsfield:
        noise = replace(noise, unit="HU", strengths=(10, 20, 40, 80))
    blur = Degradation(
        "blur", "pixels of the network's input", (0.5, 1, 2, 3), 0, "Blurred by a Gaussian of this deviation."
    )
    if seen.volumes:
        sized = replace(blur, unit="mm", strengths=(0.5, 1, 2, 4))
        blur = sized if seen.sized else replace(blur, unit="voxels", strengths=(0.5, 1, 1.5, 2))
    about = "the slice axis" if seen.volumes else "the centre"
    found = [
        noise,
        blur,
        Degradation("contrast", "of the contrast", (0.8, 0.6, 0.4, 0.2), 1, "Drawn together about the image's mean."),
        Degradation(
            "crop", "% of height and width", (5, 10, 20, 30), 0, "Cut away around the centre, and enlarged again."
        ),
        Degradation(
            "rotation",
            "degrees",
            (5, 10, 20, 30),
            0,
            f"Turned about {about}, to the left or right by lot; mirrored rim.",
        ),
        Degradation("jpeg", "quality", (70, 40, 20, 10), None, "Stored as JPEG and read again."),
        Degradation(
            "low_dose",
            "% of the dose",
            (50, 25, 10, 5),
            100,
            "White noise is added to that of the image, whose variance is taken as inverse to the dose.",
        ),
    ]
    reasons = _reasons(seen)
    return tuple(one for one in found if one.name not in reasons), reasons


def _reasons(seen: Seen) -> dict[str, str]:
    reasons: dict[str, str] = {}
    if seen.hounsfield:
        reasons["contrast"] = "Hounsfield units are calibrated by water and air: a scanner does not lessen them"
    if seen.volumes:
        reasons["crop"] = "a volume keeps its millimetres: cutting and enlarging would change them"
        reasons["jpeg"] = "volumes are not kept as 8-bit JPEG"
    elif any(bits > 8 for bits in seen.bits):
        reasons["jpeg"] = "JPEG is for pictures of 8 bits, and these have more"
    if not (seen.hounsfield or (seen.modalities and seen.modalities <= X_RAY)):
        known = sorted(seen.modalities - {"", *X_RAY})
        told = (
            f"in {', '.join(known)} no X-ray dose sets the noise"
            if known
            else "the files do not say that they are X-rays"
        )
        reasons["low_dose"] = told
    return reasons


def degrade_picture(image: Image, how: Degradation, strength: float, key: Key, size: tuple[int, int, bool]) -> Image:
    """Return a picture made worse; its type, shape and everything known of it stay.

    Parameters
    ----------
    image
        As it was decoded.
    how, strength
        What is done, and how much.
    key
        Seeds what is random.
    size
        Height and width of the network's input in pixels, and whether the picture is stretched to them.

    Returns
    -------
    Image
        The very `image` at the strength that changes nothing.

    Raises
    ------
    InputError
        When `how` is not done to pictures, or JPEG is asked of more than 8 bits.
    """
    if strength == how.identity:
        return image
    pixels = finite_pixels(image.pixels)
    if how.name == "jpeg":
        made = _jpeg(image, pixels, round(strength))
    elif how.name == "crop":
        made = _cropped(pixels, strength / 100)
    elif how.name == "rotation":
        made = turned(pixels, strength * sign(key), image.spacing or (1.0, 1.0))
    elif how.name == "blur":
        made = _blurred(pixels, strength, size)
    else:
        planes = pixels.astype(np.float64).transpose(2, 0, 1)
        made = (planes + added(planes, how, strength, key.stream(how.name))).transpose(1, 2, 0)
    return replace(image, pixels=as_stored(made.reshape(pixels.shape), image.pixels.dtype, (image.low, image.high)))


def sign(key: Key) -> int:
    """Return whether the images of a case are turned to the left (1) or to the right (-1)."""
    return 1 if key.stream("rotation", own=False).integers(2) else -1


def added(values: Array, how: Degradation, strength: float, stream: np.random.Generator) -> Array:
    """Return what noise, less contrast or a lower dose adds to an image.

    Parameters
    ----------
    values
        float32 or float64 ``(channels or slices, rows, columns)``.
    how, strength
        What is done, and how much.
    stream
        Random numbers.

    Raises
    ------
    InputError
        When `how` is another degradation.

    Notes
    -----
    The variance of quantum noise, which is Poisson's, is inversely proportional to the number of quanta and so to the
    dose: at a share d of it the noise of the image, of standard deviation s, lacks one of ``s * sqrt(1 / d - 1)``,
    which is added. It is taken as white, Gaussian and alike everywhere, where simulators that have the raw data add it
    to the projections (Joemai et al., European Radiology 20:958, 2010): a picture processed for display, or a
    reconstruction with correlated noise, will differ. How s is found: :func:`noise_level`.
    """
    if how.name == "contrast":
        return np.asarray((strength - 1) * (values - values.mean(dtype=np.float64)))
    if how.name == "noise":
        low, high = quantiles(values, OWN_RANGE)
        spread = strength if how.unit == "HU" else strength / 100 * (high - low)
    elif how.name == "low_dose":
        spread = noise_level(values) * float(np.sqrt(100 / strength - 1))
    else:
        raise InputError(f"{how.name!r} adds nothing", where="degradation", fix="use noise, contrast or low_dose")
    drawn = stream.standard_normal(values.shape, dtype=values.dtype.type)
    drawn *= spread
    return drawn


def noise_level(values: Array) -> float:
    """Return the standard deviation of an image's own noise.

    Parameters
    ----------
    values
        ``(channels or slices, rows, columns)``; of many slices 16 are looked at, evenly spaced. Images of fewer than
        3 x 3 pixels have none.

    Notes
    -----
    The difference of two Laplacians leaves out what changes linearly, and is 6 standard deviations of white noise wide
    (Immerkaer, Computer Vision and Image Understanding 64:300, 1996). The median of its size, over 0.6745, stands for
    the mean, so that edges do not count as noise; places where it is 0, a background without any noise, are left out.
    """
    found = []
    for plane in values[np.unique(np.linspace(0, len(values) - 1, 16).round().astype(int))]:
        if min(plane.shape) >= 3:
            # OpenCV does not filter single precision into double.
            given = np.ascontiguousarray(plane, dtype=np.float64)
            answer = cv2.filter2D(given, cv2.CV_64F, _MASK)[1:-1, 1:-1]
            found.append(np.abs(answer[answer != 0]))
    answers = np.concatenate(found) if found else np.zeros(0)
    return float(np.median(answers)) / (6 * 0.6745) if len(answers) else 0.0


def as_stored(values: Array, dtype: np.dtype[Any], limits: tuple[float, float] | None = None) -> Array:
    """Return values in the type of an image; whole numbers rounded and kept within `limits` and what the type holds."""
    if dtype.kind == "f":
        return np.ascontiguousarray(values, dtype=dtype)
    held = np.iinfo(dtype)
    low, high = float(held.min), float(held.max)
    if limits is not None and limits[0] < limits[1]:
        low, high = max(low, limits[0]), min(high, limits[1])
    return np.ascontiguousarray(np.clip(np.rint(values), low, high).astype(dtype))


def turned(
    pixels: Array, degrees: float, spacing: tuple[float, float], centre: tuple[float, float] | None = None
) -> Array:
    """Return ``(rows, columns[, channels])`` turned in the patient's plane, linear between pixels, mirrored at the rim.

    Parameters
    ----------
    pixels
        One picture or slice.
    degrees
        Against the clock, as shown.
    spacing
        Of rows and columns, so that pixels that are not square turn truly.
    centre
        Row and column that stay; the middle when None.
    """
    rows, cols = pixels.shape[:2]
    row, col = centre or ((rows - 1) / 2, (cols - 1) / 2)
    angle = np.deg2rad(degrees)
    c, s = float(np.cos(angle)), float(np.sin(angle))
    ratio = spacing[0] / spacing[1]
    # From a place in the result to that in the image, x across and y down: turn in mm, then back to pixels.
    matrix = np.array([[c, -s * ratio, 0.0], [s / ratio, c, 0.0]])
    matrix[:, 2] = np.array([col, row]) - matrix[:, :2] @ np.array([col, row])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    given = np.ascontiguousarray(pixels, dtype=np.float32)
    made = cv2.warpAffine(given, matrix, (cols, rows), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(made)


def _blurred(pixels: Array, strength: float, size: tuple[int, int, bool]) -> Array:
    """Return pixels blurred by `strength` pixels of the network's input, which are larger or smaller than these."""
    height, width, stretched = size
    steps = pixels.shape[0] / height, pixels.shape[1] / width
    down, across = steps if stretched else (max(steps), max(steps))
    given = np.ascontiguousarray(pixels, dtype=np.float32)
    made = cv2.GaussianBlur(
        given, (0, 0), sigmaX=strength * across, sigmaY=strength * down, borderType=cv2.BORDER_REFLECT_101
    )
    return np.asarray(made, dtype=np.float64)


def _cropped(pixels: Array, share: float) -> Array:
    rows, cols = pixels.shape[:2]
    kept = max(1, round(rows * (1 - share))), max(1, round(cols * (1 - share)))
    top, left = (rows - kept[0]) // 2, (cols - kept[1]) // 2
    part = np.ascontiguousarray(pixels[top : top + kept[0], left : left + kept[1]], dtype=np.float32)
    return np.asarray(cv2.resize(part, (cols, rows), interpolation=cv2.INTER_LINEAR), dtype=np.float64)


def _jpeg(image: Image, pixels: Array, quality: int) -> Array:
    if image.bits > 8:
        raise InputError(f"JPEG of {image.bits} bits", where="degradation", fix="use it on pictures of 8 bits")
    if pixels.dtype == np.uint8 and (image.low, image.high) == (0, 255):
        return _encoded(pixels, quality)
    # The levels of 8 bits or fewer may be kept as other values (rescaled, signed, black and white).
    span = (image.high - image.low) or 1.0
    levels = (pixels.astype(np.float64) - image.low) / span
    made = _encoded(np.clip(np.rint(255 * levels), 0, 255).astype(np.uint8), quality)
    return np.asarray(made.reshape(pixels.shape) / 255 * span + image.low)


def _encoded(pixels: Array, quality: int) -> Array:
    colour = pixels.shape[2] == 3
    given = np.ascontiguousarray(pixels[..., ::-1] if colour else pixels)
    done, data = cv2.imencode(".jpg", given, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG")
    read = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE))
    return read[..., ::-1] if colour else read
