"""Contributions of places to a head on frozen features, whatever was looked at and pooled, ties included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.errors import ModelRefused
from semeion.explain.frozen import AXES, Pull, frozen_map, nearness
from semeion.prepare.looked import middles, pools
from semeion.prepare.spread import spread_seen

LAYERS = {"stride8": (3, 4), "head": (5, 2)}
"""Width and rows of the map of each layer; one column fewer."""


def looked_at(size, groups, kinds, along, most, images, apart, seed):
    """Return maps as a graph gives them, and the features that are pooled of them, by loops."""
    rng = np.random.default_rng(seed)
    solid = size if len(size) == 3 else (1, *size)
    given, pictures, counts = {}, [], []
    for axis in along:
        places = len(middles(solid[axis], most))
        counts.append(places)
        maps = {
            f"map_{layer}{AXES[axis]}": rng.integers(0, 4, (groups * kinds, places, width, side, max(1, side - 1)))
            for layer, (width, side) in LAYERS.items()
        }
        for one in range(groups * kinds):
            for place in range(places):
                each = [maps[name][one, place].reshape(len(maps[name][one, place]), -1) for name in maps]
                pictures.append(np.concatenate([pool for own in each for pool in (own.mean(1), own.max(1))]))
        given |= {name: own.astype(np.float32) for name, own in maps.items()}
    seen = np.stack(pictures)
    own = pools(groups, kinds, counts, images=images, axes=apart)
    if max(len(places) for places in own) == 1:
        features = np.concatenate([seen[places[0]] for places in own])
    else:
        features = np.concatenate([pool for p in own for pool in (seen[p].mean(0), seen[p].max(0))])
    if len(seen) == 1:
        given = {name: one[0, 0] for name, one in given.items()}
    return {**given, "features": features.astype(np.float32)}


@settings(deadline=None, max_examples=80)
@given(
    st.one_of(st.tuples(st.integers(4, 9), st.integers(4, 9)), st.tuples(*[st.integers(4, 9)] * 3)),
    st.integers(1, 3),
    st.integers(1, 2),
    st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True),
    st.integers(1, 5),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1000),
)
def test_places_sum_to_what_the_features_add(size, groups, kinds, along, most, images, apart, seed):
    along = along if len(size) == 3 else [0]
    kinds = kinds if len(size) == 3 else 1
    given = looked_at(size, groups, kinds, along, most, images, apart, seed)
    rng = np.random.default_rng(seed + 1)
    width = len(given["features"])
    heads = [(rng.normal(size=width), rng.normal(size=width)) for _ in range(2)]
    pull = Pull().and_of(*heads[0]).and_of(*heads[1])
    found = frozen_map(pull, given, groups, size, where="graph")
    assert found.shape == (groups, *size) and found.dtype == np.float32
    wanted = sum(slopes @ (given["features"] - usual) for slopes, usual in heads)
    assert found.sum(dtype=np.float64) == pytest.approx(wanted, abs=1e-3 * max(1.0, np.abs(heads[0][0]).sum()))


def test_a_mean_is_spread_and_a_maximum_lies_where_it_is():
    given = {"map_stride8": np.zeros((1, 4, 4), np.float32)}
    given["map_stride8"][0, 1, 2] = 8.0
    given["features"] = np.array([0.5, 8.0], np.float32)
    none = np.zeros(2)
    mean = frozen_map(Pull().and_of(np.array([1.0, 0.0]), none), given, 1, (4, 4), where="g")[0]
    highest = frozen_map(Pull().and_of(np.array([0.0, 1.0]), none), given, 1, (4, 4), where="g")[0]
    lone = np.zeros((4, 4), np.float32)
    lone[1, 2] = 1.0
    np.testing.assert_allclose(mean, 0.5 * spread_seen(lone, (4, 4)), rtol=1e-5)
    # 3.9 standard deviations lie between this place and the others, which together come to a quarter of it.
    assert highest.sum() == pytest.approx(8)
    assert np.unravel_index(highest.argmax(), (4, 4)) == (1, 2)
    rest = np.exp(-8 / given["map_stride8"].std())
    shares = (np.where(lone > 0, 1, rest) / (1 + 15 * rest)).astype(np.float32)
    np.testing.assert_allclose(highest, 8 * spread_seen(shares, (4, 4)), rtol=1e-5)
    # What is as usual among training cases adds nothing, and less than that takes something away.
    usual = frozen_map(Pull().and_of(np.ones(2), np.array([0.5, 10.0])), given, 1, (4, 4), where="g")[0]
    assert usual.sum() == pytest.approx(-2)
    assert np.unravel_index(usual.argmin(), (4, 4)) == (1, 2)


def test_shares_of_a_maximum_are_the_derivative_of_the_smooth_maximum():
    values = np.random.default_rng(0).normal(size=9)
    width = values.std()
    near = nearness(values[None, None].astype(np.float32), np.array([[values.max()]], np.float32))[0, 0]
    assert near.max() == 1 and near.argmax() == values.argmax()

    def smooth(at):
        return width * np.log(np.mean(np.exp(at / width)))

    step = 1e-5
    slopes = [(smooth(values + step * one) - smooth(values - step * one)) / (2 * step) for one in np.eye(9)]
    np.testing.assert_allclose(near / near.sum(), slopes, atol=1e-5)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 100), st.floats(-50, 50))
def test_shares_of_a_maximum_do_not_depend_on_the_features_unit(seed, scale, shift):
    values = np.random.default_rng(seed).normal(size=(1, 2, 12)).astype(np.float32)
    other = (scale * values + shift).astype(np.float32)
    np.testing.assert_allclose(nearness(values, values.max(2)), nearness(other, other.max(2)), atol=1e-2)


def test_places_that_are_as_high_share_evenly():
    given = {"map_head": np.zeros((1, 2, 2), np.float32), "features": np.zeros(2, np.float32)}
    pull = Pull().and_of(np.array([0.0, 1.0]), np.array([0.0, -4.0]))
    np.testing.assert_allclose(frozen_map(pull, given, 1, (2, 2), where="g")[0], 1.0, rtol=1e-5)


def test_the_slice_that_is_highest_has_the_maximum():
    maps = np.zeros((1, 4, 1, 2, 2), np.float32)
    maps[0, 2, 0] = 1.0
    given = {"map_head": maps, "features": np.array([0.25, 0.25, 1.0, 1.0], np.float32)}
    pull = Pull().and_of(np.array([0.0, 0.0, 3.0, 0.0]), np.zeros(4))
    found = frozen_map(pull, given, 1, (4, 2, 2), where="g")[0]
    np.testing.assert_allclose(found.sum((1, 2)), [0, 0, 3, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "groups"),
    [
        ({"map_head": np.zeros((2, 3, 2), np.float32)}, 1),
        ({"map_head": np.zeros((2, 2), np.float32)}, 1),
        ({"map_head": np.zeros((1, 9, 2, 2, 2), np.float32)}, 1),
        ({"map_headrows": np.zeros((1, 1, 3, 2, 2), np.float32)}, 1),
        ({"features": np.full(6, 7, np.float32)}, 1),
        ({}, 2),
    ],
)
def test_maps_of_other_features_are_refused(change, groups):
    given = {"map_head": np.zeros((3, 2, 2), np.float32), "features": np.zeros(6, np.float32)}
    pull = Pull().and_of(np.ones(6), np.zeros(6))
    assert frozen_map(pull, given, 1, (4, 4), where="g").shape == (1, 4, 4)
    with pytest.raises(ModelRefused, match=r"members/f\.onnx: the maps of the graph are not those"):
        frozen_map(pull, {**given, **change}, groups, (4, 4), where="members/f.onnx")


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 2, 3, 3)])
def test_maps_of_other_axes_are_refused(shape):
    given = looked_at((6, 6), 1, 1, [0], 1, True, True, 0)
    width = len(given["features"])
    pull = Pull().and_of(np.ones(width), np.zeros(width))
    odd = {**given, "map_head": np.zeros(shape, np.float32)}
    with pytest.raises(ModelRefused, match="are not those that its features come from"):
        frozen_map(pull, odd, 1, (6, 6), where="members/f.onnx")
    odd = {**given, "features": given["features"][:-1]}
    with pytest.raises(ModelRefused, match="are not those that its features come from"):
        frozen_map(pull, odd, 1, (6, 6), where="members/f.onnx")
