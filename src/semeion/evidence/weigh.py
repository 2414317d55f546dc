"""Weigh predictions: every figure of a run, with its interval, from the predictions table alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semeion.errors import InputError
from semeion.evidence.measuring import Answer, Drawing, distinct, left_out, measured
from semeion.evidence.metrics import binary_figures, figure_names, regression_figures, several_figures
from semeion.evidence.question import ABSENT, PRESENT, Question
from semeion.evidence.strata import FEWEST_CASES, parted
from semeion.evidence.table import UNWEIGHED, Cases, split_cases, validate_predictions
from semeion.evidence.use.account import KEYS, account_of
from semeion.evidence.use.curves import confusion, one_class_curves, scatter, threshold_table
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.sets import SetsAsked, weigh_all_sets
from semeion.evidence.use.shipped_sets import shipped_sets, weigh_statuses
from semeion.evidence.use.value_intervals import shipped_interval, weigh_intervals

_SHOWN = ("confusion", "curves", *KEYS, "sets", "statuses")


def weigh(
    predictions: pd.DataFrame,
    question: Question,
    *,
    points: OperatingPoints | None = None,
    resamples: int = 2000,
    seed: int = 0,
    strata: pd.DataFrame | None = None,
    jobs: int | None = None,
    sets: SetsAsked | None = None,
) -> dict[str, Any]:
    """Return every figure of the predictions, with its interval.

    Figures use the rows of the ensemble only, and no split ``train``: what a model says of the cases it learned from is
    no evidence. Cases of the split ``calibration`` calibrate sets of classes and are in no figure. Intervals are those
    of a BCa bootstrap over patients, those of a split's labels from the same draws; where too little was observed for
    it they are score intervals: see :mod:`semeion.evidence.intervals.entry`. They do not depend on the order of the
    rows.

    Parameters
    ----------
    predictions
        See :func:`semeion.evidence.table.validate_predictions`. Without patients every case must be its own.
    question
        The target.
    points
        Operating points; needed for binary and multi-label targets. Binary cases are called positive at ``p >= point``
        (each fold's own for ``oof``), others by the largest probability.
    resamples, seed
        Of the bootstrap; the same seed gives the same figures.
    strata
        ``case_id`` and columns whose levels are weighed one by one: the 20 largest of each column, and figures where a
        level has at least 10 cases and, for classes, at least two of them. Cases not listed are in no level.
    jobs
        Threads; the figures do not depend on it.
    sets
        Which sets of classes, or intervals of a measured value, are made and measured; None: none.

    Returns
    -------
    ``metrics.<split>.<name>`` is ``{value, low, high, n, n_patients, method}`` and ``reason`` where something must be
    said; ``auroc`` of two classes also has ``delong: {low, high}``. For a multi-label target it is the mean over
    labels, and ``targets.<label>`` holds all that follows and ``operating_point``. ``confusion.<split>``,
    ``curves.<split>`` and ``splits.<split>`` are as their functions say; ``reliability.<split>``, ``utility.<split>``
    and ``abstaining.<split>`` as :func:`semeion.evidence.account.account_of` does; ``sets.<split>`` as
    :func:`semeion.evidence.use.sets.weigh_all_sets` does, ``set_rule`` and ``statuses.<split>`` as
    :func:`semeion.evidence.use.shipped_sets.shipped_sets` and ``weigh_statuses`` do, and of a measured value
    ``intervals.<split>`` as :func:`semeion.evidence.use.value_intervals.weigh_intervals`, and ``interval``, its rule;
    ``strata.<column>.<level>.metrics.<split>``; ``notes`` are sentences for the reader; ``bootstrap`` is ``{resamples,
    seed}``, with which all is had again. A class name that is a key stands as it is; within a figure's name it is
    percent-encoded.

    Raises
    ------
    InputError
        When the predictions, the points or the strata cannot be used.
    """
    if resamples < 1:
        raise InputError(f"{resamples} resamples", where="resamples", fix="use 2000")
    # In an order of its own, so that neither draws nor sums depend on that of the rows.
    table = validate_predictions(predictions, question).sort_values(["patient_id", "case_id"], kind="stable")
    drawing = Drawing(resamples, seed, jobs)
    result: dict[str, Any] = {key: {} for key in (*_SHOWN, "metrics", "targets", "strata", "splits")}
    result["notes"] = []
    # With it anybody can draw the same patients, and have the same intervals.
    result["bootstrap"] = {"resamples": resamples, "seed": seed}
    if question.task == "multilabel":
        given = points or OperatingPoints()
        result["targets"] = {
            label: {"metrics": {}, **{key: {} for key in _SHOWN}, "operating_point": _point(given.of(label))}
            for label in question.classes
        }
    calls: dict[tuple[str, str], NDArray[np.int64]] = {}
    for cases in split_cases(table, question):
        split = cases[0].split
        result["splits"][split] = _split_counts(cases, question)
        if split in UNWEIGHED:
            continue
        answers = [answer_of(each, question, points) for each in cases]
        calls |= {(split, answer.cases.target): answer.call for answer in answers}
        each, macro = measured(answers, question, drawing)
        if macro is None:
            result["metrics"][split] = each[0]
            _show(result, answers[0], points, drawing)
            continue
        result["metrics"][split] = macro
        for answer, metrics in zip(answers, each, strict=True):
            place = result["targets"][answer.cases.target]
            place["metrics"][split] = metrics
            _show(place, answer, (points or OperatingPoints()).of(answer.cases.target), drawing)
        for label in left_out(answers, question):
            names = figure_names(question.label(label))
            place = result["targets"][label]["metrics"]
            place[split] = _nothing(names, 0, 0, "no case with this label known")
    if strata is not None:
        result["strata"], notes = _strata(table, question, points, strata, drawing)
        result["notes"] += notes
    if sets is not None and question.task == "regression":
        result["interval"] = shipped_interval(predictions, question, sets)
        result["intervals"] = weigh_intervals(predictions, question, sets, drawing, strata)
    elif sets is not None:
        rules = shipped_sets(predictions, question, sets)
        found = {
            "sets": weigh_all_sets(predictions, question, sets, drawing, strata),
            "set_rule": rules,
            "statuses": weigh_statuses(predictions, question, sets, calls, rules, drawing),
        }
        for key, by_target in found.items():
            for target, one in by_target.items():
                (result["targets"][target] if question.task == "multilabel" else result)[key] = one
    if not result["metrics"]:
        result["notes"].append("No labelled case outside the training split: there are no figures.")
    return result


def answer_of(cases: Cases, question: Question, points: OperatingPoints | None) -> Answer:
    """Return the figures of the cases of one target in one split, called at the operating points."""
    if question.task == "regression":
        return Answer(
            question,
            cases,
            np.zeros(len(cases), dtype=np.int64),
            regression_figures(cases.y.astype(np.float64), cases.p),
        )
    y = cases.y.astype(np.int64)
    if question.task in ("multiclass", "ordinal"):
        call = cases.p.argmax(axis=1).astype(np.int64)
        return Answer(question, cases, call, several_figures(y, cases.p, call, question))
    multilabel = question.task == "multilabel"
    asked = question.label(cases.target) if multilabel else question
    given = points or OperatingPoints()
    own = given.of(cases.target) if multilabel else given
    one = asked.positive_index
    p = cases.p[:, one]
    call = np.where(p >= own.thresholds(cases.split, cases.fold), one, 1 - one).astype(np.int64)
    return Answer(asked, cases, call, binary_figures(y, p, call, asked))


def _point(points: OperatingPoints) -> dict[str, Any]:
    by_fold = {str(fold): float(value) for fold, value in points.by_fold.items()}
    return {"rule": points.rule, "value": points.shipped, "by_fold": by_fold}


def _split_counts(cases: Sequence[Cases], question: Question) -> dict[str, Any]:
    """Return ``{n, n_patients, class_counts}``; multi-label counts are ``{label: {absent, present}}``."""
    counts: dict[str, Any] = {}
    if question.task == "multilabel":
        for each in cases:
            counts[each.target] = {ABSENT: int((each.y == 0).sum()), PRESENT: int((each.y == 1).sum())}
    elif question.task != "regression":
        counts = {name: int((cases[0].y == j).sum()) for j, name in enumerate(question.classes)}
    return {"n": distinct(cases), "n_patients": cases[0].n_patients, "class_counts": counts}


def _show(place: dict[str, Any], answer: Answer, points: OperatingPoints | None, drawing: Drawing) -> None:
    """Put the confusion matrix, the curves and what an answer means in use into `place`."""
    cases, question, split = answer.cases, answer.question, answer.cases.split
    for key, found in account_of(answer, points, drawing).items():
        place[key][split] = found
    if question.task == "regression":
        place["curves"][split] = scatter(cases.y.astype(np.float64), cases.p)
        return
    y = cases.y.astype(np.int64)
    place["confusion"][split] = confusion(y, answer.call, question.classes)
    if question.task != "binary":
        each = {name: one_class_curves(y == j, cases.p[:, j]) for j, name in enumerate(question.classes)}
        place["curves"][split] = each
        return
    one = question.positive_index
    positive, p = y == one, cases.p[:, one]
    table = threshold_table(positive, p, include=points.shipped if points else None)
    place["curves"][split] = {**one_class_curves(positive, p), "points": table}


def _nothing(names: Sequence[str], n: int, n_patients: int, reason: str) -> dict[str, Any]:
    """Return entries without values."""
    return {
        name: {
            "value": None,
            "low": None,
            "high": None,
            "n": n,
            "n_patients": n_patients,
            "method": "not computed",
            "reason": reason,
        }
        for name in names
    }


def _strata(
    table: pd.DataFrame, question: Question, points: OperatingPoints | None, strata: pd.DataFrame, drawing: Drawing
) -> tuple[dict[str, Any], list[str]]:
    """Return ``{column: {level: {metrics: {split: ...}}}}`` and the notes."""
    levels, notes = parted(table[~table["split"].isin(UNWEIGHED)], strata)
    found = {
        column: {level: {"metrics": _level(rows, question, points, drawing)} for level, rows in parts.items()}
        for column, parts in levels.items()
    }
    return found, notes


def _level(rows: pd.DataFrame, question: Question, points: OperatingPoints | None, drawing: Drawing) -> dict[str, Any]:
    """Return the figures of one level, split by split."""
    metrics: dict[str, Any] = {}
    for cases in split_cases(rows, question):
        counts = _split_counts(cases, question)
        n, patients = counts["n"], counts["n_patients"]
        kept = [each for each in cases if question.task == "regression" or len(np.unique(each.y)) > 1]
        if n < FEWEST_CASES:
            reason = f"{n} cases, fewer than {FEWEST_CASES}"
        elif not kept:
            reason = "only one class among the cases"
        else:
            answers = [answer_of(each, question, points) for each in kept]
            each, macro = measured(answers, question, drawing)
            metrics[cases[0].split] = macro or each[0]
            continue
        metrics[cases[0].split] = _nothing(figure_names(question), n, patients, reason)
    return metrics
