"""``series.parquet``, a row for each real volume, and ``series.files.parquet`` beside it, a row for each file."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semeion.artefacts import whole_file
from semeion.cohort.series.group import SeriesVolume, group_headers
from semeion.cohort.series.header import Header
from semeion.cohort.series.stack import normal_of
from semeion.errors import InputError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    *("patient_id", "study_uid", "series_uid", "volume", "modality", "description", "date", "rows", "cols"),
    *("slices", "frames", "spacing", "orientation", "n_files", "status", "problems", "first_file"),
)
"""Of ``series.parquet``, as INTERFACES names them."""
_WHOLE = frozenset(("volume", "rows", "cols", "slices", "frames", "n_files"))
_LETTERS = ("RL", "AP", "IS")
"""Negative and positive end of each axis of the patient."""


def files_path(table: Path) -> Path:
    """Return the path of the files' table that belongs to ``series.parquet``."""
    return table.with_name(f"{table.stem}.files.parquet")


def volume_row(volume: SeriesVolume) -> dict[str, Any]:
    """Return the row of one volume."""
    first = volume.headers[0]
    side = math.ceil(math.sqrt(first.tiles)) or 1
    return {
        "patient_id": _plain(first.patient_id),
        "study_uid": _plain(first.study_uid),
        "series_uid": _plain(volume.series_uid),
        "volume": volume.number,
        "modality": _plain(first.modality),
        "description": _plain(first.description),
        "date": _date(first.date),
        "rows": first.rows // side,
        "cols": first.cols // side,
        "slices": volume.slices,
        "frames": volume.frames,
        "spacing": _spacing(first, volume.spacing),
        "orientation": orientation_code(first),
        "n_files": len(volume.headers),
        "status": volume.status,
        "problems": "; ".join(volume.problems),
        "first_file": _plain(first.path),
    }


def _spacing(header: Header, between: float | None) -> str:
    """Return ``i x j x k`` in mm: between columns, between rows, between slices; of one slice its thickness."""
    if header.spacing is None:
        return ""
    third = between if between is not None else header.thickness
    numbers = (header.spacing[1], header.spacing[0], *(() if third is None else (third,)))
    return " x ".join(f"{round(number, 6):g}" for number in numbers)


def orientation_code(header: Header) -> str:
    """Return where i, j and k point to in the patient, as three letters (``LPS``: left, posterior, superior)."""
    if header.orientation is None:
        return ""
    try:
        axes = (header.orientation[:3], header.orientation[3:], normal_of(header.orientation))
    except ValueError:
        return ""
    # Of the six ways to name the axes, the one that fits best: an oblique slice must not name one axis twice.
    fit = max(permutations(range(3)), key=lambda order: sum(abs(axes[n][main]) for n, main in enumerate(order)))
    return "".join(_LETTERS[main][int(axes[n][main] > 0)] for n, main in enumerate(fit))


def _date(text: str) -> str:
    """Return a DICOM date as ``YYYY-MM-DD``; what is no date stays as it is."""
    match = re.fullmatch(r"(\d{4})[.]?(0[1-9]|1[0-2])[.]?(0[1-9]|[12]\d|3[01])", text)
    return "-".join(match.groups()) if match else _plain(text)


def _plain(text: str) -> str:
    """Return text that Parquet can hold: bytes of a file name that are no UTF-8 are escaped."""
    return text.encode("utf-8", errors="backslashreplace").decode()


def write_index(table: Path, volumes: Sequence[SeriesVolume], others: Sequence[Mapping[str, Any]]) -> None:
    """Write both tables, each whole or not at all; the files first, so that a table never lacks its files.

    Parameters
    ----------
    table
        Path of ``series.parquet``.
    volumes
        In the order of rows.
    others
        Files that belong to no volume: ``path size mtime_ns kind problem``.
    """
    import pyarrow as pa

    files: list[dict[str, Any]] = []
    for volume in volumes:
        for place, header in enumerate(volume.headers):
            row = {"path": _plain(header.path), "size": header.size, "mtime_ns": header.mtime_ns, "kind": "image"}
            row |= {"series_uid": _plain(volume.series_uid), "volume": volume.number, "place": place}
            row |= {"problem": "; ".join(header.problems), "header": json.dumps(header.to_values())}
            files.append(row)
    for record in others:
        row = {name: record[name] for name in ("size", "mtime_ns", "kind")}
        row |= {"path": _plain(record["path"]), "problem": _plain(record.get("problem", ""))}
        files.append(row)
    schema = pa.schema(
        [
            *(("path", pa.string()), ("kind", pa.string()), ("series_uid", pa.string()), ("volume", pa.int64())),
            *(("place", pa.int64()), ("size", pa.int64()), ("mtime_ns", pa.int64())),
            *(("problem", pa.string()), ("header", pa.string())),
        ]
    )
    _write(files_path(table), pa.Table.from_pylist(files, schema=schema))
    columns = [(name, pa.int64() if name in _WHOLE else pa.string()) for name in COLUMNS]
    _write(table, pa.Table.from_pylist([volume_row(volume) for volume in volumes], schema=pa.schema(columns)))


