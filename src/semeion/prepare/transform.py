"""From a decoded image to a network's input: the one code path of training and of use.

The order is fixed: values made finite; salt noise, text and borders removed from the image as it was acquired;
channels; intensity to 0..255; contrast equalised; resized; padded. What a step does depends on this image and the
settings alone, never on other images, so that an image means the same in training, in evaluation and in the clinic.
Functions here may be called from several threads. OpenCV's own threads are left as they are: how many suit depends on
how many images are prepared at once, which the caller knows (``cv2.setNumThreads(1)`` under
:func:`semeion.parallel.ordered_map`); the result does not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Image
from semeion.errors import InputError
from semeion.prepare.borders import Box, find_borders
from semeion.prepare.clean import clean_pixels, equalise
from semeion.prepare.levels import Bytes, Pixels, finite_pixels, quantiles, to_bytes
from semeion.prepare.spec import Preparation

Number = TypeVar("Number", np.uint8, np.float32)

OWN_PERCENTILES = (0.005, 0.995)
"""Shares of the pixels below and above which ``intensity: percentiles`` clips."""


def prepare_image(image: Image, spec: Preparation) -> Bytes:
    """Turn an image into model input.

    Parameters
    ----------
    image
        As :func:`semeion.cohort.reading.read_image` returns.
    spec
        The settings of the plan or of the shipped model.

    Returns
    -------
    numpy.ndarray
        uint8 array ``(channels, height, width)``, contiguous. An 8-bit image that already has the size and the
        channels, with nothing to clean, keeps every bit. A constant image under ``percentiles`` becomes 0.

    Raises
    ------
    InputError
        When the image has no pixels or not 1 or 3 channels, or when `spec` asks for a window without giving one.
    """
    mapped, _ = cleaned_bytes(image, spec)
    height, width = spec.size
    inner = fitted_size(mapped.shape[:2], spec)
    fitted = resize(np.ascontiguousarray(mapped), *inner)
    if inner != (height, width):
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        canvas = np.zeros((height, width, fitted.shape[2]), np.uint8)
        canvas[top : top + inner[0], left : left + inner[1]] = fitted
        fitted = canvas
    if fitted.shape[2] < spec.channels:
        fitted = np.repeat(fitted, spec.channels, axis=2)
    return np.ascontiguousarray(fitted.transpose(2, 0, 1))


def fitted_size(size: Sequence[int], spec: Preparation) -> tuple[int, int]:
    """Return the rows and columns of the input that a picture of `size` fills, which stands in its middle."""
    height, width = spec.size
    if spec.fit == "stretch":
        return height, width
    scale = min(height / size[0], width / size[1])
    return min(height, max(1, round(size[0] * scale))), min(width, max(1, round(size[1] * scale)))


def seen_box(image: Image, spec: Preparation) -> Box:
    """Return the rows and columns of a picture that :func:`prepare_image` keeps: all of them unless borders are cut."""
    pixels = _pixels(image)
    if not spec.clean.borders:
        return Box(0, pixels.shape[0], 0, pixels.shape[1])
    # The order of cleaning: without salt and text, which would hide a border.
    kept, _ = clean_pixels(finite_pixels(pixels), spec.clean.model_copy(update={"borders": False}))
    return find_borders(kept)


def cleaned_bytes(image: Image, spec: Preparation) -> tuple[Bytes, list[str]]:
    """Return the image before resizing: uint8 ``(rows, columns, channels)``, and what was done to it so far."""
    pixels = _pixels(image)
    pixels, done = clean_pixels(finite_pixels(pixels), spec.clean)
    if pixels.shape[2] > spec.channels:
        pixels = _luma(pixels)
        done.append("colour turned to grey")
    low, high = _limits(pixels, image, spec)
    if (low, high) != (0, 255) or pixels.dtype != np.uint8:
        unit = f" {image.unit}" if image.unit else ""
        done.append(f"{low:g} to {high:g}{unit} mapped to 0 to 255")
    mapped = to_bytes(pixels, low, high)
    if spec.clean.equalise:
        mapped = equalise(np.ascontiguousarray(mapped))
        done.append("contrast equalised")
    return mapped, done


def _pixels(image: Image) -> Pixels:
    pixels = image.pixels
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.size == 0:
        raise InputError(
            f"an image of shape {pixels.shape} cannot be prepared",
            fix="give (rows, columns, channels) with 1 or 3 channels",
        )
    return pixels


def resize(image: npt.NDArray[Number], height: int, width: int) -> npt.NDArray[Number]:
    """Resize an image ``(rows, columns, channels)``: areas averaged when shrinking, linear when enlarging.

    Averaging areas is the only filter of OpenCV that sees every pixel when shrinking: the others sample and alias,
    and speckle turns into pattern. When enlarging, linear interpolation adds no values beyond those there, where
    cubic overshoots at edges and draws rims around lesions; its exact variant gives the same bits on every processor.
    Each axis is treated by what it needs.
    """
    rows, cols = image.shape[:2]
    if (rows, cols) == (height, width):
        return image
    small = (min(cols, width), min(rows, height))
    if small != (cols, rows):
        image = _resized(image, small, cv2.INTER_AREA)
    if small != (width, height):
        image = _resized(image, (width, height), cv2.INTER_LINEAR_EXACT)
    return image


def _resized(image: npt.NDArray[Number], size: tuple[int, int], how: int) -> npt.NDArray[Number]:
    """Return `image` at ``(columns, rows)``, with the axis of a single channel that OpenCV drops."""
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=image.dtype).reshape(size[1], size[0], -1)


def _luma(pixels: Pixels) -> Pixels:
    """Return the luma of an RGB image (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B) in the type of the image."""
    if pixels.dtype in (np.uint8, np.uint16, np.float32):
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY))[..., None]
    grey = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return np.asarray((grey if pixels.dtype.kind == "f" else np.rint(grey)).astype(pixels.dtype))[..., None]


def _limits(pixels: Pixels, image: Image, spec: Preparation) -> tuple[float, float]:
    """Return the values that become 0 and 255."""
    if spec.intensity == "window":
        if spec.window is None:
            raise InputError(
                "intensity is 'window' but no window is given", where="preparation", fix="set window: [low, high]"
            )
        return spec.window
    if spec.intensity == "percentiles":
        low, high = quantiles(pixels, OWN_PERCENTILES)
        return low, high
    return image.low, image.high
