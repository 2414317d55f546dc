"""From members' outputs to calibrated predictions and operating points, each from the cases it may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort, Task
from semeion.errors import InputError
from semeion.evidence.calibration.temperature import fit_temperature, fit_temperatures
from semeion.evidence.use.operating import OperatingPoints, choose_point, parse_rule
from semeion.model.combine import calibrate, combine_members
from semeion.plan.schema import MemberPlan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.folder import RunFolder
from semeion.study.learning import Trained, member_folder, run_graph
from semeion.study.rows import prediction_rows

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Temperature = float | list[float] | None


NO_POINT = "no operating point could be chosen"
"""Begins the remark of a decision whose point is 0.5 for want of a better one."""


@dataclass(frozen=True)
class Decision:
    """Calibration and operating point, and the cases both were fitted on."""

    temperature: Temperature
    point: float | dict[str, float] | None
    fitted_on: str
    n: int
    remarks: tuple[str, ...] = ()


@dataclass
class Predicted:
    """Every prediction of a run and what turns them into calls."""

    table: pd.DataFrame
    shipped: Decision
    by_fold: dict[int, Decision] = field(default_factory=dict)


class Predictor:
    """Predicts rows with the exported graphs of a finished run."""

    def __init__(self, run: RunFolder, trained: Trained, store: Store, cohort: Cohort, y: Values) -> None:
        self.run, self.trained, self.store, self.cohort, self.y = run, trained, store, cohort, y
        self.task = trained.plan.target.task
        self.rule = trained.plan.operating_point.rule

    def outputs(self, members: list[MemberPlan], rows: Rows) -> dict[str, Values]:
        """Return each member's output for `rows`, by its name."""
        threads = self.trained.plan.training.threads
        return {
            member.name: run_graph(member_folder(self.run, member) / "graph.onnx", self.task, self.store, rows, threads)
            for member in members
        }

    def combined(self, outputs: dict[str, Values]) -> Values:
        """Return the mean over members."""
        return combine_members(np.stack(list(outputs.values())), self.task)

    def decide(self, raw: Values, rows: Rows, fitted_on: str) -> Decision:
        """Fit calibration and operating point on the combined predictions `raw` of `rows`."""
        return decide(self.y[rows], raw, self.task, self.trained.plan.target.classes, self.rule, fitted_on)

    def frame(self, rows: Rows, raw: Values, decision: Decision, split: str, fold: int, member: str) -> pd.DataFrame:
        """Return ``predictions.parquet`` rows of one member (or the ensemble)."""
        plan = self.trained.plan.target
        cases = self.cohort.table.iloc[rows]
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
        p = calibrate(raw, self.task, decision.temperature)
        return prediction_rows(base, plan.name, self.task, plan.classes, self.y[rows], raw, p)


def decide(y: Values, raw: Values, task: Task, classes: list[str], rule: str, fitted_on: str) -> Decision:
    """Fit calibration and operating point.

    Parameters
    ----------
    y, raw
        Reference standard and combined predictions of the cases that decide, ``(cases,)`` and ``(cases, outputs)``.
    task, classes, rule
        Of the target, and of the operating point.
    fitted_on
        What those cases are, in words.
    """
    if task == "regression":
        return Decision(None, None, fitted_on, len(y))
    if task == "multilabel":
        fits = fit_temperatures(y, raw)
        values = [fit.value for fit in fits]
        p = calibrate(raw, task, values)
        known = ~np.isnan(y)
        remarks = [f"{name}: {fit.reason}" for name, fit in zip(classes, fits, strict=True) if fit.reason]
        points = {}
        for k, name in enumerate(classes):
            points[name], remark = point_or_half(y[known[:, k], k], p[known[:, k], k], rule)
            remarks += [f"{name}: {text}" for text in remark]
        return Decision(values, points, fitted_on, len(y), tuple(remarks))
    fit = fit_temperature(y, raw)
    remarks = [fit.reason] if fit.reason else []
    point = None
    if task == "binary":
        point, more = point_or_half(y, calibrate(raw, task, fit.value)[:, 1], rule)
        remarks += more
    return Decision(fit.value, point, fitted_on, len(y), tuple(remarks))


