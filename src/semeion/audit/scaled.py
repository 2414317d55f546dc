"""A picture brought to the pixels of a smaller one of it, whatever way that was made smaller."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from semeion.prepare.levels import Bytes

Floats = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]

LEAST_CORRELATION = 0.7
"""Correlation below which two pictures, laid on each other, are not compared pixel for pixel."""
FINER = 4
"""Places at least, along a side, of which a coarse pixel is the mean."""
MOST_FINER = 16
_BLURS = (5, 3, 1)
"""Sides of the filter under which registration looks, the widest first."""
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-6)


def placings(coarse: Bytes, fine: Bytes, place: Affine) -> list[Affine]:
    """Return where each place of the coarse picture may lie in the fine one; nothing where they do not fit.

    By maximising the correlation (Evangelidis and Psarakis, IEEE TPAMI 30:1858, 2008), with the fine picture softened,
    and with it brought to the coarse pixels. Either is led astray by some noise, and where they began may be right.

    Parameters
    ----------
    coarse, fine
        Grey, uint8; `coarse` has fewer pixels.
    place
        Affine ``(3, 3)`` from places in `coarse` to places in `fine`, in units of the sides about the centre (-0.5 to
        0.5), columns before rows: where registration begins.
    """
    values, target = fine.astype(np.float32), coarse.astype(np.float32)
    to_fine, to_coarse = _pixels(fine.shape), _pixels(coarse.shape)
    begun = to_fine @ place @ np.linalg.inv(to_coarse)
    wide = max(0.5 * max(fine.shape[0] / coarse.shape[0], fine.shape[1] / coarse.shape[1]), 0.3)
    softened = _registered(target, np.asarray(cv2.GaussianBlur(values, (0, 0), wide), dtype=np.float32), begun, 1)
    if softened is None:
        return []
    found = [begun, softened]
    warp: Affine | None = begun
    for blur in _BLURS:
        more = _registered(target, _mean(values, warp, coarse.shape), np.eye(3), blur) if warp is not None else None
        warp = warp @ more if warp is not None and more is not None else None
    found += [warp] if warp is not None else []
    return [np.asarray(np.linalg.inv(to_fine) @ one @ to_coarse) for one in found]


def _registered(target: Floats, values: Floats, warp: Affine, blur: int) -> Affine | None:
    """Return the affine from pixels of `target` to those of `values` that correlates best; None where none does."""
    start = warp[:2].astype(np.float32)
    try:
        # OpenCV takes None for no mask; its stub of this overload does not.
        rho, found = cv2.findTransformECC(  # type: ignore[call-overload]
            target, values, start, cv2.MOTION_AFFINE, _STOP, None, blur
        )
    except cv2.error:
        return None  # it does not converge, or the pictures slid off each other
    return np.vstack([found.astype(np.float64), [0, 0, 1]]) if rho >= LEAST_CORRELATION else None


def brought_to(coarse: Bytes, fine: Bytes, place: Affine) -> tuple[npt.NDArray[np.bool_], float, list[Bytes]]:
    """Return the fine picture at the pixels of the coarse one.

    Programs make pictures smaller in different ways: each pixel is what lies at its middle, or the mean of what lies in
    it, or of a wider stretch. So there are several results, and the sum of these that fits best, which comes near any
    other kernel (cubic, Lanczos).

    Returns
    -------
    tuple
        Which pixels lie within both, their share of either picture (the smaller), and pictures of the shape of
        `coarse`.
    """
    rows, cols = coarse.shape
    warp = _pixels(fine.shape) @ place @ np.linalg.inv(_pixels(coarse.shape))
    values = fine.astype(np.float32)
    means = (_mean(values, warp, coarse.shape, wide) for wide in (False, True))
    ways = [*means, *(_moved(values, warp, (rows, cols), how) for how in (cv2.INTER_LINEAR, cv2.INTER_CUBIC))]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    covered = cv2.warpAffine(np.ones(fine.shape, np.float32), warp[:2].astype(np.float32), (cols, rows), flags=flags)
    within = covered > 0.99
    share = float(within.mean())
    overlap = min(share, share * abs(float(np.linalg.det(place[:2, :2]))))
    # What lies beyond the edge of the fine picture is in the widest of the means there.
    inside = cv2.erode(within.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
    if inside.sum() > 10:
        parts = np.stack([np.ones(int(inside.sum())), *(way[inside] for way in ways)], axis=1)
        factors = np.linalg.lstsq(parts, coarse[inside].astype(np.float64), rcond=None)[0]
        ways.append(np.asarray(factors[0] + sum(f * way for f, way in zip(factors[1:], ways, strict=True)), np.float32))
    return inside, overlap, [np.clip(np.rint(way), 0, 255).astype(np.uint8) for way in ways]


def _pixels(shape: tuple[int, ...]) -> Affine:
    """Return the affine from places in units of the sides to pixels, whose centres are whole numbers."""
    rows, cols = shape
    return np.array([[cols, 0, (cols - 1) / 2], [0, rows, (rows - 1) / 2], [0, 0, 1]])


def _mean(values: Floats, warp: Affine, shape: tuple[int, ...], wide: bool = False) -> Floats:
    """Return the mean of what lies in each coarse pixel, or of a stretch twice as wide that falls off to its ends."""
    rows, cols = shape
    n = min(max(FINER, math.ceil(2 * max(values.shape[0] / rows, values.shape[1] / cols))), MOST_FINER)
    # Pixel centres are whole numbers: place k of the finer grid is (k + 0.5) / n - 0.5 of the coarse one.
    finer = warp @ np.array([[1 / n, 0, 0.5 / n - 0.5], [0, 1 / n, 0.5 / n - 0.5], [0, 0, 1]])
    dense = _moved(values, finer, (rows * n, cols * n), cv2.INTER_NEAREST)
    dense = np.asarray(cv2.blur(dense, (n, n)), dtype=np.float32) if wide else dense
    return np.asarray(cv2.resize(dense, (cols, rows), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _moved(values: Floats, warp: Affine, shape: tuple[int, int], how: int) -> Floats:
    size, flags = (shape[1], shape[0]), how | cv2.WARP_INVERSE_MAP
    made = cv2.warpAffine(values, warp[:2].astype(np.float32), size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(made, dtype=np.float32)
