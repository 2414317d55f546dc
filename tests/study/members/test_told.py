"""What several ways to learn cost and add, recomputed from the predictions of a real small run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from semeion.artefacts import read_json
from semeion.plan.files import read_plan, write_plan
from semeion.plan.recipes import NetworkPlan, NetworkRecipe
from semeion.plan.schema import CombinationPlan, MemberPlan
from semeion.plan.splits import Sides
from semeion.study.learning import Trained
from semeion.study.members.told import combination_json
from support.tiny import TinyRun, make_cohort, make_plan, save_plan, train_tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Two networks from scratch of the plan's own recipe, and one of another."""
    place = tmp_path_factory.mktemp("ways")
    cohort = make_cohort(place / "source", split="given")
    file = save_plan(place, scheme="given", repeats=2)
    plan = read_plan(file)
    second = NetworkRecipe(network=NetworkPlan(widths=[6]), training=plan.training)
    member = MemberPlan(name="second-seed0", recipe="second", seed=5, steps=plan.members[0].steps)
    changes = {"recipes": {"second": second}, "members": [*plan.members, member], "combination": CombinationPlan()}
    write_plan(plan.model_copy(update=changes), file)
    return train_tiny(cohort, file, place / "run")


def values(run: TinyRun) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, float]]:
    """Return the truth of the validation cases, each member's probabilities, and shares."""
    table = pd.read_parquet(run.path / "predictions.parquet")
    rows = table[table["split"] == "val"]
    raw = ["raw_benign", "raw_malignant"]
    by = {str(name): one.sort_values("case_id") for name, one in rows.groupby("member")}
    truth = (by["ensemble"]["y_true"] == "malignant").to_numpy().astype(int)
    shares = {name: float(one["share"].iloc[0]) for name, one in by.items() if name != "ensemble"}
    return truth, {name: one[raw].to_numpy() for name, one in by.items()}, shares


def test_the_ensemble_is_its_members_by_their_shares(run: TinyRun) -> None:
    _, said, shares = values(run)
    together = sum(share * said[name] for name, share in shares.items())
    np.testing.assert_allclose(said["ensemble"], together, atol=1e-12)
    assert sum(shares.values()) == pytest.approx(1.0)
    told = {member["name"]: member["share"] for member in run.evidence["members"]}
    assert told == pytest.approx(shares)


def test_gain_is_the_loss_without_a_way_less_that_with_it(run: TinyRun) -> None:
    truth, said, shares = values(run)
    combined = run.evidence["combination"]
    loss = log_loss(truth, said["ensemble"], labels=[0, 1])
    assert combined["loss"] == pytest.approx(loss)
    assert (combined["n"], combined["loss_name"]) == (len(truth), "log loss")
    for row in combined["recipes"]:
        rest = {name: s for name, s in shares.items() if (name == "second-seed0") != (row["recipe"] == "second")}
        if not any(rest.values()):
            rest = dict.fromkeys(rest, 1.0)
        without = sum(share * said[name] for name, share in rest.items()) / sum(rest.values())
        assert row["gain"] == pytest.approx(log_loss(truth, without, labels=[0, 1]) - loss, abs=1e-9)
        assert row["low"] <= row["gain"] <= row["high"]
        assert row["share"] == pytest.approx(1 - sum(shares[name] for name in rest))
    assert [(row["recipe"], row["members"]) for row in combined["recipes"]] == [("network", 2), ("second", 1)]


def test_why_they_count_as_they_do_is_told(run: TinyRun) -> None:
    (fold,) = run.evidence["combination"]["folds"].values()
    assert fold["reason"]
    assert read_json(run.path / "combination.json")["-1"]["reason"] == fold["reason"]
    page = (run.path / "report.html").read_text()
    assert "Ways to learn, and what each adds" in page
    assert "network from scratch" in page


def test_a_run_of_one_way_says_nothing_of_ways(tiny_run: TinyRun) -> None:
    assert "combination" not in tiny_run.evidence
    assert "Ways to learn" not in (tiny_run.path / "report.html").read_text()


def stopped(second: tuple[int, ...]) -> tuple[Trained, np.ndarray, list[Sides]]:
    """Return what a run of two folds that was stopped learned: a member of its own network in each, and a second way
    in some; two cases validate in both.
    """
    plan = make_plan(scheme="folds", folds=2)
    own = [MemberPlan(name=f"fold{fold}-seed0", fold=fold, seed=fold, steps=5) for fold in (0, 1)]
    more = [MemberPlan(name=f"second-fold{fold}", recipe="second", fold=fold, seed=7, steps=5) for fold in second]
    recipe = NetworkRecipe(network=NetworkPlan(widths=[6]), training=plan.training)
    plan = plan.model_copy(update={"members": [*own, *more], "recipes": {"second": recipe}})
    y = (np.arange(30) % 2).astype(float)
    none = np.zeros(0, dtype=np.int64)
    sides = [Sides(0, none, np.arange(10), none), Sides(1, none, np.arange(8, 18), none)]
    noise = np.random.default_rng(3)
    said = {}
    for member in plan.members:
        p = noise.uniform(0.2, 0.8, 10)
        said[member.name] = np.stack([1 - p, p], axis=1)
    facts = [{"name": member.name, "seconds": 1.0} for member in plan.members]
    return Trained(plan, facts=facts, validation=said), y, sides


def test_a_way_that_is_alone_in_a_fold_is_judged_where_others_are() -> None:
    trained, y, sides = stopped(second=(0,))
    told = combination_json(trained, y, np.arange(30), sides)
    own, second = told["recipes"]
    said, truth = trained.validation, y[:10].astype(int)
    both = log_loss(truth, (said["fold0-seed0"] + said["second-fold0"]) / 2, labels=[0, 1])
    assert own["gain"] == pytest.approx(log_loss(truth, said["second-fold0"], labels=[0, 1]) - both)
    # Fold 1 has no second way, and does without it as it is.
    assert second["gain"] == pytest.approx((log_loss(truth, said["fold0-seed0"], labels=[0, 1]) - both) / 2)
    assert (told["n"], told["n_patients"]) == (18, 18), "a case that validates in two folds is one case"


def test_ways_that_never_stand_side_by_side_have_no_gain() -> None:
    trained, y, sides = stopped(second=(1,))
    del trained.validation["fold1-seed0"]
    trained.plan.members[:] = [m for m in trained.plan.members if m.name != "fold1-seed0"]
    told = combination_json(trained, y, np.arange(30), sides)
    assert [(row["gain"], row["low"], row["high"]) for row in told["recipes"]] == [(None, None, None)] * 2
