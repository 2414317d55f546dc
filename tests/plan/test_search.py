from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.plan.files import read_plan, write_plan
from semeion.plan.recipes import AugmentationPlan, NetworkPlan, NetworkRecipe, PretrainedPlan, TrainingPlan
from semeion.plan.rules import Wishes
from semeion.plan.search import Knob, knobs_of, plan_search, planned, search_seconds, varied

ALL = ["structure", "learning", "strategy"]
TRAINING = TrainingPlan(
    batch=32, learning_rate=4e-3, threads=1, augmentation=AugmentationPlan(flip_horizontal=True, noise=0.1)
)
OWN = NetworkRecipe(network=NetworkPlan(widths=[24, 48, 96]), training=TRAINING)
TUNED = NetworkRecipe(
    network=PretrainedPlan(side=64), training=TRAINING.model_copy(update={"layer_decay": 0.85, "frozen_share": 0.1})
)


def drawn(draw: st.DrawFn, knob: Knob) -> float | int | bool:
    if knob.choices:
        return draw(st.sampled_from(knob.choices))
    if isinstance(knob.low, int) and isinstance(knob.high, int):
        return draw(st.integers(knob.low, knob.high))
    return draw(st.floats(knob.low, knob.high))


@pytest.mark.parametrize("recipe", [OWN, TUNED])
def test_the_planned_settings_leave_a_recipe_as_it_is(recipe: NetworkRecipe) -> None:
    knobs = knobs_of(recipe, 400, ALL)
    assert varied(recipe, knobs, planned(knobs)) == recipe


@given(st.data(), st.sampled_from([OWN, TUNED]))
def test_whatever_is_drawn_is_a_recipe_within_its_range(data: st.DataObject, recipe: NetworkRecipe) -> None:
    knobs = knobs_of(recipe, 400, ALL)
    params = {name: drawn(data.draw, knob) for name, knob in knobs.items()}
    made = varied(recipe, knobs, params)
    NetworkRecipe.model_validate(made.model_dump())
    assert made.training.batch in (16, 32, 64)
    assert made.training.class_weights == recipe.training.class_weights
    assert not made.training.augmentation.flip_vertical, "only where the plan holds that mirrored means the same"


def test_what_the_fine_tuned_network_has_and_what_its_own_has() -> None:
    own, tuned = knobs_of(OWN, 400, ALL), knobs_of(TUNED, 400, ALL)
    assert {"width", "blocks", "batch"} <= set(own)
    assert {"layer_decay", "frozen_share", "learning_rate"} <= set(tuned)
    assert not {"width", "blocks", "batch"} & set(tuned)
    assert not {"layer_decay", "frozen_share"} & set(own)
    assert "flip_horizontal" in own
    assert "flip_vertical" not in own
    assert set(knobs_of(OWN, 400, ["learning"])) == {"learning_rate", "weight_decay", "batch"}


def test_a_body_with_weights_of_its_own_keeps_its_structure() -> None:
    started = OWN.model_copy(update={"start": "pretraining"})
    knobs = knobs_of(started, 400, ALL)
    assert not {"width", "blocks"} & set(knobs)
    assert varied(started, knobs, {**planned(knobs), "dropout": 0.4}).start == "pretraining"


def test_a_batch_is_at_most_half_of_the_cases() -> None:
    assert knobs_of(OWN, 100, ALL)["batch"].high == 0
    assert knobs_of(OWN, 128, ALL)["batch"].high == 1


def test_changes_bear_the_reason() -> None:
    knobs = knobs_of(OWN, 400, ALL)
    made = varied(OWN, knobs, {**planned(knobs), "width": 1.5, "strength": 0.5, "learning_rate": 0.0123456})
    assert made.network.widths == [36, 72, 144]
    assert made.training.learning_rate == 0.0123
    assert made.training.augmentation.noise == 0.05
    assert made.training.augmentation.rotation == OWN.training.augmentation.rotation
    assert made.network.why["widths"] == made.training.why["learning_rate"] == "found by search"


def test_a_search_is_planned_only_where_full_members_cost_little() -> None:
    none, why = plan_search(5.0, 500.0, 600.0)
    assert none is None
    assert why == "the time lasts for 5.0 members a fold, and a search is worth its time from 12"
    plan, _ = plan_search(20.0, 500.0, 600.0)
    assert plan is not None
    assert plan.share * 600.0 == pytest.approx(0.25 * 500.0, abs=0.1)


def test_old_plans_still_read_and_a_search_goes_through_a_file(tmp_path: pytest.TempPathFactory) -> None:
    from support.tiny import make_plan

    plan = make_plan(seconds=102.0)
    write_plan(plan, tmp_path / "old.yaml")
    text = (tmp_path / "old.yaml").read_text()
    assert read_plan(tmp_path / "old.yaml").search is None
    (tmp_path / "old.yaml").write_text("\n".join(line for line in text.splitlines() if not line.startswith("search:")))
    assert read_plan(tmp_path / "old.yaml").search is None
    (tmp_path / "new.yaml").write_text(text.replace("search: null\n", "") + "search: {share: 0.3}\n")
    assert search_seconds(read_plan(tmp_path / "new.yaml")) == pytest.approx(30.0)
    assert search_seconds(plan) == 0.0


def test_the_rules_plan_one_for_a_long_budget_and_say_why_not_for_a_short_one() -> None:
    from plan.made import plan_of

    short = plan_of(wishes=Wishes(budget=120.0))
    assert short.search is None
    assert "a search is worth its time from 12" in short.budget.why["search"]
    long = plan_of(wishes=Wishes(budget=48 * 3600.0))
    assert long.search is not None
    assert "search" not in long.budget.why
    without = plan_of(wishes=Wishes(budget=48 * 3600.0, search=False))
    assert without.search is None
    assert sum(one.steps for one in long.members) <= sum(one.steps for one in without.members)
