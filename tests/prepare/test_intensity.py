"""Intensity: what a scanner's arbitrary scale must not change, and what a physical unit must keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from semeion.cohort.volume import Grid
from semeion.prepare.intensity import body, denoised, foreground, normalise, otsu
from semeion.prepare.volume_spec import Intensity
from support.volumes import blob

SHAPE = (12, 20, 24)
GRID = Grid((24, 20, 12), (1.0, 1.0, 2.0))
QUICK = settings(max_examples=25, deadline=None)


@QUICK
@given(st.floats(1e-3, 1e4), st.sampled_from(["zscore", "percentiles"]), st.sampled_from(["all", "nonzero", "otsu"]))
def test_a_volumes_own_scale_does_not_matter(scale: float, kind: Any, rule: Any) -> None:
    """Scanners of the hippocampus set differ by four orders of magnitude."""
    values = blob()
    settings_ = Intensity(kind=kind, foreground=rule, clip=(0.01, 0.99))
    one, _ = normalise(values, GRID, settings_)
    other, _ = normalise((values * scale).astype(np.float32), GRID, settings_)
    np.testing.assert_allclose(one, other, atol=2e-3)


def test_a_zscore_is_that_of_the_foreground() -> None:
    values = blob()
    out, notes = normalise(values, GRID, Intensity())
    inside = out[values != 0].astype(np.float64)
    assert out.dtype == np.float32
    assert notes == ()
    assert inside.mean() == pytest.approx(0, abs=1e-4)
    assert inside.std() == pytest.approx(1, abs=1e-4)
    assert len(np.unique(out[values == 0])) == 1


def test_a_fixed_scale_is_the_units() -> None:
    values = np.array([[[-2000, -100, 0, 60, 3000]]], np.int16)
    settings_ = Intensity(kind="fixed", low=-1000, high=1000, mean=50, std=200)
    out, _ = normalise(values, Grid((5, 1, 1), (1, 1, 1)), settings_)
    np.testing.assert_allclose(out[0, 0], [-5.25, -0.75, -0.25, 0.05, 4.75])


def test_percentiles_become_nought_and_one() -> None:
    values = np.arange(1, 1001, dtype=np.float32).reshape(10, 10, 10)
    out, _ = normalise(values, Grid((10, 10, 10), (1, 1, 1)), Intensity(kind="percentiles", clip=(0.1, 0.9)))
    assert (out.min(), out.max()) == (0, pytest.approx(1))
    assert float((out == 0).mean()) == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize("value", [0.0, 7.0, -3e7])
@pytest.mark.parametrize("kind", ["zscore", "percentiles"])
def test_a_constant_volume_is_nought_and_says_so(value: float, kind: Any) -> None:
    out, notes = normalise(np.full(SHAPE, value, np.float32), GRID, Intensity(kind=kind))
    assert not out.any()
    assert notes == ("constant",)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_the_input_is_left_alone(kind: Any) -> None:
    values = blob().astype(kind)
    before = values.copy()
    normalise(values, GRID, Intensity(clip=(0.01, 0.99)))
    np.testing.assert_array_equal(values, before)


def test_otsu_parts_two_groups_whatever_a_few_hot_voxels_do() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(10, 2, 5000), rng.normal(100, 10, 3000)])
    assert 20 < otsu(values) < 75
    values[:3] = 1e6
    assert 20 < otsu(values) < 75
    assert otsu(np.full(5, 3.0)) == 3.0


def test_the_body_is_the_largest_part_and_not_the_table() -> None:
    values = blob() + 10
    values[:, 18, :] = 90  # a table below
    found = body(values)
    assert found[6, 10, 12]
    assert not found[:, 18, :].any()


def test_a_rule_that_leaves_nothing_takes_all() -> None:
    assert foreground(np.zeros((2, 2, 2)), "nonzero").all()
    assert foreground(np.ones((2, 2, 2)), "otsu").all()


def test_n4_takes_a_slow_field_away() -> None:
    shape = (12, 32, 32)
    values = blob(shape) + np.float32(1)
    i = np.linspace(-1, 1, shape[2], dtype=np.float32)
    spoiled = values * np.exp(0.4 * i)
    grid = Grid((32, 32, 12), (1.0, 1.0, 2.0))

    def slope(array: Any) -> float:
        part = (values > 50) & (values < 110)
        where = np.broadcast_to(i, shape)[part]
        return float(np.polyfit(where, np.log(array[part].astype(np.float64)), 1)[0])

    settings_ = Intensity(kind="fixed", low=0, high=1e4, mean=0, std=1, n4=True)
    mended, notes = normalise(spoiled, grid, settings_)
    assert slope(spoiled) == pytest.approx(0.4, abs=0.05)
    assert abs(slope(mended)) < 0.15
    assert notes[0].startswith("n4: field from 0.")
    flat, notes = normalise(np.zeros(shape, np.float32), grid, settings_)
    assert notes == ("n4-left-out: nothing to correct",)
    assert not flat.any()


@pytest.mark.parametrize("how", ["median", "curvature"])
def test_noise_becomes_less_and_edges_stay(how: Any) -> None:
    rng = np.random.default_rng(1)
    clean = (blob() > 50).astype(np.float32) * 100
    noisy = clean + rng.normal(0, 10, SHAPE).astype(np.float32)
    made = denoised(noisy, GRID, how)
    assert made.dtype == np.float32
    assert np.abs(made - clean).mean() < 0.8 * np.abs(noisy - clean).mean()


def test_a_median_stays_within_thick_slices() -> None:
    values = np.zeros((5, 8, 8), np.float32)
    values[2] = 100
    thick = denoised(values, Grid((8, 8, 5), (1.0, 1.0, 8.0)), "median")
    np.testing.assert_array_equal(thick, values)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"kind": "fixed"}, "kind 'fixed' needs low below high, mean, and std above 0"),
        ({"kind": "fixed", "low": 1, "high": 0, "mean": 0, "std": 1}, "needs low below high"),
        ({"kind": "fixed", "low": 0, "high": 1, "mean": 0, "std": 0}, "std above 0"),
        ({"clip": (0.9, 0.1)}, "clip holds two shares from 0 to 1, the lower first"),
        ({"clip": (-0.1, 1)}, "clip holds two shares"),
        ({"denoise": True}, "denoise"),
        ({"low": float("nan")}, "finite"),
        ({"window": (0, 1)}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        Intensity(**fields)
