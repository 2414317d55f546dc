from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from learn.outlines import plan_of
from semeion.learn.segment_objective import label_dice, loss, mean_dice, soft_dice


def logits_of(classes, labels, sure=20.0):
    return torch.nn.functional.one_hot(classes, labels).movedim(-1, 1).float() * sure


def some_classes(shape=(2, 4, 8, 8), labels=3, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, labels, shape))


def test_a_sure_and_right_answer_costs_nothing_and_a_wrong_one_much():
    wanted = some_classes()
    plan = plan_of().training
    assert float(loss([logits_of(wanted, 3)], wanted, plan)) == pytest.approx(0, abs=1e-4)
    assert float(loss([logits_of((wanted + 1) % 3, 3)], wanted, plan)) > 10


def test_soft_dice_of_hard_answers_is_dice():
    wanted, found = some_classes(), some_classes(seed=1)
    hard = torch.nn.functional.one_hot(found, 3).movedim(-1, 1).float()
    expected = label_dice(found.numpy(), wanted.numpy(), 2).mean()
    assert float(soft_dice(hard, wanted, over_batch=True)) == pytest.approx(expected, abs=2e-3)
    each = np.mean([label_dice(f.numpy(), w.numpy(), 2).mean() for f, w in zip(found, wanted, strict=True)])
    assert float(soft_dice(hard, wanted, over_batch=False)) == pytest.approx(each, abs=5e-3)


def test_a_label_that_nobody_has_costs_nothing():
    wanted = torch.zeros((1, 4, 4), dtype=torch.int64)
    right = logits_of(wanted, 2).softmax(1)
    assert float(soft_dice(right, wanted, over_batch=True)) == pytest.approx(1)


def test_coarser_levels_weigh_half_each_and_are_learned_at_their_own_voxels():
    wanted = some_classes((1, 8, 8))
    plan = plan_of(dice=0.0).training
    fine, coarse = logits_of(wanted, 3), logits_of(wanted[:, 1::2, 1::2], 3)
    assert float(loss([fine, coarse], wanted, plan)) == pytest.approx(0, abs=1e-4)
    bad = torch.zeros_like(coarse)
    assert float(loss([fine, bad], wanted, plan)) == pytest.approx(np.log(3) / 3, abs=1e-4)
    assert float(loss([torch.zeros_like(fine), coarse], wanted, plan)) == pytest.approx(2 * np.log(3) / 3, abs=1e-4)


def test_the_loss_has_a_gradient_towards_the_answer():
    wanted = some_classes()
    guess = torch.zeros((2, 3, 4, 8, 8), requires_grad=True)
    loss([guess], wanted, plan_of().training).backward()
    right = torch.nn.functional.one_hot(wanted, 3).movedim(-1, 1).bool()
    assert (guess.grad[right] < 0).all()


labels = arrays.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))


@given(labels, labels)
def test_dice_is_symmetric_within_bounds_and_one_only_when_equal(one, other):
    dice = label_dice(one, other, 3)
    assert np.array_equal(dice, label_dice(other, one, 3), equal_nan=True)
    for value, figure in enumerate(dice, start=1):
        a, b = one == value, other == value
        if not (a | b).any():
            assert np.isnan(figure)
        else:
            assert 0 <= figure <= 1
            assert figure == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
            assert (figure == 1) == bool((a == b).all())


def test_mean_dice_leaves_out_what_both_lack_and_counts_cases_alike():
    figures = np.array([[0.5, 1.0], [np.nan, 0.25], [np.nan, np.nan]])
    assert mean_dice(figures) == pytest.approx((0.75 + 0.25) / 2)
    assert np.isnan(mean_dice(np.full((2, 2), np.nan)))
