"""Masks as files that any viewer opens: NIfTI or NRRD, on the grid of the image that was given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from semeion.artefacts import machine_errors, whole_file
from semeion.errors import InputError
from semeion.naming import encode_class

if TYPE_CHECKING:
    from semeion.cohort.volume import Volume
    from semeion.model.cases import Case

Format = Literal["nii.gz", "nrrd"]
FORMATS: tuple[Format, ...] = ("nii.gz", "nrrd")
LONGEST_NAME = 200
"""Bytes of a file's name without its suffix; most file systems take 255."""


def mask_name(case_id: str, suffix: str = "nii.gz") -> str:
    """Return the file name of a case's mask: its id, percent-encoded outside ``[A-Za-z0-9_.-]``.

    No part of it comes from an image's header, and it never leaves the folder or hides in it.

    Raises
    ------
    InputError
        When the id is empty or too long for a file name.
    """
    name = encode_class(case_id)
    if name.startswith("."):
        name = "%2E" + name[1:]
    if not name or len(name) > LONGEST_NAME:
        raise InputError(
            f"a case id of {len(case_id)} letters cannot name a file", where="case_id", fix="use shorter case ids"
        )
    return f"{name}.{suffix}"


def mask_paths(
    folder: Path,
    cases: Sequence[Case],
    images: Sequence[str] = ("",),
    suffix: str = "nii.gz",
    *,
    what: str = "mask",
) -> list[tuple[Path, ...]]:
    """Return where the masks, or other files, of every case go; call it before any work is done.

    Parameters
    ----------
    folder
        Of the masks.
    cases
        What will be outlined.
    images
        Names of the images of a case that get a mask each; the file is called ``<case>.<image>``. An empty name stands
        for a case's only mask, ``<case>``.
    suffix
        The format.
    what
        What the files hold, for messages.

    Returns
    -------
    list
        Of every case one path an image, in the order of `images`.

    Raises
    ------
    InputError
        When two masks would be one file, also where small and capital letters are not told apart, so that one case's
        outline would stand for another's; when a mask would replace an image that is given; or when a case's id cannot
        name a file.
    """
    # A reference may end in a series' UID behind a #, and a folder's own name may hold one.
    sources = [source for case in cases for source in _sources(case)]
    given = {_real(path).casefold() for source in sources for path in (source, source.rsplit("#", 1)[0])}
    taken: dict[str, str] = {}
    paths = []
    for case in cases:
        names = [mask_name(f"{case.case_id}.{image}" if image else case.case_id, suffix) for image in images]
        for name, image in zip(names, images, strict=True):
            who = f"case {case.case_id!r}" + (f", image {image!r}" if image else "")
            other = taken.setdefault(name.casefold(), who)
            if other is not who:
                raise InputError(
                    f"the {what}s of {other} and of {who} would be one file, {name}",
                    where="case_id",
                    fix="rename one of the cases",
                )
            if _real(folder / name).casefold() in given:
                raise InputError(
                    f"the {what} of {who} would replace an image that is given",
                    where=str(folder / name),
                    fix=f"write the {what}s to another folder",
                )
        paths.append(tuple(folder / name for name in names))
    return paths


def _sources(case: Case) -> list[str]:
    return [source for source in (case.source, *case.others) if isinstance(source, str)]


def _real(path: str | Path) -> str:
    """Return a path without links; what no file system takes stays as it is, and its case fails by itself."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)


def prepare_folder(folder: Path) -> None:
    """Make the folder for masks; call it before any work is done.

    Raises
    ------
    InputError
        When it is a file.
    MachineError
        When it cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError("is a file", where=str(folder), fix="give a folder for the masks")
    with machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_mask(path: Path, mask: Volume) -> None:
    """Write a mask, whole or not at all.

    Parameters
    ----------
    path
        Ends in ``.nii.gz`` or ``.nrrd``; an existing file is replaced.
    mask
        One plane of unsigned 8-bit numbers, or the float32 of a map. Its grid is written in the format's own
        conventions: NIfTI counts to right, anterior and superior, NRRD and ITK to left, posterior and superior.

    Raises
    ------
    InputError
        For another suffix.
    MachineError
        When the disk is full or the folder cannot be written.
    """
    suffix = next((known for known in FORMATS if path.name.endswith(f".{known}")), None)
    if suffix is None:
        raise InputError("masks are written as .nii.gz or .nrrd", where=str(path), fix="end the name with one of them")
    from semeion.prepare.itk import sitk, to_itk

    image = to_itk(mask.plane, mask.grid)
    with whole_file(path) as temporary:
        # ITK takes the format from the name, so it writes beside the temporary file, which then gets the content.
        named = temporary.with_name(f"{temporary.name}.{suffix}")
        try:
            sitk.WriteImage(image, str(named), useCompression=True)
            named.replace(temporary)
        except RuntimeError as error:
            raise InputError(
                f"the mask cannot be written ({str(error).strip().splitlines()[-1][:200]})",
                where=str(path),
                fix="check the image's geometry",
            ) from error
        finally:
            named.unlink(missing_ok=True)
