"""Single-frame DICOM: stored values become physical ones, brighter is larger, padding is out of the way.

Sources: DICOM PS3.3 C.7.6.3 (image pixel), C.11.1 (modality LUT), C.7.5.1.1.2 (pixel padding), C.7.6.16.2 (functional
groups); PS3.5 section 8 (encoding of pixels).
"""

from __future__ import annotations

import io
import struct
import warnings
from functools import lru_cache
from typing import Any

import numpy as np

from semeion.cohort.channels import Pixels, as_float32, split_grey
from semeion.cohort.deflated import DEFLATED, inflate, meta_end
from semeion.cohort.dicom_pixels import stored_pixels
from semeion.cohort.image import Image
from semeion.cohort.limits import ReadLimits
from semeion.errors import ImageError

_CONVERSION = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError),
    struct.error,
)
"""What pydicom raises at an element that holds something else than it should."""
_GREY = ("MONOCHROME1", "MONOCHROME2")


def read_dicom(data: bytes, where: str, limits: ReadLimits) -> Image:
    """Read one DICOM file that holds one image.

    Grey images are physical: modality rescale applied, MONOCHROME1 turned round within its declared range, padding set
    to the smallest real value. Values stay integers where the rescale keeps them whole, else they become float32.

    Raises
    ------
    ImageError
        No image, several frames, too large, cut short, damaged, or encoded in a way that cannot be decoded.
    """
    quiet()
    dataset = parse_dataset(data, where, limits)
    pixels = stored_pixels(dataset, where, limits)
    try:
        photometric = str(dataset.get("PhotometricInterpretation", "")).strip()
        modality = str(dataset.get("Modality", "")).strip() or None
        spacing, spacing_notes = pixel_spacing(dataset)
        body_part = str(dataset.get("BodyPartExamined", "")).strip() or None
        laterality = str(dataset.get("ImageLaterality") or dataset.get("Laterality") or "").strip() or None
        if photometric == "PALETTE COLOR":
            image = _palette(pixels, dataset, where)
        elif pixels.ndim == 3:
            image = _colour(pixels, dataset, where)
        elif photometric in _GREY:
            image = _grey(pixels, dataset, photometric, modality, where)
        else:
            raise ImageError(
                f"has photometric interpretation {photometric or 'none'!r} (0028,0004), which is not read",
                where=where,
                fix="export it as MONOCHROME2 or RGB",
            )
    except ImageError:
        raise
    # A header element may hold anything; pydicom converts it only when it is asked for.
    except _CONVERSION as error:
        raise ImageError(
            f"a DICOM header element cannot be understood ({error})", where=where, fix="export the image again"
        ) from error
    return Image(
        image.pixels,
        image.photometry,
        image.low,
        image.high,
        image.bits,
        "dicom",
        unit=image.unit,
        modality=modality,
        spacing=spacing,
        notes=(*image.notes, *spacing_notes),
        body_part=body_part,
        laterality=laterality,
    )


@lru_cache(maxsize=1)
def quiet() -> None:
    """Keep pydicom's and GDCM's remarks off the terminal: what matters is raised, with the file's name."""
    import gdcm

    # Threads share the list of filters, so it is set once and not around each call.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom(\..*)?$")
    for silence in (gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff, gdcm.Trace.DebugOff):
        silence()


