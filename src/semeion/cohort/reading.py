"""One image from the outside world: whatever the format, one type, or an error that says what is wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from semeion.cohort.arrays import read_npy, read_npz_row
from semeion.cohort.image import Image
from semeion.cohort.limits import ReadLimits
from semeion.cohort.raster import read_raster
from semeion.cohort.sniff import HEAD, require_format, suffix_differs
from semeion.errors import ImageError

__all__ = ["ReadLimits", "read_image"]

_NPZ_ROW = re.compile(r"(?P<path>.+\.npz)#(?P<array>[^#\[\]]+)\[(?P<row>\d{1,15})\]", re.IGNORECASE | re.DOTALL)
_DEFAULT = ReadLimits()


def read_image(ref: str, *, limits: ReadLimits = _DEFAULT) -> Image:
    """Read one image.

    The format is told by content, never by the name; the declared size is bounded before anything is decoded; a file
    that ends early is refused even where a decoder would return half a picture. Safe to call from several threads.

    Parameters
    ----------
    ref
        A path, or ``<path>.npz#<array>[<row>]``.
    limits
        Bounds on sizes.

    Returns
    -------
    Image
        Pixels ``(rows, columns, channels)`` with what is known of them.

    Raises
    ------
    ImageError
        Missing, empty, no image, cut short, damaged, too large, several frames, or a variant that cannot be read
        faithfully. The message names the file and what to do.
    """
    row = _NPZ_ROW.fullmatch(ref)
    if row is not None:
        return read_npz_row(Path(row["path"]), row["array"], int(row["row"]), ref, limits)
    data = _whole_file(ref, limits)
    found = require_format(data[:HEAD], ref)
    if found == "npy":
        image = read_npy(data, ref, limits)
    elif found == "dicom":
        # pydicom takes a while to import; most cohorts have no use for it.
        from semeion.cohort.dicom import read_dicom

        image = read_dicom(data, ref, limits)
    else:
        image = read_raster(data, found, ref, limits)
    if suffix_differs(ref, found):
        return replace(image, notes=(*image.notes, "suffix-differs"))
    return image


def _whole_file(ref: str, limits: ReadLimits) -> bytes:
    """Return the bytes of a file that exists, is not empty and not too large."""
    path = Path(ref)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size > limits.max_bytes:
                raise ImageError(
                    f"has {size:,} bytes, more than the {limits.max_bytes:,} that are read",
                    where=ref,
                    fix="reduce the image, or leave the case out with --skip-bad",
                )
            file.seek(0)
            data = file.read(size)
    except FileNotFoundError as error:
        if ".npz#" in ref.lower():
            raise ImageError(
                "is not of the form file.npz#array[row]", where=ref, fix="correct the reference"
            ) from error
        raise ImageError(
            "does not exist", where=ref, fix="correct the path, or leave such cases out with --skip-bad"
        ) from error
    except IsADirectoryError as error:
        raise ImageError("is a folder, not an image", where=ref, fix="name one image file a case") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"cannot be read ({reason})", where=ref, fix="check the path and its permissions") from error
    if not data:
        raise ImageError(
            "is empty (zero bytes)", where=ref, fix="copy it again, or leave such cases out with --skip-bad"
        )
    return data
