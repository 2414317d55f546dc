"""Which network an ensemble is distilled into, what is kept for it, and plans that do not hang together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from semeion.errors import InputError
from semeion.plan.distilling import (
    KEPT_TOO,
    PASSES,
    PATIENT,
    READING,
    STUDENT,
    VALIDATED,
    distilling_seconds,
    seconds_for,
    with_distillation,
)
from semeion.plan.files import read_plan, write_plan
from semeion.plan.recipes import OWN, NetworkRecipe, PretrainedPlan
from semeion.plan.schema import Plan
from support.tiny import make_plan


def measured(scheme: str = "folds", tuned: float = 0.0, steps: int = 40) -> Plan:
    """Return a plan whose own step takes 10 ms; `tuned` is that of a pretrained network's, where there is one."""
    fields = make_plan(scheme=scheme, steps=steps, seconds=100.0).model_dump(by_alias=True)
    fields["budget"]["step_seconds"] = {OWN: 0.01}
    if tuned:
        network = {"kind": "pretrained", "backbone": "lite0", "side": 64}
        fields["recipes"] = {"tuned": {"kind": "network", "network": network, "training": fields["training"]}}
        own = [{**one, "name": f"tuned-{one['name']}", "recipe": "tuned", "steps": 30} for one in fields["members"]]
        fields["members"] = [*own, *fields["members"]]
        fields["budget"]["step_seconds"]["tuned"] = tuned
    return Plan.model_validate(fields)


@pytest.mark.parametrize(("scheme", "folds"), [("folds", [0, 1]), ("given", [-1])])
def test_every_fold_has_one_student_with_a_seed_and_reasons(scheme: str, folds: list[int], tmp_path: Path) -> None:
    before = measured(scheme)
    plan = with_distillation(before, 10.0, 40)
    section = plan.distillation
    assert section is not None
    assert [one.fold for one in section.students] == folds
    assert len({one.seed for one in (*section.students, *plan.members)}) == len(folds) + len(plan.members)
    assert {"share", "students", "trust", "soften", "images"} <= set(section.why)
    assert plan.combination.ship == "distilled"
    assert plan.members == before.members, "the ensemble stays as it was planned"
    recipe = plan.recipes[STUDENT]
    assert isinstance(recipe, NetworkRecipe)
    assert (recipe.network, recipe.training.label_smoothing) == (before.network, 0.0)
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml") == plan


@pytest.mark.parametrize("seconds", [1.0, 2.0, 100.0])
def test_students_keep_to_their_seconds_and_to_twice_a_members_steps(seconds: float) -> None:
    section = with_distillation(measured(), seconds, 40).distillation
    assert section is not None
    assert sum(one.steps for one in section.students) * 0.01 * VALIDATED <= seconds
    assert max(one.steps for one in section.students) <= PATIENT * 40
    assert section.seconds <= seconds


def test_what_is_kept_is_a_share_of_the_budget() -> None:
    plan = with_distillation(measured(), seconds_for(80.0), 40)
    assert distilling_seconds(plan) == pytest.approx(20.0, abs=0.01)
    plan.budget.seconds = 51.0  # 2 s are reserved: the share counts, and not what was planned
    assert distilling_seconds(plan) == pytest.approx(10.0, abs=0.01)
    plan.budget.seconds = None
    assert distilling_seconds(plan) == distilling_seconds(measured()) == 0


@pytest.mark.parametrize(
    ("tuned", "kind", "reason"),
    [
        (0.02, "pretrained", "goes on learning, from which few cases are enough: its 30 steps take 1 of 4 s"),
        (1.0, "residual", "a compact network from scratch: the pretrained one would take 30 of 4 s"),
        (0.0, "residual", "the plan has no pretrained one"),
    ],
)
def test_the_student_is_the_pretrained_network_where_its_schedule_fits(tuned: float, kind: str, reason: str) -> None:
    plan = with_distillation(measured(tuned=tuned), 10.0, 40)
    recipe = plan.recipes[STUDENT]
    assert isinstance(recipe, NetworkRecipe)
    assert recipe.network.kind == kind
    assert isinstance(recipe.network, PretrainedPlan) == (kind == "pretrained")
    assert plan.distillation is not None
    assert reason in plan.distillation.why["students"]


def test_too_short_a_budget_is_refused_with_one_that_lasts() -> None:
    with pytest.raises(
        InputError, match=r"0 s for a student allow \d steps, fewer than the 25 of one epoch"
    ) as refused:
        with_distillation(measured(), 0.1, 400)
    assert "with --budget, or ship the ensemble or a single member" in str(refused.value.fix)


def test_images_without_labels_are_no_more_than_a_student_looks_at() -> None:
    section = with_distillation(measured(), 10.0, 40, images=10_000).distillation
    assert section is not None
    assert section.images == section.students[0].steps * 16 // 4
    assert with_distillation(measured(), 10.0, 40, images=7).distillation.images == 7  # type: ignore[union-attr]


def test_images_without_labels_pass_the_stages_that_are_kept_too() -> None:
    fields = measured(tuned=0.1).model_dump(by_alias=True)
    fields["recipes"]["tuned"]["network"] |= {"side": 224, "kept": 6}
    plan = Plan.model_validate(fields)
    taken = [with_distillation(plan, 100.0, 40, images=images).budget.step_seconds["student"] for images in (0, 10_000)]
    assert taken == pytest.approx([0.1, 0.1 * KEPT_TOO])


def test_images_without_labels_are_no_more_than_the_ensemble_can_speak_of_in_time() -> None:
    def images(**given: Any) -> int:
        section = with_distillation(measured(**given.pop("plan", {})), 100.0, 40, images=10_000, **given).distillation
        assert section is not None
        return section.images

    assert images() == 80 * 16 // PASSES
    plan = measured(tuned=40.0)  # two members of it need a second an image together
    assert [one.recipe for one in plan.members].count("tuned") == 2
    assert images(plan={"tuned": 40.0}) == int(READING * 100 / (2 * 0.2 * 40.01 / 16)) == 9
    assert images(look_seconds=1.0) == 80 * 16 // PASSES, "this plan has no frozen features"
    fields = measured().model_dump(by_alias=True)
    fields["recipes"] = {"frozen": {"kind": "frozen", "side": 64}}
    section = with_distillation(Plan.model_validate(fields), 100.0, 40, 10_000, look_seconds=1.0).distillation
    assert section is not None and section.images == 9


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"combination": {"ship": "ensemble"}}, "combination.ship is not 'distilled'"),
        ({"distillation": None}, "no distillation says how"),
        ({"fold": 0}, "every fold needs one student"),
        ({"recipe": "nowhere"}, "student .* has the recipe 'nowhere', which is no network of the plan"),
        ({"steps": 0}, "learns by steps, and has none"),
        ({"name": "fold0-seed0"}, "two members have the same name"),
        ({"name": "teacher"}, "a member is called 'teacher'"),
    ],
)
def test_a_plan_that_does_not_hang_together_is_refused(change: dict[str, Any], what: str) -> None:
    fields = with_distillation(measured(), 10.0, 40).model_dump(by_alias=True)
    if {"combination", "distillation"} & set(change):
        fields |= change
    else:
        fields["distillation"]["students"][1] |= change
    with pytest.raises(ValidationError, match=what):
        Plan.model_validate(fields)
