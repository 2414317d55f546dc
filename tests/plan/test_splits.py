from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.errors import InputError
from semeion.plan import splits
from semeion.plan.splits import Sides, grouped_folds, inner_split, sides, strata

TASKS = ["binary", "multiclass", "ordinal", "multilabel", "regression"]


def drawn(draw_task, n, seed):
    """Return a reference standard of `n` cases."""
    rng = np.random.default_rng(seed)
    if draw_task == "binary":
        return (rng.random(n) < 0.3).astype(float)
    if draw_task == "multilabel":
        y = (rng.random((n, 3)) < 0.25).astype(float)
        y[rng.random((n, 3)) < 0.1] = np.nan
        return y
    return rng.random(n) if draw_task == "regression" else rng.integers(0, 4, n).astype(float)


@st.composite
def cohorts(draw):
    """Draw the arguments of `sides` for a cohort with enough groups, some of them large, and perhaps test rows."""
    folds = draw(st.integers(2, 5))
    groups = draw(st.lists(st.integers(0, 30), min_size=folds + 3, max_size=40))
    groups = np.array([*range(31, 31 + folds + 2), *groups], dtype=np.int64)
    seed = draw(st.integers(0, 2**31 - 10))
    task = draw(st.sampled_from(TASKS))
    split = None
    if draw(st.booleans()):
        # A group is on one side of a given split; the first groups, which make the number sufficient, are kept.
        test = set(draw(st.lists(st.integers(0, 30), max_size=6)))
        split = np.array(["test" if group in test else "train" for group in groups], dtype=object)
    inner_share = draw(st.sampled_from([0.1, 0.15, 0.3]))
    y = drawn(task, len(groups), seed)
    return split, y, task, groups, {"scheme": "folds", "folds": folds, "inner_share": inner_share, "seed": seed}


def fewest_groups_of_a_class(split, y, groups):
    pool = np.arange(len(y)) if split is None else np.flatnonzero(split != "test")
    return min(len(np.unique(groups[pool][y[pool] == label])) for label in np.unique(y[pool]))


@given(cohorts())
@settings(max_examples=30, deadline=None)
def test_honest_folds(cohort):
    split, y, task, groups, settings_ = cohort
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = sides(split, y, task, groups, **settings_)
        except InputError as error:
            if "folds need at least 3" in error.what:
                assert fewest_groups_of_a_class(split, y, groups) < 3
                return
            # Where one group has most of the cases, a fold may be left with that single group to learn from.
            assert 3 * np.unique(groups[groups < 31], return_counts=True)[1].max() >= len(groups)
            return
    everyone = np.arange(len(groups))
    pool = everyone if split is None else everyone[split != "test"]
    assert [side.fold for side in found] == list(range(settings_["folds"]))
    # Every case is held out once, and test cases are in no fold at all.
    assert sorted(np.concatenate([side.held_out for side in found])) == pool.tolist()
    for side in found:
        parts = [side.learn, side.validate, side.held_out]
        assert all(len(part) for part in parts)
        assert sorted(np.concatenate(parts)) == pool.tolist()
        # No group on two sides of anything.
        kinds = [set(groups[part]) for part in parts]
        assert not kinds[0] & kinds[1]
        assert not kinds[0] & kinds[2]
        assert not kinds[1] & kinds[2]
    again = sides(split, y, task, groups, **settings_)
    for one, other in zip(found, again, strict=True):
        assert all(
            np.array_equal(getattr(one, part), getattr(other, part)) for part in ("learn", "validate", "held_out")
        )


