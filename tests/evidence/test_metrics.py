from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence import naive
from semeion.evidence.calibration.slope import logistic, multinomial
from semeion.evidence.intervals.weights import weighted_sums
from semeion.evidence.metrics import binary_figures, figure_names, regression_figures, several_figures
from semeion.evidence.question import Question
from semeion.evidence.ranking import areas

BINARY = Question("t", "binary", ("0", "1"), "1")
ORDINAL = Question("t", "ordinal", ("0", "1", "2", "3"))


def weights(rng: np.random.Generator, n: int) -> np.ndarray:
    """Bootstrap-like multiplicities, and real-valued weights with zeros."""
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=2).astype(float)
    real = rng.random((1, n)) * (rng.random((1, n)) > 0.3)
    return np.vstack([np.ones((1, n)), drawn, real])


def compare(figures: dict[str, np.ndarray], row: int, expected: dict[str, float]) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(figures[name][row], value, rtol=1e-10, atol=1e-10, err_msg=name)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sampled_from([3, 10, 1000000]))
def test_binary_figures_are_those_of_scikit_learn(seed: int, n: int, grid: int) -> None:
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, 2, n), rng.integers(0, grid + 1, n) / grid
    call = (p >= 0.6).astype(np.int64)
    figures = binary_figures(y, p, call, BINARY)
    w = weights(rng, n)
    values = dict(zip(figures.names, figures.compute(w).T, strict=True))
    for row, each in enumerate(w):
        if each.sum() > 0:
            compare(values, row, naive.binary(y, p, call, each))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(8, 40), st.sampled_from([4, 1000]))
def test_multiclass_figures_are_those_of_scikit_learn(seed: int, n: int, grid: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(4), rng.integers(0, 4, n - 4)])
    p = rng.integers(0, grid, (n, 4)) + 0.5
    p /= p.sum(axis=1, keepdims=True)
    call = p.argmax(axis=1)
    figures = several_figures(y, p, call, ORDINAL)
    w = weights(rng, n)
    values = dict(zip(figures.names, figures.compute(w).T, strict=True))
    for row, each in enumerate(w):
        if each.sum() > 0:
            compare(values, row, naive.several(y, p, call, each))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 40))
def test_regression_figures_are_those_of_scikit_learn(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, 9, n).astype(float) + 1000, rng.normal(size=n) + 1004
    y[0] += 1
    figures = regression_figures(y, p)
    w = weights(rng, n)
    values = dict(zip(figures.names, figures.compute(w).T, strict=True))
    for row, each in enumerate(w):
        if each.sum() > 0:
            compare(values, row, naive.regression(y, p, each))


@pytest.mark.parametrize("seed", range(6))
def test_slope_and_intercept_are_those_of_a_general_optimiser(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.beta(1 + seed / 3, 2, 120).clip(1e-4, 1 - 1e-4)
    y = rng.random(120) < p ** (1 + seed / 4)
    w = weights(rng, 120)
    found = logistic(y, p)(w)
    for row, each in enumerate(w):
        np.testing.assert_allclose(found[row], naive.logistic(y, p, each), rtol=1e-6, atol=1e-7)


def test_the_score_equations_hold_to_machine_precision() -> None:
    rng = np.random.default_rng(5)
    p = rng.random(300)
    y = rng.random(300) < p
    w = weights(rng, 300)
    for row, (slope, intercept) in enumerate(logistic(y, p)(w)):
        error = w[row] * (y - 1 / (1 + np.exp(-(intercept + slope * np.log(p / (1 - p))))))
        assert abs(error.sum()) < 1e-9
        assert abs(error @ np.log(p / (1 - p))) < 1e-9


@pytest.mark.parametrize("k", [3, 9])
def test_the_multinomial_slope_is_that_of_a_general_optimiser(k: int) -> None:
    rng = np.random.default_rng(k)
    z = rng.normal(size=(150, k))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(k, p=row) for row in p])
    spoiled = p**1.7 / (p**1.7).sum(axis=1, keepdims=True)
    w = weights(rng, 150)
    found = multinomial(y, spoiled)(w)
    for row, each in enumerate(w):
        assert found[row] == pytest.approx(naive.multinomial(y, spoiled, each), abs=1e-6)
    assert multinomial(y, p)(w) == pytest.approx(1.7 * found, rel=1e-9)


def test_a_slope_far_from_that_of_the_whole_is_still_found() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 60)
    y = np.where(np.arange(60) < 50, p.argmax(axis=1), p.argmin(axis=1))
    w = np.zeros((2, 60))
    w[0, 40:], w[1, :] = 1, 1
    found = multinomial(y, p)(w)
    assert found == pytest.approx([naive.multinomial(y, p, each) for each in w], abs=1e-6)
    only_right = np.zeros((1, 60))
    only_right[0, :50] = 1
    assert np.isnan(multinomial(y, p)(only_right)).all()


