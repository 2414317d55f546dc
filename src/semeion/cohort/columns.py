"""Which column of a table is what, and the cohort's own columns made of them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semeion.cohort.cohort import SPLITS, CohortOptions
from semeion.cohort.problems import Problems, listed
from semeion.cohort.roles import asked_role, several_columns
from semeion.cohort.words import MISSING, SPLIT_WORDS, is_missing
from semeion.errors import nearest

KNOWN = ("case_id", "image", "mask", "patient_id", "site", "split")
"""Columns that are used without being asked for."""

_USUAL_TARGETS = ("target", "label", "labels", "finding", "findings", "diagnosis", "class", "outcome")
_IDENTIFIER = re.compile(r"(^|_|\b)(id|ids|uid|mrn|accession|number|no|nr|code|zip|phone)$", re.IGNORECASE)
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,14})")
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?([eE][+-]?\d{1,2})?")


@dataclass(frozen=True)
class Roles:
    """Names of the columns that have a role; None where the table has none.

    `images` are the columns of images in order: one, or several ``image.<name>``.
    """

    images: tuple[str, ...]
    targets: tuple[str, ...]
    case_id: str | None = None
    patient: str | None = None
    site: str | None = None
    split: str | None = None
    masks: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    weight: str | None = None
    raters: tuple[str, ...] = ()


def find_roles(columns: list[str], options: CohortOptions, problems: Problems) -> Roles:
    """Decide which column is what; whatever is wrong goes to `problems`.

    A role that was asked for and does not exist is a problem with the nearest name.
    """
    images = _image_columns(columns, options, problems)
    patient = _asked(options.group, "--group", columns, problems, default="patient_id")
    split = None
    if not options.no_split:
        split = _asked(options.split, "--split", columns, problems, default="split")
    targets = target_columns(columns, options, problems)
    covariates = tuple(name for name in options.covariates if _exists(name, "--covariates", columns, problems))
    case_id = "case_id" if "case_id" in columns else None
    masks = _mask_columns(columns, images, problems)
    identity = {case_id: "the case ids", patient: "the patients", split: "the split"}
    identity |= dict.fromkeys((*images, *(name for name in columns if name.startswith("image."))), "the images")
    segmented = is_segmentation(targets, options)
    if segmented:
        masks = tuple(dict.fromkeys((*masks, *targets)))
    for name in targets:
        if name in covariates:
            problems.add(f"{name!r} is the target and also an input (--covariates)", "leave it out of --covariates")
        if name in identity or (name in masks and not segmented):
            problems.add(
                f"{name!r} cannot be the target: it holds {identity.get(name, 'the masks')}", "name another --target"
            )
    for name in covariates:
        if name in identity or name in masks:
            problems.add(
                f"{name!r} cannot be a covariate: it holds {identity.get(name, 'the masks')}",
                "leave it out of --covariates",
            )
    weight = _asked(options.weight, "--weight", columns, problems, default="")
    raters = tuple(dict.fromkeys(name for name in options.raters if _exists(name, "--raters", columns, problems)))
    for option, given in (("--weight", (weight,) if weight else ()), ("--raters", raters)):
        own = set(targets) if option == "--weight" else set()
        for name in given:
            if name in identity or name in masks or name in own or name in covariates:
                held = identity.get(name) or ("an input" if name in covariates else "the target or masks")
                problems.add(f"{name!r} cannot be given with {option}: it holds {held}", f"leave it out of {option}")
    used = {*images, case_id, patient, split, "site", *KNOWN, *masks, *targets, *covariates, weight, *raters}
    unused = tuple(name for name in columns if name not in used)
    site = "site" if "site" in columns else None
    return Roles(images, targets, case_id, patient, site, split, masks, covariates, unused, weight, raters)


def is_segmentation(targets: tuple[str, ...], options: CohortOptions) -> bool:
    """Tell whether the target is a column of masks: as asked, or one by its name when no task is given."""
    if options.task is not None:
        return options.task == "segmentation"
    return len(targets) == 1 and (targets[0] == "mask" or targets[0].startswith("mask."))


def _image_columns(columns: list[str], options: CohortOptions, problems: Problems) -> tuple[str, ...]:
    """Return the columns of image references, in order."""
    several = several_columns(columns, asked_role(options, problems), problems)
    if several:
        return several
    if "image" not in columns:
        problems.add(
            f"no column 'image'{nearest('image', columns)} (columns: {listed(columns)})",
            "name the column of image paths 'image'",
        )
    return ("image",)


def _mask_columns(columns: list[str], images: tuple[str, ...], problems: Problems) -> tuple[str, ...]:
    """Return the columns of masks that belong to the images."""
    named = [name for name in columns if name.startswith("mask.")]
    own = {f"mask.{name.removeprefix('image.')}" for name in columns if name.startswith("image.")}
    if len(images) == 1:
        return tuple(name for name in columns if name == "mask" or name in named)
    if "mask" in columns and named:
        problems.add(
            f"'mask' stands beside {listed(named)}, so nobody knows which masks a case has", "keep one or the other"
        )
    stray = [name for name in named if name not in own]
    if stray:
        problems.add(
            f"{listed(map(repr, stray))} {'has' if len(stray) == 1 else 'have'} no image of the same name",
            f"name masks as the images are named: {listed(sorted(own))}",
        )
    return tuple(name for name in columns if name == "mask" or (name in named and name not in stray))


def _exists(name: str, option: str, columns: list[str], problems: Problems) -> bool:
    if name in columns:
        return True
    problems.add(f"no column {name!r} ({option}){nearest(name, columns)}", f"choose one of {listed(columns)}")
    return False


def _asked(name: str | None, option: str, columns: list[str], problems: Problems, *, default: str) -> str | None:
    """Return the column that the user named, or the usual one when it is there."""
    if name is None:
        return default if default in columns else None
    return name if _exists(name, option, columns, problems) else None


def target_columns(columns: list[str], options: CohortOptions, problems: Problems) -> tuple[str, ...]:
    """Return the columns of the target: one, or several joined by commas in the option."""
    if options.target is None:
        usual = [name for name in columns if name.lower() in _USUAL_TARGETS]
        if len(usual) == 1:
            return (usual[0],)
        problems.add(
            f"no target is named (columns: {listed(columns)})", "name the column to be diagnosed with --target"
        )
        return ()
    if options.target in columns:
        return (options.target,)
    names = [name.strip() for name in options.target.split(",") if name.strip()]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        problems.add(f"--target names {listed(sorted(twice), 'column')} twice", "name each column once")
    return tuple(name for name in dict.fromkeys(names) if _exists(name, "--target", columns, problems))


def assemble(table: pd.DataFrame, roles: Roles, folder: Path, problems: Problems) -> tuple[pd.DataFrame, list[str]]:
    """Make the cohort's own columns of a table's, and keep the others.

    Parameters
    ----------
    table
        Text columns; the index holds row numbers.
    roles
        Which column is what.
    folder
        Where relative image paths begin.
    problems
        Takes what is wrong.

    Returns
    -------
    frame
        ``case_id patient_id site split image``, ``image.<name>`` of several images, masks, and the other columns, those
        that hold numbers as numbers.
    notes
        Sentences for the check page.
    """
    notes: list[str] = []
    own = pd.DataFrame(index=table.index)
    own["case_id"] = _case_ids(table, roles, problems)
    own["patient_id"] = _patients(table, roles, own["case_id"], problems, notes)
    own["site"] = _stripped(table[roles.site]) if roles.site else pd.Series(pd.NA, index=table.index, dtype="str")
    own["split"] = _splits(table, roles, problems, notes)
    own["image"] = _paths(table, roles.images[0], folder, problems, required=len(roles.images) == 1)
    if len(roles.images) > 1:
        for name in roles.images:
            own[name] = _paths(table, name, folder, problems, required=True)
    for name in roles.masks:
        own[name] = _paths(table, name, folder, problems, required=name in roles.targets, what="mask")
    others = [name for name in table.columns if name not in own.columns and name not in roles.images]
    for name in others:
        own[name] = as_numbers(table[name])
    return own, notes


def _stripped(column: pd.Series[str]) -> pd.Series[str]:
    """Return text without blanks around it; what says 'not known' is missing."""
    text = column.str.strip()
    return text.mask(text.str.lower().isin(MISSING))


def _case_ids(table: pd.DataFrame, roles: Roles, problems: Problems) -> pd.Series[str]:
    """Return the case ids, or running numbers."""
    if roles.case_id is None:
        return pd.Series([str(n) for n in range(1, len(table) + 1)], index=table.index, dtype="str")
    ids = table[roles.case_id].str.strip()
    absent = ids.index[ids.isna() | (ids == "")]
    if len(absent):
        problems.add(
            f"no case_id in {listed(absent, 'row')}", "fill it in, or remove the column to have cases numbered"
        )
    twice = ids[ids.notna() & ids.duplicated(keep=False)]
    if len(twice):
        groups = twice.groupby(twice, sort=False)
        shown = listed(f"{name!r} (rows {', '.join(map(str, rows))})" for name, rows in groups.groups.items())
        across = ""
        if roles.split is not None:
            splits = table[roles.split].loc[twice.index]
            conflicting = [str(name) for name, part in splits.groupby(twice) if part.nunique() > 1]
            across = f"; in two splits: {listed(map(repr, conflicting))}" if conflicting else ""
        problems.add(f"the same case_id in several rows: {shown}{across}", "keep one row a case")
    return ids


def _patients(
    table: pd.DataFrame, roles: Roles, case_ids: pd.Series[str], problems: Problems, notes: list[str]
) -> pd.Series[str]:
    """Return who each case belongs to; without patients every case is its own."""
    if roles.patient is None:
        return case_ids
    groups = _stripped(table[roles.patient])
    absent = groups.index[groups.isna()]
    if len(absent):
        problems.add(
            f"no {roles.patient} in {listed(absent, 'row')}",
            "fill it in: a case of an unknown patient may stand on both sides of a split",
        )
    if roles.patient != "patient_id" and "patient_id" in table.columns:
        patients = _stripped(table["patient_id"])
        torn = int((groups.groupby(patients).nunique() > 1).sum())
        if torn:
            problems.add(
                f"{torn} patients (patient_id) fall into several groups of {roles.patient!r} (--group)",
                "group by patient_id, or by a column that holds patients together",
            )
        notes.append(f"Cases are kept together by {roles.patient!r}, not by 'patient_id'.")
    return groups


def _splits(table: pd.DataFrame, roles: Roles, problems: Problems, notes: list[str]) -> pd.Series[str]:
    """Return train, val or test for every case, or missing for every case."""
    none = pd.Series(pd.NA, index=table.index, dtype="str")
    if roles.split is None:
        return none
    words = _stripped(table[roles.split])
    absent = words.index[words.isna()]
    if len(absent) == len(words):
        notes.append(f"Column {roles.split!r} is empty: no split is given.")
        return none
    if len(absent):
        problems.add(
            f"no {roles.split} in {listed(absent, 'row')}, while other rows have one",
            "fill it in, or ignore the column with --no-split",
        )
    normal = words.str.lower().map(SPLIT_WORDS)
    unknown = words[normal.isna() & words.notna()]
    if len(unknown):
        shown = listed(f"{word!r} (row {row})" for row, word in unknown.items())
        problems.add(f"{roles.split} is none of train, val, test: {shown}", "correct it, or use --no-split")
    given = set(normal.dropna())
    lacking = [name for name in SPLITS if name not in given]
    if lacking and not len(unknown) and not len(absent):
        notes.append(f"The given split has no {' and no '.join(lacking)} cases.")
    return normal.astype("str")


def _paths(
    table: pd.DataFrame, name: str, folder: Path, problems: Problems, *, required: bool, what: str = "image"
) -> pd.Series[str]:
    """Return absolute references; relative ones begin at the table's folder."""
    if name not in table.columns:
        return pd.Series(pd.NA, index=table.index, dtype="str")
    text = table[name].str.strip()
    absent = text.index[text.isna() | (text == "")]
    if required and len(absent):
        named = what if name in ("image", "mask") else f"{what} ({name})"
        problems.add(f"no {named} in {listed(absent, 'row')}", "fill in its path, or remove the row")
    # Not by pathlib, whose resolve() would follow links, which the user may rely on, and which keeps `..`.
    root = os.path.abspath(folder)  # noqa: PTH100
    text = text.mask(text == "")
    return text.map(lambda value: os.path.normpath(os.path.join(root, value)), na_action="ignore")  # noqa: PTH118


def as_numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of numbers as numbers when nothing is lost; identifiers and text stay text.

    Text with leading zeros, more than 15 digits or a name like an identifier's (``study_id``) is left as it is.
    """
    if _IDENTIFIER.search(str(column.name)):
        return column
    missing = column.map(is_missing).astype(bool)
    known = column[~missing].str.strip()
    if known.empty or not known.str.fullmatch(_DECIMAL).all():
        return column
    if known.str.fullmatch(_WHOLE).all() and not missing.any():
        return known.astype(np.int64)
    return known.astype(np.float64).reindex(column.index)
