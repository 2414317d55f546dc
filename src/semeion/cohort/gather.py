"""The way in: a table, a folder of class folders, an archive or a ``dataset.json`` becomes a cohort.

Of images only the kind is looked at, and the geometry of some where a case has several whose role is not named.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semeion.cohort.cohort import Cohort, CohortOptions, Flow, Target
from semeion.cohort.columns import Roles, assemble, find_roles
from semeion.cohort.decathlon import MASK, is_dataset, read_dataset
from semeion.cohort.kinds import cohort_kind
from semeion.cohort.medmnist import LABEL, read_medmnist
from semeion.cohort.problems import Problems, listed
from semeion.cohort.question import Question
from semeion.cohort.roles import ImageRole, find_image_role, find_structures
from semeion.cohort.table import read_table
from semeion.cohort.target import ask, rename_target
from semeion.cohort.tree import CLASS, read_tree, unmatched_note
from semeion.cohort.words import is_missing
from semeion.errors import InputError, nearest

_NO_OPTIONS = CohortOptions()


def gather(source: Path, options: CohortOptions = _NO_OPTIONS, *, expected: Target | None = None) -> Cohort:
    """Make a cohort of what a user names.

    Parameters
    ----------
    source
        A ``.csv``, ``.tsv``, ``.xlsx`` or ``.parquet`` table; a folder of class folders (with or without a level of
        splits above them); a MedMNIST ``.npz`` of pictures or volumes; a Decathlon or nnU-Net ``dataset.json`` or its
        folder.
    options
        How to understand it. Folders and archives need no target; one that is given names theirs.
    expected
        The target of a model that is to be weighed on this source: its classes, their order and the positive one are
        taken, and labels must be among them. A class may then be absent.

    Returns
    -------
    Cohort
        One row a case. That its images exist and can be read is looked at later, by the scan.

    Raises
    ------
    InputError
        Everything that is wrong with the source, at once.
    """
    source = Path(source)
    if not source.exists():
        siblings = [other.name for other in source.parent.iterdir()] if source.parent.is_dir() else []
        raise InputError(f"does not exist{nearest(source.name, siblings)}", where=str(source), fix="correct the path")
    if is_dataset(source):
        return _from_dataset(source, options, expected)
    if source.is_dir():
        return _from_tree(source, options, expected)
    if source.suffix.lower() == ".npz":
        return _from_archive(source, options, expected)
    return _from_table(source, options, expected)


def _from_table(source: Path, options: CohortOptions, expected: Target | None) -> Cohort:
    """Make a cohort of a table."""
    table, notes = read_table(source)
    problems = Problems(source.name)
    roles = find_roles([str(name) for name in table.columns], options, problems)
    # What another target says of a case is an answer too, and no column to weigh by.
    roles = replace(roles, unused=tuple(name for name in roles.unused if name not in options.beside))
    frame, remarks = assemble(table, roles, source.absolute().parent, problems)
    question = ask(table, roles.targets, options, problems, expected) if roles.targets else None
    _refuse_same_values(table, roles, problems)
    return _cohort(frame, question, roles, problems, source.name, (*notes, *remarks), options)


def _from_dataset(source: Path, options: CohortOptions, expected: Target | None) -> Cohort:
    """Make a cohort of a Decathlon or nnU-Net data set: volumes with masks, to be segmented."""
    found = read_dataset(source)
    problems = Problems(found.name)
    _refuse_table_options(options, "a dataset.json", problems)
    if options.target not in (None, MASK) or options.task not in (None, "segmentation"):
        problems.add(
            "a dataset.json holds masks and no diagnoses",
            f"leave --target and --task out (they are {MASK} and segmentation), or give a table",
        )
        problems.raise_any()
    labels = options.labels or found.labels
    own = replace(
        options, target=MASK, task="segmentation", labels=labels, split=None, group=None, covariates=(), frames=()
    )
    several = [str(name) for name in found.table.columns if str(name).startswith("image.")]
    if several:
        own = replace(own, channels=own.channels or found.channels)
    elif len(found.channels) > 1:
        own = replace(own, channels=found.channels)
    roles = find_roles([str(name) for name in found.table.columns], own, problems)
    frame, remarks = assemble(found.table, roles, source.absolute().parent, problems)
    question = ask(found.table, (MASK,), own, problems, expected)
    if question is not None:
        question = replace(question, target=replace(question.target, why="The task is segmentation: a dataset.json."))
    return _cohort(frame, question, roles, problems, found.name, (*found.notes, *remarks), own)


def _from_tree(source: Path, options: CohortOptions, expected: Target | None) -> Cohort:
    """Make a cohort of a folder of class folders."""
    tree = read_tree(source)
    name = source.absolute().name
    problems = Problems(name)
    _refuse_table_options(options, "a folder of class folders", problems)
    own = replace(options, target=CLASS, split=None, group=None, covariates=(), weight=None, raters=())
    roles = find_roles([str(column) for column in tree.table.columns], own, problems)
    frame, remarks = assemble(tree.table, roles, source.absolute(), problems)
    question = ask(tree.table, (CLASS,), own, problems, expected)
    notes = [note for note in (unmatched_note(tree, name), *remarks) if note]
    if tree.n_hidden:
        notes.append(f"{name}: {tree.n_hidden} hidden files are left alone.")
    flow = [Flow("files found", tree.n_files, tree.n_files, f"in {name}")]
    if question is not None and options.target not in (None, CLASS):
        question = rename_target(question, str(options.target))
    reason = f"{len(tree.unmatched)} files are no image of a class" if tree.unmatched else ""
    cohort = _cohort(frame, question, roles, problems, name, tuple(notes), options)
    steps = (*flow, Flow("images of a class", len(frame), len(frame), reason))
    return replace(cohort, flow=steps)


def _from_archive(source: Path, options: CohortOptions, expected: Target | None) -> Cohort:
    """Make a cohort of a MedMNIST archive."""
    archive = read_medmnist(source)
    problems = Problems(source.name)
    _refuse_table_options(options, "a MedMNIST archive", problems)
    labels = options.labels or archive.labels
    task = options.task or archive.task
    own = replace(
        options, target=",".join(archive.targets), labels=labels, task=task, split=None, group=None, covariates=()
    )
    own = replace(own, weight=None, raters=())
    columns = [str(column) for column in archive.table.columns]
    roles = replace(find_roles(columns, own, problems), targets=archive.targets)
    frame, remarks = assemble(archive.table, roles, source.absolute().parent, problems)
    question = ask(archive.table, archive.targets, own, problems, expected)
    if question is not None:
        question = rename_target(question, options.target or LABEL)
    notes = list(remarks)
    if archive.name == "phantoms":
        notes.append("The images are synthetic phantoms, made by Semeion's generator.")
    cohort = _cohort(frame, question, roles, problems, archive.name or source.stem, tuple(notes), options)
    return replace(cohort, synthetic=archive.name == "phantoms")


def _refuse_table_options(options: CohortOptions, kind: str, problems: Problems) -> None:
    """Refuse options that name columns where there are none."""
    named = {"--group": options.group, "--split": options.split, "--covariates": ",".join(options.covariates)}
    named |= {"--weight": options.weight, "--raters": ",".join(options.raters)}
    for option, value in named.items():
        if value:
            problems.add(
                f"{option} {value} names a column, and {kind} has none", f"leave {option} out, or give a table"
            )


def _refuse_same_values(table: pd.DataFrame, roles: Roles, problems: Problems) -> None:
    """Refuse an input column that holds the target itself; recodings of it are the audit's."""
    for target in roles.targets:
        for name in roles.covariates:
            if name != target and name in table and table[name].equals(table[target].rename(name)):
                problems.add(
                    f"the input {name!r} (--covariates) holds the same values as the target {target!r}",
                    "leave it out of --covariates",
                )


