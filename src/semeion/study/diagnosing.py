"""From measurements to findings: a classifier a fold, calibrated on inner folds, and what drove each case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.errors import InputError
from semeion.evidence.masks.agreement import agreement
from semeion.evidence.masks.segmentation import weigh_segmentation
from semeion.learn.tabular import Fitted, fit_measurements
from semeion.measure.features import feature_definitions
from semeion.measure.pattern import Definition
from semeion.model.combine import calibrate, called
from semeion.model.manifest_parts import OperatingPoint
from semeion.model.measured_words import towards_class
from semeion.model.trees import TreeMember, Trees
from semeion.plan.crossfit import CrossFit
from semeion.plan.measure_schema import MeasuredPlan
from semeion.study.measuring import MeasuredCases
from semeion.study.predicting import Decision, Predicted, decide
from semeion.study.rows import prediction_rows

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
DRIVERS = 3
"""Measurements of a case that are named as what drove its finding."""
SHOWN = 12
"""Measurements whose agreement with the reference is stated first: those that the classifiers lean on most."""


@dataclass(frozen=True)
class Judged:
    """Cases that one classifier judged, and all that its verdict rests on.

    Attributes
    ----------
    split, fold
        ``oof`` and the held-out fold, or ``test`` and -1.
    rows, x, raw
        The cases, their measurements, and their probabilities before calibration.
    member, decision
        The classifier, and its calibration and operating point.
    inner_rows, inner
        Cases that it learned from, and what was said of each without its patient; none for test cases.
    """

    split: str
    fold: int
    rows: Rows
    x: Floats
    raw: Floats
    member: TreeMember
    decision: Decision
    inner_rows: Rows
    inner: Floats


@dataclass(frozen=True)
class Diagnosed:
    """What came of the measurements.

    Attributes
    ----------
    predicted
        Rows of ``predictions.parquet``, and calibrations and operating points.
    drivers
        A row a case and driving measurement: ``case_id split rank measurement title value unit added``.
    evidence
        What ``evidence.json`` says of masks, measurements and classifiers under ``measured``.
    shipped
        The classifier that learned from all cases but the test cases.
    notes
        Sentences for the report.
    judged
        The verdicts, one for each fold and one for test cases.
    """

    predicted: Predicted
    drivers: pd.DataFrame
    evidence: dict[str, Any]
    shipped: Fitted
    notes: list[str]
    judged: tuple[Judged, ...] = ()


def diagnose(
    plan: MeasuredPlan, cohort: Cohort, y: Floats, groups: Rows, fit: CrossFit, measured: MeasuredCases
) -> Diagnosed:
    """Classify every held-out case by measurements of masks that were drawn as it will be done in use.

    Parameters
    ----------
    plan
        As it was executed.
    cohort, y, groups
        Cases, their class index, and the number of each one's patient.
    fit
        Who is in which fold.
    measured
        Measurements of all cases.
    """
    names = plan.measurements.features
    columns = [measured.features.index(name) for name in names]
    joint = measured.joint[:, columns]
    # A case of which nothing could be measured gets no finding, as in use.
    judged = np.asarray(np.isfinite(joint).any(axis=1))
    pool = np.flatnonzero(fit.fold >= 0)
    frames: list[pd.DataFrame] = []
    drivers: list[pd.DataFrame] = []
    by_fold: dict[int, Decision] = {}
    verdicts: list[Judged] = []
    kinds: list[str] = []
    weight = np.zeros(len(names))
    pooled, pooled_rows = [], []
    classes, task, rule = plan.target.classes, plan.target.task, plan.operating_point.rule
    for fold in range(fit.folds):
        held = fit.rows(fold)
        held = held[judged[held]]
        learn = pool[fit.fold[pool] != fold]
        x = _learned(measured, columns, fit, fold, learn)
        known = np.isfinite(x).any(axis=1)
        x, learn = x[known], learn[known]
        fitted = fit_measurements(
            x, y[learn], groups[learn], names, len(classes), seed=plan.seed + fold, kinds=plan.classifier.kinds
        )
        kinds.append(fitted.kind)
        member = TreeMember(Trees.model_validate(fitted.arrays))
        decision = by_fold[fold] = decide(
            y[learn], fitted.inner, groups[learn], task, classes, rule, "inner cases", seed=plan.seed
        )
        raw = member.probabilities(joint[held])
        if not len(held):
            continue
        verdicts.append(Judged("oof", fold, held, joint[held], raw, member, decision, learn, fitted.inner))
        p = calibrate(raw, task, decision.maps)
        frames.append(frame_of(plan, cohort, y, held, raw, p, "oof", fold))
        drivers.append(drivers_of(member, joint[held], called_by(decision, raw, plan), ids(cohort, held), plan, "oof"))
        weight += _shares(member, joint[held])
        pooled.append(raw)
        pooled_rows.append(held)
    if not pooled:
        raise InputError(
            "nothing could be measured in any mask that the networks drew",
            where="measured/",
            fix="give training more time, and check that --structures names the masks' numbers",
        )
    all_raw, all_rows = np.concatenate(pooled), np.concatenate(pooled_rows)
    pool = pool[judged[pool]]
    shipped = fit_measurements(
        joint[pool], y[pool], groups[pool], names, len(classes), seed=plan.seed, kinds=plan.classifier.kinds
    )
    final = decide(y[all_rows], all_raw, groups[all_rows], task, classes, rule, "oof", seed=plan.seed)
    test = np.flatnonzero((fit.fold < 0) & judged)
    if len(test):
        member = TreeMember(Trees.model_validate(shipped.arrays))
        raw = member.probabilities(joint[test])
        none = Judged("test", -1, test, joint[test], raw, member, final, test[:0], raw[:0])
        verdicts.append(none)
        p = calibrate(raw, task, final.maps)
        frames.append(frame_of(plan, cohort, y, test, raw, p, "test", -1))
        drivers.append(drivers_of(member, joint[test], called_by(final, raw, plan), ids(cohort, test), plan, "test"))
    predicted = Predicted(pd.concat(frames, ignore_index=True), final, by_fold)
    order = np.argsort(-weight, kind="stable")
    unmeasured = {split: np.flatnonzero(rows & ~judged) for split, rows in _splits(fit).items()}
    evidence = {
        "kind": plan.measurements.take.kind,
        "features": list(names),
        "importance": {names[n]: float(weight[n] / (weight.sum() or 1.0)) for n in order},
        "titles": {names[n]: definitions_of(plan)[names[n]].title for n in order},
        "classifiers": {"by_fold": kinds, "shipped": shipped.kind, "losses": shipped.losses},
        "agreement": _agreement(plan, cohort, fit, measured, [names[n] for n in order]),
        "masks": _masks(plan, measured),
        "unmeasured": {split: ids(cohort, rows) for split, rows in unmeasured.items()},
    }
    return Diagnosed(
        predicted,
        pd.concat(drivers, ignore_index=True),
        evidence,
        shipped,
        _notes(joint[judged], unmeasured, measured.problems),
        tuple(verdicts),
    )


def _splits(fit: CrossFit) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which cases each split that has any holds."""
    parts = {"oof": fit.fold >= 0, "test": fit.fold < 0}
    return {split: rows for split, rows in parts.items() if rows.any()}


