"""Pixels kept as numpy arrays: ``.npy`` files, and rows of an array in an ``.npz`` archive. Never a pickle."""

from __future__ import annotations

import io
import lzma
import math
import struct
import threading
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from semeion.cohort.channels import Pixels, as_float32, composite, integer_range, split_grey
from semeion.cohort.image import Image
from semeion.cohort.limits import ReadLimits, bound_pixels, cut_short
from semeion.errors import ImageError

DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError, RuntimeError, OSError),
    *(EOFError, ValueError, KeyError, OverflowError),
)
"""What Python's reader of zip archives raises at a damaged, encrypted or unusual one; it has no base of its own."""
_SHAPES = "an image is H x W or H x W x C with C of 1, 3 or 4"
_READABLE = "save it as uint8, uint16, int16, float32 or bool"


def read_npy(data: bytes, where: str, limits: ReadLimits) -> Image:
    """Read one image kept as a ``.npy`` file.

    Raises
    ------
    ImageError
        A pickle, another shape or type, too large, cut short, or values that are not finite.
    """
    stream = io.BytesIO(data)
    shape, fortran, dtype = array_header(stream, where)
    _require_image_shape(shape, where)
    bound_pixels(shape[0], shape[1], where, limits)
    expected = math.prod(shape) * dtype.itemsize
    start = stream.tell()
    if len(data) - start < expected:
        raise cut_short(where, f"the array of shape {shape} needs {expected} bytes, {len(data) - start} follow")
    flat = np.frombuffer(data, dtype, count=math.prod(shape), offset=start)
    return image_of(flat.reshape(shape, order="F" if fortran else "C"), where, "npy")


def read_npz_row(path: Path, array: str, row: int, where: str, limits: ReadLimits) -> Image:
    """Read row `row` of the stack `array` in the archive `path`.

    The stack, shape ``(n, rows, columns)`` or ``(n, rows, columns, C)``, is inflated once and kept while it is in use.

    Raises
    ------
    ImageError
        No such archive, array or row; a pickle; a volume; too large; damaged.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ImageError("the archive does not exist or cannot be read", where=where, fix="correct the path") from error
    stack = _stack(str(path), array, stat.st_mtime_ns, stat.st_size, limits)
    if stack.ndim not in (3, 4):
        raise ImageError(
            f"array {array!r} has shape {stack.shape}", where=where, fix="a stack is N x H x W or N x H x W x C"
        )
    if not 0 <= row < len(stack):
        raise ImageError(
            f"array {array!r} has rows 0 to {len(stack) - 1}, not {row}", where=where, fix="correct the row"
        )
    _require_image_shape(stack.shape[1:], where)
    return image_of(stack[row], where, "npz")


def image_of(pixels: Pixels, where: str, source_format: str) -> Image:
    """Make an image of an array ``(rows, columns)`` or ``(rows, columns, 1, 3 or 4)``.

    Raises
    ------
    ImageError
        A type that has no agreed range, or values that are not finite.
    """
    notes: tuple[str, ...] = ()
    if pixels.dtype.kind == "b":
        pixels, low, high, bits = pixels.astype(np.uint8), 0.0, 1.0, 1
    elif pixels.dtype.kind == "f":
        pixels = np.ascontiguousarray(as_float32(pixels, where))
        low, high, bits = float(pixels.min()), float(pixels.max()), 32
        notes = ("range-from-values",)
    elif pixels.dtype.newbyteorder("=") in (np.uint8, np.uint16, np.int16):
        pixels = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))
        low, high, bits = integer_range(pixels.dtype)
    else:
        raise ImageError(f"holds {pixels.dtype} values", where=where, fix=_READABLE)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        if pixels.dtype not in (np.uint8, np.uint16) or high == 1.0:
            raise ImageError(
                f"has four channels of {pixels.dtype}, whose opacity has no agreed range",
                where=where,
                fix="save three channels, or uint8 or uint16",
            )
        pixels, remarks = composite(pixels, high)
        notes += remarks
    channels, photometry = split_grey(pixels)
    return Image(channels, photometry, low, high, bits, source_format, notes=notes)


def array_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of a ``.npy`` stream: shape, whether columns come first, type.

    Raises
    ------
    ImageError
        When it is no array, or one of Python objects (a pickle).
    """
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    # numpy parses the header as Python text: a hostile one raises tokenising, syntax and recursion errors, too.
    except Exception as error:
        raise ImageError("its numpy header is damaged", where=where, fix="save the array again") from error
    if dtype.hasobject or dtype.names is not None:
        raise ImageError("holds Python objects or records, which are never loaded", where=where, fix=_READABLE)
    if not dtype.itemsize:  # such as texts of no letters: numpy reads none of them
        raise ImageError(f"holds {dtype} values of no size", where=where, fix=_READABLE)
    return tuple(int(n) for n in shape), bool(fortran), dtype


def _require_image_shape(shape: tuple[int, ...], where: str) -> None:
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)):
        return
    what, hint = f"has shape {' x '.join(map(str, shape)) or '()'}", ""
    if len(shape) in (3, 4):
        what += ", which is no flat picture"
        hint = "; give a volume as NIfTI, NRRD or MetaImage, or as a row of an archive: organ.npz#test_images[0]"
    raise ImageError(what, where=where, fix=_SHAPES + hint)


_LOADING = threading.Lock()


def _stack(path: str, array: str, modified: int, size: int, limits: ReadLimits) -> Pixels:
    """Return a whole stack; threads that ask for the same one wait for the first to load it."""
    with _LOADING:
        return _load_stack(path, array, modified, size, limits)


@lru_cache(maxsize=3)
def _load_stack(path: str, array: str, modified: int, size: int, limits: ReadLimits) -> Pixels:  # noqa: ARG001 - of the key
    """Load a stack. Three are kept: train, val and test. The file's time and size are part of the key."""
    where = f"{Path(path).name}#{array}"
    return read_member(Path(path), array, where, limits)


def read_member(path: Path, array: str, where: str, limits: ReadLimits) -> Pixels:
    """Load one array of an ``.npz`` archive, its size known and bounded before it is inflated.

    Raises
    ------
    ImageError
        No archive, no such array, too large, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if array not in names:
                raise ImageError(
                    f"has no array {array!r}", where=where, fix=f"choose one of {', '.join(sorted(names)) or 'none'}"
                )
            with archive.open(f"{array}.npy") as member:
                shape, fortran, dtype = array_header(member, where)
                expected = math.prod(shape) * dtype.itemsize
                if expected > limits.max_array_bytes:
                    raise ImageError(
                        f"array {array!r} of shape {shape} needs {expected / 2**30:.1f} GiB, more than the "
                        f"{limits.max_array_bytes / 2**30:.1f} GiB that are read",
                        where=where,
                        fix="save the images as single files",
                    )
                data, filled = np.empty(expected, np.uint8), 0
                while filled < expected and (part := member.read(min(expected - filled, 1 << 24))):
                    data[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
                    filled += len(part)
                if filled < expected:
                    raise cut_short(where, f"array {array!r} of shape {shape} holds {filled} of {expected} bytes")
    except DAMAGED as error:
        raise ImageError(f"the archive is damaged ({error})", where=where, fix="copy or download it again") from error
    stack: Pixels = data.view(dtype).reshape(shape, order="F" if fortran else "C")
    stack.flags.writeable = False
    return stack
