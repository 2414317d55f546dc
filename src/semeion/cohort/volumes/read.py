"""One volume from the outside world: whatever the format, one type, or an error that says what is wrong."""

from __future__ import annotations

import re
import struct
import zipfile
from pathlib import Path
from typing import Literal, NoReturn

from semeion.cohort.arrays import DAMAGED, array_header
from semeion.cohort.limits import ReadLimits
from semeion.cohort.sniff import describe, image_format
from semeion.cohort.volume import Grid, Volume
from semeion.cohort.volumes.nifti_header import HEADER, is_nifti
from semeion.cohort.volumes.payload import inflated_head
from semeion.errors import ImageError, InputError

__all__ = ["ReadLimits", "is_volume", "read_grid", "read_volume", "volume_format"]

_NPZ_ROW = re.compile(r"(?P<path>.+\.npz)#(?P<array>[^#\[\]]+)\[(?P<row>\d{1,15})\]", re.IGNORECASE | re.DOTALL)
_SERIES = re.compile(r"(?P<place>.+)#(?P<uid>[0-9.]{3,64})(?:/(?P<volume>[^/#]+))?", re.DOTALL)
_DEFAULT = ReadLimits()
Format = Literal["nifti", "nrrd", "metaimage", "dicom"]


def read_volume(
    ref: str, *, limits: ReadLimits = _DEFAULT, several: Literal["channel", "time"] | None = None
) -> Volume:
    """Read one volume.

    The format is told by content, never by the name; sizes are bounded by the header before anything is decoded; a file
    that ends early is refused; a volume whose place in the patient is not stated is refused.

    Parameters
    ----------
    ref
        A file (NIfTI, NRRD, MetaImage, multi-frame DICOM), a folder of DICOM files that holds one volume,
        ``<folder or series.parquet>#<SeriesInstanceUID>`` with ``/<volume>`` appended where a series holds several, or
        ``<path>.npz#<array>[<row>]``.
    limits
        Bounds on sizes.
    several
        What the volumes of a 4-D research file are. None: one volume is meant, and such a file is refused. DICOM
        says it by itself.

    Raises
    ------
    ImageError
        Missing, no volume, no or contradictory geometry, several volumes where one is meant, cut short, damaged, too
        large, or a variant that cannot be read faithfully. The message names the file and what to do.
    """
    row = _NPZ_ROW.fullmatch(ref)
    if row is not None:
        from semeion.cohort.volumes.arrays3d import read_npz_volume

        return read_npz_volume(Path(row["path"]), row["array"], int(row["row"]), ref, limits)
    path = Path(ref)
    series = None if _exists(path) else _SERIES.fullmatch(ref)
    if series is not None or (_exists(path) and path.is_dir()):
        return _dicom(path, series, ref, limits)
    try:
        found = volume_format(ref)
        if found is None:
            _refuse(path, ref)
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise ImageError(
                f"has {size:,} bytes, more than the {limits.max_bytes:,} that are read",
                where=ref,
                fix="reduce the volume, or leave the case out with --skip-bad",
            )
        if found == "nifti":
            from semeion.cohort.volumes.nifti import read_nifti

            return read_nifti(path, ref, limits, several)
        if found == "nrrd":
            from semeion.cohort.volumes.nrrd import read_nrrd

            return read_nrrd(path, ref, limits, several)
        if found == "metaimage":
            from semeion.cohort.volumes.metaimage import read_metaimage

            return read_metaimage(path, ref, limits, several)
        from semeion.cohort.series.assemble import read_files

        return read_files([path], limits=limits)
    except FileNotFoundError as error:
        raise ImageError(
            "does not exist", where=ref, fix="correct the path, or leave such cases out with --skip-bad"
        ) from error
    except (OSError, ValueError) as error:  # a name may hold what no file system takes
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"cannot be read ({reason})", where=ref, fix="check the path and its permissions") from error


def read_grid(ref: str) -> Grid | None:
    """Return the grid of a NIfTI, NRRD or MetaImage file from its header alone; None for everything else.

    Raises
    ------
    ImageError
        When the header is refused.
    """
    path = Path(ref)
    try:
        found = volume_format(ref) if _exists(path) and path.is_file() else None
        if found == "nifti":
            from semeion.cohort.volumes.nifti import nifti_file_grid

            return nifti_file_grid(path, ref)
        if found == "nrrd":
            from semeion.cohort.volumes.nrrd import nrrd_file_grid

            return nrrd_file_grid(path, ref)
        if found == "metaimage":
            from semeion.cohort.volumes.metaimage import metaimage_file_grid

            return metaimage_file_grid(path, ref)
    except OSError:
        return None
    return None


