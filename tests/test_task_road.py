"""The whole road of tasks that are more than plain classes: what ships, what is told, what is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json
from semeion.model.runtime import load_model
from semeion.plan.covariate_rules import with_covariates
from semeion.plan.files import read_plan, write_plan
from support.tiny import (
    BENIGN,
    MALIGNANT,
    Tiny,
    TinyRun,
    make_cohort,
    make_plan,
    picture,
    save_plan,
    train_tiny,
    write_picture,
)


@pytest.fixture(scope="module")
def measured_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Return a run on a measured value with folds and test cases."""
    folder = tmp_path_factory.mktemp("measured")
    plan = save_plan(folder / "plan", task="regression")
    return train_tiny(make_cohort(folder / "data", task="regression", split="test"), plan, folder / "run")


def test_a_measured_value_ships_with_the_interval_that_was_weighed(measured_run: TinyRun) -> None:
    evidence, manifest = measured_run.evidence, read_json(measured_run.model / "model.json")
    half = evidence["interval"]["half_width"]
    assert manifest["interval"] == {"coverage": 0.9, "half_width": half}
    assert evidence["intervals"]["test"]["half_width"] == half
    card = (measured_run.model / "CARD.md").read_text()
    assert "stated coverage 0.9" in card and "they held the truth of a share of" in card
    page = (measured_run.path / "report.html").read_text()
    assert "Intervals around the value" in page
    out = pd.read_parquet(measured_run.path / "predictions.parquet").query("member == 'ensemble' and split == 'oof'")
    worst = (out["y_true"] - out["y_pred"]).abs().groupby(out["patient_id"]).max().sort_values()
    assert half == pytest.approx(worst.iloc[int(np.ceil((len(worst) + 1) * 0.9)) - 1])


def test_predict_gives_the_ends_of_the_interval(measured_run: TinyRun, tmp_path: Path) -> None:
    model = load_model(measured_run.model)
    assert model.columns[4:7] == ("call", "low", "high")
    images = [measured_run.cohort.image(row) for row in range(3)]
    found = model.predict([str(image) for image in images])
    half = measured_run.evidence["interval"]["half_width"]
    assert np.allclose(found["low"], found["call"] - half) and np.allclose(found["high"], found["call"] + half)


