from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.errors import InputError
from semeion.learn.export import TOLERANCE, traced
from semeion.learn.pretrained import (
    ALL_LAYERS,
    GRID,
    SMALLEST,
    FrozenFeatures,
    PretrainedBody,
    colours_of,
    middles,
    resizing,
    size_for,
)
from semeion.model.engine import open_engine


def pixels(n, *shape, seed=0):
    """Return smooth pictures with some noise, uint8 (n, *shape)."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (n, int(np.prod(shape[:-2])), 4, 4)))
    smooth = F.interpolate(coarse, shape[-2:], mode="bicubic").numpy().reshape(n, *shape)
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def standardised(images):
    return (torch.from_numpy(images).float() - 127.5) / 127.5


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90))
def test_resizing_is_bilinear_with_antialiasing(before, after):
    matrix = resizing(before, after)
    assert np.allclose(matrix.sum(1), 1, atol=1e-5)
    lines = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 2, before, 4)).astype(np.float32))
    wanted = F.interpolate(lines, (after, 4), mode="bilinear", antialias=True, align_corners=False)
    assert np.allclose(matrix @ lines.numpy()[0], wanted.numpy()[0], atol=1e-5)


@given(st.integers(8, 1024), st.integers(8, 1024), st.integers(SMALLEST, 512))
def test_a_picture_keeps_its_proportions(rows, columns, side):
    found = size_for((rows, columns), side)
    assert all(one % GRID == 0 and one >= SMALLEST for one in found)
    assert abs(max(found) - side) <= GRID / 2
    scale = side / max(rows, columns)
    for one, before in zip(found, (rows, columns), strict=True):
        assert abs(one - before * scale) <= GRID / 2 or one == SMALLEST


def test_the_longer_side_becomes_the_side():
    assert size_for((224, 224), 112) == (112, 112)
    assert size_for((100, 160), 128) == (80, 128)
    assert size_for((28, 28), 64) == (64, 64)
    assert size_for((500, 20), 96) == (96, 32)


@given(st.integers(1, 12))
def test_every_channel_is_in_the_colours(channels):
    weights = colours_of(channels)
    assert weights.shape == (3, channels)
    assert np.allclose(weights.sum(1), 1, atol=1e-6)
    assert (weights >= 0).all()
    assert (weights.sum(0) > 0).all()
    # Nothing prefers one end to the other.
    assert np.allclose(weights, weights[::-1, ::-1], atol=1e-6)


def test_colours_of_usual_numbers_of_channels():
    assert np.array_equal(colours_of(1), np.ones((3, 1)))
    assert np.array_equal(colours_of(3), np.eye(3))
    assert np.allclose(colours_of(2), [[1, 0], [0.5, 0.5], [0, 1]])


def test_grey_is_three_equal_colours():
    grey = standardised(pixels(2, 1, 40, 32))
    one, three = PretrainedBody("lite0", 64, 1).eval(), PretrainedBody("lite0", 64, 3).eval()
    with torch.inference_mode():
        features = one(grey)
        assert torch.allclose(features, three(grey.expand(-1, 3, -1, -1)), atol=1e-5)
    assert features.shape == (2, one.width) == (2, 1280)
    assert features.std() > 0.1


def test_other_channels_begin_as_their_colours():
    images = standardised(pixels(2, 2, 48, 48))
    two, three = PretrainedBody("lite0", 48, 2).eval(), PretrainedBody("lite0", 48, 3).eval()
    with torch.inference_mode():
        colours = torch.stack([images[:, 0], images.mean(1), images[:, 1]], 1)
        assert torch.allclose(two(images), three(colours), atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2])
def test_stages_hold_every_parameter_once(channels):
    body = PretrainedBody("lite0", 64, channels)
    stages = body.stages()
    assert len(stages) == 9
    assert sorted(id(p) for stage in stages for p in stage) == sorted(id(p) for p in body.parameters())
    if channels == 2:
        assert stages[0][0] is body.colours.weight
    assert stages[-1][0] is body.network._conv_head.weight


def test_every_stage_can_learn_and_be_kept():
    torch.manual_seed(0)
    body = PretrainedBody("lite0", 32, 2).train()
    body(standardised(pixels(4, 2, 24, 24))).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for stage in body.stages() for p in stage)
    twin = PretrainedBody("lite0", 32, 2)
    twin.load_state_dict(body.state_dict())
    again = copy.deepcopy(body).eval()
    images = standardised(pixels(1, 2, 24, 24))
    with torch.inference_mode():
        assert torch.equal(twin.eval()(images), again(images))


@pytest.mark.parametrize(("channels", "size", "side"), [(1, (28, 28), 64), (3, (60, 90), 48), (2, (64, 64), 64)])
def test_the_graph_of_a_body_agrees(channels, size, side):
    body = PretrainedBody("lite0", side, channels).eval()
    graph = traced(_Bytes(body), torch.zeros((2, channels, *size), dtype=torch.uint8))
    images = pixels(3, channels, *size)
    engine = open_engine(graph, 1)
    with torch.inference_mode():
        wanted = body(standardised(images)).numpy()
    assert np.abs(engine.run(images) - wanted).max() <= TOLERANCE
    assert np.abs(engine.run(images[:1]) - wanted[:1]).max() <= TOLERANCE


class _Bytes(torch.nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, image):
        return self.body((image.to(torch.float32) - 127.5) / 127.5)


def test_pooled_layers_are_means_and_maxima():
    body = PretrainedBody("lite0", 64, 3).eval()
    images = standardised(pixels(2, 3, 64, 64))
    with torch.inference_mode():
        found = body.pooled_layers(images, ("stride16", "head"))
        maps = body.network.maps(images, ("stride16", "head"))
        head = body(images)
    assert found.shape == (2, body.features(("stride16", "head"))) == (2, 2 * (112 + 1280))
    assert torch.equal(found[:, :112], maps[0].mean((2, 3)))
    assert torch.equal(found[:, 112:224], maps[0].amax((2, 3)))
    assert torch.equal(found[:, 224:1504], head)
    assert body.features() == 2 * (40 + 112 + 320 + 1280)


CASES = [
    ((1, 40, 40), 1, 1),
    ((3, 36, 50), 1, 1),
    ((2, 40, 40), 2, 2),
    ((1, 20, 32, 32), 1, 4),
    ((4, 3, 32, 24), 2, 6),
]


@pytest.mark.parametrize(("shape", "groups", "parts"), CASES)
def test_the_graph_of_frozen_features_agrees(shape, groups, parts):
    frozen = FrozenFeatures("lite0", shape, groups=groups, side=32, slices=4)
    assert frozen.parts == parts
    graph = traced(frozen, torch.zeros((2, *shape), dtype=torch.uint8))
    engine = open_engine(graph, 1)
    images = pixels(3, *shape)
    with torch.inference_mode():
        wanted = frozen(torch.from_numpy(images)).numpy()
    assert wanted.shape == (3, frozen.width)
    assert engine.n_outputs == frozen.width == frozen.body.features() * (2 if parts > 1 else 1)
    assert wanted.dtype == np.float32
    assert np.abs(engine.run(images) - wanted).max() <= TOLERANCE
    assert np.abs(engine.run(images[1:2]) - wanted[1:2]).max() <= TOLERANCE


def test_parts_are_seen_alone_and_pooled():
    case = pixels(1, 4, 6, 32, 32)  # two groups of two channels, six slices
    frozen = FrozenFeatures("lite0", (4, 6, 32, 32), groups=2, side=32, slices=3)
    with torch.inference_mode():
        parts = [
            frozen.body.pooled_layers(standardised(case[:, 2 * group : 2 * group + 2, place]), frozen.layers)
            for group in (0, 1)
            for place in (1, 3, 5)
        ]
        found = frozen(torch.from_numpy(case))
    each = torch.cat(parts)
    assert torch.allclose(found[0], torch.cat([each.mean(0), each.amax(0)]), atol=1e-4)


def test_the_order_of_views_is_not_used():
    case = pixels(1, 3, 32, 32)
    frozen = FrozenFeatures("lite0", (3, 32, 32), groups=3, side=32, layers=("head",))
    with torch.inference_mode():
        one, other = (frozen(torch.from_numpy(np.ascontiguousarray(x))) for x in (case, case[:, ::-1]))
    assert torch.allclose(one, other, atol=1e-5)


def test_nothing_in_frozen_features_learns_or_is_random():
    frozen = FrozenFeatures("lite0", (1, 32, 32), side=32)
    assert not any(p.requires_grad for p in frozen.parameters())
    assert not frozen.training
    image = torch.from_numpy(pixels(1, 1, 32, 32))
    again = FrozenFeatures("lite0", (1, 32, 32), side=32)
    # The graph is the same as well, byte for byte: its digest tells features apart.
    example = torch.zeros((2, 1, 32, 32), dtype=torch.uint8)
    assert traced(frozen, example) == traced(again, example)
    with torch.inference_mode():
        assert torch.equal(frozen(image), again(image))


@given(st.integers(1, 300), st.integers(1, 40))
def test_slices_are_spread_evenly(depth, most):
    found = middles(depth, most)
    assert len(found) == min(depth, most)
    assert found == sorted(set(found))
    assert found[0] >= 0
    assert found[-1] < depth
    # Neither end is preferred by more than a slice.
    assert abs(found[0] - (depth - 1 - found[-1])) <= 1


def test_slices_of_usual_volumes():
    assert middles(5, 16) == [0, 1, 2, 3, 4]
    assert middles(8, 4) == [1, 3, 5, 7]


@pytest.mark.parametrize("layers", [(), ("head", "head"), ("stride8", "stride64")])
def test_layers_that_are_not_there_are_refused(layers):
    with pytest.raises(InputError) as caught:
        FrozenFeatures("lite0", (1, 32, 32), side=32, layers=layers)
    assert caught.value.what == f"the layers of the frozen features are {', '.join(layers) or 'none'}"
    assert caught.value.fix == "name some of stride4, stride8, stride16, stride32, head, each once"


@pytest.mark.parametrize("side", [16, 1024])
def test_a_side_out_of_bounds_is_refused(side):
    with pytest.raises(InputError) as caught:
        PretrainedBody("lite0", side, 1)
    assert str(caught.value) == (
        f"side: pictures for a pretrained network are to have a side of {side} pixels; use 32 to 512"
    )


def test_all_layers_are_those_of_the_strides():
    assert ALL_LAYERS == ("stride8", "stride16", "stride32", "head")
