from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.learn.augment import Draw, apply, draw, draw_volumes
from semeion.plan.recipes import AugmentationPlan

STILL = {"rotation": 0, "scale": 0, "shift": 0, "brightness": 0, "contrast": 0, "noise": 0}


def drawn(batch=1, aspect=1.0, seed=0, **plan):
    return draw(AugmentationPlan(**{**STILL, **plan}), batch, aspect, np.random.default_rng(seed))


def pictures(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32))


class Fixed:
    """A generator that draws the upper limit, and flips."""

    def uniform(self, low, high, size):
        return np.full(size, high)

    def random(self, size):
        return np.zeros(size)

    def integers(self, high):
        return 1


def limit(batch=1, aspect=1.0, **plan):
    """Return the largest change that a plan allows."""
    return draw(AugmentationPlan(**{**STILL, **plan}), batch, aspect, Fixed())


@pytest.mark.parametrize("shape", [(3, 1, 12, 12), (2, 3, 12, 20), (1, 1, 21, 9)])
def test_nothing_drawn_changes_nothing(shape):
    images = pictures(*shape)
    assert torch.allclose(apply(images, drawn(shape[0], shape[2] / shape[3])), images, atol=1e-3)


@pytest.mark.parametrize(("name", "axis"), [("flip_horizontal", 3), ("flip_vertical", 2)])
def test_flips(name, axis):
    images = pictures(2, 1, 8, 14)
    assert torch.allclose(apply(images, limit(2, 8 / 14, **{name: True})), images.flip(axis), atol=1e-3)


def test_a_flip_comes_half_of_the_time():
    images = pictures(1, 1, 8, 8).repeat(400, 1, 1, 1)
    changed = apply(images, drawn(400, flip_horizontal=True))
    flipped = (changed - images.flip(3)).abs().amax((1, 2, 3)) < 1e-2
    still = (changed - images).abs().amax((1, 2, 3)) < 1e-2
    assert (flipped | still).all()
    assert 140 < flipped.sum() < 260


def test_a_quarter_turn_of_a_square_is_torchs():
    images = pictures(1, 1, 12, 12)
    turned = apply(images, limit(rotation=90))
    assert min((turned - torch.rot90(images, k, (2, 3))).abs().max() for k in (1, 3)) < 1e-2


def test_half_a_turn_is_both_flips():
    images = pictures(1, 3, 10, 16)
    assert torch.allclose(apply(images, limit(aspect=10 / 16, rotation=180)), images.flip(2, 3), atol=1e-2)


def test_rotation_keeps_the_geometry_of_pictures_that_are_not_square():
    # A disc stays a disc: its width and height agree after an eighth of a turn.
    rows, cols = np.mgrid[:40, :80].astype(np.float32)
    inside = (rows - 19.5) ** 2 + (cols - 39.5) ** 2 < 12**2
    images = torch.from_numpy(inside.astype(np.float32) * 255)[None, None]
    turned = apply(images, limit(aspect=40 / 80, rotation=45))[0, 0].numpy() > 127
    assert turned.any(1).sum() == pytest.approx(24, abs=2)
    assert turned.any(0).sum() == pytest.approx(24, abs=2)
    assert (turned == inside).mean() > 0.98


def test_a_bar_turns_by_its_angle_in_pixels():
    # A horizontal bar of 30 pixels in a wide picture stands upright, as long as before, after a quarter of a turn.
    images = torch.zeros(1, 1, 48, 96)
    images[..., 22:26, 33:63] = 255
    turned = apply(images, limit(aspect=0.5, rotation=90))[0, 0].numpy() > 127
    assert turned.any(1).sum() == pytest.approx(30, abs=1)
    assert turned.any(0).sum() == pytest.approx(4, abs=1)


def test_shift_is_a_share_of_the_side():
    images = torch.zeros(1, 1, 20, 40)
    images[..., 10, 20] = 255
    row, col = np.argwhere(apply(images, limit(aspect=0.5, shift=0.1))[0, 0].numpy() > 100)[0]
    assert (abs(row - 10), abs(col - 20)) == (2, 4)


def test_scale_grows_both_sides_alike():
    images = torch.zeros(1, 1, 40, 80)
    images[..., 15:25, 35:45] = 255
    grown = apply(images, limit(aspect=0.5, scale=0.5))[0, 0].numpy() > 127
    assert grown.any(1).sum() == grown.any(0).sum() == pytest.approx(15, abs=1)


def test_brightness_and_contrast_are_closed_forms():
    images = pictures(2, 1, 12, 12) / 4 + 60
    assert torch.allclose(apply(images, limit(2, brightness=0.2)), images * 1.2, atol=1e-2)
    mean = images.mean((1, 2, 3), keepdim=True)
    assert torch.allclose(apply(images, limit(2, contrast=0.3)), (images - mean) * 1.3 + mean, atol=1e-2)


