"""NIfTI volumes: where their voxels are by a stated rule, or a refusal with numbers; never an invented identity.

Read here and not by a library, because the libraries choose silently between the two geometries that a header may
state, invent one where it states none, and inflate before they ask how much. Tests hold the voxels and the geometry of
what is accepted to SimpleITK's.

The rule. Only ``sform_code`` above 0: the sform. Only ``qform_code`` above 0: the qform. Both, and no corner of the
volume differs by more than a tenth of the smallest spacing: the sform, or the qform when the sform is slightly sheared.
Both and different: the qform when it is of the scanner and the sform's code says that it leads to another space (2
aligned, 3 Talairach, 4 MNI, 5 other), since an atlas stretches the patient's millimetres; refused otherwise. Neither:
refused. A sheared sform alone: refused, since a volume has perpendicular axes.

``xyzt_units`` in metres or micrometres are converted. Undeclared ones are taken as millimetres, in which every common
writer stores them, with the note ``units-assumed-mm``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from semeion.cohort.limits import ReadLimits
from semeion.cohort.volume import ORTHONORMAL, Grid, Volume
from semeion.cohort.volumes.nifti_header import HEADER, NiftiHeader, nifti_header
from semeion.cohort.volumes.payload import (
    Inflated,
    Plain,
    bound_volume,
    finite,
    inflated_head,
    read_voxels,
    scaled,
    skip,
)
from semeion.errors import ImageError

Several = Literal["channel", "time"]
Matrix = npt.NDArray[np.float64]

AGREE = 0.1
"""qform and sform agree when no corner differs by more than this share of the smallest spacing."""
_TO_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_TO_MS = {8: 1000.0, 16: 1.0, 24: 0.001}
_SPACES = {1: "scanner", 2: "aligned to another image", 3: "Talairach", 4: "MNI", 5: "template"}
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_nifti(path: Path, where: str, limits: ReadLimits, several: Several | None) -> Volume:
    """Read one NIfTI-1 or NIfTI-2 file, compressed or not, whatever its name.

    Parameters
    ----------
    several
        What a fourth dimension is; None where one volume is meant, and more are refused.

    Raises
    ------
    ImageError
        No geometry, two that contradict each other, a sheared one, several volumes where one is meant, a type that is
        no grey value, values that are not finite, too large, cut short or damaged.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
        size = file.seek(0, 2)
        file.seek(0)
        stream = Inflated(file, where) if compressed else Plain(file, where)
        room = bytearray(HEADER)
        got = stream.read_into(memoryview(room))
        header = nifti_header(bytes(room[:got]), where)
        count, times, axis = _planes(header, where, several)
        i, j, k = header.lengths[:3]
        # Sizes first: a header that lies about them need not be understood further.
        bound_volume((count, k, j, i), header.dtype, where, limits)
        grid, notes = nifti_grid(header, where)
        file.seek(0 if compressed else header.offset)
        stream = Inflated(file, where) if compressed else Plain(file, where)
        if compressed:
            skip(stream, header.offset)
        left = size if compressed else size - header.offset
        voxels, more = read_voxels(stream, (count, k, j, i), header.dtype, where, limits, left)
    voxels = finite(scaled(finite(voxels, where), header.slope, header.intercept), where)
    names = tuple(str(number) for number in range(count)) if count > 1 else ("",)
    return Volume(voxels, grid, names, axis, times, source_format="nifti", notes=(*notes, *more))


def _planes(header: NiftiHeader, where: str, several: Several | None) -> tuple[int, tuple[float, ...], Several]:
    """Return how many volumes the file holds, their times when it says, and what they are."""
    further = header.lengths[3:]
    count = math.prod(further)
    if count == 1:
        return 1, (), "channel"
    if sum(length > 1 for length in further) > 1 or count < 1:
        raise ImageError(
            f"has {len(header.lengths)} dimensions ({' x '.join(map(str, header.lengths))})",
            where=where,
            fix="save one volume, or volumes along the fourth dimension",
        )
    if several is None:
        raise ImageError(
            f"holds {count} volumes ({' x '.join(map(str, header.lengths))}) where one is meant",
            where=where,
            fix="say what they are with --channels or --frames, or save the one that is meant as a file of its own",
        )
    step, unit = header.pixdim[4], _TO_MS.get(header.time_units)
    if several == "channel" or unit is None or not (np.isfinite(step) and step > 0):
        return count, (), several
    return count, tuple(step * unit * number for number in range(count)), several


