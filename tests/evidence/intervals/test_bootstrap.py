from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evidence import naive
from semeion.evidence.intervals.bootstrap import (
    acceleration,
    bca,
    case_weights,
    draw,
    interval,
    left_out_groups,
    multiplicities,
    outcome_strata,
    resample,
)


def test_every_resample_draws_as_many_patients_as_there_are() -> None:
    counts = multiplicities(50, 0, 200, seed=3)
    assert counts.shape == (200, 50)
    assert (counts.sum(axis=1) == 50).all()
    # The share of patients left out tends to 1/e.
    assert (counts == 0).mean() == pytest.approx(np.exp(-1), abs=0.02)


def test_the_draws_do_not_depend_on_how_the_work_is_cut() -> None:
    whole = multiplicities(9, 0, 10, seed=1)
    np.testing.assert_array_equal(whole[4:7], multiplicities(9, 4, 7, seed=1))
    assert not np.array_equal(whole, multiplicities(9, 0, 10, seed=2))
    few = resample(lambda counts: counts[:, :1], 9, 9, resamples=10, seed=1, jobs=1)
    many = resample(lambda counts: counts[:, :1], 9, 10**6, resamples=10, seed=1, jobs=3)
    np.testing.assert_array_equal(few, whole[:, :1])
    np.testing.assert_array_equal(many, few)


def test_all_cases_of_a_patient_weigh_the_same() -> None:
    counts = np.array([[2.0, 0.0, 1.0]])
    np.testing.assert_array_equal(case_weights(counts, np.array([0, 1, 0, 2])), [[2, 0, 2, 1]])
    assert case_weights(counts, np.arange(3)) is counts


def test_the_interval_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(size=400)
    means = resample(lambda counts: counts @ values[:, None] / 400, 400, 400, resamples=4000)
    span = interval(means[:, 0], 400)
    half = 1.96 * values.std() / 20
    assert span.low == pytest.approx(values.mean() - half, abs=0.01)
    assert span.high == pytest.approx(values.mean() + half, abs=0.01)
    assert span.reason == ""


def test_resamples_without_the_figure_are_left_out_and_stated() -> None:
    values = np.linspace(0, 1, 1000)
    values[:40] = np.nan
    assert interval(values, 9).reason == ""
    values[:100] = np.nan
    span = interval(values, 9)
    assert span.reason == "10.0 % of the resamples have no such figure and are left out"
    assert (span.low, span.high) == pytest.approx(tuple(np.quantile(values[100:], [0.025, 0.975])))
    values[:600] = np.nan
    span = interval(values, 9)
    assert np.isnan(span.low)
    assert span.reason == "no interval: 60.0 % of the resamples have no such figure and are left out"


def test_one_patient_has_no_interval_and_a_constant_figure_a_warning() -> None:
    assert interval(np.ones(9), 1).reason == "no interval: fewer than 2 patients"
    span = interval(np.ones(9), 5)
    assert (span.low, span.high) == (1, 1)
    assert span.reason == "interval unreliable: every resample gives the same value, so it is too narrow"


def mean_of(values: np.ndarray):
    return lambda counts: (counts @ values / counts.sum(axis=1))[:, None]


