from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from semeion.evidence.intervals.proportions import area_interval, carriers, clustered_wilson, effective_cases, wilson


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.data())
def test_wilson_is_that_of_scipy_and_holds_the_share(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = wilson(np.array([float(hits)]), np.array([float(n)]))
    theirs = binomtest(hits, n).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= low[0] <= hits / n <= high[0] <= 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 5), st.floats(0, 1))
def test_a_clustered_interval_holds_the_share_whatever_the_order(seed: int, n: int, most: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    patient = rng.integers(0, max(1, n // most), n)
    hit = rng.random(n) < share
    found = clustered_wilson(hit, patient)
    assert 0 <= found.low <= hit.mean() + 1e-12
    assert hit.mean() - 1e-12 <= found.high <= 1
    assert 1 <= found.effective <= n
    order = rng.permutation(n)
    again = clustered_wilson(hit[order], patient[order] + 7)
    assert (again.low, again.high) == pytest.approx((found.low, found.high), abs=1e-12)


def test_patients_with_one_case_each_have_the_plain_interval() -> None:
    hit = np.arange(40) < 33
    found = clustered_wilson(hit, np.arange(40)[::-1])
    theirs = binomtest(33, 40).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert found.effective == 40
    assert found.method == "95 % Wilson score interval"


def test_copies_of_cases_count_as_one() -> None:
    hit, patient = np.repeat(np.arange(40) < 33, 3), np.repeat(np.arange(40), 3)
    assert effective_cases(hit, patient) == pytest.approx(40)
    found = clustered_wilson(hit, patient)
    assert found.method == "95 % Wilson score interval, 120 cases counting as 40.0 as patients have several"


def test_the_design_effect_is_the_one_of_the_ratio_estimator() -> None:
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 6, 50)
    patient = np.repeat(np.arange(50), sizes)
    chance = np.repeat(rng.beta(2, 1, 50), sizes)
    hit = rng.random(len(patient)) < chance
    share, n = hit.mean(), len(hit)
    totals = np.array([hit[patient == k].sum() - share * (patient == k).sum() for k in range(50)])
    variance = 50 / 49 * (totals**2).sum() / n**2
    assert effective_cases(hit, patient) == pytest.approx(min(n, 1 + share * (1 - share) / variance))
    assert effective_cases(hit, patient) < n


def test_cases_that_vary_less_within_patients_count_no_more_than_they_are() -> None:
    # Every patient has one hit and one miss: the share does not vary at all.
    assert effective_cases(np.tile([True, False], 20), np.repeat(np.arange(20), 2)) == 40


@pytest.mark.parametrize(("misses", "effective"), [(0, 15), (1, 15), (3, 15)])
def test_where_the_clustering_cannot_be_seen_patients_count(misses: int, effective: float) -> None:
    hit, patient = np.arange(45) >= misses, np.repeat(np.arange(15), 3)
    assert carriers(hit, patient) == min(misses, 1)
    assert effective_cases(hit, patient) == effective
    assert clustered_wilson(hit, patient).low < binomtest(45 - misses, 45).proportion_ci(method="wilson").low


def test_everything_observed_leaves_the_closed_form() -> None:
    found = clustered_wilson(np.ones(12, dtype=bool), np.arange(12))
    assert (found.low, found.high) == pytest.approx((1 / (1 + 1.959963984540054**2 / 12), 1))


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.integers(1, 500), st.integers(1, 500))
def test_the_ends_of_an_area_are_196_standard_errors_away(area: float, m: int, n: int) -> None:
    low, high = area_interval(area, m, n)
    assert 0 <= low <= area <= high <= 1
    spare = (m + n) / 2 - 1
    for end in (low, high):
        if 1e-6 < end < 1 - 1e-6 and abs(end - area) > 1e-9:
            variance = end * (1 - end) / (m * n)
            variance *= 1 + spare * (1 - end) / (2 - end) + spare * end / (1 + end)
            assert abs(end - area) == pytest.approx(1.959963984540054 * np.sqrt(variance), rel=1e-4)
    turned = area_interval(1 - area, n, m)
    assert (1 - turned[1], 1 - turned[0]) == pytest.approx((low, high), abs=1e-9)


def test_separated_classes_keep_an_interval() -> None:
    low, high = area_interval(1, 8, 40)
    assert high == 1
    assert 0.6 < low < 0.95
    assert area_interval(1, 80, 400)[0] > low
