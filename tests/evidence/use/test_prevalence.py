from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from semeion.errors import InputError
from semeion.evidence.use.operating import choose_point
from semeion.evidence.use.prevalence import (
    adjust_probabilities,
    class_shares,
    estimate_prevalence,
    most_likely_shares,
    moved_point,
)


def shifted(
    n: int, prior: list[float], at_use: list[float], seed: int = 0, apart: float = 1.5
) -> tuple[np.ndarray, np.ndarray]:
    """Classes drawn by `at_use`, normal features, and probabilities that are calibrated under `prior`."""
    rng = np.random.default_rng(seed)
    k = len(prior)
    y = rng.choice(k, n, p=at_use)
    x = rng.normal(size=(n, k)) + apart * np.eye(k)[y]
    likelihood = np.exp(apart * x)
    p = likelihood * prior
    return y, p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("prior", "at_use"), [([0.5, 0.5], [0.85, 0.15]), ([0.9, 0.1], [0.6, 0.4]), ([0.5, 0.3, 0.2], [0.2, 0.2, 0.6])]
)
def test_a_shift_is_recovered(prior: list[float], at_use: list[float]) -> None:
    _, p = shifted(4000, prior, at_use)
    found = estimate_prevalence(p, np.arange(4000), prior, resamples=200)
    np.testing.assert_allclose(found.at_use, at_use, atol=0.04)
    assert found.shifted
    for entry, true in zip(found.entries, at_use, strict=True):
        assert entry["low"] - 0.01 < true < entry["high"] + 0.01
        assert entry["low"] < entry["value"] < entry["high"]
    json.dumps(found.to_json())


