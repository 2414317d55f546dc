"""From measurements to findings: a classifier a fold, calibrated on inner folds, and what drove each case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.evidence.agreement import agreement
from semeion.evidence.segmentation import weigh_segmentation
from semeion.learn.tabular import Fitted, fit_measurements
from semeion.measure.features import feature_definitions
from semeion.model.combine import calibrate
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
    """

    predicted: Predicted
    drivers: pd.DataFrame
    evidence: dict[str, Any]
    shipped: Fitted
    notes: list[str]


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
    pool = np.flatnonzero(fit.fold >= 0)
    joint = measured.joint[:, columns]
    frames: list[pd.DataFrame] = []
    drivers: list[pd.DataFrame] = []
    by_fold: dict[int, Decision] = {}
    kinds: list[str] = []
    weight = np.zeros(len(names))
    pooled, pooled_rows = [], []
    classes, task, rule = plan.target.classes, plan.target.task, plan.operating_point.rule
    for fold in range(fit.folds):
        held = fit.rows(fold)
        learn = pool[fit.fold[pool] != fold]
        x = _learned(measured, columns, fit, fold, learn)
        fitted = fit_measurements(
            x, y[learn], groups[learn], names, len(classes), seed=plan.seed + fold, kinds=plan.classifier.kinds
        )
        kinds.append(fitted.kind)
        member = TreeMember(Trees.model_validate(fitted.arrays))
        decision = by_fold[fold] = decide(y[learn], fitted.inner, task, classes, rule, "inner cases")
        raw = member.probabilities(joint[held])
        frames.append(_frame(plan, cohort, y, held, raw, decision, "oof", fold))
        drivers.append(drivers_of(member, joint[held], raw, _ids(cohort, held), plan, "oof"))
        weight += np.abs(member.contributions(joint[held])[1]).mean(axis=(0, 2))
        pooled.append(raw)
        pooled_rows.append(held)
    all_raw, all_rows = np.concatenate(pooled), np.concatenate(pooled_rows)
    shipped = fit_measurements(
        joint[pool], y[pool], groups[pool], names, len(classes), seed=plan.seed, kinds=plan.classifier.kinds
    )
    final = decide(y[all_rows], all_raw, task, classes, rule, "oof")
    test = np.flatnonzero(fit.fold < 0)
    if len(test):
        member = TreeMember(Trees.model_validate(shipped.arrays))
        raw = member.probabilities(joint[test])
        frames.append(_frame(plan, cohort, y, test, raw, final, "test", -1))
        drivers.append(drivers_of(member, joint[test], raw, _ids(cohort, test), plan, "test"))
    predicted = Predicted(pd.concat(frames, ignore_index=True), final, by_fold)
    order = [names[n] for n in np.argsort(-weight, kind="stable")]
    evidence = {
        "kind": plan.measurements.take.kind,
        "features": list(names),
        "importance": {names[n]: float(weight[n] / weight.sum()) for n in np.argsort(-weight, kind="stable")},
        "classifiers": {"by_fold": kinds, "shipped": shipped.kind, "losses": shipped.losses},
        "agreement": _agreement(plan, cohort, fit, measured, order),
        "masks": _masks(plan, measured),
    }
    return Diagnosed(predicted, pd.concat(drivers, ignore_index=True), evidence, shipped, _notes(plan, measured))


def _learned(measured: MeasuredCases, columns: list[int], fit: CrossFit, fold: int, learn: Rows) -> Floats:
    """Return the measurements that the classifier of `fold` learns from.

    Each learning case is taken from the one network that saw neither its fold nor the held-out one.
    """
    x = np.full((len(learn), len(columns)), np.nan)
    for place, row in enumerate(learn):
        (number,) = fit.without(fold, int(fit.fold[row]))
        x[place] = measured.alone[number][row, columns]
    return x


def _ids(cohort: Cohort, rows: Rows) -> list[str]:
    return [str(case) for case in cohort.table["case_id"].iloc[rows]]


def _frame(
    plan: MeasuredPlan, cohort: Cohort, y: Floats, rows: Rows, raw: Floats, decision: Decision, split: str, fold: int
) -> pd.DataFrame:
    cases = cohort.table.iloc[rows]
    base = pd.DataFrame(
        {
            "case_id": cases["case_id"].to_numpy(),
            "patient_id": cases["patient_id"].to_numpy(),
            "site": cases["site"].to_numpy(),
            "split": split,
            "fold": fold,
            "member": "ensemble",
        }
    )
    target = plan.target
    p = calibrate(raw, target.task, decision.temperature)
    return prediction_rows(base, target.name, target.task, target.classes, y[rows], raw, p)


def drivers_of(
    member: TreeMember, x: Floats, raw: Floats, cases: Sequence[str], plan: MeasuredPlan, split: str
) -> pd.DataFrame:
    """Return what pushed each case most towards its most probable class, the strongest first."""
    _, added = member.contributions(x)
    known = feature_definitions(plan.measurements.take)
    rows = []
    for case, values, one, p in zip(cases, x, added, raw, strict=True):
        towards = one[:, int(p.argmax())]
        for rank, column in enumerate(np.argsort(-towards, kind="stable")[:DRIVERS], start=1):
            name = member.trees.features[column]
            rows.append(
                {
                    "case_id": case,
                    "split": split,
                    "rank": rank,
                    "class": plan.target.classes[int(p.argmax())],
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
    known = feature_definitions(plan.measurements.take)
    first = [name for name in ("lv_ef_percent", "lv_edv_ml", "lv_esv_ml", "rv_ef_percent") if name in known]
    shown = list(dict.fromkeys([*first, *order[:SHOWN]]))
    found: dict[str, dict[str, Any]] = {}
    patients = cohort.table["patient_id"].to_numpy(dtype=object)
    for split, rows in (("oof", np.flatnonzero(fit.fold >= 0)), ("test", np.flatnonzero(fit.fold < 0))):
        if not len(rows):
            continue
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


def _notes(plan: MeasuredPlan, measured: MeasuredCases) -> list[str]:
    columns = [measured.features.index(name) for name in plan.measurements.features]
    missing = int((~np.isfinite(measured.joint[:, columns])).sum())
    honest = (
        "Findings rest on measurements of predicted masks alone. Every mask that is weighed or learned from was drawn "
        "by networks that saw neither its patient nor the held-out fold."
    )
    notes = [honest]
    if missing:
        notes.append(
            f"{missing} measurements could not be taken; the median of the learning cases stands in their place."
        )
    return notes
