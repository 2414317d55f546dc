from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from semeion.audit.probe import _PENALTIES, _ridge, difference, probe
from semeion.errors import InputError


def drawn(n=120, d=6, classes=2, shift=1.0, seed=0):
    """Return features of which the first tells the class, classes and one group a case."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % classes)
    x = rng.normal(size=(n, d))
    x[:, 0] += shift * y
    return x, y, np.arange(n)


@pytest.mark.parametrize(("n", "d"), [(60, 5), (30, 80)])
def test_the_fit_is_a_ridge_whose_penalty_has_the_least_generalised_cross_validation(n, d):
    x, y, _ = drawn(n, d)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    target = np.eye(2)[y] - np.eye(2)[y].mean(axis=0)
    singular = np.linalg.svd(x, compute_uv=False) ** 2
    singular = singular[singular > 1e-10 * singular.max()]
    best, wanted = math.inf, None
    for penalty in singular.mean() * _PENALTIES:
        hat = x @ np.linalg.solve(x.T @ x + penalty * np.eye(d), x.T)
        free = 1 + np.trace(hat)
        score = ((target - hat @ target) ** 2).sum() / (n - free) ** 2
        if free <= 0.9 * n and score < best:
            best, wanted = score, Ridge(alpha=penalty, fit_intercept=False).fit(x, target).coef_.T
    np.testing.assert_allclose(_ridge(x, target), wanted, atol=1e-8)


def test_auroc_is_that_of_the_out_of_fold_scores_and_lies_in_its_interval():
    x, y, groups = drawn()
    found = probe(x, y, groups)
    assert found.usable
    assert found.auroc == pytest.approx(roc_auc_score(y, found.scores[:, 1]), abs=1e-12)
    assert 0.6 < found.low < found.auroc < found.high < 0.9
    assert (found.n, found.n_groups, found.scores.shape, found.reason) == (120, 120, (120, 2), "")


def test_several_classes_are_each_weighed_against_the_rest():
    x, y, groups = drawn(150, classes=3, shift=2.0)
    found = probe(x, y, groups)
    wanted = np.mean([roc_auc_score(y == k, found.scores[:, k]) for k in range(3)])
    assert found.auroc == pytest.approx(wanted, abs=1e-12)


def test_a_code_without_cases_has_no_scores():
    x, y, groups = drawn()
    found = probe(x, y * 2, groups)
    assert found.scores.shape == (120, 3)
    assert np.isnan(found.scores[:, 1]).all()
    assert found.auroc == pytest.approx(probe(x, y, groups).auroc)


def test_noise_tells_nothing():
    values = [
        probe(np.random.default_rng([1, k]).normal(size=(80, 30)), np.arange(80) % 2, np.arange(80)).auroc
        for k in range(30)
    ]
    assert abs(np.mean(values) - 0.5) < 0.05


def test_what_marks_the_patient_is_not_learned():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(40), 5)
    y = np.repeat(rng.permutation(np.arange(40) % 2), 5)
    x = rng.normal(size=(40, 60))[patient] + 0.01 * rng.normal(size=(200, 60))
    together, apart = probe(x, y, patient), probe(x, y, np.arange(200))
    assert apart.auroc > 0.9
    assert together.auroc < apart.auroc - 0.2
    assert together.low < 0.6
    assert together.n_groups == 40
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_missing_features_count_as_their_mean_and_constant_ones_as_nothing():
    x, y, groups = drawn()
    x = np.column_stack([x, np.full(120, 7.0), np.full(120, np.nan)])
    assert probe(x, y, groups).auroc == pytest.approx(probe(x[:, :6], y, groups).auroc)
    hidden = x.copy()
    hidden[y == 1] = np.nan
    assert probe(hidden, y, groups).auroc == 0.5
    flat = probe(np.ones((120, 3)), y, groups)
    assert flat.auroc == 0.5
    assert "every resample gives the same value" in flat.reason


@pytest.mark.parametrize(
    ("y", "groups", "reason"),
    [
        ([0] * 30, range(30), "there are not two classes to tell apart"),
        ([], [], "there are not two classes to tell apart"),
        ([0] * 30 + [1] * 9, range(39), "a class has 9 cases, and 10 are needed"),
        ([0] * 30 + [1] * 12, [*range(30), *(30 + k // 3 for k in range(12))], "of 4 patients or groups, and 5 are"),
    ],
)
def test_too_few_cases_are_not_usable(y, groups, reason):
    y = np.array(y, dtype=np.int64)
    found = probe(np.ones((len(y), 2)), y, np.array(list(groups)))
    assert not found.usable
    assert reason in found.reason
    assert math.isnan(found.auroc)
    assert found.scores.shape[0] == len(y)
    assert all(math.isnan(value) for value in difference(found, found, y, np.array(list(groups))))


@pytest.mark.parametrize(
    ("x", "y", "folds", "message"),
    [
        (np.ones((3, 2)), [0, 1], 5, "do not go together; give one row of features"),
        (np.ones(2), [0, 1], 5, "do not go together"),
        (np.ones((2, 2)), [0, -1], 5, "probe: a class code is negative; leave cases of unknown class out"),
        (np.ones((2, 2)), [0, 1], 1, "folds: 1 folds leave nothing to learn from; ask for 2 folds or more"),
    ],
)
def test_bad_input_is_refused(x, y, folds, message):
    with pytest.raises(InputError, match=message):
        probe(x, np.array(y), np.arange(2), folds=folds)


def test_the_difference_is_paired():
    x, y, groups = drawn(300)
    noisy = x + 0.05 * np.random.default_rng(1).normal(size=x.shape)
    a, b, nothing = probe(x, y, groups), probe(noisy, y, groups), probe(x[:, 1:], y, groups)
    value, low, high = difference(a, b, y, groups)
    assert value == pytest.approx(a.auroc - b.auroc)
    assert low <= value <= high
    assert high - low < 0.5 * (a.high - a.low)
    assert difference(a, nothing, y, groups)[1] > 0
    assert difference(a, a, y, groups) == (0, 0, 0)
    with pytest.raises(InputError, match="compare two probes of the same cases"):
        difference(a, probe(x[:200], y[:200], groups[:200]), y, groups)


def test_the_same_cases_give_the_same_figures():
    x, y, groups = drawn()
    first, again = probe(x, y, groups), probe(x, y, groups.astype(str))
    assert (first.auroc, first.low, first.high) == (again.auroc, again.low, again.high)
    assert probe(x, y, groups, seed=1).auroc != first.auroc
