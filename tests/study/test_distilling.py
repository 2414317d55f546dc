"""Who teaches a student, what of, and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from learn.tiny import store_of
from semeion.artefacts import write_json
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.progress import Silent
from semeion.study import distilling, learning
from semeion.study.clock import Clock
from semeion.study.distilling import INSTEAD, School, ensemble_instead, teacher_words
from semeion.study.folder import RunFolder
from semeion.study.learning import COMPLETE, Alone, Place, Trained
from semeion.study.members.covariates import INNER, keep_inner
from semeion.study.members.outputs import member_outputs
from support.tiny import make_plan

LEARN, VALIDATE = np.arange(4), np.arange(4, 6)
SIDE = Sides(-1, LEARN, VALIDATE, np.empty(0, dtype=np.int64))


def distilled(scheme: str = "given", seconds: float | None = None) -> Plan:
    """Return a plan of a network and a frozen member a fold, and students."""
    fields = make_plan(scheme=scheme, seconds=seconds).model_dump(by_alias=True)
    folds = [member["fold"] for member in fields["members"]]
    fields["recipes"] = {
        "frozen": {"kind": "frozen", "side": 64},
        "student": {"kind": "network", "network": fields["network"], "training": fields["training"]},
    }
    frozen = [{"name": f"frozen-{k}", "recipe": "frozen", "fold": k, "seed": 5, "steps": 0} for k in folds]
    fields["members"] = [*frozen, *fields["members"]]
    fields["combination"] = {"ship": "distilled"}
    students = [{"name": f"student-{k}", "recipe": "student", "fold": k, "seed": 6, "steps": 9} for k in folds]
    fields["distillation"] = {"share": 0.25, "students": students}
    fields["budget"]["step_seconds"] = {"network": 0.1, "student": 0.1}
    return Plan.model_validate(fields)


def constant(p: float, cases: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.tile([1 - p, p], (cases, 1))


def school(run: RunFolder, plan: Plan, weights: dict[str, float] | None = None) -> School:
    trained = Trained(plan)
    trained.validation = {member.name: constant(0.6, len(VALIDATE)) for member in plan.members}
    if weights is not None:
        trained.combinations = {-1: Alone(weights, "")}
    return School(run, trained, None, None, np.zeros(6))  # type: ignore[arg-type]


def test_heads_on_frozen_features_say_what_heads_do_that_did_not_know_the_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, run, asked = distilled(), RunFolder(tmp_path), []

    def said(_run: Any, _plan: Any, member: MemberPlan, _store: Any, _banks: Any, rows: Any) -> Any:
        asked.append((member.name, list(rows)))
        return constant(0.9, len(rows))

    monkeypatch.setattr(distilling, "member_outputs", said)
    folder = tmp_path / "members" / "frozen--1"
    folder.mkdir(parents=True)
    inner = constant(0.3, 4)
    inner[3] = np.nan  # the only patient of a class: no head was made without it
    keep_inner(plan, plan.members[0], folder, inner, constant(0.5, 4))
    assert (folder / INNER).exists()
    learned, honest = teacher_words(school(run, plan), SIDE)
    np.testing.assert_allclose(learned[:, 1], [0.6, 0.6, 0.6, 0.7])
    np.testing.assert_allclose(honest[:, 1], 0.6)
    assert asked == [("seed0", list(LEARN))], "nobody is asked of a case that the fold does not learn from"


def test_members_without_a_share_do_not_teach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distilling, "member_outputs", lambda *given: constant(0.9, len(given[-1])))
    plan = distilled()
    learned, _ = teacher_words(school(RunFolder(tmp_path), plan, {"seed0": 1.0, "frozen--1": 0.0}), SIDE)
    np.testing.assert_allclose(learned[:, 1], 0.9)


def test_students_share_the_time_that_is_left_and_leave_it_for_reading() -> None:
    plan = distilled("folds", seconds=102.0)  # 2 s are reserved
    trained, clock = Trained(plan), Clock(102.0)
    trained.reading.reserve = 2.0
    trained.reading.held_out = {0: 10, 1: 10}
    each = trained.reading.of_member(plan, "student", 0)
    left = distilling._allowed(plan, trained, clock, 2)()
    members = trained.reading.of_all(plan)
    assert left == pytest.approx((100.0 - members - 2 * each) / 2, abs=0.5)
    plan.budget.seconds = None
    assert distilling._allowed(plan, trained, clock, 2)() is None


def test_without_students_the_ensemble_ships_by_a_plan_that_says_so() -> None:
    less = ensemble_instead(Trained(distilled("folds"), notes=["before"]))
    assert less.notes == ["before", INSTEAD]
    assert less.plan.combination.why["ship"] == INSTEAD, "no reason of what is not done is left"
    assert set(less.plan.recipes) == {"frozen"}
    again = Plan.model_validate(less.plan.model_dump(by_alias=True))
    assert (again.distillation, again.combination.ship) == (None, "ensemble")


def test_a_resume_adds_no_member_once_others_were_taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = MemberPlan(name="seed1", fold=-1, seed=9, steps=9)
    monkeypatch.setattr(learning, "next_member", lambda *_, **__: more)
    run, clock, members = RunFolder(tmp_path), Clock(100.0), tmp_path / "members"
    place = Place(run, None, None, np.zeros(6), np.arange(6), {-1: SIDE})  # type: ignore[arg-type]

    def add(*before: MemberPlan) -> tuple[bool, list[str], str]:
        plan = distilled(seconds=100.0)
        done = Trained(plan, planned=len(plan.members))
        plan.members += before
        added = learning._add_member(place, done, clock, [])
        return added, [one.name for one in plan.members], done.ended

    members.mkdir()
    first = ["frozen--1", "seed0"]
    write_json(members / COMPLETE, {"ended": "budget"})
    assert add() == (False, first, "budget")
    write_json(members / "added.json", [more.model_dump()])
    assert add() == (True, [*first, "seed1"], "fixed plan"), "it was among those that taught"
    assert add(more) == (False, [*first, "seed1"], "budget")
    for file in (members / COMPLETE, members / "added.json"):
        file.unlink()
    assert add() == (True, [*first, "seed1"], "fixed plan")


PERCENTILES = {"kind": "percentiles", "foreground": "nonzero", "clip": [0.005, 0.995]}
VOLUMES = {"channels": ["image"], "size": [8, 12, 12], "interpolation": "linear", "intensity": [PERCENTILES]}


@pytest.mark.parametrize(
    ("kind", "network", "shape"),
    [
        ("volume", {"kind": "residual3d", "widths": [4, 8]}, (1, 8, 12, 12)),
        ("volume", {"kind": "pretrained", "backbone": "lite0", "side": 32, "pooling": "mean"}, (1, 3, 32, 32)),
        ("picture", {"kind": "pretrained", "backbone": "lite0", "side": 32}, (1, 24, 24)),
    ],
)
def test_students_of_every_kind_learn_of_cases_and_of_images_without_labels(
    kind: str, network: dict[str, Any], shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = distilled().model_dump(by_alias=True)
    fields["members"] = [one for one in fields["members"] if not one["recipe"]]
    del fields["recipes"]["frozen"]
    if kind == "volume":
        fields |= {"images": {"kind": "volume"}, "preparation": {**VOLUMES, "size": list(shape[1:])}}
        fields["network"] = {"kind": "residual3d", "widths": [4, 8]}
    training = {**fields["training"], "batch": 4, "evaluations": 1}
    fields["recipes"]["student"] = {"kind": "network", "network": network, "training": training}
    fields["distillation"] |= {"images": 3, "trust": 1.0}
    fields["distillation"]["students"][0]["steps"] = 2
    plan, run = Plan.model_validate(fields), RunFolder(tmp_path)
    pixels = np.random.default_rng(1).integers(0, 255, (11, *shape), dtype=np.uint8)
    monkeypatch.setattr(distilling, "teacher_words", lambda *_: (constant(0.9, 4), constant(0.6, 2)))
    monkeypatch.setattr(distilling, "words_about_images", lambda *_: constant(0.7, 3))
    store, images = store_of(pixels[:6], tmp_path / "store"), store_of(pixels[6:], tmp_path / "images")
    lesson = School(run, Trained(plan), store, None, np.arange(6) % 2.0, images, np.array([0, 2, 4]))  # type: ignore[arg-type]
    student = plan.distillation.students[0]  # type: ignore[union-attr]
    told = distilling._teach(lesson, student, SIDE, lambda: None, Silent(), lambda: False)
    assert (told["cases"], told["images"]) == (4, 3)
    assert told["temperature"] > 1
    said = member_outputs(run, plan, student, store, None, np.arange(6))  # type: ignore[arg-type]
    assert said.shape == (6, 2)
    np.testing.assert_allclose(said.sum(axis=1), 1)
