"""Every number of the first page, made anew from the run's tables alone."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from semeion.report.account import account_of
from semeion.report.page import write_report
from semeion.report.reading import read_artefacts
from semeion.report.stated import FILE
from support.told import LEFT_OUT, POINT, told_run

EXACT = 1e-9


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    told_run(folder)
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    told_run(folder, scheme="folds")
    write_report(folder)
    return folder


def content(run: Path, name: str = "report") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / f"{name}.json").read_text())
    return found


def words(run: Path, name: str = "report") -> str:
    text = (run / f"{name}.html").read_text()
    text = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def slope_and_intercept(y: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """Logistic regression of the truth on logit p, without a penalty, to machine precision by Newton's steps."""
    x = np.column_stack([np.ones(len(p)), np.log(p / (1 - p))])

    def loss(b: np.ndarray) -> float:
        return float(np.logaddexp(0, x @ b).sum() - y @ (x @ b))

    b = minimize(loss, np.zeros(2)).x
    for _ in range(30):
        q = 1 / (1 + np.exp(-x @ b))
        b = b + np.linalg.solve(x.T @ (x * (q * (1 - q))[:, None]), x.T @ (y - q))
    return float(b[1]), float(b[0])


def figures(run: Path, split: str) -> dict[str, float]:
    told = pd.read_parquet(run / "predictions.parquet")
    told = told[(told["split"] == split) & (told["member"] == "ensemble")]
    y, p = (told["y_true"] == "malignant").to_numpy(float), told["p_malignant"].to_numpy()
    called = p >= POINT
    slope, intercept = slope_and_intercept(y, p)
    bins = np.minimum((p * 10).astype(int), 9)
    return {
        "auroc": float(roc_auc_score(y, p)),
        "recall": float(called[y == 1].mean()),
        "specificity": float((~called[y == 0]).mean()),
        "precision": float(y[called].mean()),
        "brier": float(((p - y) ** 2).mean()),
        "ece": sum(abs(float((y - p)[bins == k].sum())) for k in range(10)) / len(p),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
    }