@pytest.fixture(scope="module")
def taught_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Return a run whose members learn with weights and votes, by networks and by covariates."""
    folder = tmp_path_factory.mktemp("taught")
    tiny = make_cohort(folder / "data", n=96, split="test")
    rng, finding = np.random.default_rng(0), tiny.rows["finding"].to_numpy()
    other = np.where(finding == BENIGN, MALIGNANT, BENIGN)
    votes = {name: np.where(rng.random(96) < 0.2, other, finding) for name in ("first", "second", "third")}
    age = 60 + 10 * (finding == MALIGNANT) + rng.normal(0, 5, 96)
    tiny = tiny.rewrite(weight=np.where(finding == MALIGNANT, 1.0, 4.0), age=age.round(1), **votes)
    folder.joinpath("plan").mkdir()
    write_plan(with_covariates(make_plan(), {"age": "number"}), folder / "plan" / "fixed.yaml")
    raw = (folder / "plan" / "fixed.yaml").read_text().replace("teaching: null\n", "")
    taught = "teaching:\n  weight: weight\n  raters: [first, second, third]\n"
    folder.joinpath("plan", "fixed.yaml").write_text(raw + taught)
    # The plan names the columns, so that no option has to.
    return train_tiny(tiny, folder / "plan" / "fixed.yaml", folder / "run")


def test_weights_and_votes_are_of_learning_alone(taught_run: TinyRun) -> None:
    table = pd.read_parquet(taught_run.path / "predictions.parquet").query("member == 'ensemble'")
    truth = taught_run.cohort.rows.set_index("case_id")["finding"]
    assert (table["y_true"].to_numpy() == truth.loc[table["case_id"]].to_numpy()).all()
    assert len(table) == 96, "nobody on whom raters differ is left out"
    test = taught_run.evidence["metrics"]["test"]["accuracy"]
    held = table.query("split == 'test'")
    called = held["p_malignant"] >= taught_run.evidence["operating_point"]["value"]
    assert test["value"] == pytest.approx((called == (held["y_true"] == MALIGNANT)).mean())


def test_the_page_says_what_members_were_taught(taught_run: TinyRun) -> None:
    notes = " ".join(taught_run.evidence["notes"])
    assert "Members learn with cases weighed by 'weight' (1 to 4)" in notes
    assert "every figure count each case once" in notes
    assert "shares of the votes of first, second, third, which differ in" in notes
    assert "None is left out" in notes
    page = (taught_run.path / "report.html").read_text()
    assert "Weights of cases and votes of raters" in page and "Members learn with cases weighed by" in page
    done = read_plan(taught_run.path / "plan.executed.yaml")
    assert done.teaching is not None
    assert done.teaching.weight == "weight"
    agreement = taught_run.evidence["audits"]["rater-agreement"]
    assert agreement["figures"]["readers"] == 3


def rare(folder: Path, negatives: int, positives: int, split: list[str] | None = None, flipped: float = 0.0) -> Tiny:
    """Write pictures of a patient each, of which few are malignant; a share of the labels is wrong."""
    rng = np.random.default_rng(4)
    sick = np.arange(negatives + positives) < positives
    sick = sick if split is not None else rng.permutation(sick)
    names = [f"images/{row}.png" for row in range(len(sick))]
    for name, one in zip(names, sick, strict=True):
        write_picture(folder / name, picture(rng, 0.95 if one else rng.uniform(0, 0.4)))
    said = sick ^ (rng.random(len(sick)) < flipped)
    ids = [f"c{row}" for row in range(len(sick))]
    rows = pd.DataFrame({"case_id": ids, "patient_id": ids, "image": names})
    rows["finding"] = np.where(said, MALIGNANT, BENIGN)
    if split is not None:
        rows["split"] = split
    rows.to_csv(folder / "cohort.csv", index=False)
    return Tiny(folder / "cohort.csv", rows)


def test_three_of_two_hundred_go_the_whole_road_and_claim_little(tmp_path: Path) -> None:
    """One positive a fold: each is held out, validates and is learned from once; intervals say how little that is."""
    plan = save_plan(tmp_path, folds=3, steps=8, class_weights=[0.7, 6.0])
    run = train_tiny(rare(tmp_path / "data", 200, 3), plan, tmp_path / "run")
    figures = run.evidence["metrics"]["oof"]
    assert figures["recall"]["n"] == 203
    assert figures["recall"]["high"] - figures["recall"]["low"] > 0.5
    assert "fewer than 10" in figures["auprc"]["reason"]
    for name in ("class-counts", "small-sample"):
        assert run.evidence["audits"][name]["verdict"] == "warn"
    per_class = run.evidence["sets"]["oof"]["per_class"]
    assert "patients with malignant calibrate, and promising 0.9 for each class takes 9" in per_class["reason"]


def test_validation_cases_of_one_class_choose_no_point_and_say_so(tmp_path: Path) -> None:
    split = [*["train"] * 4, *["test"] * 4, *(["train", "train", "val", "test"] * 20)]
    run = train_tiny(
        rare(tmp_path / "data", 80, 8, split), save_plan(tmp_path, scheme="given", steps=8), tmp_path / "run"
    )
    notes = " ".join(run.evidence["notes"])
    assert "no operating point could be chosen" in notes and "so 0.5 stands" in notes
    assert run.evidence["operating_point"]["value"] == 0.5
    assert run.evidence["metrics"]["val"]["auroc"]["value"] is None
    assert run.evidence["metrics"]["test"]["auroc"]["n"] == 24


def test_a_tenth_of_wrong_labels_is_told_and_costs_what_it_costs(tmp_path: Path) -> None:
    tiny = rare(tmp_path / "data", 60, 60, flipped=0.1)
    run = train_tiny(tiny, save_plan(tmp_path, folds=2, steps=30), tmp_path / "run")
    assert run.evidence["audits"]["label-errors"]["verdict"] in ("warn", "note")
    auroc = run.evidence["metrics"]["oof"]["auroc"]
    # A perfect reader cannot agree with labels of which a tenth is wrong: nothing here may claim it.
    assert auroc["high"] < 1 and auroc["low"] > 0.5
