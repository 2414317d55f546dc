"""Trials repeat with their seed, go on after a stop, end early where they are behind, and keep their time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.errors import Interrupted, TrainingFailed
from semeion.learn.search import JOURNAL, OverTimeError, Tried, search, what_mattered
from semeion.plan.schema import SearchPlan
from semeion.plan.search import Knob

KNOBS = {
    "rate": Knob("Rate", 0.1, 0.001, 1.0, log=True),
    "blocks": Knob("Blocks", 1, 1, 3),
    "flip": Knob("Flip", True, choices=(True, False)),
}
LOOKS = 6


def settings(trials: int, **more: Any) -> SearchPlan:
    return SearchPlan(share=0.2, trials=trials, looks=LOOKS, startup=3, **more)


def loss_of(params: Any, look: int) -> float:
    """Return a loss that falls over looks and is least at a rate of 0.03 and two blocks; the flip says nothing."""
    return float(abs(np.log10(params["rate"]) + 1.5) + 0.3 * abs(params["blocks"] - 2) + 1 / look)


def learn(_number: int, params: Any, look: Any) -> str:
    for step in range(1, LOOKS + 1):
        look(loss_of(params, step))
    return ""


def always(_tried: Any) -> bool:
    return True


class Ticks:
    """Seconds that pass only when they are let."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def run(folder: Path, trials: int = 12, seed: int = 3, how: Any = learn, **more: Any) -> list[Tried]:
    return search(folder, KNOBS, settings(trials), how, more.get("fits", always), more.get("now", Ticks()), seed=seed)


def test_the_same_seed_gives_the_same_trials_and_another_others(tmp_path: Path) -> None:
    first = run(tmp_path / "a")
    assert run(tmp_path / "b") == first
    other = run(tmp_path / "c", seed=4)
    assert [one.params for one in other[1:]] != [one.params for one in first[1:]]
    assert first[0].params == other[0].params == {"rate": 0.1, "blocks": 1, "flip": True}, "the plan's own comes first"
    assert len({one.params["rate"] for one in first}) == 12


def test_what_is_behind_is_ended_early_and_the_best_is_not(tmp_path: Path) -> None:
    tried = run(tmp_path, trials=20)
    pruned = [one for one in tried if one.state == "pruned"]
    whole = [one for one in tried if one.state == "complete"]
    assert pruned
    assert whole
    assert all(len(one.losses) in (2, 4) for one in pruned), "at a third and at two thirds of the looks"
    assert all(len(one.losses) == LOOKS for one in whole)
    finished = [loss_of(one.params, LOOKS) for one in tried]
    assert min(one.loss for one in whole) == pytest.approx(min(finished), abs=0.2)


def test_it_finds_better_than_what_was_planned(tmp_path: Path) -> None:
    tried = run(tmp_path, trials=30)
    assert min(one.loss for one in tried if one.state == "complete") < tried[0].loss - 0.2


@pytest.mark.parametrize("look", [0, 1, 3, 5])
def test_a_stopped_search_goes_on_as_if_nothing_had_happened(tmp_path: Path, look: int) -> None:
    whole = run(tmp_path / "whole", trials=9)
    begun: list[tuple[int, dict[str, Any]]] = []

    def stopped(number: int, params: Any, at: Any) -> str:
        begun.append((number, dict(params)))
        for step in range(1, LOOKS + 1):
            if number == 5 and step > look:
                raise Interrupted("stopped by the user", fix="resume")
            at(loss_of(params, step))
        return ""

    with pytest.raises(Interrupted):
        run(tmp_path / "cut", trials=9, how=stopped)
    again: list[tuple[int, dict[str, Any]]] = []

    def counted(number: int, params: Any, at: Any) -> str:
        again.append((number, dict(params)))
        return learn(number, params, at)

    resumed = run(tmp_path / "cut", trials=9, how=counted)
    assert again[0][0] == begun[-1][0], "what was under way starts anew"
    assert again[0] == begun[-1]
    assert not {number for number, _ in begun[:-1]} & {number for number, _ in again}, "nothing finished is run again"
    assert [one.params for one in resumed] == [one.params for one in whole]
    assert [one.losses for one in resumed] == [one.losses for one in whole]
    assert run(tmp_path / "cut", trials=9, how=lambda *_: pytest.fail("all is done")) == resumed


def test_a_line_that_was_half_written_is_forgotten(tmp_path: Path) -> None:
    tried = run(tmp_path, trials=4)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    assert run(tmp_path, trials=4) == tried
    assert len(run(tmp_path, trials=5)) == 5


def test_no_trial_begins_when_the_time_is_over(tmp_path: Path) -> None:
    clock = Ticks()

    def slow(number: int, params: Any, look: Any) -> str:
        clock.seconds += 10.0
        return learn(number, params, look)

    tried = run(tmp_path, trials=50, how=slow, now=clock, fits=lambda tried: clock.seconds + 10 <= 75)
    assert len(tried) == 7
    assert clock.seconds == 70.0
    assert all(one.seconds == 10.0 for one in tried)


def test_a_trial_that_time_cuts_off_does_not_count(tmp_path: Path) -> None:
    def late(number: int, params: Any, look: Any) -> str:
        if number == 3:
            raise OverTimeError
        return learn(number, params, look)

    assert [one.number for one in run(tmp_path, how=late)] == [0, 1, 2]


def test_a_trial_that_cannot_learn_is_noted_and_others_go_on(tmp_path: Path) -> None:
    def broken(number: int, params: Any, look: Any) -> str:
        if number == 2:
            raise TrainingFailed("the training loss is not a finite number", where="trial", fix="lower the rate")
        return learn(number, params, look)

    tried = run(tmp_path, trials=6, how=broken)
    assert (tried[2].state, tried[2].note) == ("failed", "the training loss is not a finite number")
    assert tried[2].loss is None
    assert [one.number for one in tried] == list(range(6))


def test_what_mattered_names_the_setting_that_did() -> None:
    rng = np.random.default_rng(0)

    def of(number: int) -> Tried:
        params = {"rate": float(10 ** rng.uniform(-3, 0)), "blocks": int(rng.integers(1, 4)), "flip": bool(number % 2)}
        return Tried(number, "complete", params, [loss_of(params, LOOKS)])

    folds = [[of(number) for number in range(12)] for _ in range(2)]
    shares = what_mattered(folds, KNOBS, seed=1)
    assert shares == what_mattered(folds, KNOBS, seed=1)
    assert max(shares, key=lambda name: shares[name]) == "rate"
    assert sum(shares.values()) == pytest.approx(1.0)
    assert what_mattered([folds[0][:5]], KNOBS, seed=1) == {}, "too few"
    same = [Tried(number, "complete", of(number).params, [0.5]) for number in range(12)]
    assert what_mattered([same], KNOBS, seed=1) == {}, "all did alike"
