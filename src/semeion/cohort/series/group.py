"""Files of a series become real volumes: what the scanner made as one stack, one cine or one picture.

The rule
--------
1. Files that can never be one volume are parted: kind (original, derived, localiser, secondary capture), modality, rows
   and columns, samples, in-plane spacing, orientation. A file with several frames is a volume of its own.
2. When every position along the normal holds one image, that is one volume, whatever else differs: many scanners count
   acquisitions or trigger times slice by slice. (Only when its spacing is uneven and each acquisition by itself is an
   even stack of four slices or more are acquisitions parted.)
3. When positions hold several images, an element parts them only if each part then covers every position: image type,
   echo time, b-value (volumes of their own); temporal position, trigger time by rank at each position (frames of one
   volume); acquisition number (volumes; frames for mosaics); last the order of instance numbers, if they run frame by
   frame or position by position without a gap between (frames, and said so).
4. What is then left is reported with numbers: duplicate positions, incomplete frames.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from semeion.cohort.series.header import Header, Vector
from semeion.cohort.series.kinds import CROSS_SECTIONAL, FRAMES_ARE_SLICES, kind_of
from semeion.cohort.series.split import split_stack
from semeion.cohort.series.stack import Stack, measure_stack

SAME_COSINE = 1e-3
"""Direction cosines that differ by less (0.06 degrees) are one orientation."""
SAME_SPACING = 1e-3
"""In-plane spacings in mm that differ by less are equal."""
ASIDE = ("localiser", "secondary-capture", "segmentation", "picture")
"""Kinds that are not volumes of a patient to read: set aside under this status."""
REMARKS = frozenset(("overlapping-slices", "frames-by-instance-number", "several-volumes", "mosaic"))
"""Codes that are no flaw."""


class _Key(NamedTuple):
    """What files must share to be one volume; `step` and `turn` number in-plane spacings and orientations."""

    kind: str
    modality: str
    size: tuple[int, int]
    samples: int
    step: int
    turn: int


@dataclass(frozen=True)
class SeriesVolume:
    """One real volume of a series.

    Attributes
    ----------
    series_uid, number
        The number runs from 1 within the series, real volumes first; `of` says up to where.
    status
        ``ok``, ``flawed`` (reading corrects it or refuses), ``derived`` (computed, for example reformatted or a map),
        or one of :data:`ASIDE`.
    headers
        Of its files. Of a whole stack frame by frame, and within a frame by rising position along the normal; of an
        incomplete one by position, then instance number.
    frames, slices
        Of a whole one, ``frames * slices`` is the number of files (or of frames of its one file, or of tiles).
    spacing
        Between slices in mm; None when unknown.
    problems
        Coded remarks with numbers.
    """

    series_uid: str
    status: str
    headers: tuple[Header, ...]
    frames: int
    slices: int
    spacing: float | None = None
    problems: tuple[str, ...] = ()
    number: int = 1
    of: int = 1

    @property
    def real(self) -> bool:
        """Whether it is a volume to be read, and not a localiser, screenshot, segmentation or picture."""
        return self.status not in ASIDE

    @property
    def reference(self) -> str:
        """What stands after ``#`` to name it: the series UID, with ``/number`` when the series holds several."""
        return self.series_uid if self.of == 1 else f"{self.series_uid}/{self.number}"


def group_headers(headers: Iterable[Header]) -> list[SeriesVolume]:
    """Split the files of any number of series into real volumes.

    Copies of a file should have been left out before (:func:`semeion.cohort.series.copies.without_copies`).

    Returns
    -------
    list of SeriesVolume
        By patient, study, series number and number within the series; every header is in exactly one.
    """
    series: dict[tuple[str, ...], list[Header]] = defaultdict(list)
    for header in headers:
        series[header.patient_id, header.issuer, header.study_uid, header.series_uid].append(header)
    shared = _identity_problems(series)
    volumes: list[SeriesVolume] = []
    for key in sorted(series, key=lambda key: (key[:3], _series_order(series[key]), key[3])):
        found = _series_volumes(series[key])
        found.sort(key=lambda volume: (not volume.real, _file_order(min(volume.headers, key=_file_order))))
        extra = shared.get(key, ())
        for number, volume in enumerate(found, start=1):
            problems = (*volume.problems, *extra)
            volumes.append(_judged(replace(volume, number=number, of=len(found), problems=problems)))
    return volumes


