"""A search of tiny trials: its share of the time, what it may see, what becomes of the best, and noise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.artefacts import read_json
from semeion.errors import Interrupted
from semeion.plan.files import read_plan, write_plan
from semeion.plan.recipes import NetworkRecipe
from semeion.plan.schema import MemberPlan, Plan, SearchPlan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.members.searched import Ground, Searched, search_json
from semeion.study.members.searching import Time, firsts_of, leading_way, search_due, search_fold, search_folds
from support.tiny import SIDE, make_cohort, make_plan, train_tiny, weights_of

CASES = 48


def store_of(folder: Path, seed: int = 0) -> tuple[Store, np.ndarray]:
    """Return phantom pictures, brighter where the answer is yes, and the answers."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    y = (np.arange(CASES) % 2).astype(np.float64)
    pixels = rng.normal(90 + 40 * y[:, None, None, None], 25, (CASES, 1, SIDE, SIDE)).clip(0, 255).astype(np.uint8)
    (folder / "shard-0000.bin").write_bytes(pixels.tobytes())
    return Store(folder, CASES, (1, SIDE, SIDE), CASES), y


def searching(trials: int = 4, seconds: float | None = None, **more: Any) -> Plan:
    plan = make_plan(scheme="given", steps=12, seconds=seconds)
    return plan.model_copy(update={"search": SearchPlan(share=0.5, trials=trials, looks=3, startup=2, **more)})


