"""Walks the data elements of a DICOM file without trusting it: a few wanted values are read, the rest is stepped over.

Sources: DICOM PS3.5 sections 7.1 (elements), 7.5 (sequences) and annex A (transfer syntaxes). Every length is compared
with the file's size before anything is read, elements are counted and the depth of sequences is bounded, so that the
cost of a file is bounded whatever it declares. Pixels are never read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

UNDEFINED = 0xFFFFFFFF
PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
MAX_DEPTH = 16
"""Sequences within sequences; real headers use five or six."""
MAX_ELEMENTS = 1_000_000
"""Elements of one header; an enhanced file of 10,000 frames has about half a million."""
MAX_VALUE = 1 << 16
"""Longest value of a wanted element; none has more than a few hundred bytes."""
CHUNK = 1 << 13

_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

Read = Callable[[int, int], bytes]
"""``read(offset, count)`` returns the bytes of a file there; fewer where it ends."""
Value = tuple[bytes, Any]
"""Value representation (empty when implicit) and bytes, or the items of a sequence."""


class DamagedHeader(Exception):
    """The header's structure makes no sense, or exceeds a bound; the text says which."""


@dataclass
class Elements:
    """Wanted elements of one dataset, and where its pixels are.

    Attributes
    ----------
    values
        Tag to value.
    little
        Byte order of numbers.
    end
        ``pixels`` when pixel data was met, ``file`` when the file ended between elements, ``cut`` when within one.
    pixel_tag, pixel_offset, pixel_length
        The pixel data element; the length is :data:`UNDEFINED` when it is encapsulated.
    """

    values: dict[int, Value] = field(default_factory=dict)
    little: bool = True
    end: str = "file"
    pixel_tag: int = 0
    pixel_offset: int = 0
    pixel_length: int = 0


@dataclass(frozen=True)
class _Coding:
    explicit: Struct
    implicit: Struct
    long: Struct


_LITTLE = _Coding(Struct("<HH2sH"), Struct("<HHL"), Struct("<L"))
_BIG = _Coding(Struct(">HH2sH"), Struct(">HHL"), Struct(">L"))


def looks_explicit(head: bytes) -> bool:
    """Tell by the first element whether value representations are written; the transfer syntax is sometimes wrong."""
    return len(head) >= 6 and 0x40 < head[4] < 0x5B and 0x40 < head[5] < 0x5B


def read_elements(
    read: Read,
    size: int,
    at: int,
    *,
    explicit: bool,
    little: bool,
    wanted: frozenset[int],
    nested: frozenset[int] = frozenset(),
    first: bytes = b"",
) -> Elements:
    """Read the `wanted` elements from offset `at` up to the pixel data.

    Parameters
    ----------
    read, size
        The file.
    at
        Where the dataset begins.
    explicit, little
        How it is written.
    wanted
        Tags whose values are kept.
    nested
        Tags that are kept inside a wanted sequence, sequences among them.
    first
        Bytes of the file from offset 0 that were read already.

    Raises
    ------
    DamagedHeader
        A structure that makes no sense, too many elements or too deep sequences.
    """
    found = Elements(little=little)
    values = found.values
    coding = _LITTLE if little else _BIG
    unpack, unpack_long = (coding.explicit if explicit else coding.implicit).unpack_from, coding.long.unpack_from
    walker = _Walker(read, size, coding, nested)
    data, base, position = first, 0, at
    ready = len(data) - 12
    count = 0
    while True:
        if position > ready:
            at = base + position
            if at + 8 > size:
                found.end = "file" if at >= size else "cut"
                return found
            data, base, position = read(at, CHUNK), at, 0
            ready = len(data) - 12
            if ready < 0:
                if len(data) < 8:
                    found.end = "cut"
                    return found
                data += bytes(12 - len(data))
                ready = 0
        count += 1
        if count > MAX_ELEMENTS:
            raise DamagedHeader(f"holds more than {MAX_ELEMENTS:,} elements")
        if explicit:
            group, element, vr, length = unpack(data, position)
            start = position + 8
            if vr in _LONG:
                length = unpack_long(data, start)[0]
                start += 4
            elif not b"AA" <= vr <= b"ZZ":
                # Some writers switch to implicit representation half way.
                length, vr = unpack_long(data, position + 4)[0], b""
        else:
            group, element, length = unpack(data, position)
            vr, start = b"", position + 8
        tag = group << 16 | element
        if group >= 0x7FE0:
            if tag in PIXELS:
                found.end, found.pixel_tag = "pixels", tag
                found.pixel_offset, found.pixel_length = base + start, length
                return found
            if group == 0xFFFE:
                found.end = "file"
                return found
        if length == UNDEFINED:
            keep = tag in wanted
            at, items = walker.sequence(base + start, length, not explicit or vr == b"UN", 1, keep)
            if keep:
                values[tag] = (b"SQ", items)
            data, base, position, ready = b"", at, 0, -12
            if walker.cut:
                found.end = "cut"
                return found
            continue
        end = start + length
        if tag in wanted:
            if base + end > size:
                found.end = "cut"
                return found
            if vr == b"SQ" or (not vr and length >= 8 and walker.item_at(base + start)):
                values[tag] = (b"SQ", walker.sequence(base + start, length, not explicit, 1, True)[1])
            elif length <= MAX_VALUE:
                values[tag] = (vr, data[start:end] if end <= len(data) else read(base + start, length))
        position = end
        if base + end > size:
            found.end = "cut"
            return found


