"""Headers of TIFF files: declared size before decoding, and whether the file is whole.

Source: TIFF revision 6.0, sections 2, 8 and 15; BigTIFF as described by the libtiff project.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from semeion.cohort.headers import Header
from semeion.cohort.limits import ReadLimits, bound_pixels, cut_short
from semeion.errors import ImageError

# Field type -> struct letter and bytes. 5 and 10 (rationals) and the rest are not needed here.
_TYPES = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 6: ("b", 1), 8: ("h", 2), 9: ("i", 4), 13: ("I", 4), 16: ("Q", 8)}
_MAX_FIELD = 16 << 20
_MAX_PAGES = 256


@dataclass(frozen=True)
class _Page:
    """Tags of one image file directory."""

    tags: dict[int, Sequence[int]] = field(default_factory=dict)

    def one(self, tag: int, default: int) -> int:
        values = self.tags.get(tag, ())
        return int(values[0]) if len(values) else default


def tiff_header(data: bytes, where: str, limits: ReadLimits) -> Header:
    """Read a TIFF's directories.

    Raises
    ------
    ImageError
        Too large, cut short, several pages, or a kind of pixel that cannot be read faithfully.
    """
    pages = _pages(data, where)
    page = pages[0]
    rows, cols = page.one(257, 0), page.one(256, 0)
    bound_pixels(rows, cols, where, limits)
    if 322 in page.tags:
        bound_pixels(page.one(323, 0), page.one(322, 0), where, limits)
    # A later page may be a thumbnail (bit 0 of NewSubfileType) or a mask (bit 2) of the first one.
    others = [index for index, other in enumerate(pages[1:], 2) if not other.one(254, 0) & 0b101]
    if others:
        raise ImageError(
            f"holds {len(others) + 1} pages; this version reads one picture a file",
            where=where,
            fix="save the page that matters as a file of its own; a stack of slices is read as NIfTI, NRRD or DICOM",
        )
    _require_known_pixels(page, where)
    _require_whole(page, rows, cols, len(data), where)
    bits = page.one(258, 1)
    # libtiff turns white-is-zero round only where it also converts to 8 bits.
    inverted = page.one(262, 1) == 0 and bits > 8
    oriented = ("exif-rotated",) if page.one(274, 1) in range(2, 9) else ()
    return Header(rows, cols, 8 if page.one(262, 1) == 3 else bits, inverted=inverted, notes=oriented)


def _require_known_pixels(page: _Page, where: str) -> None:
    """Refuse pixels that the decoder would misread without a word."""
    photometric, samples = page.one(262, 1), page.one(277, 1)
    kind = {5: "CMYK", 8: "CIE Lab", 9: "ICC Lab", 10: "ITU Lab", 32803: "raw camera", 34892: "raw camera"}
    if photometric in kind:
        raise ImageError(f"is a {kind[photometric]} TIFF", where=where, fix="save it as grey or RGB")
    usual = {0: (1,), 1: (1,), 2: (3, 4), 3: (1,), 6: (3,)}.get(photometric, (1, 3, 4))
    if samples not in usual:
        raise ImageError(
            f"is a TIFF with {samples} samples a pixel",
            where=where,
            fix="save it as grey or RGB, nothing more",
        )
    sample_format, bits = page.one(339, 1), page.one(258, 1)
    if sample_format in (5, 6):
        raise ImageError("is a TIFF of complex numbers", where=where, fix="save its magnitude as float32")
    wide = sample_format in (1, 2) and bits > 16
    if wide or (sample_format == 2 and bits != 16):
        raise ImageError(
            f"is a TIFF of {bits}-bit {'signed' if sample_format == 2 else 'unsigned'} integers",
            where=where,
            fix="save it as uint8, uint16, int16 or float32",
        )


def _require_whole(page: _Page, rows: int, cols: int, size: int, where: str) -> None:
    """Refuse a file whose strips or tiles lie beyond its end, or are too few."""
    offsets, counts = page.tags.get(324, page.tags.get(273, ())), page.tags.get(325, page.tags.get(279, ()))
    if 322 in page.tags:
        down, across = -(-rows // page.one(323, rows)), -(-cols // page.one(322, cols))
        expected = down * across
    else:
        expected = -(-rows // max(min(page.one(278, rows), rows), 1))
    samples = page.one(277, 1)
    if page.one(284, 1) == 2:
        expected *= samples
    if len(offsets) < expected:
        raise cut_short(where, f"the TIFF has {len(offsets)} of {expected} parts of its picture")
    if len(counts) == len(offsets):
        beyond = sum(start + length > size for start, length in zip(offsets, counts, strict=True))
    else:
        beyond = sum(start >= size for start in offsets)
    if beyond:
        raise cut_short(where, f"{beyond} of {len(offsets)} parts of the TIFF's picture lie beyond its end")
    plain = page.one(259, 1) == 1
    if (
        plain
        and counts
        and 322 not in page.tags
        and sum(counts) < rows * ((cols * samples * page.one(258, 1) + 7) // 8)
    ):
        raise cut_short(where, f"the TIFF declares {rows} x {cols} pixels and holds fewer")


def _pages(data: bytes, where: str) -> list[_Page]:
    """Return the directories of the file, at least one."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\x00", b"\x00+")
    if len(data) < (16 if big else 8):
        raise cut_short(where, "the TIFF header is not whole")
    at = struct.unpack_from(f"{order}Q", data, 8)[0] if big else struct.unpack_from(f"{order}I", data, 4)[0]
    pages: list[_Page] = []
    while at and len(pages) < _MAX_PAGES:
        page, at = _page(data, at, order, big, where)
        pages.append(page)
    if not pages:
        raise cut_short(where, "the TIFF has no picture")
    return pages


def _page(data: bytes, at: int, order: str, big: bool, where: str) -> tuple[_Page, int]:
    """Return one directory and where the next one begins (0: none)."""
    head, entry, word = ("Q", 20, 8) if big else ("H", 12, 4)
    offset_letter = "Q" if big else "I"
    width = struct.calcsize(f"{order}{head}")
    if at + width > len(data):
        raise cut_short(where, "the TIFF's directory lies beyond its end")
    (count,) = struct.unpack_from(f"{order}{head}", data, at)
    end = at + width + entry * count
    if count > 4096 or end + word > len(data):
        raise cut_short(where, "the TIFF's directory is not whole")
    tags: dict[int, Sequence[int]] = {}
    for index in range(count):
        place = at + width + entry * index
        tag, kind = struct.unpack_from(f"{order}HH", data, place)
        (number,) = struct.unpack_from(f"{order}{offset_letter}", data, place + 4)
        if kind not in _TYPES:
            continue
        letter, size = _TYPES[kind]
        value_at = place + 4 + word
        if number * size > word:
            (value_at,) = struct.unpack_from(f"{order}{offset_letter}", data, value_at)
        if number * size > _MAX_FIELD or value_at + number * size > len(data):
            # Only the tags that say where pixels are must be whole; private ones may be anything.
            if tag in (273, 279, 324, 325):
                raise cut_short(where, "the TIFF's list of parts is not whole")
            continue
        tags[tag] = struct.unpack_from(f"{order}{number}{letter}", data, value_at)
    (following,) = struct.unpack_from(f"{order}{offset_letter}", data, end)
    return _Page(tags), int(following)
