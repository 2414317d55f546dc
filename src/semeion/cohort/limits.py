"""How large one image may be, asked of its header before anything is decoded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from semeion.errors import ImageError


@dataclass(frozen=True)
class ReadLimits:
    """Bounds that hostile or damaged files must not pass.

    Attributes
    ----------
    max_pixels
        Rows times columns of one image.
    max_bytes
        Size of one image file.
    max_array_bytes
        Size of one array of an ``.npz`` archive once inflated; it is held in memory while its rows are read.
    max_voxels
        Voxels of one volume, all its channels or frames counted: 4,096 slices of 512 x 512.
    """

    max_pixels: int = 100_000_000
    max_bytes: int = 1 << 30
    max_array_bytes: int = 4 << 30
    max_voxels: int = 1 << 30


def bound_pixels(rows: int, cols: int, where: str, limits: ReadLimits) -> None:
    """Refuse a declared size that is empty or too large.

    Raises
    ------
    ImageError
        Naming the declared size.
    """
    if rows <= 0 or cols <= 0:
        raise ImageError(f"declares an empty size of {rows} x {cols} pixels", where=where, fix="export the image again")
    if rows * cols > limits.max_pixels:
        raise ImageError(
            f"declares {rows} x {cols} pixels, more than the {limits.max_pixels:,} that are read",
            where=where,
            fix="reduce the image, or leave the case out with --skip-bad",
        )


def bound_voxels(shape: tuple[int, ...], where: str, limits: ReadLimits) -> None:
    """Refuse a volume whose declared shape is empty or too large, before memory is asked for.

    Raises
    ------
    ImageError
        Naming the declared shape.
    """
    declared = " x ".join(str(length) for length in shape)
    if not shape or min(shape) <= 0:
        raise ImageError(f"declares an empty volume of {declared} voxels", where=where, fix="export it again")
    if math.prod(shape) > limits.max_voxels:
        raise ImageError(
            f"declares {declared} voxels, more than the {limits.max_voxels:,} that are read",
            where=where,
            fix="reduce the volume, or leave the case out with --skip-bad",
        )


def cut_short(where: str, detail: str) -> ImageError:
    """Return the error for a file that ends before its image does."""
    return ImageError(f"the file is cut short: {detail}", where=where, fix="copy or export the image again")
