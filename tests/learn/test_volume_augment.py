from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.learn.volume_augment import change, draw
from semeion.plan.segment_schema import VolumeAugmentationPlan

NOTHING = VolumeAugmentationPlan(rotation=0, tilt=0, scale=0, share=0)
ISO = (1.0, 1.0, 1.0)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_nothing_planned_changes_nothing():
    drawn = draw(NOTHING, 4, (5.0, 1.0, 2.0), (4, 6, 8), rng())
    assert np.allclose(drawn.matrix, np.eye(3))
    images = torch.randn(4, 2, 4, 6, 8)
    assert torch.allclose(change(images, drawn, thick=False), images, atol=1e-6)


@given(st.integers(0, 1000), st.tuples(*[st.floats(0.5, 8)] * 3))
@settings(max_examples=25)
def test_turning_keeps_lengths_in_millimetres(seed, spacing):
    plan = VolumeAugmentationPlan(rotation=180, tilt=90, scale=0, share=0)
    mm = np.diag(spacing)
    for matrix in draw(plan, 3, spacing, (8, 8, 8), rng(seed)).matrix:
        turned = mm @ matrix @ np.linalg.inv(mm)
        assert np.allclose(turned @ turned.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(turned) == pytest.approx(1)


def test_thick_slices_are_neither_tilted_nor_stretched_through():
    plan = VolumeAugmentationPlan(rotation=180, tilt=0, scale=0.3, stretch=0.2, elastic=2.0, share=1)
    drawn = draw(plan, 20, (10.0, 1.5, 1.5), (8, 32, 32), rng())
    assert np.allclose(drawn.matrix[:, 0], [1, 0, 0])
    assert np.allclose(drawn.matrix[:, :, 0], [1, 0, 0])
    assert drawn.elastic is not None
    assert not drawn.elastic[:, 0].any()
    assert drawn.elastic[:, 1:].std() > 0


def test_a_network_of_slices_is_never_tilted_even_where_volumes_are():
    plan = VolumeAugmentationPlan(rotation=30, tilt=30, flip=[0, 2])
    drawn = draw(plan, 20, ISO, (32, 32), rng())
    assert np.allclose(drawn.matrix[:, 0], [1, 0, 0])
    assert np.allclose(drawn.matrix[:, 1:, 0], 0)


def test_half_of_the_patches_are_mirrored_along_the_named_axes():
    plan = VolumeAugmentationPlan(rotation=0, tilt=0, scale=0, flip=[0, 2])
    plan = plan.model_copy(update={"tilt": 1e-9})
    signs = np.sign(np.diagonal(draw(plan, 400, ISO, (8, 8, 8), rng()).matrix, axis1=1, axis2=2))
    assert (signs[:, 1] == 1).all()
    assert np.abs(signs[:, [0, 2]].mean(0)).max() < 0.15


def test_sizes_stay_within_their_limit_either_way():
    plan = VolumeAugmentationPlan(rotation=0, tilt=1e-9, scale=0.25)
    factors = np.linalg.det(draw(plan, 500, ISO, (8, 8, 8), rng()).matrix) ** (1 / 3)
    assert factors.min() >= 1 / 1.25 - 1e-9
    assert factors.max() <= 1.25 + 1e-9
    assert np.log(factors).mean() == pytest.approx(0, abs=0.03)


def test_the_share_of_patches_is_changed_in_intensity():
    plan = VolumeAugmentationPlan(share=0.3)
    drawn = draw(plan, 2000, ISO, (8, 8, 8), rng())
    for values, still in ((drawn.noise, 0), (drawn.gamma, 1), (drawn.resolution, 1), (drawn.brightness, 0)):
        assert (values != still).mean() == pytest.approx(0.3, abs=0.04)
    assert drawn.resolution.min() >= 0.5


def test_changes_are_replayed_from_their_parameters():
    drawn = draw(VolumeAugmentationPlan(share=1), 3, ISO, (8, 8, 8), rng())
    images = torch.randn(3, 1, 8, 8, 8)
    once, again = change(images, drawn, thick=False), change(images, drawn, thick=False)
    assert torch.equal(once, again)
    assert torch.isfinite(once).all()
    assert not torch.allclose(once, images, atol=0.05)


def test_coarsening_leaves_thick_slices_apart():
    plan = VolumeAugmentationPlan(
        rotation=0, tilt=0, scale=0, brightness=0, contrast=0, gamma=0, noise=0, coarse=0.7, share=1
    )
    drawn = draw(plan, 1, (10.0, 1.0, 1.0), (4, 16, 16), rng(3))
    images = torch.randn(1, 1, 4, 16, 16)
    moved = images.clone()
    moved[:, :, 2] += 3
    difference = (change(moved, drawn, thick=True) - change(images, drawn, thick=True)).abs().amax((0, 1, 3, 4))
    assert difference[2] > 1
    assert difference[[0, 1, 3]].max() < 1e-3
