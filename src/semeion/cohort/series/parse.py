"""One DICOM file, from its header alone: fast, bounded, and never believed without a look at the file's size."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from struct import unpack
from typing import Any

from semeion.cohort.deflated import DEFLATED, meta_end
from semeion.cohort.limits import ReadLimits, bound_pixels
from semeion.cohort.series.elements import (
    CHUNK,
    UNDEFINED,
    DamagedHeader,
    Elements,
    Read,
    Value,
    encapsulated_end,
    looks_explicit,
    read_elements,
)
from semeion.cohort.series.header import Header
from semeion.cohort.sniff import image_format
from semeion.errors import ImageError

DIRECTORY = "1.2.840.10008.1.3.10"
"""Media Storage Directory: a DICOMDIR."""
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED_HEAD = 4 << 20
_DEFLATED_ROOM = 16 << 20
_PIXEL_BITS = {0x7FE00008: 32, 0x7FE00009: 64}

_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_POSITION, _ORIENTATION, _SPACING, _THICKNESS = 0x00200032, 0x00200037, 0x00280030, 0x00180050
_IN_GROUPS = frozenset(
    (_SHARED, _PER_FRAME, 0x00209113, 0x00209116, 0x00289110, _POSITION, _ORIENTATION, _SPACING, _THICKNESS)
)
_CHARSET = 0x00080005
_TEXTS = {
    0x00080016: "sop_class",
    0x00080018: "sop_uid",
    0x00080060: "modality",
    0x0008103E: "description",
    0x00100020: "patient_id",
    0x00100021: "issuer",
    0x0020000D: "study_uid",
    0x0020000E: "series_uid",
    0x00200052: "frame_of_reference",
    0x00280004: "photometric",
}
_COUNTS = {
    0x00200011: "series_number",
    0x00200012: "acquisition_number",
    0x00200013: "instance_number",
    0x00200100: "temporal_position",
}
_REALS = {
    0x00181060: "trigger_time",
    0x00180081: "echo_time",
    0x00180088: "between",
    0x00189087: "b_value",
    _THICKNESS: "thickness",
}
_SIZES = {0x00280010: "rows", 0x00280011: "cols", 0x00280100: "bits_allocated"}
_DATES = (0x00080021, 0x00080020, 0x00080022, 0x00080023)
_IMAGE_TYPE, _FRAMES, _SAMPLES = 0x00080008, 0x00280008, 0x00280002
# Diffusion and mosaics of classic MR files: private elements, read only under their maker's name (Siemens and GE
# conformance statements; GE adds a billion to the value).
_SIEMENS, _SIEMENS_B, _GE, _GE_B = 0x00190010, 0x0019100C, 0x00430010, 0x00431039
_SIEMENS_TILES = 0x0019100A
_MOST_TILES = 4096
_IMPLICIT_VR = {
    **dict.fromkeys((*_COUNTS, _FRAMES, _SIEMENS_B, _GE_B), b"IS"),
    **dict.fromkeys((*_SIZES, _SAMPLES, _SIEMENS_TILES), b"US"),
    **dict.fromkeys(_REALS, b"DS"),
    0x00189087: b"FD",
}
WANTED = frozenset(
    (
        *(*_TEXTS, *_COUNTS, *_REALS, *_SIZES, *_DATES, _CHARSET, _IMAGE_TYPE, _FRAMES, _SAMPLES, _POSITION),
        *(_ORIENTATION, _SPACING, _SHARED, _PER_FRAME, _SIEMENS, _SIEMENS_B, _SIEMENS_TILES, _GE, _GE_B),
    )
)
_NUMBERS = {b"US": "H", b"SS": "h", b"UL": "L", b"SL": "l", b"FD": "d", b"FL": "f", b"UV": "Q", b"SV": "q"}


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
        read, size, begins, explicit=explicit, little=little, wanted=WANTED, nested=_IN_GROUPS, first=first
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
            inflated, longest, 0, explicit=True, little=True, wanted=WANTED, nested=_IN_GROUPS, first=head[:CHUNK]
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


def header_values(found: Elements, syntax: str) -> dict[str, Any]:
    """Return the fields of a header as plain values; what is absent is left out."""
    problems: list[str] = []
    values: dict[str, Any] = {"transfer_syntax": syntax, "problems": problems}
    raw = found.values
    charset = raw.get(_CHARSET, (b"", b""))[1]
    for tag, name in _TEXTS.items():
        if tag in raw:
            values[name] = _text(raw[tag][1], charset)
    for names, convert in ((_COUNTS, int), (_REALS, float), (_SIZES, int)):
        for tag, name in names.items():
            if tag in raw and (number := _one(tag, raw[tag], convert, name, found.little, problems)) is not None:
                values[name] = number
    for tag, name in ((_FRAMES, "frames"), (_SAMPLES, "samples")):
        if tag in raw:
            number = _one(tag, raw[tag], int, name, found.little, problems)
            values[name] = number if number and number > 0 else 1
    values["date"] = next((text for tag in _DATES if tag in raw and (text := _text(raw[tag][1], b""))), "")
    if _IMAGE_TYPE in raw:
        parts = _text(raw[_IMAGE_TYPE][1], b"")
        values["image_type"] = [part.strip() for part in parts.split("\\")] if parts else []
    _place(values, raw, found.little, problems)
    _private(values, raw, found.little)
    if _PER_FRAME in raw or _SHARED in raw:
        _functional_groups(values, raw, found.little, problems)
    return values


def _place(values: dict[str, Any], raw: dict[int, Value], little: bool, problems: list[str]) -> None:
    """Read position, orientation and spacing."""
    for tag, name, count in ((_POSITION, "position", 3), (_ORIENTATION, "orientation", 6), (_SPACING, "spacing", 2)):
        if tag in raw and (numbers := _many(raw[tag], count, little)) is not None:
            if numbers:
                values[name] = numbers
            else:
                problems.append(f"unreadable-value: {name}")


def _private(values: dict[str, Any], raw: dict[int, Value], little: bool) -> None:
    """Read what makers keep in elements of their own, where the standard's are absent."""
    number = None
    if _text(raw.get(_SIEMENS, (b"", b""))[1], b"") == "SIEMENS MR HEADER":
        if _SIEMENS_B in raw:
            number = _one(_SIEMENS_B, raw[_SIEMENS_B], float, "", little, [])
        if _SIEMENS_TILES in raw and "MOSAIC" in values.get("image_type", ()):
            tiles = _one(_SIEMENS_TILES, raw[_SIEMENS_TILES], int, "", little, []) or 0
            values["tiles"] = tiles if 0 < tiles <= _MOST_TILES else 0
    elif _GE_B in raw and _text(raw.get(_GE, (b"", b""))[1], b"") == "GEMS_PARM_01":
        number = _one(_GE_B, raw[_GE_B], float, "", little, [])
        number = number % 1_000_000_000 if number is not None and number >= 0 else None
    if number is not None:
        values.setdefault("b_value", number)


