from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from semeion.errors import InputError
from semeion.evidence.calibration.reliability import (
    FIGURES,
    adaptive_bins,
    error_by_chance,
    reliability_piece,
)
from semeion.evidence.intervals.drawing import checked_cases, draw_together


def drawn(n: int, seed: int = 0, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Truth drawn from sigmoid(z), and the probabilities sigmoid(factor * z)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(scale=1.5, size=n)
    return (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int), 1 / (1 + np.exp(-factor * z))


def weighed(y: Any, p: Any, patient: Any, **drawing: Any) -> dict[str, Any]:
    """Return what the piece tells when it is drawn alone."""
    cases = checked_cases(y, p, patient)
    [found] = draw_together([reliability_piece(cases)], cases, **drawing)
    return found


def figures(y: np.ndarray, p: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    cases = checked_cases(y, p, np.arange(len(y)))
    rows = np.ones((1, len(y))) if weights is None else weights[None, :]
    return dict(zip(FIGURES, reliability_piece(cases).compute(rows)[0], strict=False))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.sampled_from([3, 20, 10**6]))
def test_the_parts_of_brier_s_score_add_up(seed: int, n: int, grid: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = rng.integers(0, grid + 1, n) / grid, rng.integers(0, 2, n)
    weights = rng.integers(0, 4, n).astype(float)
    weights[0] = 1
    for rows in (None, weights):
        found = figures(y, p, rows)
        whole = found["brier_reliability"] - found["brier_resolution"] + found["brier_uncertainty"]
        whole += found["brier_within_variance"] - found["brier_within_covariance"]
        assert whole == pytest.approx(found["brier"], abs=1e-12)
        assert found["brier"] == pytest.approx(np.average((p - y) ** 2, weights=rows), abs=1e-12)
        assert min(found["brier_reliability"], found["brier_resolution"], found["brier_within_variance"]) >= -1e-15


def test_with_one_probability_a_bin_murphy_s_three_parts_are_enough() -> None:
    p = np.repeat([0.2, 0.5, 0.9], 40)
    y = np.concatenate([np.arange(40) < k for k in (10, 20, 36)]).astype(int)
    found = figures(y, p)
    share = 66 / 120
    assert found["brier_reliability"] == pytest.approx(0.05**2 / 3)
    assert found["brier_resolution"] == pytest.approx(sum((x - share) ** 2 for x in (0.25, 0.5, 0.9)) / 3)
    assert found["brier_uncertainty"] == pytest.approx(share * (1 - share))
    assert (found["brier_within_variance"], found["brier_within_covariance"]) == pytest.approx((0, 0), abs=1e-15)
    assert found["ece_adaptive"] == pytest.approx(0.05 / 3)
    assert found["brier"] == pytest.approx(brier_score_loss(y, p))


def test_bins_and_error_are_those_of_scikit_learn() -> None:
    y, p = drawn(1500, factor=2)
    share, mean = calibration_curve(y, p, n_bins=15, strategy="quantile")
    told = weighed(y, p, np.arange(1500), resamples=40)
    assert told["bins"]["n"] == [100] * 15
    np.testing.assert_allclose(told["bins"]["x"], mean, atol=1e-12)
    np.testing.assert_allclose(told["bins"]["y"], share, atol=1e-12)
    assert told["figures"]["ece_adaptive"]["value"] == pytest.approx(np.abs(share - mean).mean(), abs=1e-12)


def test_a_resample_gives_the_figures_of_the_repeated_cases() -> None:
    y, p = drawn(80)
    count = np.random.default_rng(1).integers(1, 4, 80)
    found = figures(y, p, count.astype(float))
    repeated = np.repeat(np.arange(80), count)
    bins = adaptive_bins(p)[repeated]
    errors = [abs((p - y)[repeated][bins == b].sum()) for b in np.unique(bins)]
    assert found["ece_adaptive"] == pytest.approx(sum(errors) / count.sum(), abs=1e-12)
    distance = np.abs(distances(y, p, count.astype(float)))[repeated]
    assert found["ici"] == pytest.approx(distance.mean(), abs=1e-12)
    assert found["e50"] == pytest.approx(np.quantile(distance, 0.5, method="inverted_cdf"), abs=1e-12)
    assert found["e90"] == pytest.approx(np.quantile(distance, 0.9, method="inverted_cdf"), abs=1e-12)


def distances(y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Smooth curve less probability of each case."""
    cases = checked_cases(y, p, np.arange(len(y)))
    told = weighed(y, p, np.arange(len(y)), resamples=1)
    values = reliability_piece(cases).compute(weights[None, :])[0]
    points = len(told["curve"]["x"])
    return np.interp(p, told["curve"]["x"], values[len(FIGURES) : len(FIGURES) + points]) - p


def test_the_curve_finds_what_spoiled_the_probabilities() -> None:
    y, p = drawn(20000, factor=2.5)
    told = weighed(y, p, np.arange(20000), resamples=40)
    x = np.array(told["curve"]["x"])
    inside = (x > 0.05) & (x < 0.95)
    truth = 1 / (1 + np.exp(-np.log(x / (1 - x)) / 2.5))
    assert np.abs(np.array(told["curve"]["y"]) - truth)[inside].max() < 0.06
    assert told["figures"]["ici"]["value"] == pytest.approx(
        np.abs(1 / (1 + np.exp(-np.log(p / (1 - p)) / 2.5)) - p).mean(), abs=0.02
    )
    for name in ("ece_adaptive", "ici", "e50", "e90"):
        assert told["figures"][name]["low"] > 2 * told["ece_by_chance"]


def test_calibrated_probabilities_have_an_error_that_may_be_none() -> None:
    y, p = drawn(400)
    told = weighed(y, p, np.arange(400), resamples=300)
    for name in ("ece_adaptive", "ici", "e50", "e90", "brier_reliability"):
        assert told["figures"][name]["low"] == 0
        assert told["figures"][name]["high"] > told["figures"][name]["value"] > 0
    assert told["figures"]["brier_resolution"]["low"] > 0.02


def test_what_is_told_can_be_written_and_drawn() -> None:
    y, p = drawn(300)
    told = weighed(y, p, np.arange(300) // 3, resamples=200, seed=1)
    json.dumps(told)
    curve = told["curve"]
    assert len(curve["x"]) == len(curve["y"]) == len(curve["low"]) == len(curve["high"]) <= 201
    assert (curve["x"][0], curve["x"][-1]) == (p.min(), p.max())
    assert all(0 <= a <= b <= 1 for a, b in zip(curve["low"], curve["high"], strict=True))
    inside = [a <= x <= b for a, x, b in zip(curve["low"], curve["x"], curve["high"], strict=True)]
    assert np.mean(inside) > 0.8
    assert told == weighed(y, p, np.arange(300) // 3, resamples=200, seed=1, jobs=1)
    for entry in told["figures"].values():
        assert entry["low"] <= entry["value"] <= entry["high"]


def test_patients_with_many_cases_widen_the_band() -> None:
    y, p = drawn(40)
    wide = weighed(np.repeat(y, 10), np.repeat(p, 10), np.repeat(np.arange(40), 10), resamples=200)
    narrow = weighed(np.repeat(y, 10), np.repeat(p, 10), np.arange(400), resamples=200)

    def width(told: dict) -> float:
        return float(np.mean(np.subtract(told["curve"]["high"], told["curve"]["low"])))

    assert width(wide) > 2 * width(narrow)


def test_the_error_by_chance_is_what_calibrated_models_show() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(300)
    group = adaptive_bins(p)
    seen = [np.abs(np.bincount(group, weights=p - (rng.random(300) < p))).sum() / 300 for _ in range(2000)]
    assert error_by_chance(p, group) == pytest.approx(np.mean(seen), rel=0.03)


def test_few_cases_have_few_bins_and_one_class_or_one_probability_is_no_error() -> None:
    assert len(np.unique(adaptive_bins(np.linspace(0, 1, 9)))) == 1
    assert len(np.unique(adaptive_bins(np.linspace(0, 1, 45)))) == 4
    assert len(np.unique(adaptive_bins(np.linspace(0, 1, 999)))) == 15
    one = weighed([1] * 30, np.linspace(0.5, 0.9, 30), np.arange(30), resamples=50)
    assert one["figures"]["brier_uncertainty"]["value"] == 0
    assert one["curve"]["y"] == pytest.approx([1] * len(one["curve"]["y"]))
    flat = weighed([0, 1] * 15, [0.4] * 30, np.arange(30), resamples=50)
    assert (flat["curve"]["x"], flat["curve"]["y"]) == ([0.4], [0.5])
    assert flat["curve"]["reason"] == "every case has the same probability"
    assert flat["figures"]["ici"]["value"] == pytest.approx(0.1)
    single = weighed([1], [0.4], ["a"], resamples=50)
    assert single["figures"]["brier"]["reason"] == "no interval: fewer than 2 patients"
    assert single["curve"]["low"] == [None]


def test_columns_of_classes_are_refused() -> None:
    with pytest.raises(InputError, match=r"calibration: probabilities of shape \(2, 2\); give the probability of the"):
        weighed([0, 1], [[0.5, 0.5]] * 2, [0, 1], resamples=5)