@pytest.mark.parametrize(("run", "split"), [("given", "test"), ("folds", "oof")])
def test_every_figure_is_that_of_the_predictions(run: str, split: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(run)
    told = content(folder)
    assert told["headline"]["split"] == told["first"]["people"]["weighed"]["split"] == split
    shown = [*told["headline"]["figures"], *told["first"]["calibration"]["figures"]]
    true = figures(folder, split)
    assert {row["key"] for row in shown} == set(true)
    for row in shown:
        assert row["value"] == pytest.approx(true[row["key"]], abs=EXACT), row["key"]
        assert f"{row['value']:.3f}".replace("-", "−") in words(folder)


@pytest.mark.parametrize(("run", "split"), [("given", "test"), ("folds", "oof")])
def test_every_count_is_that_of_the_tables(run: str, split: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(run)
    people = content(folder)["first"]["people"]
    cohort, told = (pd.read_parquet(folder / f"{name}.parquet") for name in ("cohort", "predictions"))
    assert people["n_cases"] == len(cohort)
    assert people["n_patients"] == cohort["patient_id"].nunique()
    assert people["n_sites"] == cohort["site"].nunique() == 3
    assert people["events"] == {"malignant": int((cohort["y"] == 1).sum())}
    weighed, rows = people["weighed"], told[told["split"] == split]
    assert weighed["n"] == len(rows)
    assert weighed["n_patients"] == rows["patient_id"].nunique()
    assert weighed["n_sites"] == rows["site"].nunique()
    assert weighed["events"] == {"malignant": int((rows["y_true"] == "malignant").sum())}
    assert f"{len(cohort)} cases of {cohort['patient_id'].nunique()} patients, 3 sites" in words(folder)


def test_the_worst_subgroup_is_the_one_with_the_smallest_area(given: Path) -> None:
    cohort, told = (pd.read_parquet(given / f"{name}.parquet") for name in ("cohort", "predictions"))
    rows = told[told["split"] == "test"].merge(cohort[["case_id", "sex"]], on="case_id")
    for column in ("site", "sex"):
        areas = {
            level: roc_auc_score(part["y_true"] == "malignant", part["p_malignant"])
            for level, part in rows.groupby(column)
        }
        worst = min(areas, key=lambda level: areas[level])
        [row] = [one for one in content(given)["first"]["failures"] if one["name"] == column]
        assert row["kind"] == "subgroup"
        assert f"AUROC is lowest where {column} is {worst}: {areas[worst]:.3f} (" in row["text"]
        assert f"of {(rows[column] == worst).sum()} cases" in row["text"]


def test_hashes_are_those_of_the_files(given: Path) -> None:
    rows = content(given)["first"]["hashes"]
    assert {row["file"] for row in rows} == {"cohort.parquet", "predictions.parquet", "evidence.json"}
    for row in rows:
        assert row["sha256"] == hashlib.sha256((given / row["file"]).read_bytes()).hexdigest()
        assert row["sha256"] in words(given)
    assert "ab" * 32 in words(given)


def test_the_hash_of_the_code_stands_short_on_the_page_and_whole_in_the_json(build: Any, tmp_path: Path) -> None:
    run = build.write_run(tmp_path, build.binary() | {"code": "0123456789abcdef" * 4})
    write_report(run)
    assert content(run)["first"]["code"] == "0123456789abcdef" * 4
    assert "code Semeion 0.1.0, 0123456789ab" in words(run)
    build.write_run(tmp_path, build.binary())
    write_report(run)
    assert content(run)["first"]["code"] is None
    assert "code Semeion 0.1.0 " in words(run)


@pytest.mark.parametrize(
    ("run", "sides"), [("given", ["test", "train", "val"]), ("folds", [f"fold {k}" for k in range(5)])]
)
def test_disjointness_is_counted_anew(run: str, sides: list[str], request: pytest.FixtureRequest) -> None:
    found = content(request.getfixturevalue(run))["first"]["disjoint"]
    assert (found["shown"], found["verdict"], found["sides"], found["across"]) == (True, "clear", sides, 0)


def test_a_patient_on_two_sides_is_counted_although_the_audit_is_clear(tmp_path: Path) -> None:
    told_run(tmp_path)
    # The table is changed after the audit: the page counts what is there.
    table = pq.read_table(tmp_path / "cohort.parquet")
    cohort = table.to_pandas()
    test, train = (cohort.index[cohort["split"] == side][0] for side in ("test", "train"))
    cohort.loc[test, "patient_id"] = cohort.loc[train, "patient_id"]
    pq.write_table(
        type(table).from_pandas(cohort).replace_schema_metadata(table.schema.metadata), tmp_path / "cohort.parquet"
    )
    found = account_of(read_artefacts(tmp_path), tmp_path).first["disjoint"]
    assert (found["shown"], found["verdict"], found["across"]) == (False, "clear", 1)
    assert found["sentence"] == "1 patient is on more than one of 3 sides."


def test_without_patients_nothing_is_proved(tmp_path: Path) -> None:
    told_run(tmp_path, named=False)
    write_report(tmp_path)
    first = content(tmp_path)["first"]
    assert first["people"]["n_patients"] is None and first["people"]["weighed"]["n_patients"] is None
    assert not first["disjoint"]["shown"] and first["disjoint"]["verdict"] == "not_run"
    assert "240 cases of patients who were not named" in words(tmp_path)
    assert "Cannot be shown: patients were not named" in words(tmp_path)


def test_what_nobody_stated_is_not_provided(given: Path) -> None:
    assert "NOT PROVIDED Intended use, for which patients, in which setting, for which users" in words(given)
    assert all(row["value"] is None for row in content(given)["first"]["intended_use"]["rows"])


def test_what_was_stated_is_shown_as_it_stands_and_the_rest_not_provided(tmp_path: Path) -> None:
    told_run(tmp_path)
    (tmp_path / FILE).write_text(
        "intended_use: A second look <b>after</b> the radiologist\nnot_for: [children, emergencies]\n"
    )
    write_report(tmp_path)
    shown = words(tmp_path)
    assert "A second look <b>after</b> the radiologist" in shown
    assert "Not to be used for: children; emergencies" in shown
    assert "NOT PROVIDED For which patients, in which setting, for which users, reference standard" in shown


def external(run: Path) -> str:
    return str(account_of(read_artefacts(run), run).first["external"]["sentence"])


def test_internal_and_external_are_never_confused(given: Path, folds: Path, build: Any, tmp_path: Path) -> None:
    assert external(given) == (
        "No external validation: the figures are of held-out test cases of the model's own cohort, cohort.csv."
    )
    assert "out-of-fold cases of the model's own cohort" in external(folds)
    evidence = build.binary("external") | {"members": [], "audits": {}}
    build.write_run(tmp_path, evidence, plan=False, gallery=0)
    assert external(tmp_path) == (
        "Stated as external by the user, not verified: the shipped model read 156 cases of breastmnist. No check of it "
        "is on record."
    )
    assert account_of(read_artefacts(tmp_path), tmp_path).first["external"]["value"] is None
    evidence["weighed"] = {"own": False, "roles": {}, "split_words": {}}
    build.write_run(tmp_path, evidence, plan=False, gallery=0)
    assert external(tmp_path).startswith("Not shown: nothing in a table of predictions says")
    assert account_of(read_artefacts(tmp_path), tmp_path).first["external"]["value"] is None


def test_known_failures_name_warnings_doubtful_figures_and_a_changed_model(build: Any, tmp_path: Path) -> None:
    evidence = build.binary() | {"model": "ab" * 32}
    evidence["audits"]["target-leak"] |= {"verdict": "void", "advice": "A column repeats the target."}
    evidence["metrics"]["test"]["recall"]["reason"] = "interval unreliable"
    run = build.write_run(tmp_path, evidence)
    (run / "model").mkdir()
    (run / "model" / "model.json").write_text("{}")
    write_report(run)
    rows = content(run)["first"]["failures"]
    assert [row["name"] for row in rows] == ["model", "target-leak", "near-duplicates", "site", "Sensitivity (recall)"]
    assert "its sha256 differs" in rows[0]["text"]
    assert "Sensitivity (recall): interval unreliable" in words(run)


@pytest.mark.parametrize("task", ["multiclass", "ordinal", "multilabel", "regression"])
def test_every_task_has_a_first_page(task: str, written: Callable[[str], Path]) -> None:
    shown = words(written(task))
    for title in (
        "Intended use",
        "Patients, sites, events",
        "No patient on two sides",
        "External validation",
        "Hashes",
    ):
        assert title in shown
    rows = [row for row in content(written(task))["first"]["failures"] if row["kind"] == "class"]
    assert len(rows) == (task != "regression")


def test_the_flow_of_the_first_case_to_the_last_adds_up(given: Path) -> None:
    cohort = pd.read_parquet(given / "cohort.parquet")
    counts = cohort["split"].value_counts()
    told = content(given)["flow_diagram"]
    assert told["adds_up"] and told["steps"][0]["n_cases"] == LEFT_OUT + sum(
        counts[part["split"]] for part in told["parts"]
    )
    assert {part["split"]: part["n"] for part in told["parts"]} == dict(counts)
    for part in told["parts"]:
        events = cohort[cohort["split"] == part["split"]]["y"]
        assert part["events"] == {"malignant": int((events == 1).sum())}
    assert f"{len(cohort) + LEFT_OUT} = {LEFT_OUT} left out + {counts['train']} train" in words(given)
