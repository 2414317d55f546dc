"""Reads the files of one real volume, or of one film, into a `Volume`: nothing that its geometry does not say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from semeion.cohort.limits import ReadLimits, bound_voxels, cut_short
from semeion.cohort.series import faults
from semeion.cohort.series.coding import Coding, open_dataset
from semeion.cohort.series.fill import read_plane, read_planes
from semeion.cohort.series.frames import Planes, collect, film_layout
from semeion.cohort.series.geometry import Layout, Plane, arrange, positions, shared_plane
from semeion.cohort.series.header import Header
from semeion.cohort.series.resample import correct
from semeion.cohort.volume import Volume
from semeion.errors import ImageError

_PLACED = ("CT", "MR", "PT")
"""Modalities whose files are refused without a position, even when all their frames lack one."""
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Choices:
    """What a caller decides about a series.

    Attributes
    ----------
    tilt, uneven
        Whether a tilted gantry and uneven slices are resampled onto an orthogonal, even grid, or refused.
    pet
        Whether PET becomes SUV by body weight, or keeps its own unit.
    missing_spacing
        Whether a film of unknown pixel size is refused, or read with 1 mm and a note.
    """

    tilt: Literal["correct", "refuse"] = "correct"
    uneven: Literal["correct", "refuse"] = "correct"
    pet: Literal["suv", "stored"] = "suv"
    missing_spacing: Literal["refuse", "note"] = "refuse"


def read_series(
    headers: Sequence[Header],
    *,
    limits: ReadLimits | None = None,
    tilt: Literal["correct", "refuse"] = "correct",
    uneven: Literal["correct", "refuse"] = "correct",
    pet: Literal["suv", "stored"] = "suv",
    missing_spacing: Literal["refuse", "note"] = "refuse",
    jobs: int | None = None,
) -> Volume:
    """Read the files of one real volume or of one film.

    Slices are ordered by their position along the normal. A tilted gantry is resampled in the plane; uneven slices and
    single missing ones are interpolated along the normal, up to `geometry.MOST_STEPS` steps and `geometry.MOST_GAP_MM`;
    each is noted with its numbers, and everything else that does not fit is refused. All voxels have one number type.
    Padding becomes the lowest real value. CT is in HU, PET in SUV by body weight.

    Parameters
    ----------
    headers
        Of the files, in any order; `group.group_headers` finds which belong together.
    limits
        Bounds asked of the headers before pixels are read.
    tilt, uneven, pet, missing_spacing
        See :class:`Choices`.
    jobs
        Threads; all cores when None.

    Returns
    -------
    Volume
        One plane, or one a frame (`axis` is ``time``), or one a contrast or colour.

    Raises
    ------
    ImageError
        When files are missing, cut short, damaged, too large, or their geometry cannot be trusted.
    """
    if not headers:
        raise ImageError("holds no DICOM image", fix="name a folder of DICOM files")
    limits = limits or ReadLimits()
    choices = Choices(tilt, uneven, pet, missing_spacing)
    where = str(Path(headers[0].path).parent) if len(headers) > 1 else headers[0].path
    _whole_files(headers)
    declared = [header.rows * header.cols * header.frames * min(header.samples, 3) for header in headers]
    bound_voxels((sum(declared),), where, limits)
    found = collect(headers, limits, jobs)
    layout, found = _laid_out(found, headers, choices, limits, where)
    unit = _unit(found.codings, where)
    voxels, notes = read_planes(found, layout, headers, limits, jobs)
    times = layout.times
    names = layout.channels or tuple(str(n + 1) for n in range(len(layout.order)))
    if len(voxels) != len(layout.order):
        names = _COLOURS
    elif len(layout.order) == 1:
        names = ("",)
    if headers[0].modality == "PT" and pet == "suv":
        voxels, unit = _suv(voxels, layout, found.planes, headers, limits, where), "SUVbw"
    voxels, grid = correct(voxels, layout, unit, where, limits)
    return Volume(
        voxels,
        grid,
        names=names,
        axis="time" if len(layout.order) > 1 and not layout.channels else "channel",
        times=times,
        unit=unit,
        modality=headers[0].modality or None,
        source_format="dicom",
        notes=(*layout.notes, *notes),
        body_part=headers[0].body_part or None,
        laterality=headers[0].laterality or None,
    )


def read_files(paths: Sequence[str | os.PathLike[str]], *, limits: ReadLimits | None = None, **choices: Any) -> Volume:
    """Read DICOM files that hold exactly one real volume; `choices` are those of :func:`read_series`."""
    from semeion.cohort.series.walk import walk

    entries = [entry for path in paths for entry in walk(Path(path)).entries]
    where = str(paths[0]) if len(paths) == 1 else str(Path(paths[0]).parent)
    return _one_volume(entries, where, None, None, limits or ReadLimits(), choices)


def read_folder(
    folder: str | os.PathLike[str],
    uid: str | None = None,
    volume: int | str | None = None,
    *,
    limits: ReadLimits | None = None,
    **choices: Any,
) -> Volume:
    """Read the one real volume below a folder, or the one named by its SeriesInstanceUID (and number).

    Localisers, screenshots and loose pictures do not count. `choices` are those of :func:`read_series`.

    Raises
    ------
    ImageError
        When there is none, or several: they are listed with their descriptions.
    """
    from semeion.cohort.series.walk import walk

    return _one_volume(walk(Path(folder)).entries, str(folder), uid, volume, limits or ReadLimits(), choices)


def read_indexed(
    table: str | os.PathLike[str],
    uid: str,
    volume: int | str | None = None,
    *,
    limits: ReadLimits | None = None,
    **choices: Any,
) -> Volume:
    """Read a volume that ``series.parquet`` lists; `choices` are those of :func:`read_series`."""
    from semeion.cohort.series.table import load_series

    found = load_series(table, uid if volume in (None, "") else f"{uid}/{volume}")
    return read_series(found.headers, limits=limits, **choices)


def _records(entries: tuple[Any, ...], limits: ReadLimits) -> tuple[dict[str, Any], ...]:
    """Return the records of files, those of a folder kept for the next case that names a series of it."""
    try:
        return _kept(entries, limits)
    except _Unread as unread:
        return unread.records


class _Unread(Exception):
    """Carries records of which some file could not be read; it may be read the next time, so they are not kept."""

    def __init__(self, records: tuple[dict[str, Any], ...]) -> None:
        super().__init__()
        self.records = records


@lru_cache(maxsize=4)
def _kept(entries: tuple[Any, ...], limits: ReadLimits) -> tuple[dict[str, Any], ...]:
    """Return the records of files.

    The folder is listed anew for each case, and entries hold size and time of every file, so a changed folder is read
    again. Records are not to be written. Four folders are kept, for the images of one case.

    Raises
    ------
    _Unread
        With the records, when a file could not be read.
    """
    from semeion.cohort.series.records import make_record
    from semeion.cohort.series.walk import Entry, WalkLimits, archive_members

    records = [make_record(entry, limits) for entry in entries]
    for record in [record for record in records if record["kind"] == "archive"]:
        members = archive_members(Entry(record["path"], record["size"], record["mtime_ns"]), WalkLimits())
        records += [make_record(entry, limits) for entry in members.entries]
    if any(record["kind"] == "unreadable" for record in records):
        raise _Unread(tuple(records))
    return tuple(records)


def _one_volume(
    entries: Sequence[Any],
    where: str,
    uid: str | None,
    number: int | str | None,
    limits: ReadLimits,
    choices: dict[str, Any],
) -> Volume:
    from semeion.cohort.series.copies import without_copies
    from semeion.cohort.series.group import group_headers
    from semeion.cohort.series.index import header_of
    from semeion.cohort.series.table import describe

    records = _records(tuple(entries), limits)
    broken = [record for record in records if record["kind"] in ("damaged", "unreadable")]
    headers = [header_of(record) for record in records if record["kind"] == "image"]
    if uid is not None:
        headers = [header for header in headers if header.series_uid == uid]
    if not headers:
        what = f"holds no series {uid}" if uid else "holds no DICOM image"
        details = [f"{Path(record['path']).name}: {record['problem']}" for record in broken[:5]]
        raise ImageError(what, where=where, fix="correct the reference", details=details)
    if broken:
        # A damaged file may be a slice of the volume that is read.
        raise ImageError(
            f"{len(broken)} of {len(records)} files cannot be read",
            where=where,
            fix="copy or export them again, or move them away",
            details=[f"{Path(record['path']).name}: {record['problem']}" for record in broken[:5]],
        )
    groups = group_headers(without_copies(headers)[0])
    real = [group for group in groups if group.real]
    if number not in (None, ""):
        real = [group for group in groups if str(group.number) == str(number)]
    elif len(real) > 1:
        originals = [group for group in real if group.status != "derived"]
        real = originals if len(originals) == 1 else real
    if len(real) != 1:
        what = f"holds {len(real)} volumes where one is meant" if real else "holds no volume"
        raise ImageError(
            what,
            where=where,
            fix="name one as FOLDER#UID, or FOLDER#UID/NUMBER where a series holds several",
            # Never the series' description: people write names into free text.
            details=[f"#{group.reference}: {describe(group)}" for group in groups[:20]],
        )
    return read_series(real[0].headers, limits=limits, **choices)


def _whole_files(headers: Sequence[Header]) -> None:
    for header in headers:
        for problem in header.problems:
            code, _, text = problem.partition(":")
            if code == "truncated":
                raise cut_short(Path(header.path).name, text.strip() or "its pixels do not end")
            if code == "no-pixels":
                raise ImageError("holds no pixels", where=Path(header.path).name, fix="export the image again")


def _laid_out(
    found: Planes, headers: Sequence[Header], choices: Choices, limits: ReadLimits, where: str
) -> tuple[Layout, Planes]:
    """Return the layout, and the planes without slices that repeat another pixel for pixel."""
    film = len(headers) == 1 and len(found.planes) > 1 and headers[0].modality not in _PLACED
    if film and all(plane.position is None or plane.spacing is None for plane in found.planes):
        return film_layout(found.planes, headers[0], limits, choices.missing_spacing), found
    dropped = _repeats(found, headers, limits, where)
    keep = [n for n in range(len(found.planes)) if n not in dropped]
    found = Planes(tuple(found.planes[n] for n in keep), tuple(found.codings[n] for n in keep))
    layout = arrange(found.planes, where, tilt=choices.tilt, uneven=choices.uneven)
    if dropped:
        note = f"duplicates-dropped: {len(dropped)} slices repeat another at their position"
        layout = replace(layout, notes=(note, *layout.notes))
    return layout, found


def _repeats(found: Planes, headers: Sequence[Header], limits: ReadLimits, where: str) -> set[int]:
    """Return planes that lie where most positions hold one and whose pixels equal those of the first there."""
    section = shared_plane(found.planes, where)
    groups = positions(found.planes, section.axes, where)
    if np.median([len(group) for group in groups]) > 1:
        return set()
    dropped: set[int] = set()
    for group in groups:
        first = None
        for n in group if len(group) > 1 else ():
            pixels = read_plane(found, n, headers, limits)
            if first is None:
                first = pixels
            elif np.array_equal(first, pixels):
                dropped.add(n)
    return dropped


def _unit(codings: Sequence[Coding], where: str) -> str | None:
    units = [coding.unit or "none" for coding in codings]
    if len(set(units)) > 1:
        raise faults.mixed("unit (0028,1054)", units, where, "leave out the slices that do not belong")
    inverted = any(coding.photometric == "MONOCHROME1" for coding in codings)
    return None if inverted else codings[0].unit


def _suv(
    voxels: npt.NDArray[Any],
    layout: Layout,
    planes: Sequence[Plane],
    headers: Sequence[Header],
    limits: ReadLimits,
    where: str,
) -> npt.NDArray[Any]:
    from semeion.cohort.series.suv import series_factors

    sources = sorted({planes[n].source for row in layout.order for n in row})
    factors = dict(
        zip(sources, series_factors([open_dataset(headers[s].path, limits) for s in sources], where), strict=True)
    )
    result = voxels.astype(np.float32)
    for t, row in enumerate(layout.order):
        for k, number in enumerate(row):
            result[t, k] *= np.float32(factors[planes[number].source])
    return result
