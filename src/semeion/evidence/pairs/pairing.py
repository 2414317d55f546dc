"""Two models' predictions of the same cases, side by side: which cases are in both, and what must agree."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semeion.errors import InputError
from semeion.evidence.measuring import Answer
from semeion.evidence.question import Question
from semeion.evidence.table import Cases, split_cases, validate_predictions
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.weigh import answer_of

SHOWN = 10
"""Cases that a message lists before it only counts."""
_TRUTH = 1e-9
"""Relative difference up to which two measured truths are one."""


@dataclass(frozen=True)
class Side:
    """One model's predictions, as it is to be weighed.

    Attributes
    ----------
    name
        What it is called in messages.
    predictions
        See :func:`semeion.evidence.table.validate_predictions`.
    question, points
        The target, and the operating points of binary and multi-label ones.
    split
        Whose cases are compared.
    has_patients
        Whether patients were named; else the other side's are taken.
    """

    name: str
    predictions: pd.DataFrame
    question: Question
    points: OperatingPoints | None
    split: str
    has_patients: bool = True


@dataclass(frozen=True)
class Pair:
    """Answers of both sides on the same cases in the same order, one a target; `patient` counts over all of them.

    `left_out` counts the cases of each side that the other lacks, `n` the cases in common.
    """

    a: tuple[Answer, ...]
    b: tuple[Answer, ...]
    n: int
    n_patients: int
    has_patients: bool
    left_out: tuple[int, int]


def pair(a: Side, b: Side) -> Pair:
    """Return the answers of two sides on the cases that both have.

    Raises
    ------
    InputError
        When the targets, tasks, classes or positive classes differ, no case is in common, the truths of a case differ,
        or two cases share a patient on one side and not on the other.
    """
    where = f"{a.name} and {b.name}"
    _same_question(a.question, b.question, where)
    # The columns carry the classes' names, so that one order of classes serves both.
    sides = [_cases(side, a.question) for side in (a, b)]
    n_each = [len(set().union(*(each.case_id.tolist() for each in found.values()))) for found in sides]
    targets = [target for target in a.question.targets if target in sides[0] and target in sides[1]]
    kept = {target: _common(sides[0][target], sides[1][target]) for target in targets}
    kept = {target: found for target, found in kept.items() if len(found[0])}
    if not kept:
        raise InputError(
            f"no case is in both ({n_each[0]} cases of the split {a.split}, {n_each[1]} of {b.split})",
            where=where,
            fix="compare predictions of the same cases, under the same case ids",
        )
    _same_truth({target: (sides[0][target], sides[1][target], *rows) for target, rows in kept.items()}, where)
    found = [
        {target: _taken(side[target], rows[number]) for target, rows in kept.items()}
        for number, side in enumerate(sides)
    ]
    case = np.concatenate([each.case_id for each in found[0].values()])
    codes = [np.concatenate([each.patient for each in side.values()]) for side in found]
    patient, n_patients = _same_patients(case, codes, (a.has_patients, b.has_patients), where)
    ends = np.cumsum([0] + [len(each) for each in found[0].values()])
    answers = []
    for side, own in zip((a, b), found, strict=True):
        whose = zip(own.values(), ends[:-1], ends[1:], strict=True)
        renumbered = [replace(each, patient=patient[first:last], n_patients=n_patients) for each, first, last in whose]
        answers.append(tuple(answer_of(each, a.question, side.points) for each in renumbered))
    n = len(np.unique(case))
    return Pair(
        answers[0],
        answers[1],
        n,
        n_patients,
        a.has_patients or b.has_patients,
        (n_each[0] - n, n_each[1] - n),
    )


def _same_question(a: Question, b: Question, where: str) -> None:
    """Refuse two questions that are not one."""
    fix = "compare models that answer the same question"
    if a.task != b.task:
        kinds = [f"{each.task} ({', '.join(each.classes)})" if each.classes else each.task for each in (a, b)]
        raise InputError(f"the tasks differ: {kinds[0]} and {kinds[1]}", where=where, fix=fix)
    if sorted(a.classes) != sorted(b.classes):
        raise InputError(f"the classes differ: {', '.join(a.classes)} and {', '.join(b.classes)}", where=where, fix=fix)
    if a.task == "ordinal" and a.classes != b.classes:
        raise InputError(
            f"the grades are ordered differently: {', '.join(a.classes)} and {', '.join(b.classes)}",
            where=where,
            fix=fix,
        )
    if a.task == "binary" and a.classes[a.positive_index] != b.classes[b.positive_index]:
        raise InputError(
            f"the positive classes differ: {a.classes[a.positive_index]!r} and {b.classes[b.positive_index]!r}",
            where=where,
            fix="weigh one again with --positive",
        )
    if a.task != "multilabel" and a.target != b.target:
        raise InputError(
            f"the targets differ: {a.target!r} and {b.target!r}",
            where=where,
            fix="if they are one, weigh a file under the other's name: `semeion weigh FILE --target NAME -o DIR`",
        )


def _cases(side: Side, question: Question) -> dict[str, Cases]:
    """Return the cases of the wanted split by target, sorted by case."""
    predictions = side.predictions
    if question.task != "multilabel":
        mine = predictions["target"].astype(str) == question.target
        predictions = predictions[mine]
    table = validate_predictions(predictions, question).sort_values("case_id", kind="stable")
    table = table[table["split"] == side.split]
    for cases in split_cases(table, question):
        return {each.target: each for each in cases}
    raise InputError(
        f"no labelled case of the split {side.split!r}", where=side.name, fix="name another split with --split"
    )


def _common(one: Cases, other: Cases) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the cases in both, in the same order."""
    first, second = (pd.Index(each.case_id) for each in (one, other))
    place = second.get_indexer(first)
    rows = np.flatnonzero(place >= 0)
    return rows, place[rows].astype(np.int64)


