"""A small grey picture of every image, kept with the facts so that audits need not read all images again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Image
from semeion.cohort.volume import Volume
from semeion.prepare.geometry import lps_turn
from semeion.prepare.levels import Bytes, finite_pixels, quantiles, to_bytes
from semeion.prepare.transform import resize

SIDE = 32
"""Rows and columns of a thumbnail: 1,024 bytes a picture, three times that a volume."""
ENDS = (0.005, 0.995)
"""Shares of the values below and above which deeper images are clipped."""


def grey_bytes(image: Image, ends: tuple[float, float] | None = None) -> Bytes:
    """Return a picture in grey, uint8 ``(rows, columns)``, the channels averaged.

    Parameters
    ----------
    image
        The picture. One of bytes keeps its levels, so that brightness stays what it is.
    ends
        Values that become 0 and 255 in deeper pictures; by default their 0.5 and 99.5 percentiles.
    """
    pixels = finite_pixels(image.pixels)
    if pixels.dtype != np.uint8:
        low, high = ends if ends is not None else quantiles(pixels, ENDS)
        pixels = to_bytes(pixels, low, high)
    if pixels.shape[2] == 1:
        return np.ascontiguousarray(pixels[..., 0])
    return np.asarray(np.rint(pixels.mean(axis=2)), dtype=np.uint8)


def thumbnail(grey: Bytes) -> bytes:
    """Return a grey picture ``(rows, columns)`` at `SIDE` x `SIDE` pixels, whatever its shape, as bytes row by row."""
    return resize(np.ascontiguousarray(grey[..., None]), SIDE, SIDE).tobytes()


def volume_thumbnail(volume: Volume, low: float, high: float) -> bytes:
    """Return the middle axial, coronal and sagittal slice of the first plane, one thumbnail after the other.

    Axes are turned to run nearest to left, posterior and superior, so that equal views of two volumes compare; `low`
    and `high` become 0 and 255.
    """
    return b"".join(thumbnail(to_bytes(finite_pixels(one), low, high)) for one in _middle_slices(volume))


def mask_thumbnail(mask: Volume) -> bytes:
    """Return the same three slices of a mask, 255 where all of a pixel is inside any label and 0 where none is."""
    return b"".join(thumbnail((one != 0).astype(np.uint8) * 255) for one in _middle_slices(mask))


def unpacked(column: Iterable[Any]) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """Return the thumbnails of a column of facts.

    Returns
    -------
    tuple
        uint8 ``(cases, views, SIDE, SIDE)`` with one view a picture and three a volume, 0 where there is none, and
        which cases have one. Of a column of pictures and volumes mixed, those of the more frequent kind.
    """
    packed = [bytes(one) if isinstance(one, (bytes, bytearray)) else b"" for one in column]
    sizes = np.array([len(one) for one in packed], dtype=np.int64)
    counts = {views: int((sizes == views * SIDE * SIDE).sum()) for views in (1, 3)}
    views = max(counts, key=lambda number: counts[number])
    known = sizes == views * SIDE * SIDE
    out = np.zeros((len(packed), views, SIDE, SIDE), dtype=np.uint8)
    for row in np.flatnonzero(known):
        out[row] = np.frombuffer(packed[row], dtype=np.uint8).reshape(views, SIDE, SIDE)
    return out, known


def _middle_slices(volume: Volume) -> list[npt.NDArray[Any]]:
    """Return the middle slices of the first plane across the superior, posterior and left axis."""
    plane = volume.voxels[0]
    order, flips = lps_turn(volume.grid)
    # The array runs k, j, i; `order` names the old axis of each new i, j, k.
    turned = plane.transpose([2 - order[axis] for axis in (2, 1, 0)])
    turned = np.flip(turned, tuple(2 - axis for axis in range(3) if flips[axis]))
    k, j, i = (size // 2 for size in turned.shape)
    return [turned[k], turned[:, j], turned[:, :, i]]
