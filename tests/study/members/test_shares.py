"""Shares of the time when one or several members learn at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.study.clock import Clock
from semeion.study.members.shares import Abreast, scaled_to_fit, share
from support.tiny import make_plan

LENGTHS = st.lists(st.floats(0.1, 100.0), min_size=1, max_size=12)


@given(LENGTHS, st.floats(1.0, 1000.0))
def test_one_process_divides_the_time(each: list[float], left: float) -> None:
    assert scaled_to_fit(each, left) * sum(each) == pytest.approx(left)


@given(LENGTHS, st.floats(1.0, 1000.0), st.integers(2, 5))
def test_several_end_in_time_and_leave_none_unused(each: list[float], left: float, processes: int) -> None:
    factor = scaled_to_fit(each, left, processes=processes)
    assert factor * max(each) <= left * 1.001
    assert left * 0.999 <= factor * sum(each) <= processes * left * 1.001


def test_three_equal_members_on_two_processes_have_half_the_time_each() -> None:
    assert scaled_to_fit([1, 1, 1], 10.0, processes=2) == pytest.approx(5.0)
    # One has begun and has 4 seconds still: the next two fit beside and behind it.
    assert scaled_to_fit([1, 1], 10.0, [4.0], 2) == pytest.approx(6.0)


def test_a_share_with_others_under_way() -> None:
    class Begun(Clock):
        def used(self) -> float:
            return 0.0

    plan = make_plan(seconds=102.0, repeats=2)
    clock = Begun(102.0)
    assert share(plan, [], 0, clock, Abreast(2)) == pytest.approx(50.0)
    assert share(plan, [], 1, clock, Abreast(2, {"fold0-seed0": 50.0})) == pytest.approx(50.0)


def test_who_waits_for_a_teacher_has_a_share_when_a_later_member_is_begun_first() -> None:
    class Begun(Clock):
        def used(self) -> float:
            return 0.0

    plan = make_plan(seconds=102.0, folds=2, repeats=2)
    clock = Begun(102.0)
    # Two of four wait before the third: on two processes each has half the time, and not all of it.
    assert share(plan, [], 2, clock, Abreast(2)) == pytest.approx(50.0)
    done = [{"name": one.name, "recipe": "network", "steps": 12, "seconds": 1.0} for one in plan.members[:2]]
    assert share(plan, done, 2, clock, Abreast(2)) == pytest.approx(100.0)
    assert share(plan, [], 2, clock, Abreast(1)) == pytest.approx(50.0), "one after the other they are in order"