def _taken(cases: Cases, rows: NDArray[np.int64]) -> Cases:
    return replace(
        cases,
        case_id=cases.case_id[rows],
        patient=cases.patient[rows],
        fold=cases.fold[rows],
        y=cases.y[rows],
        p=cases.p[rows],
    )


def _same_truth(kept: dict[str, tuple[Cases, Cases, NDArray[np.int64], NDArray[np.int64]]], where: str) -> None:
    """Refuse cases that are one thing on one side and another on the other."""
    disagreeing: list[str] = []
    for target, (one, other, rows, others) in kept.items():
        y, z = one.y[rows].astype(np.float64), other.y[others].astype(np.float64)
        differ = np.abs(y - z) > _TRUTH * np.maximum(np.abs(y), np.abs(z))
        about = f" ({target})" if len(kept) > 1 else ""
        disagreeing += [f"{case}{about}" for case in one.case_id[rows][differ]]
    if disagreeing:
        raise InputError(
            f"the truth differs in {_listed(disagreeing)}",
            where=where,
            fix="compare on one reference standard: give both files the same truth for each case",
        )


def _same_patients(
    case: NDArray[np.object_], codes: list[NDArray[np.int64]], named: tuple[bool, bool], where: str
) -> tuple[NDArray[np.int64], int]:
    """Return the patient of each row as a number from 0 on, and how many there are."""
    if named[0] and named[1]:
        pairs = pd.DataFrame({"a": codes[0], "b": codes[1], "case": case})
        torn = (pairs.groupby("a")["b"].transform("nunique") > 1) | (pairs.groupby("b")["a"].transform("nunique") > 1)
        if torn.any():
            # Names of patients may differ between files; which cases belong together may not.
            cases = list(dict.fromkeys(pairs.loc[torn, "case"].astype(str)))
            raise InputError(
                f"cases that are one patient's in one file are of several in the other: {_listed(cases)}",
                where=where,
                fix="give both files the same patients: which cases are drawn together depends on it",
            )
    chosen = codes[0] if named[0] or not named[1] else codes[1]
    distinct, patient = np.unique(chosen, return_inverse=True)
    return patient.reshape(-1).astype(np.int64), len(distinct)


def _listed(cases: list[str]) -> str:
    word = "case" if len(cases) == 1 else f"{len(cases)} cases:"
    more = f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
    return f"{word} {', '.join(cases[:SHOWN])}{more}"