def volume_format(ref: str) -> Format | None:
    """Return the format of volume that the first bytes of a file begin, or None.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    with Path(ref).open("rb") as file:
        head = file.read(4096)
    if is_nifti(inflated_head(head, HEADER) if head.startswith(b"\x1f\x8b") else head[:HEADER]):
        return "nifti"
    if head.startswith(b"NRRD000"):
        return "nrrd"
    if head.startswith((b"ObjectType", b"NDims")):
        return "metaimage"
    return "dicom" if image_format(head) == "dicom" else None


def is_volume(ref: str) -> bool:
    """Tell whether a reference is one of a volume and not of a picture, by content.

    A folder, a series, a NIfTI, NRRD or MetaImage file, a DICOM file of several frames, a row of a stack of volumes.
    What does not exist or cannot be read is none.
    """
    row = _NPZ_ROW.fullmatch(ref)
    try:
        if row is not None:
            return _stacks_volumes(Path(row["path"]), row["array"])
        path = Path(ref)
        if not _exists(path):
            return _SERIES.fullmatch(ref) is not None
        if path.is_dir():
            return True
        found = volume_format(ref)
        return _frames(path) > 1 if found == "dicom" else found is not None
    except (ImageError, *DAMAGED):
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return False


def _stacks_volumes(path: Path, array: str) -> bool:
    """Tell whether an array of an archive has rows of three dimensions; colour is none."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{array}.npy") as member:
        shape, _, _ = array_header(member, path.name)
    return (len(shape) == 4 and shape[3] not in (1, 3, 4)) or (len(shape) == 5 and shape[4] == 1)


def _frames(path: Path) -> int:
    """Return how many frames a DICOM file declares."""
    # By our own header reader: pydicom inflates a deflated file as far as it goes, be it gigabytes.
    from semeion.cohort.series.files import opened
    from semeion.cohort.series.parse import parse_header
    from semeion.cohort.series.walk import Entry

    facts = path.stat()
    with opened(Entry(str(path), facts.st_size, facts.st_mtime_ns)) as (read, size):
        header = parse_header(read, size, str(path), facts.st_mtime_ns)
    return header.frames if header is not None else 0


def _dicom(path: Path, series: re.Match[str] | None, ref: str, limits: ReadLimits) -> Volume:
    """Read a folder or a series of DICOM files; whatever is wrong with it is an error of this image alone."""
    try:
        return _series(path, series, ref, limits)
    except ImageError:
        raise
    except InputError as error:
        raise ImageError(error.what, where=error.where or ref, fix=error.fix, details=error.details) from error


def _series(path: Path, series: re.Match[str] | None, ref: str, limits: ReadLimits) -> Volume:
    from semeion.cohort.series import assemble

    if series is None:
        return assemble.read_folder(path, limits=limits)
    place, uid, volume = Path(series["place"]), series["uid"], series["volume"]
    if not _exists(place):
        raise ImageError("does not exist", where=ref, fix="correct the path of the folder or of series.parquet")
    if place.is_dir():
        return assemble.read_folder(place, uid, volume, limits=limits)
    return assemble.read_indexed(place, uid, volume, limits=limits)


def _refuse(path: Path, ref: str) -> NoReturn:
    """Say what a file that is no volume is instead."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise ImageError(
            "is empty (zero bytes)", where=ref, fix="copy it again, or leave such cases out with --skip-bad"
        )
    kind = image_format(head)
    if kind is not None:
        raise ImageError(
            f"is a 2-D picture ({kind}) where a volume is meant",
            where=ref,
            fix="give NIfTI, NRRD, MetaImage or DICOM, or keep pictures and volumes in tables of their own",
        )
    if head.startswith(b"\x1f\x8b"):
        what = "gzip-compressed data that holds no NIfTI volume, or a damaged one"
    elif struct.unpack_from("<i", head.ljust(4))[0] == 348 or struct.unpack_from(">i", head.ljust(4))[0] == 348:
        what = "an Analyze 7.5 header, which does not say where its voxels are"
    else:
        what = describe(head)
    raise ImageError(
        f"is no volume that can be read: it looks like {what}",
        where=ref,
        fix="give NIfTI, NRRD, MetaImage or DICOM",
    )