def point_or_half(y: Values, p: Values, rule: str) -> tuple[float, list[str]]:
    """Choose the point; where these cases allow none, take 0.5 and say so: learning is not thrown away."""
    parse_rule(rule)
    try:
        return choose_point(y, p, rule), []
    except InputError as error:
        return 0.5, [f"{NO_POINT} ({error.what}), so 0.5 stands"]


def predict_run(
    run: RunFolder, trained: Trained, store: Store, cohort: Cohort, y: Values, sides: list[Sides]
) -> Predicted:
    """Predict every case that a figure may use; held-out and test cases are read here, once.

    With folds: each fold's calibration and point come from its own inner validation rows; the shipped ones are refitted
    on all out-of-fold predictions. With a given split: both come from the validation cases.
    """
    predictor = Predictor(run, trained, store, cohort, y)
    members = trained.plan.members
    frames: list[pd.DataFrame] = []
    split = cohort.table["split"].to_numpy(dtype=object) if cohort.has_split else None
    by_fold: dict[int, Decision] = {}
    if trained.plan.validation.scheme == "given":
        rows = sides[0].validate
        outputs = {member.name: trained.validation[member.name] for member in members}
        raw = predictor.combined(outputs)
        shipped = predictor.decide(raw, rows, "val")
        frames += _frames(predictor, rows, outputs, raw, shipped, "val", -1)
    else:
        pooled: list[Values] = []
        pooled_rows: list[Rows] = []
        for side in sides:
            own = [member for member in members if member.fold == side.fold]
            inner = predictor.combined({member.name: trained.validation[member.name] for member in own})
            decision = by_fold[side.fold] = predictor.decide(inner, side.validate, "inner validation cases")
            outputs = predictor.outputs(own, side.held_out)
            raw = predictor.combined(outputs)
            frames += _frames(predictor, side.held_out, outputs, raw, decision, "oof", side.fold)
            pooled.append(raw)
            pooled_rows.append(side.held_out)
        shipped = predictor.decide(np.concatenate(pooled), np.concatenate(pooled_rows), "oof")
    if split is not None and (split == "test").any():
        rows = np.flatnonzero(split == "test")
        outputs = predictor.outputs(members, rows)
        frames += _frames(predictor, rows, outputs, predictor.combined(outputs), shipped, "test", -1)
    return Predicted(pd.concat(frames, ignore_index=True), shipped, by_fold)


def _frames(
    predictor: Predictor, rows: Rows, outputs: dict[str, Values], raw: Values, decision: Decision, split: str, fold: int
) -> list[pd.DataFrame]:
    frames = [predictor.frame(rows, raw, decision, split, fold, "ensemble")]
    frames += [predictor.frame(rows, value, decision, split, fold, name) for name, value in outputs.items()]
    return frames


def operating_points(predicted: Predicted, rule: str, task: str, classes: list[str]) -> OperatingPoints | None:
    """Return the points in the form that the evidence room takes."""
    if task == "binary":
        return OperatingPoints(
            rule,
            _number(predicted.shipped.point),
            {fold: _number(decision.point) for fold, decision in predicted.by_fold.items()},
        )
    if task == "multilabel":
        by_target = {
            name: OperatingPoints(
                rule,
                _of(predicted.shipped, name),
                {fold: _of(decision, name) for fold, decision in predicted.by_fold.items()},
            )
            for name in classes
        }
        return OperatingPoints(rule, by_target=by_target)
    return None


def _number(point: Any) -> float:
    return float(point)


def _of(decision: Decision, name: str) -> float:
    return float(decision.point[name])  # type: ignore[index]
