"""Headers of PNG, JPEG, BMP and WebP files: declared size before decoding, and whether the file is whole.

Sources: PNG, W3C Recommendation (third edition), sections 5 and 11; JPEG, ITU-T T.81 annex B; BMP, Microsoft
``BITMAPINFOHEADER``; WebP, RFC 9649 section 2; orientation, Exif 2.32 tag 0112.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

from semeion.cohort.limits import ReadLimits, bound_pixels, cut_short
from semeion.errors import ImageError


@dataclass(frozen=True)
class Header:
    """What a picture file declares.

    Attributes
    ----------
    rows, cols
        Size as stored, before the orientation is honoured.
    bits
        Bits per channel as stored; 8 for a palette.
    orientation
        Exif orientation, 1 (upright) to 8; 1 when the decoder honours it by itself.
    transparent
        Grey level that PNG's ``tRNS`` declares transparent, in units of the decoded array; None when there is none.
    inverted
        The decoder returns white as 0, so the values must be turned round.
    notes
        Coded remarks.
    """

    rows: int
    cols: int
    bits: int = 8
    orientation: int = 1
    transparent: int | None = None
    inverted: bool = False
    notes: tuple[str, ...] = ()


def exif_orientation(block: bytes) -> int:
    """Return the orientation in an Exif block (a small TIFF structure); 1 when it holds none that is valid."""
    if block[:2] not in (b"II", b"MM") or len(block) < 14:
        return 1
    order = "<" if block[:2] == b"II" else ">"
    (offset,) = struct.unpack_from(f"{order}I", block, 4)
    if offset + 2 > len(block):
        return 1
    (count,) = struct.unpack_from(f"{order}H", block, offset)
    for index in range(min(count, 512)):
        at = offset + 2 + 12 * index
        if at + 12 > len(block):
            break
        tag, kind, _ = struct.unpack_from(f"{order}HHI", block, at)
        if tag == 0x0112 and kind == 3:
            (value,) = struct.unpack_from(f"{order}H", block, at + 8)
            return int(value) if 1 <= value <= 8 else 1
    return 1


def png_header(data: bytes, where: str, limits: ReadLimits) -> Header:
    """Read a PNG's chunks and verify every checksum.

    Raises
    ------
    ImageError
        Too large, cut short, damaged, or several frames.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise cut_short(where, "the PNG header is missing")
    cols, rows, bits, colour_type = struct.unpack_from(">IIBB", data, 16)
    bound_pixels(rows, cols, where, limits)
    orientation, transparent, ended, has_data = 1, None, False, False
    view, at = memoryview(data), 8
    while at < len(data):
        if at + 12 > len(data):
            raise cut_short(where, "the PNG ends inside a chunk")
        length = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            raise cut_short(where, f"the PNG chunk {name.decode('latin-1')!r} is not whole")
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ImageError(
                f"the file is damaged: the checksum of PNG chunk {name.decode('latin-1')!r} is wrong",
                where=where,
                fix="copy or export the image again",
            )
        if name == b"IDAT":
            has_data = True
        elif name == b"eXIf":
            orientation = exif_orientation(data[at + 8 : end - 4])
        elif name == b"tRNS" and colour_type == 0 and length == 2:
            # OpenCV drops the transparency of grey files; it scales 1, 2 and 4 bits to 0..255.
            level = int.from_bytes(data[at + 8 : at + 10], "big")
            transparent = level * (255 // ((1 << bits) - 1)) if bits < 8 else level
        elif name == b"acTL" and int.from_bytes(data[at + 8 : at + 12], "big") > 1:
            raise _several(where, "an animated PNG")
        elif name == b"IEND":
            ended = True
            break
        at = end
    if not ended or not has_data:
        raise cut_short(where, "the PNG has no end" if has_data else "the PNG has no image data")
    return Header(rows, cols, bits if colour_type != 3 else 8, orientation, transparent)


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A JPEG marker that is neither a stuffed byte nor a restart nor a fill byte."""
_MARKER_LS = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""The same for JPEG-LS, which stuffs a zero bit where JPEG stuffs a zero byte (ITU-T T.87, annex A)."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Start-of-frame markers; F7 is that of JPEG-LS (ITU-T T.87)."""


@dataclass(frozen=True)
class JpegFrame:
    """A JPEG's declared size, precision, components and Exif orientation, and whether it reaches its end marker."""

    rows: int
    cols: int
    bits: int
    components: int
    orientation: int
    whole: bool


def jpeg_frame(data: bytes) -> JpegFrame | None:
    """Walk the markers of a JPEG or JPEG-LS stream; None when it ends before the frame header."""
    at, frame, orientation, pattern = 2, None, 1, _MARKER
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None if frame is None else JpegFrame(*frame, orientation, False)
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xD9:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):
            return None if frame is None else JpegFrame(*frame, orientation, False)
        if marker in _FRAMES and length >= 8 and frame is None:
            bits, rows, cols, components = struct.unpack_from(">BHHB", data, at + 4)
            frame = (rows, cols, bits, components)
            pattern = _MARKER_LS if marker == 0xF7 else _MARKER
        elif marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\x00\x00":
            orientation = exif_orientation(data[at + 10 : at + 2 + length])
        at += 2 + length
        if marker == 0xDA:
            found = pattern.search(data, at)
            if found is None:
                return None if frame is None else JpegFrame(*frame, orientation, False)
            at = found.start()
    if frame is None:
        return None
    return JpegFrame(*frame, orientation, whole=data[at : at + 2] == b"\xff\xd9")


