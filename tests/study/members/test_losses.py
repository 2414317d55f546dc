from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from semeion.study.members.losses import case_losses, paired_gain


def test_the_mean_is_scikit_learns_log_loss():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 50)
    y = rng.integers(0, 3, 50)
    assert case_losses(p, y.astype(float), "multiclass").mean() == pytest.approx(log_loss(y, p, labels=[0, 1, 2]))


def test_unknown_labels_are_left_out_of_a_cases_mean():
    p = np.array([[0.8, 0.3], [0.5, 0.5]])
    y = np.array([[1.0, math.nan], [math.nan, math.nan]])
    losses = case_losses(p, y, "multilabel")
    assert losses[0] == pytest.approx(-math.log(0.8))
    assert math.isnan(losses[1])


def test_a_value_costs_its_distance():
    assert case_losses(np.array([[3.0], [5.0]]), np.array([1.0, 6.0]), "regression").tolist() == [2.0, 1.0]


@given(st.integers(2, 40), st.integers(0, 2**31))
def test_with_a_case_a_patient_the_error_is_that_of_a_mean(cases, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=cases), rng.normal(size=cases)
    mean, error = paired_gain(a, b, np.arange(cases))
    assert mean == pytest.approx((a - b).mean())
    assert error == pytest.approx((a - b).std(ddof=1) / math.sqrt(cases))


def test_repeated_cases_of_a_patient_say_nothing_new():
    rng = np.random.default_rng(1)
    a, b, groups = rng.normal(size=30), rng.normal(size=30), np.arange(30)
    once = paired_gain(a, b, groups)
    thrice = paired_gain(np.repeat(a, 3), np.repeat(b, 3), np.repeat(groups, 3))
    assert thrice == pytest.approx(once)


def test_one_patient_proves_nothing():
    assert paired_gain(np.ones(4), np.zeros(4), np.zeros(4, dtype=int)) == (1.0, math.inf)
    assert paired_gain(np.full(2, math.nan), np.zeros(2), np.arange(2)) == (0.0, math.inf)
