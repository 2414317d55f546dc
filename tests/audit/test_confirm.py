from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from semeion.audit.confirm import compare, detail_needed, look_at, same_levels, turned
from support.altered import altered, texture

SAME = np.eye(3)
CROP = np.array([[0.88, 0, 0.0], [0, 0.88, 0.0], [0, 0, 1]])


def same(first, second, turn=0, start=SAME):
    return compare(look_at(first), look_at(second), turn, start)


@pytest.mark.parametrize("how", ["jpeg", "resized", "gamma", "bright"])
def test_a_changed_copy_is_confirmed(how):
    picture = texture(200, 240, 1)
    match = same(picture, altered(picture, how))
    assert match.confirmed
    assert match.how == "registered"
    assert match.detail > 0.95
    assert match.overlap > 0.95


def test_a_crop_is_laid_where_it_was():
    picture = texture(200, 240, 2)
    match = same(altered(picture, "cropped"), picture, 0, CROP)
    assert match.confirmed
    assert match.overlap == pytest.approx(0.88**2, abs=0.03)
    # The picture as the first, and the crop within it.
    assert same(picture, altered(picture, "cropped"), 0, np.linalg.inv(CROP)).confirmed


@pytest.mark.parametrize("turn", range(8))
def test_every_orientation(turn):
    picture = texture(160, 180, 3)
    assert same(turned(picture, turn), picture, turn).confirmed
    assert not same(turned(picture, turn), picture, (turn + 1) % 8).confirmed


def test_eight_orientations_are_eight():
    picture = texture(20, 20, 0)
    assert len({turned(picture, turn).tobytes() for turn in range(8)}) == 8


def test_pictures_that_agree_in_the_large_alone_are_two():
    large = cv2.GaussianBlur(texture(220, 220, 4), (0, 0), 6).astype(float)
    first, second = ((0.9 * large + 0.15 * texture(220, 220, seed)).clip(0, 255).astype(np.uint8) for seed in (5, 6))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.8
    match = same(first, second)
    assert not match.confirmed
    assert match.detail < 0.8


def test_other_pictures_are_two():
    pictures = [texture(200, 200, seed) for seed in range(6)]
    assert not any(same(one, other).confirmed for one in pictures[:3] for other in pictures[3:])
    assert not same(np.full((200, 200), 9, np.uint8), pictures[0]).confirmed
    assert not same(np.full((200, 200), 9, np.uint8), np.full((200, 200), 9, np.uint8)).confirmed


def test_a_part_is_no_copy():
    picture = texture(240, 240, 7)
    half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])
    match = same(picture[:120, :120].copy(), picture, 0, half)
    assert not match.confirmed


@pytest.mark.parametrize("turn", [0, 5])
def test_small_pictures_are_one_when_levels_tell_levels(turn):
    picture = texture(28, 28, 8)
    for change in (lambda p: p, lambda p: (p * 0.6 + 30).astype(np.uint8), lambda p: altered(p, "gamma")):
        match = same(change(turned(picture, turn)), picture, turn)
        assert (match.confirmed, match.how) == (True, "levels")


