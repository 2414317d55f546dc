from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semeion.prepare.clean import clean_pixels, equalise, text_fraction
from semeion.prepare.spec import Cleaning

EVERYTHING = Cleaning(borders=True, text=True, salt=True, equalise=True)


def spoiled(tissue):
    """Return a picture with everything wrong at once: a black frame, text in it, and salt."""
    picture = np.pad((tissue(220, 240) * 0.7).astype(np.uint8), ((30, 30), (30, 30), (0, 0)))
    cv2.putText(picture, "LT UOQ 12", (60, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1, cv2.LINE_AA)
    picture[np.random.default_rng(0).random(picture.shape) < 0.01] = 255
    return picture


def test_all_steps_in_order(tissue):
    cleaned, done = clean_pixels(spoiled(tissue), EVERYTHING)
    assert [phrase.split(" (")[0] for phrase in done] == ["salt noise removed", "text painted over", "borders cut"]
    assert all(" % of the " in phrase for phrase in done)
    assert 215 <= cleaned.shape[0] <= 235
    assert text_fraction(cleaned) == 0


def test_nothing_asked_nothing_done(tissue):
    picture = spoiled(tissue)
    cleaned, done = clean_pixels(picture, Cleaning())
    assert cleaned is picture
    assert done == []


def test_a_clean_picture_stays_the_same_array(tissue):
    picture = tissue(200, 200)
    cleaned, done = clean_pixels(picture, EVERYTHING)
    assert cleaned is picture
    assert done == []


@pytest.mark.parametrize("shape", [(200, 160, 1), (200, 160, 3), (28, 28, 1), (9, 300, 1)])
def test_equalise_widens_contrast_and_keeps_the_shape(tissue, shape):
    dull = np.repeat(tissue(*shape[:2]) // 4 + 60, shape[2], axis=2)
    even = equalise(dull)
    assert even.shape == shape
    assert even.dtype == np.uint8
    assert even.std() > dull.std()


def test_equalise_leaves_a_constant_image():
    flat = np.full((64, 64, 1), 90, np.uint8)
    assert np.array_equal(equalise(flat), flat)


def test_equalise_keeps_grey_in_colour_grey(tissue):
    even = equalise(np.repeat(tissue(64, 64), 3, axis=2)).astype(int)
    assert np.abs(even - even.mean(axis=2, keepdims=True)).max() <= 2


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int16]),
        st.tuples(st.integers(1, 120), st.integers(1, 120), st.sampled_from([1, 3])),
    )
)
def test_any_pixels_can_be_cleaned(pixels):
    cleaned, _ = clean_pixels(pixels, EVERYTHING)
    assert cleaned.dtype == pixels.dtype
    assert cleaned.ndim == 3
    assert cleaned.size > 0
    assert cleaned.shape[0] <= pixels.shape[0]
    assert cleaned.shape[1] <= pixels.shape[1]
