"""Whether and how long frozen features teach a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from semeion.plan.files import read_plan, write_plan
from semeion.plan.pretraining import with_pretraining
from semeion.plan.recipes import OWN, NetworkRecipe
from semeion.plan.schema import MOST_PLANNED, Plan
from semeion.plan.search import knobs_of, varied
from semeion.plan.taught import ALONE_FROM, BATCH, MOST_CASES, NAME, SHARE, with_taught
from support.tiny import TARGETS, make_plan

LOOK = 0.001


def frozen(scheme: str = "folds", task: str = "binary", step: float = 0.01, **changes: Any) -> Plan:
    """Return a plan of frozen features and a network in each fold, as it was measured."""
    fields = make_plan(task, scheme=scheme).model_dump(by_alias=True)
    fields["budget"]["step_seconds"] = {OWN: step}
    fields["recipes"] = {"frozen": {"kind": "frozen", "side": 64}}
    heads = [{**one, "name": f"frozen-{one['name']}", "recipe": "frozen", "steps": 0} for one in fields["members"]]
    fields["members"] = [*heads, *fields["members"]]
    for path, value in changes.items():
        section, key = path.split("__")
        fields[section][key] = value
    return Plan.model_validate(fields)


@pytest.mark.parametrize("task", sorted(TARGETS))
@pytest.mark.parametrize(("scheme", "folds"), [("folds", [0, 1]), ("given", [-1])])
def test_every_fold_has_a_member_after_the_head_that_teaches_it(
    scheme: str, folds: list[int], task: str, tmp_path: Path
) -> None:
    plan, why = with_taught(frozen(scheme, task), 4000, 120.0, 400, LOOK)
    assert [(one.recipe, one.fold) for one in plan.members] == [
        (recipe, fold) for recipe in ("frozen", NAME, None) for fold in folds
    ]
    recipe = plan.recipes[NAME]
    assert isinstance(recipe, NetworkRecipe) and recipe.taught is not None
    assert (recipe.taught.teacher, recipe.taught.share, recipe.taught.images) == ("frozen", SHARE, 4000)
    assert recipe.start == "random" and plan.pretraining is None
    # A dozen cases would bound a batch of their own.
    assert recipe.training.batch == BATCH > plan.training.batch
    assert recipe.training.augmentation == plan.training.augmentation, "who learns sees changed images"
    assert "4000 images without labels" in why and "better in trials" in why
    assert plan.combination.why[NAME] == recipe.taught.why["images"] == why
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml") == plan


@pytest.mark.parametrize("seconds", [40.0, 120.0, 1200.0])
def test_it_keeps_to_its_seconds(seconds: float) -> None:
    plan, _ = with_taught(frozen(), 4000, seconds, 20, LOOK)
    steps = sum(one.steps for one in plan.members if one.recipe == NAME)
    # Those that would learn from labels alone leave it their time.
    freed = sum(one.steps for one in frozen().members) * 0.01
    assert 4000 * LOOK + steps * plan.budget.step_seconds[NAME] <= seconds + freed
    assert plan.budget.step_seconds[NAME] == pytest.approx(0.01 * BATCH / plan.training.batch)


@pytest.mark.parametrize(
    ("plan", "images", "seconds", "cases", "look", "says"),
    [
        (make_plan(), 4000, 120.0, 20, LOOK, "no frozen features are planned that could teach"),
        (frozen(), 4000, 120.0, 20, None, "no frozen features are planned that could teach"),
        (frozen(), 99, 120.0, 20, LOOK, "99 images without labels are fewer than 100"),
        (frozen(), 4000, 120.0, MOST_CASES + 1, LOOK, "of 1001 labelled cases, more than 1000, a network learns more"),
        (frozen(), 4000, 120.0, 20, 0.01, "frozen features of 4000 images would take 40 s of the 120 s"),
        (frozen(), 200, 4.0, 400, LOOK, "4 s allow 43 steps a member, fewer than the 60"),
        (frozen(images__role="views", images__names=["a", "b"]), 4000, 120.0, 20, LOOK, "a case has several images"),
    ],
)
def test_where_it_is_not_worth_it_the_plan_stays_and_says_why(
    plan: Plan, images: int, seconds: float, cases: int, look: float | None, says: str
) -> None:
    same, why = with_taught(plan, images, seconds, cases, look)
    assert same is plan
    assert says in why


def test_of_few_cases_nobody_learns_from_labels_alone_and_no_step_is_chosen_by_a_handful() -> None:
    few, _ = with_taught(frozen(), 4000, 120.0, ALONE_FROM, LOOK, 6.4)
    assert [one.recipe for one in few.members] == ["frozen", "frozen", NAME, NAME]
    assert few.validation.why["members"].startswith("with 100 labelled cases no network learns from labels alone")
    assert few.taught[NAME].last and few.taught[NAME].why["last"].startswith("a fold validates on about 6 cases")
    more, _ = with_taught(frozen(), 4000, 120.0, ALONE_FROM + 1, LOOK, 20.0)
    assert [one.recipe for one in more.members] == ["frozen", "frozen", NAME, NAME, None, None]
    assert not more.taught[NAME].last


def test_a_plan_never_has_more_members_than_it_may() -> None:
    fields = frozen().model_dump(by_alias=True)
    fields["validation"]["folds"] = 20
    fields["members"] = [
        {"name": f"{kind}-{fold}", "recipe": kind, "fold": fold, "seed": fold, "steps": 0 if kind else 12}
        for kind in ("frozen", None)
        for fold in range(20)
    ]
    plan = Plan.model_validate(fields)
    whole, _ = with_taught(plan, 4000, 1200.0, 400, LOOK)
    assert len(whole.members) == 60
    again, why = with_taught(whole, 4000, 1200.0, 400, LOOK)
    assert again is whole and why == f"with one more a fold there would be more than {MOST_PLANNED} members"
    again, why = with_pretraining(whole, 4000, 1200.0, 400)
    assert again is whole and f"more than {MOST_PLANNED} members" in why


def test_of_volumes_nothing_is_taught() -> None:
    fields = frozen().model_dump(by_alias=True)
    fields["images"]["kind"] = "volume"
    fields["preparation"] = {"channels": ["image"], "size": [10, 24, 24]}
    fields["network"]["kind"] = "slices"
    plan = Plan.model_validate(fields)
    same, why = with_taught(plan, 4000, 120.0, 20, LOOK)
    assert same is plan and "of volumes" in why


def test_what_a_search_varies_is_taught_too() -> None:
    plan, _ = with_taught(frozen(), 4000, 120.0, 20, LOOK)
    recipe = plan.recipes[NAME]
    assert isinstance(recipe, NetworkRecipe)
    knobs = knobs_of(recipe, 20, ["structure", "learning"])
    found = varied(recipe, knobs, {**{name: knob.planned for name, knob in knobs.items()}, "blocks": 2})
    assert found.taught == recipe.taught and found.network.blocks == 2  # type: ignore[union-attr]


def test_a_plan_of_before_still_reads() -> None:
    fields = make_plan().model_dump(by_alias=True)
    recipe = {"kind": "network", "network": fields["network"], "training": fields["training"]}
    assert NetworkRecipe.model_validate(recipe).taught is None
    assert make_plan().taught == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f["recipes"][NAME]["taught"].update(teacher="other"), "'other', which has no frozen features"),
        (lambda f: f["members"].reverse(), "goes by the recipe 'frozen', and no member of its fold before it"),
        (lambda f: f["recipes"][NAME]["taught"].update(share=1.0), "less than 1"),
        (lambda f: f["recipes"][NAME]["taught"].update(weight=0.0), "greater than 0"),
        (lambda f: f["images"].update(role="views", names=["a", "b"]), "taught of single images"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(change: Any, says: str) -> None:
    fields = with_taught(frozen(), 4000, 120.0, 20, LOOK)[0].model_dump(by_alias=True)
    change(fields)
    with pytest.raises(ValidationError, match=says):
        Plan.model_validate(fields)
