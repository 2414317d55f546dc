from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.outlines import SPACING, VALUES, Balls, plan_of, sides_of
from semeion.learn.patches import Sampling, class_indices, make_batch, read_patch
from semeion.plan.segment_schema import VolumeAugmentationPlan

NOTHING = VolumeAugmentationPlan(rotation=0, tilt=0, scale=0, share=0)


def sampling_of(dims=3, rows=None, **training):
    plan = plan_of(dims=dims, **training)
    rows = sides_of().learn if rows is None else np.array(rows)
    return Sampling(rows, VALUES, SPACING, plan.arms[0], plan.training, 5)


def volume(shape=(6, 10, 9), channels=2):
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, (channels, *shape)).astype(np.float16), rng.integers(0, 4, shape).astype(np.uint8)


def middle(patch, start):
    return np.array(start) + (np.array(patch) - 1) / 2


@given(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 4)))
@settings(max_examples=30)
def test_an_unturned_patch_is_a_cut(start):
    image, mask = volume()
    patch = (4, 4, 5)
    x, y = read_patch(image, mask, middle(patch, start), np.eye(3), patch)
    box = tuple(slice(at, at + side) for at, side in zip(start, patch, strict=True))
    assert np.allclose(x.numpy(), image[(slice(None), *box)], atol=1e-5)
    assert np.array_equal(y, mask[box])


def test_a_slice_is_the_slice_of_its_centre():
    image, mask = volume()
    for k in range(6):
        x, y = read_patch(image, mask, np.array([k, 4.5, 4.0]), np.eye(3), (10, 9))
        assert np.allclose(x.numpy(), image[:, k], atol=1e-5)
        assert np.array_equal(y, mask[k])


def test_a_mirrored_patch_is_mirrored():
    image, mask = volume()
    centre = middle((6, 10, 9), (0, 0, 0))
    x, y = read_patch(image, mask, centre, np.diag([1.0, 1.0, -1.0]), (6, 10, 9))
    assert np.allclose(x.numpy(), image[..., ::-1], atol=1e-5)
    assert np.array_equal(y, mask[..., ::-1])


def test_a_quarter_turn_is_exact():
    image, mask = volume((3, 8, 8))
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    x, y = read_patch(image, mask, middle((3, 8, 8), (0, 0, 0)), turn, (3, 8, 8))
    assert np.allclose(x.numpy(), np.rot90(image, 1, (2, 3)), atol=1e-4) or np.allclose(
        x.numpy(), np.rot90(image, -1, (2, 3)), atol=1e-4
    )
    turned = [np.rot90(mask, n, (1, 2)) for n in (1, -1)]
    assert any(np.array_equal(y, other) for other in turned)


def test_outside_is_nothing_and_image_and_mask_stay_together():
    image, mask = volume(channels=1)
    x, y = read_patch(image, mask, np.array([2.5, 4.5, 4.0]), np.eye(3), (10, 20, 21))
    inside = np.zeros((10, 20, 21), bool)
    inside[2:8, 5:15, 6:15] = True
    assert np.array_equal(y[inside].reshape(mask.shape), mask)
    assert not y[~inside].any()
    assert np.abs(x[0].numpy()[~inside]).max() < 1e-4
    still = np.zeros((3, 2, 2, 2), np.float32)
    moved = read_patch(image, mask, np.array([2.5, 4.5, 4.0]), np.eye(3), (10, 20, 21), still)
    assert torch.equal(moved[0], x)
    still[2] += 1
    shifted = read_patch(image, mask, np.array([2.5, 4.5, 4.0]), np.eye(3), (10, 20, 21), still)[1]
    assert np.array_equal(shifted[..., :-1], y[..., 1:])


def test_a_batch_is_a_function_of_seed_and_step():
    store = Balls()
    one, other = make_batch(store, sampling_of(), 4), make_batch(store, sampling_of(), 4)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], make_batch(store, sampling_of(), 5)[0])
    assert not torch.equal(one[0], make_batch(store, replace(sampling_of(), seed=6), 4)[0])
    assert one[0].shape == (2, 1, 8, 16, 16)
    assert set(one[1].unique().tolist()) <= {0, 1, 2}
    assert make_batch(store, sampling_of(2), 0)[0].shape == (8, 1, 16, 16)


def test_every_case_is_seen_once_an_epoch():
    store = Balls(6)
    for row in range(6):
        store.images[row][:] = row
    sampling = sampling_of(rows=range(6), augmentation=NOTHING)
    seen = [float(x.max()) for step in range(3) for x in make_batch(store, sampling, step)[0]]
    assert sorted(seen) == [0, 1, 2, 3, 4, 5]


def test_forced_patches_show_a_label_that_is_rare():
    store = Balls(4, shape=(8, 60, 60))
    hits = {}
    for share in (0.0, 1.0):
        sampling = sampling_of(2, rows=range(4), foreground=share, augmentation=NOTHING)
        wanted = torch.cat([make_batch(store, sampling, step)[1] for step in range(4)])
        hits[share] = float((wanted == 2).flatten(1).any(1).float().mean())
    assert hits[1.0] > 0.5 > hits[0.0]


def test_a_case_without_any_label_is_still_looked_at():
    store = Balls(3)
    store.masks[1][:] = 0
    wanted = make_batch(store, sampling_of(rows=[1, 1, 1], foreground=1.0), 0)[1]
    assert not wanted.any()


def test_mask_values_become_classes_in_the_order_of_the_plan():
    mask = np.array([0, 3, 7, 9], dtype=np.uint8)
    assert class_indices(mask, (7, 3)).tolist() == [0, 2, 1, 0]
