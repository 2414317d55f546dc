"""The classic small network of a run: who it learns from, that its rows are no member's, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from learn.tiny import pictures, plan_of, store_of
from report.recomputed import FACTS, Told, check
from report.test_recomputed import told_of
from semeion.artefacts import read_json
from semeion.cohort.cohort import Cohort, Target, read_cohort
from semeion.errors import Interrupted
from semeion.evidence.weigh import weigh
from semeion.learn import classic as learning
from semeion.model.engine import open_engine
from semeion.plan.files import read_plan, write_plan
from semeion.plan.schema import ClassicPlan, Plan
from semeion.plan.splits import Sides
from semeion.prepare.store import open_store
from semeion.progress import Silent
from semeion.report.evidence import Evidence
from semeion.report.performance import performance
from semeion.report.words import HEADLINE
from semeion.study import baseline
from semeion.study.baseline import (
    Baseline,
    baseline_graph,
    baseline_json,
    predict_baseline,
    train_baseline,
    with_baseline,
)
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.inspect import labels
from semeion.study.learning import Trained, question_of
from semeion.study.predicting import Decision, Predicted, operating_points
from semeion.study.road import resume_run, sides_of
from semeion.study.weighing import point_json
from support.tiny import TinyRun, contents_of, make_cohort, make_plan, train_tiny

Runs = Callable[..., TinyRun]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A function that returns a run with a classic network of two epochs, made once."""
    made: dict[tuple[str, str], TinyRun] = {}

    def run(task: str = "binary", split: str = "given") -> TinyRun:
        if (task, split) not in made:
            folder = tmp_path_factory.mktemp(f"classic-{task}")
            tiny = make_cohort(folder, task=task, split=split)
            plan = make_plan(task, scheme="given" if split == "given" else "folds", steps=6)
            plan.baseline = ClassicPlan(epochs=2)
            write_plan(plan, folder / "fixed.yaml")
            made[task, split] = train_tiny(tiny, folder / "fixed.yaml", folder / "run")
        return made[task, split]

    return run


def rows_of(run: TinyRun, member: str, split: str) -> pd.DataFrame:
    table = pd.read_parquet(run.path / "predictions.parquet")
    return table[(table["member"] == member) & (table["split"] == split)].reset_index(drop=True)


# Who it learns from, and what it says


def test_it_learns_from_the_training_cases_alone(runs: Runs) -> None:
    run = runs()
    facts = read_json(run.path / "baseline" / "classic.json")
    assert facts["cases"] == int((run.cohort.rows["split"] == "train").sum())
    assert (facts["epochs"], facts["fold"], facts["graph_difference"] < 1e-4) == (2, -1, True)
    assert read_plan(run.path / "plan.executed.yaml").baseline == ClassicPlan(epochs=2)


def test_its_predictions_are_those_of_its_graph(runs: Runs) -> None:
    run = runs()
    store = open_store(run.path / "store")
    cases = read_cohort(run.path / "cohort.parquet").table
    rows = rows_of(run, "classic", "test")
    place = cases.reset_index().set_index("case_id")["index"].loc[rows["case_id"]].to_numpy(np.int64)
    engine = open_engine(run.path / "baseline" / "classic.onnx", 1)
    logits = engine.run(store.take(place)).astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(rows[["raw_benign", "raw_malignant"]].to_numpy(), p, atol=1e-6)
    assert set(rows["case_id"]) == set(rows_of(run, "ensemble", "test")["case_id"])


def test_with_folds_each_case_is_read_by_a_network_that_did_not_learn_from_it(runs: Runs) -> None:
    run = runs("binary", "test")
    cohort = read_cohort(run.path / "cohort.parquet")
    plan = read_plan(run.path / "plan.executed.yaml")
    parts = sides_of(cohort, pd.read_parquet(run.path / "scan.parquet"), plan)
    patients = cohort.table["patient_id"].to_numpy()
    store = open_store(run.path / "store")
    out, test = rows_of(run, "classic", "oof"), rows_of(run, "classic", "test")
    read = {}
    for side in parts:
        facts = read_json(run.path / "baseline" / f"classic-fold{side.fold}.json")
        assert facts["cases"] == len(side.learn)
        assert not set(patients[side.learn]) & set(patients[side.held_out])
        of_fold = out[out["fold"] == side.fold]
        assert set(of_fold["case_id"]) == set(cohort.table["case_id"].iloc[side.held_out])
        engine = open_engine(baseline_graph(RunFolder(run.path), side.fold), 1)
        everything = engine.run(store.take(np.arange(store.n, dtype=np.int64))).astype(np.float64)
        p = pd.Series((1 / (1 + np.exp(everything[:, 0] - everything[:, 1]))), index=cohort.table["case_id"])
        assert np.allclose(of_fold["raw_malignant"], p.loc[of_fold["case_id"]], atol=1e-6)
        read[side.fold] = p
    mean = sum(p.loc[test["case_id"]].to_numpy() for p in read.values()) / len(parts)
    assert np.allclose(test["raw_malignant"], mean, atol=1e-6)


