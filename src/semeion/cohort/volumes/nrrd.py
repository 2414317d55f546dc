"""NRRD volumes (Nearly Raw Raster Data, teem.sourceforge.net/nrrd/format.html), the voxels in the same file.

Read here because the libraries follow the path that a detached header names. Tests hold voxels and geometry to
SimpleITK's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO, Any

import numpy as np

from semeion.cohort.limits import ReadLimits, cut_short
from semeion.cohort.volume import Grid, Volume
from semeion.cohort.volumes.payload import Inflated, Plain, bound_volume, finite, read_voxels
from semeion.cohort.volumes.stored import Several, Stored, ordered, stored_grid
from semeion.errors import ImageError

_LONGEST = 1 << 18
"""Bytes of a header that are read: a diffusion header with hundreds of gradients has 20 KiB."""
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_DTYPES = {name: code for code, names in _TYPES.items() for name in names}
_SPACES = {
    **dict.fromkeys(("left-posterior-superior", "lps"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1.0, -1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1.0, -1.0, 1.0)),
}


def read_nrrd(path: Path, where: str, limits: ReadLimits, several: Several | None) -> Volume:
    """Read one NRRD file that holds its own voxels.

    Raises
    ------
    ImageError
        A detached header, no geometry, a space that is not anatomical, another encoding than raw and gzip, several
        volumes where one is meant, values that are not finite, too large, cut short or damaged.
    """
    with path.open("rb") as file:
        fields = _fields(file, where)
        stored, notes = _stored(fields, where)
        shape = tuple(reversed(stored.lengths))
        bound_volume(shape, stored.dtype, where, limits)
        encoding = fields.get("encoding", "").lower()
        if encoding not in ("raw", "gzip", "gz"):
            raise ImageError(f"has encoding {encoding or 'none'!r}", where=where, fix="save it with encoding gzip")
        begins = file.tell()
        left = file.seek(0, 2) - begins
        file.seek(begins)
        stream = Plain(file, where) if encoding == "raw" else Inflated(file, where)
        voxels, more = read_voxels(stream, shape, stored.dtype, where, limits, left)
    return ordered(finite(voxels, where), stored, where, several, "nrrd", (*notes, *more))


def nrrd_file_grid(path: Path, where: str) -> Grid:
    """Return where the voxels of an NRRD file are, from its header alone."""
    with path.open("rb") as file:
        return stored_grid(_stored(_fields(file, where), where)[0], where)


def _fields(file: IO[bytes], where: str) -> dict[str, str]:
    """Return the header's fields by lower-case name; the file then stands at the first byte after it."""
    file.seek(0)
    first = file.readline(64)
    if not re.fullmatch(rb"NRRD000[1-6]\r?\n", first):
        raise ImageError("has no NRRD header of a known version", where=where, fix="export the volume again")
    fields: dict[str, str] = {}
    while True:
        line = file.readline(_LONGEST)
        if not line.endswith(b"\n") or file.tell() > _LONGEST:
            raise cut_short(where, "its header does not end")
        text = line.decode("utf-8", errors="replace").strip("\r\n")
        if not text:
            return fields
        if text.startswith("#") or ":=" in text.split(": ")[0]:
            continue
        name, separator, value = text.partition(":")
        if not separator:
            raise ImageError(f"has a header line that is no field: {text[:60]!r}", where=where, fix="export it again")
        fields[name.strip().lower()] = value.strip()


def _stored(fields: dict[str, str], where: str) -> tuple[Stored, tuple[str, ...]]:
    """Check the header and return what it declares."""
    if "data file" in fields or "datafile" in fields:
        raise ImageError(
            "is a detached header that names another file, and such paths are not followed",
            where=where,
            fix="save header and voxels as one .nrrd file",
        )
    for skipped in ("line skip", "lineskip", "byte skip", "byteskip"):
        if fields.get(skipped, "0") != "0":
            raise ImageError(f"asks for a {skipped} of {fields[skipped]}", where=where, fix="save it again without")
    kind = fields.get("type", "").lower()
    if kind not in _DTYPES:
        raise ImageError(f"holds voxels of type {kind or 'none'!r}", where=where, fix="save integers or float")
    dtype: np.dtype[Any] = np.dtype(_DTYPES[kind])
    if dtype.itemsize > 1:
        endian = fields.get("endian", "").lower()
        if endian not in ("little", "big"):
            raise ImageError("does not say its byte order (endian)", where=where, fix="export the volume again")
        dtype = dtype.newbyteorder("<" if endian == "little" else ">")
    try:
        lengths = tuple(int(one) for one in fields["sizes"].split())
        if len(lengths) != int(fields["dimension"]):
            raise ValueError
    except (KeyError, ValueError) as error:
        raise ImageError(
            f"has sizes {fields.get('sizes', 'none')!r} for dimension {fields.get('dimension', 'none')!r}",
            where=where,
            fix="export the volume again",
        ) from error
    signs = _SPACES.get(fields.get("space", "").lower())
    if "space directions" not in fields or "space origin" not in fields or signs is None:
        missing = [name for name in ("space directions", "space origin") if name not in fields]
        named = f"space is {fields.get('space', 'absent')!r}"
        raise ImageError(
            f"does not say where its voxels are in the patient ({'; '.join([*missing, named])}), and an identity is "
            "never assumed",
            where=where,
            fix="write space, space directions and space origin, or convert the DICOM files again",
        )
    vectors = _vectors(fields["space directions"], len(lengths), where)
    [origin] = _vectors(fields["space origin"], 1, where)
    if origin is None:
        raise ImageError("has space origin 'none'", where=where, fix="write the true origin")
    flip = np.array(signs)
    units = {unit.lower() for unit in re.findall(r'"([^"]*)"', fields.get("space units", ""))} - {""}
    factor = {"mm": 1.0, "millimeter": 1.0, "m": 1000.0, "cm": 10.0, "um": 0.001}.get(next(iter(units), "mm"))
    if factor is None or len(units) > 1:
        raise ImageError(
            f"has space units {', '.join(sorted(units))}", where=where, fix="write the geometry in millimetres"
        )
    axes = tuple(None if vector is None else vector * flip * factor for vector in vectors)
    kinds = tuple(fields.get("kinds", "").lower().split())
    axis: Several | None = "time" if "time" in kinds else None
    notes: tuple[str, ...] = () if units else ("units-assumed-mm",)
    if factor != 1:
        notes = (f"units-converted: {factor:g} mm",)
    return Stored(lengths, dtype, axes, origin * flip * factor, axis), notes


def _vectors(text: str, count: int, where: str) -> list[Any]:
    """Parse ``(a,b,c) none (d,e,f)``; None stands for an axis outside space."""
    parts = re.findall(r"\([^()]*\)|none", text, re.IGNORECASE)
    try:
        vectors = [None if part.lower() == "none" else [float(n) for n in part[1:-1].split(",")] for part in parts]
        if len(vectors) != count or any(vector is not None and len(vector) != 3 for vector in vectors):
            raise ValueError
    except ValueError as error:
        raise ImageError(
            f"has a vector that cannot be read: {text[:80]!r}", where=where, fix="export the volume again"
        ) from error
    return [None if vector is None else np.array(vector, dtype=np.float64) for vector in vectors]
