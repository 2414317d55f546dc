import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.plan.crossfit import cross_fit, fold_sides


@settings(deadline=None)
@given(st.integers(3, 6), st.integers(0, 100), st.data())
def test_no_network_sees_a_patient_of_its_pair(folds, seed, data):
    patients = data.draw(st.integers(3 * folds, 40))
    groups = np.repeat(np.arange(patients), data.draw(st.integers(1, 3)))
    stratum = (groups % 3).astype(np.int64)
    pool = np.flatnonzero(groups != 0)
    made = cross_fit(pool, stratum, groups, folds=folds, inner_share=0.2, seed=seed)
    assert (made.fold[groups == 0] == -1).all()
    assert (made.fold[pool] >= 0).all()
    for group in np.unique(groups):
        assert len(np.unique(made.fold[groups == group])) == 1
    for pair, side in zip(made.pairs, made.sides, strict=True):
        seen = set(groups[side.learn]) | set(groups[side.validate])
        assert not seen & set(groups[np.isin(made.fold, pair)])
        assert 0 not in seen
        assert not set(groups[side.learn]) & set(groups[side.validate])
        assert len(side.learn) + len(side.validate) + len(side.held_out) == len(pool)
    for k in range(folds):
        # Each fold is drawn by the networks of its own pairs, and one of them has also not seen a given other fold.
        assert len(made.without(k)) == folds - 1
        for j in set(range(folds)) - {k}:
            (only,) = made.without(j, k)
            assert set(made.pairs[only]) == {j, k}


def test_sides_of_single_folds_hold_one_fold_out_and_keep_patients_together():
    groups = np.repeat(np.arange(30), 2)
    stratum, pool = (groups % 2).astype(np.int64), np.flatnonzero(groups > 2)
    made = cross_fit(pool, stratum, groups, folds=5, inner_share=0.2, seed=1)
    for fold, side in enumerate(fold_sides(made, stratum, groups, inner_share=0.2, seed=1)):
        assert side.fold == fold
        np.testing.assert_array_equal(side.held_out, made.rows(fold))
        parts = [set(groups[rows]) for rows in (side.learn, side.validate, side.held_out)]
        assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
        assert set().union(*parts) == set(range(3, 30))
        assert len(side.validate) >= 6


def test_two_folds_are_too_few():
    rows = np.arange(20)
    with pytest.raises(ValueError, match="2 folds leave nothing to learn from"):
        cross_fit(rows, rows * 0, rows, folds=2, inner_share=0.2, seed=0)