@given(cohorts())
@settings(max_examples=20, deadline=None)
def test_test_labels_decide_nothing(cohort):
    split, y, task, groups, settings_ = cohort
    if split is None or task in ("multilabel", "regression"):
        return
    other = y.copy()
    other[split == "test"] = 1 - np.minimum(other[split == "test"], 1)
    try:
        first = sides(split, y, task, groups, **settings_)
    except InputError:
        with pytest.raises(InputError):
            sides(split, other, task, groups, **settings_)
        return
    for one, two in zip(first, sides(split, other, task, groups, **settings_), strict=True):
        assert np.array_equal(one.held_out, two.held_out)
        assert np.array_equal(one.validate, two.validate)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_test_values_decide_nothing_where_strata_are_made(task):
    rng = np.random.default_rng(0)
    y = drawn(task, 90, 3)
    split = np.array(["train"] * 60 + ["test"] * 30, dtype=object)
    other = y.copy()
    other[60:] = rng.permutation(1 - np.nan_to_num(y[60:]) * 5)
    arguments = {"scheme": "folds", "folds": 3, "inner_share": 0.15, "seed": 0}
    one = sides(split, y, task, np.arange(90), **arguments)
    two = sides(split, other, task, np.arange(90), **arguments)
    assert all(np.array_equal(a.held_out, b.held_out) for a, b in zip(one, two, strict=True))


def test_the_seed_decides():
    y, groups = drawn("binary", 80, 0), np.arange(80)
    arguments = {"scheme": "folds", "folds": 4, "inner_share": 0.15}
    one = sides(None, y, "binary", groups, seed=1, **arguments)
    other = sides(None, y, "binary", groups, seed=2, **arguments)
    assert any(not np.array_equal(a.held_out, b.held_out) for a, b in zip(one, other, strict=True))


@given(st.integers(60, 200), st.integers(2, 5), st.integers(0, 1000), st.sampled_from(["binary", "multiclass"]))
@settings(max_examples=30, deadline=None)
def test_classes_are_spread_evenly(n, folds, seed, task):
    y = drawn(task, n, seed)
    fold = grouped_folds(strata(y, task), np.arange(n), folds, seed)
    for label in np.unique(y):
        held = np.bincount(fold[y == label], minlength=folds)
        assert held.max() - held.min() <= 1


def test_classes_are_spread_nearly_evenly_over_patients_of_several_cases():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), rng.integers(1, 6, 60))
    y = (rng.random(60) < 0.3).astype(float)[groups]
    fold = grouped_folds(strata(y, "binary"), groups, 5, 0)
    shares = [y[fold == number].mean() for number in range(5)]
    assert max(shares) - min(shares) < 0.15
    assert max(np.bincount(fold)) < 1.6 * min(np.bincount(fold))


def test_the_inner_split_has_its_share_and_both_classes():
    y, groups = drawn("binary", 200, 0), np.arange(200)
    rows = np.arange(20, 180)
    learn, validate = inner_split(rows, strata(y, "binary"), groups, 0.15, 0)
    assert len(validate) / len(rows) == pytest.approx(1 / 7, abs=0.02)
    assert y[validate].mean() == pytest.approx(y[rows].mean(), abs=0.06)
    assert sorted([*learn, *validate]) == rows.tolist()


@pytest.mark.parametrize("counts", [(3, 3), (4, 8), (3, 40), (6, 6)])
def test_the_smallest_cohorts_that_are_planned_can_be_divided(counts):
    y = np.repeat([0.0, 1.0], counts)
    arguments = {"scheme": "folds", "folds": 3, "inner_share": 0.15, "seed": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sides(None, y, "binary", np.arange(len(y)), **arguments)
    for side in found:
        assert set(y[side.learn]) == {0.0, 1.0}
        assert set(y[side.held_out]) == {0.0, 1.0}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("positives", "folds"), [(8, 3), (8, 5), (4, 3), (3, 3)])
def test_one_in_two_hundred_is_on_every_side(positives, folds, seed):
    y = np.zeros(1600 + positives)
    y[np.random.default_rng(seed).permutation(len(y))[:positives]] = 1
    found = sides(None, y, "binary", np.arange(len(y)), scheme="folds", folds=folds, inner_share=0.15, seed=seed)
    for side in found:
        assert y[side.learn].sum() >= 1 and y[side.validate].sum() >= 1 and y[side.held_out].sum() >= 1
        assert len(side.validate) == pytest.approx(len(y) * (1 - 1 / folds) / 7, rel=0.1)


