"""Stored pixel values of a DICOM dataset, bounded and checked before they are decoded."""

from __future__ import annotations

from typing import Any

import numpy as np

from semeion.cohort.channels import Pixels
from semeion.cohort.headers import jpeg_frame, jpeg_warning
from semeion.cohort.limits import ReadLimits, bound_pixels, bound_voxels, cut_short
from semeion.errors import ImageError

_EXTENDED_JPEG = "1.2.840.10008.1.2.4.51"
_JPEG = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81))
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
_JPEG2000 = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
_SOC_SIZ = b"\xff\x4f\xff\x51"


def stored_pixels(dataset: Any, where: str, limits: ReadLimits) -> Pixels:
    """Return the stored values, ``(rows, columns)`` or ``(rows, columns, 3)`` in red, green, blue.

    Raises
    ------
    ImageError
        No pixels, several frames, too large, cut short, or encoded in a way that cannot be decoded.
    """
    frames = require_image(dataset, where, limits)
    if frames > 1:
        raise ImageError(
            f"holds {frames} frames, and one picture is wanted",
            where=where,
            fix="name it as a volume or a film, or export the frame that matters",
        )
    return stored_frame(dataset, 0, where)


def stored_frame(dataset: Any, index: int, where: str) -> Pixels:
    """Return the stored values of one frame, counted from 0, of a dataset that `require_image` let pass.

    Raises
    ------
    ImageError
        Cut short, or encoded in a way that cannot be decoded.
    """
    from pydicom.pixels.utils import pixel_array

    syntax = str(dataset.file_meta.TransferSyntaxUID)
    try:
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            frame = _checked_frame(dataset, index, syntax, where)
            if syntax == _EXTENDED_JPEG and _whole(dataset, "BitsStored", where) > 8:
                return _extended_jpeg(dataset, frame)
        # Where the meaningful bits are not the lowest ones (retired since 2014), pydicom would cut off the wrong ones.
        moved = int(dataset.get("HighBit") or 0) > int(dataset.get("BitsStored") or 0) - 1
        # GDCM ends the whole process at some damaged JPEG 2000, whatever is caught.
        plugin = "pylibjpeg" if syntax in _JPEG2000 else ""
        pixels: Pixels = pixel_array(dataset, index=index, correct_unused_bits=not moved, decoding_plugin=plugin)
    except ImageError:
        raise
    except MemoryError:
        raise
    # pydicom and its decoders raise AttributeError, ValueError, RuntimeError, struct.error and more on bad files.
    except Exception as error:
        text = " ".join(str(error).split())
        if "less than expected" in text or "shorter" in text:
            raise cut_short(where, "the pixel data hold fewer bytes than rows and columns ask for") from error
        raise ImageError(
            f"the pixel data cannot be decoded ({_name(syntax)}: {text[:160]})",
            where=where,
            fix="export it uncompressed, or leave the case out with --skip-bad",
        ) from error
    return pixels


