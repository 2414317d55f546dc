"""The classic network is planned where the budget allows it, and otherwise it is said why not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from plan.made import cohort_of, fingerprint_of, machine_of, plan_of
from semeion.plan.classic import BATCH, EPOCHS, NO_CLASSIC, SHARE, SHARE_LEFT, STEP_SECONDS, plan_classic
from semeion.plan.files import read_plan, write_plan
from semeion.plan.rules import Wishes, make_plan
from semeion.plan.schema import ClassicPlan, Plan, ValidationPlan

GIVEN, FOLDS = ValidationPlan(scheme="given"), ValidationPlan(scheme="folds", folds=5)


def test_it_takes_ten_epochs_and_the_time_of_its_steps() -> None:
    plan, why_not = plan_classic(546, GIVEN, 600, 500, 0.03)
    assert plan is not None
    assert why_not == ""
    assert plan.epochs == EPOCHS == 10
    assert plan.seconds == pytest.approx(10 * math.ceil(546 / 32) * 0.03, abs=0.05)
    assert "as measured" in plan.why["seconds"]
    unknown, _ = plan_classic(546, GIVEN, 600, 500)
    assert unknown is not None
    assert unknown.seconds == pytest.approx(180 * STEP_SECONDS, abs=0.05)
    assert "not measured" in unknown.why["seconds"]


def test_every_fold_has_its_own() -> None:
    one, _ = plan_classic(320, GIVEN, 10_000, 10_000, 0.03)
    five, _ = plan_classic(320, FOLDS, 10_000, 10_000, 0.03)
    assert one is not None
    assert five is not None
    assert five.seconds == pytest.approx(5 * one.seconds)


def test_where_it_takes_too_much_there_is_none_and_the_reason_says_how_much() -> None:
    plan, why = plan_classic(20_000, GIVEN, 900, 800, 0.04)
    assert plan is None
    assert why == (
        "the classic network (one of 10 epochs) would take about 250 s, more than 8% of the 900 s of the budget"
    )
    plan, why = plan_classic(3200, FOLDS, 10_000, 900, 0.04)
    assert plan is None
    assert why.endswith(
        "(5, one a fold, of 10 epochs) would take about 200 s, more than 20% of the 900 s left for learning"
    )


@given(st.integers(1, 10**6), st.sampled_from([GIVEN, FOLDS]), st.floats(1, 1e6), st.floats(-100, 1e6), st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_it_never_takes_more_than_its_share(
    cases: int, validation: ValidationPlan, budget: float, left: float, step: float
) -> None:
    plan, why = plan_classic(cases, validation, budget, left, step)
    assert (plan is None) == bool(why)
    if plan is not None:
        assert plan.seconds <= SHARE * budget
        assert plan.seconds <= SHARE_LEFT * left


def test_the_members_have_less_time_by_what_it_takes() -> None:
    facts = fingerprint_of(cohort=cohort_of(60))
    machine = machine_of(facts)
    made = [
        make_plan(facts, replace(machine, facts={**machine.facts, "classic_step": step}), Wishes(budget=600))
        for step in (0.2, 9.0)
    ]
    assert made[0].baseline is not None
    assert made[1].baseline is None
    assert "more than 8%" in made[1].budget.why["baseline"]
    assert "baseline" not in made[0].budget.why
    assert "the classic network" in made[0].budget.why["expected_seconds"]
    assert made[0].budget.expected_seconds <= 601


def test_networks_that_are_part_of_a_larger_model_have_none() -> None:
    plan = plan_of(wishes=Wishes(classic=False))
    assert plan.baseline is None
    assert plan.budget.why["baseline"] == NO_CLASSIC


def test_batch_is_that_of_the_network() -> None:
    from semeion.learn import classic

    assert classic.BATCH == BATCH


def test_plans_from_before_it_still_read(tmp_path: Path) -> None:
    plan = plan_of()
    assert isinstance(plan.baseline, ClassicPlan)
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml") == plan
    old = plan.model_dump(mode="json", by_alias=True)
    del old["baseline"]
    assert Plan.model_validate(old).baseline is None


@pytest.mark.parametrize("name", ["classic", "ensemble"])
def test_no_member_may_have_the_name_of_other_rows(name: str) -> None:
    plan = plan_of().model_dump(mode="json", by_alias=True)
    plan["members"][0]["name"] = name
    with pytest.raises(ValidationError, match=f"a member is called '{name}', which names other rows"):
        Plan.model_validate(plan)


def test_epochs_are_at_least_one() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        ClassicPlan(epochs=0)
