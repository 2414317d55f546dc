from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.evidence.calibration.smooth import MOST_CELLS, Smoother, equal_groups, smoother


def curve_of(found: Smoother, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    ordered = weight[found.order]
    total = np.add.reduceat(ordered, found.starts)[None, :]
    events = np.add.reduceat(ordered * y[found.order], found.starts)[None, :]
    return found.curve(total, events)[0]


def by_hand(p: np.ndarray, y: np.ndarray, weight: np.ndarray, at: float, span: float) -> float:
    """Weighted least squares at one point, the reach from the distances of the cases themselves."""
    far = np.abs(p - at)
    reach = np.sort(far)[int(np.ceil(span * len(p) - 1e-9)) - 1]
    reach = max(reach, 1.5 * np.sort(np.abs(np.unique(p) - at))[1])
    kernel = np.clip(1 - (far / reach) ** 3, 0, 1) ** 3 * weight
    design = np.column_stack([np.ones_like(p), p - at])
    root = np.sqrt(kernel)[:, None]
    return float(np.clip(np.linalg.lstsq(design * root, y * root[:, 0], rcond=None)[0][0], 0, 1))


@pytest.mark.parametrize("span", [2 / 3, 0.4])
@pytest.mark.parametrize("grid", [10**9, 12])
def test_each_point_is_a_weighted_line_through_its_neighbours(span: float, grid: int) -> None:
    rng = np.random.default_rng(0)
    p = rng.integers(0, grid, 150) / grid
    y = (rng.random(150) < p**2).astype(float)
    weight = rng.integers(1, 4, 150).astype(float)
    found = smoother(p, span=span)
    got = curve_of(found, y, weight)
    expected = [by_hand(p, y, weight, at, span) for at in found.grid]
    np.testing.assert_allclose(got, expected, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 900), st.sampled_from([3, 40, 10**6]))
def test_a_calibrated_share_is_met_exactly(seed: int, n: int, grid: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.integers(0, grid + 1, n) / grid
    found = smoother(p)
    mass = np.diff(np.append(found.starts, n)).astype(float)[None, :]
    curve = found.curve(mass, mass * found.x)
    np.testing.assert_allclose(curve[0], found.grid, atol=1e-7)
    np.testing.assert_allclose(found.at_cells(curve)[0], found.x, atol=1e-7)
    assert len(found.grid) <= 101
    assert (found.grid[0], found.grid[-1]) == pytest.approx((found.x[0], found.x[-1]))
    assert (np.diff(found.grid) > 0).all()


def test_one_probability_gives_one_point_the_observed_share() -> None:
    found = smoother(np.full(20, 0.3))
    assert found.grid.tolist() == [0.3]
    assert curve_of(found, np.arange(20) < 5, np.ones(20)).tolist() == [0.25]


def test_a_heap_of_ties_does_not_stand_alone() -> None:
    p = np.array([0.0] * 90 + [0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.97, 0.99, 1.0])
    y = (p > 0.5).astype(float)
    curve = curve_of(smoother(p), y, np.ones(100))
    assert np.isfinite(curve).all()
    assert curve[0] == pytest.approx(0, abs=0.05)
    assert curve[-1] > 0.5


def test_a_point_with_nothing_near_in_a_resample_is_unknown() -> None:
    found = smoother(np.array([0.1, 0.2, 0.8, 0.9]), span=0.25)
    curve = found.curve(np.array([[1.0, 1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0, 0.0]]))[0]
    assert np.isnan(curve[-1])
    assert np.isfinite(curve[0])


def test_groups_are_even_and_never_part_ties() -> None:
    rng = np.random.default_rng(0)
    assert np.bincount(equal_groups(rng.random(1000), 10)).tolist() == [100] * 10
    tied = np.repeat([0.1, 0.5, 0.9], [50, 3, 47])
    groups = equal_groups(tied, 5)
    assert len(np.unique(groups[tied == 0.1])) == len(np.unique(groups[tied == 0.9])) == 1
    assert len(smoother(rng.random(5000)).x) == MOST_CELLS
