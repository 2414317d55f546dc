"""Rank correlation of maps, against SciPy and in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from semeion.explain.trial.similarity import block_of, coarse, ranks, spearman

TABLES = arrays.arrays(np.float64, (2, 3, 4), elements=st.integers(-4, 4).map(float))


@given(TABLES)
def test_ranks_are_those_of_scipy_with_ties(table: np.ndarray) -> None:
    np.testing.assert_array_equal(ranks(table[0]), stats.rankdata(table[0].ravel()))


@given(TABLES, TABLES)
@settings(max_examples=60)
def test_it_is_spearman_of_scipy(one: np.ndarray, other: np.ndarray) -> None:
    found = spearman(one, other)
    for row in range(2):
        a, b = one[row].ravel(), other[row].ravel()
        if np.ptp(a) and np.ptp(b):
            assert found[row] == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
        else:
            assert found[row] == 0.0


def test_a_map_is_like_itself_whatever_its_scale_and_unlike_its_reverse() -> None:
    map_ = np.random.default_rng(0).normal(size=(1, 5, 6))
    assert spearman(map_, np.exp(map_))[0] == pytest.approx(1.0)
    assert spearman(map_, -3 * map_)[0] == pytest.approx(-1.0)
    assert spearman(map_, -3 * map_, absolute=True)[0] == pytest.approx(1.0)


def test_maps_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        spearman(np.zeros((1, 2, 2)), np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="no finite number"):
        spearman(np.full((1, 2), np.nan), np.zeros((1, 2)))


def test_blocks_are_means_of_their_places_also_where_they_do_not_divide_a_side() -> None:
    map_ = np.arange(70.0).reshape(1, 7, 10)
    found = coarse(map_, 4)
    assert found.shape == (1, 4, 4)
    rows, columns = block_of(7, 4), block_of(10, 4)
    for r in range(4):
        for c in range(4):
            assert found[0, r, c] == pytest.approx(map_[0][np.ix_(rows == r, columns == c)].mean())
    np.testing.assert_array_equal(coarse(map_, 64), map_)
