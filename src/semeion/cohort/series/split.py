"""Parts a stack whose positions hold several images each: only where every part is then whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from semeion.cohort.series.header import Header
from semeion.cohort.series.stack import measure_stack

LEAST_RUN = 4
"""Slices that an acquisition must have to be a stack of its own beside another at other positions."""


@dataclass(frozen=True)
class Part:
    """Files that belong together.

    Attributes
    ----------
    files
        Indices of headers. Of a whole part, frame by frame and within a frame by place; else by place, then file.
    frames
        How many images each place should hold.
    remarks
        How frames were told apart, when it is not by an element that says so.
    """

    files: tuple[int, ...]
    frames: int
    remarks: tuple[str, ...] = ()


Key = Callable[[Header], Hashable]

_SEPARATE: tuple[Key, ...] = (
    lambda header: header.image_type[2:],
    lambda header: header.echo_time,
    lambda header: header.b_value,
)
"""Elements that tell volumes apart, in the order in which they are tried."""


def split_stack(headers: Sequence[Header], places: Sequence[int], *, even: bool) -> list[Part]:
    """Part files of one size and orientation.

    Parameters
    ----------
    headers
        In order of instance number.
    places
        For each, which position along the normal it has, counted from 0.
    even
        Whether positions are evenly spaced.
    """
    indices = list(range(len(headers)))
    if len(set(places)) == len(indices):
        runs = [] if even else _acquisition_runs(headers, indices)
        return [_stack(run, places) for run in runs or [indices]]
    return _split(headers, places, indices, list(_SEPARATE))


def _split(headers: Sequence[Header], places: Sequence[int], files: list[int], keys: list[Key]) -> list[Part]:
    """Try one element after the other on files whose places hold several images."""
    counts = Counter(places[index] for index in files)
    if max(counts.values()) == 1:
        return [_stack(files, places)]
    for at, key in enumerate(keys):
        if parts := _whole_parts(headers, places, files, key):
            return [found for part in parts for found in _split(headers, places, part, keys[at + 1 :])]
    if frames := _by_time(headers, places, files):
        return [_frames(frames, places)]
    if parts := _whole_parts(headers, places, files, lambda header: header.acquisition_number):
        if all("MOSAIC" in headers[index].image_type for index in files):
            if all(len(part) == len(counts) for part in parts):
                return [_frames(parts, places)]
        else:
            return [found for part in parts for found in _split(headers, places, part, [])]
    if frames := _by_instance(headers, places, files):
        return [_frames(frames, places, (f"frames-by-instance-number: {len(frames)}",))]
    # Frames of which some are missing; where none is, and nothing tells them apart, they are duplicates.
    usual = max(Counter(counts.values()).items(), key=lambda item: (item[1], item[0]))[0]
    ordered = sorted(files, key=lambda index: (places[index], index))
    return [Part(tuple(ordered), usual if len(set(counts.values())) > 1 else 1)]


def _stack(files: list[int], places: Sequence[int]) -> Part:
    return Part(tuple(sorted(files, key=lambda index: places[index])), 1)


def _frames(frames: list[list[int]], places: Sequence[int], remarks: tuple[str, ...] = ()) -> Part:
    ordered = [index for frame in frames for index in sorted(frame, key=lambda index: places[index])]
    return Part(tuple(ordered), len(frames), remarks)


def _whole_parts(headers: Sequence[Header], places: Sequence[int], files: list[int], key: Key) -> list[list[int]]:
    """Return the parts that `key` makes, in order of the first file, when each covers every place; else nothing."""
    parts: dict[Hashable, list[int]] = defaultdict(list)
    for index in files:
        parts[key(headers[index])].append(index)
    every = {places[index] for index in files}
    if len(parts) < 2 or any({places[index] for index in part} != every for part in parts.values()):
        return []
    return list(parts.values())


def _by_time(headers: Sequence[Header], places: Sequence[int], files: list[int]) -> list[list[int]]:
    """Return frames by temporal position, or by the rank of the trigger time at each place."""
    if all(headers[index].temporal_position is not None for index in files):
        parts = _whole_parts(headers, places, files, lambda header: header.temporal_position)
        if parts and all(len(part) == len(parts[0]) == len({places[index] for index in part}) for part in parts):
            return sorted(parts, key=lambda part: headers[part[0]].temporal_position or 0)
    times = {index: headers[index].trigger_time for index in files}
    if any(time is None for time in times.values()):
        return []
    here: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for index, time in times.items():
        here[places[index]].append((time or 0.0, index))
    count = len(next(iter(here.values())))
    if any(len(at) != count or len({time for time, _ in at}) != count for at in here.values()):
        return []
    return [[sorted(at)[frame][1] for at in here.values()] for frame in range(count)]


def _by_instance(headers: Sequence[Header], places: Sequence[int], files: list[int]) -> list[list[int]]:
    """Return frames by instance number when the numbers run frame by frame, or place by place, without an overlap."""
    numbers = [headers[index].instance_number for index in files]
    here: dict[int, list[int]] = defaultdict(list)
    for index in files:
        here[places[index]].append(index)
    count = len(next(iter(here.values())))
    if None in numbers or len(set(numbers)) != len(numbers) or any(len(at) != count for at in here.values()):
        return []
    ranked = sorted(files, key=lambda index: headers[index].instance_number or 0)
    blocks = [ranked[start : start + len(here)] for start in range(0, len(ranked), len(here))]
    if all(len({places[index] for index in block}) == len(here) for block in blocks):
        return blocks
    by_place = [ranked[start : start + count] for start in range(0, len(ranked), count)]
    if all(len({places[index] for index in block}) == 1 for block in by_place):
        return [[block[frame] for block in by_place] for frame in range(count)]
    return []


def _acquisition_runs(headers: Sequence[Header], files: list[int]) -> list[list[int]]:
    """Return acquisitions that are even stacks by themselves though all together are not; else nothing."""
    parts: dict[Hashable, list[int]] = defaultdict(list)
    for index in files:
        parts[headers[index].acquisition_number].append(index)
    if len(parts) < 2 or None in parts or min(map(len, parts.values())) < LEAST_RUN:
        return []
    for part in parts.values():
        orientation = headers[part[0]].orientation
        positions = [place for index in part if (place := headers[index].position) is not None]
        if orientation is None or len(positions) != len(part) or not measure_stack(positions, orientation).even:
            return []
    return list(parts.values())
