"""The elements that a header keeps, from bytes to values: what is absent stays absent, what is no value is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from struct import unpack
from typing import Any

from semeion.cohort.series.elements import Elements, Value

_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_POSITION, _ORIENTATION, _SPACING, _THICKNESS = 0x00200032, 0x00200037, 0x00280030, 0x00180050
IN_GROUPS = frozenset(
    (_SHARED, _PER_FRAME, 0x00209113, 0x00209116, 0x00289110, _POSITION, _ORIENTATION, _SPACING, _THICKNESS)
)
_CHARSET = 0x00080005
_TEXTS = {
    0x00080016: "sop_class",
    0x00080018: "sop_uid",
    0x00080060: "modality",
    0x0008103E: "description",
    0x00180015: "body_part",
    0x00200060: "laterality",
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
