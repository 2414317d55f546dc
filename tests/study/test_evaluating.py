"""External validation: figures at the model's own point, and tables that do not answer the model's question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

import semeion
from semeion.artefacts import read_json
from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError, ModelRefused
from semeion.progress import Silent
from semeion.study.evaluating import evaluate_model
from support.tiny import PATIENT, Tiny, TinyRun, make_cohort, save_plan, train_tiny


def evaluate(model: Path, table: Path, output: Path, *, skip_bad: bool = False, **options: Any) -> dict[str, Any]:
    return evaluate_model(model, table, output, CohortOptions(**options), skip_bad=skip_bad, jobs=1, progress=Silent())


@pytest.fixture
def elsewhere(tmp_path: Path) -> Tiny:
    """Cases of another hospital."""
    return make_cohort(tmp_path / "elsewhere", n=40, seed=21, prefix="x")


def test_figures_are_those_of_a_direct_computation(tiny_run: TinyRun, elsewhere: Tiny, tmp_path: Path) -> None:
    evidence = evaluate(tiny_run.model, elsewhere.table, tmp_path / "out")
    assert set(evidence["metrics"]) == {"external"}
    figures = {name: entry["value"] for name, entry in evidence["metrics"]["external"].items()}
    found = semeion.load_model(tiny_run.model).predict([elsewhere.image(row) for row in range(40)])
    truth = elsewhere.rows["finding"] == "malignant"
    assert figures["auroc"] == pytest.approx(roc_auc_score(truth, found["p_malignant"]), abs=1e-12)
    call = found["call"] == "malignant"
    assert figures["accuracy"] == pytest.approx(accuracy_score(truth, call), abs=1e-12)
    assert figures["recall"] == pytest.approx(recall_score(truth, call), abs=1e-12)
    assert evidence["metrics"]["external"]["auroc"]["n_patients"] == 20
    assert evidence["operating_point"]["value"] == tiny_run.evidence["operating_point"]["value"]
    assert evidence["model"] == tiny_run.evidence["model"]
    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert set(table["split"]) == {"external"}
    np.testing.assert_array_equal(table["p_malignant"], found["p_malignant"])
    assert read_json(tmp_path / "out" / "evidence.json")["metrics"] == evidence["metrics"]
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        *("predictions.parquet", "evidence.json", "evaluate.html", "evaluate.json"),
        *("crosswalk.html", "crosswalk.json"),
    }
    assert PATIENT not in (tmp_path / "out" / "evaluate.html").read_text()


def test_of_a_table_with_a_split_only_the_test_cases_are_weighed(tiny_run: TinyRun, tmp_path: Path) -> None:
    # The table that the model learned from is the likeliest slip, and would give flattering "external" figures.
    evidence = evaluate(tiny_run.model, tiny_run.cohort.table, tmp_path / "out")
    assert evidence["splits"]["external"]["n"] == 20
    assert any("60 train and val cases are not weighed" in step["reason"] for step in evidence["flow"])
    whole = evaluate(tiny_run.model, tiny_run.cohort.table, tmp_path / "whole", no_split=True)
    assert whole["splits"]["external"]["n"] == 80
    assert {audit["verdict"] for audit in whole["audits"].values() if audit["tier"] == "check"} == {"not_run"}
    assert whole["audits"]["test-reuse"]["verdict"] == "not_run"
    assert whole["audits"]["small-sample"]["figures"]["cases"] == 80


def test_a_table_of_learned_cases_alone_is_refused(tiny_run: TinyRun, tmp_path: Path) -> None:
    rows = pd.read_csv(tiny_run.cohort.table, dtype=str)
    images = tiny_run.cohort.table.parent
    learned = rows[rows["split"] == "train"].assign(image=lambda table: [str(images / name) for name in table["image"]])
    learned.to_csv(tmp_path / "learned.csv", index=False)
    with pytest.raises(InputError, match=r"every case is train or val.*--no-split"):
        evaluate(tiny_run.model, tmp_path / "learned.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_label_that_the_model_does_not_know_is_named(tiny_run: TinyRun, elsewhere: Tiny, tmp_path: Path) -> None:
    finding = elsewhere.rows["finding"].replace("benign", "normal")
    cohort = elsewhere.rewrite(finding=finding)
    with pytest.raises(InputError) as caught:
        evaluate(tiny_run.model, cohort.table, tmp_path / "out")
    message = str(caught.value)
    assert "cohort.csv" in message
    assert "'normal'" in message
    assert "'benign', 'malignant'" in message
    assert "--labels" in message
    assert not (tmp_path / "out").exists()
    evidence = evaluate(tiny_run.model, cohort.table, tmp_path / "out", labels={"normal": "benign"})
    assert evidence["metrics"]["external"]["auroc"]["value"] is not None


def test_another_column_may_hold_the_target(tiny_run: TinyRun, elsewhere: Tiny, tmp_path: Path) -> None:
    cohort = elsewhere.rewrite(finding=None, histology=elsewhere.rows["finding"])
    with pytest.raises(InputError, match=r"no column 'finding' \(--target\)"):
        evaluate(tiny_run.model, cohort.table, tmp_path / "out")
    assert evaluate(tiny_run.model, cohort.table, tmp_path / "out", target="histology")["target"] == "histology"


def test_a_table_of_one_class_has_the_figures_that_are_defined(
    tiny_run: TinyRun, elsewhere: Tiny, tmp_path: Path
) -> None:
    rows = elsewhere.rows
    only = rows[rows["finding"] == "malignant"]
    only.to_csv(elsewhere.table, index=False)
    evidence = evaluate(tiny_run.model, elsewhere.table, tmp_path / "out")
    metrics = evidence["metrics"]["external"]
    assert metrics["auroc"]["value"] is metrics["auroc"]["low"] is None
    assert metrics["auroc"]["reason"]
    assert metrics["recall"]["value"] is not None
    assert metrics["recall"]["n"] == len(only)
    assert (tmp_path / "out" / "evaluate.html").exists()


def test_bad_images_stop_it_with_the_whole_list_or_are_left_out(
    tiny_run: TinyRun, elsewhere: Tiny, tmp_path: Path
) -> None:
    elsewhere.image(2).unlink()
    elsewhere.image(9).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        evaluate(tiny_run.model, elsewhere.table, tmp_path / "out")
    message, *lines = str(caught.value).split("\n")
    assert message.startswith("cohort.csv: 2 of 40 images cannot be read; correct these, or leave")
    assert [line.split(":")[0].strip() for line in lines] == ["case x-002", "case x-009"]
    assert not (tmp_path / "out").exists()
    evidence = evaluate(tiny_run.model, elsewhere.table, tmp_path / "out", skip_bad=True)
    assert evidence["metrics"]["external"]["auroc"]["n"] == 38
    assert [step["n_cases"] for step in evidence["flow"]] == [40, 38, 38]


def test_warnings_of_the_gate_are_counted_in_the_notes(tiny_run: TinyRun, elsewhere: Tiny, tmp_path: Path) -> None:
    from support.tiny import write_picture

    for row in range(3):
        write_picture(elsewhere.image(row), np.full((24, 24, 3), (250, 240, row), np.uint8))
    evidence = evaluate(tiny_run.model, elsewhere.table, tmp_path / "out")
    assert "3 of 40 cases carry the warning colour-into-grey." in evidence["notes"]


def test_an_output_that_holds_something_is_left_alone(tiny_run: TinyRun, elsewhere: Tiny, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("work")
    with pytest.raises(InputError) as caught:
        evaluate(tiny_run.model, elsewhere.table, tmp_path / "out")
    assert str(caught.value) == f"{tmp_path / 'out'}: is not empty; choose another folder with -o"


def test_what_is_no_model_is_refused(elsewhere: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused):
        evaluate(tmp_path, elsewhere.table, tmp_path / "out")


def test_a_measured_value_of_exactly_zero_is_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from semeion.model.runtime import Model

    cohort = make_cohort(tmp_path / "source", n=40, task="regression")
    run = train_tiny(cohort, save_plan(tmp_path, task="regression", steps=2), tmp_path / "run")
    honest = Model.findings

    def zero(self: Model, *arguments: Any, **options: Any) -> Any:
        for finding in honest(self, *arguments, **options):
            yield dataclasses.replace(finding, call=0.0)

    monkeypatch.setattr(Model, "findings", zero)
    evidence = evaluate(run.model, cohort.table, tmp_path / "out")
    assert evidence["metrics"]["external"]["mae"]["value"] == pytest.approx(cohort.rows["diameter"].mean())
