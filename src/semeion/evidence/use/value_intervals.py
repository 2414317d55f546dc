"""Intervals around a measured value that hold the truth with a stated coverage, and how often they did.

The half-width is a quantile of absolute errors on cases that no choice was made on (conformal prediction): of a given
split those of the split ``calibration``, else out-of-fold ones. One half-width for all cases: it promises coverage of
patients on average, and nothing for those that are harder than others, which is why levels are measured too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from semeion.errors import InputError
from semeion.evidence.intervals.drawing import Checked, Drawn, Piece, draw_together, patient_codes
from semeion.evidence.intervals.weights import Weights, weighted_sums
from semeion.evidence.measuring import Drawing
from semeion.evidence.question import Question
from semeion.evidence.table import UNWEIGHED, Cases
from semeion.evidence.use.calibrating import by_split, levels_of, of_folds, raw_table, sorted_table
from semeion.evidence.use.conformal import expected_coverage
from semeion.evidence.use.coverage import known_levels
from semeion.evidence.use.sets import CALIBRATION, NOBODY, SetsAsked

Array = NDArray[np.float64]
_WHERE = "intervals of a measured value"
NO_CASE = (
    "No case calibrates intervals: the table has neither rows of the split calibration, which chose nothing, nor "
    "out-of-fold predictions."
)
_CHOSE = "Validation cases are there to choose by, so the coverage of intervals is not measured on them."
_SPLIT = "split conformal: one half-width from calibration cases that served nothing else"
_FOLDS = "one half-width from the errors of out-of-fold predictions"
_LEFT_OUT = "each fold left out in turn: its half-width from the out-of-fold errors of the other folds"
_OWN = "the half-width that the model ships with"
_PROMISE_SPLIT = (
    "The interval holds the truth of every case of a new patient with a probability of at least {coverage:g}, if that "
    "patient is drawn as the calibration patients were."
)
_PROMISE_FOLDS = (
    "About {coverage:g} of new patients have the truth of every case in their intervals, if they are drawn as the "
    "out-of-fold patients were; nothing is promised at the worst, since each error is of one fold's model and what "
    "ships is their mean."
)
_PROMISE_LEFT_OUT = (
    "None for this measurement, which describes the procedure: the models behind the half-widths learned from the fold "
    "that is left out."
)
_PROMISE_OWN = "None: these cases are of another source than those that calibrated."
_PROMISE_CROSS = (
    "About {coverage:g} of new patients have the truth of every case in such intervals; at the worst {worst:.3g}, if "
    "they are drawn as the out-of-fold patients were."
)


@dataclass(frozen=True)
class IntervalRule:
    """An interval is the value less and plus `half_width`, in the unit of the target, from so many patients."""

    coverage: float
    half_width: float
    n_patients: int


def fit_interval(y: ArrayLike, value: ArrayLike, patient: ArrayLike, *, coverage: float = 0.9) -> IntervalRule:
    """Return the half-width of intervals with a stated coverage (split conformal).

    Parameters
    ----------
    y, value
        Measured and predicted value ``(cases,)``, of cases that served nothing else.
    patient
        Whose each case is. A patient counts once, with its largest error, so that all cases of a new one are held at
        once: cases of one patient are not exchangeable with those of others.
    coverage
        Strictly between 0 and 1.

    Raises
    ------
    InputError
        For arrays that do not fit or are not finite, and when patients are so few that no finite half-width keeps the
        promise: ``ceil((n + 1) * coverage) > n``.

    Notes
    -----
    The half-width is the ``ceil((n + 1) * coverage)``-th smallest error of n patients (Vovk, Gammerman and Shafer 2005;
    Lei et al., JASA 113:1094, 2018).
    """
    errors = _errors(y, value, patient, coverage)
    rank = math.ceil((len(errors) + 1) * coverage - 1e-9)
    if rank > len(errors):
        raise InputError(_too_few(len(errors), coverage), where=_WHERE, fix="set more patients aside, or ask for less")
    return IntervalRule(coverage, float(np.sort(errors)[rank - 1]), len(errors))


def cross_intervals(
    y: ArrayLike,
    value: ArrayLike,
    patient: ArrayLike,
    fold: ArrayLike,
    new: Mapping[int, ArrayLike],
    *,
    coverage: float = 0.9,
) -> tuple[Array, Array, float]:
    """Return lower and upper ends of new cases by the models of all folds (CV+), and the coverage at the worst.

    Parameters
    ----------
    y, value, patient
        Measured value, out-of-fold prediction and patient of the cases that were trained on.
    fold
        The fold that held each case out; one for all cases of a patient.
    new
        By fold: predictions of the new cases by the model that did not see the fold, ``(new cases,)``.
    coverage
        As in :func:`fit_interval`; each patient has its largest error.

    Returns
    -------
    tuple
        With ``R`` the error of a patient and ``m`` what the model that did not see it says of the new case: the
        ``floor((n + 1) * (1 - coverage))``-th smallest ``m - R`` and the ``ceil((n + 1) * coverage)``-th smallest ``m +
        R``. With ``alpha = 1 - coverage`` the coverage is at least ``1 - 2 alpha - min(2 (1 - 1/K) / (n/K + 1), (1 -
        K/n) / (K + 1))`` for K folds of equally many patients, whatever the model, and near ``1 - alpha`` for a stable
        one.

    Raises
    ------
    InputError
        As :func:`fit_interval`; and when the folds differ from those of `new`.

    Notes
    -----
    CV+ and its bound: Barber, Candes, Ramdas and Tibshirani, Ann Stat 49:486, 2021 (theorem 4).
    """
    errors, of = _errors(y, value, patient, coverage), np.asarray(fold)
    codes = np.unique(np.asarray(patient), return_inverse=True)[1].reshape(-1)
    held = of[np.unique(codes, return_index=True)[1]]
    if (held[codes] != of).any():
        raise InputError("a patient is in two folds", where=_WHERE, fix="hold a patient's cases out together")
    if set(np.unique(of).tolist()) != set(new):
        raise InputError("the folds differ from the models", where=_WHERE, fix="give one model for each fold")
    n, k = len(errors), len(new)
    rank = math.ceil((n + 1) * coverage - 1e-9)
    if rank > n:
        raise InputError(_too_few(n, coverage), where=_WHERE, fix="bring more patients, or ask for less coverage")
    said = np.stack([np.asarray(new[int(number)], dtype=np.float64) for number in held])
    low = np.partition(said - errors[:, None], n - rank, axis=0)[n - rank]
    high = np.partition(said + errors[:, None], rank - 1, axis=0)[rank - 1]
    slack = min(2 * (1 - 1 / k) / (n / k + 1), (1 - k / n) / (k + 1) if n >= k else 1.0)
    return low, high, max(0.0, 1 - 2 * (1 - coverage) - slack)


def shipped_interval(predictions: pd.DataFrame, question: Question, asked: SetsAsked | None) -> dict[str, Any] | None:
    """Return the interval that a model ships with, as the evidence states it; None where none was asked for.

    ``{coverage, half_width, method, split, n, n_patients, promise}``, or ``{coverage, reason}`` where none can be
    made: ``half_width`` is then null.
    """
    if question.task != "regression" or asked is None:
        return None
    if asked.half_width is not None:
        return {"coverage": asked.coverage, "half_width": asked.half_width, "method": _OWN}
    plain = by_split(sorted_table(predictions, question), question)
    own = {split: each[question.target] for split, each in plain.items() if question.target in each}
    cases = own.get(CALIBRATION, own.get("oof"))
    none: dict[str, Any] = {"coverage": asked.coverage, "half_width": None}
    if cases is None:
        return {**none, "reason": _why_not(asked)}
    if cases.split == "oof" and asked.folds:
        return {**none, "reason": asked.folds}
    try:
        rule = fit_interval(cases.y, cases.p, cases.patient, coverage=asked.coverage)
    except InputError as error:
        return {**none, "reason": f"{error.what}."}
    split = cases.split == CALIBRATION
    return {
        "coverage": asked.coverage,
        "half_width": rule.half_width,
        "method": _SPLIT if split else _FOLDS,
        "split": cases.split,
        "n": len(cases),
        "n_patients": rule.n_patients,
        "promise": (_PROMISE_SPLIT if split else _PROMISE_FOLDS).format(coverage=asked.coverage),
    }


def weigh_intervals(
    predictions: pd.DataFrame,
    question: Question,
    asked: SetsAsked,
    drawing: Drawing,
    strata: pd.DataFrame | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the account of the intervals of a measured value in each split but ``train`` and ``calibration``.

    Parameters
    ----------
    predictions
        As :func:`semeion.evidence.weigh.weigh` takes them.
    question
        A measured value.
    asked, drawing
        What is promised, by which half-width where a model brings its own, and how patients are drawn.
    strata
        ``case_id`` and the columns in whose levels coverage is measured.

    Returns
    -------
    dict
        By split: ``stated`` (the coverage), ``method``, ``promise``, ``half_width`` (of out-of-fold cases
        ``half_widths`` by fold), ``calibration`` (``split``, ``n``, ``n_patients``), ``coverage`` (share of cases),
        ``patient_coverage`` (of patients with every case held, what is promised), ``width`` (mean, in the unit of the
        target), ``expected`` (its range in 95 of 100 repetitions, of a split conformal rule), ``groups.<column>.<level>
        = {coverage, width}``; ``cross``, the same of CV+ with ``worst``, where the models of the folds said each what
        they think; ``reason`` where there are none, or no figures.

    Raises
    ------
    InputError
        When the predictions cannot be used, or the coverage is not between 0 and 1.
    """
    if not 0 < asked.coverage < 1:
        raise InputError(f"a coverage of {asked.coverage}", where=_WHERE, fix="give a number below 1, such as 0.9")
    table = sorted_table(predictions, question)
    own = {split: each[question.target] for split, each in by_split(table, question).items()}
    patients = {str(name): set(rows["patient_id"]) for name, rows in table.groupby("split")}
    found: dict[str, dict[str, Any]] = {}
    for split, cases in own.items():
        if split in UNWEIGHED:
            continue
        told: dict[str, Any] = {"stated": asked.coverage}
        shared = len(patients[split] & patients.get(CALIBRATION, set()))
        calibrating = own.get(CALIBRATION, own.get("oof"))
        if split == "val":
            found[split] = {**told, "reason": _CHOSE}
        elif asked.half_width is not None:
            facts = {"method": _OWN, "half_width": asked.half_width, "promise": _PROMISE_OWN}
            found[split] = told | facts | _around(cases, np.full(len(cases), asked.half_width), strata, drawing)
        elif calibrating is None:
            found[split] = {**told, "reason": _why_not(asked)}
        elif shared:
            found[split] = {**told, "reason": f"{shared} patients calibrate intervals and are among these."}
        else:
            try:
                found[split] = told | _made(cases, calibrating, predictions, question, asked, strata, drawing)
            except InputError as error:
                found[split] = {**told, "reason": f"{error.what}."}
    return found