def parse_dataset(data: bytes, where: str, limits: ReadLimits) -> Any:
    """Parse the file; the transfer syntax is filled in when the file leaves it out."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if meta_end(data)[1] == DEFLATED:
        data = inflate(data, where, limits)
    try:
        dataset: Any = pydicom.dcmread(io.BytesIO(data), force=True)
        if len(dataset) == 0:
            raise ValueError("no data elements")
        if not hasattr(dataset, "file_meta"):
            dataset.file_meta = FileMetaDataset()
        if "TransferSyntaxUID" not in dataset.file_meta:
            implicit, little = dataset.original_encoding
            explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    except MemoryError:
        raise
    # Hostile files make the parser raise almost anything, a too deep recursion included.
    except Exception as error:
        raise ImageError(
            f"is no DICOM that can be parsed ({' '.join(str(error).split())[:160]})",
            where=where,
            fix="copy or export the file again",
        ) from error
    return dataset


def _grey(pixels: Pixels, dataset: Any, photometric: str, modality: str | None, where: str) -> Image:
    """Turn stored grey values into physical ones."""
    notes: list[str] = []
    if pixels.dtype.kind == "f":
        floats = as_float32(pixels, where)[..., np.newaxis]
        ends = float(floats.min()), float(floats.max())
        return Image(floats, "grey", *ends, 32, "dicom", notes=("range-from-values",))
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    bits, signed = _bits(pixels, dataset)
    pixels = clear_unused_bits(pixels, int(dataset.get("HighBit", bits - 1)), bits, signed)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    padding = _padding(pixels, dataset)
    values, low_value, high_value, rescaled = _rescale(pixels, dataset, float(low), float(high))
    if rescaled:
        notes.append("rescaled")
    unit = value_unit(dataset, modality, rescaled)
    if photometric == "MONOCHROME1":
        values = low_value + high_value - values.astype(np.float64)
        unit = None
        notes.append("monochrome1-inverted")
    if padding is not None and not padding.all():
        values = np.where(padding, values[~padding].min(), values)
        notes.append("padding-replaced")
    exact = _narrow(values, low_value, high_value, bits, where)
    return Image(exact[..., np.newaxis], "grey", low_value, high_value, bits, "dicom", unit=unit, notes=tuple(notes))


def _bits(pixels: Pixels, dataset: Any) -> tuple[int, bool]:
    """Return meaningful bits and whether values are signed."""
    allocated = pixels.dtype.itemsize * 8
    stored = int(dataset.get("BitsStored") or allocated)
    return (stored if 0 < stored <= allocated else allocated), pixels.dtype.kind == "i"


def clear_unused_bits(pixels: Pixels, high_bit: int, bits: int, signed: bool) -> Pixels:
    """Drop what old files keep in the unused high bits (overlays, PS3.5 section 8.1.1) and move values down."""
    allocated = pixels.dtype.itemsize * 8
    shift = high_bit - (bits - 1)
    if allocated == bits or not 0 <= shift <= allocated - bits:
        return pixels
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if shift == 0 and pixels.min() >= low and pixels.max() <= high:
        return pixels
    # To the left until the sign bit is in place, then back: keeps the sign and clears the rest.
    return (pixels << (allocated - bits - shift)) >> (allocated - bits)


def _padding(pixels: Pixels, dataset: Any) -> Any:
    """Return the mask of padding pixels, or None when there are none."""
    ends = padding_range(dataset, pixels.dtype.itemsize * 8, pixels.dtype.kind == "i")
    if ends is None:
        return None
    mask = (pixels >= ends[0]) & (pixels <= ends[1])
    return mask if bool(mask.any()) else None


def padding_range(dataset: Any, allocated: int, signed: bool) -> tuple[int, int] | None:
    """Return the smallest and largest stored value that is padding, None when the header names no padding."""
    first = dataset.get("PixelPaddingValue")
    if first in (None, ""):
        return None
    last = dataset.get("PixelPaddingRangeLimit")
    ends = [int(first), int(first if last in (None, "") else last)]
    # The element is US or SS; a writer that chose wrongly stores the two's complement.
    span = 1 << allocated
    if signed:
        ends = [value - span if value >= span // 2 else value for value in ends]
    return min(ends), max(ends)


def _rescale(pixels: Pixels, dataset: Any, low: float, high: float) -> tuple[Pixels, float, float, bool]:
    """Apply the modality LUT or the rescale; also to the declared range."""
    groups = functional_group(dataset, "PixelValueTransformationSequence")
    holder = groups if groups is not None else dataset
    if holder.get("ModalityLUTSequence"):
        from pydicom.pixels.processing import apply_modality_lut

        mapped = np.asarray(apply_modality_lut(pixels, holder))
        entry_bits = int(holder.ModalityLUTSequence[0].LUTDescriptor[2])
        return mapped, 0.0, float((1 << entry_bits) - 1), True
    slope, intercept = holder.get("RescaleSlope"), holder.get("RescaleIntercept")
    if slope in (None, "") and intercept in (None, ""):
        return pixels, low, high, False
    factor = 1.0 if slope in (None, "") else float(slope)
    offset = 0.0 if intercept in (None, "") else float(intercept)
    if factor == 0 or not (np.isfinite(factor) and np.isfinite(offset)):
        raise ValueError(f"rescale slope {slope} and intercept {intercept} are unusable")
    ends = sorted((low * factor + offset, high * factor + offset))
    if factor == 1 and offset == 0:
        return pixels, ends[0], ends[1], True
    return pixels.astype(np.float64) * factor + offset, ends[0], ends[1], True


def _narrow(values: Pixels, low: float, high: float, bits: int, where: str) -> Pixels:
    """Return uint8, uint16 or int16 when slope and intercept are whole and the declared range fits, else float32.

    The header decides and not the values seen, so that images of one scanner share one type.
    """
    step = (high - low) / ((1 << bits) - 1)
    if values.dtype.kind == "f" and not (low.is_integer() and step.is_integer()):
        return as_float32(values, where)
    for dtype in (np.uint8, np.uint16, np.int16):
        info = np.iinfo(dtype)
        if info.min <= low and high <= info.max:
            return values.astype(dtype, copy=False)
    # Declared ranges are often wider than the scanner's values: 16 bits less 1024 still fit when the values do.
    if values.min() >= -32768 and values.max() <= 32767:
        return values.astype(np.int16)
    return as_float32(values, where)


def value_unit(dataset: Any, modality: str | None, rescaled: bool) -> str | None:
    """Return HU for rescaled CT and the declared unit for PET."""
    if modality == "CT" and rescaled:
        kind = str(dataset.get("RescaleType") or "HU").strip().upper()
        return "HU" if kind in ("HU", "US") else kind
    if modality == "PT":
        return str(dataset.get("Units") or "").strip() or None
    return None


def _colour(pixels: Pixels, dataset: Any, where: str) -> Image:
    """Return red, green, blue; pydicom has already converted the YBR family."""
    pixels = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("="), copy=False))
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"holds colour pixels of type {pixels.dtype}", where=where, fix="export it as 8-bit RGB")
    bits, _ = _bits(pixels, dataset)
    channels, photometry = split_grey(pixels)
    return Image(channels, photometry, 0.0, float((1 << bits) - 1), bits, "dicom")


def _palette(pixels: Pixels, dataset: Any, where: str) -> Image:
    """Look every stored value up in the palette."""
    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        raise ImageError("has a segmented palette, which is not read", where=where, fix="export it as RGB")
    from pydicom.pixels.processing import apply_color_lut

    coloured = np.asarray(apply_color_lut(pixels, dataset))
    entry_bits = 8 if coloured.dtype == np.uint8 else 16
    channels, photometry = split_grey(np.ascontiguousarray(coloured[..., :3]))
    high = float((1 << entry_bits) - 1)
    return Image(channels, photometry, 0.0, high, entry_bits, "dicom", notes=("palette-applied",))


def functional_group(dataset: Any, keyword: str) -> Any:
    """Return the item of a functional group of an enhanced single-frame image, or None."""
    for sequence in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        items = dataset.get(sequence)
        if items and items[0].get(keyword):
            return items[0].get(keyword)[0]
    return None


def pixel_spacing(dataset: Any) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return row and column spacing in millimetres: in the patient, else at the detector (noted)."""
    measures = functional_group(dataset, "PixelMeasuresSequence")
    for holder, keyword, notes in (
        (measures if measures is not None else dataset, "PixelSpacing", ()),
        (dataset, "ImagerPixelSpacing", ("spacing-at-detector",)),
        (dataset, "NominalScannedPixelSpacing", ("spacing-at-detector",)),
    ):
        values = holder.get(keyword)
        if values is not None and not isinstance(values, str) and len(values) == 2:
            row, col = float(values[0]), float(values[1])
            if row > 0 and col > 0 and np.isfinite(row) and np.isfinite(col):
                return (row, col), notes
    return None, ()
