"""Files that cannot be read, hold nothing, or that no case names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from semeion.audit.audit import Audit, Verdict, counted
from semeion.cohort.cohort import Cohort

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".dcm", ".dicom", ".npy"}
)
"""Endings that make a file beside the cohort's images count as an image."""
SHARE_ALIKE = 0.01
"""Unmatched files called like the cohort's, as a share of these, from which on so many cases may be missing..."""
SHARE_OTHERS = 0.05
"""...and of unmatched files of other names."""
MOST_LISTED = 200_000
"""Files looked at beside the cohort's images; beyond, the audit says so."""


def unreadable_images(cohort: Cohort, facts: pd.DataFrame) -> Audit:
    """List images that are missing or cannot be read."""
    bad = (facts["status"] != "ok").to_numpy()
    figures = {
        "cases": len(facts),
        "missing": int((facts["status"] == "missing").sum()),
        "unreadable": int((facts["status"] == "unreadable").sum()),
    }
    if not bad.any():
        return Audit("unreadable-images", "clear", figures=figures, advice="Every image was read.")
    advice = (
        f"{counted(figures['missing'], 'image is', 'images are')} missing and {figures['unreadable']} unreadable; "
        "train stops on them. "
        "Restore the files or correct the paths, or leave such cases out with --skip-bad."
    )
    cases = tuple(cohort.table.loc[bad, "case_id"].astype(str))
    return Audit("unreadable-images", "warn", figures=figures, cases=cases, advice=advice)


def blank_images(cohort: Cohort, facts: pd.DataFrame) -> Audit:
    """List images whose pixels are all, or nearly all, one value."""
    blank = ((facts["status"] == "ok") & facts["blank"]).to_numpy()
    constant = blank & (facts["minimum"] == facts["maximum"]).to_numpy()
    figures = {"blank": int(blank.sum()), "constant": int(constant.sum())}
    if not blank.any():
        return Audit("blank-images", "clear", figures=figures, advice="No image is blank.")
    advice = (
        f"{counted(figures['blank'], 'image shows', 'images show')} nothing (99 % of the pixels within 1 % of the "
        "range); a label cannot be learned from them nor tested on them. Restore the pictures or leave the cases out."
    )
    cases = tuple(cohort.table.loc[blank, "case_id"].astype(str))
    return Audit("blank-images", "warn", figures=figures, cases=cases, advice=advice)


def unmatched_files(cohort: Cohort, source_files: Iterable[Path] | None = None) -> Audit:
    """List image files beside the cohort's images that no row names, and files that several rows name.

    ``warn`` when a file stands in several rows; when files that are called as the cohort's are but for their digits are
    1 % or more of these, as where a part of the table was lost or cases were left out without a word; and when other
    files are 5 % or more. Files whose name begins with that of a named image (``17_mask.png`` beside ``17.png``) are
    its companions and no cases. Anything less is a ``note``.

    Parameters
    ----------
    cohort
        The cases.
    source_files
        The image files of the source, when the caller knows them; else the folders of the cohort's images are listed,
        without what lies below.
    """
    references = cohort.table["image"].astype(str).map(os.path.normpath)
    uses = Counter(references)
    twice = {reference for reference, times in uses.items() if times > 1}
    loose = [Path(reference) for reference in uses if ".npz#" not in reference.lower()]
    folders = sorted({file.parent for file in loose})
    files, complete = _listed(folders) if source_files is None else ([Path(file) for file in source_files], True)
    named = {*loose, *_masks(cohort)}
    # A folder reached by two names (a link) must not make all its files look unmatched.
    real = {folder: folder.resolve() for folder in {file.parent for file in (*named, *files)}}
    known = {(real[file.parent], file.name) for file in named}
    unmatched = sorted(file for file in files if (real[file.parent], file.name) not in known)
    like, others, companions = _likeness(unmatched, loose)
    figures = {
        "files_named": len(loose),
        "files_unmatched": len(unmatched),
        "files_unmatched_named_alike": len(like),
        "files_unmatched_companions": len(companions),
        "folders": len(folders),
        "files_used_twice": len(twice),
        "listing_complete": int(complete),
    }
    same = cohort.table[references.isin(twice)].groupby(references[references.isin(twice)], sort=False)["case_id"]
    used_twice = tuple(tuple(ids) for ids in same.agg(list)) if twice else ()
    parts = []
    if twice:
        parts.append(
            f"{counted(len(twice), 'image file stands', 'image files stand')} in several rows: give each case its "
            "own image, or one row an image."
        )
    if unmatched:
        parts.append(
            f"{counted(len(unmatched), 'image file')} beside the cohort's images "
            f"{'is' if len(unmatched) == 1 else 'are'} named by no row"
            + (f", {len(like)} of them called like the cohort's" if like and len(like) < len(unmatched) else "")
            + ": add rows for them, check that the table is the whole one, or say why they were left out."
        )
    if not parts:
        inside = " (the images are rows of an array file)" if not loose else ""
        advice = f"Files and rows match one to one{inside}."
        return Audit("unmatched-files", "clear", figures=figures, advice=advice)
    names = tuple(f"{file.parent.name}/{file.name}" for file in unmatched)
    many = len(like) >= max(1, SHARE_ALIKE * len(loose)) or len(others) >= max(1, SHARE_OTHERS * len(loose))
    verdict: Verdict = "warn" if twice or many else "note"
    return Audit("unmatched-files", verdict, figures=figures, cases=(*used_twice, *names), advice=" ".join(parts))


def _likeness(unmatched: list[Path], named: list[Path]) -> tuple[list[Path], list[Path], list[Path]]:
    """Return the unmatched files that are called as named ones are but for digits, others, and companions of images."""

    def pattern(file: Path) -> tuple[str, str]:
        return re.sub(r"\d+", "#", file.stem), file.suffix.lower()

    patterns, stems = {pattern(file) for file in named}, {file.stem for file in named}
    like: list[Path] = []
    others: list[Path] = []
    companions: list[Path] = []
    for file in unmatched:
        if pattern(file) in patterns:
            like.append(file)
            continue
        # What is added must begin with another sign than a letter or a digit: 170.png is no companion of 17.png.
        cuts = [at for at, sign in enumerate(file.stem) if at and not sign.isalnum()]
        (companions if file.stem in stems or any(file.stem[:at] in stems for at in cuts) else others).append(file)
    return like, others, companions


def _masks(cohort: Cohort) -> set[Path]:
    """Return the files named by mask columns; a relative name counts below every folder of the images and above."""
    columns = [name for name in cohort.table.columns if name == "mask" or str(name).startswith("mask.")]
    folders = {Path(reference).parent for reference in cohort.table["image"].astype(str)} if columns else set()
    bases = sorted(folders | {folder.parent for folder in folders})[:20]
    found: set[Path] = set()
    for column in columns:
        for value in cohort.table[column].dropna().astype(str).unique():
            # An absolute name swallows the base it is joined to.
            found |= {Path(os.path.normpath(base / value)) for base in bases}
    return found


def _listed(folders: list[Path]) -> tuple[list[Path], bool]:
    """Return the image files of `folders`, and whether that is all of them."""
    files: list[Path] = []
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and entry.is_file():
                        files.append(folder / entry.name)
                        if len(files) >= MOST_LISTED:
                            return files, False
        except OSError:
            continue  # a missing folder is told of by unreadable-images
    return files, True