def _made(
    cases: Cases,
    calibrating: Cases,
    predictions: pd.DataFrame,
    question: Question,
    asked: SetsAsked,
    strata: pd.DataFrame | None,
    drawing: Drawing,
) -> dict[str, Any]:
    """Make the intervals of a split, measure them, and say how."""
    by = {"split": calibrating.split, "n": len(calibrating), "n_patients": len(np.unique(calibrating.patient))}
    if cases.split == "oof" and calibrating.split == "oof":
        widths, half = {}, np.zeros(len(cases))
        for number in np.unique(cases.fold).tolist():
            rest = cases.fold != number
            rule = fit_interval(cases.y[rest], cases.p[rest], cases.patient[rest], coverage=asked.coverage)
            widths[str(number)] = half[~rest] = rule.half_width
        facts: dict[str, Any] = {"method": _LEFT_OUT, "promise": _PROMISE_LEFT_OUT, "half_widths": widths}
        return {**facts, "calibration": by, **_around(cases, half, strata, drawing)}
    if calibrating.split == "oof" and asked.folds:
        return {"reason": asked.folds}
    rule = fit_interval(calibrating.y, calibrating.p, calibrating.patient, coverage=asked.coverage)
    split = calibrating.split == CALIBRATION
    facts = {
        "method": _SPLIT if split else _FOLDS,
        "promise": (_PROMISE_SPLIT if split else _PROMISE_FOLDS).format(coverage=asked.coverage),
        "half_width": rule.half_width,
        "calibration": by,
    }
    facts |= _around(cases, np.full(len(cases), rule.half_width), strata, drawing)
    if split:
        low, high = expected_coverage(rule.n_patients, len(np.unique(cases.patient)), asked.coverage)
        return {**facts, "expected": {"low": low, "high": high}}
    new = of_folds(raw_table(predictions, question), calibrating, cases, ["y_pred"])
    if isinstance(new, str):
        return facts
    flat = {number: values[:, 0] for number, values in new.items()}
    low_ends, high_ends, worst = cross_intervals(
        calibrating.y, calibrating.p, calibrating.patient, calibrating.fold, flat, coverage=asked.coverage
    )
    told = _measured(cases, low_ends, high_ends, None, drawing)
    promise = _PROMISE_CROSS.format(coverage=asked.coverage, worst=worst)
    return {**facts, "cross": {"promise": promise, "worst": worst, **told}}