class _Walker:
    """Walks sequences, item by item, by offset; nothing is read twice but a few bytes at the edge of a chunk."""

    def __init__(self, read: Read, size: int, coding: _Coding, nested: frozenset[int]) -> None:
        self.read, self.size, self.coding, self.nested = read, size, coding, nested
        self.data, self.base = b"", 0
        self.count = 0
        self.cut = False

    def _bytes(self, at: int, length: int) -> bytes:
        """Return `length` bytes at `at`; fewer where the file ends, which is noted."""
        start = at - self.base
        if start < 0 or start + length > len(self.data):
            self.data, self.base, start = self.read(at, max(length, CHUNK)), at, 0
        found = self.data[start : start + length]
        if len(found) < length:
            self.cut = True
        return found

    def sequence(
        self, at: int, length: int, implicit: bool, depth: int, keep: bool
    ) -> tuple[int, list[dict[int, Value]]]:
        """Walk the items of a sequence (or fragments of pixels) and return where it ends, with kept values."""
        if depth > MAX_DEPTH:
            raise DamagedHeader(f"nests sequences more than {MAX_DEPTH} deep")
        end = self.size if length == UNDEFINED else at + length
        items: list[dict[int, Value]] = []
        while at < end and not self.cut:
            head = self._bytes(at, 8)
            if len(head) < 8:
                break
            group, element, size = self.coding.implicit.unpack(head)
            tag = group << 16 | element
            self._counted()
            at += 8
            if tag == _SEQUENCE_END:
                return at, items
            if tag != _ITEM:
                raise DamagedHeader(f"holds ({group:04X},{element:04X}) where an item of a sequence should begin")
            if size != UNDEFINED and not keep:
                at += size
                self.cut = at > self.size
                continue
            at, item = self.dataset(at, size, implicit, depth, keep)
            items.append(item)
        if length == UNDEFINED:
            self.cut = True
        return at, items

    def dataset(self, at: int, length: int, implicit: bool, depth: int, keep: bool) -> tuple[int, dict[int, Value]]:
        """Walk the elements of one item and return where it ends, with kept values."""
        end = self.size if length == UNDEFINED else at + length
        kept: dict[int, Value] = {}
        explicit = not implicit and looks_explicit(self._bytes(at, min(8, max(end - at, 0))))
        while at < end and not self.cut:
            head = self._bytes(at, 8)
            if len(head) < 8:
                break
            group, element, size = self.coding.implicit.unpack(head)
            tag, vr = group << 16 | element, b""
            self._counted()
            at += 8
            if tag == _ITEM_END:
                return at, kept
            if explicit:
                _, _, vr, short = self.coding.explicit.unpack(head)
                if vr in _LONG:
                    wide = self._bytes(at, 4)
                    if len(wide) < 4:
                        break
                    size = self.coding.long.unpack(wide)[0]
                    at += 4
                elif b"AA" <= vr <= b"ZZ":
                    size = short
                else:
                    vr = b""
            wanted = keep and tag in self.nested
            if size == UNDEFINED:
                at, items = self.sequence(at, size, implicit or vr == b"UN", depth + 1, wanted)
                if wanted:
                    kept[tag] = (b"SQ", items)
                continue
            if wanted and at + size <= self.size:
                if vr == b"SQ" or (not vr and size >= 8 and self.item_at(at)):
                    kept[tag] = (b"SQ", self.sequence(at, size, implicit, depth + 1, True)[1])
                elif size <= MAX_VALUE:
                    kept[tag] = (vr, self._bytes(at, size))
            at += size
            self.cut = self.cut or at > self.size
        if length == UNDEFINED:
            self.cut = True
        return at, kept

    def item_at(self, at: int) -> bool:
        """Tell whether an item of a sequence begins here: implicit representation does not name sequences."""
        return self._bytes(at, 4) in (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")

    def _counted(self) -> None:
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise DamagedHeader(f"holds more than {MAX_ELEMENTS:,} elements")


def encapsulated_end(read: Read, size: int, at: int, little: bool = True) -> str:
    """Tell how encapsulated pixel data that begins at `at` ends.

    Returns
    -------
    str
        ``whole`` when the end marker is there, ``cut`` when the file ends within a fragment or before the marker.

    Raises
    ------
    DamagedHeader
        When something else than a fragment stands where one should begin.
    """
    marker = b"\xfe\xff\xdd\xe0" if little else b"\xff\xfe\xe0\xdd"
    if read(max(size - 8, at), 8)[:4] == marker:
        return "whole"
    walker = _Walker(read, size, _LITTLE if little else _BIG, frozenset())
    walker.sequence(at, UNDEFINED, False, 1, False)
    return "cut" if walker.cut else "whole"
