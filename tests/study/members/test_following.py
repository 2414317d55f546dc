from __future__ import annotations

from dataclasses import replace

import numpy as np

from semeion.plan.members import most_members
from semeion.plan.recipes import FrozenRecipe, NetworkRecipe, PretrainedPlan
from semeion.plan.schema import MemberPlan, Plan
from semeion.study.members.following import Fold, next_member, step_seconds, ways_left
from support.tiny import make_plan

CASES = 40
Y = (np.arange(CASES) % 2).astype(float)
GROUPS = np.arange(CASES)


def portfolio() -> Plan:
    """Return a plan with a given split: frozen features, a pretrained network that learns, and the own network."""
    plan = make_plan(seconds=600.0, scheme="given")
    tuned = NetworkRecipe(network=PretrainedPlan(side=64), training=plan.training)
    return plan.model_copy(
        update={
            "recipes": {"frozen": FrozenRecipe(side=64), "tuned": tuned},
            "members": [
                MemberPlan(name="frozen-seed0", recipe="frozen", seed=1, steps=0),
                MemberPlan(name="tuned-seed0", recipe="tuned", seed=2, steps=20),
                MemberPlan(name="seed0", seed=3, steps=40),
            ],
        }
    )


def said(sharpness: float, seed: int = 0) -> np.ndarray:
    """Return probabilities that are the better the larger `sharpness` is."""
    noise = np.random.default_rng(seed).normal(size=CASES)
    p = 1 / (1 + np.exp(-(sharpness * (2 * Y - 1) + noise)))
    return np.stack([1 - p, p], axis=1)


def fold_of(own: float, tuned: float, seconds: float = 30.0) -> Fold:
    answers = {"frozen-seed0": said(1.0, 9), "tuned-seed0": said(tuned), "seed0": said(own)}
    return Fold(-1, Y, GROUPS, answers, seconds)


SECONDS = {None: 0.5, "tuned": 1.0}


def test_a_handful_of_patients_gives_nothing_up():
    few = fold_of(own=3.0, tuned=0.0)
    few = replace(few, y=few.y[:9], groups=few.groups[:9], said={name: one[:9] for name, one in few.said.items()})
    assert ways_left(portfolio(), few) == [None, "tuned"]


def test_a_way_that_is_clearly_worse_is_given_up():
    plan = portfolio()
    assert ways_left(plan, fold_of(own=3.0, tuned=0.0)) == [None]
    assert ways_left(plan, fold_of(own=0.0, tuned=3.0)) == ["tuned"]


def test_ways_that_may_be_equal_both_stay():
    assert set(ways_left(portfolio(), fold_of(own=1.0, tuned=1.0))) == {None, "tuned"}


def test_a_way_that_was_not_tried_is_neither_given_up_nor_begun():
    plan, fold = portfolio(), fold_of(1.0, 1.0)
    del fold.said["tuned-seed0"]
    assert ways_left(plan, fold) == [None]


def test_the_way_with_fewest_members_is_next():
    plan, fold = portfolio(), fold_of(1.0, 1.0)
    first = next_member(plan, [fold], 1000.0, SECONDS)
    assert isinstance(first, MemberPlan)
    assert first.recipe is None
    plan.members.append(first)
    fold.said[first.name] = said(1.0, 5)
    second = next_member(plan, [fold], 1000.0, SECONDS)
    assert isinstance(second, MemberPlan)
    assert second.recipe == "tuned"
    assert (first.name, second.name) == ("seed1", "tuned-seed1")
    assert first.seed != second.seed


def test_what_does_not_fit_leaves_room_for_what_does():
    plan, fold = portfolio(), fold_of(1.0, 1.0)
    # A quarter of 40 steps of half a second, and its overhead, fit into 7 s; a quarter of 20 steps of 10 s do not.
    member = next_member(plan, [fold], 7.0, {None: 0.5, "tuned": 10.0})
    assert isinstance(member, MemberPlan)
    assert (member.recipe, member.steps) == (None, 12)
    assert next_member(plan, [fold], 4.0, {None: 0.5, "tuned": 10.0}) == "budget"


def test_the_fold_that_learned_least_is_next():
    plan = make_plan(seconds=600.0)
    folds = [
        Fold(number, Y, GROUPS, {f"fold{number}-seed0": said(1.0)}, seconds)
        for number, seconds in ((0, 20.0), (1, 10.0))
    ]
    member = next_member(plan, folds, 1000.0, {None: 0.1})
    assert isinstance(member, MemberPlan)
    assert member.fold == 1


def test_there_is_an_end():
    plan = portfolio()
    plan.members *= most_members(1)
    assert next_member(plan, [fold_of(1.0, 1.0)], 1e9, SECONDS) == "most members"


def test_a_step_costs_what_the_last_member_of_its_recipe_took():
    plan = portfolio()
    plan.budget.step_seconds = {"network": 0.3, "tuned": 0.9}
    assert step_seconds(plan, []) == {None: 0.3, "tuned": 0.9}
    facts = [{"recipe": "network", "steps": 10, "seconds": 5.0}, {"recipe": "frozen", "steps": 0, "seconds": 3.0}]
    assert step_seconds(plan, facts) == {None: 0.5, "tuned": 0.9}


def test_a_plan_without_a_member_that_learns_by_steps_gets_none():
    plan, fold = portfolio(), fold_of(1.0, 1.0)
    plan.members[:] = plan.members[:1]
    assert next_member(plan, [fold], 1000.0, SECONDS) == "budget"
