"""The type that carries one picture and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Photometry = Literal["grey", "colour"]


@dataclass(frozen=True)
class Image:
    """One two-dimensional image as it was acquired, before any preparation.

    Attributes
    ----------
    pixels
        Array ``(rows, columns, channels)`` with 1 (grey) or 3 (red, green, blue) channels; uint8, uint16, int16 or
        float32. Grey values of DICOM are physical: rescale slope and intercept applied, MONOCHROME1 inverted so that
        larger is brighter, padding set to the smallest real value.
    photometry
        ``grey`` or ``colour``, as stored. A colour file whose channels are equal is ``grey``.
    low, high
        The range that the format can hold or the header declares (0 and 255 for 8 bits), not the range seen.
    bits
        Meaningful bits per channel.
    source_format
        Lower-case name by content: png, jpeg, bmp, tiff, webp, dicom, npy, npz.
    unit
        Physical unit when the modality has one, for example ``HU``; else None.
    modality
        DICOM modality, for example ``US``; None when the file does not say.
    spacing
        Row and column spacing in millimetres; None when the file does not say.
    body_part, laterality
        What the file says of the part of the body and its side, as DICOM writes them; None when it does not.
    notes
        Coded remarks on what reading did, for example ``exif-rotated``, ``alpha-composited``, ``monochrome1-inverted``.
    """

    pixels: npt.NDArray[np.generic]
    photometry: Photometry
    low: float
    high: float
    bits: int
    source_format: str
    unit: str | None = None
    modality: str | None = None
    spacing: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    body_part: str | None = None
    laterality: str | None = None
