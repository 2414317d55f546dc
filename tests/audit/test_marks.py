from __future__ import annotations

import cv2
import numpy as np
import pytest

from semeion.audit.marks import find_marks


def tissue(n, seed=0, side=32):
    """Return thumbnails of noise over a smooth ground, uint8 (n, 1, side, side)."""
    rng = np.random.default_rng(seed)
    shown = []
    for _ in range(n):
        ground = cv2.GaussianBlur(rng.normal(size=(side, side)), (0, 0), 6)
        fine = cv2.GaussianBlur(rng.normal(size=(side, side)), (0, 0), 1)
        shown.append(90 + 25 * ground / ground.std() + 12 * fine / fine.std())
    return np.clip(shown, 0, 255).astype(np.uint8)[:, None]


def marked(pixels, chosen, level=255, at=(1, 1), size=2):
    out = pixels.copy()
    out[chosen, :, at[0] : at[0] + size, at[1] : at[1] + size] = level
    return out


N = 300
Y = np.arange(N) % 2
GROUPS = np.arange(N)
SOME = (Y == 1) & (np.random.default_rng(1).random(N) < 0.3)


@pytest.mark.parametrize("at", [(1, 1), (1, 28), (28, 2), (27, 27)])
@pytest.mark.parametrize("level", [255, 0])
def test_a_token_on_a_third_of_one_class_is_found_where_it_is(at, level):
    [mark] = find_marks(marked(tissue(N), SOME, level, at), Y, GROUPS)
    assert mark.code == 1
    assert mark.bright == (level == 255)
    assert at[0] - 1 <= mark.row <= at[0] + 2
    assert at[1] - 1 <= mark.col <= at[1] + 2
    assert 0.2 < mark.share <= SOME.sum() / 150 + 0.02
    assert mark.elsewhere < 0.02
    assert mark.p < 0.001
    assert len(set(mark.bearers) - set(np.flatnonzero(SOME))) <= 2


def test_without_a_token_nothing_is_found():
    assert find_marks(tissue(N), Y, GROUPS) == []
    both = np.random.default_rng(2).random(N) < 0.3
    assert find_marks(marked(tissue(N), both), Y, GROUPS) == []


def test_a_brighter_class_bears_no_mark():
    pixels = tissue(N).astype(int)
    pixels[Y == 1] += 40
    pixels[Y == 1, :, :8, :8] += 40
    assert find_marks(np.clip(pixels, 0, 255).astype(np.uint8), Y, GROUPS) == []


def test_bright_spots_that_look_otherwise_in_each_are_no_mark():
    rng = np.random.default_rng(3)
    pixels = tissue(N)
    for row in np.flatnonzero(SOME):
        for _ in range(6):
            at = rng.integers(0, 6, 2)
            pixels[row, 0, at[0] : at[0] + rng.integers(1, 4), at[1] : at[1] + rng.integers(1, 4)] = 255
    assert find_marks(pixels, Y, GROUPS) == []


def test_one_patients_token_is_no_mark_of_a_class():
    groups = GROUPS.copy()
    groups[SOME] = 0
    assert find_marks(marked(tissue(N), SOME), Y, groups) == []


def test_in_the_middle_more_is_asked_for():
    few = np.isin(GROUPS, np.flatnonzero(Y == 1)[::7])
    assert len(find_marks(marked(tissue(N), few, at=(1, 1), size=3), Y, GROUPS)) == 1
    assert find_marks(marked(tissue(N), few, at=(15, 15), size=3), Y, GROUPS) == []
    assert len(find_marks(marked(tissue(N), SOME, at=(15, 15), size=3), Y, GROUPS)) == 1


def test_of_several_classes_and_views_each_is_looked_at():
    y = np.arange(N) % 3
    views = np.concatenate([tissue(N, 1), tissue(N, 2), tissue(N, 3)], axis=1)
    some = (y == 2) & (np.random.default_rng(5).random(N) < 0.5)
    views[some, 1, 1:3, 1:3] = 255
    [mark] = find_marks(views, y, GROUPS)
    assert (mark.code, mark.view) == (2, 1)


def test_of_very_many_cases_some_are_drawn(monkeypatch):
    monkeypatch.setattr("semeion.audit.marks.MOST_CASES", 200)
    [mark] = find_marks(marked(tissue(N), SOME), Y, GROUPS)
    assert len(mark.bearers) < SOME.sum()
    assert len(set(mark.bearers) - set(np.flatnonzero(SOME))) <= 2
    assert mark.bearers.max() > 200
