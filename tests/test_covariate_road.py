"""Images together with covariates, end to end: pictures of noise, and an age that tells the finding."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from explain.test_values import Kept
from report.recomputed import FACTS, Told, check
from semeion.artefacts import read_json
from semeion.cohort.cohort import CohortOptions, read_cohort
from semeion.cohort.roles import image_references
from semeion.errors import InputError
from semeion.evidence.foreign.columns import Named
from semeion.explain.values import ValueExplainer
from semeion.model.engine import open_engine
from semeion.model.neighbours import nearest
from semeion.model.reference import Distances, Space
from semeion.model.runtime import load_model
from semeion.model.values import VALUES, ValueReference
from semeion.plan.covariate_rules import with_covariates
from semeion.plan.files import read_plan, write_plan
from semeion.prepare.store import open_store
from semeion.progress import Silent
from semeion.study.covariates import known_of
from semeion.study.degrading import Reader
from semeion.study.evaluating import evaluate_model
from semeion.study.folder import RunFolder
from semeion.study.neighbours import NONE, make_neighbours
from semeion.study.predictions_file import load_predictions
from semeion.study.road import sides_of
from semeion.study.weigh_file import file_evidence
from support.tiny import MALIGNANT, TinyRun, make_cohort, make_plan, train_tiny

KINDS = {"age": "number", "sex": "levels", "smoker": "yes-no"}
RARE = "zebra"
"""A level of one patient alone: it must not ship."""


def columns(finding: Any, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    sick, n = (np.asarray(finding) == MALIGNANT) * 1.0, len(finding)
    age = (60 + 10 * (2 * sick - 1) + rng.normal(0, 10, n)).round(2).astype(object)
    age[::17] = None
    sex = np.where(rng.random(n) < 0.5, "F", "M").astype(object)
    sex[:2] = RARE
    return {"age": age, "sex": sex, "smoker": np.where(rng.random(n) < 0.5, "yes", "no")}


@pytest.fixture(scope="module", name="run")
def _run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    folder = tmp_path_factory.mktemp("covariates")
    tiny = make_cohort(folder / "data", n=96, split="test", noise=True)
    tiny = tiny.rewrite(**columns(tiny.rows["finding"], 1))
    plan = with_covariates(make_plan(), KINDS)
    plan.combination.neighbours = True
    write_plan(plan, folder / "fixed.yaml")
    # The plan names the covariates, so that no option has to.
    return train_tiny(tiny, folder / "fixed.yaml", folder / "run")


def test_both_beat_images_alone_and_the_difference_is_paired(run: TinyRun) -> None:
    table = pd.read_parquet(run.path / "predictions.parquet")
    rows = {name: table[(table["member"] == name) & (table["split"] == "oof")] for name in ("images", "ensemble")}
    areas = {name: roc_auc_score(one["y_true"] == MALIGNANT, one[f"p_{MALIGNANT}"]) for name, one in rows.items()}
    told = run.evidence["covariates"]["parts"]["images"]
    assert told["metrics"]["oof"]["auroc"]["value"] == pytest.approx(areas["images"])
    gain = told["difference"]["oof"]["auroc"]
    assert gain["value"] == pytest.approx(areas["ensemble"] - areas["images"])
    assert gain["low"] > 0
    assert gain["verdict"] == "both"
    assert set(run.evidence["covariates"]["parts"]["covariates"]["metrics"]) == {"oof", "test"}


def test_what_pushed_is_the_mean_absolute_contribution(run: TinyRun) -> None:
    pushed = run.evidence["covariates"]["pushed"]["covariates"]["test"]
    assert pushed[0]["column"] == "age"
    assert sum(row["share"] for row in pushed) == pytest.approx(1)
    model = load_model(run.model)
    model._open()
    members = model._covariates.values()
    test = run.cohort.rows[run.cohort.rows["split"] == "test"]
    known = {name: test[name].tolist() for name in KINDS}
    wanted = np.mean([np.abs(one.contributions(known)["age"]).mean() for one in members])
    assert pushed[0]["mean_absolute"] == pytest.approx(wanted)


def test_every_number_of_the_report_is_that_of_its_predictions(run: TinyRun) -> None:
    report = read_json(run.path / "report.json")
    cohort = pd.read_parquet(run.path / "cohort.parquet")
    known = cohort[["case_id", "site", "sex", "smoker"]]
    loaded = load_predictions(run.path, Named())
    loaded = replace(loaded, found=replace(loaded.found, strata=known))
    again = file_evidence(loaded, jobs=1, **run.evidence["bootstrap"])
    told = Told(pd.read_parquet(run.path / "predictions.parquet"), run.evidence, again, known, cohort)
    images = {"audits/rows/[^/]+/figures": "audits see images and training cases too, see tests/audit"}
    seen = check(report, told, FACTS | images)
    assert seen["covariates/rows/(\\d+)"] > 20
    assert report["covariates"]["names"] == list(KINDS)
    page = (run.path / "report.html").read_text()
    assert "What the covariates add" in page
    assert "reads images together with age, sex, smoker" in page


def test_what_ships_is_what_was_weighed_and_names_nobody(run: TinyRun) -> None:
    model = load_model(run.model)
    found = model.predict(run.cohort.table).set_index("case_id")
    table = pd.read_parquet(run.path / "predictions.parquet")
    rows = table[(table["member"] == "ensemble") & (table["split"] == "test")].set_index("case_id")
    assert np.abs(found.loc[rows.index, f"p_{MALIGNANT}"] - rows[f"p_{MALIGNANT}"]).max() < 1e-6
    for file in run.model.rglob("*.json"):
        assert RARE not in file.read_text()
    age = json.loads((run.model / "model.json").read_text())["inputs"]["covariates"][0]
    assert (age["name"], age["kind"]) == ("age", "number")
    known = run.cohort.rows.loc[run.cohort.rows["split"] != "test", "age"].dropna().astype(float)
    # Not all of them were learned from: the inner validation cases of a fold may be held out by the other.
    # And they are rounded until five of so few share a number.
    assert age["low"] == pytest.approx(known.quantile(0.05), abs=12)
    assert known.min() < age["low"] < age["high"] < known.max()


def test_values_are_read_against_the_learning_cases(run: TinyRun) -> None:
    model = load_model(run.model)
    assert model.manifest.values == VALUES
    known = ValueReference.model_validate_json((run.model / VALUES).read_bytes())
    assert [column.name for column in known.columns] == list(KINDS)
    rows = run.cohort.rows[(run.cohort.rows["split"] != "test") & (run.cohort.rows["finding"] == MALIGNANT)]
    age = known.columns[0].numbers[MALIGNANT]
    assert age.n <= rows["age"].notna().sum()
    assert age.quantiles["50"] == pytest.approx(rows["age"].astype(float).median(), abs=4)
    old = run.cohort.rows[run.cohort.rows["split"] == "test"].assign(age=99.0).head(1)
    seen = Kept()
    list(model.findings(old.assign(image=[str(run.cohort.table.parent / old["image"].iloc[0])]), observers=[seen]))
    told = ValueExplainer(model).explain(seen.seen[0], MALIGNANT)
    assert told[0].name == "age"
    assert "age 99, above " in told[0].sentence
    assert f"speaks for {MALIGNANT} (+" in told[0].sentence


def test_of_too_few_patients_no_neighbours_ship_and_everybody_is_told(run: TinyRun) -> None:
    assert load_model(run.model).manifest.neighbours is None
    assert run.evidence["neighbours"] == {"n": 0, "sentence": NONE}
    assert NONE in (run.model / "CARD.md").read_text()
    assert NONE in (run.path / "report.html").read_text()


def test_neighbours_are_the_learning_cases_as_the_shipped_graph_sees_them(run: TinyRun) -> None:
    cohort, facts = read_cohort(run.path / "cohort.parquet"), pd.read_parquet(run.path / "scan.parquet")
    folder, plan, store = (
        RunFolder(run.path),
        read_plan(run.path / "plan.executed.yaml"),
        open_store(run.path / "store"),
    )
    sides = sides_of(cohort, facts, plan)
    member = next(one for one in plan.members if (run.path / "members" / one.name / "graph.onnx").exists())
    graph = f"members/{member.name}.onnx"
    engine = open_engine(run.path / "members" / member.name / "graph.onnx", 1)
    features = engine.look(store.take(np.arange(store.n)), ("features",))["features"]
    width = features.shape[1]
    space = Space.model_validate(
        {
            "graph": graph,
            "width": width,
            "columns": list(range(width)),
            "mean": features.mean(axis=0).tolist(),
            "scale": (features.std(axis=0) + 1e-3).tolist(),
            "projection": np.eye(2, width).tolist(),
            "means": [[0.0, 0.0]],
            "covariance": np.eye(2).tolist(),
            "location": [0.0, 0.0],
            "spread": [1.0, 1.0],
            "limit": 1.0,
            "far": 2.0,
            "rate": 0.025,
            "cases": 50,
            "patients": 50,
        }
    )
    found = make_neighbours(folder, plan, plan.members, {member.name: graph}, cohort, store, sides, space)
    assert found is not None
    learned = np.unique(np.concatenate([side.learn for side in sides]))
    rows = cohort.table.iloc[learned]
    assert found.cases == rows["case_id"].tolist()
    assert found.standards == [("benign", MALIGNANT)[int(one)] for one in rows["y"]]
    assert "test" not in set(rows["split"].dropna())
    assert np.allclose(found.array(), Distances(space).project(features[learned]), atol=1e-4)
    # By choice the ids of cases ship, and of patients nothing.
    assert set(json.loads(found.to_json())) == {
        *("schema", "graph", "dims", "cases"),
        "standards",
        "places",
        "usual",
        "far",
    }
    assert not any(str(patient).encode() in found.to_json() for patient in cohort.table["patient_id"])
    near = nearest(found, Distances(space), features[learned[7]])
    assert (near[0].case, len(near)) == (found.cases[7], 5)
    assert near[0].distance < 1e-3


def test_another_table_is_weighed_the_same_way(run: TinyRun, tmp_path: Path) -> None:
    other = make_cohort(tmp_path / "other", n=60, noise=True, seed=9, prefix="new")
    more = columns(other.rows["finding"], 2)
    other = other.rewrite(**more)
    evidence = evaluate_model(
        run.model, other.table, tmp_path / "out", CohortOptions(), skip_bad=False, jobs=1, progress=Silent()
    )
    assert evidence["metrics"]["external"]["auroc"]["value"] > 0.75
    missing = sum(value is None for value in more["age"])
    assert f"{missing} of 60 cases carry the warning covariate-missing." in evidence["notes"]
    assert "2 of 60 cases carry the warning covariate-unseen." in evidence["notes"]
    without = other.rewrite(age=None)
    with pytest.raises(InputError, match=r"no column 'age' \(--covariates\)"):
        evaluate_model(
            run.model, without.table, tmp_path / "no", CohortOptions(), skip_bad=False, jobs=1, progress=Silent()
        )
    with pytest.raises(InputError, match="needs the covariates age, sex, smoker, and images alone have none"):
        load_model(run.model).predict([str(other.image(0))])


def test_images_made_worse_are_judged_with_the_covariates_as_they_are(run: TinyRun) -> None:
    cohort, model = read_cohort(run.path / "cohort.parquet"), load_model(run.model)
    reader = Reader(model, [], 0, known_of(cohort, model.covariates))
    cases = cohort.table["case_id"].tolist()[:5]
    combined = reader.read(cases, image_references(cohort)[:5], 1)
    found = model.predict(run.cohort.table).set_index("case_id").loc[cases]
    assert np.allclose(model.calibrated(combined[:, 0])[:, 1], found[f"p_{MALIGNANT}"])


def test_the_executed_plan_trains_the_same_again(run: TinyRun) -> None:
    assert read_plan(run.path / "plan.executed.yaml").covariates == KINDS