def _judged(volume: SeriesVolume) -> SeriesVolume:
    """Add what concerns the files, and call an original with problems flawed."""
    problems = list(volume.problems)
    codes = Counter(code for header in volume.headers for code in {text.split(":")[0] for text in header.problems})
    problems += [f"{code}: {count} of {len(volume.headers)} files" for code, count in sorted(codes.items())]
    uids = Counter(header.sop_uid for header in volume.headers if header.sop_uid)
    if twice := sum(count > 1 for count in uids.values()):
        problems.append(f"sop-uid-reused: {twice} SOP Instance UIDs name files with different content")
    if volume.of > 1:
        problems.append(f"several-volumes: number {volume.number} of {volume.of} in this series")
    flawed = any(text.split(":")[0] not in REMARKS for text in problems)
    status = "flawed" if volume.status == "ok" and flawed else volume.status
    return replace(volume, status=status, problems=tuple(dict.fromkeys(problems)))


def _identity_problems(series: dict[tuple[str, ...], list[Header]]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Find identifiers that stand for more than one thing; they are never written into the message."""
    issuers, patients, owners = defaultdict(set), defaultdict(set), defaultdict(set)
    for patient, issuer, study, uid in series:
        if patient and issuer:
            issuers[patient].add(issuer)
        patients[study].add((patient, issuer))
        owners[uid].add((patient, issuer, study))
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for key in series:
        patient, _, study, uid = key
        problems = []
        if len(issuers[patient]) > 1:
            problems.append(f"patient-id-reused: this PatientID comes from {len(issuers[patient])} issuers")
        if study and len(patients[study]) > 1:
            problems.append(f"study-of-several-patients: its study names {len(patients[study])} patients")
        if uid and len(owners[uid]) > 1:
            problems.append(f"series-uid-reused: it stands in {len(owners[uid])} studies or patients")
        if not uid:
            problems.append("no-series-uid: files without one were put together")
        found[key] = tuple(problems)
    return found


def _series_volumes(headers: list[Header]) -> list[SeriesVolume]:
    volumes: list[SeriesVolume] = []
    stacked: dict[_Key, list[Header]] = defaultdict(list)
    loose: dict[_Key, list[Header]] = defaultdict(list)
    single = [header for header in headers if header.frames <= 1 and not header.frame_positions]
    volumes += [_multiframe(header) for header in headers if header.frames > 1 or header.frame_positions]
    turns = _clusters([header.orientation for header in single], SAME_COSINE)
    steps = _clusters([header.spacing for header in single], SAME_SPACING)
    for header, turn, step in zip(single, turns, steps, strict=True):
        key = _Key(kind_of(header), header.modality, (header.rows, header.cols), header.samples, step, turn)
        placed = header.position is not None and header.orientation is not None
        (stacked if placed else loose)[key].append(header)
    for group in loose.values():
        volumes += _placeless(group)
    mixed = _mixed(stacked)
    for key, group in stacked.items():
        remarks = mixed if key.kind == "original" else ()
        volumes += [replace(volume, problems=(*volume.problems, *remarks)) for volume in _stacks(group)]
    return volumes


def _mixed(stacked: dict[_Key, list[Header]]) -> tuple[str, ...]:
    """Tell with numbers that the originals of a series lie in several orientations, or have several sizes."""
    turns: Counter[int] = Counter()
    sizes: Counter[tuple[int, int]] = Counter()
    for key, group in stacked.items():
        if key.kind == "original":
            turns[key.turn] += len(group)
            sizes[key.size] += len(group)
    return tuple(
        f"mixed-{name}: the series holds {len(counts)} ({', '.join(map(str, counts[:4]))} images)"
        for name, counts in (
            ("orientation", sorted(turns.values(), reverse=True)),
            ("size", sorted(sizes.values(), reverse=True)),
        )
        if len(counts) > 1
    )


def _clusters(vectors: Sequence[tuple[float, ...] | None], tolerance: float) -> list[int]:
    """Number equal vectors alike: those within `tolerance` of the first of a cluster belong to it; None is -1."""
    known: dict[tuple[float, ...] | None, int] = {None: -1}
    firsts: list[tuple[float, ...]] = []
    for vector in vectors:
        if vector is None or vector in known:
            continue
        others: npt.NDArray[np.float64] = np.array(firsts).reshape(-1, len(vector))
        near = np.flatnonzero((np.abs(others - np.array(vector)) <= tolerance).all(axis=1))
        if len(near):
            known[vector] = int(near[0])
        else:
            known[vector] = len(firsts)
            firsts.append(vector)
    return [known[vector] for vector in vectors]


def _placeless(group: list[Header]) -> list[SeriesVolume]:
    """Pictures have no place in the patient; slices that should have one are put together and said so."""
    first = group[0]
    kind = kind_of(first)
    if kind == "original" and first.modality in CROSS_SECTIONAL:
        problems = [
            f"no-{name}: {lacking} of {len(group)} images"
            for name, lacking in (
                ("position", sum(header.position is None for header in group)),
                ("orientation", sum(header.orientation is None for header in group)),
            )
            if lacking
        ]
        ordered = tuple(sorted(group, key=_file_order))
        return [SeriesVolume(first.series_uid, "ok", ordered, 1, len(group), problems=tuple(problems))]
    status = "picture" if kind == "original" else kind
    return [SeriesVolume(first.series_uid, status, (header,), 1, 1) for header in group]


def _multiframe(header: Header) -> SeriesVolume:
    """One file with several frames: a cine without place, or planes named by its functional groups."""
    kind = kind_of(header)
    status = "ok" if kind == "original" else kind
    uid = header.series_uid
    if len(header.frame_orientations) > 1:
        problem = f"mixed-orientation: {len(header.frame_orientations)} orientations in {header.frames} frames"
        return SeriesVolume(uid, status, (header,), 1, header.frames, problems=(problem,))
    if header.frame_positions and header.orientation is not None:
        if len(header.frame_positions) != header.frames:
            text = f"frame-count: {header.frames} frames declared, {len(header.frame_positions)} described"
            return SeriesVolume(uid, status, (header,), header.frames, 1, problems=(text,))
        stack = _measured(header.frame_positions, header, 1)
        if stack is not None:
            most = Counter(map(len, stack.members)).most_common(1)[0][0]
            stack = _measured(header.frame_positions, header, most) or stack
            return SeriesVolume(uid, status, (header,), most, len(stack.members), stack.spacing, stack.problems)
    if header.modality in FRAMES_ARE_SLICES or "RECON TOMO" in header.image_type:
        return SeriesVolume(uid, status, (header,), 1, header.frames)
    if header.enhanced and header.modality in CROSS_SECTIONAL:
        problem = f"no-position: of {header.frames} frames, or no orientation"
        return SeriesVolume(uid, status, (header,), 1, header.frames, problems=(problem,))
    return SeriesVolume(uid, status, (header,), header.frames, 1)


def _measured(positions: Sequence[Vector], header: Header, frames: int) -> Stack | None:
    """Measure a stack in the orientation of `header`; None when that has no normal."""
    if header.orientation is None:
        return None
    try:
        return measure_stack(positions, header.orientation, thickness=header.thickness, frames=frames)
    except ValueError:
        return None


def _stacks(group: list[Header]) -> list[SeriesVolume]:
    """Part files of one size and orientation into whole stacks, by the rule at the top."""
    group = sorted(group, key=_file_order)
    first = group[0]
    kind = kind_of(first)
    status = "ok" if kind == "original" else kind
    stack = _measured(_positions(group), first, 1)
    if stack is None:
        text = "not-orthonormal: row and column direction are parallel"
        return [SeriesVolume(first.series_uid, status, tuple(group), 1, len(group), problems=(text,))]
    places = [0] * len(group)
    for place, members in enumerate(stack.members):
        for index in members:
            places[index] = place
    volumes = []
    for part in split_stack(group, places, even=stack.even):
        files = tuple(group[index] for index in part.files)
        own = _measured(_positions(files), first, part.frames) or stack
        problems = (*own.problems, *part.remarks)
        slices, spacing = len(own.members), own.spacing
        if slices == 1 and "MOSAIC" in first.image_type:
            told = first.tiles or "an unknown number of"
            problems = (*problems, f"mosaic: each file tiles {told} slices")
            slices, spacing = first.tiles or 1, first.between
        volumes.append(SeriesVolume(first.series_uid, status, files, part.frames, slices, spacing, problems))
    return volumes


def _positions(group: Sequence[Header]) -> list[Vector]:
    return [header.position for header in group if header.position is not None]


def _file_order(header: Header) -> tuple[bool, int, str]:
    """By instance number, then path."""
    number = header.instance_number
    return number is None, number or 0, header.path


def _series_order(group: list[Header]) -> int:
    return min((header.series_number for header in group if header.series_number is not None), default=0)
