"""From files to planes: single slices, enhanced multi-frame files, mosaics, and films without a place in the patient.

Sources: DICOM PS3.3 C.7.6.16 (functional groups), C.7.6.5 (cine), C.8.5.5 (ultrasound regions), C.8.13.5 (MR groups).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from semeion.cohort.dicom import pixel_spacing
from semeion.cohort.limits import ReadLimits
from semeion.cohort.series.coding import Coding, dataset_coding, open_dataset, read_coding, rescale_of, understood
from semeion.cohort.series.geometry import INSTANCE, Layout, Plane
from semeion.cohort.series.header import Header
from semeion.cohort.series.mosaic import is_mosaic, mosaic_planes
from semeion.cohort.volume import Grid
from semeion.errors import ImageError
from semeion.parallel import ordered_map

_CENTIMETRES = 3
"""PhysicalUnitsXDirection (0018,6024)."""


@dataclass(frozen=True)
class Planes:
    """The planes of a series and how each is stored."""

    planes: tuple[Plane, ...]
    codings: tuple[Coding, ...]


def collect(headers: Sequence[Header], limits: ReadLimits, jobs: int | None = None) -> Planes:
    """Return a plane for every slice and moment that the files hold, and how its pixels are stored.

    Raises
    ------
    ImageError
        When a file cannot be read or contradicts itself.
    """
    work = list(enumerate(headers))
    found = list(ordered_map(lambda item: _planes(item[1], item[0], limits), work, jobs=jobs))
    return Planes(
        tuple(plane for part in found for plane in part.planes),
        tuple(coding for part in found for coding in part.codings),
    )


def _planes(header: Header, source: int, limits: ReadLimits) -> Planes:
    name = Path(header.path).name
    if header.frames > 1 or header.frame_positions or (header.enhanced and header.position is None):
        dataset = open_dataset(header.path, limits)
        coding = dataset_coding(dataset, name, limits)
        with understood(name):
            return _grouped(dataset, coding, header, source, name)
    coding = read_coding(header.path, limits)
    if (coding.rows, coding.cols) != (header.rows, header.cols):
        raise ImageError("has changed since its header was read", where=name, fix="read the folder again")
    if is_mosaic(header):
        with understood(name):
            planes = mosaic_planes(header, open_dataset(header.path, limits), source, name, _moment(header))
        return Planes(tuple(planes), (coding,) * len(planes))
    plane = Plane(
        name=name,
        source=source,
        frame=0,
        rows=header.rows,
        cols=header.cols,
        position=header.position,
        orientation=header.orientation,
        spacing=header.spacing,
        thickness=header.thickness,
        moment=_moment(header),
        contrast=_contrast(header),
    )
    return Planes((plane,), (coding,))


def _moment(header: Header) -> tuple[tuple[str, float], ...]:
    """Return what may order the file in time, the most telling first."""
    values = (
        ("temporal position", header.temporal_position),
        ("trigger time", header.trigger_time),
        ("acquisition number", header.acquisition_number),
        (INSTANCE, header.instance_number),
    )
    return tuple((name, float(value)) for name, value in values if value is not None)


def _contrast(header: Header) -> tuple[tuple[str, str], ...]:
    return (
        ("image type (0008,0008)", "\\".join(header.image_type)),
        ("echo time (0018,0081)", "none" if header.echo_time is None else f"{header.echo_time:g}"),
        ("b-value (0018,9087)", "none" if header.b_value is None else f"{header.b_value:g}"),
    )


def _grouped(dataset: Any, coding: Coding, header: Header, source: int, name: str) -> Planes:
    """Read the functional groups of an enhanced file, frame by frame, the shared ones behind."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if not frames and shared is None:
        return _plain_frames(dataset, coding, header, source, name)
    if len(frames) != coding.frames:
        raise ImageError(
            f"declares {coding.frames} frames (0028,0008) and describes {len(frames)} (5200,9230)",
            where=name,
            fix="export it again",
        )
    planes, codings = [], []
    for n, item in enumerate(frames):
        groups = _Groups(item, shared)
        slope, intercept, rescaled = rescale_of(groups.item("PixelValueTransformationSequence"))
        codings.append(
            replace(coding, slope=slope, intercept=intercept, rescaled=True)
            if rescaled and not coding.lut_bits
            else coding
        )
        planes.append(
            Plane(
                name=f"{name} frame {n + 1}",
                source=source,
                frame=n,
                rows=coding.rows,
                cols=coding.cols,
                position=groups.numbers("PlanePositionSequence", "ImagePositionPatient", 3),
                orientation=groups.numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6),
                spacing=groups.numbers("PixelMeasuresSequence", "PixelSpacing", 2),
                thickness=groups.number("PixelMeasuresSequence", "SliceThickness"),
                moment=_group_moment(groups),
                contrast=_group_contrast(groups),
            )
        )
    return Planes(tuple(planes), tuple(codings))


