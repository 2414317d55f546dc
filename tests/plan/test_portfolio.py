from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.made import fingerprint_of, machine_of, plan_of
from plan.test_volume_rules import facts_of as volumes_of
from semeion.plan.covariate_rules import with_covariates
from semeion.plan.looks import MOST_SEEN
from semeion.plan.networks import VIEWS_BYTES, Candidate, begun_bytes, candidates, pretrained_candidates
from semeion.plan.picture_rules import stored_size
from semeion.plan.portfolio import FROZEN_SHARE, HEAD_SECONDS, TUNED_SHARE, VIEWS, plan_ways, recipe_of
from semeion.plan.recipes import FrozenRecipe, NetworkRecipe, PretrainedPlan
from semeion.plan.rules import Machine, Measured, Wishes, make_plan, plan_reserve


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


def kept(*seconds: float) -> list[Measured]:
    """Return networks that keep their first stages, at 224 pixels and at 160, whose steps take so long."""
    return [
        replace(one, candidate=replace(one.candidate, kept=6), seconds={"float32": value})
        for one, value in zip(measured(*seconds), seconds, strict=True)
    ]


def test_the_first_stages_are_kept_where_the_whole_could_only_see_smaller_pictures():
    whole, facts = measured(3.2, 1.6, 0.8, 0.4, 0.2), fingerprint_of()
    quick, _ = plan_ways(facts, [*whole, *kept(0.3, 0.15)], 5, 20_000.0, 500.0)
    assert (quick[1].measured.candidate.side, quick[1].measured.candidate.kept) == (224, 0)
    ways, why = plan_ways(facts, [*whole, *kept(0.3, 0.15)], 5, 2_000.0, 500.0)
    way = ways[1]
    assert (way.measured.candidate.side, way.measured.candidate.kept, way.views) == (224, 6, VIEWS)
    assert why["tuned"].startswith("the last stages of EfficientNet-Lite0 at 224 pixels go on learning from")
    # What is kept is passed once for each view of a case, before the steps, which share the time that it takes.
    once = VIEWS * 500 * 0.2 * 3.2 / 32
    assert way.seconds == pytest.approx(5 * (1.1 * way.steps * 0.3 + once))
    assert way.seconds == pytest.approx(5 * 1.1 * way.steps * way.step_seconds)
    alone, _ = plan_ways(facts, whole, 5, 2_000.0, 500.0)
    assert alone[1].measured.candidate.side == 96
    network = recipe_of(way, plan_of(budget=1800.0).training).network
    assert isinstance(network, PretrainedPlan)
    assert (network.side, network.kept, network.views) == (224, 6, VIEWS)


@given(st.floats(10, 1e6))
def test_the_maps_of_kept_stages_fit_into_memory(cases):
    ways, _ = plan_ways(fingerprint_of(), [*measured(3.2), *kept(1e-9, 1e-9)], 1, 1e6, cases)
    tuned = next(way for way in ways if way.name == "tuned")
    size = begun_bytes(tuned.measured.candidate, 1) * cases * tuned.views
    assert size <= VIEWS_BYTES


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
    ladder = pretrained_candidates({"training": {"rows": size, "cols": size}})
    kept = [side for side in (224, 160) if side <= first]
    assert [one.side for one in ladder if one.kept] == kept
    sides = [one.side for one in ladder[: len(ladder) - len(kept)] if not one.kept]
    assert sides[0] == first
    assert sides[-1] == 64
    assert all(one.kind == "pretrained" for one in pretrained_candidates({"training": {"rows": size, "cols": size}}))


@pytest.mark.parametrize(
    ("size", "spacing", "first"),
    [
        ((28, 28, 28), (1.0, 1.0, 1.0), 64),
        ((64, 64, 64), (1.0, 1.0, 1.0), 96),
        ((256, 216, 10), (1.5, 1.5, 10.0), 224),
        ((100, 100, 9), (1.0, 1.0, 8.0), 128),
    ],
)
def test_slices_of_volumes_are_seen_as_pictures_are(size, spacing, first):
    sides = [one.side for one in pretrained_candidates(volumes_of(size=size, spacing=spacing))]
    assert (sides[0], sides[-1]) == (first, 64)


def volume_plan(facts, seconds=0.05, budget=900.0):
    """Return the plan of volumes on a machine whose pretrained networks take so long a step of 32 pictures."""
    own = [Measured(c, {"float32": 1e-5 * c.batch * c.widths[0]}) for c in candidates(facts)]
    ladder = [Measured(c, {"float32": seconds * (c.side / 64) ** 2}, 0.5) for c in pretrained_candidates(facts)]
    return make_plan(facts, Machine(2, 8.0, "cpu", own, {}, ladder), Wishes(budget=budget))