def _cohort(
    frame: pd.DataFrame,
    question: Question | None,
    roles: Roles,
    problems: Problems,
    source: str,
    notes: tuple[str, ...],
    options: CohortOptions,
) -> Cohort:
    """Put the parts together, or raise all that was found."""
    if question is not None:
        taken = [name for name in question.target.columns if name in frame.columns and name not in roles.targets]
        if taken:
            problems.add(
                f"{listed(map(repr, taken), 'column')} of the table would be overwritten by the target",
                "rename it in the table",
            )
    if roles.weight is not None and roles.weight in frame:
        frame = frame.assign(**{roles.weight: _weights(frame[roles.weight], problems)})
    images = ImageRole()
    if not problems.found:
        # Files are looked at only when the table itself is sound.
        kind = cohort_kind(frame["image"].tolist(), problems)
        images = find_image_role(frame, roles.images, options, kind, problems)
        if question is not None and question.target.task == "segmentation":
            _refuse_unsegmentable(images, problems)
    task = question.target.task if question is not None else None
    structures = find_structures([str(name) for name in frame.columns], options, task, images, problems)
    problems.raise_any()
    if question is None:
        raise InputError("the target cannot be understood", where=source, fix="name another --target")
    first = ["case_id", "patient_id", "site", "split", "image"]
    rest = [name for name in frame.columns if name not in first and name not in question.truth.columns]
    table = pd.concat([frame[first], question.truth, frame[rest]], axis=1).reset_index(drop=True)
    n_patients = int(table["patient_id"].nunique())
    return Cohort(
        table=table,
        target=question.target,
        flow=(Flow("in the source", len(table), n_patients, f"rows of {source}"),),
        covariates=roles.covariates,
        unused=roles.unused,
        has_patients=roles.patient is not None,
        notes=(*notes, *question.notes),
        source=source,
        images=images,
        structures=structures,
        weight=roles.weight,
        raters=roles.raters,
    )


def _weights(column: pd.Series[Any], problems: Problems) -> pd.Series[float]:
    """Return how much each case counts, as numbers; what is none, or not above 0, is a problem with its row."""
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    values = numbers.to_numpy(dtype=np.float64)
    bad = column[~(np.isfinite(values) & (values > 0))]
    if len(bad):
        named = str(column.index.name or "row")
        shown = listed(f"{_as_read(value)} ({named} {row})" for row, value in bad.items())
        problems.add(
            f"{column.name} (--weight) is no number above 0: {shown}",
            "correct it: a weight says how many cases one stands for, such as the inverse of its sampling probability",
        )
    return numbers


def _refuse_unsegmentable(images: ImageRole, problems: Problems) -> None:
    """Refuse to segment what has no volumes, or several images that are not on one grid."""
    if images.kind == "picture":
        problems.add("the images are pictures, and segmentation is of volumes", "give volumes with their masks")
    elif images.role in ("frames", "views"):
        problems.add(
            f"a case has several {images.role} ({listed(images.names)}), and a segmentation has one mask a case",
            "write one row a volume with columns image and mask; patient_id keeps the rows of a patient together",
        )


def _as_read(value: object) -> str:
    """Return what a cell holds, for a message."""
    if is_missing(str(value)):
        return "nothing"
    return f"{value:g}" if isinstance(value, int | float | np.number) else repr(value)
