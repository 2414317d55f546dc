"""MetaImage volumes (.mha), the voxels in the same file (itk.org/Wiki/ITK/MetaIO/Documentation).

Read here because the libraries follow the path in ``ElementDataFile`` and fill a file that is cut short with zeros.
Tests hold voxels and geometry to SimpleITK's.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np

from semeion.cohort.limits import ReadLimits, cut_short
from semeion.cohort.volume import Grid, Volume
from semeion.cohort.volumes.payload import Inflated, Plain, bound_volume, finite, read_voxels
from semeion.cohort.volumes.stored import Several, Stored, Vector, ordered, stored_grid
from semeion.errors import ImageError

_LONGEST = 1 << 18
_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")
_ORIGIN = ("Offset", "Position", "Origin")


def read_metaimage(path: Path, where: str, limits: ReadLimits, several: Several | None) -> Volume:
    """Read one MetaImage file that holds its own voxels.

    Raises
    ------
    ImageError
        A header that names another file, no geometry, several volumes where one is meant, a type that is no grey
        value, values that are not finite, too large, cut short or damaged.
    """
    with path.open("rb") as file:
        fields = _fields(file, where)
        stored = _stored(fields, where)
        shape = tuple(reversed(stored.lengths))
        bound_volume(shape, stored.dtype, where, limits)
        begins = file.tell()
        left = file.seek(0, 2) - begins
        file.seek(begins)
        compressed = _true(fields.get("CompressedData", "False"))
        stream = Inflated(file, where) if compressed else Plain(file, where)
        voxels, notes = read_voxels(stream, shape, stored.dtype, where, limits, left)
    return ordered(finite(voxels, where), stored, where, several, "metaimage", notes)


def metaimage_file_grid(path: Path, where: str) -> Grid:
    """Return where the voxels of a MetaImage file are, from its header alone."""
    with path.open("rb") as file:
        return stored_grid(_stored(_fields(file, where), where), where)


def _fields(file: IO[bytes], where: str) -> dict[str, str]:
    """Return the header's fields; ``ElementDataFile`` is the last, and the file then stands after it."""
    file.seek(0)
    fields: dict[str, str] = {}
    while "ElementDataFile" not in fields:
        line = file.readline(_LONGEST)
        if not line.endswith(b"\n") or file.tell() > _LONGEST:
            raise cut_short(where, "its header does not end")
        text = line.decode("utf-8", errors="replace").strip()
        name, separator, value = text.partition("=")
        if text and not separator:
            raise ImageError(f"has a header line that is no field: {text[:60]!r}", where=where, fix="export it again")
        if text:
            fields[name.strip()] = value.strip()
    return fields


def _true(text: str) -> bool:
    return text[:1].upper() in ("T", "1", "Y")


def _stored(fields: dict[str, str], where: str) -> Stored:
    """Check the header and return what it declares."""
    if fields["ElementDataFile"] != "LOCAL":
        raise ImageError(
            "names another file for its voxels (ElementDataFile), and such paths are not followed",
            where=where,
            fix="save header and voxels as one .mha file",
        )
    if not _true(fields.get("BinaryData", "False")):
        raise ImageError("holds its voxels as text (BinaryData)", where=where, fix="save it as binary")
    if fields.get("HeaderSize", "0") != "0":
        raise ImageError(f"has HeaderSize {fields['HeaderSize']}", where=where, fix="save it as one .mha file")
    kind = fields.get("ElementType", "none")
    if kind not in _TYPES:
        raise ImageError(f"holds voxels of type {kind}", where=where, fix="save it as integers or float")
    big = _true(fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")))
    dtype: np.dtype[Any] = np.dtype((">" if big else "<") + _TYPES[kind])
    numbers = {name: _counts(fields, name, where) for name in ("NDims", "DimSize", "ElementNumberOfChannels")}
    count = numbers["NDims"][0] if numbers["NDims"] else 0
    lengths = tuple(numbers["DimSize"])
    if count not in (3, 4) or len(lengths) != count:
        raise ImageError(
            f"has {count} dimensions (DimSize {fields.get('DimSize', 'absent')!r})",
            where=where,
            fix="give one volume of three dimensions",
        )
    matrix, origin, spacing = (_first(fields, names, where) for names in (_MATRIX, _ORIGIN, ("ElementSpacing",)))
    if len(matrix) != count * count or len(origin) != count or len(spacing) != count:
        raise ImageError(
            f"has a geometry that does not fit {count} dimensions", where=where, fix="export the volume again"
        )
    # Each row of the file's matrix is the direction of one axis.
    rows = matrix.reshape(count, count)
    if count == 4 and not (np.allclose(rows[3, :3], 0) and np.allclose(rows[:3, 3], 0)):
        raise ImageError("has a fourth axis that lies in space", where=where, fix="export the volume again")
    if (spacing[:3] <= 0).any() or not np.isfinite(spacing).all():
        raise ImageError(f"has ElementSpacing {fields['ElementSpacing']}", where=where, fix="write the true spacing")
    axes: list[Vector | None] = [rows[number, :3] * spacing[number] for number in range(3)]
    axes += [None] * (count - 3)
    channels = numbers["ElementNumberOfChannels"][0] if numbers["ElementNumberOfChannels"] else 1
    if channels != 1:
        # The channels of one voxel stand together: the fastest axis.
        return Stored((channels, *lengths), dtype, (None, *axes), origin[:3])
    return Stored(lengths, dtype, tuple(axes), origin[:3])


def _first(fields: dict[str, str], names: tuple[str, ...], where: str) -> Vector:
    """Return the numbers of the first of `names` that the header has."""
    for name in names:
        if name in fields:
            return np.array(_numbers(fields, name, where), dtype=np.float64)
    raise ImageError(
        f"does not say where its voxels are ({names[0]} is absent), and an identity is never assumed",
        where=where,
        fix=f"write {names[0]} into the header, or convert the DICOM files again",
    )


def _counts(fields: dict[str, str], name: str, where: str) -> list[int]:
    numbers = _numbers(fields, name, where)
    if not all(np.isfinite(value) and value == int(value) for value in numbers):
        raise ImageError(
            f"has {name} = {fields[name][:60]!r}, which are no counts", where=where, fix="export the volume again"
        )
    return [int(value) for value in numbers]


def _numbers(fields: dict[str, str], name: str, where: str) -> list[float]:
    try:
        return [float(value) for value in fields.get(name, "").split()]
    except ValueError as error:
        raise ImageError(
            f"has {name} = {fields[name][:60]!r}, which are no numbers", where=where, fix="export the volume again"
        ) from error
