"""A folder of images without labels: which of its files are images of the kind that a cohort has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from semeion.cohort.sniff import HEAD, SUFFIXES, image_format
from semeion.errors import InputError

VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha")
"""Suffixes of volumes."""
NO_IMAGES = (".csv", ".tsv", ".xlsx", ".parquet", ".txt", ".json", ".md", ".pdf", ".zip", ".xml", ".html", ".yaml")
LISTED = 200_000
"""Files of a folder that are looked at by name; one with more is no folder of images of one study."""


@dataclass(frozen=True)
class ImageFiles:
    """Files below a folder that may be images.

    Attributes
    ----------
    files
        Absolute paths, sorted.
    others
        How many other files there are, hidden ones aside.
    """

    files: tuple[str, ...]
    others: int


def find_images(folder: Path, *, where: str = "--unlabelled") -> ImageFiles:
    """List the images below a folder by their names, and by the first bytes where the name says nothing.

    Parameters
    ----------
    folder
        Of pictures or volumes, in any arrangement; links to folders are not followed.
    where
        What the folder was named by, for messages.

    Raises
    ------
    InputError
        When it is no folder, holds no image, or holds more than `LISTED` files.
    """
    if not folder.exists():
        raise InputError(f"there is no folder {folder}", where=where, fix="correct the path")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file", where=where, fix="give the folder that holds the images without labels")
    folder = folder.absolute()
    files: list[str] = []
    others = 0
    for path in _below(folder):
        if len(files) + others >= LISTED:
            raise InputError(
                f"{folder} holds more than {LISTED:,} files", where=where, fix="give a folder with images alone"
            )
        if is_image_file(path):
            files.append(str(path))
        else:
            others += 1
    if not files:
        held = f"holds {others} files and no image" if others else "is empty"
        raise InputError(f"{folder} {held}", where=where, fix="give a folder with images of the kind of the cases")
    return ImageFiles(tuple(sorted(files)), others)


def is_image_file(path: Path) -> bool:
    """Tell whether a file may be a picture or a volume: by its name, and where that says nothing by its first bytes."""
    if path.suffix.lower() in SUFFIXES or path.name.lower().endswith(VOLUMES):
        return True
    if path.suffix.lower() in NO_IMAGES:
        return False
    try:
        with path.open("rb") as file:
            return image_format(file.read(HEAD)) is not None
    except OSError:
        return False


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that are not hidden."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(".") and name not in ("Thumbs.db", "desktop.ini") and path.is_file():
                yield path
