from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.made import fingerprint_of, machine_of, plan_of
from semeion.plan.networks import Candidate, pretrained_candidates
from semeion.plan.picture_rules import stored_size
from semeion.plan.portfolio import FROZEN_SHARE, TUNED_SHARE, plan_ways, recipe_of
from semeion.plan.recipes import FrozenRecipe, NetworkRecipe, PretrainedPlan
from semeion.plan.rules import Measured, Wishes, make_plan, plan_reserve


def measured(*seconds: float) -> list[Measured]:
    """Return pretrained networks, best first, whose steps take so long."""
    sides = (224, 160, 128, 96, 64)
    return [
        Measured(Candidate((side, side), "pad", (), 1, 32, 1.0, kind="pretrained", side=side), {"float32": value}, 0.5)
        for side, value in zip(sides, seconds, strict=False)
    ]


def test_the_largest_that_fits_is_taken():
    ways, why = plan_ways(fingerprint_of(), measured(100.0, 1.0, 0.1), 1, 900.0, 500.0)
    assert [way.name for way in ways] == ["frozen", "tuned"]
    assert ways[1].measured.candidate.side == 160
    assert "160 pixels" in why["tuned"]


def test_no_time_no_pretrained_networks_and_it_is_said():
    ways, why = plan_ways(fingerprint_of(), measured(100.0, 90.0), 5, 60.0, 500.0)
    assert ways == []
    assert "more than 45%" in why["tuned"]
    assert "more than 12%" in why["frozen"]
    assert "no pretrained network was measured" in plan_ways(fingerprint_of(), [], 1, 900.0, 500.0)[1]["frozen"]


@settings(max_examples=50)
@given(st.floats(30, 1e5), st.integers(1, 10), st.floats(10, 1e5), st.floats(0.01, 30))
def test_no_way_takes_more_than_its_share(seconds, folds, cases, step):
    ways, _ = plan_ways(fingerprint_of(), measured(4 * step, 2 * step, step), folds, seconds, cases)
    for way in ways:
        assert way.seconds <= {"frozen": FROZEN_SHARE, "tuned": TUNED_SHARE}[way.name] * seconds


def test_cases_that_are_read_when_all_is_learned_have_their_time():
    facts = fingerprint_of()
    facts |= {"has_split": True, "cases": {"train": 500, "val": 100, "test": 20_000}}
    (frozen, tuned), _ = plan_ways(facts, measured(0.32), 1, 9000.0, 500.0)
    each = 0.2 * 0.32 / 32
    assert frozen.reading == tuned.reading == pytest.approx(20_000 * each)
    assert frozen.seconds < frozen.reading, "600 cases are looked at before"
    plan = make_plan(facts, replace(machine_of(facts), pretrained=measured(0.32)), Wishes(budget=9000.0))
    assert plan.budget.reserve == pytest.approx(plan_reserve(facts, 9000.0) + 2 * 20_000 * each, abs=0.1)
    # Of folds, each network reads the cases of its own when it has learned; features are known by then.
    facts |= {"has_split": False, "cases": {"train": 600}}
    facts["training"] |= {"cases": 600}
    (frozen, tuned), _ = plan_ways(facts, measured(0.32), 5, 9000.0, 400.0)
    assert (frozen.reading, tuned.reading) == (0.0, pytest.approx(600 * each))


def test_what_the_plan_holds():
    plan = plan_of(budget=1800.0)
    (frozen, tuned), _ = plan_ways(fingerprint_of(), measured(0.5), 1, 900.0, 500.0)
    features, learns = recipe_of(frozen, plan.training), recipe_of(tuned, plan.training)
    assert isinstance(features, FrozenRecipe)
    assert isinstance(learns, NetworkRecipe)
    assert isinstance(learns.network, PretrainedPlan)
    assert features.side == learns.network.side == 224
    assert learns.training.augmentation == plan.training.augmentation
    assert learns.training.class_weights == plan.training.class_weights
    assert learns.training.layer_decay < 1 < learns.training.batch


def test_every_fold_has_a_member_of_every_way():
    facts = fingerprint_of()
    machine = machine_of(facts)
    plan = make_plan(facts, replace(machine, pretrained=measured(0.2)), Wishes(budget=3600.0))
    assert plan.combination.method == "chosen"
    by_way: dict[str | None, list[int]] = {}
    for member in plan.members:
        by_way.setdefault(member.recipe, []).append(member.fold)
    assert set(by_way) == {None, "frozen", "tuned"}
    assert by_way["frozen"] == by_way["tuned"] == sorted(set(by_way[None]))
    assert set(plan.budget.step_seconds) == {"network", "tuned"}
    assert plan.budget.expected_seconds <= 3600.0


@pytest.mark.parametrize(("longest", "first"), [(28, 96), (120, 96), (130, 128), (256, 224), (1000, 224)])
def test_small_images_are_enlarged_and_large_ones_seen_as_the_networks_were_trained(longest, first):
    size = {"median": float(longest)}
    sides = [one.side for one in pretrained_candidates({"training": {"rows": size, "cols": size}})]
    assert sides[0] == first
    assert sides[-1] == 64
    assert all(one.kind == "pretrained" for one in pretrained_candidates({"training": {"rows": size, "cols": size}}))


def test_volumes_have_none_yet():
    assert pretrained_candidates({"training": {"volume": {}}}) == []


@pytest.mark.parametrize(
    ("own", "sides", "longest", "wanted"),
    [
        ((128, 128), [224, 160], 300, (224, 224)),
        ((128, 128), [224], 200, (200, 200)),
        ((128, 96), [224], 256, (224, 168)),
        ((28, 28), [96], 28, (28, 28)),
        ((160, 160), [96], 256, (160, 160)),
    ],
)
def test_images_are_stored_as_large_as_the_member_that_sees_most_needs_them(own, sides, longest, wanted):
    facts = {"training": {"rows": {"median": longest}, "cols": {"median": longest}}}
    candidate = Candidate(own, "pad", (16, 32), 1, 32, 1.0)
    assert stored_size(facts, candidate, sides) == wanted