def _write(path: Path, table: pa.Table) -> None:
    import pyarrow.parquet as pq

    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def load_series(table: str | os.PathLike[str], reference: str) -> SeriesVolume:
    """Return one volume of an index, with the headers of its files in order.

    Parameters
    ----------
    table
        ``series.parquet``; its files' table must stand beside it.
    reference
        A series UID, with ``/number`` when the series holds several real volumes.

    Raises
    ------
    InputError
        No index, no such series, several volumes to choose from, or files that changed since they were indexed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(table)
    uid, slash, number = reference.partition("/")
    beside = files_path(path)
    try:
        rows = pq.read_table(beside, columns=["header"], filters=[("series_uid", "=", uid), ("kind", "=", "image")])
    except FileNotFoundError as error:
        raise InputError(
            "does not exist, and it names the files of each series",
            where=str(beside),
            fix=f"make it with: semeion index FOLDER -o {path}",
        ) from error
    except (pa.ArrowInvalid, OSError, KeyError, ValueError) as error:
        raise InputError(
            f"is no table of an index ({error})", where=str(beside), fix=f"run: semeion index FOLDER -o {path}"
        ) from error
    try:
        headers = [Header.from_values(json.loads(text)) for text in rows.column("header").to_pylist()]
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            "holds headers that this version does not understand",
            where=str(beside),
            fix=f"run: semeion index FOLDER -o {path}",
        ) from error
    if not headers:
        known = set(pq.read_table(beside, columns=["series_uid"]).column(0).to_pylist())
        raise InputError(
            f"holds no series {uid!r}{nearest(uid, (name for name in known if name))}",
            where=str(path),
            fix="correct the series UID",
        )
    chosen = choose_volume(group_headers(headers), int(number) if number.isdigit() else None, f"{path}#{reference}")
    if slash and not number.isdigit():
        raise InputError(f"{number!r} is no number of a volume", where=str(path), fix=f"write {uid}/1")
    for header in chosen.headers:
        _require_unchanged(header, path)
    return chosen


def choose_volume(volumes: Sequence[SeriesVolume], number: int | None, where: str) -> SeriesVolume:
    """Return the volume of that number; without one the only real volume, an original before what was derived of it.

    Raises
    ------
    InputError
        With the list of what there is, when the choice is not clear.
    """
    fitting = [volume for volume in volumes if number is None or volume.number == number]
    choice = fitting
    if number is None:
        real = [volume for volume in fitting if volume.real]
        originals = [volume for volume in real if volume.status != "derived"]
        choice = originals if len(originals) == 1 else real or fitting
    if len(choice) == 1:
        return choice[0]
    what = "holds several volumes" if choice else f"holds no volume {number}"
    details = [f"{volume.reference}: {describe(volume)}" for volume in choice or volumes]
    raise InputError(what, where=where, fix="name one of them", details=details[:20])


def describe(volume: SeriesVolume) -> str:
    """Return a volume in a few words, without anything of the patient."""
    first = volume.headers[0]
    frames = f", {volume.frames} frames" if volume.frames > 1 else ""
    return f"{first.modality or 'no modality'}, {first.rows} x {first.cols} x {volume.slices}{frames}, {volume.status}"


def _require_unchanged(header: Header, table: Path) -> None:
    from semeion.cohort.series.files import split_member

    archive, _ = split_member(header.path)
    try:
        info = Path(archive).stat()
    except OSError as error:
        raise InputError(
            f"cannot be read any more ({error.strerror})", where=header.path, fix=f"index the folder again to {table}"
        ) from error
    if info.st_mtime_ns != header.mtime_ns or (archive == header.path and info.st_size != header.size):
        raise InputError(
            "has changed since it was indexed", where=header.path, fix=f"index the folder again to {table}"
        )
