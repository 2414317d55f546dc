from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.prepare.spread import WIDTH, even, seen_by, spread, spread_seen, spreading

CENTRES = st.lists(st.floats(0, 1), min_size=1, max_size=12, unique=True).map(sorted)


@given(CENTRES, st.integers(1, 40))
def test_sums_are_kept(centres, cells):
    matrix = spreading(centres, cells)
    assert matrix.shape == (cells, len(centres))
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(0), 1, atol=1e-5)


@given(st.integers(1, 30))
def test_as_many_cells_as_even_places_change_nothing(places):
    values = np.arange(places, dtype=np.float32)
    assert np.array_equal(spread(values, [even(places)], [places]), values)


def test_a_place_is_seen_around_its_centre_and_not_beyond_its_neighbours():
    matrix = spreading([0.1, 0.5, 0.9], 100)
    assert matrix[:, 1].argmax() in (49, 50)
    assert not matrix[:10, 1].any() and not matrix[90:, 1].any()
    assert (matrix[:8, 0] == matrix[:8, 0].max()).all()  # outwards of the first place there is no other
    assert matrix[:, 2][::-1] == pytest.approx(matrix[:, 0])


def test_every_axis_is_spread():
    values = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    found = spread(values, [even(3), [0.0, 0.2, 0.7, 1.0]], [9, 10])
    assert found.shape == (2, 9, 10) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum((1, 2)), values.sum((1, 2)), atol=1e-4)
    rows, columns = spreading(even(3), 9), spreading([0.0, 0.2, 0.7, 1.0], 10)
    np.testing.assert_allclose(found, rows @ values @ columns.T, atol=1e-5)


@given(st.integers(1, 20), st.integers(1, 60))
def test_what_places_see_keeps_sums_and_favours_no_cell(places, cells):
    matrix = seen_by(places, cells)
    assert matrix.shape == (cells, places)
    np.testing.assert_allclose(matrix.sum(0), 1, atol=1e-5)
    if cells >= places:  # the same everywhere stays the same everywhere, also at the ends
        np.testing.assert_allclose(matrix.sum(1), places / cells, rtol=2e-3)


def test_a_place_is_seen_as_wide_as_it_says():
    matrix = seen_by(41, 41 * 8).astype(np.float64)
    at = (np.arange(41 * 8) + 0.5) / 8
    middle = matrix[:, 20]
    assert (middle * at).sum() == pytest.approx(20.5)
    assert np.sqrt((middle * (at - 20.5) ** 2).sum()) == pytest.approx(WIDTH, rel=1e-3)
    assert matrix[:, 0][::-1] == pytest.approx(matrix[:, -1])  # what falls over the ends comes back
    assert matrix[:, 0].argmax() < 8


def test_the_highest_point_may_lie_between_places():
    values = np.zeros((1, 5), np.float32)
    values[0, 1:3] = 1.0
    found = spread_seen(values, (40,))[0]
    assert found.argmax() in (15, 16) and found.sum() == pytest.approx(2)


def test_every_axis_is_seen():
    values = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    found = spread_seen(values, (9, 10))
    assert found.shape == (2, 9, 10) and found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_allclose(found, seen_by(3, 9) @ values @ seen_by(4, 10).T, atol=1e-5)
