"""What ships to watch a model by: of no test case, of five patients at least, and the same again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semeion.cli.app import run
from semeion.model.manifest import OperatingPoint
from semeion.model.opening import open_files
from semeion.monitor.asks import Question
from semeion.monitor.baseline import Baseline, read_baseline
from semeion.monitor.statistics import statistics_of
from semeion.study.monitor_baseline import _set_aside, _statistics
from support.tiny import TinyRun, make_cohort, save_plan, train_tiny


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A run with a given split of 240 patients, two cases each: 60 validate."""
    home = tmp_path_factory.mktemp("watched")
    cohort = make_cohort(home / "source", n=480, split="given")
    return train_tiny(cohort, save_plan(home, scheme="given", steps=40), home / "run")


def shipped(run_of: TinyRun) -> Baseline:
    assert open_files(run_of.model).manifest.monitor == "baseline.json"
    return read_baseline((run_of.model / "baseline.json").read_bytes(), where="baseline.json")


def test_images_are_of_learning_and_validation_cases_one_a_patient(given: TinyRun) -> None:
    found = {one.name: one for one in shipped(given).statistics}
    rows = given.cohort.rows
    patients = rows.loc[rows["split"] != "test", "patient_id"].nunique()
    assert sum(found["mean"].counts) == patients
    assert sum(found["size_i"].counts) == patients
    assert "spacing_i" not in found


def test_answers_are_of_cases_that_nobody_learned_from(given: TinyRun) -> None:
    known = shipped(given)
    found = {one.name: one for one in known.statistics}
    rows = given.cohort.rows
    patients = rows.loc[rows["split"] == "val", "patient_id"].nunique()
    assert sum(found["p_malignant"].counts) == patients
    assert sum(known.prevalence.values()) == patients
    assert {one.family for one in known.statistics} >= {"inputs", "features", "probabilities", "prevalence"}


def test_every_bin_holds_five_patients_or_none(given: TinyRun) -> None:
    for one in shipped(given).statistics:
        assert all(count == 0 or count >= 5 for count in one.counts), one.name


def test_test_cases_have_no_part_in_it(given: TinyRun, tmp_path: Path) -> None:
    """Other pictures and labels of the test cases leave every byte as it is."""
    cohort = make_cohort(tmp_path / "source", n=480, split="given")
    rows = cohort.rows.copy()
    test = (rows["split"] == "test").to_numpy()
    rows.loc[test, "finding"] = np.roll(rows.loc[test, "finding"].to_numpy(), 1)
    cohort = cohort.rewrite(finding=rows["finding"])
    again = train_tiny(cohort, save_plan(tmp_path, scheme="given", steps=40), tmp_path / "run")
    assert (again.model / "baseline.json").read_bytes() == (given.model / "baseline.json").read_bytes()


def test_cases_held_out_raise_no_alarm_and_darker_ones_do(given: TinyRun, tmp_path: Path) -> None:
    import cv2

    table = given.cohort.table.parent / "held.csv"
    rows = given.cohort.rows[given.cohort.rows["split"] == "test"].drop(columns="split")
    rows.to_csv(table, index=False)
    log = tmp_path / "log"
    words = ["predict", str(given.model), str(table), "-o", str(tmp_path / "f.csv"), "--log", str(log), "--quiet"]
    assert run(words, 0.0) == 0
    assert run(["monitor", str(given.model), str(log), "-o", str(tmp_path / "a")], 0.0) == 0
    line = pd.read_parquet(log / "log.parquet").iloc[0]
    assert np.isfinite(line["feature_distance"])
    for name in rows["image"]:
        image = cv2.imread(str(table.parent / name), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(tmp_path / Path(name).name), (image * 0.7).astype(np.uint8))
    other = rows.assign(image=[Path(name).name for name in rows["image"]], case_id="d" + rows["case_id"])
    other.to_csv(tmp_path / "dark.csv", index=False)
    assert run([*words[:2], str(tmp_path / "dark.csv"), *words[3:]], 0.0) == 0
    assert run(["monitor", str(given.model), str(log), "-o", str(tmp_path / "b")], 0.0) == 1


def test_of_folds_probabilities_are_not_compared_and_too_few_patients_have_no_baseline(
    tmp_path: Path, tiny_run: TinyRun
) -> None:
    assert open_files(tiny_run.model).manifest.monitor is None, "30 patients"
    cohort = make_cohort(tmp_path / "source", n=280)
    found = shipped(train_tiny(cohort, save_plan(tmp_path), tmp_path / "run"))
    assert {one.family for one in found.statistics} >= {"inputs", "prevalence"}
    assert "probabilities" not in {one.family for one in found.statistics}
    assert sum(next(one for one in found.statistics if one.family == "prevalence").counts) == 140


def test_a_class_that_few_are_called_is_not_told_by_the_others() -> None:
    asked = Question("multiclass", ("a", "b", "c"), None, OperatingPoint(rule="argmax"))
    p = np.eye(3)[[0] * 40 + [1] * 30 + [2] * 2]
    found = _statistics(statistics_of({f"p_{name}": p[:, k] for k, name in enumerate("abc")}, asked), one_class=True)
    counts = {one.name: one.counts for one in found if one.family == "prevalence"}
    assert counts == {"called a": [0, 35, 37], "called b": [0, 42, 30], "called c": [0, 67, 5]}
    assert [one.counts for one in _set_aside({"patients": 60, "marked": {"together": 2 / 60}})] == [[0, 55, 5]]
