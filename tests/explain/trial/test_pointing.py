"""Planted lesions: a map that points into them, one that points to the middle, and one place for all."""

from __future__ import annotations

import numpy as np
import pytest

from semeion.explain.trial.pointing import (
    best_fixed_point,
    covered,
    dice_at_equal_area,
    energy_inside,
    highest,
    hits,
)


def lesion(top: int, left: int, side: int = 4, size: int = 16) -> np.ndarray:
    mask = np.zeros((size, size), np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


MASKS = np.stack([lesion(1, 2), lesion(2, 3), lesion(10, 11), lesion(3, 1)])


def test_a_map_that_is_the_lesion_always_points_into_it_and_has_all_energy_there() -> None:
    maps = MASKS * 2.0
    assert hits(maps, MASKS).all()
    np.testing.assert_allclose(energy_inside(maps, MASKS), 1.0)
    np.testing.assert_allclose(dice_at_equal_area(maps, MASKS), 1.0)
    assert not hits(-maps, MASKS).any()
    np.testing.assert_allclose(dice_at_equal_area(-maps, MASKS), 0.0)


def test_a_flat_map_has_the_energy_that_the_lesion_covers_and_points_to_the_middle() -> None:
    flat = np.ones_like(MASKS, dtype=np.float64)
    np.testing.assert_allclose(energy_inside(flat, MASKS), covered(MASKS))
    np.testing.assert_allclose(covered(MASKS), 16 / 256)
    assert highest(flat[0]) in {(7, 7), (7, 8), (8, 7), (8, 8)}


def test_a_map_nowhere_positive_has_no_energy() -> None:
    assert np.isnan(energy_inside(-np.ones((1, 16, 16)), MASKS[:1])).all()


def test_the_best_fixed_point_lies_in_most_lesions() -> None:
    point, share = best_fixed_point(MASKS)
    assert share == pytest.approx(0.75)
    np.testing.assert_array_equal(MASKS[(slice(None), *point)], [True, True, False, True])


def test_a_plateau_points_to_its_middle_and_not_to_its_corner() -> None:
    field = np.zeros((12, 12))
    field[0:5, 7:12] = 1.0
    assert highest(field) == (2, 9)


def test_volumes_are_pointed_at_too() -> None:
    mask = np.zeros((1, 4, 5, 6), np.bool_)
    mask[0, 2, 3, 4] = True
    assert hits(mask.astype(np.float64), mask).all()
    assert best_fixed_point(mask)[0] == (2, 3, 4)


def test_maps_beside_their_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="do not lie on masks"):
        hits(np.zeros((1, 4, 4)), MASKS[:1])