def test_small_pictures_that_correlate_highly_are_two():
    picture = texture(28, 28, 9)
    other = np.clip(picture + np.random.default_rng(0).normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    assert np.corrcoef(picture.ravel(), other.ravel())[0, 1] > 0.99
    assert not same(picture, other).confirmed
    assert not same(picture, texture(28, 28, 10)).confirmed
    assert not same(picture, (255 - picture.astype(int)).astype(np.uint8)).confirmed
    # Nothing to tell: a binary picture has two levels.
    assert not same(picture // 128 * 255, picture // 128 * 255).confirmed


def test_a_small_crop_is_found_within():
    picture = texture(40, 44, 11)
    match = same_levels(picture, picture[3:37, 2:40].copy())
    assert match.confirmed
    assert match.overlap == pytest.approx(34 * 38 / (40 * 44))
    assert not same_levels(picture, picture[3:20, 2:20].copy()).confirmed
    assert not same_levels(picture, texture(50, 20, 0)).confirmed


WAYS_TO_SHRINK = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


@pytest.mark.parametrize("sides", [((200, 240), 0.36), ((120, 120), 0.6), ((96, 96), 0.8), ((80, 70), 0.5)])
@pytest.mark.parametrize("how", WAYS_TO_SHRINK)
def test_a_picture_made_smaller_is_one_with_it_in_whatever_way(sides, how):
    (rows, cols), factor = sides
    picture = texture(rows, cols, 12)
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how)
    assert look_at(small).small
    for first, second in ((picture, small), (small, picture)):
        match = same(first, second)
        assert (match.confirmed, match.how) == (True, "levels")
        assert match.overlap > 0.9


def test_a_picture_made_smaller_and_brighter_or_turned_is_one_with_it():
    picture = texture(150, 180, 13)
    small = cv2.resize(picture, (72, 60), interpolation=cv2.INTER_AREA)
    assert same(picture, np.clip(small * 0.7 + 30, 0, 255).astype(np.uint8)).confirmed
    assert same(turned(small, 5), picture, 5).confirmed
    assert not same(turned(small, 5), picture).confirmed


@pytest.mark.parametrize("quality", [8, 13, 20, 30])
def test_a_picture_that_was_coarsely_encoded_is_one_with_it(quality):
    picture = texture(150, 160, 17)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    lossy = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert same(picture, lossy).confirmed
    assert same(lossy, picture).confirmed


def test_look_alikes_that_were_coarsely_encoded_are_two():
    large = cv2.GaussianBlur(texture(150, 160, 18), (0, 0), 4).astype(float)
    pictures = [(0.85 * large + 0.15 * texture(150, 160, k)).clip(0, 255).astype(np.uint8) for k in range(19, 23)]
    for one, other in itertools.pairwise(pictures):
        _, data = cv2.imencode(".jpg", other, [cv2.IMWRITE_JPEG_QUALITY, 10])
        assert not same(one, cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)).confirmed


def test_a_crop_made_smaller_is_laid_where_it_was():
    picture = texture(160, 160, 14)
    part = cv2.resize(picture[:136, 24:], (60, 60), interpolation=cv2.INTER_AREA)
    at = np.array([[0.85, 0, 0.075], [0, 0.85, -0.075], [0, 0, 1]])
    match = same(part, picture, 0, at)
    assert match.confirmed
    assert match.overlap == pytest.approx(0.85**2, abs=0.05)
    assert same(picture, part, 0, np.linalg.inv(at)).confirmed


def test_other_pictures_made_smaller_are_two():
    large = cv2.GaussianBlur(texture(160, 160, 15), (0, 0), 6).astype(float)
    for seed in range(16, 20):
        first, second = ((0.9 * large + 0.1 * texture(160, 160, k)).clip(0, 255).astype(np.uint8) for k in (seed, 99))
        small = cv2.resize(second, (64, 64), interpolation=cv2.INTER_AREA)
        assert np.corrcoef(cv2.resize(first, (64, 64)).ravel(), small.ravel())[0, 1] > 0.8
        assert not same(first, small).confirmed
    assert not same(np.full((100, 100), 7, np.uint8), texture(50, 50, 1)).confirmed


def test_fewer_pixels_must_agree_better():
    assert 0.95 == detail_needed(192) < detail_needed(128) < detail_needed(96) < 1


def test_real_slices_and_scans_are_told_apart(data):
    from semeion.cohort.reading import read_image
    from semeion.prepare.thumb import grey_bytes

    scans = [grey_bytes(read_image(str(file))) for file in sorted((data / "busi" / "images").glob("*.png"))[:12:3]]
    slices = sorted((data / "dicom" / "mr_brain_study" / "36468-FLAIRreg-58706").glob("*"))[8:12]
    heads = [grey_bytes(read_image(str(file))) for file in slices]
    for pictures in (scans, heads):
        for one, other in itertools.pairwise(pictures):
            assert not same(one, other).confirmed
        for how in ("jpeg", "bright"):
            assert all(same(one, altered(one, how)).confirmed for one in pictures)
