"""Ordered work on threads: order, errors at their turn, and a bounded number in flight."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.errors import ImageError
from semeion.parallel import ordered_map, usable_cores


@settings(max_examples=30, deadline=None)
@given(items=st.lists(st.integers(), max_size=60), jobs=st.integers(1, 6))
def test_results_come_in_the_order_of_the_items(items: list[int], jobs: int) -> None:
    assert list(ordered_map(lambda item: item * 2, items, jobs=jobs)) == [item * 2 for item in items]


def test_a_slow_first_item_does_not_lose_its_place() -> None:
    others_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert others_done.wait(30)
        elif item == 3:
            others_done.set()
        return item

    assert list(ordered_map(work, range(4), jobs=2)) == [0, 1, 2, 3]


def test_work_runs_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=30)
    assert sorted(ordered_map(lambda item: both.wait() * 0 + item, [1, 2], jobs=2)) == [1, 2]


def test_an_error_is_raised_at_its_turn() -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ImageError("truncated", where="2.png")
        return item

    results = ordered_map(work, range(50), jobs=3)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ImageError, match=r"^2\.png: truncated$"):
        next(results)


def test_an_error_of_the_source_is_raised_and_stops_the_threads() -> None:
    before = threading.active_count()

    def items() -> Iterator[int]:
        yield 1
        raise ImageError("the list ended early")

    with pytest.raises(ImageError, match="the list ended early"):
        list(ordered_map(lambda item: item, items(), jobs=2))
    assert threading.active_count() == before


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_at_most_four_items_a_thread_are_in_flight(jobs: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(200):
            taken += 1
            yield item

    most = 0
    for received, _ in enumerate(ordered_map(lambda item: item, items(), jobs=jobs)):
        most = max(most, taken - received)
    assert most <= 4 * jobs
    assert taken == 200


def test_an_endless_source_can_be_read_in_part() -> None:
    def forever() -> Iterator[int]:
        item = 0
        while True:
            yield item
            item += 1

    before = threading.active_count()
    results = ordered_map(lambda item: item, forever(), jobs=2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_nothing_in_nothing_out() -> None:
    assert list(ordered_map(str, [])) == []


def test_there_is_always_a_core() -> None:
    assert usable_cores() >= 1
