"""The thresholds of sets of classes that a model ships with, and what its findings would be with them.

A threshold of :mod:`semeion.evidence.use.conformal` is the score of one patient, and nothing of a single patient ships.
What ships is the mean of five patients' scores next to one another, that of the threshold among them, and never below
it: raising a threshold makes sets larger, so the coverage that is promised for the one holds for the other (Vovk,
Gammerman and Shafer 2005). Of the runs of five that qualify the lowest mean is taken, so sets grow by little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semeion.calibration.sets import held_classes, told_sets
from semeion.evidence.intervals.drawing import Checked, Drawn, Piece, checked_cases, draw_together
from semeion.evidence.intervals.weights import Weights, weighted_sums
from semeion.evidence.measuring import Drawing
from semeion.evidence.question import Question
from semeion.evidence.table import Cases
from semeion.evidence.use.calibrating import by_split, folds_refused, raw_table, sorted_table, taken
from semeion.evidence.use.conformal import class_scores, patient_scores, threshold_rank
from semeion.evidence.use.sets import CALIBRATION, CHOSE, OWN, PROMISE_OWN, SetsAsked, ShippedRule

Array = NDArray[np.float64]
SHARED = 5
"""Patients who share a number that ships."""
_DECIMALS = 1e6
_SPLIT = "split conformal: thresholds from calibration cases that served nothing else"
_FOLDS = "thresholds from out-of-fold predictions, each by the members that did not see the case"
_EACH = {"marginal": "", "per_class": ", of the cases of each class by themselves"}
_PROMISE_SPLIT = (
    "The set holds the truth of every case of a new patient with a probability of at least {coverage:g}{each}, if that "
    "patient is drawn as the calibration patients were."
)
_PROMISE_FOLDS = (
    "About {coverage:g} of new patients have the truth of every case in their sets{each}, if they are drawn as the "
    "out-of-fold patients were; nothing is promised at the worst, since thresholds are of the models of single folds "
    "and what ships is made of all folds."
)
_PROMISE_LEFT_OUT = (
    "None for this measurement, which describes the procedure: thresholds of a fold are from the other folds, and the "
    "models behind them learned from the fold."
)


def patients_needed(coverage: float, *, shared: int = SHARED) -> int:
    """Return how many calibration patients always give a threshold that `shared` of them share.

    With one (``shared=1``) it is the least number that keeps the promise at all: ``ceil((n + 1) * coverage) <= n``.
    """
    n = shared
    while math.ceil((n + 1) * coverage - 1e-9) + shared - 1 > n:
        n += 1
    return n


def shared_threshold(scores: Array, coverage: float) -> float | None:
    """Return the threshold that ships, None of fewer patients than :func:`patients_needed`.

    Parameters
    ----------
    scores
        One a calibration patient, any order, each from 0 to 1.
    coverage
        Strictly between 0 and 1.

    Returns
    -------
    float or None
        At least the ``ceil((n + 1) * coverage)``-th smallest score, and the mean of five that are next to one another
        and hold it; rounded up to six decimals.
    """
    n, rank = len(scores), threshold_rank(len(scores), coverage)
    if rank is None or n < patients_needed(coverage):
        return None
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    least = float(ordered[rank - 1])
    means = []
    for first in range(max(0, rank - SHARED), min(rank, n - SHARED + 1)):
        run = ordered[first : first + SHARED]
        means.append(float(run[0]) if run[0] == run[-1] else math.fsum(run) / SHARED)
    # The run that begins at the threshold always qualifies.
    lowest = min(mean for mean in means if mean >= least)
    steps = math.ceil(lowest * _DECIMALS)
    # Product and quotient are rounded, and a trace below a score that many patients share would leave out all of them.
    return min(1.0, (steps if steps / _DECIMALS >= lowest else steps + 1) / _DECIMALS)


def fit_shipped(cases: Cases, coverage: float, classes: Sequence[str]) -> dict[str, Any]:
    """Return ``{kind, thresholds, n_patients, why}`` of the rule that ships, or ``{reason}`` where none can.

    Each class by itself where every class has patients enough, since a set that holds the truth of most patients may
    miss a rare class in most of its cases; else all patients together, and ``why`` says which class had too few.

    Raises
    ------
    InputError
        See :func:`semeion.evidence.intervals.drawing.checked_cases`.
    """
    checked = checked_cases(cases.y, cases.p, cases.patient, where="sets of classes")
    own = class_scores(checked.p)[np.arange(len(checked)), checked.y]
    everyone = np.ones(len(checked), dtype=np.bool_)
    of_class = [patient_scores(own, checked.patient, checked.y == k) for k in range(len(classes))]
    found = [shared_threshold(scores, coverage) for scores in of_class]
    need = patients_needed(coverage)
    lacking = [name for name, one in zip(classes, found, strict=True) if one is None]
    if not lacking:
        why = "each class has calibration patients enough for a promise of its own"
        counts = [len(scores) for scores in of_class]
        return {"kind": "per_class", "thresholds": found, "n_patients": counts, "why": why}
    fewest = min((len(scores), name) for scores, name in zip(of_class, classes, strict=True) if name in lacking)
    scores = patient_scores(own, checked.patient, everyone)
    threshold = shared_threshold(scores, coverage)
    if threshold is None:
        return {"reason": too_few(len(scores), coverage)}
    why = (
        f"{fewest[0]} calibration patients have {fewest[1]}, and a promise for each class by itself takes {need}, so "
        "that no threshold is that of one patient"
    )
    n = len(classes)
    return {"kind": "marginal", "thresholds": [threshold] * n, "n_patients": [len(scores)] * n, "why": why}


def too_few(n: int, coverage: float) -> str:
    """Return in a sentence that so many patients calibrate no sets, and how many would."""
    least, need = patients_needed(coverage, shared=1), patients_needed(coverage)
    promise = f"{n} patients calibrate sets of classes, and a stated coverage of {coverage:g} takes {need}"
    return f"{promise}: {least} for the promise, the others so that no threshold is that of one patient."


def shipped_sets(predictions: pd.DataFrame, question: Question, asked: SetsAsked) -> dict[str, dict[str, Any]]:
    """Return the rule that a model ships with, of each target: what calibrated it and what it promises.

    Parameters
    ----------
    predictions, question, asked
        As :func:`semeion.evidence.use.sets.weigh_all_sets` takes them.

    Returns
    -------
    dict
        By target ``{coverage, kind, thresholds, n_patients, why, scored, method, calibration: {split, n, n_patients},
        promise}``, or ``{coverage, reason}`` where none can be made; empty for a measured value, and where a model
        brought rules of its own.

    Raises
    ------
    InputError
        When the predictions cannot be used.
    """
    if question.task == "regression" or asked.shipped is not None:
        return {}
    plain, scored, name = _scored(predictions, question)
    found: dict[str, dict[str, Any]] = {}
    for target in question.targets:
        classes = (question.label(target) if question.task == "multilabel" else question).classes
        cases = plain.get(CALIBRATION, {}).get(target)
        split = cases is not None
        if cases is None:
            cases = scored.get("oof", {}).get(target)
        none: dict[str, Any] = {"coverage": asked.coverage}
        if cases is None:
            found[target] = {**none, "reason": asked.reason}
            continue
        reason = "" if split else asked.folds or folds_refused(cases)
        made = {"reason": reason} if reason else fit_shipped(cases, asked.coverage, classes)
        found[target] = none | made
        if "reason" in made:
            continue
        promise = (_PROMISE_SPLIT if split else _PROMISE_FOLDS).format(
            each=_EACH[made["kind"]], coverage=asked.coverage
        )
        found[target] |= {
            "scored": name,
            "method": _SPLIT if split else _FOLDS,
            "calibration": {"split": cases.split, "n": len(cases), "n_patients": len(np.unique(cases.patient))},
            "promise": promise,
        }
    return found


def weigh_statuses(
    predictions: pd.DataFrame,
    question: Question,
    asked: SetsAsked,
    calls: Mapping[tuple[str, str], NDArray[np.int64]],
    shipped: Mapping[str, Mapping[str, Any]],
    drawing: Drawing,
) -> dict[str, dict[str, Any]]:
    """Return what findings would be with the rule that ships, on the cases of every split that it may be measured on.

    Parameters
    ----------
    predictions, question, asked, drawing
        As :func:`semeion.evidence.use.sets.weigh_all_sets` takes them.
    calls
        Class index at the operating point of each case by split and target, in the order of
        :func:`semeion.evidence.use.calibrating.by_split`.
    shipped
        From :func:`shipped_sets`.

    Returns
    -------
    dict
        By target and split ``{coverage, kind, method, promise}``, and of :func:`statuses_piece` ``held``,
        ``patient_held``, ``called``, ``set``, ``unsure``, ``error_called``, ``error_all``, ``by_class``; ``reason``
        instead where nothing was measured. Out-of-fold cases have thresholds from the other folds. Empty for a target
        without a rule.

    Raises
    ------
    InputError
        When the predictions cannot be used.
    """
    if question.task == "regression":
        return {}
    plain, scored, _ = _scored(predictions, question)
    found: dict[str, dict[str, Any]] = {}
    for target in question.targets:
        rule = _rule_of(target, asked, shipped)
        if rule is None:
            continue
        classes = (question.label(target) if question.task == "multilabel" else question).classes
        found[target] = {}
        for split in (name for name in plain if target in plain[name] and (name, target) in calls):
            cases = scored[split][target] if rule.scored == "raw" else plain[split][target]
            told: dict[str, Any] = {"coverage": rule.coverage, "kind": rule.kind}
            if split == "val":
                found[target][split] = {**told, "reason": CHOSE}
                continue
            own, promise = asked.shipped is not None, str(shipped.get(target, {}).get("promise", PROMISE_OWN))
            left_out = split == "oof" and not own
            sets = _left_out(cases, rule, classes) if left_out else held_classes(cases.p, rule.thresholds)
            if isinstance(sets, str):
                found[target][split] = {**told, "reason": sets}
                continue
            told |= {"method": OWN, "promise": _PROMISE_LEFT_OUT if left_out else promise}
            call = calls[split, target]
            named = told_sets(sets, call, ordered=question.task == "ordinal")
            checked = checked_cases(cases.y, cases.p, cases.patient, where="statuses of findings")
            piece = statuses_piece(checked, named, call, classes)
            resamples, seed, jobs = drawing.resamples, drawing.seed, drawing.jobs
            drawn = draw_together([piece], checked, resamples=resamples, seed=seed, jobs=jobs)
            found[target][split] = told | drawn[0]
    return found


def statuses_piece(cases: Checked, named: NDArray[np.bool_], call: NDArray[np.int64], classes: Sequence[str]) -> Piece:
    """Return the account of what findings would be: one class named is ``called``, more a ``set``, none ``unsure``.

    Parameters
    ----------
    cases
        With probabilities ``(cases, classes)``.
    named
        From :func:`semeion.calibration.sets.told_sets`, ``(cases, classes)``.
    call
        Class index at the operating point, ``(cases,)``.
    classes
        Their names.

    Returns
    -------
    Piece
        Every figure is a share with its interval: ``held`` (of cases, whose named classes hold the truth),
        ``patient_held`` (of patients, in all cases), ``called``, ``set`` and ``unsure`` (of cases), ``error_called``
        (wrong among the called), ``error_all`` (wrong calls among all), and ``by_class`` by name: ``called set unsure``
        of the cases that are of this class, and ``wrong``, the share that is called another class.
    """
    size = named.sum(axis=1)
    held = named[np.arange(len(cases)), cases.y]
    everything = np.ones(len(cases), dtype=np.bool_)
    first = np.zeros(len(cases), dtype=np.bool_)
    first[np.unique(cases.patient, return_index=True)[1]] = True
    missed = np.bincount(cases.patient, weights=~held, minlength=cases.n_patients)[cases.patient]
    of = {"called": size == 1, "set": size > 1, "unsure": size == 0}
    wrong = call != cases.y
    ratios = {
        "held": (held, everything),
        "patient_held": (missed == 0, first),
        **{name: (status, everything) for name, status in of.items()},
        "error_called": (wrong & of["called"], of["called"]),
        "error_all": (wrong, everything),
    }
    groups = {name: cases.y == k for k, name in enumerate(classes)}
    each = {**of, "wrong": wrong & of["called"]}
    pairs = [*ratios.values(), *((hit, group) for group in groups.values() for hit in each.values())]
    columns = np.column_stack([one for hit, among in pairs for one in (hit & among, among)]).astype(np.float64)

    def compute(weights: Weights) -> Array:
        sums = weighted_sums(weights, columns)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(sums[:, ::2] / sums[:, 1::2])

    def tell(drawn: Drawn) -> dict[str, Any]:
        told: dict[str, Any] = {
            name: drawn.share(column, hit & among, among, undefined="no such case")
            for column, (name, (hit, among)) in enumerate(ratios.items())
        }
        column = len(ratios)
        told["by_class"] = {}
        for name, group in groups.items():
            told["by_class"][name] = {}
            for key, hit in each.items():
                told["by_class"][name][key] = drawn.share(column, hit & group, group, undefined="no case of this class")
                column += 1
        return told

    return Piece(compute, tell)


def _scored(
    predictions: pd.DataFrame, question: Question
) -> tuple[dict[str, dict[str, Cases]], dict[str, dict[str, Cases]], str]:
    """Return the cases with calibrated probabilities, those that are scored, and which these are."""
    plain = by_split(sorted_table(predictions, question), question)
    raw = raw_table(predictions, question)
    scored = plain if raw is None else by_split(raw, question)
    return plain, scored, "p" if raw is None or CALIBRATION in plain else "raw"


def _rule_of(target: str, asked: SetsAsked, shipped: Mapping[str, Mapping[str, Any]]) -> ShippedRule | None:
    if asked.shipped is not None:
        return asked.shipped.get(target)
    one = shipped.get(target, {})
    if "thresholds" not in one:
        return None
    return ShippedRule(one["coverage"], one["kind"], one["scored"], tuple(one["thresholds"]))


def _left_out(out: Cases, rule: ShippedRule, classes: Sequence[str]) -> NDArray[np.bool_] | str:
    """Return sets of out-of-fold cases by thresholds from the other folds, or why there are none."""
    sets = np.zeros(out.p.shape, dtype=np.bool_)
    for number in np.unique(out.fold).tolist():
        own = out.fold == number
        made = fit_shipped(taken(out, ~own), rule.coverage, classes)
        if "reason" in made:
            return f"Without the fold that is measured, {made['reason']}"
        sets[own] = held_classes(out.p[own], made["thresholds"])
    return sets