def jpeg_warning(data: bytes) -> str:
    """Return what libjpeg warns of in a JPEG's header, before its first scan; empty where that is nothing.

    A version of JFIF that there is not, and a colour transform of Adobe's that does not suit the components (jdmarker.c
    and jdapimin.c of libjpeg 6b). What else it warns of there :func:`jpeg_frame` takes for an end.
    """
    at, frame, jfif, transform = 2, jpeg_frame(data), False, 0
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0xD9, 0xDA):
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if marker == 0xE0 and body[:5] == b"JFIF\x00" and len(body) >= 14:
            if body[5] != 1:
                return f"version {body[5]} of JFIF, and there is only 1"
            jfif = True
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            transform = body[11]
        at += 2 + length
    known = {3: (0, 1), 4: (0, 2)}.get(frame.components if frame else 0)
    return "" if known is None or jfif or transform in known else f"colour transform {transform} of Adobe's"


def jpeg_header(data: bytes, where: str, limits: ReadLimits) -> Header:
    """Read a JPEG's frame header and look for its end.

    Raises
    ------
    ImageError
        Too large or cut short.
    """
    frame = jpeg_frame(data)
    if frame is None:
        raise cut_short(where, "the JPEG has no frame header")
    bound_pixels(frame.rows, frame.cols, where, limits)
    if not frame.whole:
        raise cut_short(where, "the JPEG has no end marker")
    return Header(frame.rows, frame.cols, frame.bits, frame.orientation)


def bmp_header(data: bytes, where: str, limits: ReadLimits) -> Header:
    """Read a BMP's header.

    Raises
    ------
    ImageError
        Too large, cut short, or a compression that is not read.
    """
    if len(data) < 26:
        raise cut_short(where, "the BMP header is not whole")
    file_size, offset, header_size = struct.unpack_from("<I4xII", data, 2)
    if header_size in (12, 16):
        cols, rows, _, depth = struct.unpack_from("<HHHH", data, 18) if header_size == 12 else (0, 0, 0, 0)
        compression = 0
    elif len(data) < 54:
        raise cut_short(where, "the BMP header is not whole")
    else:
        cols, rows, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
        rows = abs(rows)  # A negative height means that the top row comes first.
    bound_pixels(rows, cols, where, limits)
    if compression in (0, 3, 6):
        if offset + (cols * depth + 31) // 32 * 4 * rows > len(data):
            raise cut_short(where, f"the BMP declares {rows} x {cols} pixels of {depth} bits")
    elif compression in (1, 2):
        if file_size > len(data):
            raise cut_short(where, f"the BMP declares {file_size} bytes and has {len(data)}")
    else:
        raise ImageError(f"BMP compression {compression} is not read", where=where, fix="save it as PNG")
    return Header(rows, cols)


def webp_header(data: bytes, where: str, limits: ReadLimits) -> Header:
    """Read a WebP's chunks.

    Raises
    ------
    ImageError
        Too large, cut short, or several frames.
    """
    declared = int.from_bytes(data[4:8], "little") + 8
    if len(data) < 30:
        raise cut_short(where, "the WebP header is not whole")
    rows, cols = _webp_size(data, where)
    bound_pixels(rows, cols, where, limits)
    # A chunk of odd length is padded by one byte, which some writers leave out at the very end.
    if declared > len(data) + 1:
        raise cut_short(where, f"the WebP declares {declared} bytes and has {len(data)}")
    orientation, at = 1, 12
    while at + 8 <= min(declared, len(data)):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            raise cut_short(where, f"the WebP chunk {name.decode('latin-1')!r} is not whole")
        if name in (b"ANIM", b"ANMF"):
            raise _several(where, "an animated WebP")
        if name == b"EXIF":
            block = data[at + 8 : at + 8 + length]
            orientation = exif_orientation(block.removeprefix(b"Exif\x00\x00"))
        at += 8 + length + length % 2
    return Header(rows, cols, orientation=orientation)


def _webp_size(data: bytes, where: str) -> tuple[int, int]:
    """Return rows and columns that the first chunk declares."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[27:30], "little"), 1 + int.from_bytes(data[24:27], "little")
    if kind == b"VP8L" and data[20] == 0x2F:
        packed = int.from_bytes(data[21:25], "little")
        return 1 + (packed >> 14 & 0x3FFF), 1 + (packed & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        cols, rows = struct.unpack_from("<HH", data, 26)
        return rows & 0x3FFF, cols & 0x3FFF
    raise ImageError("the file is damaged: its WebP header is unknown", where=where, fix="export the image again")


def _several(where: str, what: str) -> ImageError:
    return ImageError(
        f"holds several pictures ({what}); this version reads one picture a file",
        where=where,
        fix="export the picture that matters as a file of its own",
    )
