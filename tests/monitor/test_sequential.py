"""Evidence case by case: exact ranks, a martingale, and the rate that is promised."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.monitor.bins import Bins, fit_bins
from semeion.monitor.sequential import EVERY, conformal_p, first_alarm, log_capital, shares


def stream(reference: np.ndarray, new: np.ndarray, seed: int, edges: list[float] | None = None) -> np.ndarray:
    bins = fit_bins(reference, edges)
    return log_capital(conformal_p(bins, bins.place(new), np.random.default_rng(seed)))


def test_p_values_are_ranks_among_all_cases_before() -> None:
    bins = Bins(np.array([0.5]), np.array([0, 6, 4]))

    class Middle:
        def uniform(self, size: int) -> np.ndarray:
            return np.full(size, 0.5)

    found = conformal_p(bins, np.array([2, 2, 1]), Middle())  # type: ignore[arg-type]
    assert found == pytest.approx([0.5 * 5 / 11, 0.5 * 6 / 12, (6 + 0.5 * 7) / 13])


def test_without_change_p_values_are_uniform_and_do_not_depend_on_one_another() -> None:
    random = np.random.default_rng(0)
    found = np.array(
        [
            conformal_p(bins, bins.place(random.gamma(2, size=30)), random)
            for bins in (fit_bins(random.gamma(2, size=60)) for _ in range(400))
        ]
    )
    assert np.abs(np.quantile(found, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.02
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 0.15


@pytest.mark.parametrize("place", [0, 3, EVERY])
def test_the_capital_is_a_martingale(place: int) -> None:
    """Its mean over a uniform next p-value is what it was: integrated numerically after a few given ones."""
    before = np.linspace(0.05, 0.6, place)
    at = (np.arange(20_000) + 0.5) / 20_000
    own = np.exp(log_capital(before)[-1]) if place else 1.0
    last = [np.exp(log_capital(np.append(before, p))[-1]) for p in at[::20]]
    assert np.mean(last) == pytest.approx(own, rel=0.03)


def test_alarms_without_change_are_as_rare_as_promised() -> None:
    random = np.random.default_rng(1)
    worst = [stream(random.normal(size=100), random.normal(size=300), seed).max() for seed in range(300)]
    assert np.mean(np.array(worst) >= np.log(10)) <= 0.1
    assert np.mean(np.array(worst) >= np.log(100)) <= 0.02


@pytest.mark.parametrize("moved", [1.5, -1.5])
def test_a_shift_is_seen_soon_and_late_ones_too(moved: float) -> None:
    random = np.random.default_rng(2)
    reference = random.normal(size=300)
    at_once = first_alarm(stream(reference, random.normal(moved, size=100), 0), 0.001, 20)
    assert at_once is not None
    assert at_once <= 40
    late = np.concatenate([random.normal(size=600), random.normal(moved, size=100)])
    seen = first_alarm(stream(reference, late, 0), 0.001, 20)
    assert seen is not None
    assert 600 < seen <= 660


def test_another_spread_is_seen_although_the_middle_stays() -> None:
    random = np.random.default_rng(3)
    reference = random.normal(size=300)
    for spread in (0.4, 2.5):
        found = first_alarm(stream(reference, random.normal(0, spread, 120), 0), 0.001, 20)
        assert found is not None
        assert found <= 120
    assert first_alarm(stream(reference, random.normal(size=120), 0), 0.001, 20) is None


def test_another_prevalence_is_seen() -> None:
    random = np.random.default_rng(4)
    reference = (random.random(500) < 0.26).astype(float)
    found = first_alarm(stream(reference, (random.random(200) < 0.6).astype(float), 0, [0.5]), 0.001, 20)
    assert found is not None
    assert found <= 150


def test_too_few_cases_raise_no_alarm() -> None:
    assert first_alarm(np.full(19, 100.0), 0.05, 20) is None
    assert first_alarm(np.full(25, 100.0), 0.05, 20) == 20


@given(st.integers(0, 300), st.floats(0.001, 0.5))
def test_levels_of_groups_sum_to_at_most_what_is_shared(streams: int, level: float) -> None:
    assert sum(shares(level, streams)) <= level
