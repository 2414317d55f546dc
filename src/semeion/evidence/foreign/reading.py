"""Any tool's table of predictions as the canonical one: guessed only when sure, refused with the flags otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from semeion.errors import InputError, nearest
from semeion.evidence.foreign.classes import Vocabulary, stems, understand_classes
from semeion.evidence.foreign.columns import (
    Columns,
    Named,
    find_columns,
    is_own,
    listed,
    need_columns,
    refuse_weights,
    weight_notes,
)
from semeion.evidence.foreign.values import numbers_of, probabilities_of, rows_of, text_of
from semeion.evidence.pairs.own import own_predictions
from semeion.evidence.question import ABSENT, PRESENT, TASKS, Question
from semeion.evidence.table import ENSEMBLE, SPLITS, UNWEIGHED, probability_columns

_SPLITS = {
    **dict.fromkeys(("external", "ext"), "external"),
    **dict.fromkeys(("oof", "out-of-fold", "out of fold"), "oof"),
    **dict.fromkeys(("calibration", "calib", "cal", "conformal"), "calibration"),
}
_MOST_LEVELS = 12
"""A site with more levels is not weighed level by level unasked."""


@dataclass(frozen=True)
class Foreign:
    """A table of predictions that was understood.

    Attributes
    ----------
    predictions
        Columns ``case_id patient_id site split fold member target y_true p_<class>...`` (``y_pred`` of a measured
        value), as :func:`semeion.evidence.table.validate_predictions` takes them.
    question
        The target.
    why
        One sentence: how the classes and the positive one were known.
    has_patients, has_cases, has_split
        Whether columns said so; without cases the rows are numbered, without patients every case is its own.
    own
        Whether the table is Semeion's own.
    columns
        Which column was taken as what; `guessed` are the roles that nobody named.
    strata
        ``case_id`` and the columns whose levels are weighed; None without any.
    notes
        Sentences on what was guessed and what was done to the numbers.
    """

    predictions: pd.DataFrame
    question: Question
    why: str
    has_patients: bool
    has_cases: bool
    has_split: bool
    own: bool
    columns: Mapping[str, str]
    guessed: tuple[str, ...]
    strata: pd.DataFrame | None
    notes: tuple[str, ...]


def understand(
    table: pd.DataFrame,
    named: Named,
    vocabulary: Vocabulary | None = None,
    *,
    known: Question | None = None,
    where: str = "predictions",
) -> Foreign:
    """Return the canonical predictions that a table holds, and the question that they answer.

    Parameters
    ----------
    table
        One row a case, columns of text or numbers; the index numbers the rows as messages should name them. Or
        Semeion's own predictions, a row for each case, target, split and member.
    named
        What the user said of it.
    vocabulary
        Words of splits, classes and missing values.
    known
        The question, where it is known from elsewhere (the evidence beside Semeion's own predictions).
    where
        What the table is called in messages.

    Raises
    ------
    InputError
        When a column, a class, a probability or a row cannot be understood, with the flags that would say it.
    """
    words = vocabulary or Vocabulary()
    columns = [str(name) for name in table.columns]
    table = table.set_axis(columns, axis=1)
    if len(table) == 0:
        raise InputError("has no rows", where=where, fix="predict at least one labelled case")
    if named.task is not None and named.task not in TASKS:
        raise InputError(
            f"unknown task {named.task!r}{nearest(named.task, TASKS)}",
            where="--task",
            fix=f"use one of {', '.join(TASKS)}",
        )
    if is_own(columns, named):
        _refuse_of_own(columns, named, where)
        table = table.reset_index(drop=True)
        predictions, question, why = own_predictions(table, named, known, where)
        has_patients = bool((predictions["patient_id"].astype(str) != predictions["case_id"].astype(str)).any())
        roles = {"prediction": ", ".join(_values_of(question))}
        said = tuple(weight_notes(columns))
        strata = _strata(table.loc[predictions.index], predictions["case_id"], named, "site" in columns, words)
        return Foreign(predictions, question, why, has_patients, True, True, True, roles, (), strata, said)
    return _foreign(table, find_columns(columns, named, where), named, words, where)


def _refuse_of_own(columns: Sequence[str], named: Named, where: str) -> None:
    """Refuse what makes no sense of Semeion's own predictions: weights, labels, and strata that do not exist."""
    refuse_weights(columns, named, where)
    need_columns(columns, named, where)
    if named.labels:
        raise InputError(
            "--labels names codes, and Semeion's own predictions name their classes",
            where=where,
            fix="leave --labels out",
        )


def _foreign(table: pd.DataFrame, found: Columns, named: Named, words: Vocabulary, where: str) -> Foreign:
    notes = [f"Taken as the {role}: column {name!r}." for role, name in found.guessed.items()]
    task = "multilabel" if len(found.truth) > 1 and named.task is None else named.task
    if len(found.truth) > 1 and task != "multilabel":
        raise InputError(
            f"--task {task} has one column of truth, and --truth names {len(found.truth)}",
            where=where,
            fix="name one, or use --task multilabel",
        )
    base = _base(table, found, words, where)
    if found.unused:
        notes.append(f"Not used: {'column' if len(found.unused) == 1 else 'columns'} {listed(found.unused)}.")
        notes += weight_notes(found.unused)
    name = named.target or ",".join(found.truth)
    if task == "multilabel":
        predictions, question, why = _multilabel(table, base, found, named, words, where, notes, name)
    elif task == "regression":
        predictions, question, why = _measured(table, base, found, named, where, notes, name)
    else:
        predictions, question, why = _classes(table, base, found, named, words, where, notes, name)
    roles = {"truth": ", ".join(found.truth), "prediction": ", ".join(found.values)}
    single = {"case": found.case, "patient": found.patient, "site": found.site, "split": found.split}
    roles |= {role: column for role, column in {**single, "fold": found.fold}.items() if column is not None}
    return Foreign(
        predictions,
        question,
        why,
        found.patient is not None,
        found.case is not None,
        found.split is not None,
        False,
        roles,
        tuple(found.guessed),
        _strata(table, base["case_id"], named, found.site is not None, words, site=found.site),
        tuple(notes),
    )


def _base(table: pd.DataFrame, found: Columns, words: Vocabulary, where: str) -> pd.DataFrame:
    """Return who each row is: case, patient, site, split, fold and member."""
    base = pd.DataFrame(index=table.index)
    if found.case is None:
        base["case_id"] = table.index.astype(str)
    else:
        base["case_id"] = _filled(table[found.case], words, where, f"case ({found.case})", "give every row its case")
    base["split"] = _splits(table, found, words, where)
    twice = base.duplicated(["case_id", "split"], keep=False)
    if twice.any():
        case = str(base.loc[twice, "case_id"].iloc[0])
        same = (base["case_id"] == case).to_numpy() & twice.to_numpy()
        many = int(base.loc[twice, "case_id"].nunique())
        more = f", and {many - 1} more cases in several rows" if many > 1 else ""
        raise InputError(
            f"case {case!r} ({found.case}) stands in {rows_of(table.index, same)}{more}",
            where=where,
            fix="keep one row a case (average repeated predictions), name another column with --case, or, where this "
            "one holds patients, with --patient",
        )
    if found.patient is None:
        base["patient_id"] = base["case_id"]
    else:
        fix = "fill it in: a case of an unknown patient may belong to any"
        base["patient_id"] = _filled(table[found.patient], words, where, f"patient ({found.patient})", fix)
    base["site"] = None if found.site is None else text_of(table[found.site], words.missing)
    base["fold"] = -1 if found.fold is None else _folds(table[found.fold], words)
    return base.assign(member=ENSEMBLE)


def _filled(column: pd.Series[Any], words: Vocabulary, where: str, what: str, fix: str) -> pd.Series[str]:
    text = text_of(column, words.missing)
    absent = text.isna().to_numpy()
    if absent.any():
        raise InputError(f"no {what} in {rows_of(column.index, absent)}", where=where, fix=fix)
    return text


def _splits(table: pd.DataFrame, found: Columns, words: Vocabulary, where: str) -> pd.Series[str]:
    """Return the split of each row; without such a column ``external``, or ``oof`` where folds were named."""
    if found.split is None:
        return pd.Series("external" if found.fold is None else "oof", index=table.index, dtype="str")
    fix = "fill it in, or ignore the column with --no-split"
    text = _filled(table[found.split], words, where, f"split ({found.split})", fix)
    meant = {**words.splits, **_SPLITS}
    split = text.str.lower().map(meant)
    unknown = split.isna().to_numpy()
    if unknown.any():
        word = str(text[unknown].iloc[0])
        raise InputError(
            f"{found.split} {word!r}, in {rows_of(table.index, unknown)}, is none of {', '.join(SPLITS)}"
            f"{nearest(word.lower(), meant)}",
            where=where,
            fix="correct it, or ignore the column with --no-split",
        )
    if (split == "train").all():
        raise InputError(
            "every row is of the split train, and a model is not weighed on the cases it learned from",
            where=where,
            fix="give the predictions of other cases, or ignore the column with --no-split",
        )
    if split.isin(UNWEIGHED).all():
        raise InputError(
            "every row calibrates sets of classes or was learned from, and none is left to be weighed",
            where=where,
            fix="add the predictions of test cases, or ignore the column with --no-split",
        )
    return split.astype("str")


def _folds(column: pd.Series[Any], words: Vocabulary) -> pd.Series[int]:
    text = text_of(column, words.missing)
    number = pd.to_numeric(text, errors="coerce")
    wrong = (text.notna() & (number.isna() | (number % 1 != 0))).to_numpy(dtype=np.bool_)
    if wrong.any():
        # Folds may have names; what matters is which cases share one.
        codes, _ = pd.factorize(text, sort=True)
        return pd.Series(codes, index=column.index, dtype=np.int64)
    return number.fillna(-1).astype(np.int64)


def _truth(table: pd.DataFrame, column: str, words: Vocabulary, where: str) -> pd.Series[str]:
    fix = "leave out cases without a reference standard, and report how many they are"
    return _filled(table[column], words, where, f"truth ({column})", fix)


def _classes(
    table: pd.DataFrame,
    base: pd.DataFrame,
    found: Columns,
    named: Named,
    words: Vocabulary,
    where: str,
    notes: list[str],
    name: str,
) -> tuple[pd.DataFrame, Question, str]:
    """Return the predictions of classes that exclude one another."""
    classes = understand_classes(_truth(table, found.truth[0], words, where), found.values, named, words, where)
    several = len(found.values) > 1
    p = probabilities_of(table, found.values, where, notes, sum_to_one=several)
    task = named.task or ("binary" if len(classes.names) == 2 else "multiclass")
    question = Question(name, task, classes.names, classes.positive)
    if not several:
        p = np.column_stack([1 - p[:, 0], p[:, 0]])
    columns = dict(zip(probability_columns(question), p.T, strict=True))
    absent = [one for one in classes.names if not (classes.truth == one).any()]
    if absent:
        notes.append(f"No case is of {listed(map(repr, absent))}: what needs one is undefined.")
    return base.assign(target=name, y_true=classes.truth, **columns), question, classes.why


def _measured(
    table: pd.DataFrame, base: pd.DataFrame, found: Columns, named: Named, where: str, notes: list[str], name: str
) -> tuple[pd.DataFrame, Question, str]:
    """Return the predictions of a measured value."""
    if len(found.values) != 1 or named.positive is not None or named.labels:
        what = "one column of predicted values" if len(found.values) != 1 else "no classes"
        raise InputError(
            f"--task regression has {what}", where=where, fix="name it with --probability, without classes"
        )
    truth = numbers_of(table[found.truth[0]], "truth", where, notes)
    predicted = numbers_of(table[found.values[0]], "predicted value", where, notes)
    why = f"A measured value, as asked by --task: {found.values[0]!r} against {found.truth[0]!r}."
    return base.assign(target=name, y_true=truth, y_pred=predicted), Question(name, "regression"), why


def _multilabel(
    table: pd.DataFrame,
    base: pd.DataFrame,
    found: Columns,
    named: Named,
    words: Vocabulary,
    where: str,
    notes: list[str],
    name: str,
) -> tuple[pd.DataFrame, Question, str]:
    """Return the predictions of labels that are each present or absent, a row for each case and label."""
    if named.positive is not None or named.labels:
        raise InputError(
            "labels are each present or absent, and need neither --positive nor --labels",
            where=where,
            fix="leave them out",
        )
    labels, order = _pair_labels(found, named, where)
    p = probabilities_of(table, order, where, notes, sum_to_one=False)
    parts = []
    for label, column, each in zip(labels, found.truth, p.T, strict=True):
        text = text_of(table[column], words.missing)
        meant = {value: words.presence(value) for value in text.dropna().unique()}
        presence = text.map(meant)
        wrong = (text.notna() & presence.isna()).to_numpy(dtype=np.bool_)
        if wrong.any():
            raise InputError(
                f"{column} {str(text[wrong].iloc[0])!r}, in {rows_of(table.index, wrong)}, says neither present nor "
                "absent",
                where=where,
                fix="write 1 and 0, and leave unknown ones empty",
            )
        y = pd.Series(np.where(presence == 1, PRESENT, ABSENT), index=table.index, dtype="str").mask(text.isna())
        parts.append(base.assign(target=label, y_true=y, **{f"p_{ABSENT}": 1 - each, f"p_{PRESENT}": each}))
    why = "Labels, each present or absent: " + listed(
        f"{label} by {column!r}" for label, column in zip(labels, order, strict=True)
    )
    return pd.concat(parts, ignore_index=True), Question(name, "multilabel", tuple(labels)), f"{why}."


def _pair_labels(found: Columns, named: Named, where: str) -> tuple[list[str], list[str]]:
    """Return the labels, and the column of probabilities of each: by name, else as both lists were named."""
    for labels in stems(found.truth) if len(found.truth) > 1 else [[found.truth[0]]]:
        for names in stems(found.values):
            if set(labels) == set(names):
                return labels, [found.values[names.index(label)] for label in labels]
    if len(found.values) == len(found.truth) and (named.probability or len(found.values) == 1):
        return list(found.truth), list(found.values)
    raise InputError(
        f"{len(found.truth)} labels ({listed(found.truth)}) and {len(found.values)} columns of probabilities "
        f"({listed(found.values)}) do not belong together by name",
        where=where,
        fix="name one for each label, in the same order, with --truth a,b and --probability p_a,p_b",
    )


def _values_of(question: Question) -> tuple[str, ...]:
    return ("y_pred",) if question.task == "regression" else probability_columns(question)


def _strata(
    table: pd.DataFrame,
    case_id: pd.Series[str],
    named: Named,
    has_site: bool,
    words: Vocabulary,
    *,
    site: str | None = "site",
) -> pd.DataFrame | None:
    """Return the columns that figures are also given for: those asked for, and a site of few levels."""
    columns = {name: text_of(table[name], words.missing) for name in named.strata}
    if has_site and site is not None and site not in columns:
        levels = text_of(table[site], words.missing)
        if 2 <= levels.nunique() <= _MOST_LEVELS:
            columns = {site: levels, **columns}
    if not columns:
        return None
    strata = pd.DataFrame({"case_id": case_id.astype("str"), **columns}, index=table.index)
    return strata.drop_duplicates("case_id").reset_index(drop=True)
