from __future__ import annotations

import numpy as np
import pytest

from semeion.cohort.image import Image
from semeion.cohort.volume import Grid, Volume
from semeion.prepare.geometry import to_lps
from semeion.prepare.thumb import SIDE, grey_bytes, mask_thumbnail, thumbnail, unpacked, volume_thumbnail


def image(pixels, high=255.0):
    return Image(pixels, "grey" if pixels.shape[2] == 1 else "colour", 0, high, 8, "png")


def test_bytes_keep_their_levels_and_channels_are_averaged():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 1)).astype(np.uint8)
    np.testing.assert_array_equal(grey_bytes(image(pixels)), pixels[..., 0])
    dull = image(pixels // 8 + 100)
    np.testing.assert_array_equal(grey_bytes(dull), dull.pixels[..., 0])
    colour = np.stack([np.full((4, 4), level, np.uint8) for level in (10, 20, 60)], axis=2)
    assert (grey_bytes(image(colour)) == 30).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_deeper_pictures_are_mapped_between_their_ends(dtype):
    pixels = np.linspace(0, 1000, 1200).reshape(30, 40, 1).astype(dtype)
    grey = grey_bytes(image(pixels, 65535.0))
    assert (grey.min(), grey.max(), grey.dtype) == (0, 255, np.uint8)
    given = grey_bytes(image(pixels, 65535.0), (0.0, 2000.0))
    assert given.max() == pytest.approx(128, abs=1)


def test_not_finite_pixels_become_the_smallest():
    pixels = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20, 1)
    pixels[0, 0] = np.nan
    assert grey_bytes(image(pixels))[0, 0] == 0


@pytest.mark.parametrize("shape", [(100, 60), (8, 200), (32, 32), (28, 28), (1, 1)])
def test_a_thumbnail_has_one_size(shape):
    grey = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    packed = thumbnail(grey)
    assert len(packed) == SIDE * SIDE
    if shape == (32, 32):
        assert packed == grey.tobytes()


def volume(voxels, direction=(1.0, 0, 0, 0, 1, 0, 0, 0, 1)):
    grid = Grid(tuple(reversed(voxels.shape)), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), direction)
    return Volume(voxels[None], grid)


def test_a_volume_shows_its_middle_slices_whatever_its_axes():
    rng = np.random.default_rng(2)
    voxels = rng.integers(0, 255, (10, 32, 32)).astype(np.int16)
    plain = volume(voxels)
    packed = volume_thumbnail(plain, 0, 255)
    views = np.frombuffer(packed, np.uint8).reshape(3, SIDE, SIDE)
    np.testing.assert_array_equal(views[0], voxels[5])
    # Rows from the front to the back of the head, slices upside down, columns from the left.
    turned = volume(voxels, (0.0, 1, 0, -1, 0, 0, 0, 0, -1))
    assert volume_thumbnail(turned, 0, 255) == volume_thumbnail(to_lps(turned), 0, 255) != packed


def test_a_mask_shows_where_it_lies():
    mask = np.zeros((4, 64, 64), np.uint8)
    mask[2, :32] = 3
    view = np.frombuffer(mask_thumbnail(volume(mask)), np.uint8).reshape(3, SIDE, SIDE)[0]
    assert (view[:16] == 255).all()
    assert (view[16:] == 0).all()


def test_thumbnails_come_back_from_a_column():
    one = thumbnail(np.full((9, 9), 7, np.uint8))
    pixels, known = unpacked([one, b"", None, one])
    assert pixels.shape == (4, 1, SIDE, SIDE)
    assert known.tolist() == [True, False, False, True]
    assert (pixels[0] == 7).all()
    assert (pixels[1] == 0).all()
    pixels, known = unpacked([one * 3, one, one * 3])
    assert pixels.shape == (3, 3, SIDE, SIDE)
    assert known.tolist() == [True, False, True]
    pixels, known = unpacked([])
    assert (len(pixels), len(known)) == (0, 0)
