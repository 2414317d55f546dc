"""DICOM that was deflated as a whole: inflated here, within bounds that its own header sets.

A few hundred kilobytes can inflate into gigabytes, and pydicom inflates without asking (PS3.5 annex A.5).
"""

from __future__ import annotations

import io
import zlib
from typing import Any

from semeion.cohort.limits import ReadLimits, bound_pixels, bound_voxels, cut_short
from semeion.errors import ImageError

DEFLATED = "1.2.840.10008.1.2.1.99"
_HEADER_BYTES = 4 << 20
"""How much may be inflated to find the rows and columns."""
_ROOM = 16 << 20
"""What a dataset may hold besides its pixels."""
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))


def meta_end(data: bytes) -> tuple[int, str]:
    """Return where the file meta group ends and the transfer syntax it names ('' when it names none)."""
    at = 132 if data[128:132] == b"DICM" else 0
    syntax = ""
    while data[at : at + 2] == b"\x02\x00" and at + 12 <= len(data):
        element = int.from_bytes(data[at + 2 : at + 4], "little")
        if data[at + 4 : at + 6] in _LONG:
            start, length = at + 12, int.from_bytes(data[at + 8 : at + 12], "little")
        else:
            start, length = at + 8, int.from_bytes(data[at + 6 : at + 8], "little")
        if element == 0x0010:
            syntax = data[start : start + length].decode("ascii", errors="replace").strip(" \x00")
        at = start + length
    return min(at, len(data)), syntax


def inflate(data: bytes, where: str, limits: ReadLimits) -> bytes:
    """Return a deflated DICOM file as an Explicit VR Little Endian one.

    Raises
    ------
    ImageError
        When it inflates to more than its header declares, is cut short, or damaged.
    """
    end, _ = meta_end(data)
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        head = machine.decompress(data[end:], _HEADER_BYTES)
        allowed = _ROOM + _declared_pixel_bytes(head, where, limits)
        rest = machine.decompress(machine.unconsumed_tail, max(allowed - len(head), 1)) if not machine.eof else b""
    except zlib.error as error:
        raise ImageError("the deflated dataset is damaged", where=where, fix="copy or export the file again") from error
    if not machine.eof:
        if machine.unconsumed_tail or len(head) + len(rest) >= allowed:
            raise ImageError(
                f"inflates to more than {allowed:,} bytes, far beyond the image that its header declares",
                where=where,
                fix="export the file without deflation, or leave the case out with --skip-bad",
            )
        raise cut_short(where, "the deflated dataset does not end")
    syntax = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00"
    return bytes(128) + b"DICM" + syntax + head + rest


def _declared_pixel_bytes(head: bytes, where: str, limits: ReadLimits) -> int:
    """Return how many bytes of pixels the header declares."""
    from pydicom.filereader import read_dataset

    try:
        dataset: Any = read_dataset(
            io.BytesIO(head), is_implicit_VR=False, is_little_endian=True, stop_when=_at_or_after_image_group
        )
        rows, cols = int(dataset.get("Rows", 0)), int(dataset.get("Columns", 0))
        samples, bits = int(dataset.get("SamplesPerPixel", 1)), int(dataset.get("BitsAllocated", 8))
        frames = max(int(dataset.get("NumberOfFrames") or 1), 1)
    except MemoryError:
        raise
    # pydicom raises whatever a hostile header makes it stumble over.
    except Exception as error:
        raise ImageError("the deflated dataset is damaged", where=where, fix="export the file again") from error
    bound_pixels(rows, cols, where, limits)
    if frames > 1:
        bound_voxels((frames, rows, cols), where, limits)
    declared = frames * rows * cols * max(min(samples, 4), 1) * -(-max(min(bits, 64), 8) // 8)
    return min(declared, limits.max_array_bytes)


def _at_or_after_image_group(tag: Any, vr: str | None, length: int) -> bool:  # noqa: ARG001 - as pydicom calls it
    """Tell pydicom where to stop, with the arguments that it gives to such a function."""
    return int(tag) >= 0x0029_0000