def nifti_file_grid(path: Path, where: str) -> Grid:
    """Return where the voxels of a NIfTI file are, from its header alone.

    Raises
    ------
    ImageError
        As :func:`read_nifti` does for the header.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    header = nifti_header(inflated_head(head, HEADER) if head.startswith(b"\x1f\x8b") else head[:HEADER], where)
    return nifti_grid(header, where)[0]


@dataclass(frozen=True)
class _Stated:
    """One of the two statements of geometry, LPS mm; `skew` is how far its axes are from perpendicular."""

    affine: Matrix
    skew: float


def nifti_grid(header: NiftiHeader, where: str) -> tuple[Grid, tuple[str, ...]]:
    """Return where the voxels are, by the rule that the module states, with coded notes.

    Raises
    ------
    ImageError
        Neither geometry, two that contradict each other, or one that no volume can have.
    """
    factor, notes = _TO_MM.get(header.space_units), []
    if factor is None:
        raise ImageError(
            f"declares unit {header.space_units} of length (xyzt_units), which NIfTI does not know",
            where=where,
            fix="correct the header",
        )
    if header.space_units == 0:
        notes.append("units-assumed-mm")
    elif factor != 1:
        notes.append(f"units-converted: {factor:g} mm")
    i, j, k = header.lengths[:3]
    size = (i, j, k)
    sform = _sform(header, factor, where) if header.sform_code > 0 else None
    qform = _qform(header, factor, where) if header.qform_code > 0 else None
    if sform is not None and qform is not None:
        chosen, why = _of_two(sform, qform, header, size, where)
        notes += why
    elif sform is not None:
        chosen = sform
    elif qform is not None:
        chosen = qform
    else:
        raise ImageError(
            "does not say where its voxels are: qform_code and sform_code are both 0, and an identity is never assumed",
            where=where,
            fix="write the true orientation into the header, or convert the DICOM files again",
        )
    if chosen.skew > ORTHONORMAL:
        raise ImageError(
            f"its sform is sheared: the axes are off perpendicular by {chosen.skew:.3g} (cosine)",
            where=where,
            fix="resample the volume to perpendicular axes, or give the volume before registration",
        )
    if sform is not None and chosen is sform and _differ(header, sform, factor):
        notes.append("pixdim-differs: the sform's spacing is used")
    try:
        return Grid.from_affine(chosen.affine, size), tuple(notes)
    except ValueError as error:
        raise ImageError(f"its geometry cannot be: {error}", where=where, fix="correct the header") from error


def _of_two(
    sform: _Stated, qform: _Stated, header: NiftiHeader, size: tuple[int, int, int], where: str
) -> tuple[_Stated, list[str]]:
    """Choose between two statements by the rule, or refuse."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in size], indexing="ij")).reshape(3, -1)
    apart = (sform.affine - qform.affine) @ np.vstack([corners, np.ones(corners.shape[1])])
    distance = float(np.linalg.norm(apart[:3], axis=0).max())
    smallest = float(np.linalg.norm(qform.affine[:3, :3], axis=0).min())
    if distance <= AGREE * smallest:
        if sform.skew > ORTHONORMAL:
            return qform, [f"qform-used: the sform is sheared by {sform.skew:.2g}"]
        return sform, []
    if header.qform_code == 1 and header.sform_code in (2, 3, 4, 5):
        space = _SPACES[header.sform_code]
        return qform, [f"qform-used: the sform is {space}, {distance:.1f} mm away"]
    raise ImageError(
        f"states two geometries that differ by up to {distance:.2f} mm (qform code {header.qform_code}, sform code "
        f"{header.sform_code})",
        where=where,
        fix="find out which is true and set the other's code to 0",
    )


def _sform(header: NiftiHeader, factor: float, where: str) -> _Stated:
    affine = np.eye(4)
    affine[:3] = header.srow * factor
    columns = affine[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)
    if not np.isfinite(affine).all() or (lengths <= 0).any():
        raise ImageError(
            f"its sform (code {header.sform_code}) is not finite or singular", where=where, fix="correct the header"
        )
    unit = columns / lengths
    if abs(float(np.linalg.det(unit))) < 1e-3:
        raise ImageError(f"its sform (code {header.sform_code}) is singular", where=where, fix="correct the header")
    skew = float(np.abs(unit.T @ unit - np.eye(3)).max())
    return _Stated(_RAS_TO_LPS @ affine, skew)


def _qform(header: NiftiHeader, factor: float, where: str) -> _Stated:
    """Return the geometry of the quaternion (nifti1.h, method 2)."""
    b, c, d = (float(value) for value in header.quatern)
    spacing = np.array(header.pixdim[1:4], dtype=np.float64)
    numbers = np.array([b, c, d, *header.qoffset, *spacing], dtype=np.float64)
    square = b * b + c * c + d * d
    if not np.isfinite(numbers).all() or square > 1.001:
        raise ImageError(f"its qform (code {header.qform_code}) is no rotation", where=where, fix="correct the header")
    if (spacing <= 0).any():
        raise ImageError(
            f"its qform (code {header.qform_code}) has spacing {tuple(spacing.tolist())} (pixdim)",
            where=where,
            fix="write the true spacing into the header",
        )
    if square > 1 - 1e-7:
        b, c, d = (value / math.sqrt(square) for value in (b, c, d))
        a = 0.0
    else:
        a = math.sqrt(1 - square)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handed = np.array([1.0, 1.0, -1.0 if header.pixdim[0] < 0 else 1.0])
    affine = np.eye(4)
    affine[:3, :3] = rotation * spacing * handed * factor
    affine[:3, 3] = np.array(header.qoffset) * factor
    return _Stated(_RAS_TO_LPS @ affine, 0.0)


def _differ(header: NiftiHeader, sform: _Stated, factor: float) -> bool:
    """Tell whether pixdim, which an sform overrides, says something else by more than one per cent."""
    stated = np.abs(np.array(header.pixdim[1:4])) * factor
    used = np.linalg.norm(sform.affine[:3, :3], axis=0)
    return bool((stated > 0).all() and (np.abs(stated / used - 1) > 0.01).any())
