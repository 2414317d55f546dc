"""Members within a budget: shares, more members while they help, and why it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.artefacts import read_json
from semeion.model.runtime import load_model
from semeion.plan.members import most_members
from semeion.plan.schema import Plan
from semeion.plan.splits import Sides
from semeion.study import learning
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.learning import Place, Trained, pooled_loss, question_of
from semeion.study.members import rounds, task
from semeion.study.members.shares import share
from semeion.study.stopping import Stopping
from support.tiny import TinyRun, contents_of, make_plan

ROWS = np.arange(6, dtype=np.int64)


class At(Clock):
    """A clock that stands where it is put."""

    def __init__(self, budget: float | None, now: float = 0.0) -> None:
        super().__init__(budget)
        self.now = now

    def used(self) -> float:
        return self.now


def two_folds() -> list[Sides]:
    return [Sides(fold, ROWS, ROWS[fold::2], ROWS[fold::2]) for fold in (0, 1)]


def trained(plan: Plan, seconds: float = 10.0) -> Trained:
    done = Trained(plan)
    for _ in plan.members:
        finish(done, seconds)
    return done


def finish(done: Trained, seconds: float = 10.0) -> None:
    """Say that the next member of the plan was learned."""
    member = done.plan.members[len(done.facts)]
    rows = len(ROWS) if member.fold < 0 else len(ROWS[member.fold :: 2])
    p = np.random.default_rng(member.seed).uniform(0.2, 0.8, rows)
    done.validation[member.name] = np.stack([1 - p, p], axis=1)
    done.facts.append({"recipe": "network", "fold": member.fold, "seconds": seconds, "steps": member.steps})


@pytest.fixture
def add(tmp_path: Path) -> Callable[..., bool]:
    """Ask for one more member at a moment."""

    def ask(done: Trained, budget: float, now: float, losses: list[float]) -> bool:
        sides = two_folds() if done.plan.validation.scheme == "folds" else [Sides(-1, ROWS, ROWS, ROWS[:0])]
        y = (ROWS % 2).astype(np.float64)
        by_fold = {side.fold: side for side in sides}
        place = Place(RunFolder(tmp_path), None, None, y, ROWS, by_fold)  # type: ignore[arg-type]
        return learning._add_member(place, done, At(budget, now), losses)

    return ask


def test_a_share_is_by_steps_and_fixed_when_a_member_starts() -> None:
    plan = make_plan(seconds=102.0)  # 2 s are reserved
    plan.members[0].steps, plan.members[1].steps = 30, 10
    clock = At(102.0)
    assert share(plan, [], 0, clock) == pytest.approx(75.0)
    clock.now = 90.0
    assert share(plan, [], 1, clock) == pytest.approx(10.0), "the last member gets all that is left"


def test_a_plan_without_a_budget_gives_no_limit() -> None:
    assert share(make_plan(), [], 0, At(None)) is None


def test_a_member_is_added_while_there_is_time_for_most_of_one(add: Callable[..., bool]) -> None:
    done = trained(make_plan(seconds=100.0))
    assert add(done, 100.0, 60.0, [0.6, 0.5])
    added = done.plan.members[-1]
    assert (added.name, added.fold) == ("fold0-seed1", 0)
    assert 12 <= added.steps <= 18, "at most half as many steps again"
    finish(done)
    done.facts[-1]["steps"] = 12
    # Less than a whole member's time is left: it is shortened before it starts.
    assert add(done, 100.0, 89.0, [0.6, 0.5, 0.5])
    last = done.plan.members[-1]
    assert last.fold == 1
    assert last.steps < 12 * 9 / 10


def test_no_member_is_added_when_the_time_is_over(add: Callable[..., bool]) -> None:
    done = trained(make_plan(seconds=100.0))
    assert not add(done, 100.0, 95.0, [0.6, 0.5])
    assert done.ended == "budget"
    assert len(done.plan.members) == 2


def test_no_member_is_added_when_the_last_ones_did_not_help(add: Callable[..., bool]) -> None:
    flat = [0.7, 0.6, *[0.5] * 10]
    done = trained(make_plan(seconds=10_000.0, scheme="given", repeats=12))
    assert not add(done, 10_000.0, 10.0, flat)
    assert done.ended == "no further improvement"
    done = trained(make_plan(seconds=10_000.0, scheme="given", repeats=12))
    assert add(done, 10_000.0, 10.0, list(np.linspace(0.7, 0.3, 12)))
    # The pooled loss of folds holds cases that other folds keep for the end: it may not decide.
    assert add(trained(make_plan(seconds=10_000.0, repeats=6)), 10_000.0, 10.0, flat)


def test_names_and_seeds_of_added_members_are_never_used_twice(add: Callable[..., bool]) -> None:
    done = trained(make_plan(seconds=1e6))
    losses = [0.7, 0.69]
    while add(done, 1e6, 0.0, losses):
        finish(done)
        losses.append(losses[-1] - 0.01)
    assert done.ended == "most members"
    plan = done.plan
    assert len(plan.members) == most_members(2)
    Plan.model_validate(plan.model_dump(by_alias=True))
    seeds = [member.seed for member in plan.members]
    assert len(set(seeds)) == len(seeds)


def test_a_member_that_could_not_learn_is_not_tried_again(add: Callable[..., bool], tmp_path: Path) -> None:
    done = trained(make_plan(seconds=1e6))
    (tmp_path / "members" / "fold0-seed1").mkdir(parents=True)
    assert add(done, 1e6, 0.0, [0.7, 0.69])
    assert done.plan.members[-1].name == "fold0-seed2"


def test_the_ensembles_loss_pools_the_folds() -> None:
    y = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    done = Trained(make_plan(repeats=2))
    wrong, right = np.array([[0.2, 0.8]] * 3), np.array([[0.8, 0.2]] * 3)
    done.validation = {"fold0-seed0": right}
    by_fold = {side.fold: side for side in two_folds()}
    assert pooled_loss(done, y, by_fold) == pytest.approx(-np.log(0.8))
    done.validation |= {"fold0-seed1": wrong}
    assert pooled_loss(done, y, by_fold) == pytest.approx(-np.log(0.5)), "members of one fold are averaged first"
    done.validation |= {"fold1-seed0": wrong}
    assert pooled_loss(done, y, by_fold) == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)


def test_the_question_is_the_plans_target() -> None:
    question = question_of(make_plan())
    assert (question.target, question.classes, question.positive) == ("finding", ("benign", "malignant"), "malignant")


def test_what_a_member_leaves(tiny_run: TinyRun) -> None:
    for member in tiny_run.evidence["members"]:
        folder = tiny_run.path / "members" / member["name"]
        assert sorted(contents_of(folder)) == ["graph.onnx", "member.json", "weights.safetensors"]
        assert member["steps"] == 12
        assert member["stopped"] == "all steps done"
        assert member["graph_difference"] < 1e-4


def test_a_finished_member_is_not_trained_again(
    tiny_run: TinyRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import shutil

    from semeion.artefacts import read_json, write_json
    from semeion.progress import Silent
    from semeion.study.road import resume_run

    copy = shutil.copytree(tiny_run.path, tmp_path / "run")
    state = read_json(copy / "run.json")
    write_json(copy / "run.json", {**state, "finished": False, "seconds_used": 50.0})
    (copy / "evidence.json").unlink()
    shutil.rmtree(copy / "model")

    def fail(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(task, "learn_network", fail)
    resume_run(copy, Silent())
    evidence = read_json(copy / "evidence.json")
    assert evidence["metrics"] == tiny_run.evidence["metrics"]
    assert evidence["budget"]["used_seconds"] >= 50.0
    assert contents_of(copy / "model" / "members") == contents_of(tiny_run.model / "members")


def test_a_member_goes_on_with_the_steps_it_began_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After a stop another length would fit the budget; the executed plan must still repeat the weights."""
    from semeion.errors import Interrupted
    from semeion.plan.files import read_plan
    from semeion.progress import Silent
    from semeion.study import road
    from support.tiny import make_cohort, save_plan, train_tiny, weights_of

    cohort = make_cohort(tmp_path / "source", split="given")
    plan = save_plan(tmp_path, scheme="given", repeats=2, steps=40, seconds=1000.0)
    lengths = iter([60, 90])
    looks = iter(range(70))

    def lengthen(plan: Plan, facts: list[Any], index: int, *_: Any) -> None:
        if index == 1:
            plan.members[index].steps = next(lengths)

    class After(Stopping):
        """Asks to stop when it was looked at often enough."""

        def __call__(self) -> bool:
            return next(looks, None) is None

    @contextmanager
    def stopping() -> Iterator[Stopping]:
        yield After()

    monkeypatch.setattr(rounds, "lengthen", lengthen)
    monkeypatch.setattr(learning, "_add_member", lambda *_: False)
    with monkeypatch.context() as patched:
        patched.setattr(road, "interruptible", stopping)
        with pytest.raises(Interrupted, match="weighed and shipped; continue with `semeion resume"):
            train_tiny(cohort, plan, tmp_path / "run")
    # What the first member is worth stands in a whole run folder, and is replaced when the run goes on.
    assert [member["name"] for member in read_json(tmp_path / "run" / "evidence.json")["members"]] == ["seed0"]
    assert load_model(tmp_path / "run" / "model").manifest.members[0].name == "seed0"
    assert (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "run" / "members" / "seed1" / "checkpoint.safetensors").exists()
    road.resume_run(tmp_path / "run", Silent())
    executed = tmp_path / "run" / "plan.executed.yaml"
    assert [member.steps for member in read_plan(executed).members] == [40, 60]
    repeated = train_tiny(cohort, executed, tmp_path / "repeated")
    assert weights_of(repeated.path) == weights_of(tmp_path / "run")


def test_a_member_that_is_added_keeps_the_time_in_which_it_will_read(add: Callable[..., bool]) -> None:
    done = trained(make_plan(seconds=100.0))
    done.reading.held_out, done.reading.seconds = {0: 30, 1: 30}, {None: 0.1}
    assert add(done, 100.0, 60.0, [0.6, 0.5])
    assert done.plan.budget.reserve == pytest.approx(2.0 + 3 * 3.0)
    # 40 s less the reserve and what two members read leave 32 s; a third one must learn and read in them.
    done = trained(make_plan(seconds=100.0))
    done.reading.held_out, done.reading.seconds = {0: 300, 1: 300}, {None: 0.1}
    assert not add(done, 100.0, 20.0, [0.6, 0.5])
    assert done.ended == "budget"
