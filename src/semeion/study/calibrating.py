"""What the evidence says of calibration: which maps were tried, which one ships and why, what it changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.calibration.maps import Identity, Map, Temperature
from semeion.errors import InputError
from semeion.evidence.calibration.choice import compare_calibration
from semeion.evidence.question import ABSENT, PRESENT, Question
from semeion.evidence.table import ENSEMBLE
from semeion.naming import encode_class
from semeion.study.predicting import Chosen, Decision, Predicted

Values = npt.NDArray[np.float64]

MOST_RESAMPLES, LEAST_RESAMPLES = 2000, 200
"""Draws of patients for the intervals before and after: those of the headline, fewer of many cases, then none."""
WORK = 2_000_000
"""Cases times draws that are spent on one set of cases."""
TOO_MANY = "no interval: with so many cases it would be narrow, and take long"
SHOWN = ("test", "oof")
"""Splits whose cases are compared before and after."""


def calibration_json(predicted: Predicted, question: Question, *, seed: int = 0) -> dict[str, Any] | None:
    """Return the calibration as the evidence states it. Nothing in it depends on held-out or test cases.

    Parameters
    ----------
    predicted
        The predictions, and the decisions with the cases that made them.
    question
        The target.
    seed
        Of the bootstrap.

    Returns
    -------
    dict or None
        As :func:`decided_calibration`, and ``validation``: of the cases that chose, each by a map that was fitted
        without it, target to ``{before, after, difference}`` or ``{reason}``. None for a measured value.
    """
    if question.task == "regression":
        return None
    chosen = {one.name or question.target: one for one in predicted.shipped.choices}
    labels = max(1, len(question.targets))
    compared = {name: _compared_on_choosing(one, labels, seed) for name, one in chosen.items()}
    return {**decided_calibration(predicted.shipped, predicted.by_fold), "validation": compared}


def calibrated_json(predicted: Predicted, question: Question, *, seed: int = 0) -> dict[str, Any]:
    """Return what calibration did to cases that did not choose it: ``raw_`` against ``p_`` of the ensemble.

    Returns
    -------
    dict
        Split (``oof``, ``test``) and target to ``{before, after, difference}`` or ``{reason}``; empty for a measured
        value.
    """
    if question.task == "regression":
        return {}
    compared: dict[str, Any] = {}
    for split in SHOWN:
        found = {name: _compared_in(predicted.table, split, name, question, seed) for name in question.targets}
        if known := {name: told for name, told in found.items() if told is not None}:
            compared[split] = known
    return compared


def decided_calibration(shipped: Decision, by_fold: dict[int, Decision]) -> dict[str, Any]:
    """Return what ships and how it was chosen, and what each fold has instead.

    Returns
    -------
    dict
        ``fitted_on n by_fold``, and of the one question ``method map tried folds reason n_patients``, with ``value``
        where it is a temperature; of several labels ``method`` ``by label`` and that under ``by_target``.
    """
    common = {"fitted_on": shipped.fitted_on, "n": shipped.n}
    if isinstance(shipped.maps, list):
        names = [one.name for one in shipped.choices]
        of = {one.name: _chosen_json(one.choice.chosen, one) for one in shipped.choices}
        folds = {
            str(fold): {name: by.to_json() for name, by in zip(names, _several(decision), strict=True)}
            for fold, decision in by_fold.items()
        }
        return {"method": "by label", "by_target": of, **common, "by_fold": folds}
    one = shipped.choices[0] if shipped.choices else None
    folds = {str(fold): _fold_json(decision) for fold, decision in by_fold.items()}
    return {**_chosen_json(_single(shipped), one), **common, "by_fold": folds}


def manifest_calibration(calibration: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the calibration of the evidence as the manifest states it: as temperatures where they are all there is.

    Earlier versions read temperatures alone.
    """
    if calibration is None:
        return None
    if "by_target" in calibration:
        maps = {name: told["map"] for name, told in calibration["by_target"].items()}
        warm = {name: _temperature_of(by) for name, by in maps.items()}
        if None in warm.values():
            return {"method": "map", "maps": maps}
        return {"method": "temperature", "by_target": warm}
    value = _temperature_of(calibration["map"])
    if value is None:
        return {"method": "map", "map": calibration["map"]}
    return {"method": "temperature", "value": value}


def _temperature_of(written: dict[str, Any]) -> float | None:
    """Return the temperature that does what a written map does, None where there is none."""
    if written["kind"] == Identity.kind:
        return 1.0
    return float(written["value"]) if written["kind"] == Temperature.kind else None


def _chosen_json(by: Map, one: Chosen | None) -> dict[str, Any]:
    told: dict[str, Any] = {"method": by.kind, "map": by.to_json()}
    if isinstance(by, Temperature):
        told["value"] = by.value
    if one is not None:
        choice = one.choice
        told |= {"tried": [dict(each) for each in choice.candidates], "folds": choice.folds, "reason": choice.reason}
        told |= {"n": choice.n, "n_patients": choice.n_patients}
    return told


def _fold_json(decision: Decision) -> dict[str, Any]:
    reason = decision.choices[0].choice.reason if decision.choices else ""
    return {"map": _single(decision).to_json(), "n": decision.n, "reason": reason}


def _single(decision: Decision) -> Map:
    return Identity() if decision.maps is None or isinstance(decision.maps, list) else decision.maps


def _several(decision: Decision) -> list[Map]:
    return decision.maps if isinstance(decision.maps, list) else []


def _compared_on_choosing(one: Chosen, labels: int, seed: int) -> dict[str, Any]:
    if not one.choice.folds:
        return {"reason": f"not compared, since no case was held out ({one.choice.reason})"}
    return _compared(one.y, one.raw, one.choice.held_out, one.patient, labels, seed)


def _compared_in(table: pd.DataFrame, split: str, target: str, question: Question, seed: int) -> dict[str, Any] | None:
    """Return the comparison of the ensemble's ``raw_`` and ``p_`` in a split; None where it has no such case."""
    chosen = (table["split"] == split) & (table["member"] == ENSEMBLE) & (table["target"] == target)
    rows = table[chosen & table["y_true"].notna()]
    if len(rows) == 0:
        return None
    names = (ABSENT, PRESENT) if question.task == "multilabel" else question.classes
    y = rows["y_true"].map({name: code for code, name in enumerate(names)}).to_numpy(np.int64)
    raw, p = (rows[[f"{what}_{encode_class(name)}" for name in names]].to_numpy(np.float64) for what in ("raw", "p"))
    if len(names) == 2:
        raw, p = raw[:, 1], p[:, 1]
    return _compared(y, raw, p, rows["patient_id"].to_numpy(object), len(question.targets), seed)


def _compared(y: Any, before: Values, after: Values, patient: Any, labels: int, seed: int) -> dict[str, Any]:
    """Compare on as many draws as the number of cases allows in a few seconds."""
    resamples = min(MOST_RESAMPLES, WORK // max(1, len(y) * labels))
    drawn = resamples if resamples >= LEAST_RESAMPLES else 1
    try:
        told = compare_calibration(y, before, after, patient, resamples=drawn, seed=seed)
    except InputError as error:
        return {"reason": error.what}
    if drawn == 1:
        for part in told.values():
            for entry in part.values():
                why = TOO_MANY if entry["value"] is not None else entry.get("reason", "")
                entry |= {"low": None, "high": None, "method": "as defined", "reason": why}
    return told