def test_volumes_have_frozen_features_of_their_slices():
    plan = volume_plan(volumes_of(1000, size=(28, 28, 28)))
    recipe = plan.recipes["frozen"]
    assert (recipe.side, recipe.along, recipe.slices) == (64, ["slices", "rows", "columns"], 16)
    assert plan.members[0].recipe == "frozen"
    assert set(recipe.why) >= {"side", "along", "slices", "colours", "apart"}
    assert "of 48 pictures of each case, seen once, and a linear head" in plan.combination.why["frozen"]
    assert "recipe `kind: network` with `network.kind: pretrained` asks for it" in plan.combination.why["tuned"]
    assert "tuned" not in plan.recipes
    assert plan.preparation.size == (28, 28, 28)


def test_their_cost_is_that_of_all_pictures():
    facts = volumes_of(1000, size=(28, 28, 28))
    (way,), _ = plan_ways(facts, measured(0.32)[:1], 5, 1e6, 800.0)
    pictures = 1000 * 48 * 0.2 * 0.32 / 32
    assert way.seconds > pictures + 5 * HEAD_SECONDS
    assert way.look.pictures == 48
    # Of many classes a head takes longer.
    several = {**facts, "task": "multiclass", "classes": list("abcdefghijk")}
    assert plan_ways(several, measured(0.32)[:1], 5, 1e6, 800.0)[0][0].seconds > way.seconds + 60
    slower, _ = plan_ways(facts, measured(0.64)[:1], 5, 1e6, 800.0)
    assert slower[0].seconds - way.seconds == pytest.approx(pictures)


def test_a_short_budget_sees_smaller_slices_then_fewer_then_none_and_says_so():
    facts = volumes_of(1000, size=(28, 28, 28))
    seen = []
    for step in (0.1, 0.4, 1.2, 3.0, 6.0, 100.0):
        plan = volume_plan(facts, step)
        recipe = plan.recipes.get("frozen")
        seen.append((recipe.side, len(recipe.along), recipe.slices) if recipe else None)
    assert seen[0] == (64, 3, 16)
    assert seen[-1] is None
    assert [one for one in seen if one] == sorted([one for one in seen if one], reverse=True)
    assert any(one and one[1] == 1 for one in seen)
    why = plan.combination.why["frozen"]
    assert "its features would take more than 30% of the" in why
    assert re.search(r"about \d+m more of budget would allow them", why)
    minutes = int(re.search(r"about (\d+)m", why)[1])
    assert "frozen" in volume_plan(facts, 100.0, 900.0 + 66 * minutes).recipes


def test_volumes_are_stored_as_large_as_the_features_see_them():
    facts = volumes_of(60, size=(256, 216, 10), spacing=(1.5, 1.5, 10.0))
    plan = volume_plan(facts)
    assert plan.recipes["frozen"].side == 224
    assert plan.preparation.size == (10, 192, 224)
    assert plan.preparation.spacing[0] == pytest.approx(256 * 1.5 / 224, rel=0.02)
    assert (plan.network.side, plan.network.depth) == (96, 10)
    assert "smaller ones are made in the graphs" in plan.preparation.why["size"]


def test_many_pictures_of_a_case_are_smaller_so_that_memory_lasts():
    thick = {"size": (256, 216, 12), "spacing": (1.5, 1.5, 10.0)}
    sides = []
    for names in (("a",), ("a", "b"), ("a", "b", "c"), tuple("abcde")):
        plan = volume_plan(volumes_of(60, role="views", names=names, **thick))
        sides.append(plan.recipes["frozen"].side)
        assert sides[-1] ** 2 * plan.images.groups * 12 <= MOST_SEEN
    assert sides == [224, 224, 160, 160]


def test_a_volume_that_is_small_is_stored_as_it_is():
    plan = volume_plan(volumes_of(60, size=(36, 52, 40)))
    assert plan.preparation.size == (40, 52, 36)
    assert (plan.network.side, plan.network.depth) == (None, None)


def test_covariates_join_what_slices_say():
    plan = with_covariates(volume_plan(volumes_of(60, role="views", names=("a", "b", "c"))), {"age": "number"})
    assert plan.recipes["fused"].images == "frozen"
    assert plan.recipes["frozen"].apart == ["images"]


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
