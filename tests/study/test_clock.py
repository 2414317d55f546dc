"""The budget's clock counts work, not the time between a stop and a resume."""

from __future__ import annotations

from time import monotonic

from semeion.study.clock import Clock, process_start


def test_time_before_counts_and_time_between_does_not() -> None:
    clock = Clock(100.0, used_before=30.0, started=monotonic() - 20.0)
    assert 50.0 <= clock.used() < 60.0
    left = clock.left()
    assert left is not None
    assert 40.0 < left <= 50.0


def test_nothing_is_left_below_zero_and_nothing_counts_without_a_budget() -> None:
    assert Clock(1.0, used_before=5.0).left() == 0.0
    assert Clock(None, used_before=5.0).left() is None


def test_a_process_started_before_now() -> None:
    assert process_start() <= monotonic()
