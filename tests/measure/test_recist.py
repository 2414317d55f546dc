from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from measure.test_surface import MASKS, SPACINGS, ellipsoid
from semeion.measure.recist import largest_diameters


def test_an_ellipse_turned_in_its_slice() -> None:
    y, x = np.mgrid[-40:41, -40:41] * 0.5
    angle = np.radians(30)
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    slices = [(along / (15 * s)) ** 2 + (across / (8 * s)) ** 2 <= 1 for s in (0.5, 0.8, 1.0, 0.7)]
    found = largest_diameters(np.array(slices), (5, 0.5, 0.5))
    assert found.slice_index == 2
    assert found.long_mm == pytest.approx(30, abs=0.5)
    assert found.short_mm == pytest.approx(16, abs=0.5)
    (a, b), (c, d) = found.long_ends
    assert abs(np.degrees(np.arctan2(d - b, c - a)) % 180 - 30) < 4


def test_a_box_is_measured_in_its_own_millimetres() -> None:
    found = largest_diameters(np.ones((3, 10, 40), dtype=bool), (7, 2, 0.5))
    # The outline's corners are cut: half a voxel is lost on either axis, whichever costs less.
    assert found.long_mm == pytest.approx(np.hypot(20, 20 - 0.5))
    assert found.slice_index == 0


def test_the_ends_lie_where_they_say() -> None:
    inside = np.zeros((2, 6, 12), dtype=bool)
    inside[1, 3, 2:9] = True
    found = largest_diameters(inside, (1, 1, 1))
    assert (found.slice_index, found.long_mm, found.short_mm) == (1, pytest.approx(7), pytest.approx(1))
    assert sorted(found.long_ends) == [(1.5, 3.0), (8.5, 3.0)]
    assert {row for _, row in found.short_ends} == {2.5, 3.5}


def test_pieces_that_do_not_touch_are_measured_apart() -> None:
    inside = np.zeros((1, 5, 30), dtype=bool)
    inside[0, 2, 0:4] = inside[0, 2, 20:30] = True
    assert largest_diameters(inside, (1, 1, 1)).long_mm == pytest.approx(10)


def test_a_single_voxel() -> None:
    found = largest_diameters(np.ones((1, 1, 1), dtype=bool), (3, 2, 1))
    assert (found.long_mm, found.short_mm) == (pytest.approx(2), pytest.approx(1))


def test_a_region_without_voxels_is_refused() -> None:
    with pytest.raises(ValueError, match="the region has no voxel"):
        largest_diameters(np.zeros((2, 2, 2), dtype=bool), (1, 1, 1))


@settings(max_examples=60, deadline=None)
@given(MASKS, SPACINGS, st.booleans(), st.sets(st.integers(0, 2)))
def test_neither_order_nor_direction_of_the_axes_in_a_slice_matters(
    inside: np.ndarray, spacing: np.ndarray, swapped: bool, flipped: set[int]
) -> None:
    order = [0, 2, 1] if swapped else [0, 1, 2]
    turned = np.flip(inside.transpose(order), axis=tuple(flipped))
    here, there = largest_diameters(inside, spacing), largest_diameters(turned, spacing[order])
    assert there.long_mm == pytest.approx(here.long_mm)
    assert there.short_mm == pytest.approx(here.short_mm)


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.bool_, (1, 7, 7)).filter(np.any), SPACINGS)
def test_the_diameters_of_any_slice_agree_with_trying_everything(inside: np.ndarray, spacing: np.ndarray) -> None:
    found = largest_diameters(inside, spacing)
    pieces, count = ndimage.label(inside[0], structure=np.ones((3, 3)))
    longest = 0.0
    for number in range(1, count + 1):
        rows, columns = np.nonzero(pieces == number)
        places = [
            ((r + a) * spacing[1], (c + b) * spacing[2])
            for r, c in zip(rows, columns, strict=True)
            for a, b in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))
        ]
        apart = np.linalg.norm(np.array(places)[:, None] - np.array(places), axis=2)
        longest = max(longest, float(apart.max()))
    assert found.long_mm == pytest.approx(longest)
    scale = np.array([spacing[2], spacing[1]])
    one, other = np.array(found.long_ends) * scale
    low, high = np.array(found.short_ends) * scale
    assert np.linalg.norm(high - low) == pytest.approx(found.short_mm)
    assert (other - one) @ (high - low) == pytest.approx(0, abs=1e-6)
    assert 0 < found.short_mm <= found.long_mm + 1e-9


def test_the_short_axis_of_a_ball_is_its_diameter() -> None:
    found = largest_diameters(ellipsoid((20, 20, 20), (2, 0.5, 0.5)), (2, 0.5, 0.5))
    assert found.long_mm == pytest.approx(40, abs=0.6)
    assert found.short_mm == pytest.approx(40, abs=0.6)
