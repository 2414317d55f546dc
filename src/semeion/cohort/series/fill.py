"""Fills the array of a volume from the files of its planes, on several threads and straight into place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.limits import ReadLimits, bound_voxels
from semeion.cohort.series import faults
from semeion.cohort.series.coding import Coding, common_type, open_dataset
from semeion.cohort.series.frames import Planes
from semeion.cohort.series.geometry import Layout, Plane
from semeion.cohort.series.header import Header
from semeion.cohort.series.pixels import NOT_PADDED, Padded, TooNarrow, mark, read_decoded, read_native
from semeion.parallel import ordered_map


def read_plane(found: Planes, number: int, headers: Sequence[Header], limits: ReadLimits) -> npt.NDArray[Any]:
    """Return the values of one plane, ``(channels, rows, columns)``, to be compared with another."""
    plane, coding = found.planes[number], found.codings[number]
    out = np.empty((1, coding.rows, coding.cols), np.float32)
    _read_file(headers[plane.source].path, coding, [(plane, coding, out)], limits)
    return out


def read_planes(
    found: Planes, layout: Layout, headers: Sequence[Header], limits: ReadLimits, jobs: int | None
) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Read all pixels into one array ``(planes, slices, rows, columns)``; also return notes of what was changed.

    Raises
    ------
    ImageError
        When a file is cut short, damaged or changed, or grey and colour are mixed.
    """
    kinds = {"grey" if coding.grey else "colour" for coding in found.codings}
    where = found.planes[0].name
    if len(kinds) > 1:
        raise faults.mixed("photometric interpretation (0028,0004)", [c.photometric for c in found.codings], where)
    colour = kinds == {"colour"}
    channels = 3 if colour and len(layout.order) == 1 else 1
    shape = (len(layout.order) * channels, len(layout.order[0]), found.planes[0].rows, found.planes[0].cols)
    bound_voxels(shape, where, limits)
    notes: list[str] = []
    if colour and channels == 1:
        notes.append("colour-to-grey: frames of a film, by ITU-R BT.601")
    kind = _colour_type(found.codings) if colour else common_type(found.codings)
    while True:
        out = np.empty(shape, kind)
        try:
            padded = _fill(out, channels, found, layout, headers, limits, jobs)
            break
        except TooNarrow:
            # Rare: values beyond 16 bits show only when they are read.
            kind = np.dtype(np.int32) if kind.itemsize < 4 else np.dtype(np.float32)
    count = sum(part.count for part in padded.values())
    if count:
        lowest = min(
            padded[key].lowest if padded[key].count else float(out[key].min()) for key in np.ndindex(shape[:2])
        )
        if lowest > mark(kind):
            for key, part in padded.items():
                if part.count:
                    out[key][out[key] == mark(kind)] = lowest if np.isfinite(lowest) else 0
        notes.append(f"padding-replaced: {count} voxels")
    if any(coding.photometric == "MONOCHROME1" for coding in found.codings):
        notes.append("monochrome1-inverted")
    return out, tuple(notes)


def _colour_type(codings: Sequence[Coding]) -> np.dtype[Any]:
    deep = any(coding.allocated > 8 or coding.photometric == "PALETTE COLOR" for coding in codings)
    return np.dtype(np.uint16 if deep else np.uint8)


def _fill(
    out: npt.NDArray[Any],
    channels: int,
    found: Planes,
    layout: Layout,
    headers: Sequence[Header],
    limits: ReadLimits,
    jobs: int | None,
) -> dict[tuple[int, ...], Padded]:
    """Read every plane into its place; one piece of work a frame, or a file where it takes a decoder."""
    work: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for t, row in enumerate(layout.order):
        for k, number in enumerate(row):
            plane, coding = found.planes[number], found.codings[number]
            alone = coding.offset is not None and plane.tile is None
            work[plane.source, plane.frame if alone else -1].append((t, k, number))

    def read(item: tuple[tuple[int, int], list[tuple[int, int, int]]]) -> list[tuple[tuple[int, int], Padded]]:
        (source, _), places = item
        targets = [(found.planes[n], found.codings[n], out[t * channels : (t + 1) * channels, k]) for t, k, n in places]
        padded = _read_file(headers[source].path, targets[0][1], targets, limits)
        return [((t, k), part) for (t, k, _), part in zip(places, padded, strict=True)]

    results: dict[tuple[int, ...], Padded] = {
        (t, k): NOT_PADDED for t in range(out.shape[0]) for k in range(out.shape[1])
    }
    for parts in ordered_map(read, work.items(), jobs=jobs):
        results.update(parts)
    return results


def _read_file(
    path: str, coding: Coding, targets: Sequence[tuple[Plane, Coding, npt.NDArray[Any]]], limits: ReadLimits
) -> list[Padded]:
    """Read planes of one file into ``(channels, rows, columns)`` each."""
    dataset = None if coding.offset is not None else open_dataset(path, limits)
    padded: list[Padded] = []
    for plane, own, place in targets:
        whole = place if plane.tile is None else np.empty((len(place), own.rows, own.cols), place.dtype)
        if dataset is None:
            part = read_native(path, own, plane.frame, whole[0])
        else:
            part = read_decoded(dataset, own, plane.frame, whole, plane.name)
        if plane.tile is not None:
            top, left = plane.tile
            place[...] = whole[:, top : top + plane.rows, left : left + plane.cols]
        padded.append(part)
    return padded
