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


def evaluate(
    model: Path, table: Path, output: Path, *, skip_bad: bool = False, run: Path | None = None, **options: Any
) -> dict[str, Any]:
    asked = CohortOptions(**options)
    return evaluate_model(model, table, output, asked, skip_bad=skip_bad, jobs=1, progress=Silent(), run=run)


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
    with pytest.raises(ModelRefused, match=r"not a model folder: it has no model\.json"):
        evaluate(tmp_path, elsewhere.table, tmp_path / "out")


def test_a_measured_value_of_exactly_zero_is_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from semeion.model.runtime import Model

    cohort = make_cohort(tmp_path / "source", n=40, task="regression")
    run = train_tiny(cohort, save_plan(tmp_path, task="regression", steps=2), tmp_path / "run")
    honest = Model.findings

    def zero(self: Model, *arguments: Any, **options: Any) -> Any:
        for finding in honest(self, *arguments, **options):
            yield dataclasses.replace(finding, call=0.0, raw=(0.0,))

    monkeypatch.setattr(Model, "findings", zero)
    evidence = evaluate(run.model, cohort.table, tmp_path / "out")
    assert evidence["metrics"]["external"]["mae"]["value"] == pytest.approx(cohort.rows["diameter"].mean())


@pytest.fixture(scope="module")
def compared(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation on other patients of other sites, compared with the run that made the model."""
    folder = tmp_path_factory.mktemp("compared")
    other = make_cohort(folder / "cohort", n=60, seed=33, prefix="y")
    other = other.rewrite(
        site=["west", "far west"] * 30, patient_id=[f"W{row}" for row in range(60)], age=[40 + row for row in range(60)]
    )
    evaluate(tiny_run.model, other.table, folder / "out", run=tiny_run.path)
    return folder / "out"


def test_other_patients_of_other_sites_are_external_and_the_first_page_says_yes(compared: Path) -> None:
    evidence = read_json(compared / "evidence.json")
    assert evidence["external"]["status"] == "external"
    assert evidence["external"]["checked"] == {"sites": 0, "patients": 0, "images": 0}
    first = read_json(compared / "evaluate.json")["first"]["external"]
    assert first["value"] is True
    assert first["sentence"].startswith("External validation: yes, 60 patients of 2 sites not used in training.")
    page = (compared / "evaluate.html").read_text()
    assert "Semeion report, external validation" in page
    assert "No external validation" not in page


def test_both_cohorts_stand_side_by_side(compared: Path, tiny_run: TinyRun) -> None:
    mix = read_json(compared / "evidence.json")["case_mix"]
    assert mix["source"] == "run"
    rows = {row["title"]: row for part in ("people", "cases") for row in mix[part]["rows"]}
    assert rows["Site"]["reason"] == "no level in common"
    assert rows["Age"]["internal"] is None
    assert rows["Age"]["external"]["median"] == 69.5
    assert rows["Class (finding)"]["internal"]["n"] == 60, "test cases of the run are not what it was built on"
    assert rows["Rows"]["difference"] == 0
    assert (mix["people"]["internal"], mix["people"]["external"]) == (30, 60)


def test_what_was_lost_is_the_difference_of_both_figures(compared: Path, tiny_run: TinyRun) -> None:
    evidence = read_json(compared / "evidence.json")
    assert (evidence["drop"]["source"], evidence["drop"]["split"]) == ("run", "test")
    lost = evidence["drop"]["targets"]["finding"]
    for name in ("auroc", "recall", "specificity", "brier", "calibration_slope", "calibration_intercept"):
        here = evidence["metrics"]["external"][name]["value"]
        own = tiny_run.evidence["metrics"]["test"][name]["value"]
        if None in (here, own):  # classes that are separated have no finite slope
            assert lost[name]["difference"]["value"] is None
            assert "no finite slope" in lost[name]["difference"]["reason"]
            continue
        assert lost[name]["internal"] == pytest.approx(own, abs=1e-9)
        assert lost[name]["difference"]["value"] == pytest.approx(here - own, abs=1e-9)
    here = evidence["reliability"]["external"]["figures"]["ici"]["value"]
    assert lost["ici"]["external"] == pytest.approx(here, abs=1e-9)


def test_recalibration_is_shown_and_not_applied(compared: Path, tiny_run: TinyRun) -> None:
    evidence = read_json(compared / "evidence.json")
    assert evidence["recalibration"]["applied"] is False
    found = evidence["recalibration"]["targets"]["finding"]
    assert {"intercept", "temperature", "platt"} <= set(found["maps"])
    before = found["before"]["brier"]["value"]
    assert before == pytest.approx(evidence["metrics"]["external"]["brier"]["value"], abs=1e-9)
    table = pd.read_parquet(compared / "predictions.parquet")
    assert len(table) == 60
    assert "<b>Nothing was changed.</b>" in (compared / "evaluate.html").read_text()


def test_the_same_site_or_the_same_images_are_never_called_external(
    tiny_run: TinyRun, elsewhere: Tiny, tmp_path: Path
) -> None:
    evidence = evaluate(tiny_run.model, elsewhere.table, tmp_path / "site", run=tiny_run.path)
    assert evidence["external"]["status"] == "not_external"
    assert evidence["external"]["shared_sites"] == ["north", "south"]
    first = read_json(tmp_path / "site" / "evaluate.json")["first"]["external"]
    assert first["value"] is False
    assert first["sentence"].startswith("No external validation: same site: this is not external.")
    page = (tmp_path / "site" / "evaluate.html").read_text()
    assert "External validation: yes" not in page
    assert "Semeion report, evaluation of a finished model, not external" in page
    copied = tiny_run.cohort.rows.assign(site="elsewhere", patient_id=[f"N{row}" for row in range(80)]).drop(
        columns=["split"], errors="ignore"
    )
    copied["image"] = [str(tiny_run.cohort.image(row)) for row in range(80)]
    copied.to_csv(tmp_path / "copied.csv", index=False)
    evidence = evaluate(tiny_run.model, tmp_path / "copied.csv", tmp_path / "copies", run=tiny_run.path)
    assert evidence["external"]["status"] == "not_external"
    assert evidence["external"]["checked"] == {"sites": 0, "patients": 0, "images": 80}
    # The same images on both sides are no two sets of patients, and training cases would flatter.
    assert evidence["drop"]["targets"] == {}
    assert "80 of these images are among those of the run" in evidence["drop"]["reason"]


def test_what_cannot_be_looked_at_is_stated_and_not_verified(
    tiny_run: TinyRun, elsewhere: Tiny, tmp_path: Path
) -> None:
    alone = evaluate(tiny_run.model, elsewhere.table, tmp_path / "alone")
    assert alone["external"]["status"] == "not_verified"
    assert alone["case_mix"]["source"] == "model"
    [rows] = [row for row in alone["case_mix"]["cases"]["rows"] if row["title"] == "Rows"]
    assert rows["internal"] == {"range": [24, 24]}
    assert alone["drop"]["source"] == "model"
    assert "Zou and Donner" in alone["drop"]["targets"]["finding"]["auroc"]["difference"]["method"]
    first = read_json(tmp_path / "alone" / "evaluate.json")["first"]["external"]
    assert first["value"] is None
    assert first["sentence"].startswith("Stated as external by the user, not verified: ")
    page = (tmp_path / "alone" / "evaluate.html").read_text()
    assert "External validation: yes" not in page
    assert "not known" in page
    unnamed = elsewhere.rewrite(site=None, patient_id=[f"V{row}" for row in range(40)])
    without = evaluate(tiny_run.model, unnamed.table, tmp_path / "unnamed", run=tiny_run.path)
    assert without["external"]["status"] == "not_verified"
    assert "Not every case of this table has a site" in without["external"]["reason"]
    doubled = elsewhere.rewrite(site=["west"] * 40, patient_id=[f"{PATIENT}{row // 2:03d}" for row in range(40)])
    ids = evaluate(tiny_run.model, doubled.table, tmp_path / "ids", run=tiny_run.path)
    assert ids["external"]["status"] == "not_verified"
    assert "20 patient ids are in the run, too" in ids["external"]["reason"]


def test_a_page_of_a_run_says_no_external_validation(tiny_run: TinyRun) -> None:
    first = read_json(tiny_run.path / "report.json")["first"]["external"]
    assert first["value"] is False
    assert first["sentence"].startswith("No external validation: ")
    assert "External validation: yes" not in (tiny_run.path / "report.html").read_text()


def test_the_run_of_another_model_is_refused(tiny_run: TinyRun, elsewhere: Tiny, tmp_path: Path) -> None:
    import shutil

    from semeion.artefacts import write_json

    other = tmp_path / "other"
    shutil.copytree(tiny_run.path, other, ignore=shutil.ignore_patterns("store", "members"))
    write_json(other / "evidence.json", {**read_json(other / "evidence.json"), "model": "ab" * 32})
    with pytest.raises(InputError, match="is the run of another model"):
        evaluate(tiny_run.model, elsewhere.table, tmp_path / "out", run=other)
    assert not (tmp_path / "out").exists()


def test_another_class_balance_is_corrected_beside_the_measured_figures(tiny_run: TinyRun, tmp_path: Path) -> None:
    big = make_cohort(tmp_path / "cohort", n=240, seed=50, prefix="z")
    kept = big.rows[(big.rows["finding"] == "benign") | (big.rows.groupby("finding").cumcount() < 20)]
    kept = kept.assign(image=[str(tmp_path / "cohort" / name) for name in kept["image"]], site="west")
    kept = kept.assign(patient_id=[f"Z{row}" for row in range(len(kept))])
    kept.to_csv(tmp_path / "rare.csv", index=False)
    evidence = evaluate(tiny_run.model, tmp_path / "rare.csv", tmp_path / "out", run=tiny_run.path)
    known = evidence["adjusted"]["by_labels"]
    share = (kept["finding"] == "malignant").mean()
    assert known["shares"]["malignant"]["here"] == pytest.approx(share)
    assert known["shares"]["malignant"]["chosen"] > share
    assert known["operating_point"]["value"] < known["operating_point"]["unadjusted"]
    measured = evidence["metrics"]["external"]
    # Youden's cut looks at each class by itself: moved with the odds, no call changes.
    assert known["external"]["recall"]["value"] == measured["recall"]["value"]
    assert known["external"]["brier"]["value"] != measured["brier"]["value"]
    assert evidence["audits"]["prevalence-shift"]["verdict"] == "warn"
    assert "With another class balance" in (tmp_path / "out" / "evaluate.html").read_text()


def test_the_sets_that_ship_are_measured_on_the_cases(tiny_run: TinyRun, elsewhere: Tiny, tmp_path: Path) -> None:
    import hashlib
    import json
    import shutil

    from semeion.calibration.sets import held_classes, told_sets

    folder = tmp_path / "model"
    shutil.copytree(tiny_run.model, folder)
    limits = [0.45, 0.7]
    one = {
        "kind": "per_class",
        "thresholds": limits,
        "n_patients": [60, 60],
        "calibration": {"split": "calibration", "n": 120, "n_patients": 120},
        "promise": "The set holds the truth.",
    }
    sets = {"coverage": 0.9, "scored": "raw", "method": "split conformal", "whole": one}
    data = json.dumps(read_json(folder / "model.json") | {"sets": sets}).encode()
    (folder / "model.json").write_bytes(data)
    (folder / "model.sha256").write_text(hashlib.sha256(data).hexdigest() + "  model.json\n")
    evidence = evaluate(folder, elsewhere.table, tmp_path / "out")
    told = evidence["statuses"]["external"]
    classes, point = evidence["classes"], evidence["operating_point"]["value"]
    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    raw = table[[f"raw_{name}" for name in classes]].to_numpy()
    y = table["y_true"].map({name: k for k, name in enumerate(classes)}).to_numpy()
    yes = classes.index("malignant")
    call = np.where(table["p_malignant"] >= point, yes, 1 - yes)
    named = told_sets(held_classes(raw, limits), call)
    assert told["held"]["value"] == pytest.approx(named[np.arange(len(y)), y].mean())
    assert told["set"]["value"] == pytest.approx((named.sum(axis=1) > 1).mean())
    assert told["held"]["low"] is not None
    measured = evidence["sets"]["external"]["per_class"]
    assert measured["coverage"]["value"] == pytest.approx(held_classes(raw, limits)[np.arange(len(y)), y].mean())
    assert measured["promise"].startswith("None: these cases are of another source")
    # Headline figures are of all cases, whatever their status.
    assert evidence["metrics"]["external"]["accuracy"]["value"] == pytest.approx((call == y).mean())
    assert "The model names every class that it cannot rule out" in (tmp_path / "out" / "evaluate.html").read_text()
