from __future__ import annotations

import cv2
import numpy as np
import pytest

from semeion.audit.confirm import turned
from semeion.audit.lookalike import BOXES, Candidates, _descriptors, find_candidates, laid, turned_descriptor
from semeion.prepare.thumb import SIDE, thumbnail
from support.altered import WAYS, altered, texture


def small(picture):
    return np.frombuffer(thumbnail(picture), dtype=np.uint8).reshape(SIDE, SIDE)


@pytest.mark.parametrize("turn", range(8))
def test_turning_a_picture_exchanges_its_descriptor(turn):
    thumbs = np.stack([small(texture(64, 80, seed)) for seed in range(3)])
    wanted = _descriptors(np.stack([turned(one, turn) for one in thumbs]), BOXES[0])
    np.testing.assert_allclose(_descriptors(thumbs, BOXES[0])[:, turned_descriptor(turn)], wanted, atol=1e-4)


@pytest.mark.parametrize("how", WAYS)
def test_changed_copies_are_each_others_neighbours(how):
    pictures = [texture(150, 160, seed) for seed in range(60)]
    copies = [altered(picture, how, seed) for seed, picture in enumerate(pictures[:10])]
    thumbs = np.stack([small(one) for one in [*pictures, *copies]])
    rows = np.arange(100, 100 + len(thumbs))
    found = find_candidates(thumbs, rows)
    pairs = {tuple(sorted(pair)) for pair in found.pairs.tolist()}
    assert sum((100 + k, 160 + k) in pairs for k in range(10)) >= 9
    assert len(pairs) == len(found.pairs)
    assert (np.diff(found.likeness) <= 1e-9).all()


def test_where_registration_begins_is_where_the_crop_lies():
    picture = texture(128, 128, 5)
    crop = cv2.resize(picture[: round(0.85 * 128), : round(0.85 * 128)], (128, 128))
    others = [texture(128, 128, seed) for seed in range(20, 50)]
    found = find_candidates(np.stack([small(one) for one in [picture, turned(crop, 4), *others]]), np.arange(32))
    [place] = [k for k, pair in enumerate(found.pairs.tolist()) if set(pair) == {0, 1}]
    # The first of the pair is the whole of what the second holds more than: the mirrored crop, then the picture.
    assert found.pairs[place].tolist() == [1, 0]
    assert found.turn[place] == 4
    # The top left corner of the picture is the top right one of the mirrored picture.
    np.testing.assert_allclose(found.start[place], [[0.85, 0, 0.075], [0, 0.85, -0.075], [0, 0, 1]], atol=1e-9)


def test_a_picture_is_not_its_own_neighbour_and_few_have_none():
    round_ = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(round_, (16, 16), 9, 200, -1)
    found = find_candidates(np.stack([round_, small(texture(64, 64, 0)), small(texture(64, 64, 1))]), np.arange(3))
    assert all(first != second for first, second in found.pairs.tolist())
    assert len(find_candidates(round_[None], np.arange(1)).pairs) == 0
    assert len(find_candidates(np.zeros((0, SIDE, SIDE), np.uint8), np.arange(0)).pairs) == 0
    assert Candidates.none().start.shape == (0, 3, 3)


def test_blank_thumbnails_break_nothing():
    found = find_candidates(np.full((5, SIDE, SIDE), 7, np.uint8), np.arange(5))
    assert np.isfinite(found.likeness).all()


@pytest.mark.parametrize("how", ["mirrored", "turned", "cropped", "several"])
@pytest.mark.parametrize("swapped", [False, True])
def test_given_pairs_are_laid_as_a_search_would(how, swapped):
    thumbs = np.stack([small(texture(120, 130, k)) for k in range(30)])
    thumbs[29] = small(altered(texture(120, 130, 0), how))
    pair = np.array([[29, 0] if swapped else [0, 29], [3, 7]])
    found = laid(thumbs, pair, np.array([0.9, 0.4]))
    assert found.likeness.tolist() == [0.9, 0.4]
    assert [sorted(rows) for rows in found.pairs.tolist()] == [[0, 29], [3, 7]]
    searched = find_candidates(thumbs, np.arange(30))
    place = next(k for k, rows in enumerate(searched.pairs.tolist()) if sorted(rows) == [0, 29])
    if searched.pairs[place].tolist() == found.pairs[0].tolist():
        assert found.turn[0] == searched.turn[place]
        # Among some crops of nearly one size either may win.
        assert np.allclose(found.start[0], searched.start[place], atol=0.08)


def test_no_pairs_are_laid_where_there_are_none():
    assert len(laid(np.zeros((3, 32, 32), dtype=np.uint8), np.empty((0, 2), dtype=np.int64), np.empty(0)).pairs) == 0
