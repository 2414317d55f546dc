from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from measure.ibsi import PHANTOM, STATISTICS, agrees
from semeion.measure.intensity import histogram_measurements, intensity_measurements

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60).map(np.array)


@pytest.mark.parametrize("name", STATISTICS)
def test_published_values_of_the_phantom(name: str) -> None:
    levels = PHANTOM[PHANTOM > 0]
    found = (intensity_measurements(levels) | histogram_measurements(levels))[name]
    assert agrees(found, STATISTICS[name]), f"{found} is not {STATISTICS[name]}"


def test_moments_agree_with_scipy() -> None:
    x = np.random.default_rng(1).gamma(2, 30, size=5000)
    found = intensity_measurements(x)
    assert found["intensity_skewness"] == pytest.approx(stats.skew(x))
    assert found["intensity_kurtosis"] == pytest.approx(stats.kurtosis(x))
    assert found["intensity_coefficient_of_variation"] == pytest.approx(stats.variation(x))


def test_a_constant_region_has_no_spread_and_no_shape() -> None:
    found = intensity_measurements(np.full(7, 0.1))
    for name in ("variance", "skewness", "kurtosis", "range", "coefficient_of_variation"):
        assert found[f"intensity_{name}"] == 0, name
    assert histogram_measurements(np.ones(7, dtype=np.int64)) == {
        "histogram_entropy": 0.0,
        "histogram_uniformity": 1.0,
    }


def test_a_ratio_to_zero_is_not_a_number() -> None:
    found = intensity_measurements([-1.0, 1.0])
    assert np.isnan(found["intensity_coefficient_of_variation"])
    assert np.isnan(found["intensity_quartile_dispersion"])
    # Both intensities are beyond the interpolated percentiles.
    assert np.isnan(found["intensity_robust_mean_absolute_deviation"])


@settings(max_examples=60, deadline=None)
@given(VALUES, st.randoms())
def test_the_order_of_voxels_does_not_matter(values: np.ndarray, chance: object) -> None:
    shuffled = values.copy()
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    here, there = intensity_measurements(values), intensity_measurements(shuffled)
    for name in ("intensity_mean", "intensity_median", "intensity_p90", "intensity_energy", "intensity_variance"):
        assert there[name] == pytest.approx(here[name], rel=1e-6, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_order_statistics_are_in_order(values: np.ndarray) -> None:
    found = intensity_measurements(values)
    ordered = [found[f"intensity_{name}"] for name in ("minimum", "p10", "median", "p90", "maximum")]
    assert ordered == sorted(ordered)
    assert found["intensity_root_mean_square"] >= abs(found["intensity_mean"]) - 1e-9
