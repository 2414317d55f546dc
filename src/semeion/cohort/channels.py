"""What every reader does with channels: transparency, equal channels, finite values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Photometry
from semeion.errors import ImageError

Pixels = npt.NDArray[Any]


def composite(pixels: Pixels, full: float) -> tuple[Pixels, tuple[str, ...]]:
    """Put an image with transparency on black.

    Parameters
    ----------
    pixels
        Array ``(rows, columns, 4)``; the last channel is the opacity.
    full
        Opacity that hides the background wholly.

    Returns
    -------
    tuple
        The first three channels and the note ``alpha-composited``, or no note when everything was opaque.
    """
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    if bool((alpha == full).all()):
        return np.ascontiguousarray(colour), ()
    mixed = colour.astype(np.float32) * (alpha.astype(np.float32) / np.float32(full))
    return np.rint(mixed).astype(pixels.dtype), ("alpha-composited",)


def split_grey(pixels: Pixels) -> tuple[Pixels, Photometry]:
    """Return ``(rows, columns, 1 or 3)``: three equal channels are one grey channel."""
    if pixels.ndim == 2:
        return pixels[..., np.newaxis], "grey"
    if pixels.shape[2] == 1:
        return pixels, "grey"
    red = pixels[..., 0]
    # A few pixels tell most colour images apart without comparing all of them.
    coarse = pixels[::16, ::16]
    for channel in (1, 2):
        if not np.array_equal(coarse[..., 0], coarse[..., channel]):
            return pixels, "colour"
    for channel in (1, 2):
        if not np.array_equal(red, pixels[..., channel]):
            return pixels, "colour"
    return np.ascontiguousarray(red)[..., np.newaxis], "grey"


def as_float32(pixels: Pixels, where: str) -> npt.NDArray[np.float32]:
    """Convert to float32 and refuse what is not a number.

    Raises
    ------
    ImageError
        When a value is NaN or infinite, also after the conversion.
    """
    with np.errstate(over="ignore"):
        converted = pixels.astype(np.float32, copy=False)
    bad = int(converted.size - np.count_nonzero(np.isfinite(converted)))
    if bad:
        raise ImageError(
            f"{bad} of {converted.size} pixel values are NaN, infinite or beyond float32",
            where=where,
            fix="replace them by real values, or leave the case out with --skip-bad",
        )
    return converted


def integer_range(dtype: np.dtype[Any]) -> tuple[float, float, int]:
    """Return lowest value, highest value and bits that an integer type can hold."""
    info = np.iinfo(dtype)
    return float(info.min), float(info.max), info.bits