def test_without_a_shift_the_prior_lies_in_the_interval() -> None:
    _, p = shifted(1000, [0.7, 0.3], [0.7, 0.3])
    found = estimate_prevalence(p, np.arange(1000) // 2, [0.7, 0.3], resamples=200)
    assert found.shifted is False
    assert found.entries[0]["n_patients"] == 500
    assert found == estimate_prevalence(p, np.arange(1000) // 2, [0.7, 0.3], resamples=200, jobs=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(1, 200))
def test_the_estimate_is_a_fixed_point_and_no_other_is_likelier(seed: int, k: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    p, prior = rng.dirichlet(np.ones(k), n), rng.dirichlet(5 * np.ones(k))
    weights = rng.integers(0, 3, n).astype(float)
    weights[0] = 1
    found = most_likely_shares(weights[None, :], p / prior, prior)[0]
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    posterior = adjust_probabilities(p, prior, found)
    np.testing.assert_allclose(np.average(posterior, axis=0, weights=weights), found, atol=1e-6)

    def likelihood(shares: np.ndarray) -> float:
        return float(weights @ np.log(p / prior @ shares))

    for other in rng.dirichlet(np.ones(k), 20):
        assert likelihood(found) >= likelihood(other) - 1e-6


def test_two_classes_agree_with_a_search_in_one_dimension() -> None:
    rng = np.random.default_rng(0)
    _, p = shifted(150, [0.6, 0.4], [0.8, 0.2])
    ratio = p / [0.6, 0.4]
    weights = rng.integers(0, 3, (5, 150)).astype(float)
    found = most_likely_shares(weights, ratio, np.array([0.6, 0.4]))
    for row, got in zip(weights, found, strict=True):
        best = minimize_scalar(
            lambda a, row=row: -row @ np.log(ratio @ [1 - a, a]),
            bounds=(0, 1),
            method="bounded",
            options={"xatol": 1e-10},
        )
        assert got[1] == pytest.approx(best.x, abs=1e-6)


def test_a_prior_that_explains_the_cases_is_kept_exactly() -> None:
    p = np.array([[0.9, 0.1], [0.5, 0.5], [0.7, 0.3]])
    prior = p.mean(axis=0)
    assert estimate_prevalence(p, range(3), prior, resamples=20).at_use == pytest.approx(tuple(prior), abs=1e-15)
    flat = np.tile([0.7, 0.3], (10, 1))
    assert estimate_prevalence(flat, range(10), [0.7, 0.3], resamples=20).at_use == (0.7, 0.3)


def test_a_class_that_is_not_there_gets_nothing() -> None:
    rng = np.random.default_rng(0)
    low = 0.1 * rng.random(200)
    found = estimate_prevalence(np.column_stack([1 - low, low]), np.arange(200), [0.5, 0.5], resamples=50)
    assert found.at_use == (1, 0)
    assert found.shifted
    assert "the estimate lies at the end of its range" in found.entries[1]["reason"]
    assert found.entries[1]["value"] == 0


def test_one_patient_has_no_interval() -> None:
    _, p = shifted(30, [0.5, 0.5], [0.5, 0.5])
    found = estimate_prevalence(p, ["a"] * 30, [0.5, 0.5], resamples=20)
    assert found.shifted is None
    assert found.entries[0]["low"] is None
    assert found.entries[0]["reason"] == "no interval: fewer than 2 patients"


def test_adjusted_probabilities_are_calibrated_at_use() -> None:
    y, p = shifted(20000, [0.5, 0.5], [0.9, 0.1])
    adjusted = adjust_probabilities(p, [0.5, 0.5], [0.9, 0.1])
    np.testing.assert_allclose(adjusted.sum(axis=1), 1)
    assert p[:, 1].mean() > 0.15
    assert adjusted[:, 1].mean() == pytest.approx(y.mean(), abs=0.01)
    likely = (adjusted[:, 1] > 0.4) & (adjusted[:, 1] < 0.6)
    assert y[likely].mean() == pytest.approx(0.5, abs=0.08)
    np.testing.assert_allclose(adjust_probabilities(adjusted, [0.9, 0.1], [0.5, 0.5]), p, atol=1e-9)
    np.testing.assert_allclose(adjust_probabilities(p, [0.3, 0.7], [0.3, 0.7]), p, atol=1e-12)


@pytest.mark.parametrize("rule", ["youden", "sensitivity=0.9", "specificity=0.9"])
def test_a_point_that_looks_at_one_class_at_a_time_calls_the_same_cases(rule: str) -> None:
    y, p = shifted(400, [0.5, 0.5], [0.5, 0.5])
    point = choose_point(y, p[:, 1], rule)
    moved = moved_point(y, p[:, 1], rule, point, 0.5, 0.1)
    _, new = shifted(500, [0.5, 0.5], [0.9, 0.1], seed=1)
    adjusted = adjust_probabilities(new, [0.5, 0.5], [0.9, 0.1])[:, 1]
    np.testing.assert_array_equal(adjusted >= moved.value, new[:, 1] >= point)
    assert moved.unadjusted == point
    assert "no call changes" in moved.method


@pytest.mark.parametrize(("rule", "fn", "fp"), [("accuracy", 1, 1), ("cost=5:1", 5, 1)])
def test_a_point_that_depends_on_the_prevalence_is_chosen_anew(rule: str, fn: float, fp: float) -> None:
    y, p = shifted(2000, [0.5, 0.5], [0.5, 0.5])
    point = choose_point(y, p[:, 1], rule)
    moved = moved_point(y, p[:, 1], rule, point, 0.5, 0.1)

    def cost(at: float) -> float:
        call = p[:, 1] >= at
        return float(fn * 0.1 * (~call & (y == 1)).sum() + fp * 0.9 * (call & (y == 0)).sum())

    assert cost(moved.unadjusted) <= min(cost(at) for at in np.linspace(0.001, 0.999, 500))
    assert cost(moved.unadjusted) < cost(point)
    # Calibrated probabilities are best cut where the expected costs are equal.
    assert moved.value == pytest.approx(fp / (fn + fp), abs=0.15)
    same = moved_point(y, p[:, 1], rule, point, 0.5, 0.5)
    assert (same.value, same.unadjusted) == pytest.approx((point, point))


def test_shares_of_validation_classes_need_every_class() -> None:
    np.testing.assert_allclose(class_shares([0, 1, 1, 2], 3), [0.25, 0.5, 0.25])
    with pytest.raises(
        InputError, match="prevalence at use: class 2 has no validation case; give cases of every class"
    ):
        class_shares([0, 1], 3)
    for wrong in ([0, 3], [0, np.nan], [[0]]):
        with pytest.raises(InputError, match="a label is no class index from 0 to 2; leave such cases out"):
            class_shares(wrong, 3)


GOOD = np.array([[0.5, 0.5], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("p", "prior", "message"),
    [
        ([0.5, 0.5], [0.5, 0.5], "prevalence at use: probabilities of shape (2,); give a column a class"),
        (GOOD * np.nan, [0.5, 0.5], "a probability is not a number"),
        (GOOD, [0.5], "prevalence at use: not 2 shares above 0 that sum to 1; give the share of each class"),
        (GOOD, [0.0, 1.0], "not 2 shares above 0 that sum to 1"),
        (GOOD, [0.5, 0.6], "not 2 shares above 0 that sum to 1"),
        (GOOD, [np.nan, 0.6], "not 2 shares above 0 that sum to 1"),
        (GOOD[:0], [0.5, 0.5], "there is no case"),
    ],
)
def test_unusable_input_is_refused(p: object, prior: list[float], message: str) -> None:
    with pytest.raises(InputError) as caught:
        estimate_prevalence(p, np.arange(len(p)), prior)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_what_cannot_be_adjusted_or_moved_is_refused() -> None:
    with pytest.raises(InputError, match="resamples: 0 resamples"):
        estimate_prevalence(GOOD, [0, 1], [0.5, 0.5], resamples=0)
    with pytest.raises(InputError, match="not 2 shares of 0 or more that sum to 1"):
        adjust_probabilities(GOOD, [0.5, 0.5], [-0.1, 1.1])
    with pytest.raises(InputError, match="case 2 has a probability of 0 in every class that is left"):
        adjust_probabilities([[0.5, 0.5], [0.0, 1.0]], [0.5, 0.5], [1.0, 0.0])
    with pytest.raises(InputError, match="not a finite probability a class"):
        adjust_probabilities([0.5], [0.5, 0.5], [0.5, 0.5])
    with pytest.raises(InputError, match=r"shares of 0\.5 and 0; no point can be moved unless both classes occur"):
        moved_point([0, 1], [0.2, 0.8], "youden", 0.5, 0.5, 0.0)
    with pytest.raises(InputError, match=r"an operating point of 1\.5; give a probability"):
        moved_point([0, 1], [0.2, 0.8], "youden", 1.5, 0.5, 0.1)
    with pytest.raises(InputError, match="unknown rule 'yuden'"):
        moved_point([0, 1], [0.2, 0.8], "yuden", 0.5, 0.5, 0.1)
    with pytest.raises(InputError, match="no positive case among the 2 cases"):
        moved_point([0, 0], [0.2, 0.8], "accuracy", 0.5, 0.5, 0.1)
