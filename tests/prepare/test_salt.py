from __future__ import annotations

import cv2
import numpy as np
import pytest

from semeion.prepare.salt import find_salt, remove_salt, salt_fraction


@pytest.mark.parametrize(("dtype", "factor"), [(np.uint8, 1), (np.uint16, 16), (np.int16, 100), (np.float32, 0.01)])
@pytest.mark.parametrize("share", [0.005, 0.05])
def test_salt_and_pepper_are_found_and_replaced(tissue, dtype, factor, share):
    clean = (tissue(160, 200).astype(np.float64) * factor).astype(dtype)
    at = np.random.default_rng(1).random((160, 200, 1))
    noisy = np.where(at < share / 2, 255 * factor, np.where(at < share, 0, clean)).astype(dtype)
    mask = find_salt(noisy)
    assert mask[at < share].mean() > (0.95 if share < 0.01 else 0.8)
    assert mask[at >= share].mean() < 0.001
    fixed = remove_salt(noisy, mask)
    assert fixed.dtype == dtype
    assert np.array_equal(fixed[~mask], noisy[~mask])
    error = np.abs(fixed.astype(float) - clean)[mask].mean()
    assert error < 0.1 * np.abs(noisy.astype(float) - clean)[mask].mean()


def test_colour_noise_is_removed_in_its_channel(tissue):
    clean = np.concatenate([tissue(100, 100, seed) for seed in range(3)], axis=2)
    at = np.random.default_rng(2).random(clean.shape) < 0.01
    noisy = np.where(at, 255, clean).astype(np.uint8)
    fixed = remove_salt(noisy, find_salt(noisy))
    assert (fixed == 255).mean() < 0.0005
    assert salt_fraction(noisy) == pytest.approx(at.any(axis=2).mean(), rel=0.15)


def test_clean_texture_has_none(tissue):
    for seed in range(5):
        assert salt_fraction(tissue(128, 128, seed)) == 0


def test_thin_lines_letters_and_saturated_regions_are_left_alone(tissue):
    picture = tissue(200, 200)
    cv2.line(picture, (5, 5), (190, 120), 255, 1)
    cv2.putText(picture, "LT AXILLA 12", (20, 180), cv2.FONT_HERSHEY_PLAIN, 1, 255, 1)
    picture[100:140, 20:60] = 255
    assert not find_salt(picture).any()


def test_a_few_bright_pixels_are_no_noise(tissue):
    picture = tissue(200, 200)
    picture[::60, ::60] = 255
    assert not find_salt(picture).any()


def test_grains_in_one_corner_are_no_noise(tissue):
    picture = tissue(200, 200)
    picture[:40:3, :40:3] = 255
    assert not find_salt(picture).any()


def test_small_and_constant_images_have_none():
    rng = np.random.default_rng(0)
    assert not find_salt(rng.choice([0, 120, 255], (28, 28, 1)).astype(np.uint8)).any()
    assert not find_salt(np.full((100, 100, 1), 7, np.uint8)).any()


def test_real_ultrasound_has_none(data):
    files = sorted((data / "busi" / "images").glob("*.png"))[::8]
    assert max(salt_fraction(cv2.imread(str(file), 0)[..., None]) for file in files) < 0.001
