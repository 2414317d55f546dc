"""Cases that an interval of a width needs: the formulas, and that the number they name does what was asked."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from semeion.evidence.growth.wanted import area_variance, logit_interval, wanted_area, wanted_root, wanted_share

NAMES = ("ill", "well")


def test_the_variance_is_that_which_riley_and_others_use():
    # Riley et al., Stat Med 40:4230 (2021), equation for SE(C) after Newcombe 2006: n cases, prevalence phi.
    n, phi, c = 500, 0.2, 0.8
    part = 1 + (n / 2 - 1) * ((1 - c) / (2 - c)) + (n / 2 - 1) * c / (1 + c)
    theirs = c * (1 - c) * part / (n**2 * phi * (1 - phi))
    assert area_variance(c, n * phi, n * (1 - phi)) == pytest.approx(theirs)


def test_the_variance_is_that_of_simulated_areas():
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(1500):
        ill, well = rng.standard_normal(30) + 1.2, rng.standard_normal(60)
        areas.append((ill[:, None] > well).mean())
    assert np.var(areas) == pytest.approx(area_variance(norm.cdf(1.2 / math.sqrt(2)), 30, 60), rel=0.15)


@given(st.floats(0.5, 0.99), st.integers(10, 200), st.integers(10, 200), st.floats(0.02, 0.3))
@settings(max_examples=25, deadline=None)
def test_the_number_is_the_smallest_that_suffices(area, ill, well, width):
    found = wanted_area(area, None, NAMES, (ill, well), width)
    share = ill / (ill + well)
    total = sum(found.needed.values())
    assert found.n_needed == total

    def span(n):
        low, high = logit_interval(area, area_variance(area, n * share, n * (1 - share)))
        return high - low

    assert span(total) <= width * 1.001 + 1e-9 or total < 10
    if total > 60:
        assert span(total - 4) > width * 0.99
    assert found.needed["ill"] == pytest.approx(total * share, abs=1.5)


def test_an_observed_variance_scales_the_number():
    plain = wanted_area(0.85, None, NAMES, (40, 60), 0.05)
    twice = wanted_area(0.85, 2 * area_variance(0.85, 40, 60), NAMES, (40, 60), 0.05)
    assert twice.n_needed == pytest.approx(2 * plain.n_needed, rel=0.02)
    assert "variance times 2.00, as observed" in twice.method


def test_an_area_of_one_still_has_an_interval():
    found = wanted_area(1.0, 0.0, NAMES, (12, 20), 0.05)
    assert found.low < 1
    assert found.n_needed > 0


def test_a_share_needs_what_wilson_says():
    found = wanted_share("recall", 0.9, "ill", 20, 20, 100, 0.1)
    ends = binomtest(18, 20).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    needed = found.needed["ill"]
    for n, narrow in ((10 * math.ceil(needed / 10), True), (10 * math.floor(needed / 10) - 10, False)):
        ends = binomtest(round(0.9 * n), n).proportion_ci(method="wilson")
        assert (ends.high - ends.low <= 0.1) == narrow
    assert found.n_needed == math.ceil(needed * 100 / 20)


def test_clustered_cases_count_less():
    plain, clustered = (wanted_share("recall", 0.9, "ill", 40, effective, 80, 0.1) for effective in (40.0, 20.0))
    assert clustered.needed["ill"] == pytest.approx(2 * plain.needed["ill"], abs=2)
    assert "counting as 20.0" in clustered.method


def test_other_figures_go_with_the_root():
    found = wanted_root("mae", 5.0, 4.0, 6.0, 50, 1.0)
    assert (found.width, found.n_needed, found.needed) == (2.0, 200, {"all": 200})


def test_a_width_beyond_reach_has_a_reason():
    found = wanted_area(0.7, None, NAMES, (50, 50), 1e-5)
    assert (found.n_needed, found.needed) == (None, None)
    assert "no number of cases up to 10,000,000" in found.reason
