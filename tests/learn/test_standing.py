from __future__ import annotations

import pytest

from learn.tiny import Clock
from semeion.errors import Interrupted
from semeion.learn import standing
from semeion.learn.standing import Between, Hooks, Standing
from semeion.plan.schema import Shortened


def test_the_schedule_is_over_with_the_last_step_whatever_changed():
    at = Standing(total=10)
    for _ in range(4):
        at.change([Shortened(at=3, to=6)])
        at.advance()
    assert (at.step, at.total, at.shortened) == (4, 6, [{"at": 3, "to": 6}])
    # Three tenths were over; of the rest a third is over with the next of three steps.
    assert at.phase == pytest.approx(0.3 + 0.7 / 3)
    at.advance()
    at.advance()
    assert (at.step, at.phase) == (6, pytest.approx(1.0))


def test_what_is_left_is_fitted_to_the_time_left():
    at = Standing(step=10, total=100, phase=0.1)
    planned = [Shortened(at=5, to=100), Shortened(at=10, to=90)]
    assert at.fitted(planned, 40.0, 2.0, 100) == [Shortened(at=5, to=100), Shortened(at=10, to=30)]
    # One step at least, and never more than the most.
    assert at.fitted([], -5.0, 2.0, 100) == [Shortened(at=10, to=11)]
    assert at.fitted([], 1e6, 2.0, 300) == [Shortened(at=10, to=300)]


@pytest.mark.parametrize(
    ("phase", "allowed", "changes"),
    # Of 90 steps left a tenth is 9 and 3 of a hundred are 2.7.
    [(0.1, 81.0, False), (0.1, 80.0, True), (0.6, 88.0, False), (0.6, 87.0, True), (0.1, None, False)],
)
def test_a_change_that_is_hardly_one_is_not_made(phase: float, allowed: float | None, changes: bool):
    planned = [Shortened(at=2, to=100)]
    found = Standing(step=10, total=100, phase=phase).fitted(planned, allowed, 1.0, 100)
    assert (found != planned) == changes


def test_the_last_step_is_left_as_it_is():
    assert Standing(step=9, total=10).fitted([], 0.0, 1.0, 10) == []


def test_between_two_steps_time_is_counted_and_the_pace_is_told(monkeypatch):
    monkeypatch.setattr(standing, "perf_counter", Clock())
    monkeypatch.setattr(standing, "LOOK_SECONDS", 2.5)
    monkeypatch.setattr(standing, "CHECKPOINT_SECONDS", 4.0)
    told, paces, saved = [], [], []
    at = Standing(step=100, total=120)
    hooks = Hooks(stepped=lambda *said: told.append(said))
    between = Between(at, hooks, lambda: saved.append(at.step), lambda *pace: paces.append((at.step, *pace)))
    # Two steps in a second, as where one is not counted.
    for number in range(6):
        at.step += 2 if number < 3 else 1
        between.count(0.5)
        between.pause()
    assert at.seconds == 6.0
    assert told[0] == (102, 120, 0.5)
    assert paces == [(106, 0.5, 0.5), (109, 1.0, 6 / 9)]
    assert saved == [108]


def test_who_asks_to_stop_is_heard_after_the_state_is_kept():
    at, saved = Standing(step=3), []
    between = Between(at, Hooks(stop=lambda: True), lambda: saved.append(at.step), lambda *_: None)
    at.step += 1
    between.count(0.0)
    with pytest.raises(Interrupted):
        between.pause()
    assert saved == [4]