@pytest.fixture
def ground(tmp_path: Path) -> Callable[..., Ground]:
    def make(name: str = "run", **choices: Any) -> Ground:
        store, y = store_of(tmp_path / "store")
        rows = np.arange(CASES)
        side = Sides(-1, rows[:28], rows[28:40], rows[40:])
        run = RunFolder(tmp_path / name)
        return Ground(run, searching(**choices), store, y, rows // 2, side)

    return make


def told_of(found: Searched) -> list[tuple[Any, ...]]:
    return [(one.number, one.state, one.params, one.losses) for one in found.tried]


class At(Clock):
    """A clock that goes on by a second whenever it is looked at while a trial learns."""

    def __init__(self, budget: float, now: float = 0.0) -> None:
        super().__init__(budget)
        self.now = now

    def used(self) -> float:
        self.now += 0.25
        return self.now


def test_the_same_seed_gives_the_same_trials_and_what_is_held_out_is_never_seen(ground: Callable[..., Ground]) -> None:
    one = ground("a")
    first = search_fold(one, one.plan.members[0], Time())
    two = ground("b")
    y = two.y.copy()
    y[two.side.held_out] = 1 - y[two.side.held_out]
    again = search_fold(replace(two, y=y), two.plan.members[0], Time())
    assert told_of(again) == told_of(first)
    assert again.chosen == first.chosen
    assert len(first.tried) == 4
    assert first.chosen is not None
    assert first.chosen.n == len(one.side.validate)


def test_a_stopped_search_goes_on_with_the_trial_it_was_about(ground: Callable[..., Ground]) -> None:
    whole = ground("whole", trials=6)
    wanted = told_of(search_fold(whole, whole.plan.members[0], Time()))
    cut = ground("cut", trials=6)
    with pytest.raises(Interrupted):
        search_fold(cut, cut.plan.members[0], Time(stop=lambda: cut.facts(0).exists()))
    written = cut.facts(0).stat().st_mtime_ns
    assert not (cut.folder / "done.json").exists()
    assert told_of(search_fold(cut, cut.plan.members[0], Time())) == wanted
    assert cut.facts(0).stat().st_mtime_ns == written, "what was finished is not run again"
    over = replace(cut, plan=searching(trials=9))
    assert told_of(search_fold(over, cut.plan.members[0], Time())) == wanted, "what is over stays over"


def test_a_search_keeps_its_share_of_the_time(ground: Callable[..., Ground]) -> None:
    one = ground(trials=200, seconds=102.0)
    clock = At(102.0, 10.0)
    member = one.plan.members[0]
    said = {member.name: np.full((len(one.side.validate), 2), 0.5)}
    lines: list[str] = []
    (found,) = search_folds(
        *(one.run, one.plan, one.store, one.y, one.groups, [one.side], said, {None: 0.5}, clock),
        *(lambda: False, lines.append),
    )
    assert 2 <= len(found.tried) < 200
    # Half of the hundred seconds without the reserve; what is left bounds it too.
    assert clock.now - 10.0 <= 1.1 * min(50.0, 0.5 * 90.0)
    assert clock.now - 10.0 >= 0.6 * 45.0
    assert "search: trial 1 of at most 200, step 1 of 3" in lines[0]


def test_no_trial_is_begun_where_none_fits(ground: Callable[..., Ground]) -> None:
    one = ground()
    found = search_fold(one, one.plan.members[0], Time(seconds=1.0, step=10.0))
    assert (found.tried, found.best, found.name) == ([], None, None)
    assert found.reason == "no trial was finished within its time"
    told = search_json([found], one.settings, "binary", 0)
    assert (told["trials"], told["ways"][0]["mattered"]) == (0, {})
    json.dumps(told, allow_nan=False)


def test_memory_that_runs_out_halves_the_batch_of_the_trial(
    ground: Callable[..., Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    from semeion.learn import member as module

    real = module.train_member

    def short(plan: Plan, member: MemberPlan, *rest: Any, **more: Any) -> Any:
        recipe = plan.recipe_of(member)
        assert isinstance(recipe, NetworkRecipe)
        if recipe.training.batch > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return real(plan, member, *rest, **more)

    monkeypatch.setattr(module, "train_member", short)
    one = ground(trials=2)
    found = search_fold(one, one.plan.members[0], Time())
    assert found.tried[0].note == "memory ran out, so it learned with a batch of 4"
    assert read_json(one.facts(0))["recipe"]["training"]["batch"] == 4


def test_the_evidence_tells_of_every_trial(ground: Callable[..., Ground]) -> None:
    one = ground(trials=5)
    found = search_fold(one, one.plan.members[0], Time())
    told = search_json([found], one.settings, "binary", 0)
    json.dumps(told, allow_nan=False)
    assert told["trials"] == 5 == told["complete"] + told["pruned"] + told["failed"]
    (fold,) = told["folds"]
    assert fold["best_loss"] == min(row["loss"] for row in fold["tried"] if row["state"] == "complete")
    assert fold["planned_loss"] == fold["tried"][0]["loss"]
    assert fold["corrected"]["low"] <= fold["corrected"]["value"] <= fold["corrected"]["high"]
    assert "too few to say what mattered" in told["ways"][0]["mattered_reason"]


def test_the_search_is_around_the_way_that_leads() -> None:
    plan = searching()
    tuned = NetworkRecipe(network=plan.network, training=plan.training)
    members = [MemberPlan(name="other-seed0", recipe="other", seed=1, steps=4), *plan.members]
    plan = plan.model_copy(update={"recipes": {"other": tuned}, "members": members})
    y = np.array([0.0, 1.0])
    good, bad = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.4, 0.6], [0.6, 0.4]])
    first = leading_way(plan, -1, {"other-seed0": good, "seed0": bad}, y)
    assert first is not None
    assert first.recipe == "other"
    second = leading_way(plan, -1, {"other-seed0": bad, "seed0": good}, y)
    assert second is not None
    assert second.recipe is None
    assert leading_way(plan, 3, {"other-seed0": bad}, y) is None


def test_a_search_waits_for_the_first_member_of_every_way_in_every_fold() -> None:
    plan = make_plan(repeats=2).model_copy(update={"search": SearchPlan(share=0.2)})
    assert firsts_of(plan) == ["fold0-seed0", "fold1-seed0"]
    assert not search_due(plan, {"fold0-seed0"})
    assert search_due(plan, {"fold0-seed0", "fold1-seed0"})
    assert not search_due(plan.model_copy(update={"search": None}), {"fold0-seed0", "fold1-seed0"})


