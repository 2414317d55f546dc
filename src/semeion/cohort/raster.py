"""Pictures of everyday formats: PNG, JPEG, BMP, TIFF and WebP."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from semeion.cohort.channels import Pixels, as_float32, composite, integer_range, split_grey
from semeion.cohort.headers import Header, bmp_header, jpeg_header, png_header, webp_header
from semeion.cohort.image import Image
from semeion.cohort.jpegtail import tail_is_missing
from semeion.cohort.limits import ReadLimits, cut_short
from semeion.cohort.tiff import tiff_header
from semeion.errors import ImageError

# OpenCV writes what it thinks of broken files to standard error; the error raised here says it once, with the file.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_HEADERS = {
    "png": png_header,
    "jpeg": jpeg_header,
    "bmp": bmp_header,
    "tiff": tiff_header,
    "webp": webp_header,
}


def read_raster(data: bytes, source_format: str, where: str, limits: ReadLimits) -> Image:
    """Decode one picture whose format is known.

    Parameters
    ----------
    data
        The whole file.
    source_format
        ``png``, ``jpeg``, ``bmp``, ``tiff`` or ``webp``.
    where
        What errors call the file.
    limits
        Bounds on the declared size.

    Raises
    ------
    ImageError
        Too large, cut short, damaged, or a variant that cannot be read faithfully.
    """
    header = _HEADERS[source_format](data, where, limits)
    pixels = _decode(data, source_format, header, where)
    if source_format == "jpeg" and tail_is_missing(data, pixels):
        raise cut_short(where, "the JPEG's picture breaks off before its end marker")
    notes = list(header.notes)
    if pixels.ndim == 3:
        pixels, remarks = _to_rgb(pixels)
        notes += remarks
    if header.inverted:
        pixels = _turn_round(pixels)
    if header.transparent is not None and bool((pixels == header.transparent).any()):
        pixels = np.where(pixels == header.transparent, pixels.dtype.type(0), pixels)
        notes.append("alpha-composited")
    if header.orientation != 1:
        pixels = upright(pixels, header.orientation)
        notes.append("exif-rotated")
    if pixels.dtype.kind == "f":
        pixels = as_float32(pixels, where)
        low, high, bits = float(pixels.min()), float(pixels.max()), 32
        notes.append("range-from-values")
    else:
        low, high, bits = integer_range(pixels.dtype)
        bits = min(header.bits, bits)
    pixels, photometry = split_grey(pixels)
    return Image(pixels, photometry, low, high, bits, source_format, notes=tuple(notes))


def _decode(data: bytes, source_format: str, header: Header, where: str) -> Pixels:
    """Return what OpenCV makes of the file, checked against the header."""
    fix = "open it in an image viewer and save it again as PNG, or leave the case out with --skip-bad"
    try:
        decoded: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"the {source_format.upper()} cannot be decoded", where=where, fix=fix) from error
    if decoded is None:
        raise ImageError(
            f"the {source_format.upper()} cannot be decoded: it is damaged or of an unusual kind", where=where, fix=fix
        )
    pixels: Pixels = np.asarray(decoded)
    if sorted(pixels.shape[:2]) != sorted((header.rows, header.cols)):
        raise ImageError(
            f"declares {header.rows} x {header.cols} pixels and decodes to {pixels.shape[0]} x {pixels.shape[1]}",
            where=where,
            fix=fix,
        )
    if pixels.dtype not in (np.uint8, np.uint16, np.int16, np.float32, np.float64):
        raise ImageError(f"holds {pixels.dtype} pixels", where=where, fix="save it as uint8, uint16, int16 or float32")
    return pixels


def _to_rgb(pixels: Pixels) -> tuple[Pixels, tuple[str, ...]]:
    """Turn OpenCV's blue, green, red (and opacity) into red, green, blue on black."""
    if pixels.shape[2] == 4:
        full = 1.0 if pixels.dtype.kind == "f" else integer_range(pixels.dtype)[1]
        colour, notes = composite(pixels, full)
        return np.ascontiguousarray(colour[..., ::-1]), notes
    if pixels.dtype in (np.uint8, np.uint16, np.float32):
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)), ()
    return np.ascontiguousarray(pixels[..., ::-1]), ()


def _turn_round(pixels: Pixels) -> Pixels:
    """Return white-is-zero values as black-is-zero; floats keep the range they have."""
    if pixels.dtype.kind == "f":
        return np.asarray(pixels.min() + pixels.max() - pixels)
    low, high, _ = integer_range(pixels.dtype)
    return (np.int64(low) + np.int64(high) - pixels.astype(np.int64)).astype(pixels.dtype)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn an image as its Exif orientation (2 to 8) asks."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    # After the transposition: 5 is done, 6 mirrors left-right, 7 both, 8 up-down.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