class _Groups:
    """The functional groups of one frame: its own, else the shared ones."""

    def __init__(self, own: Any, shared: Any) -> None:
        self.holders = [holder for holder in (own, shared) if holder is not None]

    def item(self, macro: str) -> Any:
        for holder in self.holders:
            items = holder.get(macro)
            if items:
                return items[0]
        return {}

    def numbers(self, macro: str, keyword: str, count: int) -> Any:
        value = self.item(macro).get(keyword)
        if value is None or isinstance(value, str) or len(value) != count:
            return None
        return tuple(float(number) for number in value)

    def number(self, macro: str, keyword: str) -> float | None:
        value = self.item(macro).get(keyword)
        return None if value in (None, "") else float(value)


def _group_moment(groups: _Groups) -> tuple[tuple[str, float], ...]:
    offset = groups.number("TemporalPositionSequence", "TemporalPositionTimeOffset")
    values = (
        # Seconds in the standard, milliseconds here.
        ("temporal offset", None if offset is None else offset * 1000.0),
        ("trigger time", groups.number("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime")),
        ("temporal position", groups.number("FrameContentSequence", "TemporalPositionIndex")),
        ("acquisition number", groups.number("FrameContentSequence", "FrameAcquisitionNumber")),
    )
    return tuple((name, value) for name, value in values if value is not None)


def _group_contrast(groups: _Groups) -> tuple[tuple[str, str], ...]:
    kind: list[str] = []
    for macro in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence"):
        kind += [str(word) for word in groups.item(macro).get("FrameType") or []]
    echo, b_value = (
        groups.number("MREchoSequence", "EffectiveEchoTime"),
        groups.number("MRDiffusionSequence", "DiffusionBValue"),
    )
    return (
        ("frame type (0008,9007)", "\\".join(kind)),
        ("echo time (0018,9082)", "none" if echo is None else f"{echo:g}"),
        ("b-value (0018,9087)", "none" if b_value is None else f"{b_value:g}"),
    )


def _plain_frames(dataset: Any, coding: Coding, header: Header, source: int, name: str) -> Planes:
    """Return the frames of a film: all at one place, or nowhere, ordered by their number."""
    if header.modality in ("NM", "RTDOSE", "OPT", "SEG") and "DYNAMIC" not in header.image_type:
        raise ImageError(
            f"holds {coding.frames} frames of modality {header.modality} without functional groups (5200,9230) that "
            "place them",
            where=name,
            fix="export it as an enhanced multi-frame file, or as single slices",
        )
    times = frame_times(dataset, coding.frames, name)
    planes = tuple(
        Plane(
            name=f"{name} frame {n + 1}",
            source=source,
            frame=n,
            rows=coding.rows,
            cols=coding.cols,
            position=header.position,
            orientation=header.orientation,
            spacing=None,
            thickness=header.thickness,
            moment=(("frame time", times[n]),) if times else (),
        )
        for n in range(coding.frames)
    )
    return Planes(planes, (coding,) * len(planes))