def test_noise_goes_the_whole_road_and_the_executed_plan_repeats_it_without_a_search(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=64, noise=True, seed=4)
    # With such a rate as planned there is something better to find, even of noise.
    plan = make_plan(steps=12, repeats=2, learning_rate=0.5).model_copy(
        update={"search": SearchPlan(share=0.2, trials=6, looks=3, startup=3)}
    )
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml").search == plan.search
    run = train_tiny(cohort, tmp_path / "plan.yaml", tmp_path / "run")
    area = run.evidence["metrics"]["oof"]["auroc"]
    assert area["low"] <= 0.5 <= area["high"]
    told = run.evidence["search"]
    assert [fold["trials"] for fold in told["folds"]] == [6, 6]
    executed = read_plan(run.path / "plan.executed.yaml")
    assert executed.search is None
    names = [fold["recipe"] for fold in told["folds"] if fold["recipe"]]
    assert names, "of this seed at least one trial looks better than what was planned, as the best of several does"
    assert set(names) == set(executed.recipes)
    assert {one.recipe for one in executed.members} == {None, *names}
    assert all(one.fold == int(str(one.recipe)[-1]) for one in executed.members if one.recipe), "each in its own fold"
    again = train_tiny(cohort, run.path / "plan.executed.yaml", tmp_path / "again")
    assert not (again.path / "search").exists()
    assert weights_of(again.path) == weights_of(run.path)
    shipped = {row["name"] for row in read_json(run.model / "model.json")["members"]}
    assert not any(name.startswith("trial") for name in shipped), "trials never ship"


class Silence:
    """A bar that nobody looks at."""

    def of_search(self, _text: str) -> None:
        return None


def test_what_was_found_is_learned_next_and_a_stop_leaves_the_plan_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semeion.study import learning

    plan = make_plan(repeats=2, seconds=102.0).model_copy(update={"search": SearchPlan(share=0.2)})
    done = learning.Trained(plan, planned=4)
    sides = {fold: Sides(fold, np.arange(6), np.arange(2), np.arange(2)) for fold in (0, 1)}
    nothing: Any = None
    place = learning.Place(RunFolder(tmp_path), nothing, nothing, np.zeros(6), np.arange(6), sides)
    shown: Any = Silence()

    def stopped(*_: Any) -> list[Searched]:
        raise Interrupted("stopped by the user")

    monkeypatch.setattr(learning, "search_folds", stopped)
    assert learning._search(place, done, At(102.0), shown, lambda: True)
    assert plan.search is not None
    assert (len(plan.members), plan.recipes) == (4, {})

    recipe = NetworkRecipe(network=plan.network, training=plan.training)
    none: dict[str, Any] = {"steps": 12, "knobs": {}, "tried": [], "best": 3, "chosen": None, "reason": "found"}

    def found(*_: Any) -> list[Searched]:
        better = {"name": "searched-fold1", "recipe": recipe, "member_steps": 24, "step_seconds": 0.5}
        same = {"name": None, "recipe": None, "member_steps": 0, "step_seconds": 0.0}
        return [Searched(fold=0, way="network", **none, **same), Searched(fold=1, way="network", **none, **better)]

    monkeypatch.setattr(learning, "search_folds", found)
    assert not learning._search(place, done, At(102.0), shown, lambda: False)
    names = [one.name for one in plan.members]
    assert names == ["fold0-seed0", "fold1-seed0", "searched-fold1-seed0", "fold0-seed1", "fold1-seed1"]
    assert (plan.members[2].recipe, plan.members[2].fold, plan.members[2].steps) == ("searched-fold1", 1, 24)
    assert (done.planned, plan.search, plan.budget.step_seconds["searched-fold1"]) == (5, None, 0.5)
    Plan.model_validate(plan.model_dump(by_alias=True))
