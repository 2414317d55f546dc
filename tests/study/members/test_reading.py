"""What members still have to look at when all have learned, and the time that is kept for it."""

from __future__ import annotations

import numpy as np
import pytest

from semeion.plan.recipes import FrozenRecipe, NetworkRecipe, PretrainedPlan
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.study.clock import Clock
from semeion.study.members.following import Fold, next_member
from semeion.study.members.reading import reading_of
from semeion.study.members.shares import left_for_learning
from support.tiny import make_plan

ROWS = np.arange(100, dtype=np.int64)
GIVEN = [Sides(-1, ROWS[:60], ROWS[60:80], ROWS[:0])]


class Begun(Clock):
    """A clock that stands at the beginning."""

    def used(self) -> float:
        return 0.0


def plan_of(*recipes: str | None, seconds: float = 100.0) -> Plan:
    """Return a plan of a given split with one member of each recipe."""
    plan = make_plan(seconds=seconds, scheme="given")
    tuned = NetworkRecipe(network=PretrainedPlan(side=64), training=plan.training)
    members = [
        MemberPlan(name=f"{name or 'own'}-{number}", recipe=name, seed=number, steps=0 if name == "frozen" else 10)
        for number, name in enumerate(recipes)
    ]
    return plan.model_copy(
        update={"recipes": {"frozen": FrozenRecipe(side=64), "tuned": tuned}, "members": members}, deep=True
    )


def test_who_reads_what_at_the_end() -> None:
    plan = plan_of("frozen", "frozen", "tuned", "tuned", None)
    reading = reading_of(plan, GIVEN, 110)
    assert reading.unseen == 30, "110 cases, of which 80 are learned from or chosen on"
    reading.seconds = {"frozen": 0.1, "tuned": 0.2, None: 0.01}
    # Features are taken once for both heads; each network looks for itself.
    assert reading.of_all(plan) == pytest.approx(30 * 0.1 + 2 * 30 * 0.2 + 30 * 0.01)


def test_cases_that_a_fold_holds_out_are_read_by_its_own_members() -> None:
    plan = make_plan(seconds=100.0, folds=2, repeats=2)
    sides = [Sides(0, ROWS[20:60], ROWS[60:80], ROWS[:20]), Sides(1, ROWS[:20], ROWS[60:80], ROWS[20:60])]
    reading = reading_of(plan, sides, 80)
    reading.saw(None, 0.5)
    assert reading.unseen == 0
    assert [reading.of_member(plan, None, fold) for fold in (0, 1)] == [10.0, 20.0]
    assert reading.of_all(plan) == 2 * (10.0 + 20.0)


def test_every_further_member_keeps_its_time_from_learning() -> None:
    plan = plan_of("tuned")
    plan.budget.reserve, plan.budget.reading = 12.0, 6.0
    reading = reading_of(plan, GIVEN, 110)
    reading.saw("tuned", 0.2)
    reading.keep(plan)
    assert plan.budget.reserve == 12.0, "the 6 s that this member reads are in the reserve"
    plan.members.append(plan.members[0].model_copy(update={"name": "tuned-9"}))
    reading.keep(plan)
    assert plan.budget.reserve == pytest.approx(18.0)
    assert left_for_learning(plan, Begun(100.0)) == pytest.approx(82.0)
    reading.saw("tuned", 0.1)
    reading.keep(plan)
    assert plan.budget.reserve == 12.0, "never less than what was planned"


def test_before_a_member_was_seen_its_steps_tell_and_without_any_nothing() -> None:
    plan = plan_of("tuned")
    reading = reading_of(plan, GIVEN, 110)
    assert reading.of_all(plan) == 0.0
    plan.budget.step_seconds = {"tuned": 1.6}
    # A look is a fifth of learning from a case, and 16 are in a step.
    assert reading.of_all(plan) == pytest.approx(30 * 0.2 * 1.6 / 16)


def test_a_member_whose_reading_does_not_fit_is_not_begun() -> None:
    plan = plan_of("tuned", None)
    said = np.full((20, 2), 0.5)
    fold = Fold(-1, np.tile([0.0, 1.0], 10), np.arange(20), {"tuned-0": said, "own-1": said}, 10.0)
    seconds = {"tuned": 1.0, None: 1.0}
    free = next_member(plan, [fold], 12.0, seconds)
    assert isinstance(free, MemberPlan)
    assert free.steps == 11
    short = next_member(plan, [fold], 12.0, seconds, reading=lambda recipe, _fold: 4.0)
    assert isinstance(short, MemberPlan)
    assert short.steps == 7
    other = next_member(plan, [fold], 12.0, seconds, reading=lambda recipe, _fold: 0.0 if recipe == "tuned" else 11.0)
    assert isinstance(other, MemberPlan)
    assert other.recipe == "tuned"
    assert next_member(plan, [fold], 12.0, seconds, reading=lambda recipe, _fold: 11.0) == "budget"
