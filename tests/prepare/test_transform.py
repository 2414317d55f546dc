from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semeion.cohort.image import Image
from semeion.errors import InputError
from semeion.parallel import ordered_map
from semeion.prepare.spec import Cleaning, Preparation
from semeion.prepare.transform import cleaned_bytes, prepare_image, resize


def picture(pixels, low=0.0, high=255.0, unit=None, bits=8):
    return Image(pixels, "grey" if pixels.shape[2] == 1 else "colour", low, high, bits, "png", unit=unit)


def test_the_right_size_keeps_every_bit():
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8)
    assert np.array_equal(prepare_image(picture(pixels), Preparation())[0], pixels[..., 0])
    assert cleaned_bytes(picture(pixels), Preparation())[1] == []


def test_real_images_of_the_size_keep_every_bit(data):
    with np.load(data / "breastmnist" / "breastmnist.npz") as arrays:
        for pixels in arrays["val_images"]:
            assert np.array_equal(prepare_image(picture(pixels[..., None]), Preparation())[0], pixels)


def test_colour_becomes_luma():
    pixels = np.zeros((28, 28, 3), np.uint8)
    pixels[...] = (200, 100, 50)
    prepared = prepare_image(picture(pixels), Preparation())
    assert prepared.shape == (1, 28, 28)
    assert set(np.unique(prepared)) == {round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)}
    assert cleaned_bytes(picture(pixels), Preparation())[1] == ["colour turned to grey"]


def test_colour_keeps_red_green_blue_and_grey_is_repeated():
    pixels = np.zeros((28, 28, 3), np.uint8)
    pixels[...] = (200, 100, 50)
    prepared = prepare_image(picture(pixels), Preparation(channels=3))
    assert prepared[:, 0, 0].tolist() == [200, 100, 50]
    grey = prepare_image(picture(pixels[..., :1]), Preparation(channels=3))
    assert grey[:, 0, 0].tolist() == [200, 200, 200]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_colour_of_any_type_becomes_grey(dtype):
    pixels = np.random.default_rng(0).integers(0, 100, (28, 28, 3)).astype(dtype)
    wanted = pixels @ np.array([0.299, 0.587, 0.114])
    prepared = prepare_image(picture(pixels), Preparation())
    assert np.abs(prepared[0] - wanted).max() <= 1


def test_stored_range_window_and_percentiles():
    ramp = np.linspace(-1000, 1000, 784).astype(np.int16).reshape(28, 28, 1)
    image = picture(ramp, -1024, 3071, "HU", 12)
    stored = prepare_image(image, Preparation())
    assert stored[0, 0, 0] == round((-1000 + 1024) * 255 / 4095)
    window = prepare_image(image, Preparation(intensity="window", window=(-100, 100)))
    assert window[0, 0, 0] == 0
    assert window[0, -1, -1] == 255
    _, done = cleaned_bytes(image, Preparation(intensity="window", window=(-100, 100)))
    assert done == ["-100 to 100 HU mapped to 0 to 255"]
    own = prepare_image(image, Preparation(intensity="percentiles"))
    assert (own == 0).mean() == pytest.approx(0.005, abs=0.004)
    assert (own == 255).mean() == pytest.approx(0.005, abs=0.004)


def test_window_must_be_given():
    with pytest.raises(InputError, match=r"no window is given; set window: \[low, high\]"):
        prepare_image(picture(np.zeros((9, 9, 1), np.uint8)), Preparation(intensity="window"))


def test_an_image_without_pixels_is_refused():
    with pytest.raises(InputError, match=r"shape \(0, 9, 1\) cannot be prepared; give \(rows, columns, channels\)"):
        prepare_image(picture(np.zeros((0, 9, 1), np.uint8)), Preparation())


@pytest.mark.parametrize("value", [0, 77, 255])
@pytest.mark.parametrize("equal", [False, True])
def test_constant_image_becomes_black_under_percentiles(value, equal):
    spec = Preparation(intensity="percentiles", clean=Cleaning(equalise=equal))
    assert not prepare_image(picture(np.full((40, 30, 1), value, np.uint8)), spec).any()


