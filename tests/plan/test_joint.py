"""Folds that several targets share: whole groups, classes of every target spread, the same side for all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.errors import InputError
from semeion.plan.joint import FOLD, UNKNOWN, VALIDATES, draw_sides, joint_sides, spread


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[list[np.ndarray], np.ndarray, int]:
    sizes = draw(st.lists(st.integers(1, 4), min_size=12, max_size=20))
    groups, folds = np.repeat(np.arange(len(sizes)), sizes), draw(st.integers(2, 5))
    targets = draw(st.integers(2, 4))
    strata = [
        np.array(draw(st.lists(st.integers(UNKNOWN, 3), min_size=len(groups), max_size=len(groups))))
        for _ in range(targets)
    ]
    return strata, groups, folds


@given(cohorts(), st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_a_patient_is_never_on_two_sides(found: tuple[list[np.ndarray], np.ndarray, int], seed: int) -> None:
    strata, groups, folds = found
    pool = np.arange(len(groups))
    drawn = draw_sides(strata, groups, pool, folds=folds, inner_share=0.25, seed=seed)
    assert set(drawn[FOLD]) == set(range(folds)), "no fold is empty"
    for number in range(folds):
        validates = np.array([str(number) in text.split(";") for text in drawn[VALIDATES]])
        held = (drawn[FOLD] == number).to_numpy()
        assert not (held & validates).any()
        side = np.where(held, 2, np.where(validates, 1, 0))
        for group in np.unique(groups):
            assert len(set(side[groups == group])) == 1
    again = draw_sides(strata, groups, pool, folds=folds, inner_share=0.25, seed=seed)
    assert again.equals(drawn)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_every_class_of_every_target_is_spread_over_the_folds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 120
    first, second = (rng.random(n) < 0.15).astype(int), rng.integers(0, 3, n)
    second[rng.random(n) < 0.2] = UNKNOWN
    fold = spread([first, second], np.arange(n), 5, seed)
    for stratum in (first, second):
        for number in np.unique(stratum[stratum >= 0]):
            counts = np.bincount(fold[stratum == number], minlength=5)
            assert counts.max() - counts.min() <= 3, "of single cases, as even as two targets allow"
    assert np.ptp(np.bincount(fold, minlength=5)) <= 12


def test_test_cases_are_in_no_fold() -> None:
    strata = [np.array([0, 1] * 20), np.array([0, 1, 2, UNKNOWN] * 10)]
    pool = np.arange(0, 40, 2)
    drawn = draw_sides(strata, np.arange(40), pool, folds=4, inner_share=0.25, seed=0)
    assert (drawn[FOLD].to_numpy()[1::2] == -1).all() and (drawn[VALIDATES].to_numpy()[1::2] == "").all()
    assert (drawn[FOLD].to_numpy()[::2] >= 0).all()


def test_sides_of_one_target_are_those_drawn_for_all() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 2, 60), rng.integers(0, 3, 60)
    drawn = draw_sides([first, second], np.arange(60) // 2, np.arange(60), folds=3, inner_share=0.25, seed=1)
    kept = np.arange(60)[10:]
    all_of = joint_sides(drawn, first.astype(float), "binary", ("no", "yes"))
    own = drawn.iloc[kept].reset_index(drop=True)
    some_of = joint_sides(own, second[kept].astype(float), "ordinal", ("a", "b", "c"))
    for whole, part in zip(all_of, some_of, strict=True):
        for what in ("learn", "validate", "held_out"):
            assert set(kept[getattr(part, what)]) == set(getattr(whole, what)) & set(kept)


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(InputError, match="2 patients or groups cannot be divided into 3 folds"):
        spread([np.array([0, 1, 0, 1])], np.array([0, 0, 1, 1]), 3, 0)
    rare = np.array([1] + [0] * 19)
    drawn = draw_sides([rare], np.arange(20), np.arange(20), folds=4, inner_share=0.25, seed=0)
    with pytest.raises(InputError, match=r"fold \d would learn without class 'yes'"):
        joint_sides(drawn, rare.astype(float), "binary", ("no", "yes"))
    with pytest.raises(InputError, match=r"fold \d would have no case to hold out for this target"):
        joint_sides(drawn[drawn[FOLD] != 0].reset_index(drop=True), np.zeros(15), "regression", ())
