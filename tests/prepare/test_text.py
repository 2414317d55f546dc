from __future__ import annotations

import cv2
import numpy as np
import pytest

from semeion.prepare.text import find_text, remove_text


def written(picture, text="LT UOQ", at=(20, 235), scale=0.45, colour=255, thick=1):
    """Return a copy with text, and where it is."""
    canvas = picture.copy()
    value = (colour,) * 3 if np.isscalar(colour) else colour
    ink = np.zeros(picture.shape[:2], np.uint8)
    cv2.putText(ink, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
    share = (ink / 255.0)[..., None]
    canvas = canvas * (1 - share) + np.array(value[: picture.shape[2]]) * share
    return canvas.astype(picture.dtype), ink > 128


@pytest.mark.parametrize("text", ["LT UOQ", "RT AXILLA", "W 600 : L 407", "R12 above"])
def test_annotation_is_found_and_painted_over(tissue, text):
    clean = (tissue(256, 300) * 0.6).astype(np.uint8)
    picture, ink = written(clean, text)
    mask = find_text(picture)
    assert mask[ink].mean() > 0.85
    assert mask.mean() < 0.05
    painted = remove_text(picture, mask)
    assert painted.dtype == picture.dtype
    assert np.array_equal(painted[~mask], picture[~mask])
    before = np.abs(picture.astype(int) - clean)[ink].mean()
    assert np.abs(painted.astype(int) - clean)[ink].mean() < before / 4


def test_coloured_text_on_a_colour_image(tissue):
    picture, ink = written(np.repeat((tissue(256, 300) * 0.5).astype(np.uint8), 3, axis=2), colour=(255, 230, 0))
    mask = find_text(picture)
    assert mask[ink].mean() > 0.85
    assert remove_text(picture, mask).shape == picture.shape


@pytest.mark.parametrize(("dtype", "top"), [(np.uint16, 4095), (np.int16, 3000), (np.float32, 1.0)])
def test_other_types(tissue, dtype, top):
    clean = (tissue(256, 300).astype(np.float64) / 255 * 0.6 * top).astype(dtype)
    picture, ink = written(clean, colour=top)
    mask = find_text(picture)
    assert mask[ink].mean() > 0.85
    painted = remove_text(picture, mask)
    assert painted.dtype == dtype
    assert painted[mask].max() < top


def test_large_image_is_searched_on_a_reduced_copy(tissue):
    picture, ink = written((tissue(1600, 2000) * 0.5).astype(np.uint8), at=(60, 1500), scale=2.2, thick=5)
    mask = find_text(picture)
    assert mask.shape == picture.shape[:2]
    assert mask[ink].mean() > 0.8
    assert mask.mean() < 0.02


def test_side_marker_alone_near_a_corner():
    picture = np.full((500, 400, 1), 30, np.uint8)
    cv2.ellipse(picture, (200, 260), (130, 190), 0, 0, 360, 150, -1)
    cv2.putText(picture, "R", (20, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 3)
    mask = find_text(picture)
    assert mask[25:55, 18:45].any()
    assert not mask[80:].any()


@pytest.mark.parametrize("seed", range(5))
def test_texture_is_no_text(tissue, seed):
    assert not find_text(tissue(256, 256, seed)).any()
    noise = np.random.default_rng(seed).integers(0, 256, (256, 256, 1), dtype=np.uint8)
    assert not find_text(noise).any()


def test_small_images_have_no_text(tissue):
    picture, _ = written(tissue(64, 64), "LT", (5, 50))
    assert not find_text(picture).any()


def test_nothing_to_remove_is_the_same_array(tissue):
    picture = tissue(50, 50)
    assert remove_text(picture, np.zeros((50, 50), bool)) is picture


def test_real_ultrasound(data):
    """Annotated pictures are found, the mass of others is left alone; read by eye when the limits were set."""
    folder = data / "busi" / "images"
    for name in ("malignant_14", "benign_306", "benign_278", "malignant_112"):
        assert find_text(cv2.imread(str(folder / f"{name}.png"), 0)[..., None]).any() == (name != "malignant_14")
    share = np.mean(
        [find_text(cv2.imread(str(file), 0)[..., None]).any() for file in sorted(folder.glob("*.png"))[::6]]
    )
    assert 0.08 < share < 0.25
