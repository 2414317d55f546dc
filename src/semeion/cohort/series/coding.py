"""How the pixels of one DICOM file are stored and what they mean, asked of its header and bounded before they are read.

Sources: DICOM PS3.3 C.7.6.3 (image pixel), C.11.1 (modality LUT), C.7.5.1.1.2 (pixel padding).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from semeion.cohort.deflated import DEFLATED, meta_end
from semeion.cohort.dicom import functional_group, padding_range, parse_dataset, quiet, value_unit
from semeion.cohort.dicom_pixels import require_image
from semeion.cohort.limits import ReadLimits, bound_pixels, bound_voxels, cut_short
from semeion.cohort.series.elements import UNDEFINED, DamagedHeader, Elements, Read, read_elements
from semeion.cohort.series.files import read_file
from semeion.cohort.series.walk import WalkLimits
from semeion.errors import ImageError

_EXPLICIT, _IMPLICIT, _BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_FIRST_BYTES = 1 << 14
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
GREY = ("MONOCHROME1", "MONOCHROME2")
_SAMPLES, _PHOTOMETRIC, _FRAMES, _ROWS, _COLS = 0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011
_ALLOCATED, _STORED, _HIGH, _SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103
_PADDING, _PADDING_END, _INTERCEPT, _SLOPE, _TYPE = 0x00280120, 0x00280121, 0x00281052, 0x00281053, 0x00281054
_LUT, _MODALITY, _PER_FRAME, _PIXELS = 0x00283000, 0x00080060, 0x52009230, 0x7FE00010
_SHARED, _UNITS = 0x52009229, 0x00541001
_WANTED = frozenset(
    {
        *(_SAMPLES, _PHOTOMETRIC, _FRAMES, _ROWS, _COLS, _ALLOCATED, _STORED, _HIGH, _SIGNED),
        *(_PADDING, _PADDING_END, _INTERCEPT, _SLOPE, _TYPE, _LUT, _MODALITY, _PER_FRAME, _SHARED, _UNITS),
    }
)


@dataclass(frozen=True)
class Coding:
    """How the pixels of one file, or of one frame of it, are stored and what they mean.

    Attributes
    ----------
    rows, cols, frames, samples, allocated, stored, high_bit, signed, photometric
        Of the image pixel module (0028,xxxx).
    slope, intercept, rescaled
        Of the modality rescale, and whether the header has one.
    lut_bits
        Bits of the entries when a modality LUT takes the rescale's place, else 0.
    padding
        Smallest and largest stored value that is padding.
    unit
        Of the rescaled values.
    floats
        Whether pixels are stored as floating point.
    offset
        Where the pixels begin in the file, when they can be read without a decoder.
    """

    rows: int
    cols: int
    frames: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str
    slope: float = 1.0
    intercept: float = 0.0
    rescaled: bool = False
    lut_bits: int = 0
    padding: tuple[int, int] | None = None
    unit: str | None = None
    floats: bool = False
    offset: int | None = None

    @property
    def grey(self) -> bool:
        """Whether the values are one number a pixel."""
        return self.photometric in GREY

    @property
    def ends(self) -> tuple[float, float]:
        """The declared range of physical values, smallest and largest."""
        if self.lut_bits:
            return 0.0, float((1 << self.lut_bits) - 1)
        low, high = (
            (-(1 << self.stored - 1), (1 << self.stored - 1) - 1) if self.signed else (0, (1 << self.stored) - 1)
        )
        ends = sorted((low * self.slope + self.intercept, high * self.slope + self.intercept))
        return ends[0], ends[1]

    @property
    def whole(self) -> bool:
        """Whether physical values are whole numbers."""
        return not self.floats and float(self.slope).is_integer() and float(self.intercept).is_integer()


def read_coding(path: str, limits: ReadLimits) -> Coding:
    """Read how one file stores its pixels, and refuse sizes and lengths that cannot be.

    Raises
    ------
    ImageError
        No image, too large, cut short, not understood, or not to be opened.
    """
    walked = _walked(path)
    if walked is not None:
        coding = _native_coding(*walked, Path(path).name, limits)
        if coding is not None:
            return coding
    return dataset_coding(open_dataset(path, limits), Path(path).name, limits)


def open_dataset(path: str, limits: ReadLimits) -> Any:
    """Parse one file with pydicom, inflation and size bounded."""
    quiet()
    return parse_dataset(read_file(path, limits=WalkLimits(max_member_bytes=limits.max_bytes)), Path(path).name, limits)


@contextmanager
def understood(where: str) -> Iterator[None]:
    """Turn what pydicom raises at a header element that it converts, on being asked for it, into our own error.

    Raises
    ------
    ImageError
        Naming the file and what pydicom said.
    """
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise not_understood(where, error) from error
    except struct.error as error:
        raise not_understood(where, error) from error


def dataset_coding(dataset: Any, where: str, limits: ReadLimits) -> Coding:
    """Say how a parsed dataset stores its pixels; bounds are checked first."""
    frames = require_image(dataset, where, limits)
    with understood(where):
        bits = int(dataset.BitsAllocated)
        if bits not in (1, 8, 16, 32, 64):
            raise ValueError(f"BitsAllocated (0028,0100) is {bits}")
        stored = int(dataset.get("BitsStored") or bits)
        stored = stored if 0 < stored <= bits else bits
        signed = bool(int(dataset.get("PixelRepresentation") or 0))
        group = functional_group(dataset, "PixelValueTransformationSequence")
        holder = group if group is not None else dataset
        slope, intercept, rescaled = rescale_of(holder)
        lut = holder.get("ModalityLUTSequence")
        modality = str(dataset.get("Modality", "")).strip() or None
        return Coding(
            rows=int(dataset.Rows),
            cols=int(dataset.Columns),
            frames=frames,
            samples=int(dataset.get("SamplesPerPixel") or 1),
            allocated=bits,
            stored=stored,
            high_bit=int(dataset.get("HighBit", stored - 1)),
            signed=signed,
            photometric=str(dataset.get("PhotometricInterpretation", "")).strip(),
            slope=1.0 if lut else slope,
            intercept=0.0 if lut else intercept,
            rescaled=rescaled or bool(lut),
            lut_bits=int(lut[0].LUTDescriptor[2]) if lut else 0,
            padding=padding_range(dataset, bits, signed),
            unit=value_unit(dataset, modality, rescaled or bool(lut)),
            floats="FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset,
        )


def rescale_of(holder: Any) -> tuple[float, float, bool]:
    """Return slope (0028,1053), intercept (0028,1052) and whether either is there."""
    slope, intercept = holder.get("RescaleSlope"), holder.get("RescaleIntercept")
    return _rescale(slope, intercept)


def _rescale(slope: Any, intercept: Any) -> tuple[float, float, bool]:
    if slope in (None, "") and intercept in (None, ""):
        return 1.0, 0.0, False
    factor = 1.0 if slope in (None, "") else float(slope)
    offset = 0.0 if intercept in (None, "") else float(intercept)
    if factor == 0 or not (np.isfinite(factor) and np.isfinite(offset)):
        raise ValueError(f"rescale slope {slope} and intercept {intercept} are unusable")
    return factor, offset, True


def _walked(path: str) -> tuple[Elements, int] | None:
    """Walk a file to its pixels and behind them; also its size. None when pydicom must decode it.

    Raises
    ------
    ImageError
        When the file ends within an element, be it behind the pixels: who knows what else was not copied.
    """
    name = Path(path).name
    try:
        with Path(path).open("rb", buffering=0) as file:
            size = file.seek(0, 2)

            def read(at: int, count: int) -> bytes:
                file.seek(at)
                return file.read(count) or b""

            first = read(0, _FIRST_BYTES)
            begins, syntax = meta_end(first)
            if not syntax or syntax == DEFLATED or begins >= len(first):
                return None
            explicit, little = syntax != _IMPLICIT, syntax != _BIG_ENDIAN
            found = read_elements(read, size, begins, explicit=explicit, little=little, wanted=_WANTED, first=first)
            if found.end != "pixels":
                return None
            behind = found.pixel_offset + found.pixel_length
            if found.pixel_length == UNDEFINED:
                behind = _behind_fragments(read, found.pixel_offset, size)
            if behind > size:
                return None if found.pixel_length == UNDEFINED else (found, size)
            if not _whole_tail(read, behind, size, explicit, "little" if little else "big"):
                raise cut_short(name, "it ends within an element behind the pixels")
    except FileNotFoundError as error:
        if "!" in path:
            return None
        raise unreadable(name, error) from error
    except OSError as error:
        raise unreadable(name, error) from error
    except DamagedHeader as error:
        raise ImageError(f"the header {error}", where=name, fix="copy or export the file again") from error
    plain = syntax in (_EXPLICIT, _IMPLICIT) and found.pixel_length != UNDEFINED and found.pixel_tag == _PIXELS
    return (found, size) if plain else None


def _behind_fragments(read: Read, at: int, size: int) -> int:
    """Return the place behind encapsulated pixels (PS3.5 annex A.4); beyond `size` when they do not end."""
    while at + 8 <= size:
        head = read(at, 8)
        length = int.from_bytes(head[4:], "little")
        at += 8
        if head[:4] == b"\xfe\xff\xdd\xe0":
            return at
        if head[:4] != b"\xfe\xff\x00\xe0":
            break
        at += length
    return size + 1


def _whole_tail(read: Read, at: int, size: int, explicit: bool, order: Literal["little", "big"]) -> bool:
    """Tell whether the elements behind the pixels are all there; some writers fill up with zeros behind the last."""
    while at < size:
        head = read(at, 12)
        if not head.strip(b"\0"):
            return True
        if len(head) < 8:
            return False
        if not explicit:
            length, start = int.from_bytes(head[4:8], order), 8
        elif head[4:6] in _LONG:
            length, start = int.from_bytes(head[8:12], order), 12
        else:
            length, start = int.from_bytes(head[6:8], order), 8
        if length == UNDEFINED:
            # A sequence behind the pixels, which no file should have; its end is not looked for.
            return True
        at += start + length
    return at == size


def _native_coding(found: Elements, size: int, where: str, limits: ReadLimits) -> Coding | None:
    """Say how an uncompressed file stores its pixels; None when it takes a decoder, a LUT or functional groups."""
    values = found.values

    def text(tag: int) -> str:
        raw = values[tag][1] if tag in values else b""
        return raw.decode("latin-1").strip(" \x00") if isinstance(raw, bytes) else ""

    def short(tag: int) -> int | None:
        raw = values[tag][1] if tag in values else b""
        return int.from_bytes(raw, "little") if isinstance(raw, bytes) and len(raw) == 2 else None

    rows, cols, bits = short(_ROWS), short(_COLS), short(_ALLOCATED)
    photometric = text(_PHOTOMETRIC)
    if rows is None or cols is None or bits not in (8, 16) or photometric not in GREY:
        return None
    if short(_SAMPLES) not in (None, 1) or values.keys() & {_LUT, _PER_FRAME, _SHARED}:
        return None
    bound_pixels(rows, cols, where, limits)
    stored = short(_STORED) or bits
    stored = stored if 0 < stored <= bits else bits
    high = short(_HIGH)
    signed = short(_SIGNED) == 1
    modality, unit = text(_MODALITY), None
    try:
        frames = max(int(text(_FRAMES) or 1), 1)
        slope, intercept, rescaled = _rescale(text(_SLOPE), text(_INTERCEPT))
    except ValueError as error:
        raise not_understood(where, error) from error
    if frames > 1:
        bound_voxels((frames, rows, cols), where, limits)
    needed = frames * rows * cols * bits // 8
    there = min(size - found.pixel_offset, found.pixel_length)
    if there < max(needed, found.pixel_length):
        raise cut_short(
            where, f"{max(needed, found.pixel_length):,} bytes of pixels are declared and {there:,} are there"
        )
    if modality == "CT" and rescaled:
        kind = (text(_TYPE) or "HU").upper()
        unit = "HU" if kind in ("HU", "US") else kind
    elif modality == "PT":
        unit = text(_UNITS) or None
    padding = {"PixelPaddingValue": short(_PADDING), "PixelPaddingRangeLimit": short(_PADDING_END)}
    return Coding(
        rows=rows,
        cols=cols,
        frames=frames,
        samples=1,
        allocated=bits,
        stored=stored,
        high_bit=stored - 1 if high is None else high,
        signed=signed,
        photometric=photometric,
        slope=slope,
        intercept=intercept,
        rescaled=rescaled,
        padding=padding_range(padding, bits, signed),
        unit=unit,
        offset=found.pixel_offset,
    )


def common_type(codings: Sequence[Coding]) -> np.dtype[Any]:
    """Choose the number type of a whole series from what its headers declare.

    uint8, uint16 or int16 when every slope and intercept is whole and the declared ranges fit; int16 also for 16-bit
    values with a whole rescale, to be widened to int32 when a value does not fit; else float32.
    """
    if not all(coding.whole for coding in codings):
        return np.dtype(np.float32)
    low = min(coding.ends[0] for coding in codings)
    high = max(coding.ends[1] for coding in codings)
    for kind in (np.uint8, np.uint16, np.int16):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.dtype(kind)
    return np.dtype(np.int16) if high - low < 1 << 18 else np.dtype(np.int32)


def not_understood(where: str, error: Exception) -> ImageError:
    """Return the error for a header that holds something else than it should."""
    text = " ".join(str(error).split())[:160]
    return ImageError(
        f"a DICOM header element cannot be understood ({text})", where=where, fix="export the image again"
    )


def unreadable(where: str, error: OSError) -> ImageError:
    """Return the error for a file that the system does not hand out."""
    return ImageError(
        f"cannot be read ({error.strerror or error})", where=where, fix="check the path and its permissions"
    )
