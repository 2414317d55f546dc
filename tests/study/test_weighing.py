"""``evidence.json``: every key that INTERFACES names, and figures that a direct computation gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_auc_score

import semeion
from support.tiny import TinyRun, make_cohort, save_plan, train_tiny

KEYS = {
    *("schema", "semeion", "target", "task", "positive", "classes", "source", "synthetic", "created"),
    *("operating_point", "calibration", "metrics", "confusion", "curves", "targets", "strata", "splits"),
    *("flow", "audits", "accepted", "without_accepted", "members", "cost", "budget", "notes", "not_validated"),
}
NAMES = {
    *("auroc", "auprc", "accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1"),
    *("precision_macro", "recall_macro", "f1_macro", "brier", "ece", "calibration_slope", "calibration_intercept"),
    *(f"{name}_{label}" for name in ("precision", "recall", "f1") for label in ("benign", "malignant")),
}
AUDITS = {
    *("unreadable-images", "blank-images", "near-duplicates", "patient-overlap", "label-conflicts"),
    *("unmatched-files", "class-counts", "missing-values", "target-leak"),
}


def ensemble(run: TinyRun, split: str) -> pd.DataFrame:
    table = pd.read_parquet(run.path / "predictions.parquet")
    return table[(table["split"] == split) & (table["member"] == "ensemble")]


def test_every_key_is_there(tiny_run: TinyRun) -> None:
    evidence = tiny_run.evidence
    assert set(evidence) >= KEYS
    assert (evidence["schema"], evidence["semeion"]) == (1, semeion.__version__)
    assert (evidence["target"], evidence["task"], evidence["positive"]) == ("finding", "binary", "malignant")
    assert (evidence["classes"], evidence["source"]) == (["benign", "malignant"], "cohort.csv")
    assert evidence["synthetic"] is False
    for split in ("oof", "test"):
        metrics = evidence["metrics"][split]
        assert set(metrics) >= NAMES
        for entry in metrics.values():
            assert set(entry) >= {"value", "low", "high", "n", "n_patients", "method"}
            assert entry["low"] is not None or entry["reason"]
        assert set(evidence["curves"][split]) >= {"roc", "pr", "calibration", "points"}
        assert evidence["confusion"][split]["classes"] == evidence["classes"]
    assert set(evidence["audits"]) >= AUDITS
    for audit in evidence["audits"].values():
        assert set(audit) == {"verdict", "tier", "figures", "cases", "advice"}
    assert set(evidence["operating_point"]) >= {"rule", "value", "chosen_on", "n", "by_fold"}
    assert set(evidence["cost"]) >= {"seconds", "peak_mib"}
    assert evidence["budget"] == {
        "asked_seconds": None,
        "used_seconds": evidence["budget"]["used_seconds"],
        "ended": "fixed plan",
    }
    for member in evidence["members"]:
        assert set(member) >= {"name", "fold", "seed", "steps", "epochs", "seconds", "val_loss", "stopped"}


def test_figures_are_those_of_the_predictions_at_the_stated_point(tiny_run: TinyRun) -> None:
    point = tiny_run.evidence["operating_point"]
    for split in ("oof", "test"):
        rows = ensemble(tiny_run, split)
        truth, p = rows["y_true"] == "malignant", rows["p_malignant"].to_numpy()
        limit = rows["fold"].map(lambda k: point["by_fold"][str(k)]) if split == "oof" else point["value"]
        call = p >= np.asarray(limit)
        metrics = {name: entry["value"] for name, entry in tiny_run.evidence["metrics"][split].items()}
        assert metrics["auroc"] == pytest.approx(roc_auc_score(truth, p), abs=1e-12)
        assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, call), abs=1e-12)
        assert metrics["recall"] == pytest.approx(recall_score(truth, call), abs=1e-12)
        assert metrics["precision"] == pytest.approx(precision_score(truth, call), abs=1e-12)
        counts = np.array(tiny_run.evidence["confusion"][split]["counts"])
        assert counts.tolist() == pd.crosstab(truth, call).to_numpy().tolist()
        assert tiny_run.evidence["splits"][split]["n"] == len(rows)
        assert tiny_run.evidence["splits"][split]["n_patients"] == rows["patient_id"].nunique()


def test_sites_are_strata(tiny_run: TinyRun) -> None:
    sites = tiny_run.evidence["strata"]["site"]
    assert set(sites) == {"north", "south"}
    rows = ensemble(tiny_run, "oof")
    for site, part in sites.items():
        assert part["metrics"]["oof"]["accuracy"]["n"] == (rows["site"] == site).sum()


def test_what_was_not_validated_is_said(tiny_run: TinyRun) -> None:
    sentences = tiny_run.evidence["not_validated"]
    assert any("Patients unlike those of the cohort" in text for text in sentences)
    assert not any("another site" in text for text in sentences), "there were two"
    assert any("refitted on all out-of-fold predictions" in text for text in tiny_run.evidence["notes"])


def test_without_patients_sites_and_test_cases_the_evidence_says_so(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", split="given")
    split = cohort.rows["split"].replace("test", "train")
    plan = save_plan(tmp_path, scheme="given", steps=3)
    run = train_tiny(cohort.rewrite(patient_id=None, site=None, split=split), plan, tmp_path / "run")
    assert run.evidence["has_patients"] is False
    assert any("No patient ids were given" in text for text in run.evidence["notes"])
    assert any("Images from another site" in text for text in run.evidence["not_validated"])
    assert any("there is no test split" in text for text in run.evidence["not_validated"])
    assert set(run.evidence["metrics"]) == {"val"}
    assert run.evidence["audits"]["patient-overlap"]["verdict"] == "not_run"
    assert run.evidence["operating_point"]["chosen_on"] == "val"
