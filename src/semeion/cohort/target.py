"""What is asked: the task is understood from the column, or taken from a model that is to be weighed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from semeion.cohort.classes import MANY, classes
from semeion.cohort.cohort import CohortOptions, Target
from semeion.cohort.columns import is_segmentation
from semeion.cohort.multilabel import delimited_column, indicator_columns
from semeion.cohort.problems import Problems, listed
from semeion.cohort.question import Question, codes_of, in_order, known_text, numbers_of, place
from semeion.cohort.several import lacked
from semeion.cohort.units import carried_units, refuse_conflict
from semeion.cohort.words import presence
from semeion.errors import nearest

LARGEST_LABEL = 255
"""Largest integer of a label in a mask."""


def ask(
    table: pd.DataFrame,
    columns: tuple[str, ...],
    options: CohortOptions,
    problems: Problems,
    expected: Target | None = None,
) -> Question | None:
    """Understand the target columns of a table.

    Parameters
    ----------
    table
        Text columns; the index names each case's place in the source (``index.name``: what such a place is called).
    columns
        One column, or several 0/1 columns of a multi-label target.
    options
        ``task``, ``positive``, ``labels``, ``order``, ``delimiter`` and ``target`` are used. A column of masks makes a
        segmentation, whose labels are named by ``labels`` or, later, by what the masks hold.
    problems
        Takes what is wrong.
    expected
        The target of a model: the labels must be among its classes, and nothing is inferred.

    Returns
    -------
    Question or None
        None when something was wrong.
    """
    before = len(problems.found)
    if is_segmentation(columns, options) or (expected is not None and expected.task == "segmentation"):
        return _segmentation(table, columns, options, problems, expected)
    texts = {name: known_text(table[name]) for name in columns}
    if expected is not None:
        question = _as_expected(texts, options, problems, expected, lacked(table, options))
    elif len(columns) > 1:
        question = indicator_columns(texts, options, problems)
    else:
        question = _one_column(texts[columns[0]], options, problems, lacked(table, options))
    if question is not None and expected is None and options.positive is not None and question.target.task != "binary":
        problems.add(
            f"--positive {options.positive!r} needs a binary target, and "
            f"{question.target.name if options.beside else 'this one'} is {question.target.task}",
            "leave --positive out",
        )
    return question if len(problems.found) == before else None


def _segmentation(
    table: pd.DataFrame, columns: tuple[str, ...], options: CohortOptions, problems: Problems, expected: Target | None
) -> Question | None:
    """Make a target of a column of masks."""
    if len(columns) != 1:
        problems.add(f"a segmentation has one column of masks, and {len(columns)} are named", "name one with --target")
        return None
    for option, value in (("--positive", options.positive), ("--order", ",".join(options.order))):
        if value:
            problems.add(f"{option} {value} has no meaning for a segmentation", f"leave {option} out")
    before = len(problems.found)
    values = {}
    for code, name in options.labels.items():
        if not code.isdigit() or not 0 <= int(code) <= LARGEST_LABEL:
            problems.add(
                f"--labels names {code!r}, and masks hold whole numbers from 0 to {LARGEST_LABEL}",
                "write for example 1=anterior,2=posterior",
            )
        elif int(code):
            values[int(code)] = name
    names = list(values.values())
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.add(f"--labels calls two labels {twice[0]!r}", "give every label a name of its own")
    if options.labels and not values and len(problems.found) == before:
        problems.add("--labels names nothing but the background", "name the labels in the masks")
    if len(problems.found) > before:
        return None
    truth = pd.DataFrame(index=table.index)
    if expected is not None:
        if expected.task != "segmentation":
            problems.add(
                f"the model's target is {expected.task}, and {columns[0]!r} holds masks", "name another --target"
            )
            return None
        return Question(replace(expected, name=columns[0]), truth)
    how = "as asked by --task" if options.task else f"since {columns[0]!r} holds masks"
    ordered = sorted(values)
    target = Target(
        columns[0],
        "segmentation",
        tuple(values[value] for value in ordered),
        why=f"The task is segmentation, {how}.",
        values=tuple(ordered),
    )
    return Question(target, truth)


def name_found_labels(target: Target, found: set[int]) -> Target:
    """Return a segmentation target with the integers that the masks hold as its labels, named by number.

    A target whose labels are named already is returned as it is.
    """
    if target.values:
        return target
    values = tuple(sorted(value for value in found if value))
    names = tuple(str(value) for value in values)
    why = f"{target.why} Nothing names its labels, so they are called by the numbers in the masks."
    return replace(target, classes=names, values=values, why=why)


def _one_column(
    texts: pd.Series[str], options: CohortOptions, problems: Problems, lacks: pd.Series[bool]
) -> Question | None:
    """Understand a target of one column; cases of `lacks` may have none."""
    name = str(texts.name)
    known = texts.dropna()
    if known.empty:
        problems.add(f"the target {name!r} is empty", "name another --target")
        return None
    delimited = bool(options.delimiter) and known.str.contains(options.delimiter, regex=False).any()
    if options.task == "multilabel" and not delimited and known.map(presence).notna().all():
        return indicator_columns({name: texts}, options, problems)
    if options.beside and options.task is None and delimited:
        problems.add(
            f"cells of {name!r} hold labels delimited by {options.delimiter!r}, and one run does not learn a "
            "multi-label target beside others",
            f"train {name} in a run of its own, or say --task {name}=multiclass when such cells are one class",
        )
        return None
    if options.task == "multilabel" or (options.task is None and delimited):
        return delimited_column(texts, options, problems)
    _refuse_absent(texts, options, problems, lacks)
    if options.task == "regression" or (options.task is None and _measured(known, options)):
        for option, given in (("--labels", options.labels), ("--order", options.order)):
            if given:
                problems.add(f"{option} is of classes, and {name} holds measured values", f"leave {option} out")
        return _measurement(known, texts, options, problems)
    return classes(known, texts, options, problems)


def _refuse_absent(texts: pd.Series[str], options: CohortOptions, problems: Problems, lacks: pd.Series[bool]) -> None:
    """Report the cases whose target is not known, but those that serve another target of the run."""
    absent = texts.index[texts.isna() & ~lacks]
    if len(absent):
        name = " or ".join(map(str, (texts.name, *options.beside)))
        problems.add(f"no {name} in {listed(absent, place(texts))}", "fill it in, or remove such cases from the table")


def _measured(known: pd.Series[str], options: CohortOptions) -> bool:
    """Tell whether a column holds measurements rather than codes of classes."""
    if options.labels or options.positive is not None or options.order:
        return False
    values = carried_units(known)
    numbers, _ = numbers_of(values.text)
    real = numbers.dropna()
    distinct = real.nunique()
    if distinct <= 2 or len(real) < 0.8 * len(known):
        return False
    # A word of its own behind each number makes it a name, as in "1 mild" and "2 severe".
    if len(values.units) > max(3, distinct / 2):
        return False
    whole = bool((real == np.rint(real)).all())
    return distinct > MANY or not whole or distinct > max(len(real) / 2, 3)


def _measurement(
    known: pd.Series[str], texts: pd.Series[str], options: CohortOptions, problems: Problems, *, varied: bool = True
) -> Question | None:
    """Make a regression target; when `varied`, the cases must not all have one value."""
    name = str(texts.name)
    values = carried_units(known)
    numbers, commas = numbers_of(values.text)
    bad = known[~np.isfinite(numbers.to_numpy(dtype=np.float64))]
    if len(bad):
        shown = listed(f"{text!r} ({place(texts)} {row})" for row, text in bad.items())
        problems.add(f"{name} is no number: {shown}", "correct it, or name the classes with --task multiclass")
        return None
    if refuse_conflict(name, values, problems):
        return None
    if varied and numbers.nunique() < 2:
        problems.add(f"every case has the same {name}: {known.iloc[0]}", "name another --target")
        return None
    how = "as asked by --task" if options.task else f"{numbers.nunique()} different numbers are measurements, not codes"
    unit = values.units[0] if values.units else None
    said = f" Every value is in {unit}." if unit else ""
    target = Target(name, "regression", why=f"The task is regression: {how}.{said}", unit=unit)
    truth = pd.DataFrame({"y": numbers.reindex(texts.index)})
    notes = (f"{name}: decimal commas are read as points.",) if commas else ()
    return Question(target, truth, notes)


def rename_target(question: Question, name: str) -> Question:
    """Return the question under another name (folders and archives have no column of their own)."""
    return replace(question, target=replace(question.target, name=name))


def _as_expected(
    texts: dict[str, pd.Series[str]],
    options: CohortOptions,
    problems: Problems,
    expected: Target,
    lacks: pd.Series[bool],
) -> Question | None:
    """Read labels that must be among a model's classes."""
    column = next(iter(texts.values()))
    name = ",".join(texts)
    if expected.task == "multilabel":
        if len(texts) > 1 or options.labels.get(name, name) in expected.classes:
            question = indicator_columns(texts, options, problems, expected)
        else:
            question = delimited_column(column, options, problems, expected)
        return None if question is None else Question(replace(expected, name=name), question.truth, question.notes)
    if len(texts) > 1:
        problems.add(f"the model's target is one column, and {len(texts)} are named", "name one with --target")
        return None
    _refuse_absent(column, options, problems, lacks)
    known = column.dropna()
    if expected.task == "regression":
        measured = _measurement(known, column, options, problems, varied=False)
        if measured is None:
            return None
        if measured.target.unit is not None and expected.unit not in (None, measured.target.unit):
            problems.add(
                f"the values of {name} are in {measured.target.unit!r}, and the model measures in {expected.unit!r}",
                f"convert them to {expected.unit}",
            )
            return None
        return replace(measured, target=replace(expected, name=name))
    codes = codes_of(known)
    named = codes.map(lambda text: options.labels.get(text, text))
    unknown = named[~named.isin(expected.classes)]
    if len(unknown):
        for label in in_order(list(dict.fromkeys(unknown))):
            rows = listed(unknown.index[unknown == label], place(column))
            problems.add(
                f"{name} {label!r} in {rows} is no class of the model "
                f"({listed(map(repr, expected.classes))}){nearest(label, expected.classes)}",
                f"name it with --labels {label}=CLASS, or remove such cases",
            )
        return None
    position = {label: float(index) for index, label in enumerate(expected.classes)}
    truth = named.map(position).astype(np.float64).reindex(column.index)
    return Question(replace(expected, name=name), pd.DataFrame({"y": truth}))
