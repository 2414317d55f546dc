from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.folds import grouped_folds


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 2)), min_size=1, max_size=80), st.integers(2, 6))
def test_folds_keep_groups_whole(rows, folds):
    group = np.unique([one for one, _ in rows], return_inverse=True)[1]
    y = np.array([code for _, code in rows])
    side = grouped_folds(y, group, folds)
    assert side.shape == y.shape
    assert set(side) <= set(range(folds))
    for one in set(group):
        assert len(set(side[group == one])) == 1


def test_folds_are_balanced_in_every_class():
    y = np.random.default_rng(0).permutation([0] * 83 + [1] * 17)
    side = grouped_folds(y, np.arange(100), 5)
    for code, most in ((0, 17), (1, 4)):
        counts = np.bincount(side[y == code], minlength=5)
        assert counts.max() == most
        assert counts.max() - counts.min() <= 1


def test_the_seed_alone_decides():
    y, group = np.arange(60) % 2, np.arange(60) // 3
    assert (grouped_folds(y, group, 5, 3) == grouped_folds(y, group, 5, 3)).all()
    assert (grouped_folds(y, group, 5, 3) != grouped_folds(y, group, 5, 4)).any()