def _shares(member: TreeMember, x: Floats) -> Floats:
    """Return each measurement's share of what all of them added, over cases; comparable between kinds of trees."""
    added = np.abs(member.contributions(x)[1]).sum(axis=(0, 2))
    return np.asarray(added / (added.sum() or 1.0))


def called_by(decision: Decision, raw: Floats, plan: MeasuredPlan) -> Rows:
    """Return the class that each case is called, by the calibration and the point of a decision."""
    return called_at(decision, calibrate(raw, plan.target.task, decision.maps), plan)


def called_at(decision: Decision, p: Floats, plan: MeasuredPlan) -> Rows:
    """Return the class that each case is called by calibrated probabilities, at the point of a decision."""
    target = plan.target
    point = OperatingPoint(rule="argmax")
    if target.task == "binary":
        point = OperatingPoint(rule=plan.operating_point.rule, value=decision.at())
    return np.asarray(called(p, target.task, tuple(target.classes), target.positive, point), dtype=np.int64)


def _learned(measured: MeasuredCases, columns: list[int], fit: CrossFit, fold: int, learn: Rows) -> Floats:
    """Return the measurements that the classifier of `fold` learns from.

    Each learning case is taken from the one network that saw neither its fold nor the held-out one.
    """
    x = np.full((len(learn), len(columns)), np.nan)
    for place, row in enumerate(learn):
        (number,) = fit.without(fold, int(fit.fold[row]))
        x[place] = measured.alone[number][row, columns]
    return x


