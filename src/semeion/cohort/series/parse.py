"""One DICOM file, from its header alone: fast, bounded, and never believed without a look at the file's size."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from semeion.cohort.deflated import DEFLATED, meta_end
from semeion.cohort.limits import ReadLimits, bound_pixels
from semeion.cohort.series.elements import (
    CHUNK,
    UNDEFINED,
    DamagedHeader,
    Elements,
    Read,
    encapsulated_end,
    looks_explicit,
    read_elements,
)
from semeion.cohort.series.header import Header
from semeion.cohort.series.values import IN_GROUPS, WANTED, header_values
from semeion.cohort.sniff import image_format
from semeion.errors import ImageError

DIRECTORY = "1.2.840.10008.1.3.10"
"""Media Storage Directory: a DICOMDIR."""
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED_HEAD = 4 << 20
_DEFLATED_ROOM = 16 << 20
_PIXEL_BITS = {0x7FE00008: 32, 0x7FE00009: 64}


@dataclass(frozen=True)
class Parsed:
    """What one file is.

    Attributes
    ----------
    kind
        ``image``, ``other`` (DICOM without an image: reports, structures), ``directory`` (a DICOMDIR), ``foreign`` (no
        DICOM) or ``damaged``.
    values
        The fields of a :class:`~semeion.cohort.series.header.Header` besides path, size and time, as plain values.
    problem
        Of a damaged file, in words.
    """

    kind: str
    values: dict[str, Any]
    problem: str = ""


def parse(read: Read, size: int, limits: ReadLimits | None = None) -> Parsed:
    """Tell what a file is and what its header says, without touching pixels.

    Parameters
    ----------
    read
        ``read(offset, count)`` returns bytes of the file, fewer where it ends.
    size
        Of the file.
    limits
        Bounds on the declared image of a deflated file, which must be inflated to be read.
    """
    first = read(0, CHUNK)
    marked = first[128:132] == b"DICM"
    if not marked and image_format(first) != "dicom":
        return Parsed("foreign", {})
    try:
        begins, syntax = meta_end(first)
        if begins >= len(first) and size > len(first):
            first = read(0, 1 << 20)
            begins, syntax = meta_end(first)
        if media_class(first[:begins]) == DIRECTORY:
            return Parsed("directory", {})
        if syntax == DEFLATED:
            return _deflated(read, size, begins, syntax, limits or ReadLimits())
        return _plain(read, size, first, begins, syntax, marked)
    except DamagedHeader as error:
        return Parsed("damaged", {}, f"the header {error}")
    except ImageError as error:
        return Parsed("damaged", {}, error.what)


def parse_header(read: Read, size: int, path: str, mtime_ns: int, limits: ReadLimits | None = None) -> Header | None:
    """Return the header of a DICOM image file, or None when it holds no image.

    Raises
    ------
    ImageError
        When the file is damaged DICOM.
    """
    found = parse(read, size, limits)
    if found.kind == "damaged":
        raise ImageError(found.problem, where=path, fix="copy or export the file again")
    if found.kind != "image":
        return None
    return Header.from_values({"path": path, "size": size, "mtime_ns": mtime_ns, **found.values})


def media_class(meta: bytes) -> str:
    """Return the media storage SOP class (0002,0002) that the first bytes of a file name, or ''."""
    at = meta.find(b"\x02\x00\x02\x00UI", 0, 1024)
    if at < 0:
        return ""
    length = int.from_bytes(meta[at + 6 : at + 8], "little")
    return meta[at + 8 : at + 8 + length].decode("ascii", errors="replace").strip(" \x00")


def _plain(read: Read, size: int, first: bytes, begins: int, syntax: str, marked: bool) -> Parsed:
    """Read a dataset that is not deflated."""
    head = first[begins : begins + 8]
    explicit = looks_explicit(head)
    # Without a transfer syntax a first group such as 0x0008 that reads as 0x0800 was written the other way round.
    little = syntax != _BIG_ENDIAN if syntax else not (explicit and int.from_bytes(head[:2], "little") >= 1024)
    found = read_elements(
        read, size, begins, explicit=explicit, little=little, wanted=WANTED, nested=IN_GROUPS, first=first
    )
    values = header_values(found, syntax)
    problems: list[str] = values["problems"]
    if not found.values and (not marked or begins >= size):
        return Parsed("damaged", {}, "the file ends before the dataset begins") if marked else Parsed("foreign", {})
    if not marked and not values.get("sop_class") and not values.get("series_uid") and not values.get("rows"):
        return Parsed("foreign", {})
    if found.end == "pixels":
        if found.pixel_length != UNDEFINED:
            values["pixel_bytes"] = found.pixel_length
            if found.pixel_offset + found.pixel_length > size:
                missing = found.pixel_offset + found.pixel_length - size
                problems.append(f"truncated: {missing:,} of {found.pixel_length:,} bytes of pixels are missing")
            else:
                problems += _short_pixels(values, found)
        elif encapsulated_end(read, size, found.pixel_offset, little) == "cut":
            problems.append("truncated: the compressed pixels do not end")
    elif found.end == "cut":
        problems.append("truncated: the header does not end")
    return _verdict(values, found)


def _verdict(values: dict[str, Any], found: Elements) -> Parsed:
    if not values.get("rows") and not values.get("cols") and found.end != "pixels":
        if found.end == "cut" and _claims_image(values):
            return Parsed("damaged", {}, "the file is cut short within its header")
        return Parsed("other", values)
    if not values.get("rows") or not values.get("cols"):
        values["problems"].append("no-size: rows or columns are absent")
    if found.end != "pixels" and not values["problems"]:
        values["problems"].append("no-pixels: the file ends without pixel data")
    return Parsed("image", values)


def _claims_image(values: dict[str, Any]) -> bool:
    """Tell whether a header that is cut before its rows began an image: others seldom name an image type."""
    return not values.get("sop_class") or bool(values.get("image_type"))


def _short_pixels(values: dict[str, Any], found: Elements) -> list[str]:
    """Compare the declared pixel length with what rows, columns, frames and bits need (PS3.5 section 8)."""
    bits = _PIXEL_BITS.get(found.pixel_tag, values.get("bits_allocated", 0))
    count = values.get("rows", 0) * values.get("cols", 0) * values.get("frames", 1)
    samples = values.get("samples", 1)
    if values.get("photometric") == "YBR_FULL_422":
        samples = 2
    needed = (count * samples * bits + 7) // 8
    if found.pixel_length < needed:
        return [f"truncated: {needed:,} bytes of pixels are declared by the size and {found.pixel_length:,} stored"]
    return []


def _deflated(read: Read, size: int, begins: int, syntax: str, limits: ReadLimits) -> Parsed:
    """Inflate the beginning of a deflated dataset, then check its end piece by piece within what it declares."""
    if size > limits.max_bytes:
        return Parsed("damaged", {}, f"the deflated file has {size:,} bytes, more than the {limits.max_bytes:,} read")
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        head = machine.decompress(read(begins, size - begins), _DEFLATED_HEAD)

        def inflated(at: int, count: int) -> bytes:
            return head[at : at + count]

        longest = len(head) if machine.eof else 1 << 62
        found = read_elements(
            inflated, longest, 0, explicit=True, little=True, wanted=WANTED, nested=IN_GROUPS, first=head[:CHUNK]
        )
        values = header_values(found, syntax)
        rows, cols, frames = values.get("rows", 0), values.get("cols", 0), values.get("frames", 1)
        declared = 0
        if rows or cols:
            bound_pixels(rows, cols, "", limits)
            bits = -(-min(values.get("bits_allocated", 8), 64) // 8)
            declared = rows * cols * max(min(values.get("samples", 1), 4), 1) * max(bits, 1) * min(frames, 1 << 16)
        done, allowed = len(head), declared + _DEFLATED_ROOM
        while not machine.eof and done < allowed:
            piece = machine.decompress(machine.unconsumed_tail, 1 << 20)
            if not piece and not machine.eof:
                break
            done += len(piece)
    except zlib.error:
        return Parsed("damaged", {}, "the deflated dataset is damaged")
    if done >= allowed:
        return Parsed("damaged", {}, f"the deflated dataset inflates to more than {allowed:,} bytes")
    if found.end == "pixels" and found.pixel_length != UNDEFINED:
        values["pixel_bytes"] = found.pixel_length
        values["problems"] += _short_pixels(values, found)
    if not machine.eof or (found.end == "pixels" and found.pixel_offset + values.get("pixel_bytes", 0) > done):
        values["problems"].append("truncated: the deflated dataset does not end")
    return _verdict(values, found)