def test_a_class_that_cannot_be_on_every_side_is_refused(monkeypatch):
    # Whatever deals out the folds: one that leaves nothing of a class to learn from is no fold.
    y, groups = np.repeat([0.0, 1.0], [30, 12]), np.array([*range(30), *[90] * 10, 91, 92])
    monkeypatch.setattr(
        splits, "grouped_folds", lambda stratum, *_: np.where(stratum == 1, 0, np.arange(len(stratum)) % 3)
    )
    with pytest.raises(InputError) as caught:
        sides(None, y, "binary", groups, scheme="folds", folds=3, inner_share=0.15, seed=0, classes=["no", "yes"])
    assert "fold 0 would learn without class 'yes': its patients cannot be spread" in str(caught.value)
    assert "bring more patients of it, leave it out, or give a split column" in str(caught.value)


def test_where_a_class_cannot_be_on_both_sides_it_is_learned_from():
    # One patient has all cases of the class that are left.
    rows, y = np.arange(60), np.repeat([0.0, 1.0], [52, 8])
    for seed in range(10):
        learn, validate = inner_split(rows, y.astype(np.int64), np.array([*range(52), *[99] * 8]), 0.15, seed)
        assert y[learn].sum() == 8 and not y[validate].any()


def test_a_class_of_two_patients_is_refused_by_name():
    y, groups = np.repeat([0.0, 1.0], [40, 10]), np.concatenate([np.arange(40), np.repeat([98, 99], 5)])
    with pytest.raises(InputError) as caught:
        sides(None, y, "binary", groups, scheme="folds", folds=3, inner_share=0.15, seed=0, classes=["no", "yes"])
    assert "class 'yes' has cases of 2 patients or groups; folds need at least 3" in str(caught.value)


def test_a_small_regression_can_be_divided():
    found = sides(
        None, np.linspace(0, 1, 12), "regression", np.arange(12), scheme="folds", folds=3, inner_share=0.15, seed=0
    )
    assert [len(side.held_out) for side in found] == [4, 4, 4]


def test_too_few_groups_are_refused():
    with pytest.raises(InputError) as caught:
        grouped_folds(np.zeros(12, np.int64), np.repeat([0, 1, 2], 4), 5, 0)
    assert str(caught.value) == (
        "the cohort: 3 patients or groups cannot be divided into 5 folds; bring more patients, or give a split column"
    )


def test_a_class_of_one_patient_is_refused():
    # All malignant cases are one patient's: some fold would learn without the class that it is asked for.
    y, groups = np.repeat([0.0, 1.0], [40, 10]), np.concatenate([np.arange(40), np.full(10, 99)])
    with pytest.raises(InputError, match="patient"):
        sides(None, y, "binary", groups, scheme="folds", folds=5, inner_share=0.15, seed=0)


def test_a_given_split_is_taken_as_it_is():
    split = np.array(["train", "val", "test", "train"], dtype=object)
    found = sides(split, np.zeros(4), "binary", np.arange(4), scheme="given", folds=0, inner_share=0.15, seed=0)
    assert len(found) == 1
    assert isinstance(found[0], Sides)
    assert found[0].fold == -1
    assert found[0].learn.tolist() == [0, 3]
    assert found[0].validate.tolist() == [1]
    assert found[0].held_out.tolist() == []


@pytest.mark.parametrize("split", [None, np.array(["train", "test"], dtype=object)])
def test_a_plan_for_a_given_split_needs_validation_cases(split):
    with pytest.raises(InputError, match="the plan uses a given split, but the table has no val cases; plan again"):
        sides(split, np.zeros(2), "binary", np.arange(2), scheme="given", folds=0, inner_share=0.15, seed=0)


# Strata


