"""Where a file comes from, by its own words: scanner, protocol, date and encoding. No pixel is decoded.

Sources: DICOM PS3.6 (elements); JPEG, ITU-T T.81 annexes B and K; PNG, W3C Recommendation (third edition), section 11;
Exif 2.32, tags 010F, 0110 and 0131; NIfTI-1, field ``descrip``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semeion.cohort.sniff import image_format
from semeion.parallel import ordered_map

if TYPE_CHECKING:
    import pandas as pd

TEXTS = (
    *("manufacturer", "scanner_model", "station", "institution", "software", "protocol", "view", "acquired"),
    *("study_uid", "encoding"),
)
NUMBERS = ("jpeg_quality", "kvp", "field_strength", "slice_thickness")
COLUMNS = (*TEXTS, *NUMBERS)
"""Columns of the table, in order."""

_HEAD = 1 << 17
_LONGEST = 64
_ELEMENTS = {
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "scanner_model",
    "StationName": "station",
    "InstitutionName": "institution",
    "SoftwareVersions": "software",
    "ProtocolName": "protocol",
    "ViewPosition": "view",
    "StudyInstanceUID": "study_uid",
    "KVP": "kvp",
    "MagneticFieldStrength": "field_strength",
    "SliceThickness": "slice_thickness",
}
_DATES = ("AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")
_EXIF = {0x010F: "manufacturer", 0x0110: "scanner_model", 0x0131: "software"}
_LUMINANCE = (
    *(16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51),
    *(61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77),
    *(113, 121, 112, 100, 120, 92, 101, 103, 99),
)
"""Table K.1 of ITU-T T.81 in zigzag order, which encoders scale by their quality."""
_NIFTI_DESCRIPTION = slice(148, 228)


def read_origins(references: Iterable[str], *, jobs: int | None = None) -> pd.DataFrame:
    """Read what the files of a cohort say of their origin.

    Parameters
    ----------
    references
        Of images, as in the cohort's table.
    jobs
        Threads; all cores by default.

    Returns
    -------
    pandas.DataFrame
        One row a reference with the columns `COLUMNS`: texts, empty where a file says nothing, and numbers, missing
        there. ``encoding`` tells how the picture is stored (of DICOM the transfer syntax); ``jpeg_quality`` is on the
        scale of 1 to 100 of the Independent JPEG Group. Of a folder the first file speaks; rows of an array file and
        series of an index say nothing.
    """
    import numpy as np
    import pandas as pd

    found = list(ordered_map(read_origin, [str(reference) for reference in references], jobs=jobs))
    columns: dict[str, Any] = {name: pd.array([one.get(name, "") for one in found], dtype="str") for name in TEXTS}
    columns |= {name: np.array([one.get(name, np.nan) for one in found], dtype=np.float64) for name in NUMBERS}
    return pd.DataFrame(columns)


def read_origin(reference: str) -> dict[str, Any]:
    """Return what one file says, by the names of `COLUMNS`; nothing of a file that is missing or damaged."""
    try:
        path = Path(reference)
        if path.is_dir():
            path = next(file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith("."))
        with path.open("rb") as file:
            head = file.read(_HEAD)
        kind = image_format(head)
        if kind == "dicom":
            return _dicom(path, head)
        if kind == "jpeg":
            return _jpeg(head)
        if kind == "png":
            return _png(head)
        if kind == "webp":
            return {"encoding": f"webp {head[12:16].decode('ascii', 'replace').strip()}"}
        return _nifti(head)
    except MemoryError:
        raise
    # pydicom raises whatever a hostile header makes it stumble over. The scan tells of files that cannot be read, and
    # refuses them or leaves them out; beside that a file that says nothing of its origin is a missing value here.
    except Exception:
        return {}


def _dicom(path: Path, head: bytes) -> dict[str, Any]:
    """Read the elements that name scanner, protocol and date."""
    import pydicom

    from semeion.cohort.deflated import DEFLATED, meta_end
    from semeion.cohort.dicom import quiet

    if meta_end(head)[1] == DEFLATED:
        return {}  # to read one element the whole file would have to be inflated
    quiet()
    dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=[*_ELEMENTS, *_DATES])
    found: dict[str, Any] = {}
    for keyword, name in _ELEMENTS.items():
        value = dataset.get(keyword)
        if name in NUMBERS and value not in (None, ""):
            found[name] = float(value)
        elif value:
            found[name] = _short(value if isinstance(value, str) else " ".join(map(str, _several(value))))
    date = next((str(value) for keyword in _DATES if (value := dataset.get(keyword))), "")
    meta = getattr(dataset, "file_meta", None)
    return found | {"acquired": date, "encoding": str(meta.get("TransferSyntaxUID", "")) if meta else ""}


def _several(value: Any) -> list[Any]:
    return list(value) if hasattr(value, "__iter__") else [value]


def _jpeg(head: bytes) -> dict[str, Any]:
    """Walk the markers up to the coded data."""
    found: dict[str, Any] = {}
    at = 2
    while at + 4 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        length = struct.unpack_from(">H", head, at + 2)[0]
        body = head[at + 4 : at + 2 + length]
        if marker == 0xDA:
            break
        if marker == 0xDB and "jpeg_quality" not in found:
            found["jpeg_quality"] = _quality(body)
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            way = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC3: "lossless"}.get(marker, "other")
            sampling = "".join(f" {body[7 + 3 * n]:02x}" for n in range(body[5]))
            found["encoding"] = f"jpeg {way}{sampling}"
        elif marker == 0xE1 and body.startswith(b"Exif\x00\x00"):
            found |= _exif(body[6:])
        elif marker == 0xFE:
            found.setdefault("software", _short(body.decode("latin-1")))
        at += 2 + length
    return found


def _quality(body: bytes) -> float:
    """Return the quality that scales the example table to the first one of the file.

    By the scale of the Independent JPEG Group (``jpeg_quality_scaling``): a quality below 50 means 5000 / quality
    percent of the example table, any other 200 - 2 quality percent.
    """
    steps = struct.unpack_from(">64H" if body[0] >> 4 else ">64B", body, 1)
    # Steps are kept from 1 to 255; at the ends they no longer tell the scale.
    free = [(step, base) for step, base in zip(steps, _LUMINANCE, strict=True) if 1 < step < 255]
    if not free:
        return 100.0 if max(steps) == 1 else 1.0
    percent = 100 * sum(step for step, _ in free) / sum(base for _, base in free)
    quality = (200 - percent) / 2 if percent <= 100 else 5000 / percent
    return float(min(100, max(1, round(quality))))


def _exif(block: bytes) -> dict[str, Any]:
    """Return maker, model and software of the first directory of an Exif block."""
    if block[:2] not in (b"II", b"MM"):
        return {}
    order = "<" if block[:2] == b"II" else ">"
    at = struct.unpack_from(f"{order}I", block, 4)[0]
    found: dict[str, Any] = {}
    for index in range(min(struct.unpack_from(f"{order}H", block, at)[0], 512)):
        tag, kind, count = struct.unpack_from(f"{order}HHI", block, at + 2 + 12 * index)
        if tag in _EXIF and kind == 2:
            place = at + 10 + 12 * index
            if count > 4:
                place = struct.unpack_from(f"{order}I", block, place)[0]
            found[_EXIF[tag]] = _short(block[place : place + min(count, 256)].decode("latin-1"))
    return found


def _png(head: bytes) -> dict[str, Any]:
    """Return how a PNG is stored, and the software that a text chunk names."""
    bits, colour, _, _, interlaced = struct.unpack_from(">5B", head, 24)
    kinds = {0: "grey", 2: "colour", 3: "palette", 4: "grey alpha", 6: "colour alpha"}
    found = {"encoding": f"png {kinds.get(colour, 'other')} {bits} bit{' interlaced' if interlaced else ''}"}
    at = 8
    while at + 12 <= len(head):
        length = int.from_bytes(head[at : at + 4], "big")
        if head[at + 4 : at + 8] == b"IDAT":
            break
        if head[at + 4 : at + 8] == b"tEXt":
            key, _, text = head[at + 8 : at + 8 + length].partition(b"\x00")
            if key.lower() == b"software":
                found["software"] = _short(text.decode("latin-1"))
        at += 12 + length
    return found


def _nifti(head: bytes) -> dict[str, Any]:
    """Return what a NIfTI file says of the program that wrote it."""
    from semeion.cohort.volumes.nifti_header import HEADER, is_nifti
    from semeion.cohort.volumes.payload import inflated_head

    data = inflated_head(head, HEADER) if head.startswith(b"\x1f\x8b") else head[:HEADER]
    if not is_nifti(data) or data[344:347] not in (b"n+1", b"ni1"):
        return {}
    return {"software": _short(data[_NIFTI_DESCRIPTION].partition(b"\x00")[0].decode("latin-1"))}


def _short(text: str) -> str:
    return " ".join(text.replace("\x00", " ").split())[:_LONGEST]
