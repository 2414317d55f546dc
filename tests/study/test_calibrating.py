"""What the evidence says of calibration: the map that ships, why, and figures before and after."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss

from semeion.calibration.maps import Identity, Isotonic, Platt, Temperature
from semeion.evidence.calibration.choice import choose_by_size
from semeion.evidence.question import Question
from semeion.model.combine import calibrate
from semeion.model.manifest_parts import Calibration
from semeion.study import calibrating
from semeion.study.calibrating import calibrated_json, calibration_json, manifest_calibration
from semeion.study.predicting import Decision, Predicted, decide
from semeion.study.rows import prediction_rows

N = 300
BINARY = Question("finding", "binary", ("no", "yes"), "yes")
LABELS = Question("findings", "multilabel", ("edema", "nodule"), None)
GRADES = Question("grade", "multiclass", ("a", "b", "c"), None)


def answers(question: Question, n: int = N, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and probabilities that are too extreme and too high."""
    rng = np.random.default_rng(seed)
    if question.task == "multiclass":
        z = rng.normal(size=(n, 3))
        true = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        y = (rng.random((n, 1)) > np.cumsum(true, axis=1)).sum(axis=1).astype(float)
        raw = np.exp(3 * z)
        return y, raw / raw.sum(axis=1, keepdims=True)
    z = rng.normal(size=(n, 2), scale=2)
    y = (rng.random((n, 2)) < 1 / (1 + np.exp(-0.5 * z + 1))).astype(float)
    p = 1 / (1 + np.exp(-z))
    if question.task == "multilabel":
        y[:20, 1] = np.nan
        return y, p
    return y[:, 0], np.column_stack([1 - p[:, 0], p[:, 0]])


def predicted(question: Question, *, folds: bool = False) -> Predicted:
    """Return a run's predictions: cases that choose, and test cases."""
    task, classes = question.task, list(question.classes)
    frames = []

    def decided(y: np.ndarray, raw: np.ndarray, on: str) -> Decision:
        return decide(y, raw, np.arange(len(y)), task, classes, "youden", on, seed=0)

    def add(split: str, fold: int, y: np.ndarray, raw: np.ndarray, decision: Decision) -> None:
        ids = [f"{split}{fold}-{row}" for row in range(len(y))]
        base = pd.DataFrame({"case_id": ids, "patient_id": ids, "site": None, "split": split, "fold": fold})
        base["member"] = "ensemble"
        p = calibrate(raw, task, decision.maps)
        frames.append(prediction_rows(base, question.target, task, classes, y, raw, p))

    by_fold = {}
    y, raw = answers(question)
    if folds:
        for fold in range(2):
            inner = answers(question, 200, seed=10 + fold)
            by_fold[fold] = decided(*inner, "inner validation cases")
            add("oof", fold, y[fold::2], raw[fold::2], by_fold[fold])
    shipped = decided(y, raw, "oof" if folds else "val")
    if not folds:
        add("val", -1, y, raw, shipped)
    add("test", -1, *answers(question, seed=1), shipped)
    return Predicted(pd.concat(frames, ignore_index=True), shipped, by_fold)


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "MOST_RESAMPLES", 200)


def told(question: Question, **how: bool) -> dict[str, Any]:
    found = calibration_json(predicted(question, **how), question)
    assert found is not None
    return json.loads(json.dumps(found))


def changed(question: Question, **how: bool) -> dict[str, Any]:
    return json.loads(json.dumps(calibrated_json(predicted(question, **how), question)))


def test_the_choice_is_told_with_what_was_tried_and_why() -> None:
    found = told(BINARY)
    y, raw = answers(BINARY)
    choice = choose_by_size(y, raw[:, 1], np.arange(N))
    assert choice.chosen.kind == "platt"
    assert (found["method"], found["map"]) == ("platt", choice.chosen.to_json())
    assert "value" not in found
    assert [row["kind"] for row in found["tried"]] == ["identity", "temperature", "platt", "beta"]
    assert (found["reason"], found["folds"]) == (choice.reason, 5)
    assert (found["fitted_on"], found["n"], found["n_patients"], found["by_fold"]) == ("val", N, N, {})


def test_figures_before_and_after_are_of_cases_that_did_not_choose_their_map() -> None:
    found = changed(BINARY)
    assert list(found) == ["test"]
    y, raw = answers(BINARY, seed=1)
    chosen = predicted(BINARY).shipped.maps
    assert isinstance(chosen, Platt)
    test = found["test"]["finding"]
    assert test["before"]["brier"]["value"] == pytest.approx(brier_score_loss(y, raw[:, 1]))
    assert test["after"]["brier"]["value"] == pytest.approx(brier_score_loss(y, chosen.apply(raw[:, 1])))
    assert test["difference"]["brier"]["high"] < 0
    assert test["after"]["ici"]["low"] is not None
    y, raw = answers(BINARY)
    held = choose_by_size(y, raw[:, 1], np.arange(N)).held_out
    validation = told(BINARY)["validation"]["finding"]
    assert validation["after"]["brier"]["value"] == pytest.approx(brier_score_loss(y, held))
    seen = brier_score_loss(y, chosen.apply(raw[:, 1]))
    assert validation["after"]["brier"]["value"] != pytest.approx(seen, abs=1e-9)