def test_a_class_is_its_own_stratum():
    assert strata(np.array([0.0, 2.0, 1.0]), "multiclass").tolist() == [0, 2, 1]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_measured_values_are_divided_into_fifths_of_equal_size(values):
    y = np.array(values)
    stratum = strata(y, "regression")
    sizes = np.bincount(stratum)
    assert len(sizes) == min(5, len(y))
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(stratum[np.argsort(y, kind="stable")]) >= 0).all()


def test_of_several_labels_the_rarest_that_is_present_counts():
    y = np.array([[1, 0, 0], [1, 1, 0], [1, 0, np.nan], [0, 0, 0], [1, 1, 1], [np.nan, np.nan, np.nan]])
    assert strata(y, "multilabel").tolist() == [1, 2, 1, 0, 3, 0]


def test_rare_labels_are_spread():
    rng = np.random.default_rng(1)
    y = np.stack([rng.random(100) < 0.6, rng.random(100) < 0.1], 1).astype(float)
    fold = grouped_folds(strata(y, "multilabel"), np.arange(100), 5, 0)
    held = [int(y[fold == number, 1].sum()) for number in range(5)]
    assert max(held) - min(held) <= 1


# Set aside


@given(
    st.integers(0, 2**31 - 10),
    st.sampled_from(TASKS),
    st.lists(st.integers(0, 50), min_size=60, max_size=120),
)
@settings(max_examples=25, deadline=None)
def test_cases_set_aside_are_val_cases_that_do_not_validate_and_of_other_patients(seed, task, groups):
    groups = np.array([*range(51, 81), *groups], dtype=np.int64)
    split = np.array([("train", "val", "val", "test")[group % 4] for group in groups], dtype=object)
    y = drawn(task, len(groups), seed)
    how = {"scheme": "given", "folds": 0, "inner_share": 0.15, "seed": seed}
    (plain,) = sides(split, y, task, groups, **how)
    (found,) = sides(split, y, task, groups, **how, aside=0.333)
    assert len(plain.calibrate) == 0
    np.testing.assert_array_equal(np.sort(np.concatenate([found.validate, found.calibrate])), plain.validate)
    assert not set(groups[found.validate]) & set(groups[found.calibrate])
    np.testing.assert_array_equal(found.learn, plain.learn)
    share = len(np.unique(groups[found.calibrate])) / len(np.unique(groups[plain.validate]))
    assert 0.15 < share < 0.55
    flipped = np.where(split[:, None] == "test", 1, y.reshape(len(y), -1)).reshape(y.shape)
    (other,) = sides(split, flipped, task, groups, **how, aside=0.333)
    np.testing.assert_array_equal(other.calibrate, found.calibrate)


def test_each_class_is_set_aside_by_the_same_share():
    y = np.array([1.0] * 60 + [0.0] * 240)
    how = {"scheme": "given", "folds": 0, "inner_share": 0.15, "seed": 4, "aside": 0.333}
    (found,) = sides(np.array(["val"] * 300, dtype=object), y, "binary", np.arange(300), **how)
    assert (len(found.calibrate), int(y[found.calibrate].sum())) == (100, 20)


def test_val_patients_that_were_learned_from_never_calibrate():
    # Such a split is void, and can be accepted.
    split = np.array(["train"] * 60 + ["val"] * 150, dtype=object)
    groups = np.array([*range(60), *range(30), *range(60, 180)], dtype=np.int64)
    y = (groups % 2).astype(float)
    how = {"scheme": "given", "folds": 0, "inner_share": 0.15, "seed": 0, "aside": 0.333}
    (found,) = sides(split, y, "binary", groups, **how)
    assert len(found.calibrate) == 40
    assert not set(groups[found.calibrate]) & set(groups[found.learn])
    assert not set(groups[found.calibrate]) & set(groups[found.validate])
    assert sorted([*found.validate, *found.calibrate]) == list(range(60, 210))
    (none,) = sides(split[:90], y[:90], "binary", groups[:90], **how)
    assert (len(none.validate), len(none.calibrate)) == (30, 0)
