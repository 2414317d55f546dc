"""``evidence.json``: every key that INTERFACES names, and figures that a direct computation gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, precision_score, recall_score, roc_auc_score

import semeion
from semeion.artefacts import read_json
from semeion.evidence.use.conformal import fit_sets
from semeion.plan.files import read_plan, write_plan
from semeion.plan.schema import SetsPlan
from support.tiny import TinyRun, make_cohort, make_plan, save_plan, train_tiny

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


def test_out_of_fold_cases_calibrate_sets_that_are_measured(tiny_run: TinyRun) -> None:
    sets = tiny_run.evidence["sets"]
    rows = ensemble(tiny_run, "oof")
    y = (rows["y_true"] == "malignant").to_numpy(int)
    raw = rows[["raw_benign", "raw_malignant"]].to_numpy()
    fold, patient = rows["fold"].to_numpy(), rows["patient_id"].to_numpy()
    covered = np.zeros(len(rows), dtype=bool)
    for number in np.unique(fold):
        held = fold == number
        rule = fit_sets(y[~held], raw[~held], patient[~held])
        covered[held] = rule.sets(raw[held])[np.arange(held.sum()), y[held]]
    assert sets["oof"]["marginal"]["coverage"]["value"] == pytest.approx(covered.mean())
    assert set(sets["oof"]["marginal"]["groups"]["site"]) == {"north", "south"}
    assert sets["test"]["method"].startswith("cross-conformal")
    assert sets["test"]["calibration"] == sets["oof"]["calibration"]
    assert "Sets of classes" in (tiny_run.path / "report.html").read_text(encoding="utf-8")


def test_val_cases_set_aside_for_sets_choose_nothing_and_add_up(tmp_path: Path) -> None:
    plan = make_plan(scheme="given", steps=3)
    plan.sets = SetsPlan(coverage=0.5, share=0.333)
    write_plan(plan, tmp_path / "plan.yaml")
    run = train_tiny(make_cohort(tmp_path / "source", split="given"), tmp_path / "plan.yaml", tmp_path / "run")
    evidence, splits = run.evidence, run.evidence["splits"]
    assert splits["val"]["n"] + splits["calibration"]["n"] == 20
    assert evidence["operating_point"]["n"] == splits["val"]["n"] < 20
    assert set(evidence["metrics"]) == {"val", "test"}
    rule = fit_sets(*_arrays(ensemble(run, "calibration")), coverage=0.5)
    assert evidence["sets"]["test"]["marginal"]["thresholds"] == pytest.approx(list(rule.thresholds))
    assert "choose" in evidence["sets"]["val"]["reason"]
    assert read_json(run.path / "report.json")["flow_diagram"]["adds_up"]
    assert read_plan(run.path / "plan.executed.yaml").sets == plan.sets


def test_without_cases_set_aside_the_reason_stands_in_the_evidence(tmp_path: Path) -> None:
    plan = save_plan(tmp_path, scheme="given", steps=3)
    run = train_tiny(make_cohort(tmp_path / "source", split="given"), plan, tmp_path / "run")
    reason = "The plan sets no val cases aside, and who chose cannot calibrate: no sets are made."
    assert run.evidence["sets"] == {split: {"stated": 0.9, "reason": reason} for split in ("val", "test")}
    assert reason in (run.path / "report.html").read_text(encoding="utf-8")


def _arrays(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = (rows["y_true"] == "malignant").to_numpy(int)
    return y, rows[["p_benign", "p_malignant"]].to_numpy(), rows["patient_id"].to_numpy()


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