def frame_times(dataset: Any, frames: int, where: str) -> tuple[float, ...]:
    """Return milliseconds of each frame from the first, of FrameTimeVector or FrameTime; empty when neither is there.

    Raises
    ------
    ImageError
        When they do not fit the number of frames or are no times.
    """
    vector, each = dataset.get("FrameTimeVector"), dataset.get("FrameTime")
    try:
        if vector not in (None, ""):
            steps = np.atleast_1d(np.array(vector, dtype=np.float64))
        elif each not in (None, ""):
            steps = np.array([0.0] + [float(each)] * (frames - 1))
        else:
            return ()
    except (TypeError, ValueError) as error:
        raise ImageError(
            "FrameTime (0018,1063) or FrameTimeVector (0018,1065) is no number", where=where, fix="export it again"
        ) from error
    if len(steps) != frames or not np.isfinite(steps).all() or (steps < 0).any():
        raise ImageError(
            f"has {frames} frames and {len(steps)} times that are positive numbers or not (0018,1065)",
            where=where,
            fix="export it again",
        )
    return tuple(float(value) for value in np.cumsum(steps) - steps[0])


def film_layout(
    planes: Sequence[Plane], header: Header, limits: ReadLimits, missing_spacing: Literal["refuse", "note"]
) -> Layout:
    """Return the layout of a film: one slice, frames in time.

    Raises
    ------
    ImageError
        When the size of a pixel is not known and that is not allowed.
    """
    name = Path(header.path).name
    dataset = open_dataset(header.path, limits)
    with understood(name):
        spacing, notes = _film_spacing(dataset, name)
    if spacing is None and missing_spacing == "refuse":
        raise ImageError(
            "does not say how large a pixel is: no PixelSpacing (0028,0030), ImagerPixelSpacing (0018,1164) or "
            "ultrasound region in centimetres (0018,6011)",
            where=name,
            fix="export it with its calibration, or read it without millimetres",
        )
    if spacing is None:
        spacing, notes = (1.0, 1.0), ("no-spacing: 1 x 1 mm stands for an unknown pixel",)
    thickness = header.thickness
    if thickness is None or not np.isfinite(thickness) or thickness <= 0:
        thickness = 1.0
        notes = (*notes, "one-slice: 1 mm stands for an unknown thickness")
    grid = Grid((planes[0].cols, planes[0].rows, 1), (spacing[1], spacing[0], thickness))
    times = tuple(dict(plane.moment).get("frame time", np.nan) for plane in planes)
    if not np.isfinite(times).all():
        times, notes = (), (*notes, "no-frame-time: neither FrameTime (0018,1063) nor FrameTimeVector (0018,1065)")
    notes = (*notes, "no-position: a film, its place in the patient is not known")
    order = tuple((n,) for n in range(len(planes)))
    return Layout(order, grid, np.zeros((1, 2)), np.zeros(1), times=times, notes=notes)


def _film_spacing(dataset: Any, where: str) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return row and column spacing in mm, of the header or of the ultrasound regions."""
    found = set()
    for region in dataset.get("SequenceOfUltrasoundRegions") or []:
        units = int(region.get("PhysicalUnitsXDirection", 0)), int(region.get("PhysicalUnitsYDirection", 0))
        if units == (_CENTIMETRES, _CENTIMETRES):
            row, col = abs(float(region.PhysicalDeltaY)) * 10, abs(float(region.PhysicalDeltaX)) * 10
            found.add((round(row, 9), round(col, 9)))
    if len(found) > 1:
        raise ImageError(
            f"shows {len(found)} ultrasound regions of different scale (0018,6011)",
            where=where,
            fix="export one region, or read it without millimetres",
        )
    if found and min(min(found)) > 0:
        return found.pop(), ()
    return pixel_spacing(dataset)
