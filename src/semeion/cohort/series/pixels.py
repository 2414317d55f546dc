"""From stored pixels of one file to physical values in their place in a volume.

Sources: DICOM PS3.3 C.7.6.3 (image pixel), C.11.1 (modality LUT); PS3.5 section 8 (encoding of pixels).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.channels import Pixels
from semeion.cohort.dicom import clear_unused_bits, functional_group
from semeion.cohort.dicom_pixels import stored_frame
from semeion.cohort.limits import cut_short
from semeion.cohort.series.coding import GREY, Coding, understood, unreadable
from semeion.errors import ImageError

_LUMA = np.array((0.299, 0.587, 0.114))
"""Weights of red, green and blue in grey, ITU-R BT.601."""


class TooNarrow(Exception):
    """A value does not fit the number type chosen from the headers."""


@dataclass(frozen=True)
class Padded:
    """How many pixels of a frame are padding, and its lowest real value (infinite when all are padding)."""

    count: int
    lowest: float


NOT_PADDED = Padded(0, np.inf)


def read_native(path: str, coding: Coding, frame: int, out: npt.NDArray[Any]) -> Padded:
    """Read one frame of an uncompressed file into `out`, ``(rows, columns)``.

    Raises
    ------
    TooNarrow
        When a value does not fit the type of `out`.
    ImageError
        When the file changed since its header was read.
    """
    if coding.offset is None:
        raise ValueError("the file takes a decoder")
    kind = np.dtype(f"{'i' if coding.signed else 'u'}{coding.allocated // 8}")
    size = coding.rows * coding.cols * kind.itemsize
    straight = out.dtype.itemsize == kind.itemsize and out.dtype.kind in "iu" and out.flags.c_contiguous
    stored = out.view(kind) if straight else np.empty((coding.rows, coding.cols), kind)
    try:
        with Path(path).open("rb", buffering=0) as file:
            file.seek(coding.offset + frame * size)
            view = stored.data.cast("B")
            got = 0
            while got < size:
                more = file.readinto(view[got:])
                if not more:
                    raise cut_short(Path(path).name, f"{size:,} bytes of pixels are declared and {got:,} are there")
                got += more
    except OSError as error:
        raise unreadable(Path(path).name, error) from error
    return place(stored, coding, out)


def read_decoded(dataset: Any, coding: Coding, frame: int, out: npt.NDArray[Any], where: str) -> Padded:
    """Decode one frame of a parsed dataset into `out`, ``(channels, rows, columns)``.

    Colour goes into three channels, or is made grey by ITU-R BT.601 when `out` has one.
    """
    pixels = stored_frame(dataset, frame, where)
    with understood(where):
        if coding.photometric == "PALETTE COLOR":
            pixels = _coloured(pixels, dataset, where)
        if pixels.ndim == 3:
            pixels = np.moveaxis(pixels[..., :3], -1, 0)
            out[...] = (
                pixels if len(out) == 3 else np.rint(np.tensordot(_LUMA, pixels, 1)).astype(out.dtype)[np.newaxis]
            )
            return NOT_PADDED
        if coding.photometric not in GREY:
            raise ImageError(
                f"has photometric interpretation {coding.photometric or 'none'!r} (0028,0004), which is not read",
                where=where,
                fix="export it as MONOCHROME2 or RGB",
            )
        pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
        if coding.lut_bits:
            from pydicom.pixels.processing import apply_modality_lut

            group = functional_group(dataset, "PixelValueTransformationSequence")
            out[0] = apply_modality_lut(pixels, group if group is not None else dataset)
            return NOT_PADDED
        return place(pixels, coding, out[0])


def place(stored: npt.NDArray[Any], coding: Coding, out: npt.NDArray[Any]) -> Padded:
    """Turn stored values into physical ones in `out`; padding becomes the lowest value of `out`'s type.

    Raises
    ------
    TooNarrow
        When a value does not fit the type of `out`.
    """
    if coding.floats:
        out[...] = stored
        return NOT_PADDED
    if coding.stored < coding.allocated:
        stored = clear_unused_bits(stored, coding.high_bit, coding.stored, coding.signed)
    mask = None
    if coding.padding is not None:
        mask = (stored >= coding.padding[0]) & (stored <= coding.padding[1])
    count = 0 if mask is None else int(np.count_nonzero(mask))
    if coding.photometric == "MONOCHROME1":
        low, high = coding.ends
        slope, intercept = -coding.slope, low + high - coding.intercept
    else:
        slope, intercept = coding.slope, coding.intercept
    if out.dtype.kind == "f":
        out[...] = stored * np.float64(slope) + intercept
    else:
        _place_whole(stored, int(slope), int(intercept), None if not count else mask, out)
    if mask is None or not count:
        return NOT_PADDED
    real = out[~mask]
    out[mask] = mark(out.dtype)
    return Padded(count, float(real.min()) if real.size else np.inf)


def mark(kind: np.dtype[Any]) -> float:
    """Return what marks padding while a series is read: minus infinity, or the smallest number of the type."""
    return -np.inf if kind.kind == "f" else int(np.iinfo(kind).min)


def _place_whole(
    stored: npt.NDArray[Any], slope: int, intercept: int, mask: npt.NDArray[Any] | None, out: npt.NDArray[Any]
) -> None:
    info = np.iinfo(out.dtype)
    held = np.iinfo(stored.dtype)
    ends = sorted((held.min * slope + intercept, held.max * slope + intercept))
    if ends[0] < info.min or ends[1] > info.max:
        real = stored if mask is None else stored[~mask]
        if real.size:
            ends = sorted((int(real.min()) * slope + intercept, int(real.max()) * slope + intercept))
            if ends[0] < info.min or ends[1] > info.max:
                raise TooNarrow
    if slope == 1 and intercept == 0:
        if not np.shares_memory(stored, out):
            np.copyto(out, stored, casting="unsafe")
    elif slope == 1 and out.dtype.itemsize == stored.dtype.itemsize:
        # Modulo two to the power of the width, so that signs need no wider type: the result is known to fit.
        unsigned = np.dtype(f"u{out.dtype.itemsize}")
        np.add(stored.view(unsigned), unsigned.type(intercept % (1 << 8 * unsigned.itemsize)), out=out.view(unsigned))
    else:
        np.copyto(out, stored.astype(np.int64) * slope + intercept, casting="unsafe")


def _coloured(pixels: Pixels, dataset: Any, where: str) -> Pixels:
    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        raise ImageError("has a segmented palette, which is not read", where=where, fix="export it as RGB")
    from pydicom.pixels.processing import apply_color_lut

    return np.asarray(apply_color_lut(pixels, dataset))