# That it is no member


@pytest.mark.parametrize("split", ["given", "test"])
def test_the_ensemble_and_the_model_are_without_it(split: str, runs: Runs) -> None:
    run = runs("binary", split)
    assert "classic" not in {member["name"] for member in run.evidence["members"]}
    assert not [name for name in contents_of(run.model) if "classic" in name]
    members = [member["name"] for member in run.evidence["members"]]
    found = [rows_of(run, name, "test")["raw_malignant"].to_numpy() for name in members]
    assert np.allclose(rows_of(run, "ensemble", "test")["raw_malignant"], np.mean(found, axis=0), atol=1e-12)


def test_sets_across_folds_do_not_take_it_for_a_member(runs: Runs) -> None:
    sets = runs("binary", "test").evidence["sets"]["test"]
    assert "members" not in sets.get("reason", "")
    assert sets["calibration"]["split"] == "oof"


# What is said


def test_its_figures_and_the_paired_difference_are_in_the_evidence(runs: Runs) -> None:
    run = runs()
    told = run.evidence["baseline"]["classic"]
    assert (told["networks"], told["epochs"]) == (1, 2)
    metrics, difference = told["metrics"]["test"], told["difference"]["test"]
    assert metrics.keys() == difference.keys() == run.evidence["metrics"]["test"].keys()
    rows = rows_of(run, "classic", "test")
    area = roc_auc_score(rows["y_true"] == "malignant", rows["p_malignant"])
    assert metrics["auroc"]["value"] == pytest.approx(area)
    assert run.evidence["audits"]["trivial-baseline"]["figures"]["classic_auroc"] == pytest.approx(area)
    own = run.evidence["metrics"]["test"]["auroc"]["value"]
    assert difference["auroc"]["value"] == pytest.approx(own - area)


@pytest.mark.parametrize("split", ["given", "test"])
def test_every_number_of_its_row_on_the_page_is_that_of_the_predictions(split: str, runs: Runs) -> None:
    run = runs("binary", split)
    report = read_json(run.path / "report.json")
    told = replace(told_of(run.path, run.evidence), cohort=pd.read_parquet(run.path / "cohort.parquet"))
    shown = {key: report["performance"][key] for key in ("split", "classic")}
    seen = check({"headline": report["headline"], "performance": shown}, told, FACTS)
    assert seen["performance/classic/rows/(\\d+)"] >= 3 * 9
    assert "The classic small network: AUROC " in (run.path / "report.html").read_text()


def test_its_calibration_and_point_come_from_the_cases_that_chose_the_ensembles(runs: Runs) -> None:
    point = runs().evidence["baseline"]["classic"]["operating_point"]
    own = runs().evidence["operating_point"]
    assert (point["rule"], point["chosen_on"], point["n"]) == (own["rule"], "val", own["n"])


def beside(task: str, folder: Path) -> tuple[Plan, Baseline, Predicted, Predicted]:
    """Train and read it for a task without a run, and make an ensemble that is surer of the truth of most cases."""
    pixels, y = pictures(task)
    store = store_of(pixels, folder / "store")
    plan = plan_of(task)
    plan.baseline = ClassicPlan(epochs=4)
    target = plan.target
    own = Target(target.name, target.task, tuple(target.classes), target.positive)
    split = np.repeat(["train", "val", "test"], [100, 30, 30])
    table = pd.DataFrame({"case_id": [f"c{k}" for k in range(len(y))], "site": None, "split": split})
    table["patient_id"] = table["case_id"]
    for k, name in enumerate(own.columns):
        table[name] = y if y.ndim == 1 else y[:, k]
    cohort = Cohort(table, own)
    side = Sides(-1, np.arange(100), np.arange(100, 130), np.empty(0, np.int64))
    run = RunFolder(folder)
    plan, found = train_baseline(run, plan, store, y, [side], Clock(), Silent())
    classic = predict_baseline(run, Trained(plan), found, store, cohort, y, [side])
    assert classic is not None
    better = classic.table.assign(member="ensemble")
    most = np.random.default_rng(0).random((len(better), 1)) < 0.6
    if task == "regression":
        better["y_pred"] = (better["y_pred"] + better["y_true"]) / 2
    else:
        names = [name for name in better if str(name).startswith("p_")]
        hot = np.stack([better["y_true"] == str(name)[2:] for name in names], axis=1)
        better[names] = np.where(most, (better[names].to_numpy() + hot) / 2, better[names])
        better.loc[better["y_true"].isna(), names] = 0.5
    return plan, found, replace(classic, table=better), classic


