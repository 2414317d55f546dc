"""Whether and how long a network learns from images alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from semeion.plan.files import read_plan, write_plan
from semeion.plan.pretraining import BATCH, MOST_SEEN, NAME, seconds_for, with_pretraining
from semeion.plan.recipes import OWN, NetworkRecipe
from semeion.plan.schema import Plan, PretrainingPlan
from support.tiny import make_plan


def measured(scheme: str = "folds", step: float = 0.01, **changes: Any) -> Plan:
    fields = make_plan(scheme=scheme).model_dump(by_alias=True)
    fields["budget"]["step_seconds"] = {OWN: step}
    for path, value in changes.items():
        section, key = path.split("__")
        fields[section][key] = value
    return Plan.model_validate(fields)


@pytest.mark.parametrize(("scheme", "folds"), [("folds", [0, 1]), ("given", [-1])])
def test_every_fold_has_a_member_that_starts_from_it(scheme: str, folds: list[int], tmp_path: Path) -> None:
    plan, why = with_pretraining(measured(scheme), 4000, 60.0, 40)
    own = [member for member in plan.members if member.recipe == NAME]
    assert [member.fold for member in own] == folds
    assert plan.members[: len(own)] == own
    recipe = plan.recipes[NAME]
    assert isinstance(recipe, NetworkRecipe)
    assert (recipe.start, recipe.network.model_dump(exclude={"why"})) == (
        "pretraining",
        plan.network.model_dump(exclude={"why"}),
    )
    assert recipe.training.learning_rate == plan.training.learning_rate / 2
    assert plan.pretraining is not None
    assert plan.pretraining.images == 4000
    assert plan.starting is recipe
    assert "4000 images are learned from without labels" in why
    assert plan.pretraining.augmentation.scale > plan.training.augmentation.scale
    assert not plan.pretraining.augmentation.flip_horizontal
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml") == plan


@pytest.mark.parametrize("seconds", [20.0, 60.0, 600.0])
def test_it_keeps_to_its_seconds(seconds: float) -> None:
    plan, _ = with_pretraining(measured(), 4000, seconds, 40)
    assert plan.pretraining is not None
    steps = sum(member.steps for member in plan.members if member.recipe == NAME)
    assert plan.pretraining.seconds + steps * 0.01 <= seconds
    assert plan.pretraining.seconds == pytest.approx(plan.pretraining.steps * 2 * BATCH * 0.01 / 16, abs=0.1)
    assert plan.pretraining.steps * BATCH <= MOST_SEEN


def test_images_that_are_stored_larger_cost_what_the_network_sees() -> None:
    small, _ = with_pretraining(measured(preparation__size=[64, 64]), 4000, 600.0, 40)
    large, _ = with_pretraining(measured(preparation__size=[224, 224], network__side=64), 4000, 600.0, 40)
    assert small.pretraining is not None and large.pretraining is not None
    assert (large.pretraining.batch, large.pretraining.steps) == (small.pretraining.batch, small.pretraining.steps)


def test_slices_cost_what_one_of_them_does_and_large_images_come_in_small_steps() -> None:
    large, _ = with_pretraining(measured(preparation__size=[224, 224]), 4000, 600.0, 40)
    assert large.pretraining is not None
    assert large.pretraining.batch == 16
    fields = measured().model_dump(by_alias=True)
    fields["images"]["kind"] = "volume"
    fields["preparation"] = {"channels": ["image"], "size": [10, 24, 24]}
    fields["network"]["kind"] = "slices"
    volumes, _ = with_pretraining(Plan.model_validate(fields), 4000, 60.0, 40)
    pictures, _ = with_pretraining(measured(), 4000, 60.0, 40)
    assert volumes.pretraining is not None and pictures.pretraining is not None
    assert volumes.pretraining.steps > 5 * pictures.pretraining.steps


def test_few_images_or_little_time_are_no_use() -> None:
    assert seconds_for(99, 100.0) == 0
    assert seconds_for(100, -5.0) == 0
    assert 0 < seconds_for(100, 100.0) < 100
    plan = measured()
    same, why = with_pretraining(plan, 4000, 1.0, 40)
    assert same is plan
    assert "1 s allow 4 steps on images alone, fewer than the 60" in why


def test_a_plan_of_before_still_reads() -> None:
    fields = with_pretraining(measured(), 4000, 60.0, 40)[0].model_dump(by_alias=True)
    del fields["pretraining"], fields["recipes"][NAME]
    fields["members"] = [member for member in fields["members"] if member["recipe"] is None]
    assert Plan.model_validate(fields).pretraining is None
    recipe = {"kind": "network", "network": fields["network"], "training": fields["training"]}
    assert NetworkRecipe.model_validate(recipe).start == "random"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.pop("pretraining"), "has no pretraining, and recipes.pretraining starts from them"),
        (lambda f: f["recipes"][NAME].update(start="random"), "has pretraining, and no recipe starts from them"),
        (lambda f: f["recipes"][NAME].update(network={"kind": "pretrained", "side": 64}), "only networks of the kinds"),
        (
            lambda f: f["recipes"].update(two={**f["recipes"][NAME], "network": {"kind": "residual", "widths": [3]}}),
            "different",
        ),
        (lambda f: f["pretraining"].update(sha256="none"), "sha256"),
        (lambda f: f["pretraining"].update(steps=0), "greater than or equal to 1"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(change: Any, says: str) -> None:
    fields = with_pretraining(measured(), 4000, 60.0, 40)[0].model_dump(by_alias=True)
    change(fields)
    with pytest.raises(ValidationError, match=says):
        Plan.model_validate(fields)


def test_defaults_are_those_of_the_trials() -> None:
    plan = PretrainingPlan(images=2, steps=1, seed=0)
    assert (plan.batch, plan.learning_rate, plan.temperature) == (128, 3e-3, 0.2)