def require_image(dataset: Any, where: str, limits: ReadLimits) -> int:
    """Return the number of frames; what is no image of a bounded size is refused.

    Raises
    ------
    ImageError
        No pixels, too large, or samples that are neither grey nor colour.
    """
    if not any(key in dataset for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        detail = (
            "the pixel data are missing" if "Rows" in dataset else f"a DICOM object of modality {_modality(dataset)}"
        )
        raise ImageError(
            f"holds no image: {detail}",
            where=where,
            fix="export the image again" if "Rows" in dataset else "name a DICOM file that holds an image",
        )
    frames = _whole(dataset, "NumberOfFrames", where, default=1)
    rows, cols = _whole(dataset, "Rows", where), _whole(dataset, "Columns", where)
    bound_pixels(rows, cols, where, limits)
    if frames > 1:
        bound_voxels((frames, rows, cols), where, limits)
    samples = _whole(dataset, "SamplesPerPixel", where, default=1)
    if samples not in (1, 3):
        raise ImageError(f"declares {samples} samples a pixel (0028,0002)", where=where, fix="export it as grey or RGB")
    return max(frames, 1)


def _modality(dataset: Any) -> str:
    """Return the modality for a message; pydicom converts an element when it is asked for, and may raise anything."""
    try:
        return str(dataset.get("Modality") or "unknown")
    except Exception:
        return "unknown"


def _whole(dataset: Any, keyword: str, where: str, *, default: int | None = None) -> int:
    """Return an integer element of the header."""
    try:
        value = dataset.get(keyword)
        if value in (None, ""):
            if default is None:
                raise ValueError("missing")
            return default
        return int(value)
    except Exception as error:  # pydicom converts an element when it is asked for, and may raise anything
        raise ImageError(
            f"DICOM element {keyword} is missing or no whole number", where=where, fix="export the image again"
        ) from error


def _checked_frame(dataset: Any, index: int, syntax: str, where: str) -> bytes:
    """Return the encoded frame, refused when its own header disagrees with the dataset or it does not end."""
    from pydicom.encaps import get_frame

    frames = _whole(dataset, "NumberOfFrames", where, default=1)
    frame: bytes = get_frame(dataset.PixelData, index, number_of_frames=max(frames, 1))
    rows, cols = int(dataset.Rows), int(dataset.Columns)
    declared: tuple[int, int] | None = None
    whole = True
    if syntax in _JPEG:
        header = jpeg_frame(frame)
        if header is None:
            raise cut_short(where, "the JPEG in it has no frame header")
        declared, whole = (header.rows, header.cols), header.whole
        # GDCM ends the whole process at these, whatever is caught.
        if syntax not in _JPEG_LS and (warning := jpeg_warning(frame)):
            raise ImageError(
                f"the header of the JPEG in it is damaged: it has {warning}",
                where=where,
                fix="export the image again",
            )
    elif syntax in _JPEG2000:
        at = frame.find(_SOC_SIZ, 0, 4096)
        if at < 0 or at + 40 > len(frame):
            raise cut_short(where, "the JPEG 2000 in it has no size")
        width, height, left, top = (int.from_bytes(frame[at + 8 + 4 * i : at + 12 + 4 * i], "big") for i in range(4))
        declared = (height - top, width - left)
        whole = _codestream_whole(frame[at:])
    if declared is not None and declared != (rows, cols):
        raise ImageError(
            f"declares {rows} x {cols} pixels, and its encoded picture {declared[0]} x {declared[1]}",
            where=where,
            fix="export the image again",
        )
    if not whole:
        raise cut_short(where, "the encoded picture in it has no end marker")
    return frame


def _codestream_whole(stream: bytes) -> bool:
    """Tell whether all tile parts of a JPEG 2000 codestream are there (ITU-T T.800, A.4.2); the end may be missing."""
    at = 2
    while at + 4 <= len(stream):
        marker = stream[at : at + 2]
        if marker == b"\xff\xd9":
            return True
        if marker == b"\xff\x90":
            length = int.from_bytes(stream[at + 6 : at + 10], "big")
            if length == 0:
                # The last tile part reaches to the end marker.
                return stream.rstrip(b"\x00").endswith(b"\xff\xd9")
            at += length
        else:
            at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return at <= len(stream)


def _extended_jpeg(dataset: Any, frame: bytes) -> Pixels:
    """Decode 12-bit JPEG, which GDCM can do and pydicom does not ask it for."""
    import gdcm

    stored, signed = int(dataset.BitsStored), int(dataset.PixelRepresentation)
    # GDCM ends the process on a pixel format that there cannot be.
    if not 8 < stored <= 16 or signed not in (0, 1):
        raise ValueError(f"{stored} bits stored (0028,0101) with pixel representation {signed} (0028,0103)")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((int(dataset.Columns), int(dataset.Rows), 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(str(dataset.PhotometricInterpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(_EXTENDED_JPEG)))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, stored, stored - 1, signed))
    buffer = image.GetBuffer()
    if buffer is None:
        raise ValueError("GDCM cannot decode it")
    # GDCM hands char* over as text with surrogates.
    raw = buffer.encode("utf-8", "surrogateescape") if isinstance(buffer, str) else bytes(buffer)
    kind_of = np.int16 if signed else np.uint16
    return np.frombuffer(raw, kind_of).reshape(int(dataset.Rows), int(dataset.Columns)).copy()


def _name(syntax: str) -> str:
    from pydicom.uid import UID

    return str(UID(syntax).name)
