from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from measure.ibsi import PHANTOM, SHAPE
from measure.test_surface import MASKS, SPACINGS, ellipsoid
from semeion.measure.shape import farthest, shape_measurements


@pytest.mark.parametrize("name", SHAPE)
def test_published_values_of_the_phantom(name: str) -> None:
    published, tolerance = SHAPE[name]
    assert shape_measurements(PHANTOM > 0, (2, 2, 2))[name] == pytest.approx(published, abs=tolerance)


def test_a_ball() -> None:
    radius, spacing = 20.0, (1.0, 0.8, 0.8)
    found = shape_measurements(ellipsoid((radius, radius, radius), spacing), spacing)
    assert found["volume_ml"] == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.01)
    assert found["diameter_3d_mm"] == pytest.approx(2 * radius, abs=1)
    assert found["elongation"] == pytest.approx(1, abs=0.01)
    assert found["flatness"] == pytest.approx(1, abs=0.01)
    assert 0.91 < found["sphericity"] < 0.96
    assert 0.95 < found["solidity"] <= 1


def test_an_ellipsoid_has_the_ratios_of_its_axes() -> None:
    found = shape_measurements(ellipsoid((10, 20, 30), (1, 1, 1)), (1, 1, 1))
    assert found["elongation"] == pytest.approx(20 / 30, abs=0.01)
    assert found["flatness"] == pytest.approx(10 / 30, abs=0.01)
    assert found["diameter_3d_mm"] == pytest.approx(60, abs=1.1)
    # Second moments of a solid ellipsoid: a squared over five.
    assert found["major_axis_mm"] == pytest.approx(4 * 30 / np.sqrt(5), rel=0.01)
    assert found["least_axis_mm"] == pytest.approx(4 * 10 / np.sqrt(5), rel=0.01)


def test_a_box() -> None:
    found = shape_measurements(np.ones((4, 10, 20), dtype=bool), (5, 1, 0.5))
    assert found["volume_ml"] == pytest.approx(20 * 10 * 10 / 1000)
    assert found["solidity"] == pytest.approx(1)
    assert found["border_irregularity"] == pytest.approx(1)
    # Between corners of the mesh, whose edges are cut: the least is lost when two of the axes lose a voxel.
    assert found["diameter_3d_mm"] == pytest.approx(np.linalg.norm([20, 10 - 1, 10 - 0.5]))


def test_dents_and_spikes_lower_solidity_and_raise_irregularity() -> None:
    ball = ellipsoid((12, 12, 12), (1, 1, 1))
    dented = ball.copy()
    dented[:, :14, ball.shape[2] // 2 - 1 : ball.shape[2] // 2 + 1] = False
    spiked = ball.copy()
    spiked[ball.shape[0] // 2, ball.shape[1] // 2, :] = True
    smooth = shape_measurements(ball, (1, 1, 1))
    for rough in (shape_measurements(dented, (1, 1, 1)), shape_measurements(spiked, (1, 1, 1))):
        assert rough["solidity"] < smooth["solidity"]
        assert rough["sphericity"] < smooth["sphericity"]
    assert shape_measurements(dented, (1, 1, 1))["border_irregularity"] > smooth["border_irregularity"] + 0.1


def test_one_voxel_has_a_volume_and_no_axes() -> None:
    found = shape_measurements(np.ones((1, 1, 1), dtype=bool), (2, 1, 1))
    assert found["volume_ml"] == pytest.approx(0.002)
    assert found["diameter_3d_mm"] == pytest.approx(2)
    assert {name for name, value in found.items() if np.isnan(value)} == {
        *("major_axis_mm", "minor_axis_mm", "least_axis_mm", "elongation", "flatness")
    }


def test_the_farthest_pair_is_found_across_blocks() -> None:
    points = np.random.default_rng(0).normal(size=(5000, 3))
    assert farthest(points) == pytest.approx(pdist(points).max())


@settings(max_examples=60, deadline=None)
@given(MASKS, SPACINGS, st.permutations(range(3)), st.sets(st.integers(0, 2)))
def test_neither_order_nor_direction_of_the_axes_matters(
    inside: np.ndarray, spacing: np.ndarray, order: list[int], flipped: set[int]
) -> None:
    turned = np.flip(inside.transpose(order), axis=tuple(flipped))
    here, there = shape_measurements(inside, spacing), shape_measurements(turned, spacing[order])
    assert list(here) == list(there)
    for name, value in here.items():
        assert there[name] == pytest.approx(value, nan_ok=True, abs=1e-6), name


@settings(max_examples=60, deadline=None)
@given(MASKS, SPACINGS, st.floats(0.5, 2))
def test_a_region_twice_as_wide_is_twice_as_wide(inside: np.ndarray, spacing: np.ndarray, factor: float) -> None:
    here, there = shape_measurements(inside, spacing), shape_measurements(inside, spacing * factor)
    for name, value in here.items():
        power = 3 if name.endswith("_ml") else 2 if name.endswith("_mm2") else 1 if name.endswith("_mm") else 0
        assert there[name] == pytest.approx(value * factor**power, nan_ok=True, abs=1e-6), name


@settings(max_examples=60, deadline=None)
@given(MASKS, SPACINGS)
def test_ratios_stay_within_their_limits(inside: np.ndarray, spacing: np.ndarray) -> None:
    found = shape_measurements(inside, spacing)
    assert 0 < found["mesh_volume_ml"] < found["volume_ml"]
    assert 0 < found["sphericity"] < 1
    assert 0 < found["solidity"] <= 1 + 1e-9
    assert found["diameter_3d_mm"] <= np.linalg.norm(np.array(inside.shape) * spacing) + 1e-9


@settings(max_examples=60, deadline=None)
@given(MASKS, SPACINGS)
def test_axes_are_those_of_the_covariance_of_voxel_centres(inside: np.ndarray, spacing: np.ndarray) -> None:
    places = np.argwhere(inside) * spacing
    if len(places) > 1:
        moments = np.linalg.eigvalsh(np.cov(places.T))
        found = shape_measurements(inside, spacing)
        assert found["major_axis_mm"] ** 2 == pytest.approx(16 * moments[2])
        assert found["minor_axis_mm"] ** 2 == pytest.approx(16 * moments[1], abs=1e-9)
        assert found["least_axis_mm"] ** 2 == pytest.approx(16 * moments[0], abs=1e-9)
