from __future__ import annotations

import numpy as np
import pytest

from learn.tiny import pictures, sides_of, store_of
from semeion.learn.scales import measure_scales, scales_of
from semeion.plan.recipes import NetworkPlan, PretrainedPlan


def test_scales_are_numpys(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 8, 10), dtype=np.uint8)
    store = store_of(images, tmp_path, per_shard=7)
    rows, y = np.arange(5, 25), np.linspace(10, 60, 30)
    scales = measure_scales(store, rows, y, "regression")
    assert scales.mean == pytest.approx(images[rows].mean((0, 2, 3)))
    assert scales.std == pytest.approx(images[rows].std((0, 2, 3)))
    assert scales.target_mean == pytest.approx(y[rows].mean())
    assert scales.target_std == pytest.approx(y[rows].std())
    other = measure_scales(store, rows, y, "binary")
    assert (other.target_mean, other.target_std) == (0.0, 1.0)


def test_scales_come_from_the_learning_cases_only(tmp_path):
    images, y = pictures("regression")
    scales = measure_scales(store_of(images, tmp_path / "a"), sides_of().learn, y, "regression")
    images[100:], y[100:] = 255, 1e6
    assert measure_scales(store_of(images, tmp_path / "b"), sides_of().learn, y, "regression") == scales


def test_constant_pictures_and_values_have_scales_to_divide_by(tmp_path):
    store = store_of(np.full((4, 1, 8, 8), 7, np.uint8), tmp_path)
    scales = measure_scales(store, np.arange(4), np.full(4, 3.0), "regression")
    assert scales.mean == (7.0,)
    assert scales.std == (1.0,)
    assert scales.target_std > 0


def test_pretrained_networks_keep_the_constants_they_first_learned_with(tmp_path):
    images, y = pictures("regression")
    store, rows = store_of(images, tmp_path), sides_of().learn
    own = scales_of(NetworkPlan(widths=[4]), store, rows, y, "regression")
    pretrained = scales_of(PretrainedPlan(side=32), store, rows, y, "regression")
    assert own == measure_scales(store, rows, y, "regression")
    assert set(pretrained.mean) == set(pretrained.std) == {127.5}
    assert (pretrained.target_mean, pretrained.target_std) == (own.target_mean, own.target_std)
