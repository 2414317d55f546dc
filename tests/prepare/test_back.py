"""The way back: what lies where in the model's input lies there in the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.cohort.image import Image
from semeion.cohort.volume import Volume
from semeion.prepare.back import map_on_image, map_on_volume, map_to_picture, placement
from semeion.prepare.geometry import exchange
from semeion.prepare.spec import Cleaning, Preparation
from semeion.prepare.transform import cleaned_bytes, prepare_image
from semeion.prepare.volume import model_grid, prepare_volume
from semeion.prepare.volume_spec import Intensity, VolumePreparation
from support.volumes import blob, oblique


def picture(pixels):
    return Image(pixels, "grey", 0.0, 255.0, 8, "png")


def spot(rows, columns, row, column, reach=2):
    pixels = np.zeros((rows, columns, 1), np.uint8)
    pixels[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = 255
    return pixels


def middle_of(values):
    """Return the centre of gravity of an array, in its own indices."""
    total = values.sum()
    return [
        float(
            (values.sum(tuple(other for other in range(values.ndim) if other != axis)) * np.arange(side)).sum() / total
        )
        for axis, side in enumerate(values.shape)
    ]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(20, 90), st.integers(20, 90), st.integers(16, 64), st.integers(16, 64),
    st.sampled_from(["pad", "stretch"]), st.floats(0.2, 0.8), st.floats(0.2, 0.8),
)  # fmt: skip
def test_a_spot_comes_back_to_its_place(rows, columns, height, width, fit, down, along):
    pixels = spot(rows, columns, int(rows * down), int(columns * along))
    spec = Preparation(size=(height, width), fit=fit)
    prepared = prepare_image(picture(pixels), spec)[0]
    back = map_on_image(prepared, picture(pixels), spec)
    assert back.shape == (rows, columns) and back.dtype == np.float32
    wanted = middle_of(pixels[..., 0].astype(float))
    scale = max(rows / height, columns / width, 1.0)
    if fit == "pad":
        scale = max(scale, 1 / min(height / rows, width / columns))
    np.testing.assert_allclose(middle_of(back), wanted, atol=0.8 * scale)


def test_nothing_changes_where_nothing_was_changed():
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8)
    values = np.random.default_rng(1).normal(size=(28, 28)).astype(np.float32)
    assert np.array_equal(map_on_image(values, picture(pixels), Preparation()), values)


def test_padding_and_borders_are_left_out():
    pixels = np.full((100, 80, 1), 0, np.uint8)
    pixels[20:80, 10:70] = np.random.default_rng(0).integers(90, 220, (60, 60, 1))
    spec = Preparation(size=(32, 64), fit="pad", clean=Cleaning(borders=True))
    where = placement(picture(pixels), spec)
    assert where.size == (100, 80)
    assert where.box.top in range(17, 21) and where.box.left in range(7, 11)
    assert where.inner.top == 0 and where.inner.bottom == 32 and where.inner.left == 64 - where.inner.right > 0
    back = map_to_picture(np.ones((32, 64), np.float32), where)
    inside = np.zeros((100, 80), bool)
    where.box.of(inside)[...] = True
    assert (back[inside] == 1).all() and not back[~inside].any()
    # What stands in the padding belongs to no pixel.
    padding = np.ones((32, 64), np.float32)
    where.inner.of(padding)[...] = 0
    assert not map_to_picture(padding, where).any()


def test_the_borders_are_those_that_were_cut_after_cleaning():
    rng = np.random.default_rng(0)
    pixels = np.zeros((120, 120, 1), np.uint8)
    pixels[30:100, 20:110] = rng.integers(90, 200, (70, 90, 1))
    pixels[rng.integers(0, 120, 60), rng.integers(0, 120, 60)] = 255
    boxes = set()
    for salt in (False, True):
        spec = Preparation(size=(64, 64), clean=Cleaning(borders=True, salt=salt, text=True, equalise=True))
        box = placement(picture(pixels), spec).box
        assert cleaned_bytes(picture(pixels), spec)[0].shape[:2] == (box.bottom - box.top, box.right - box.left)
        boxes.add(box)
    assert len(boxes) == 2  # grains hide the border unless they are removed first


GRID = oblique((24, 20, 12), (1.0, 1.2, 2.0), 5)
IMAGE = Volume(blob()[np.newaxis], GRID)
SPECS = [
    VolumePreparation(),
    VolumePreparation(orientation="stored", spacing=(2.0, 2.0, 2.0)),
    VolumePreparation(size=(10, 16, 16), size_mode="stretch"),
    VolumePreparation(size=(16, 16, 30), size_mode="centre"),
    VolumePreparation(crop="foreground", margin_mm=2, spacing=(1.5, 1.5, 1.5), size=(20, 20, 20)),
    VolumePreparation(crop="body", size=(12, 12, 12), size_mode="stretch"),
]


@pytest.mark.parametrize("spec", SPECS)
def test_the_grid_is_that_of_the_preparation(spec):
    prepared = prepare_volume([IMAGE], spec)
    grid, source = model_grid([IMAGE], spec)
    assert grid == prepared.grid
    assert source == prepared.source == GRID


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("turn", [((0, 1, 2), (False, False, False)), ((2, 0, 1), (True, False, True))])
def test_a_volume_comes_back_to_its_place(spec, turn):
    image = exchange(IMAGE, *turn)
    spec = spec.model_copy(update={"intensity": [Intensity(kind="percentiles", foreground="all")]})
    prepared = prepare_volume([image], spec)
    back = map_on_volume(prepared.array[0] - prepared.array.min(), [image], spec)
    assert back.grid == image.grid
    assert back.voxels.dtype == np.float32 and back.voxels.shape == image.voxels.shape
    strong = np.where(image.plane > 0.6 * image.plane.max(), image.plane.astype(float), 0)
    found = np.where(back.plane > 0.6 * back.plane.max(), back.plane, 0)
    np.testing.assert_allclose(middle_of(found), middle_of(strong), atol=0.8)


def test_all_channels_have_one_grid():
    two = VolumePreparation(channels=["a", "b"], crop="foreground", size=(8, 8, 8))
    other = Volume(np.zeros_like(IMAGE.voxels), GRID)
    other.voxels[0, 1, 1, 1] = 9
    prepared = prepare_volume([IMAGE, other], two)
    assert model_grid([IMAGE, other], two)[0] == prepared.grid
    uncut = two.model_copy(update={"crop": "none"})
    assert model_grid([IMAGE, other], uncut)[0] == prepare_volume([IMAGE, other], uncut).grid


def test_a_mask_s_region_is_taken_again():
    mask = Volume((blob() > 100).astype(np.uint8)[np.newaxis], GRID)
    spec = VolumePreparation(crop="mask", size=(8, 8, 8))
    assert model_grid([IMAGE], spec, region=mask)[0] == prepare_volume([IMAGE], spec, region=mask).grid


def test_a_map_of_another_grid_is_refused():
    spec = VolumePreparation(size=(8, 8, 8))
    with pytest.raises(ValueError, match=r"a map of \(8, 8, 9\) does not fit a grid of \(8, 8, 8\)"):
        map_on_volume(np.zeros((8, 8, 9), np.float32), [IMAGE], spec)