def test_each_fold_tells_its_own_map_and_no_held_out_case() -> None:
    found = told(BINARY, folds=True)
    assert set(changed(BINARY, folds=True)) == {"test", "oof"}
    assert found["fitted_on"] == "oof"
    for fold in ("0", "1"):
        assert found["by_fold"][fold]["map"]["kind"] in ("temperature", "platt", "beta")
        assert found["by_fold"][fold]["n"] == 200
        assert "held-out patients" in found["by_fold"][fold]["reason"]


def test_labels_have_a_map_each_and_unknown_ones_are_left_out() -> None:
    found = told(LABELS)
    assert found["method"] == "by label"
    assert (found["by_target"]["edema"]["n"], found["by_target"]["nodule"]["n"]) == (N, N - 20)
    assert set(found["validation"]) == {"edema", "nodule"}
    assert changed(LABELS)["test"]["nodule"]["before"]["brier"]["n"] == N - 20
    folds = told(LABELS, folds=True)["by_fold"]
    assert set(folds["0"]) == {"edema", "nodule"}


def test_several_classes_have_a_temperature() -> None:
    found = told(GRADES)
    assert found["method"] == "temperature"
    assert found["value"] == found["map"]["value"] == pytest.approx(3, rel=0.3)
    assert set(changed(GRADES)["test"]["grade"]["after"]) == {"log_loss", "brier", "calibration_slope"}


def test_without_enough_cases_nothing_is_compared_and_it_is_said() -> None:
    y, raw = answers(BINARY, 40)
    shipped = decide(y, raw, np.arange(40), "binary", ["no", "yes"], "youden", "val", seed=0)
    table = predicted(BINARY).table
    few = Predicted(table[table["split"] == "val"], shipped)
    found = calibration_json(few, BINARY)
    assert found is not None
    assert found["tried"] == []
    assert found["validation"]["finding"]["reason"].startswith("not compared, since no case was held")
    assert calibrated_json(few, BINARY) == {}


def test_with_many_cases_there_are_figures_without_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "WORK", 1000)
    for part in changed(BINARY)["test"]["finding"].values():
        for entry in part.values():
            assert entry["value"] is not None
            assert (entry["low"], entry["high"]) == (None, None)
            assert "no interval" in entry["reason"]


def test_a_measured_value_has_no_calibration() -> None:
    question = Question("age", "regression", (), None)
    nothing = Predicted(pd.DataFrame(), Decision(None, None, "val", 3))
    assert calibration_json(nothing, question) is None
    assert calibrated_json(nothing, question) == {}
    assert manifest_calibration(None) is None


@pytest.mark.parametrize(
    ("of", "written"),
    [
        (Identity(), {"method": "temperature", "value": 1.0}),
        (Temperature(1.5), {"method": "temperature", "value": 1.5}),
        (Platt(0.5, 1.0), {"method": "map", "map": {"kind": "platt", "slope": 0.5, "intercept": 1.0}}),
        ([Identity(), Temperature(2.0)], {"method": "temperature", "by_target": {"a": 1.0, "b": 2.0}}),
        (
            [Identity(), Isotonic((0.1,), (0.2,))],
            {"method": "map", "maps": {"a": {"kind": "identity"}, "b": {"kind": "isotonic", "x": [0.1], "y": [0.2]}}},
        ),
    ],
)
def test_the_manifest_holds_temperatures_where_they_are_all_there_is(of: Any, written: dict[str, Any]) -> None:
    if isinstance(of, list):
        evidence = {"by_target": {name: {"map": one.to_json()} for name, one in zip("ab", of, strict=True)}}
    else:
        evidence = {"map": of.to_json()}
    found = manifest_calibration(evidence)
    assert found == written
    Calibration.model_validate(found)


def test_an_undefined_figure_of_very_many_cases_keeps_its_own_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "WORK", 0)
    p = np.linspace(0.1, 0.9, 40)
    told = calibrating._compared(np.zeros(40, dtype=np.int64), p, p, np.arange(40), 1, 0)["before"]
    assert told["brier"]["value"] is not None
    assert told["brier"]["reason"] == calibrating.TOO_MANY
    assert told["calibration_slope"]["value"] is None
    assert "one class only" in told["calibration_slope"]["reason"]
