from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semeion.learn.stages import learning_rate, stage_rates, stages_of


def test_the_rate_is_one_cycle():
    assert learning_rate(0) == 0.04
    assert learning_rate(0.25) == pytest.approx(1)
    assert learning_rate(1) == pytest.approx(0, abs=1e-12)
    rates = [learning_rate(k / 100) for k in range(101)]
    assert rates.index(max(rates)) == 25
    assert all(a < b for a, b in pairwise(rates[:26]))
    assert all(a > b for a, b in pairwise(rates[25:]))


@given(st.floats(0, 1), st.integers(1, 8), st.floats(0.1, 1), st.floats(0, 0.9))
def test_stages_nearer_the_output_learn_first_and_faster(phase, stages, decay, share):
    rates = stage_rates(phase, stages, decay, share)
    assert rates[-1] == pytest.approx(learning_rate(phase))
    assert all(a <= b + 1e-12 for a, b in pairwise(rates))


def test_every_stage_learns_once_its_turn_has_come():
    assert stage_rates(0.0, 3, 0.5, 0.4)[:2] == [0.0, 0.0]
    assert stage_rates(0.2, 3, 0.5, 0.4)[0] == 0.0
    assert stage_rates(0.2, 3, 0.5, 0.4)[1] == pytest.approx(0.5 * learning_rate(0.2))
    assert stage_rates(0.4, 3, 0.5, 0.4)[0] == pytest.approx(0.25 * learning_rate(0.4))


def test_a_network_without_stages_is_one():
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    assert [len(stage) for stage in stages_of(network)] == [4]
