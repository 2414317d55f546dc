"""Insertion and deletion with a planted model that looks at one quadrant."""

from __future__ import annotations

import numpy as np
import pytest

from semeion.explain.trial.removal import CELLS, SHARES, area, blurry, moved, removal_curves
from semeion.explain.trial.similarity import coarse

SIDE = 32


def pictures(n: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 60, (n, 1, SIDE, SIDE))
    found[:, :, 4:12, 4:12] = 255  # what the model looks for
    return found.astype(np.uint8)


def score(shown: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The brightness of the square."""
    assert len(shown) == len(rows)
    return np.asarray(shown[:, 0, 4:12, 4:12].mean(axis=(1, 2)) / 255)


def exact(n: int) -> np.ndarray:
    maps = np.zeros((n, 1, SIDE, SIDE))
    maps[:, :, 4:12, 4:12] = 1.0
    return maps


def test_the_map_of_what_the_model_looks_at_beats_a_random_place() -> None:
    shown = pictures()
    curves = removal_curves(shown, exact(12), score, score(shown, np.arange(12)), seed=1)
    assert (curves.deletion_gain > 0).mean() > 0.9
    assert (curves.insertion_gain > 0).mean() > 0.9
    # A tenth of the picture is more than the square: all of it is gone, and all of it is back.
    np.testing.assert_allclose(curves.insertion[:, 1:], 1.0)
    assert (curves.deletion[:, 1] < 0.45).all()
    assert curves.deletion.shape == (12, len(SHARES) + 2)


def test_a_random_map_gains_nothing_and_its_reverse_loses() -> None:
    n = 120
    shown = pictures(n)
    now = score(shown, np.arange(n))
    rng = np.random.default_rng(3)
    noise = removal_curves(shown, rng.normal(size=(n, 1, SIDE, SIDE)), score, now, seed=1)
    gain = (noise.deletion_gain + noise.insertion_gain) / 2
    assert abs(gain.mean()) < 3 * gain.std() / np.sqrt(n)
    reverse = removal_curves(shown, -exact(n), score, now, seed=1)
    assert (reverse.deletion_gain + reverse.insertion_gain).mean() < 0


def test_ends_of_the_curves_are_the_picture_and_the_blurred_one() -> None:
    shown = pictures(3)
    curves = removal_curves(shown, exact(3), score, score(shown, np.arange(3)), seed=0)
    blurred = score(np.stack([blurry(one) for one in shown]), np.arange(3))
    for curve, first, last in ((curves.deletion, 1.0, blurred), (curves.insertion, blurred, 1.0)):
        np.testing.assert_allclose(curve[:, 0], first)
        np.testing.assert_allclose(curve[:, -1], last)
    # However moved, the ends are the same.
    np.testing.assert_allclose(curves.deletion_by_chance[:, [0, -1]], curves.deletion[:, [0, -1]])


def test_groups_are_taken_away_from_their_own_planes() -> None:
    shown = np.concatenate([pictures(2), np.full((2, 1, SIDE, SIDE), 9, np.uint8)], axis=1)
    maps = np.concatenate([exact(2), -exact(2)], axis=1)
    seen: list[np.ndarray] = []

    def look(given: np.ndarray, rows: np.ndarray) -> np.ndarray:
        seen.append(given)
        return score(given, rows)

    removal_curves(shown, maps, look, np.ones(2), seed=0)
    first = seen[1]  # a tenth taken away: the square of the first plane, which the second has not
    assert (first[:, 0, 4:12, 4:12] != shown[:, 0, 4:12, 4:12]).any()
    np.testing.assert_array_equal(first[:, 1], shown[:, 1])


def test_volumes_are_tried_too() -> None:
    volume = np.zeros((1, 1, 8, 8, 8), np.uint8)
    volume[0, 0, 2:4, 2:4, 2:4] = 255
    maps = volume[:, 0:1].astype(np.float64)

    def bright(given: np.ndarray, _rows: np.ndarray) -> np.ndarray:
        return np.asarray(given[:, 0, 2:4, 2:4, 2:4].mean(axis=(1, 2, 3)) / 255)

    curves = removal_curves(volume, maps, bright, [1.0], seed=0)
    assert curves.deletion_gain[0] > 0


def test_a_moved_map_has_the_same_values_elsewhere() -> None:
    cells = np.arange(48.0).reshape(1, 6, 8)
    for row in range(20):
        there = moved(cells, 5, row)
        assert not np.array_equal(there, cells)
        np.testing.assert_array_equal(np.sort(there.ravel()), np.sort(cells.ravel()))
    np.testing.assert_array_equal(moved(cells, 5, 0), moved(cells, 5, 0))


def test_areas_are_those_of_trapezia() -> None:
    at = np.array([0.0, *SHARES, 1.0])
    assert area(at[None])[0] == pytest.approx(0.5)
    assert area(np.full((1, len(at)), 0.3))[0] == pytest.approx(0.3)


def test_a_blur_keeps_a_flat_picture_and_the_mean_of_one_far_from_edges() -> None:
    flat = np.full((1, 20, 30), 77, np.uint8)
    np.testing.assert_array_equal(blurry(flat), flat)
    spot = np.zeros((1, 65, 65), np.uint8)
    spot[0, 32, 32] = 255
    assert blurry(spot).max() <= 3


def test_maps_of_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="do not lie on pictures"):
        removal_curves(pictures(2), np.zeros((3, 1, 4, 4)), score, [1.0, 1.0], seed=0)


def test_maps_are_looked_at_in_cells() -> None:
    assert coarse(np.zeros((1, 100, 100)), CELLS[2]).shape == (1, 16, 16)
