from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semeion.prepare.borders import Box, border_fraction, find_borders
from semeion.prepare.levels import seen_range


def framed(tissue, top=30, bottom=20, left=40, right=10, level=0, channels=1, dtype=np.uint8):
    inner = np.repeat(tissue(120, 150), channels, axis=2).astype(dtype)
    pads = ((top, bottom), (left, right), (0, 0))
    return np.pad(inner, pads, constant_values=level)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_black_frame_is_cut_but_for_a_margin(tissue, dtype, channels):
    picture = framed(tissue, channels=channels, dtype=dtype)
    assert find_borders(picture) == Box(28, 152, 38, 192)


def test_frame_with_compression_noise_is_cut(tissue):
    picture = framed(tissue)
    noise = np.random.default_rng(0).integers(0, 6, picture.shape)
    picture = np.where(picture == 0, noise, picture).astype(np.uint8)
    assert find_borders(picture) == Box(28, 152, 38, 192)


@pytest.mark.parametrize("level", [255, 128])
def test_even_frame_that_is_not_black_is_cut_to_its_edge(tissue, level):
    picture = framed(tissue, level=level)
    box = find_borders(picture)
    assert box == Box(30, 150, 40, 190)


def test_white_frame_around_a_black_one(tissue):
    picture = np.pad(framed(tissue), ((8, 8), (8, 8), (0, 0)), constant_values=255)
    assert find_borders(picture) == Box(36, 160, 46, 200)


def test_a_round_head_on_black_keeps_every_pixel_and_a_margin():
    head = np.zeros((300, 260, 1), np.uint8)
    cv2.ellipse(head, (130, 150), (80, 100), 0, 0, 360, 120, -1)
    head = cv2.GaussianBlur(head, (0, 0), 2)[..., None]
    box = find_borders(head)
    rows, cols = np.nonzero(head[..., 0] > 6)
    assert box.top < rows.min() and box.bottom > rows.max() + 1
    assert box.left < cols.min() and box.right > cols.max() + 1
    assert border_fraction(head) > 0.3


def test_a_shadow_that_fades_is_no_border(tissue):
    fade = np.clip(np.linspace(1.6, 0, 120), 0, 1)[:, None, None]
    assert border_fraction((tissue(120, 150) * fade).astype(np.uint8)) == 0


def test_text_in_the_margin_keeps_the_margin(tissue):
    picture = framed(tissue)
    cv2.putText(picture, "R", (5, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1)
    assert find_borders(picture).top < 22


@pytest.mark.parametrize("level", [0, 90, 255])
def test_constant_image_is_whole(level):
    assert find_borders(np.full((40, 50, 1), level, np.uint8)) == Box(0, 40, 0, 50)


def test_a_dot_on_black_is_not_cut_to_a_dot():
    picture = np.zeros((100, 100, 1), np.uint8)
    picture[50:54, 50:54] = 255
    assert find_borders(picture) == Box(0, 100, 0, 100)


@settings(max_examples=150)
@given(
    hnp.arrays(st.sampled_from([np.uint8, np.uint16]), st.tuples(*[st.integers(9, 40)] * 2, st.sampled_from([1, 3]))),
    st.tuples(*[st.integers(0, 12)] * 4),
    st.integers(0, 255),
)
def test_never_cuts_a_pixel_that_stands_out(inner, pads, level):
    picture = np.pad(inner, (pads[:2], pads[2:], (0, 0)), constant_values=level)
    box = find_borders(picture)
    rows, cols = picture.shape[:2]
    assert 0 <= box.top < box.bottom <= rows
    assert 0 <= box.left < box.right <= cols
    low, high = seen_range(picture)
    outside = np.ones((rows, cols), bool)
    outside[box.top : box.bottom, box.left : box.right] = False
    if not outside.any():
        return
    # What is cut is dark, or one even level a side: at most five levels in all, never texture.
    dark = (picture <= max(float(picture.min()), low) + 0.05 * (high - low)).all(axis=2)
    bright = picture[outside & ~dark].astype(float)
    assert (np.abs(bright - level) <= 0.02 * (high - low) + 1).all() or len(np.unique(bright.round(-1))) <= 5


def test_real_pictures(data):
    """Breast ultrasound fills its frame, though shadows are black; head slices mostly do not."""
    ultrasound = sorted((data / "busi" / "images").glob("*.png"))[::10]
    cut = [border_fraction(cv2.imread(str(file), 0)[..., None]) for file in ultrasound]
    assert max(cut) == 0
    heads = sorted((data / "brain_tumor_yesno" / "no").glob("*.jp*g"))
    cut = [border_fraction(cv2.imread(str(file), 0)[..., None]) for file in heads]
    assert 0.2 < np.mean(np.array(cut) > 0.05) < 0.8
    with np.load(data / "pneumoniamnist" / "pneumoniamnist.npz") as arrays:
        cut = [border_fraction(image[..., None]) for image in arrays["val_images"]]
    assert np.mean(np.array(cut) > 0.05) < 0.02
