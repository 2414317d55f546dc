from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.outlines import Balls, plan_of
from semeion.study import segment_choice as module
from semeion.study.segment_choice import bootstrap_mean, case_dice, chosen_rows, decide


def figures(*means, n=40, spread=0.02):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, spread, (n, 2))
    return {name: mean + noise + rng.normal(0, 0.003, (n, 2)) for name, mean in zip("abc", means, strict=False)}


def test_the_higher_mean_is_chosen_with_a_paired_interval():
    decision = decide("network", figures(0.80, 0.81), np.arange(40), 0, "tried")
    assert decision.chosen == "b"
    assert decision.against == "a"
    assert decision.difference == pytest.approx(0.01, abs=0.003)
    # The cases are the same for both, so their common spread is not in the interval.
    assert 0 < decision.low < decision.difference < decision.high < 0.02
    assert decision.n == 40


def test_the_first_option_stays_where_little_is_gained():
    assert decide("mirroring", figures(0.80, 0.8001), np.arange(40), 0, "tried", 5e-3).chosen == "a"
    assert decide("mirroring", figures(0.80, 0.82), np.arange(40), 0, "tried", 5e-3).chosen == "b"


def test_one_option_alone_is_chosen_against_itself():
    decision = decide("mirroring", figures(0.8), np.arange(40), 0, "only one")
    assert (decision.chosen, decision.against, decision.difference) == ("a", "a", 0)


def test_outlining_nothing_where_nothing_is_earns_its_credit():
    both = figures(0.9, 0.9, n=5)
    both["a"][2], both["b"][2] = 0.0, np.nan
    decision = decide("post-processing", both, np.arange(5), 0, "tried")
    assert (decision.n, decision.chosen) == (5, "b")
    assert decision.difference == pytest.approx(0.2, abs=0.01)


def test_patients_are_drawn_not_cases():
    values = np.repeat(np.random.default_rng(1).normal(0, 1, 10), 20)
    alone = bootstrap_mean(values, np.arange(200), 0)
    grouped = bootstrap_mean(values, np.repeat(np.arange(10), 20), 0)
    assert grouped[1] - grouped[0] > 2 * (alone[1] - alone[0])


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_the_interval_lies_within_the_values_and_repeats(values, seed):
    array = np.array(values)
    low, high = bootstrap_mean(array, np.arange(len(array)), seed)
    assert array.min() - 1e-9 <= low <= high <= array.max() + 1e-9
    assert bootstrap_mean(array, np.arange(len(array)), seed) == (low, high)


def test_case_dice_reads_mask_values_as_classes():
    store = Balls(2)
    right = [np.select([m == 3, m == 7], [1, 2], 0).astype(np.uint8) for m in store.masks]
    assert case_dice(store, [0, 1], right, plan_of()).tolist() == [[1, 1], [1, 1]]
    swapped = [np.select([m == 3, m == 7], [2, 1], 0).astype(np.uint8) for m in store.masks]
    assert case_dice(store, [0, 1], swapped, plan_of()).tolist() == [[0, 0], [0, 0]]


def test_very_many_voxels_leave_a_part_of_the_cases_spread_evenly(monkeypatch):
    store = Balls(10)
    rows = np.arange(10, dtype=np.int64)
    assert chosen_rows(store, rows).tolist() == rows.tolist()
    monkeypatch.setattr(module, "MOST_VOXELS", 4 * 8 * 16 * 14)
    assert chosen_rows(store, rows).tolist() == [0, 3, 6, 9]
