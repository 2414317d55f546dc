from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semeion.prepare.levels import finite_pixels, quantiles, seen_range, to_bytes

SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=12)


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16, np.int16]), SHAPES), st.floats(0, 1))
def test_quantile_is_the_smallest_value_that_the_share_does_not_exceed(pixels, share):
    found = quantiles(pixels, [share])[0]
    ordered = np.sort(pixels.ravel())
    assert found == ordered[max(int(np.ceil(share * len(ordered))), 1) - 1]
    assert found == quantiles(pixels.astype(np.float32), [share])[0]


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]), SHAPES))
def test_mapping_to_bytes_keeps_order_and_ends(pixels):
    with np.errstate(all="ignore"):
        pixels = np.nan_to_num(pixels, posinf=0, neginf=0)
    low, high = float(pixels.min()), float(pixels.max())
    mapped = to_bytes(pixels, low, high)
    assert mapped.dtype == np.uint8
    assert mapped.shape == pixels.shape
    if high > low:
        assert mapped[pixels == pixels.min()].max() == 0
        assert mapped[pixels == pixels.max()].min() == 255
        order = np.argsort(pixels.ravel(), kind="stable")
        assert (np.diff(mapped.ravel()[order].astype(int)) >= 0).all()
    else:
        assert not mapped.any()


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_large_and_small_images_are_mapped_alike(dtype):
    info = np.iinfo(dtype)
    pixels = np.random.default_rng(0).integers(info.min, info.max, (200, 200, 1), dtype=dtype, endpoint=True)
    large = to_bytes(pixels, -500, 1500)
    small = to_bytes(pixels[:20, :20], -500, 1500)
    assert np.array_equal(large[:20, :20], small)


def test_eight_bits_in_the_full_range_are_the_same_array():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert to_bytes(pixels, 0, 255) is pixels
    assert np.array_equal(to_bytes(pixels.astype(np.uint16), 0, 255), pixels)


def test_not_finite_values_become_the_smallest():
    pixels = np.array([[[np.nan], [2.0]], [[np.inf], [5.0]]], dtype=np.float32)
    assert finite_pixels(pixels).ravel().tolist() == [2.0, 2.0, 2.0, 5.0]
    assert not finite_pixels(np.full((2, 2, 1), np.nan, np.float32)).any()


def test_seen_range_ignores_a_few_outliers():
    pixels = np.full((100, 100, 1), 1000, np.uint16)
    pixels[:50] = 2000
    pixels[0, :5] = 65535
    assert seen_range(pixels) == (1000, 2000)
