"""Grey levels of an image: exact quantiles at the cost of a histogram, and the mapping to 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def finite_pixels(pixels: Pixels) -> Pixels:
    """Return `pixels` with NaN and infinities replaced by the smallest finite value; integers as they are."""
    if pixels.dtype.kind != "f":
        return pixels
    good = np.isfinite(pixels)
    if good.all():
        return pixels
    return np.where(good, pixels, pixels[good].min() if good.any() else 0).astype(pixels.dtype)


def histogram(pixels: Pixels) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the values that an integer image of 8 or 16 bits can hold here, ascending, and how often each occurs."""
    if pixels.dtype == np.uint8:
        flat = np.ascontiguousarray(pixels).reshape(-1, 1)
        # OpenCV counts an 8-bit image about three times faster than numpy.bincount; its counts are exact below 2**24.
        if flat.size < 1 << 24:
            counts = cv2.calcHist([flat], [0], None, [256], [0, 256]).ravel().astype(np.int64)
        else:
            counts = np.bincount(flat.ravel(), minlength=256)
        return np.arange(256, dtype=np.float64), counts
    first = int(pixels.min())
    counts = np.bincount((pixels.astype(np.int32) - first).ravel())
    return np.arange(first, first + len(counts), dtype=np.float64), counts


def quantiles(pixels: Pixels, shares: Sequence[float]) -> list[float]:
    """Return quantiles of all values of `pixels`: the smallest value that at least the given share does not exceed.

    Parameters
    ----------
    pixels
        Any non-empty array of finite uint8, uint16, int16 or floating values.
    shares
        Shares between 0 and 1.
    """
    if pixels.dtype.kind == "f" or pixels.dtype.itemsize > 2:
        flat = pixels.ravel()
        places = [min(max(int(np.ceil(share * flat.size)) - 1, 0), flat.size - 1) for share in shares]
        ordered = np.partition(flat, sorted(set(places)))
        return [float(ordered[place]) for place in places]
    return counted_quantiles(*histogram(pixels), shares)


def counted_quantiles(
    values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], shares: Sequence[float]
) -> list[float]:
    """Return the same quantiles from a :func:`histogram`."""
    reached = np.cumsum(counts)
    wanted = [max(int(np.ceil(share * reached[-1])), 1) for share in shares]
    return [float(values[np.searchsorted(reached, need)]) for need in wanted]


def seen_range(pixels: Pixels) -> tuple[float, float]:
    """Return the 0.5 and 99.5 percentiles of about 16,000 regularly spaced pixels: what the image really uses.

    The range that the format can hold is no measure of contrast: 12 meaningful bits often stand in 16.
    """
    step = max(1, int(np.sqrt(pixels.shape[0] * pixels.shape[1] / 16384)))
    low, high = quantiles(pixels[::step, ::step], (0.005, 0.995))
    return low, high


def to_bytes(pixels: Pixels, low: float, high: float) -> Bytes:
    """Map `low` .. `high` linearly to 0 .. 255, values beyond clipped; an empty range maps to 0.
    NaN becomes 0.
    """
    if pixels.dtype == np.uint8 and low == 0 and high == 255:
        return pixels
    if not high > low:
        return np.zeros(pixels.shape, np.uint8)
    if pixels.dtype == np.uint8:
        table = _scaled(np.arange(256, dtype=np.float64), low, high)
        return np.asarray(cv2.LUT(np.ascontiguousarray(pixels), table), dtype=np.uint8).reshape(pixels.shape)
    if pixels.dtype in (np.uint16, np.int16) and pixels.size > 1 << 15:
        # A table of every value the type can hold is exact and several times faster than arithmetic on the pixels; a
        # negative int16 read as uint16 counts from the table's upper half.
        values = np.arange(1 << 16, dtype=np.uint16).view(pixels.dtype)
        return np.asarray(_scaled(values.astype(np.float64), low, high).take(pixels.view(np.uint16)))
    return _scaled(pixels.astype(np.float64), low, high)


def _scaled(values: npt.NDArray[np.float64], low: float, high: float) -> Bytes:
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.clip((values - low) * (255.0 / (high - low)), 0, 255)
    return np.rint(np.nan_to_num(scaled)).astype(np.uint8)


def brightest_channel(pixels: Pixels) -> Pixels:
    """Return ``(rows, columns)``: the largest of the channels, in which coloured text is as bright as white text."""
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels.max(axis=2)
