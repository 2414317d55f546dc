"""Salt and pepper: isolated pixels at the ends of the grey scale, replaced by their neighbourhood's median."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from semeion.prepare.levels import Mask, Pixels

FEWEST = 0.0005
"""Less than this share of isolated pixels is no noise but a few specular echoes, and is left alone."""
MOST = 0.3
"""More than this share is no noise either: an image of dots, or one of two grey values."""
SMALLEST_SIDE = 48
"""Below this one pixel may be a whole structure: a vessel, a calcification. Nothing is found there."""
_STEP = 0.3
"""A grain differs from the median of its 3 x 3 neighbourhood by this share of the image's range."""


def find_salt(pixels: Pixels) -> Mask:
    """Return where salt and pepper noise stands.

    A grain holds the image's largest (smallest) value, to 1 % of its range, and stands out by 30 % of the range from
    the median of its neighbourhood; at most one neighbour does the same, so that thin lines and letters are left alone.
    Where such grains are frequent (0.2 %), clusters of up to six are taken as well. Noise lies everywhere: grains in
    fewer than six of sixteen tiles of the image are not noise.

    Parameters
    ----------
    pixels
        Array ``(rows, columns, channels)``, finite.

    Returns
    -------
    numpy.ndarray
        Boolean array of the shape of `pixels`; all false when less than 0.05 % or more than 30 % of the pixels would be
        noise, and for images of less than 48 pixels on their shorter side.
    """
    found = np.zeros(pixels.shape, dtype=np.bool_)
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        return found
    low, high = float(pixels.min()), float(pixels.max())
    span = high - low
    if not span > 0:
        return found
    enough = FEWEST * pixels.shape[0] * pixels.shape[1]
    for channel in range(pixels.shape[2]):
        plane = np.ascontiguousarray(_filterable(pixels[..., channel]))
        medians: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None
        for sign, extreme in ((1, plane >= high - 0.01 * span), (-1, plane <= low + 0.01 * span)):
            if int(np.count_nonzero(extreme)) < enough:
                continue
            if medians is None:
                medians = cv2.medianBlur(plane, 3), cv2.medianBlur(plane, 5)
            grains = extreme & (cv2.absdiff(plane, medians[0]) >= _STEP * span)
            if int(np.count_nonzero(grains)) < enough:
                continue
            # A letter's stroke has saturated pixels among grey ones: whatever stands out from the wider
            # neighbourhood counts when grains are told from larger things.
            away = cv2.subtract(plane, medians[1]) if sign > 0 else cv2.subtract(medians[1], plane)
            grains = _isolated(extreme | (away >= 0.2 * span), grains)
            if FEWEST <= float(grains.mean()) <= MOST and _is_everywhere(grains):
                found[..., channel] |= grains
    return found


def salt_fraction(pixels: Pixels) -> float:
    """Return the share of pixels with a grain in any channel, 0 to 1."""
    return float(find_salt(pixels).any(axis=2).mean())


def remove_salt(pixels: Pixels, mask: Mask) -> Pixels:
    """Replace the pixels of `mask` by the median of the pixels around them that are not in it.

    Parameters
    ----------
    pixels
        Array ``(rows, columns, channels)``.
    mask
        As :func:`find_salt` returns, of the same shape.

    Returns
    -------
    numpy.ndarray
        A new array of the same shape and type; pixels outside `mask` are unchanged.
    """
    if not mask.any():
        return pixels
    cleaned = pixels.copy()
    rows, cols, channels = pixels.shape
    for channel in range(channels):
        plane, wrong = cleaned[..., channel], mask[..., channel]
        at = np.argwhere(wrong)
        if not len(at):
            continue
        reach = 2
        offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
        for start in range(0, len(at), 20_000):  # 25 neighbours of each grain: bounded memory
            places = at[start : start + 20_000, None, :] + offsets[None]
            r, c = places[..., 0].clip(0, rows - 1), places[..., 1].clip(0, cols - 1)
            usable = ~wrong[r, c]
            around = np.where(usable, pixels[..., channel][r, c].astype(np.float64), np.nan)
            known = usable.any(axis=1)
            value = np.nanmedian(around[known], axis=1)
            rounded = value if pixels.dtype.kind == "f" else np.rint(value)
            chosen = at[start : start + 20_000][known]
            plane[chosen[:, 0], chosen[:, 1]] = rounded.astype(pixels.dtype)
    return cleaned


def _filterable(plane: Pixels) -> Pixels:
    """Return `plane` in a type that OpenCV's median filter takes."""
    return plane if plane.dtype in (np.uint8, np.uint16) else plane.astype(np.float32)


def _isolated(outstanding: Mask, grains: Mask) -> Mask:
    """Return the `grains` that belong to no group of `outstanding` pixels larger than a grain.

    The groups count every pixel at the end of the scale, so that the edge of a saturated region is not isolated.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(outstanding.astype(np.uint8), connectivity=8)
    sizes = stats[:, cv2.CC_STAT_AREA]
    sizes[0] = np.iinfo(np.int32).max
    alone = grains & (sizes <= 2)[labels]
    if count < 2 or alone.mean() < 0.002:
        return np.asarray(alone)
    return np.asarray(grains & (sizes <= 6)[labels])


def _is_everywhere(grains: Mask) -> bool:
    """Return whether at least six of the sixteen tiles of an image have grains: noise does not follow one outline."""
    rows, cols = grains.shape
    tiles = cv2.resize(
        grains[: rows - rows % 4, : cols - cols % 4].astype(np.float32), (4, 4), interpolation=cv2.INTER_AREA
    )
    return int(np.count_nonzero(tiles)) >= 6
