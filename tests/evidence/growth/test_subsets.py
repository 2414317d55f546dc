"""Subsets of a learning curve: nested, stratified, of whole patients, from one seed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.errors import InputError
from semeion.evidence.growth.subsets import Pool, draw_order, nested_rows, pool_of, sizes_of


@st.composite
def cohorts(draw):
    """Draw rows of patients, some with several, and a stratum a row."""
    patients = draw(st.integers(40, 160))
    several = draw(st.integers(1, 4))
    strata = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = np.repeat(np.arange(patients), rng.integers(1, several + 1, patients))
    stratum = rng.choice(strata, len(groups), p=rng.dirichlet(np.full(strata, 8.0)))
    mixed = rng.permutation(len(groups))
    rows = np.sort(rng.choice(len(groups), int(0.9 * len(groups)), replace=False))
    return rows, groups[mixed], stratum[mixed]


@given(cohorts(), st.integers(0, 2**31 - 1), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_every_size_holds_the_one_before_whole_patients_and_the_mix_of_strata(cohort, seed, draw):
    rows, groups, stratum = cohort
    pool = pool_of(rows, groups, stratum, stratum[:, None] == np.unique(stratum[rows]))
    try:
        sizes = sizes_of([pool])
    except InputError as error:
        assert "too few for a curve" in error.what
        return
    assert list(sizes) == sorted(set(sizes))
    assert sizes[-1] == len(pool) == len(np.unique(groups[rows]))
    found = nested_rows(pool, rows, groups, sizes, seed=seed, draw=draw)
    assert np.array_equal(found[-1], rows), "the largest is everybody"
    for small, large in pairwise(found):
        assert set(small) < set(large)
    kinds = len(np.unique(pool.stratum))
    for size, chosen in zip(sizes, found, strict=True):
        inside = np.unique(groups[chosen])
        assert len(inside) == size
        left = np.setdiff1d(rows, chosen)
        assert not np.isin(groups[left], inside).any(), "no patient is divided"
        mine = np.bincount(pool.stratum[np.isin(pool.groups, inside)], minlength=kinds)
        share = np.bincount(pool.stratum, minlength=kinds) * size / len(pool)
        assert (np.abs(mine - share) <= 2).all()
    again = nested_rows(pool, rows, groups, sizes, seed=seed, draw=draw)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))


def test_draws_differ_and_every_patient_is_as_likely():
    pool = Pool(np.arange(60), np.arange(60) % 3)
    first = np.array([draw_order(pool, np.random.default_rng(seed))[:15] for seed in range(800)])
    often = np.bincount(first.ravel(), minlength=60) / 800
    assert often == pytest.approx(0.25, abs=0.07)


def test_a_patient_with_several_strata_belongs_to_the_rarest():
    groups = np.array([0, 0, 1, 1, 2, 3])
    stratum = np.array([7, 9, 7, 7, 9, 7])
    pool = pool_of(np.arange(6), groups, stratum)
    assert pool.groups.tolist() == [0, 1, 2, 3]
    assert pool.stratum.tolist() == [1, 0, 1, 0]
    assert pool.rarest == 1.0
    assert pool_of(np.arange(6), groups, stratum, stratum[:, None] == [7, 9]).rarest == 0.5


def test_sizes_are_even_on_a_log_scale_and_no_larger_than_the_smallest_fold():
    pools = [Pool(np.arange(n), np.arange(n) % 2, 0.5) for n in (640, 642)]
    sizes = sizes_of(pools)
    assert (sizes[0], sizes[-1], len(sizes)) == (10, 640, 6)
    steps = np.diff(np.log(sizes))
    assert steps == pytest.approx(steps.mean(), rel=0.06)


def test_a_rare_class_makes_the_smallest_size_larger():
    stratum = np.r_[np.zeros(20, dtype=int), np.ones(380, dtype=int)]
    sizes = sizes_of([Pool(np.arange(400), stratum, 0.05)])
    assert sizes[0] == 100
    rows = nested_rows(Pool(np.arange(400), stratum), np.arange(400), np.arange(400), sizes, seed=0, draw=0)
    assert [int((stratum[one] == 0).sum()) for one in rows] == pytest.approx([one * 0.05 for one in sizes], abs=1)


@pytest.mark.parametrize("patients", [0, 9, 15])
def test_too_few_patients_are_refused_with_how_many_are_needed(patients):
    pool = Pool(np.arange(patients), np.arange(patients) % 2, 0.5)
    with pytest.raises(InputError) as caught:
        sizes_of([pool], where="split train")
    assert caught.value.where == "split train"
    if patients:
        assert f"{patients} patients to learn from are too few for a curve of 3 sizes" in str(caught.value)
        assert "10, so that it holds 5 of every class; bring about 16 patients" in str(caught.value)
    else:
        assert "nobody to learn from" in str(caught.value)
