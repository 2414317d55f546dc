"""The voxels behind a header: their size is known and bounded before memory is asked for, and all must be there."""

from __future__ import annotations

import math
import zlib
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.limits import ReadLimits, bound_voxels, cut_short
from semeion.errors import ImageError

Voxels = npt.NDArray[Any]

_PART = 1 << 20
_DENSEST = 1032
"""Deflate cannot shrink data to less than this part of it (RFC 1951: 258 bytes from two bits)."""
_SURPLUS = 1 << 20
"""Bytes after the voxels that are passed over; more mean that the header is wrong."""


def bound_volume(shape: tuple[int, ...], dtype: np.dtype[Any], where: str, limits: ReadLimits) -> int:
    """Return how many bytes a declared array needs.

    Raises
    ------
    ImageError
        When it is empty or larger than `limits` allow, in voxels or in bytes.
    """
    bound_voxels(shape, where, limits)
    need = math.prod(shape) * dtype.itemsize
    if need > limits.max_array_bytes:
        raise ImageError(
            f"declares {' x '.join(map(str, shape))} voxels of {dtype.itemsize} bytes, {need / 2**30:.1f} GiB, more "
            f"than the {limits.max_array_bytes / 2**30:.1f} GiB that are read",
            where=where,
            fix="reduce the volume, or leave the case out with --skip-bad",
        )
    return need


def inflated_head(data: bytes, length: int) -> bytes:
    """Return at most `length` first bytes of gzip data, fewer when it is damaged or ends."""
    try:
        return zlib.decompressobj(wbits=31).decompress(data, length)
    except zlib.error:
        return b""


class Inflated:
    """Bytes of a gzip or zlib stream, read in order and never more than asked for.

    Unlike :class:`gzip.GzipFile` it has no buffer that grows and tells a stream that ends early from one that is
    damaged. A stream of several members (RFC 1952, 2.2), as bgzip and some parallel compressors write, is read as one.
    """

    def __init__(self, file: IO[bytes], where: str) -> None:
        self.file, self.where = file, where
        self.machine = zlib.decompressobj(wbits=47)
        self.left = b""

    def read_into(self, out: memoryview) -> int:
        """Fill `out`; return how many bytes there were, fewer than its length only at the end of the stream."""
        filled = 0
        while filled < len(out) and not (self.machine.eof and not self._begins_another()):
            if not self.left:
                self.left = self.file.read(_PART)
                if not self.left:
                    raise cut_short(self.where, "the compressed data does not end")
            try:
                part = self.machine.decompress(self.left, len(out) - filled)
            except zlib.error as error:
                raise ImageError(
                    f"the compressed data is damaged ({error})", where=self.where, fix="copy the file again"
                ) from error
            self.left = self.machine.unconsumed_tail
            out[filled : filled + len(part)] = part
            filled += len(part)
        return filled

    def _begins_another(self) -> bool:
        """Tell whether another gzip member follows the one that has ended, and begin it."""
        rest = self.machine.unused_data
        if len(rest) < 2:
            rest += self.file.read(_PART)
        if not rest.startswith(b"\x1f\x8b"):
            return False
        self.machine, self.left = zlib.decompressobj(wbits=31), rest
        return True


class Plain:
    """Bytes of a file that is not compressed."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self.file, self.where = file, where

    def read_into(self, out: memoryview) -> int:
        """Fill `out`; return how many bytes there were."""
        filled = 0
        while filled < len(out) and (part := self.file.read(min(_PART, len(out) - filled))):
            out[filled : filled + len(part)] = part
            filled += len(part)
        return filled


def skip(stream: Inflated | Plain, count: int) -> int:
    """Pass over `count` bytes; return how many there were."""
    room, passed = memoryview(bytearray(min(_PART, max(count, 1)))), 0
    while passed < count:
        got = stream.read_into(room[: min(len(room), count - passed)])
        if not got:
            break
        passed += got
    return passed


def read_voxels(
    stream: Inflated | Plain, shape: tuple[int, ...], dtype: np.dtype[Any], where: str, limits: ReadLimits, size: int
) -> tuple[Voxels, tuple[str, ...]]:
    """Read a declared array in C order, native byte order.

    Parameters
    ----------
    stream
        Stands at the first voxel.
    size
        Bytes of the file on disk that can hold voxels.

    Returns
    -------
    tuple
        The array and coded notes: ``trailing-bytes`` when some follow.

    Raises
    ------
    ImageError
        Too large, cut short, damaged, or followed by far more than the header declares.
    """
    need = bound_volume(shape, dtype, where, limits)
    holds = size * _DENSEST if isinstance(stream, Inflated) else size
    if holds < need:
        raise cut_short(where, f"the header declares {need:,} bytes of voxels and {size:,} bytes cannot hold them")
    data = np.empty(need, np.uint8)
    got = stream.read_into(data.data)
    if got < need:
        raise cut_short(where, f"{got:,} of {need:,} bytes of voxels are there")
    notes: tuple[str, ...] = ()
    if surplus := skip(stream, _SURPLUS + 1):
        if surplus > _SURPLUS:
            raise ImageError(
                f"holds far more than the {need:,} bytes of voxels that its header declares",
                where=where,
                fix="the header is wrong: export the volume again",
            )
        notes = ("trailing-bytes",)
    voxels = data.view(dtype).reshape(shape)
    if not dtype.isnative:
        voxels = voxels.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return voxels, notes


def finite(voxels: Voxels, where: str) -> Voxels:
    """Return `voxels` with 8-byte floats as float32.

    Raises
    ------
    ImageError
        When some are not finite, or too large for float32.
    """
    if voxels.dtype.kind != "f":
        return voxels
    bad = sum(int(np.count_nonzero(~np.isfinite(part))) for part in voxels.reshape(len(voxels), -1))
    if bad:
        raise ImageError(
            f"holds {bad:,} voxels that are not finite (NaN or infinite)",
            where=where,
            fix="replace them by a value that means something, or leave the case out with --skip-bad",
        )
    if voxels.dtype == np.float32:
        return voxels
    with np.errstate(over="ignore"):
        narrow = voxels.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise ImageError("holds values too large for float32", where=where, fix="rescale the volume")
    return narrow


def scaled(voxels: Voxels, slope: float, intercept: float) -> Voxels:
    """Return ``voxels * slope + intercept``, once: unchanged for 1 and 0, else float32 computed in float64."""
    if slope == 1 and intercept == 0:
        return voxels
    out = np.empty(voxels.shape, np.float32)
    flat, into = voxels.reshape(-1), out.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, flat.size, _PART):
            into[start : start + _PART] = flat[start : start + _PART].astype(np.float64) * slope + intercept
    return out