def ids(cohort: Cohort, rows: Rows) -> list[str]:
    """Return the case ids of rows."""
    return [str(case) for case in cohort.table["case_id"].iloc[rows]]


def frame_of(
    plan: MeasuredPlan,
    cohort: Cohort,
    y: Floats,
    rows: Rows,
    raw: Floats,
    p: Floats,
    split: str,
    fold: int,
    member: str = "ensemble",
) -> pd.DataFrame:
    """Return rows of ``predictions.parquet`` from probabilities before and after calibration."""
    cases = cohort.table.iloc[rows]
    base = pd.DataFrame(
        {
            "case_id": cases["case_id"].to_numpy(),
            "patient_id": cases["patient_id"].to_numpy(),
            "site": cases["site"].to_numpy(),
            "split": split,
            "fold": fold,
            "member": member,
        }
    )
    target = plan.target
    return prediction_rows(base, target.name, target.task, target.classes, y[rows], raw, p)


def definitions_of(plan: MeasuredPlan) -> dict[str, Definition]:
    """Return what each measurement of a plan is, intensities with the unit in which the networks' images are read."""
    return feature_definitions(plan.measurements.take, plan.segmentation.preparation.units)


def drivers_of(
    member: TreeMember, x: Floats, calls: Rows, cases: Sequence[str], plan: MeasuredPlan, split: str
) -> pd.DataFrame:
    """Return what pushed each case most towards the class that it is called, the strongest first.

    ``value`` is NaN where the measurement could not be taken, and ``added`` is then what its stand-in added.
    """
    pushed = towards_class(member, x, calls.tolist())
    known = definitions_of(plan)
    rows = []
    for case, values, towards, call in zip(cases, x, pushed, calls, strict=True):
        for rank, column in enumerate(np.argsort(-towards, kind="stable")[:DRIVERS], start=1):
            name = member.trees.features[column]
            rows.append(
                {
                    "case_id": case,
                    "split": split,
                    "rank": rank,
                    "class": plan.target.classes[call],
                    "measurement": name,
                    "title": known[name].title,
                    "value": float(values[column]),
                    "unit": known[name].unit,
                    "added": float(towards[column]),
                }
            )
    return pd.DataFrame(rows)


def _agreement(
    plan: MeasuredPlan, cohort: Cohort, fit: CrossFit, measured: MeasuredCases, order: list[str]
) -> dict[str, dict[str, Any]]:
    """Return how measurements of predicted masks agree with those of reference masks, out of fold and on test cases."""
    known = definitions_of(plan)
    first = [name for name in ("lv_ef_percent", "lv_edv_ml", "lv_esv_ml", "rv_ef_percent") if name in known]
    shown = list(dict.fromkeys([*first, *order[:SHOWN]]))
    found: dict[str, dict[str, Any]] = {}
    patients = cohort.table["patient_id"].to_numpy(dtype=object)
    for split, part in _splits(fit).items():
        rows = np.flatnonzero(part)
        found[split] = {
            name: {
                "title": known[name].title,
                "unit": known[name].unit,
                **agreement(
                    measured.joint[rows, measured.features.index(name)],
                    measured.reference[rows, measured.features.index(name)],
                    patients[rows],
                    seed=plan.seed,
                ),
            }
            for name in shown
        }
    return found


def _masks(plan: MeasuredPlan, measured: MeasuredCases) -> dict[str, Any]:
    """Return the figures of the predicted masks by split."""
    if not len(measured.overlap):
        return {}
    metrics: dict[str, Any] = weigh_segmentation(measured.overlap, plan.segmentation.target.classes, seed=plan.seed)[
        "metrics"
    ]
    return metrics


def _notes(x: Floats, unmeasured: dict[str, Rows], problems: Sequence[str]) -> list[str]:
    honest = (
        "Findings rest on measurements of predicted masks alone. Every mask that is weighed or learned from was drawn "
        "by networks that saw neither its patient nor the held-out fold."
    )
    notes = [honest]
    missing = int((~np.isfinite(x)).sum())
    if missing:
        notes.append(
            f"{missing} measurements could not be taken; the median of the learning cases stands in their place."
        )
    lost = np.concatenate(list(unmeasured.values()))
    if len(lost):
        why = sorted({problems[row] for row in lost} - {""}) or ["none of the measurements could be taken"]
        notes.append(
            f"{len(lost)} of {len(problems)} cases have no finding, as in use, because their masks could not be "
            f"measured ({'; '.join(why[:3])}). They count in no figure of the findings."
        )
    return notes
