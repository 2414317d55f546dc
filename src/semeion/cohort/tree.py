"""A folder of class folders as a table: ``yes/1.png``, or with splits above, ``train/yes/1.png``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from semeion.cohort.problems import listed
from semeion.cohort.sniff import HEAD, SUFFIXES, image_format
from semeion.cohort.words import SPLIT_WORDS
from semeion.errors import InputError

_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha")
_TABLES = (".csv", ".tsv", ".xlsx", ".parquet")
CLASS = "class"
"""What the column of folder names is called."""


@dataclass(frozen=True)
class Tree:
    """What stands in a folder of class folders.

    Attributes
    ----------
    table
        Text columns ``case_id image class`` and, when there is a level of splits, ``split``; the index is the image's
        path relative to the folder.
    n_files
        Files that were found, hidden ones aside.
    unmatched
        Relative paths of files that are no case: not an image by name or content, or outside a class folder.
    n_hidden
        Hidden files, which are left alone.
    """

    table: pd.DataFrame
    n_files: int
    unmatched: tuple[str, ...]
    n_hidden: int


def read_tree(folder: Path) -> Tree:
    """Find the cases of a folder of class folders; no image is read.

    Raises
    ------
    InputError
        No class folders, a table in the folder, or another layout (Decathlon, nnU-Net).
    """
    folder = folder.absolute()
    _refuse_other_layouts(folder)
    levels = _folders(folder)
    if not levels:
        raise InputError(
            "holds no folders, and a class a folder is expected",
            where=str(folder),
            fix="sort the images into a folder a class, or write a table of images and labels",
        )
    by_split = all(child.name.lower() in SPLIT_WORDS for child in levels)
    rows: list[tuple[str, Path, str, str | None]] = []
    unmatched: list[str] = [str(path.relative_to(folder)) for path in _files(folder, deep=False)]
    n_hidden = sum(_hidden(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    for level in levels:
        split = SPLIT_WORDS[level.name.lower()] if by_split else None
        classes = _folders(level) if by_split else [level]
        if by_split:
            unmatched += [str(path.relative_to(folder)) for path in _files(level, deep=False)]
        for home in classes:
            for path in _files(home, deep=True):
                if _is_image(path):
                    rows.append((str(path.relative_to(folder)), path, home.name, split))
                else:
                    unmatched.append(str(path.relative_to(folder)))
    if not rows:
        raise InputError(
            "its class folders hold no images" if not by_split else "its splits hold no class folders with images",
            where=str(folder),
            fix="give a folder of class folders with images",
        )
    table = _table(rows, by_split)
    return Tree(table, len(rows) + len(unmatched), tuple(unmatched), n_hidden)


def _table(rows: list[tuple[str, Path, str, str | None]], by_split: bool) -> pd.DataFrame:
    """Return the cases with running numbers."""
    index = pd.Index([relative for relative, *_ in rows], name="file")
    columns = {
        "case_id": [str(number) for number in range(1, len(rows) + 1)],
        "image": [str(path) for _, path, _, _ in rows],
        CLASS: [name for _, _, name, _ in rows],
    }
    if by_split:
        columns["split"] = [str(split) for *_, split in rows]
    return pd.DataFrame({name: pd.Series(values, index=index, dtype="str") for name, values in columns.items()})


def unmatched_note(tree: Tree, folder: str) -> str | None:
    """Return a sentence on the files that are no case, or None when there are none."""
    if not tree.unmatched:
        return None
    kinds = Counter(Path(name).suffix.lower() or "no suffix" for name in tree.unmatched)
    by_kind = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    return f"{folder}: {len(tree.unmatched)} files are no case ({by_kind}): {listed(tree.unmatched)}."


def _refuse_other_layouts(folder: Path) -> None:
    """Refuse what looks like a folder of classes and is something else."""
    if (folder / "dataset.json").exists():
        raise InputError(
            "is a Decathlon or nnU-Net dataset of volumes",
            where=str(folder),
            fix="give dataset.json itself to outline, or a table with a row for each volume and what it shows",
        )
    tables = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _TABLES and not _hidden(path))
    if tables:
        raise InputError(
            f"holds a table ({listed(tables)}), so its folders may be no classes",
            where=str(folder),
            fix=f"give the table itself: {folder / tables[0]}",
        )


def _hidden(path: Path) -> bool:
    """Tell whether a file or one of its folders is hidden, or is a system's own."""
    return any(part.startswith((".", "__MACOSX")) or part in ("Thumbs.db", "desktop.ini") for part in path.parts)


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not _hidden(Path(child.name)))


def _files(folder: Path, *, deep: bool) -> list[Path]:
    """Return the files of a folder that are not hidden, sorted."""
    found = folder.rglob("*") if deep else folder.iterdir()
    return sorted(path for path in found if path.is_file() and not _hidden(path.relative_to(folder)))


def _is_image(path: Path) -> bool:
    """Tell by the name, and where the name says nothing by the first bytes."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or path.name.lower().endswith(_VOLUMES):
        return True
    if suffix in (*_TABLES, ".txt", ".json", ".md", ".pdf", ".zip", ".xml", ".html"):
        return False
    try:
        with path.open("rb") as file:
            return image_format(file.read(HEAD)) is not None
    except OSError:
        # Unreadable, so nobody knows: as a case it is reported by name when images are read.
        return True