def _around(cases: Cases, half: Array, strata: pd.DataFrame | None, drawing: Drawing) -> dict[str, Any]:
    return _measured(cases, cases.p - half, cases.p + half, strata, drawing)


def _measured(cases: Cases, low: Array, high: Array, strata: pd.DataFrame | None, drawing: Drawing) -> dict[str, Any]:
    """Return how often the truth was within, and how wide the intervals are, with intervals over patients."""
    codes, count = patient_codes(cases.patient, len(cases), _WHERE)
    # The truth is no class here, and nothing below reads it.
    checked = Checked(np.zeros(len(cases), dtype=np.int64), np.zeros(len(cases)), codes, count)
    held = (cases.y >= low) & (cases.y <= high)
    groups = {name: known_levels(name, values, len(cases)) for name, values in levels_of(cases, strata).items()}
    piece = _piece(checked, held, high - low, groups)
    told = draw_together([piece], checked, resamples=drawing.resamples, seed=drawing.seed, jobs=drawing.jobs)
    return told[0]


def _piece(
    cases: Checked, held: NDArray[np.bool_], width: Array, groups: Mapping[str, Mapping[str, NDArray[np.bool_]]]
) -> Piece:
    """Return the account of coverage and width: every figure is a ratio of sums over cases."""
    everything = np.ones(len(cases), dtype=np.bool_)
    first = np.zeros(len(cases), dtype=np.bool_)
    first[np.unique(cases.patient, return_index=True)[1]] = True
    missed = np.bincount(cases.patient, weights=~held, minlength=cases.n_patients)[cases.patient]
    ratios: list[tuple[NDArray[Any], NDArray[np.bool_]]] = [(held, everything), (missed == 0, first)]
    parts = [everything, *(part for levels in groups.values() for part in levels.values())]
    ratios += [(held, part) for part in parts[1:]]
    columns = np.column_stack([one for value, among in ratios for one in (value * among, among)]).astype(np.float64)

    def compute(weights: Weights) -> Array:
        sums = weighted_sums(weights, columns)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(sums[:, ::2] / sums[:, 1::2])

    def tell(drawn: Drawn) -> dict[str, Any]:
        how = "share of patients whose every case is held"
        told: dict[str, Any] = {
            "coverage": drawn.share(0, *ratios[0]),
            "patient_coverage": drawn.share(1, *ratios[1], how=how),
            "width": float(width.mean()),
            "groups": {},
        }
        column = 2
        for name, levels in groups.items():
            told["groups"][name] = {}
            for level, among in levels.items():
                share = drawn.share(column, held, among, undefined="no case")
                told["groups"][name][level] = {"coverage": share, "width": float(width[among].mean())}
                column += 1
        return told

    return Piece(compute, tell)


def _errors(y: ArrayLike, value: ArrayLike, patient: ArrayLike, coverage: float) -> Array:
    """Return the largest absolute error of each patient, in the order of the patients."""
    truth, said = np.asarray(y, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != said.shape or not len(truth):
        raise InputError(
            f"{truth.shape} measured and {said.shape} predicted values", where=_WHERE, fix="give one of each a case"
        )
    if not (np.isfinite(truth).all() and np.isfinite(said).all()):
        raise InputError("a value is not a finite number", where=_WHERE, fix="leave out cases without a value")
    if not 0 < coverage < 1:
        raise InputError(f"a coverage of {coverage}", where=_WHERE, fix="give a number between 0 and 1, such as 0.9")
    codes, count = patient_codes(patient, len(truth), _WHERE)
    largest = np.zeros(count)
    np.maximum.at(largest, codes, np.abs(truth - said))
    return largest


def _too_few(n: int, coverage: float) -> str:
    least = math.ceil(coverage / (1 - coverage) - 1e-9)
    return f"{n} patients calibrate intervals, and a stated coverage of {coverage:g} takes {least}"


def _why_not(asked: SetsAsked) -> str:
    return NO_CASE if asked.reason == NOBODY else asked.reason