@pytest.mark.parametrize("n", [25, 400])
def test_bca_of_a_mean_is_that_of_scipy_on_the_same_draws(n: int) -> None:
    values = np.random.default_rng(n).lognormal(0, 1, n)
    spread = draw(mean_of(values), n, n, resamples=999, seed=4)[0]
    given = stats.bootstrap((values,), np.mean, n_resamples=2, vectorized=True, method="percentile", rng=0)
    given.bootstrap_distribution = spread.drawn
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=0, method="BCa", bootstrap_result=given, vectorized=True
    ).confidence_interval
    span = spread.interval(n)
    assert (span.low, span.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    assert span.reason == ""
    plain = interval(spread.drawn, n)
    assert span.low > plain.low  # it moves towards the long tail
    assert span.high > plain.high


def test_the_acceleration_within_strata_is_that_of_scipy_for_two_samples() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.exponential(1, 30), rng.normal(0, 0.5, 70)
    values = np.concatenate([one, two])
    strata = (np.arange(30), np.arange(30, 100))

    def difference(counts: np.ndarray) -> np.ndarray:
        first, second = counts[:, :30], counts[:, 30:]
        return (first @ one / first.sum(axis=1) - second @ two / second.sum(axis=1))[:, None]

    spread = draw(difference, 100, len(values), resamples=999, seed=1, strata=strata)[0]

    def statistic(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.mean(a, axis=axis) - np.mean(b, axis=axis)

    given = stats.bootstrap((one, two), statistic, n_resamples=2, vectorized=True, method="percentile", rng=0)
    given.bootstrap_distribution = spread.drawn
    theirs = stats.bootstrap(
        (one, two), statistic, n_resamples=0, method="BCa", bootstrap_result=given, vectorized=True
    ).confidence_interval
    span = spread.interval(100)
    assert (span.low, span.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_bca_is_the_textbook_formula_with_ties_and_lost_resamples() -> None:
    rng = np.random.default_rng(0)
    values = rng.binomial(30, 0.8, 500) / 30
    values[:20] = np.nan
    span = bca(0.8, values, 0.03, 30)
    assert (span.low, span.high) == pytest.approx(naive.bca(0.8, values, 0.03), rel=1e-12)
    # Rounding does not part what is equal.
    again = bca(0.8 + 1e-15, values, 0.03, 30)
    assert (again.low, again.high) == pytest.approx((span.low, span.high), abs=1e-12)


def test_resamples_on_one_side_of_the_figure_are_said() -> None:
    values = np.linspace(1, 2, 400)
    span = bca(0.5, values, 0.0, 40)
    assert np.isfinite([span.low, span.high]).all()
    assert span.reason == "interval unreliable: nearly all resamples lie on one side of the figure"


def test_a_single_patient_has_no_spread() -> None:
    spread = draw(mean_of(np.array([3.0])), 1, 1, resamples=50)[0]
    assert spread.value == 3
    assert spread.interval(1).reason == "no interval: fewer than 2 patients"


def test_leaving_out_groups_comes_close_to_leaving_out_patients() -> None:
    values = np.random.default_rng(0).exponential(1, 3000)
    alone = np.array([(values.sum() - values) / 2999]).T
    exact = acceleration(alone, np.zeros(3000, dtype=np.int64))[0]
    # A sixth of the skewness of the mean.
    assert exact == pytest.approx(stats.skew(values) / (6 * np.sqrt(3000)), rel=1e-3)
    spread = draw(mean_of(values), 3000, 3000, resamples=2)[0]
    assert spread.acceleration == pytest.approx(exact, abs=0.006)


def test_groups_are_patients_while_they_are_few_and_then_about_200_of_equal_size() -> None:
    group, stratum = left_out_groups(500, 0)
    np.testing.assert_array_equal(group, np.arange(500))
    np.testing.assert_array_equal(stratum, np.zeros(500))
    group, stratum = left_out_groups(1234, 0)
    assert len(stratum) == 200
    assert set(np.bincount(group)) == {6, 7}
    rare = (np.arange(30, 5000), np.arange(30))
    group, stratum = left_out_groups(5000, 0, rare)
    assert np.bincount(stratum).tolist() == [100, 30]
    assert (np.bincount(group[:30], minlength=130)[100:] == 1).all()
    assert set(np.bincount(group[30:])[:100]) == {49, 50}
    # A figure that a group leaves undefined is passed over.
    assert acceleration(np.array([[1.0], [np.nan], [3.0]]), np.zeros(3, dtype=np.int64)) == pytest.approx(0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 80), st.integers(1, 4), st.floats(0.02, 0.98))
def test_a_draw_within_strata_keeps_the_patients_of_each(seed: int, n: int, most: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n), rng.integers(1, most + 1, n))
    outcome = (rng.random(len(patient)) < share).astype(np.int64)
    strata = outcome_strata(patient, outcome, n)
    np.testing.assert_array_equal(np.sort(np.concatenate(strata)), np.arange(n))
    assert all(len(members) >= 2 for members in strata)
    counts = multiplicities(n, 0, 6, seed % 1000, strata)
    for members in strata:
        np.testing.assert_array_equal(counts[:, members].sum(axis=1), np.full(6, len(members)))
    np.testing.assert_array_equal(counts[2:5], multiplicities(n, 2, 5, seed % 1000, strata))
    # All cases of a patient come along.
    weights = case_weights(counts, patient)
    for number in range(n):
        assert (weights[:, patient == number] == counts[:, [number]]).all()


def test_strata_are_the_sets_of_classes_of_a_patient_and_rare_ones_are_pooled() -> None:
    # 30 patients with 0, 15 with 0 and 1, 9 with 1, 9 with 2, 9 with 3: those of rare patterns are 27.
    patient = np.concatenate([np.arange(30), np.repeat(np.arange(30, 45), 2), np.arange(45, 72)])
    outcome = np.concatenate([np.zeros(30), np.tile([0, 1], 15), np.repeat([1, 2, 3], 9)]).astype(np.int64)
    strata = outcome_strata(patient, outcome, 72)
    assert [members.tolist() for members in strata] == [
        list(range(30)), list(range(30, 45)), list(range(45, 72))
    ]  # fmt: skip
    # Fewer than 20 are no stratum: they join the smallest.
    few = patient < 63
    strata = outcome_strata(patient[few], outcome[few], 63)
    assert [members.tolist() for members in strata] == [list(range(30)), list(range(30, 63))]
    # Nor is one patient.
    strata = outcome_strata(np.arange(25), np.array([0] * 24 + [1]), 25)
    assert [members.tolist() for members in strata] == [list(range(25))]
    assert len(outcome_strata(np.arange(900), np.arange(900) % 45, 900)) == 21
