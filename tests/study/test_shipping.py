"""The model folder says what the run decided, and nothing of any single case."""

from __future__ import annotations

import numpy as np

import semeion
from semeion.artefacts import read_json
from semeion.calibration.maps import map_from_json
from semeion.plan.files import read_plan
from semeion.prepare.store import open_store
from semeion.study.shipping import sets_part
from support.tiny import TinyRun


def test_the_manifest_agrees_with_plan_and_evidence(tiny_run: TinyRun) -> None:
    manifest = read_json(tiny_run.model / "model.json")
    plan, evidence = read_plan(tiny_run.plan), tiny_run.evidence
    assert (manifest["target"], manifest["task"], manifest["positive"]) == ("finding", "binary", "malignant")
    assert manifest["classes"] == plan.target.classes
    assert [member["name"] for member in manifest["members"]] == [member.name for member in plan.members]
    assert manifest["combination"] == "mean"
    raw = np.linspace(0.01, 0.99, 9)
    stated = map_from_json(evidence["calibration"]["map"]).apply(raw)
    shipped = semeion.load_model(tiny_run.model).calibrated(np.column_stack([1 - raw, raw]))
    np.testing.assert_allclose(shipped[:, plan.target.classes.index("malignant")], stated, atol=1e-12)
    assert manifest["operating_point"]["value"] == evidence["operating_point"]["value"]
    assert tuple(manifest["preparation"]["size"]) == plan.preparation.size
    assert "why" not in manifest["preparation"]
    assert manifest["inputs"]["size_seen"] == {"rows": [24, 24], "cols": [24, 24]}
    assert manifest["inputs"]["photometry"] == "grey"
    assert manifest["synthetic"] is False
    assert semeion.load_model(tiny_run.model).hash == evidence["model"]


def test_intensities_are_those_of_training_cases(tiny_run: TinyRun) -> None:
    intensity = read_json(tiny_run.model / "model.json")["inputs"]["intensity"]
    store = open_store(tiny_run.path / "store")
    learned = np.flatnonzero(tiny_run.cohort.rows["split"] == "train")
    means = store.take(learned).mean(axis=(1, 2, 3)) / 255
    assert intensity["mean_low"] < np.median(means) < intensity["mean_high"]
    # They are told by numbers that five patients share, and are nobody's own.
    assert not {intensity["mean_low"], intensity["mean_high"]} & set(means.round(6).tolist())


def test_headline_figures_travel_with_the_model(tiny_run: TinyRun) -> None:
    shipped = read_json(tiny_run.model / "model.json")["evidence"]
    text = str(shipped)
    assert str(tiny_run.evidence["metrics"]["test"]["auroc"]["value"]) in text
    card = (tiny_run.model / "CARD.md").read_text()
    assert "malignant" in card
    assert "research use" in card.lower()


def rule(**changed: object) -> dict[str, object]:
    found = {
        "coverage": 0.9,
        "kind": "per_class",
        "thresholds": [0.4, 0.6],
        "n_patients": [50, 60],
        "why": "each class has calibration patients enough",
        "scored": "p",
        "method": "split conformal",
        "calibration": {"split": "calibration", "n": 120, "n_patients": 110},
        "promise": "The set holds the truth.",
    }
    return found | changed


def test_thresholds_ship_as_the_evidence_states_them() -> None:
    kept = {name: rule()[name] for name in ("kind", "thresholds", "n_patients", "calibration", "promise")}
    shared = {"coverage": 0.9, "scored": "p", "method": "split conformal"}
    assert sets_part({"task": "binary", "targets": {}, "set_rule": rule()}) == {**shared, "whole": kept}
    none = {"coverage": 0.9, "reason": "too few"}
    of_labels = {"a": {"set_rule": rule()}, "b": {"set_rule": none}, "c": {}}
    assert sets_part({"task": "multilabel", "targets": of_labels}) == {**shared, "by_target": {"a": kept}}
    assert sets_part({"task": "binary", "targets": {}, "set_rule": none}) is None
    assert sets_part({"task": "regression", "targets": {}}) is None


def test_too_few_patients_set_no_limit_and_none_is_tried_on_test_cases(tiny_run: TinyRun) -> None:
    gate = tiny_run.evidence["gate"]
    assert gate["limits"] == [] and gate["held_back"] is None and gate["together"] is None
    assert "fewer than 40 patients" in gate["reason"]
    assert not (tiny_run.model / "reference.json").exists()
