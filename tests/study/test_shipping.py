"""The model folder says what the run decided, and nothing of any single case."""

from __future__ import annotations

import numpy as np

import semeion
from semeion.artefacts import read_json
from semeion.calibration.maps import map_from_json
from semeion.plan.files import read_plan
from semeion.prepare.store import open_store
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
    assert means.min() <= intensity["mean_low"] < intensity["mean_high"] <= means.max()


def test_headline_figures_travel_with_the_model(tiny_run: TinyRun) -> None:
    shipped = read_json(tiny_run.model / "model.json")["evidence"]
    text = str(shipped)
    assert str(tiny_run.evidence["metrics"]["test"]["auroc"]["value"]) in text
    card = (tiny_run.model / "CARD.md").read_text()
    assert "malignant" in card
    assert "research use" in card.lower()