@pytest.mark.parametrize("task", ["multiclass", "ordinal", "multilabel", "regression"])
def test_every_task_is_compared_and_every_number_told_can_be_made_anew(task: str, tmp_path: Path) -> None:
    plan, found, ensemble, classic = beside(task, tmp_path)
    both, question = with_baseline(ensemble, classic), question_of(plan)
    bootstrap = {"seed": 3, "resamples": 50}
    points = operating_points(both, "youden", task, plan.target.classes)
    weighed = weigh(both.table, question, points=points, **bootstrap)
    told = baseline_json(found, both, classic, question, "youden", **bootstrap)
    place = {"target": question.target, "task": task, "positive": None, "classes": list(question.classes)}
    evidence = {"schema": 1, "semeion": "1", **place, **weighed, "baseline": told}
    evidence["operating_point"] = point_json(points, "val", 30, question)
    shown = {"split": "test", "classic": performance(Evidence.model_validate(evidence), "test")["classic"]}
    rows = shown["classic"]["rows"]
    assert [row["key"] for row in rows] == list(HEADLINE[task])
    seen = check({"performance": shown}, Told(both.table, evidence, weighed), FACTS)
    assert seen["performance/classic/rows/(\\d+)"] >= 9
    better = {"ensemble", "none", "unknown"} | ({"differs"} if task == "regression" else set())
    assert {row["verdict"] for row in rows} <= better
    if task == "multilabel":
        labels = told["classic"]["targets"]
        assert set(labels) == set(question.classes)
        assert all(set(label) == {"metrics", "difference", "operating_point"} for label in labels.values())


# Going on, and going without


def trained_alone(run: TinyRun, folder: Path, **choices: Any) -> tuple[Any, Baseline]:
    """Train the classic network of a finished run again, in another folder."""
    cohort, store = read_cohort(run.path / "cohort.parquet"), open_store(run.path / "store")
    plan = read_plan(run.path / "plan.yaml")
    plan.budget.seconds = choices.pop("budget", None)
    folder.mkdir(parents=True, exist_ok=True)
    sides = sides_of(cohort, pd.read_parquet(run.path / "scan.parquet"), plan)
    clock = Clock(plan.budget.seconds)
    return train_baseline(RunFolder(folder), plan, store, labels(cohort), sides, clock, Silent(), **choices)


def test_the_same_plan_gives_the_same_network(runs: Runs, tmp_path: Path) -> None:
    trained_alone(runs(), tmp_path)
    assert (tmp_path / "baseline/classic.onnx").read_bytes() == (runs().path / "baseline/classic.onnx").read_bytes()


def test_a_stop_keeps_finished_folds_and_goes_on_with_the_others(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs("binary", "test")
    done: list[int] = []
    real = learning.train_classic

    def counted(*given: Any, **named: Any) -> Any:
        done.append(1)
        return real(*given, **named)

    monkeypatch.setattr(learning, "train_classic", counted)
    with pytest.raises(Interrupted):
        trained_alone(run, tmp_path, stop=lambda: len(done) == 2)
    assert (tmp_path / "baseline/classic-fold0.json").exists()
    assert not (tmp_path / "baseline/classic-fold1.json").exists()
    _, found = trained_alone(run, tmp_path)
    assert len(done) == 3
    assert [facts["fold"] for facts in found.facts] == [0, 1]
    graph = "baseline/classic-fold1.onnx"
    assert (tmp_path / graph).read_bytes() == (run.path / graph).read_bytes()


def test_where_it_takes_too_long_the_run_goes_without_and_says_why(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline, "MOST", 0.0)
    monkeypatch.setattr(learning, "JUDGED_FROM", 1)
    plan, found = trained_alone(runs(), tmp_path, budget=600.0)
    assert plan.baseline is None
    assert found.reason.startswith("it would have taken about ")
    assert plan.budget.why["baseline"] == found.reason
    # A resume decides the same, whatever the pace is then.
    monkeypatch.undo()
    assert trained_alone(runs(), tmp_path, budget=600.0) == (plan, found)


def test_a_plan_without_it_says_so(tiny_run: TinyRun) -> None:
    assert tiny_run.evidence["baseline"] == {"classic": {"reason": "the plan has none"}}
    assert not (tiny_run.path / "baseline").exists()
    assert "was not trained: the plan has none" in (tiny_run.path / "report.html").read_text()
    assert tiny_run.evidence["audits"]["trivial-baseline"]["figures"]["classic_network"] == "not compared"


def test_the_reason_of_the_planner_reaches_the_evidence(tiny_run: TinyRun) -> None:
    plan = make_plan()
    plan.budget.why["baseline"] = "it would take too long"
    _, found = train_baseline(None, plan, None, None, [], None, Silent())  # type: ignore[arg-type]
    nothing = Predicted(pd.DataFrame(), Decision(None, None, "val", 0))
    question = question_of(plan)
    assert baseline_json(found, nothing, None, question, "youden", seed=0) == {
        "classic": {"reason": "it would take too long"}
    }
    assert with_baseline(nothing, None) is nothing


def test_a_finished_run_stays_as_it_is(runs: Runs) -> None:
    before = contents_of(runs().path / "baseline")
    resume_run(runs().path, Silent())
    assert contents_of(runs().path / "baseline") == before