def test_noise_is_in_units_of_the_pictures_own_deviation():
    images = pictures(1, 1, 64, 64) / 10 + 100
    change = apply(images, limit(noise=0.5)) - images
    assert float(change.std() / images.std()) == pytest.approx(0.5, rel=0.1)
    assert abs(float(change.mean())) < 0.5


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(8, 20), st.integers(8, 20), st.sampled_from([1, 3]))
@settings(max_examples=30, deadline=None)
def test_any_draw_keeps_shape_range_and_repeats(seed, batch, height, width, channels):
    plan = {"rotation": 180, "scale": 0.9, "shift": 0.9, "flip_horizontal": True, "flip_vertical": True}
    plan |= {"brightness": 1, "contrast": 0.9, "noise": 1}
    images = pictures(batch, channels, height, width, seed=seed)
    before = images.clone()
    one = apply(images, drawn(batch, height / width, seed, **plan))
    assert one.shape == images.shape
    assert one.dtype == torch.float32
    assert 0 <= float(one.min()) <= float(one.max()) <= 255
    assert torch.equal(images, before)
    assert torch.equal(one, apply(images, drawn(batch, height / width, seed, **plan)))


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5))
@settings(max_examples=40, deadline=None)
def test_parameters_stay_within_their_limits(seed, aspect):
    found = drawn(8, aspect, seed, rotation=20, scale=0.25, shift=0.1, brightness=0.2, contrast=0.3, noise=0.4)
    assert isinstance(found, Draw)
    a, b, d = found.affine[:, 0, 0], found.affine[:, 0, 1] / aspect, found.affine[:, 1, 1]
    size = 1 / np.hypot(a, b)
    assert np.allclose(a, d)
    assert (np.abs(np.degrees(np.arctan2(-b, a))) <= 20.01).all()
    assert (size <= 1.2501).all()
    assert (size >= 1 / 1.2501).all()
    assert (np.abs(found.affine[:, :, 2]) <= 0.2001).all()
    assert (np.abs(found.gain - 1) <= 0.2001).all()
    assert (np.abs(found.contrast - 1) <= 0.3001).all()
    assert (found.noise >= 0).all()
    assert (found.noise <= 0.4001).all()


def test_every_picture_gets_its_own_change_and_the_random_numbers_of_torch_stay():
    images = pictures(1, 1, 12, 12).repeat(4, 1, 1, 1)
    state = torch.get_rng_state()
    changed = apply(images, drawn(4, rotation=20, shift=0.2, noise=0.2))
    assert torch.equal(torch.get_rng_state(), state)
    assert len({tuple(picture.flatten().tolist()) for picture in changed}) == 4


def test_a_still_draw_leaves_volumes_alone():
    plan = AugmentationPlan(rotation=0, scale=0, shift=0, brightness=0, contrast=0)
    volumes = torch.rand(3, 2, 5, 8, 6) * 255
    for drawn in (
        draw_volumes(plan, 3, (5, 8, 6), np.random.default_rng(0)),
        draw(plan, 3, 8 / 6, np.random.default_rng(0)),
    ):
        torch.testing.assert_close(apply(volumes, drawn), volumes, atol=1e-3, rtol=0)


def test_slices_move_alike_when_pictures_are_drawn():
    picture = torch.rand(2, 1, 1, 8, 6) * 255
    changes = draw(AugmentationPlan(), 2, 8 / 6, np.random.default_rng(1))
    moved = apply(picture.expand(2, 1, 4, 8, 6), changes)
    torch.testing.assert_close(moved, moved[:, :, :1].expand_as(moved), atol=1e-3, rtol=0)


def test_volumes_are_turned_in_voxels_and_slices_reversed():
    plan = AugmentationPlan(rotation=0, scale=0, shift=0, brightness=0, contrast=0, flip_slices=True)
    volumes = torch.rand(8, 1, 5, 8, 6) * 255
    moved = apply(volumes, draw_volumes(plan, 8, (5, 8, 6), np.random.default_rng(0)))
    flipped = [torch.allclose(a, b.flip(1), atol=1e-2) for a, b in zip(moved, volumes, strict=True)]
    same = [torch.allclose(a, b, atol=1e-2) for a, b in zip(moved, volumes, strict=True)]
    assert any(flipped)
    assert any(same)
    assert all(a or b for a, b in zip(flipped, same, strict=True))


def test_a_tilt_keeps_a_ball_a_ball_whatever_the_shape_of_the_array():
    size = (12, 24, 20)
    places = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in size], indexing="ij"))
    ball = torch.from_numpy(255.0 * np.exp(-(places**2).sum(0) / 6))[None, None].float()
    plan = AugmentationPlan(rotation=0, scale=0, shift=0, brightness=0, contrast=0, tilt=90)
    for seed in range(4):
        moved = apply(ball, draw_volumes(plan, 1, size, np.random.default_rng(seed)))
        assert float((moved - ball).abs().mean()) < 0.1 * float(ball.mean())
