"""What is known of one DICOM file from its header alone; pixels are never touched."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any

Vector = tuple[float, float, float]
Cosines = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Header:
    """The elements of one DICOM image file that decide where it belongs.

    Text is stripped; an absent element is ``""`` or None, never a default that could be mistaken for a value.

    Attributes
    ----------
    path
        The file; of a file inside a zip archive ``archive.zip!member``.
    size, mtime_ns
        Of the file, so that a resumed index knows what changed.
    sop_uid, sop_class, transfer_syntax
        (0008,0018), (0008,0016), (0002,0010).
    patient_id, issuer, study_uid, series_uid, frame_of_reference
        (0010,0020), (0010,0021), (0020,000D), (0020,000E), (0020,0052).
    modality, body_part, laterality, description, date, image_type
        (0008,0060), (0018,0015), (0020,0060), (0008,103E), the series', study's or acquisition's date, (0008,0008) as
        a tuple.
    series_number, acquisition_number, instance_number, temporal_position, trigger_time, echo_time, b_value
        (0020,0011), (0020,0012), (0020,0013), (0020,0100), (0018,1060), (0018,0081), (0018,9087).
    rows, cols, frames, samples, bits_allocated
        (0028,0010), (0028,0011), (0028,0008) or 1, (0028,0002) or 1, (0028,0100).
    position, orientation, spacing, thickness
        (0020,0032) mm, (0020,0037), (0028,0030) as row and column spacing mm, (0018,0050) mm.
    enhanced
        Whether geometry and times stand in functional groups, one item a frame.
    frame_positions, frame_orientations
        Of an enhanced file: the position of each frame, and the distinct orientations of all; empty elsewhere.
    photometric
        (0028,0004).
    between, tiles
        (0018,0088) spacing between slices in mm, (0019,100A) of Siemens: slices that a mosaic tiles; 0 elsewhere.
    pixel_bytes
        Declared length of the pixel data element; None when encapsulated or absent.
    problems
        Coded remarks: ``truncated``, ``no-pixels``, ``no-position``...
    """

    path: str
    size: int
    mtime_ns: int
    sop_uid: str = ""
    sop_class: str = ""
    transfer_syntax: str = ""
    patient_id: str = ""
    issuer: str = ""
    study_uid: str = ""
    series_uid: str = ""
    frame_of_reference: str = ""
    modality: str = ""
    body_part: str = ""
    laterality: str = ""
    description: str = ""
    date: str = ""
    image_type: tuple[str, ...] = ()
    series_number: int | None = None
    acquisition_number: int | None = None
    instance_number: int | None = None
    temporal_position: int | None = None
    trigger_time: float | None = None
    echo_time: float | None = None
    b_value: float | None = None
    rows: int = 0
    cols: int = 0
    frames: int = 1
    samples: int = 1
    bits_allocated: int = 0
    position: Vector | None = None
    orientation: Cosines | None = None
    spacing: tuple[float, float] | None = None
    thickness: float | None = None
    enhanced: bool = False
    frame_positions: tuple[Vector, ...] = ()
    frame_orientations: tuple[Cosines, ...] = ()
    photometric: str = ""
    between: float | None = None
    tiles: int = 0
    pixel_bytes: int | None = None
    problems: tuple[str, ...] = field(default=())

    @staticmethod
    def from_values(values: dict[str, Any]) -> Header:
        """Make a header of plain values, as JSON holds them: lists become tuples."""
        return Header(**{name: _frozen(value) for name, value in values.items()})

    def to_values(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, for JSON."""
        return {
            item.name: value
            for item in fields(self)
            if (value := getattr(self, item.name)) != item.default or item.default is MISSING
        }


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
