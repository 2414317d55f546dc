from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import log_loss, mean_absolute_error

from semeion.learn.network import Scales
from semeion.learn.objective import lesson_of, loss, taught_loss, to_values, validation_loss
from semeion.plan.teaching import Teaching

SCALES = Scales((0.0,), (1.0,))
RNG = np.random.default_rng(0)


def test_classes_have_weighted_smoothed_cross_entropy():
    logits, y = torch.randn(6, 3), torch.tensor([0.0, 1, 2, 2, 1, 0])
    weights = torch.tensor([0.5, 1.0, 2.0])
    for task in ("binary", "multiclass", "ordinal"):
        found = loss(logits, y, task, SCALES, weights, 0.1)
        smooth = F.one_hot(y.long(), 3) * 0.9 + 0.1 / 3
        each = -(smooth * weights * torch.log_softmax(logits, 1)).sum(1)
        assert float(found) == pytest.approx(float(each.sum() / weights[y.long()].sum()), rel=1e-5)
    plain = loss(logits, y, "multiclass", SCALES, None, 0.0)
    assert float(plain) == pytest.approx(log_loss(y.numpy(), torch.softmax(logits.double(), 1).numpy()), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal", "multilabel", "regression"])
def test_cases_that_count_alike_have_the_plain_loss(task: str, smoothing: float):
    """With weights of 1 and one class a case nothing changes; doubling one weight is repeating the case."""
    scales = Scales((0.0,), (1.0,), 500.0, 40.0) if task == "regression" else SCALES
    y = {"multilabel": RNG.integers(0, 2, (8, 3)).astype(float), "regression": RNG.normal(500, 60, 8)}.get(
        task, RNG.integers(0, 3, 8).astype(float)
    )
    if task == "multilabel":
        y[2, 1] = np.nan
    logits, classes = torch.randn(8, 1 if task == "regression" else 3), 0 if task in ("multilabel", "regression") else 3
    weights = None if task == "regression" else torch.tensor([0.5, 1.0, 2.0])
    rows = np.arange(8)

    def taught(weight: np.ndarray, only: np.ndarray = rows) -> float:
        lesson = torch.from_numpy(lesson_of(Teaching(weight), y, rows, classes)).float()[only]
        return float(taught_loss(logits[only], lesson, task, scales, weights, smoothing))

    plain = loss(logits, torch.from_numpy(y).float(), task, scales, weights, smoothing)
    assert taught(np.full(8, 7.0)) == pytest.approx(float(plain), rel=1e-5)
    heavy = np.ones(8)
    heavy[3] = 2
    again = np.append(rows, 3)
    repeated = loss(logits[again], torch.from_numpy(y[again]).float(), task, scales, weights, smoothing)
    if task == "regression":
        share = 9 / 8
    elif task == "multilabel":
        share = np.isfinite(y[again]).sum() / np.isfinite(y).sum()
    else:
        share = float(weights[y[again].astype(int)].sum() / weights[y.astype(int)].sum())
    assert taught(heavy) * 9 / 8 == pytest.approx(float(repeated) * share, rel=1e-5)


def test_shares_of_votes_are_the_mean_of_the_losses_of_the_votes():
    logits, y = torch.randn(1, 3), np.array([0.0])
    lesson = lesson_of(Teaching(np.ones(1), np.array([[0.25, 0.75, 0.0]])), y, np.arange(1), 3)
    found = taught_loss(logits, torch.from_numpy(lesson).float(), "ordinal", SCALES, None, 0.0)
    each = -torch.log_softmax(logits[0], 0)
    assert float(found) == pytest.approx(float(0.25 * each[0] + 0.75 * each[1]), rel=1e-5)


def test_a_measured_value_has_a_robust_loss_in_units_of_its_deviation():
    scales = Scales((0.0,), (1.0,), 500.0, 40.0)
    y = torch.tensor([500.0, 540.0, 900.0])
    found = loss(torch.zeros(3, 1), y, "regression", scales, None, 0.3)
    assert float(found) == pytest.approx((0 + 0.5 + 9.5) / 3)


def test_labels_that_are_unknown_do_not_count():
    logits = torch.randn(4, 2)
    y = torch.tensor([[1.0, 0.0], [np.nan, 1.0], [0.0, np.nan], [np.nan, np.nan]])
    found = loss(logits, y, "multilabel", SCALES, None, 0.0)
    known = ~torch.isnan(y)
    wanted = F.binary_cross_entropy_with_logits(logits[known], y[known])
    assert float(found) == pytest.approx(float(wanted), rel=1e-6)


def test_unknown_labels_have_no_gradient():
    logits = torch.randn(3, 2, requires_grad=True)
    y = torch.tensor([[1.0, np.nan], [np.nan, 0.0], [np.nan, np.nan]])
    loss(logits, y, "multilabel", SCALES, torch.tensor([2.0, 3.0]), 0.1).backward()
    assert torch.equal(logits.grad == 0, torch.isnan(y))


def test_a_batch_without_any_known_label_is_zero():
    y = torch.full((2, 2), np.nan)
    assert float(loss(torch.randn(2, 2), y, "multilabel", SCALES, None, 0.05)) == 0


def test_presence_is_weighted_and_smoothed():
    logits, y = torch.tensor([[0.3], [-1.0]]), torch.tensor([[1.0], [0.0]])
    found = loss(logits, y, "multilabel", SCALES, torch.tensor([3.0]), 0.2)
    p = torch.sigmoid(logits)
    wanted = y * 0.8 + 0.1
    each = -(3 * wanted * torch.log(p) + (1 - wanted) * torch.log(1 - p))
    assert float(found) == pytest.approx(float(each.mean()), rel=1e-5)


def test_validation_is_log_loss_as_scikit_learn_has_it():
    p = RNG.dirichlet([1, 1, 1], 40)
    y = RNG.integers(0, 3, 40).astype(float)
    for task in ("multiclass", "ordinal", "binary"):
        assert validation_loss(p, y, task) == pytest.approx(log_loss(y, p, labels=[0, 1, 2]), rel=1e-6)


def test_validation_of_several_labels_leaves_unknown_ones_out():
    p, y = RNG.random((30, 2)), RNG.integers(0, 2, (30, 2)).astype(float)
    y[RNG.random((30, 2)) < 0.3] = np.nan
    known = ~np.isnan(y)
    assert validation_loss(p, y, "multilabel") == pytest.approx(log_loss(y[known], p[known]), rel=1e-6)
    assert np.isnan(validation_loss(p, np.full((30, 2), np.nan), "multilabel"))


def test_validation_of_a_measured_value_is_its_mean_absolute_error():
    values, y = RNG.normal(size=(20, 1)), RNG.normal(size=20)
    assert validation_loss(values, y, "regression") == pytest.approx(mean_absolute_error(y, values[:, 0]))


def test_a_certain_mistake_is_finite():
    assert 15 < validation_loss(np.array([[1.0, 0.0]]), np.array([1.0]), "binary") < 17
    assert 15 < validation_loss(np.array([[0.0]]), np.array([[1.0]]), "multilabel") < 17


def test_values_of_each_task():
    logits = torch.tensor([[1.0, -2.0]])
    assert to_values(logits, "binary").sum() == pytest.approx(1)
    assert to_values(logits, "multilabel")[0] == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(2))])
    assert to_values(logits, "regression").tolist() == [[1.0, -2.0]]
    assert to_values(logits, "ordinal").dtype == np.float64
