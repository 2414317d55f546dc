"""What a NIfTI header declares, parsed and checked before a voxel is touched.

Sources: NIfTI-1, nifti1.h (NIH, 2003, revised 2007); NIfTI-2, nifti2.h (2011).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.errors import ImageError

HEADER = 544
"""Bytes that hold the header of either version."""
_FURTHEST = 64 << 20
"""Voxels start before this offset: extensions are small."""

TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_UNREAD = {0: "of no declared type", 1: "single bits", 32: "complex", 128: "colour", 1536: "128-bit", 1792: "complex"}
_UNREAD |= {2048: "complex", 2304: "colour"}

_NIFTI1: dict[str, tuple[int, str]] = {
    "dim": (40, "8h"),
    "datatype": (70, "h"),
    "bitpix": (72, "h"),
    "pixdim": (76, "8f"),
    "vox_offset": (108, "f"),
    "scl_slope": (112, "f"),
    "scl_inter": (116, "f"),
    "xyzt_units": (123, "B"),
    "qform_code": (252, "h"),
    "sform_code": (254, "h"),
    "quatern": (256, "3f"),
    "qoffset": (268, "3f"),
    "srow": (280, "12f"),
}
_NIFTI2: dict[str, tuple[int, str]] = {
    "dim": (16, "8q"),
    "datatype": (12, "h"),
    "bitpix": (14, "h"),
    "pixdim": (104, "8d"),
    "vox_offset": (168, "q"),
    "scl_slope": (176, "d"),
    "scl_inter": (184, "d"),
    "xyzt_units": (500, "i"),
    "qform_code": (344, "i"),
    "sform_code": (348, "i"),
    "quatern": (352, "3d"),
    "qoffset": (376, "3d"),
    "srow": (400, "12d"),
}


@dataclass(frozen=True)
class NiftiHeader:
    """The elements of a NIfTI header that say what the voxels are and where.

    Attributes
    ----------
    lengths
        ``dim[1]`` and on, without trailing ones after the third.
    dtype
        Type of the stored voxels, with its byte order.
    offset
        Of the first voxel in the file.
    slope, intercept
        To be applied to stored values once; 1 and 0 when the header asks for none.
    pixdim
        As stored, eight numbers: 0 is the handedness of the quaternion, 1 to 3 spacings, 4 the time step.
    space_units, time_units
        Codes of ``xyzt_units``.
    qform_code, sform_code, quatern, qoffset, srow
        Both statements of the geometry, as stored.
    """

    lengths: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    pixdim: tuple[float, ...]
    space_units: int
    time_units: int
    qform_code: int
    sform_code: int
    quatern: tuple[float, ...]
    qoffset: tuple[float, ...]
    srow: npt.NDArray[np.float64]


def is_nifti(head: bytes) -> bool:
    """Tell whether inflated first bytes are those of a NIfTI file, or of a header without its voxels."""
    return _version(head) is not None


def _version(head: bytes) -> tuple[int, str, bytes] | None:
    """Return version, byte order and magic of a header; None when it is none."""
    for order in "<>":
        size = struct.unpack_from(f"{order}i", head)[0] if len(head) >= 348 else 0
        if size == 348 and head[344:348] in (b"n+1\0", b"ni1\0"):
            return 1, order, head[344:347]
        if size == 540 and head[4:8] in (b"n+2\0", b"ni2\0"):
            return 2, order, head[4:7]
    return None


def nifti_header(head: bytes, where: str) -> NiftiHeader:
    """Parse the first bytes of a NIfTI file.

    Parameters
    ----------
    head
        The first `HEADER` bytes, inflated; fewer when the file ends before.

    Raises
    ------
    ImageError
        No header, half of a pair of files, cut short, or an element that makes no sense.
    """
    version = _version(head)
    if version is None:
        raise ImageError("has no NIfTI header", where=where, fix="export the volume again as NIfTI")
    number, order, magic = version
    if magic.startswith(b"ni"):
        raise ImageError(
            "is one half of a NIfTI pair (.hdr and .img), and a header is not followed to another file",
            where=where,
            fix="save the volume as one file, .nii or .nii.gz",
        )
    if number == 2 and len(head) < 540:
        raise ImageError("the file is cut short: its header is not whole", where=where, fix="copy the file again")
    fields = _NIFTI1 if number == 1 else _NIFTI2
    value = {name: struct.unpack_from(order + kind, head, at) for name, (at, kind) in fields.items()}
    units = value["xyzt_units"][0]
    slope, intercept = _scaling(value["scl_slope"][0], value["scl_inter"][0], where)
    return NiftiHeader(
        _lengths(value["dim"], where),
        _dtype(value["datatype"][0], value["bitpix"][0], order, where),
        _offset(value["vox_offset"][0], 352 if number == 1 else 544, where),
        slope,
        intercept,
        tuple(float(one) for one in value["pixdim"]),
        units & 0x07,
        units & 0x38,
        value["qform_code"][0],
        value["sform_code"][0],
        value["quatern"],
        value["qoffset"],
        np.array(value["srow"], dtype=np.float64).reshape(3, 4),
    )


def _lengths(dim: tuple[int, ...], where: str) -> tuple[int, ...]:
    count = dim[0]
    if not 1 <= count <= 7:
        raise ImageError(f"declares {count} dimensions (dim[0])", where=where, fix="export the volume again")
    lengths = list(dim[1 : count + 1])
    while len(lengths) > 3 and lengths[-1] == 1:
        lengths.pop()
    if len(lengths) < 3:
        raise ImageError(
            f"holds one picture of {' x '.join(map(str, lengths))} and no volume (dim[0] is {count})",
            where=where,
            fix="give a file with three dimensions, or save pictures as PNG",
        )
    if min(lengths) < 1:
        raise ImageError(
            f"declares an empty volume of {' x '.join(map(str, lengths))} voxels", where=where, fix="export it again"
        )
    return tuple(lengths)


def _dtype(code: int, bits: int, order: str, where: str) -> np.dtype[Any]:
    if code not in TYPES:
        kind = _UNREAD.get(code, "of an unknown type")
        raise ImageError(
            f"holds voxels that are {kind} (datatype {code})", where=where, fix="save it as integers or float32"
        )
    dtype = np.dtype(order + TYPES[code])
    if bits != dtype.itemsize * 8:
        raise ImageError(
            f"declares {bits} bits a voxel (bitpix) for datatype {code} of {dtype.itemsize * 8}",
            where=where,
            fix="the header is damaged: export the volume again",
        )
    return dtype


def _offset(value: float, least: int, where: str) -> int:
    # Some writers leave 0 in a single file, which nifti1.h reads as the first possible place.
    if value == 0:
        return least
    if not np.isfinite(value) or value != int(value) or not least <= value <= _FURTHEST:
        raise ImageError(
            f"declares that its voxels start at byte {value:g} (vox_offset), and they start from {least} on",
            where=where,
            fix="the header is damaged: export the volume again",
        )
    return int(value)


def _scaling(slope: float, intercept: float, where: str) -> tuple[float, float]:
    """Return slope and intercept; 0 (the standard) and NaN (nibabel) in the slope mean that there is none."""
    if slope == 0 or np.isnan(slope):
        return 1.0, 0.0
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise ImageError(
            f"declares a scaling that is not finite (scl_slope {slope}, scl_inter {intercept})",
            where=where,
            fix="export the volume again",
        )
    return float(slope), float(intercept)
