from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError
from semeion.learn.export import TOLERANCE, traced
from semeion.learn.pretrained import (
    ALL_LAYERS,
    GRID,
    SMALLEST,
    FrozenFeatures,
    PretrainedBody,
    colours_of,
    frozen_of,
    middles,
    resizing,
    size_for,
)
from semeion.model.engine import open_engine
from semeion.plan.recipes import FrozenRecipe
from semeion.prepare.case import prepare_case
from semeion.prepare.geometry import exchange
from semeion.prepare.volume_spec import Intensity, VolumePreparation
from support.volumes import blob


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


LOOKS = [
    ((1, 9, 16, 20), 1, {"along": ("slices", "rows", "columns"), "apart": ("axes",)}, 12, 3),
    ((1, 9, 16, 20), 1, {"along": ("columns",), "colours": "neighbours"}, 4, 1),
    ((2, 6, 16, 20), 1, {"colours": "each", "along": ("rows",)}, 8, 2),
    ((4, 3, 16, 20), 2, {"colours": "each", "apart": ("images", "axes"), "along": ("slices", "rows")}, 28, 8),
    ((4, 3, 16, 20), 2, {"apart": ("images",)}, 6, 2),
    ((2, 20, 24), 2, {"apart": ("images",), "colours": "neighbours"}, 2, 2),
]


@pytest.mark.parametrize(("shape", "groups", "look", "parts", "pools"), LOOKS)
def test_the_graph_of_other_looks_agrees(shape, groups, look, parts, pools):
    frozen = FrozenFeatures("lite0", shape, groups=groups, side=32, slices=4, layers=("stride4", "stride8"), **look)
    assert frozen.parts == parts
    assert frozen.width == frozen.body.features(("stride4", "stride8")) * pools * (1 if len(shape) == 3 else 2)
    engine = open_engine(traced(frozen, torch.zeros((2, *shape), dtype=torch.uint8)), 1)
    images = pixels(2, *shape)
    with torch.inference_mode():
        wanted = frozen(torch.from_numpy(images)).numpy()
    assert engine.n_outputs == frozen.width
    assert np.abs(engine.run(images) - wanted).max() <= TOLERANCE
    columns = frozen.columns()
    assert [len(one) for one in columns] == [frozen.width * part // (24 + 40) for part in (24, 40)]
    assert sorted(np.concatenate(columns).tolist()) == list(range(frozen.width))


def test_sides_and_images_come_one_after_the_other():
    case = pixels(1, 2, 5, 16, 20)  # two frames
    frozen = FrozenFeatures(
        "lite0", (2, 5, 16, 20), groups=2, side=32, slices=3, layers=("stride8", "head"), along=("slices", "columns"),
        apart=("axes", "images"),
    )  # fmt: skip
    wanted = []
    with torch.inference_mode():
        for frame in (0, 1):
            for axis in (0, 2):
                volume = np.moveaxis(case[0, frame], axis, 0)
                each = frozen.body.pooled_layers(
                    standardised(np.ascontiguousarray(volume[middles(len(volume), 3)][:, None])), frozen.layers
                )
                wanted += [each.mean(0), each.amax(0)]
        found = frozen(torch.from_numpy(case))[0]
    assert torch.allclose(found, torch.cat(wanted), atol=1e-4)
    # What is of a layer is so in each part.
    width = frozen.body.features(("stride8",))
    assert frozen.columns()[0].tolist() == [frozen.each * part + n for part in range(8) for n in range(width)]


def test_neighbours_are_the_colours_of_a_slice():
    case = pixels(1, 1, 4, 32, 32)
    frozen = FrozenFeatures("lite0", (1, 4, 32, 32), side=32, slices=4, layers=("head",), colours="neighbours")
    with torch.inference_mode():
        each = torch.cat(
            [
                frozen.body.pooled_layers(standardised(case[:, 0, places]), ("head",))
                for places in ([0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3])
            ]
        )
        found = frozen(torch.from_numpy(case))[0]
    assert torch.allclose(found, torch.cat([each.mean(0), each.amax(0)]), atol=1e-4)


def test_the_number_of_features_does_not_depend_on_that_of_slices():
    looks = {"along": ("slices", "rows", "columns"), "apart": ("axes",), "side": 32, "layers": ("stride4",)}
    widths = {FrozenFeatures("lite0", (1, *size), **looks).width for size in ((2, 9, 30), (40, 8, 11), (1, 8, 8))}
    assert len(widths) == 1


def test_a_volume_whose_axes_run_another_way_has_the_same_features():
    voxels = blob((12, 20, 16))
    grid = Grid((16, 20, 12), (1.0, 1.0, 1.2), (3.0, -4.0, 5.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    one = Volume(voxels[np.newaxis], grid)
    other = exchange(one, (2, 0, 1), (True, False, True))
    assert other.voxels.shape != one.voxels.shape
    spec = VolumePreparation(size=(12, 20, 16), interpolation="linear", intensity=[Intensity(kind="percentiles")])
    frozen = FrozenFeatures("lite0", (1, 12, 20, 16), side=32, layers=("stride8",), along=("slices", "rows", "columns"))
    with torch.inference_mode():
        features = [frozen(torch.from_numpy(prepare_case([volume], spec)[np.newaxis])) for volume in (one, other)]
    assert torch.allclose(*features, atol=1e-4)


def test_a_recipe_says_how_is_looked():
    recipe = FrozenRecipe(side=32, layers=["head"], along=["rows"], slices=5, colours="each", apart=["images"])
    frozen = frozen_of(recipe, (4, 3, 8, 10), 2)
    assert (frozen.parts, frozen.width) == (20, 4 * 2 * 2 * 1280)


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
