"""From members' outputs to calibrated predictions and operating points, each from the cases it may see."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.calibration.maps import Map
from semeion.cohort.cohort import Cohort, Task
from semeion.errors import InputError
from semeion.evidence.calibration.choice import Choice, choose_by_size
from semeion.evidence.table import SHARE
from semeion.evidence.use.operating import OperatingPoints, choose_point, parse_rule
from semeion.model.combine import calibrate, combine_members
from semeion.plan.schema import MemberPlan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.folder import RunFolder
from semeion.study.learning import Trained, as_weights
from semeion.study.members.frozen import Banks
from semeion.study.members.outputs import member_outputs
from semeion.study.rows import prediction_rows

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Maps = Map | list[Map] | None

NO_POINT = "no operating point could be chosen"
"""Begins the remark of a decision whose point is 0.5 for want of a better one."""


@dataclass(frozen=True)
class Decision:
    """Calibration and operating point, and the cases both were fitted on.

    Attributes
    ----------
    maps
        What calibrates the probabilities: one map, or one a label of a multi-label target.
    point
        The operating point, or that of each label.
    fitted_on, n
        Which cases chose, and how many.
    remarks
        What a reader should be warned of.
    choices
        How the maps were chosen, and the cases that chose: of the one question, or of each label.
    """

    maps: Maps
    point: float | dict[str, float] | None
    fitted_on: str
    n: int
    remarks: tuple[str, ...] = ()
    choices: tuple[Chosen, ...] = field(default=(), compare=False)

    def at(self, label: str | None = None) -> float:
        """Return the operating point of a binary target, or of a label of a multi-label one.

        Raises
        ------
        ValueError
            When the target has no such point.
        """
        point = self.point.get(label or "") if isinstance(self.point, dict) else self.point
        if point is None:
            raise ValueError(f"no operating point{f' of {label}' if label else ''} was chosen")
        return float(point)


@dataclass(frozen=True)
class Chosen:
    """A chosen map, and the cases that chose it.

    Attributes
    ----------
    name
        Of the label; empty where the target is one question.
    choice
        The map and what was compared.
    y, raw, patient
        Class index, uncalibrated probabilities and number of the patient of the cases that chose.
    """

    name: str
    choice: Choice
    y: Rows
    raw: Values
    patient: Rows


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
        self.banks = Banks(run, trained.plan, store)
        self.task = trained.plan.target.task
        self.patient = pd.factorize(cohort.table["patient_id"])[0].astype(np.int64)
        self.rule = trained.plan.operating_point.rule

    def outputs(self, members: list[MemberPlan], rows: Rows) -> dict[str, Values]:
        """Return each member's output for `rows`, by its name."""
        plan = self.trained.plan
        return {member.name: member_outputs(self.run, plan, member, self.store, self.banks, rows) for member in members}

    def combined(self, outputs: dict[str, Values]) -> Values:
        """Return the mean over members, weighted by their shares; the same sum as the shipped model's."""
        shares = self.trained.shares(list(outputs))
        return combine_members(np.stack([outputs[name] for name in shares]), self.task, as_weights(shares))

    def decide(self, raw: Values, rows: Rows, fitted_on: str) -> Decision:
        """Fit calibration and operating point on the combined predictions `raw` of `rows`."""
        plan = self.trained.plan
        return decide(
            self.y[rows], raw, self.patient[rows], self.task, plan.target.classes, self.rule, fitted_on, seed=plan.seed
        )

    def frame(
        self, rows: Rows, raw: Values, decision: Decision, split: str, fold: int, member: str, share: float = np.nan
    ) -> pd.DataFrame:
        """Return ``predictions.parquet`` rows of one member with its share, or of the ensemble, which has none."""
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
                SHARE: share,
            }
        )
        p = calibrate(raw, self.task, decision.maps)
        return prediction_rows(base, plan.name, self.task, plan.classes, self.y[rows], raw, p)


def decide(
    y: Values, raw: Values, patient: Rows, task: Task, classes: list[str], rule: str, fitted_on: str, *, seed: int
) -> Decision:
    """Choose and fit calibration and operating point; the point on probabilities that are calibrated.

    Parameters
    ----------
    y, raw, patient
        Reference standard, combined predictions and number of the patient of the cases that decide, ``(cases,)``,
        ``(cases, outputs)`` and ``(cases,)``.
    task, classes, rule
        Of the target, and of the operating point.
    fitted_on
        What those cases are, in words.
    seed
        Of the cross-validation that chooses among maps.
    """
    if task == "regression":
        return Decision(None, None, fitted_on, len(y))
    if task == "multilabel":
        chosen = [_chosen(name, y[:, k], raw[:, k], patient, seed) for k, name in enumerate(classes)]
        maps = [one.choice.chosen for one in chosen]
        p = calibrate(raw, task, maps)
        known = ~np.isnan(y)
        remarks = [f"{one.name}: {one.choice.warning}" for one in chosen if one.choice.warning]
        points = {}
        for k, name in enumerate(classes):
            points[name], remark = point_or_half(y[known[:, k], k], p[known[:, k], k], rule)
            remarks += [f"{name}: {text}" for text in remark]
        return Decision(maps, points, fitted_on, len(y), tuple(remarks), tuple(chosen))
    one = _chosen("", y, raw[:, 1] if task == "binary" else raw, patient, seed)
    remarks = [one.choice.warning] if one.choice.warning else []
    point = None
    if task == "binary":
        point, more = point_or_half(y, calibrate(raw, task, one.choice.chosen)[:, 1], rule)
        remarks += more
    return Decision(one.choice.chosen, point, fitted_on, len(y), tuple(remarks), (one,))


def _chosen(name: str, y: Values, raw: Values, patient: Rows, seed: int) -> Chosen:
    """Choose a map on the cases whose label is known."""
    known = ~np.isnan(y)
    truth, values, whose = y[known].astype(np.int64), raw[known], patient[known]
    return Chosen(name, choose_by_size(truth, values, whose, seed=seed), truth, values, whose)


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
    on all out-of-fold predictions. With a given split: both come from the validation cases but those that are set aside
    to calibrate sets.
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
        if len(sides[0].calibrate):
            # Read like test cases: they chose nothing, and calibrate sets of classes alone.
            rows = sides[0].calibrate
            outputs = predictor.outputs(members, rows)
            frames += _frames(predictor, rows, outputs, predictor.combined(outputs), shipped, "calibration", -1)
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
    shares = predictor.trained.shares(list(outputs))
    frames += [
        predictor.frame(rows, value, decision, split, fold, name, shares.get(name, 0.0))
        for name, value in outputs.items()
    ]
    return frames


def operating_points(predicted: Predicted, rule: str, task: str, classes: list[str]) -> OperatingPoints | None:
    """Return the points in the form that the evidence room takes."""
    if task == "binary":
        return OperatingPoints(
            rule,
            predicted.shipped.at(),
            {fold: decision.at() for fold, decision in predicted.by_fold.items()},
        )
    if task == "multilabel":
        by_target = {
            name: OperatingPoints(
                rule,
                predicted.shipped.at(name),
                {fold: decision.at(name) for fold, decision in predicted.by_fold.items()},
            )
            for name in classes
        }
        return OperatingPoints(rule, by_target=by_target)
    return None