def test_values_that_are_not_finite_become_the_darkest():
    pixels = np.linspace(0, 1, 784, dtype=np.float32).reshape(28, 28, 1)
    pixels[0, :3] = (np.nan,), (np.inf,), (-np.inf,)
    prepared = prepare_image(picture(pixels, 0, 1), Preparation(intensity="percentiles"))
    assert prepared[0, 0, :3].tolist() == [0, 0, 0]


def test_pad_keeps_proportions_and_centres():
    prepared = prepare_image(picture(np.full((40, 80, 1), 200, np.uint8)), Preparation(size=(32, 32)))
    assert (prepared[0, 8:24] == 200).all()
    assert not prepared[0, :8].any()
    assert not prepared[0, 24:].any()
    stretched = prepare_image(picture(np.full((40, 80, 1), 200, np.uint8)), Preparation(size=(32, 32), fit="stretch"))
    assert (stretched == 200).all()


def test_shrinking_averages_and_enlarging_stays_in_range():
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    assert set(np.unique(resize(board, 32, 32))) <= {127, 128}
    edge = np.full((16, 16, 1), 60, np.uint8)
    edge[:, 8:] = 190
    large = resize(edge, 64, 64)
    assert (large.min(), large.max()) == (60, 190)


def test_each_axis_is_resized_by_its_need():
    stripes = np.tile(np.array([0, 255], np.uint8), 32)[None, :, None].repeat(8, 0)
    assert set(np.unique(resize(stripes, 32, 16))) <= {127, 128}


def test_steps_are_named_in_order():
    inner = np.random.default_rng(0).integers(60, 200, (100, 100, 3), dtype=np.uint8)
    pixels = np.pad(inner, ((50, 50), (0, 0), (0, 0)))
    _, steps = cleaned_bytes(picture(pixels), Preparation(clean=Cleaning(borders=True, equalise=True)))
    assert [step.split(" ")[0] for step in steps] == ["borders", "colour", "contrast"]


def test_many_threads_give_what_one_gives():
    rng = np.random.default_rng(0)
    images = [picture(rng.integers(0, 256, (150, 130 + k, 1), dtype=np.uint8)) for k in range(24)]
    everything = Cleaning(borders=True, text=True, salt=True, equalise=True)
    spec = Preparation(size=(64, 64), intensity="percentiles", clean=everything)
    alone = [prepare_image(image, spec) for image in images]
    together = list(ordered_map(lambda image: prepare_image(image, spec), images, jobs=4))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


SPECS = st.builds(
    Preparation,
    channels=st.sampled_from([1, 3]),
    intensity=st.sampled_from(["stored", "window", "percentiles"]),
    window=st.just((-50.0, 300.0)),
    clean=st.builds(Cleaning, borders=st.booleans(), text=st.booleans(), salt=st.booleans(), equalise=st.booleans()),
    size=st.tuples(st.integers(8, 80), st.integers(8, 80)),
    fit=st.sampled_from(["pad", "stretch"]),
)
PIXELS = st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]).flatmap(
    lambda dtype: hnp.arrays(dtype, st.tuples(st.integers(1, 110), st.integers(1, 110), st.sampled_from([1, 3])))
)


@settings(max_examples=120, deadline=None)
@given(PIXELS, SPECS)
def test_any_image_by_any_settings_has_the_promised_form(pixels, spec):
    image = picture(pixels, -10.0, 4000.0)
    kept = pixels.copy()
    prepared = prepare_image(image, spec)
    assert prepared.dtype == np.uint8
    assert prepared.shape == (spec.channels, *spec.size)
    assert prepared.flags.c_contiguous
    assert np.array_equal(prepared, prepare_image(image, spec))
    assert np.array_equal(pixels, kept, equal_nan=pixels.dtype.kind == "f")