def _functional_groups(values: dict[str, Any], raw: dict[int, Value], little: bool, problems: list[str]) -> None:
    """Collect what the frames of an enhanced file say of their place (PS3.3 C.7.6.16)."""
    values["enhanced"] = True
    shared = (_items(raw.get(_SHARED)) or [{}])[0]
    frames = _items(raw.get(_PER_FRAME))

    def of(item: dict[int, Value], macro: int, tag: int, count: int) -> list[float] | None:
        for holder in (item, shared):
            inner = _items(holder.get(macro))
            if inner and tag in inner[0]:
                return _many(inner[0][tag], count, little) or None
        return None

    positions = [of(item, 0x00209113, _POSITION, 3) for item in frames]
    orientations: list[list[float]] = []
    for item in frames or [{}]:
        cosines = of(item, 0x00209116, _ORIENTATION, 6)
        if cosines and cosines not in orientations:
            orientations.append(cosines)
    if positions and all(positions):
        values["frame_positions"] = positions
        values["position"] = positions[0]
    elif any(positions):
        problems.append(f"no-position: {sum(place is None for place in positions)} of {len(positions)} frames")
    if orientations:
        values["frame_orientations"], values["orientation"] = orientations, orientations[0]
    first = frames[0] if frames else {}
    if spacing := of(first, 0x00289110, _SPACING, 2):
        values["spacing"] = spacing
    if thickness := of(first, 0x00289110, _THICKNESS, 1):
        values["thickness"] = thickness[0]


def _items(value: Value | None) -> list[dict[int, Value]]:
    return value[1] if value is not None and isinstance(value[1], list) else []


def _numbers(value: Value, little: bool, default: bytes) -> list[float]:
    """Return the numbers of an element, text or binary; a ValueError when it holds something else."""
    vr, raw = value
    if isinstance(raw, list):
        raise ValueError("a sequence")
    vr = default if vr in (b"", b"UN") else vr
    if code := _NUMBERS.get(vr):
        width = {"H": 2, "h": 2, "L": 4, "l": 4, "f": 4}.get(code, 8)
        return list(unpack(("<" if little else ">") + code * (len(raw) // width), raw[: len(raw) // width * width]))
    text = raw.decode("ascii").strip(" \x00")
    return [float(part) for part in text.split("\\")] if text else []


def _one(tag: int, value: Value, convert: Callable[[float], Any], name: str, little: bool, problems: list[str]) -> Any:
    """Return the first number of an element; None when it is empty or no number, which is noted."""
    try:
        numbers = _numbers(value, little, _IMPLICIT_VR.get(tag, b"DS"))
        if not numbers:
            return None
        if math.isfinite(numbers[0]) and (convert is float or int(numbers[0]) == numbers[0]):
            return convert(numbers[0])
    except ValueError:
        pass
    problems.append(f"unreadable-value: {name}")
    return None


def _many(value: Value, count: int, little: bool) -> list[float] | None:
    """Return `count` finite numbers; None when the element is empty, an empty list when it holds something else."""
    try:
        numbers = _numbers(value, little, b"DS")
    except ValueError:
        return []
    if not numbers:
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else []


def _text(raw: Any, charset: bytes) -> str:
    """Return stripped text in the file's character set."""
    if not isinstance(raw, bytes):
        return ""
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii").strip(" \x00")
    # Only such text needs pydicom's tables, and most headers have none.
    import warnings

    from pydicom.charset import convert_encodings, decode_bytes
    from pydicom.values import convert_string

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encodings = convert_encodings(convert_string(charset, True) or "")
        return decode_bytes(raw, encodings, set(b"\\\r\n\t\f")).strip(" \x00")
