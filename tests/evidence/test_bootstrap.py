from __future__ import annotations

import numpy as np
import pytest

from semeion.evidence.bootstrap import case_weights, interval, multiplicities, resample


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
    assert span.reason == "every resample gives the same value, so the interval is too narrow"