def test_a_resample_that_separates_the_classes_has_no_slope() -> None:
    p = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.35])
    y = np.array([0, 0, 0, 1, 0, 1, 1, 1]) == 1
    w = np.ones((3, 8))
    w[1, 4] = 0  # 0.3 and below are negative, the rest positive.
    w[2] = [1, 1, 1, 0, 0, 0, 0, 0]
    found = logistic(y, p)(w)
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize(
    ("y", "p"), [([0, 0, 1, 1], [0.1, 0.2, 0.2, 0.4]), ([0, 1, 0, 1], [0.5] * 4), ([1, 1], [0.2, 0.3]), ([], [])]
)
def test_separated_constant_single_or_no_cases_have_no_slope(y: list[int], p: list[float]) -> None:
    assert np.isnan(logistic(np.array(y) == 1, np.array(p, dtype=float))(np.ones((2, len(y))))).all()


def test_closed_forms() -> None:
    y, p = np.array([0, 0, 1, 1, 1]), np.array([0.2, 0.6, 0.6, 0.4, 0.9])
    auroc, auprc = areas(y == 1, p)(np.ones((1, 5)))[0]
    assert auroc == pytest.approx((1 + 0.5 + 1 + 0 + 1 + 1) / 6)  # pairs won, a tie counting one half
    assert auprc == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    figures = binary_figures(y, p, (p >= 0.5).astype(np.int64), BINARY)
    value = dict(zip(figures.names, figures.compute(np.ones((1, 5)))[0], strict=True))
    assert value["precision"] == pytest.approx(2 / 3)
    assert value["recall"] == pytest.approx(2 / 3)
    assert value["specificity"] == 0.5
    assert value["brier"] == pytest.approx((0.04 + 0.36 + 0.16 + 0.36 + 0.01) / 5)
    assert value["ece"] == pytest.approx((0.2 + 0.2 + 0.6 + 0.1) / 5)


def test_the_positive_class_may_stand_first() -> None:
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 30), rng.random(30)
    call = (p >= 0.5).astype(np.int64)
    usual = binary_figures(y, p, call, BINARY)
    turned = binary_figures(1 - y, p, 1 - call, Question("t", "binary", ("1", "0"), "1"))
    a = dict(zip(usual.names, usual.compute(np.ones((1, 30)))[0], strict=True))
    b = dict(zip(turned.names, turned.compute(np.ones((1, 30)))[0], strict=True))
    assert a == pytest.approx(b)


def test_an_absent_class_is_left_out_and_said() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 40)
    y = rng.integers(0, 3, 40)
    figures = several_figures(y, p, p.argmax(axis=1), ORDINAL)
    value = dict(zip(figures.names, figures.compute(np.ones((1, 40)))[0], strict=True))
    assert np.isfinite(value["auroc"])
    assert np.isnan(value["recall_3"])
    assert value["balanced_accuracy"] == pytest.approx(np.mean([value[f"recall_{j}"] for j in range(3)]))
    assert figures.remarks["auroc"] == "left out, no case: 3"
    assert figures.undefined["recall_3"] == "no case of class '3'"


def test_a_class_never_called_counts_as_zero_precision_and_is_said() -> None:
    y = np.array([0, 1, 2, 3] * 3)
    p = np.tile([0.4, 0.3, 0.2, 0.1], (12, 1))
    figures = several_figures(y, p, p.argmax(axis=1), ORDINAL)
    value = dict(zip(figures.names, figures.compute(np.ones((1, 12)))[0], strict=True))
    assert value["precision_macro"] == pytest.approx(0.25 / 4)
    assert np.isnan(value["precision_1"])
    assert figures.remarks["precision_macro"] == "never called, its precision counts as 0: 1, 2, 3"
    assert value["kappa_quadratic"] == 0


def test_names_are_those_of_the_interface() -> None:
    names = figure_names(Question("t", "binary", ("normal or benign", "malignant")))
    assert names[:4] == ("auroc", "auprc", "accuracy", "balanced_accuracy")
    assert "precision_normal%20or%20benign" in names
    assert "kappa_quadratic" in figure_names(ORDINAL)
    assert "kappa_quadratic" not in figure_names(Question("t", "multiclass", ("a", "b")))
    assert figure_names(ORDINAL)[-5:] == ("kappa_quadratic", "grade_distance", "off_by_1", "off_by_2", "off_by_3")
    assert figure_names(Question("t", "regression")) == ("mae", "rmse", "r2", "bias", "limit_low", "limit_high")


def test_sums_in_blocks_are_the_whole_product() -> None:
    rng = np.random.default_rng(0)
    w, columns = rng.random((40, 3000)), rng.random((3000, 12))
    np.testing.assert_allclose(weighted_sums(w, columns), w @ columns, rtol=1e-12)
