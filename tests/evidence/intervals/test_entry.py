"""Which interval a figure gets: the bootstrap, or a score interval where too little was observed for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from semeion.evidence.intervals.bootstrap import Spread
from semeion.evidence.intervals.delong import delong
from semeion.evidence.intervals.entry import entries
from semeion.evidence.intervals.proportions import area_interval
from semeion.evidence.metrics import Account, binary_figures
from semeion.evidence.question import Question

BINARY = Question("t", "binary", ("0", "1"), "1")


def stated(y: np.ndarray, p: np.ndarray, patient: np.ndarray) -> dict[str, dict[str, Any]]:
    figures = binary_figures(y, p, (p >= 0.5).astype(np.int64), BINARY)
    whole = figures.compute(np.ones((1, len(y))))[0]
    rng = np.random.default_rng(0)
    spreads = {
        name: Spread(float(value), value + rng.normal(0, 0.01, 200), 0.0)
        for name, value in zip(figures.names, whole, strict=True)
    }
    return entries(figures, spreads, patient, n=len(y), n_patients=len(np.unique(patient)))


def cases(positives: int, negatives: int, found: int, passed: int) -> tuple[np.ndarray, np.ndarray]:
    """`found` of the positives and `passed` of the negatives are called rightly."""
    y = np.array([1] * positives + [0] * negatives)
    right = np.array([True] * found + [False] * (positives - found) + [True] * passed + [False] * (negatives - passed))
    rng = np.random.default_rng(1)
    p = np.where(right == (y == 1), 0.5 + 0.5 * rng.random(len(y)), 0.5 * rng.random(len(y)))
    return y, p


def test_a_share_with_few_misses_has_wilsons_interval() -> None:
    y, p = cases(60, 100, 53, 70)
    found = stated(y, p, np.arange(160))
    theirs = binomtest(53, 60).proportion_ci(method="wilson")
    for name in ("recall", "recall_1"):
        assert (found[name]["low"], found[name]["high"]) == pytest.approx((theirs.low, theirs.high))
        assert found[name]["method"] == "95 % Wilson score interval; fewer than 10 patients with a hit, or with a miss"
        assert "reason" not in found[name]
    for name in ("specificity", "recall_0", "accuracy", "precision"):
        assert found[name]["method"].startswith("95 % BCa bootstrap over patients, 200 resamples")
    precision = binomtest(70, 77).proportion_ci(method="wilson")
    assert (found["precision_0"]["low"], found["precision_0"]["high"]) == pytest.approx((precision.low, precision.high))


def test_events_are_counted_in_patients() -> None:
    y, p = cases(60, 100, 45, 70)
    apart = stated(y, p, np.arange(160))["recall"]
    # The 15 misses are those of five patients.
    together = stated(y, p, np.arange(160) // 3)["recall"]
    assert apart["method"].startswith("95 % BCa")
    assert together["method"].startswith("95 % Wilson score interval, 60 cases counting as ")
    assert together["high"] - together["low"] > 0.2


def test_nothing_or_everything_observed_leaves_an_interval() -> None:
    y, p = cases(20, 30, 20, 30)
    found = stated(y, p, np.arange(50))
    for name in ("accuracy", "recall", "specificity", "precision"):
        assert found[name]["high"] == 1
        assert 0.7 < found[name]["low"] < 1
    assert (found["auroc"]["low"], found["auroc"]["high"]) == pytest.approx(area_interval(1, 20, 30))
    assert found["auroc"]["method"].endswith("of 20 and 30 patients; the classes are separated")
    assert found["auroc"]["delong"] == {"low": None, "high": None}


def test_an_area_of_few_cases_has_a_score_interval_and_delong_beside_it() -> None:
    y, p = cases(9, 60, 6, 50)
    found = stated(y, p, np.arange(69))["auroc"]
    assert (found["low"], found["high"]) == pytest.approx(area_interval(found["value"], 9, 60))
    assert found["method"].endswith("of 9 and 60 patients; fewer than 10 patients of a class")
    ends = delong(y == 1, p[None], np.arange(69)).interval()
    assert ends is not None
    assert (found["delong"]["low"], found["delong"]["high"]) == pytest.approx(ends)
    more = stated(*cases(10, 60, 6, 50), np.arange(70))["auroc"]
    assert more["method"].startswith("95 % BCa")


def test_what_has_no_score_interval_says_that_it_is_unreliable() -> None:
    found = stated(*cases(9, 60, 6, 50), np.arange(69))
    for name in ("balanced_accuracy", "f1", "auprc", "calibration_slope"):
        assert found[name]["reason"].endswith("interval unreliable: 9 patients of the rarest class, fewer than 10")
    assert "reason" not in found["brier"]


def test_an_account_without_cases_of_its_own_is_bootstrapped() -> None:
    account = Account(names=("auroc",), methods={"auroc": "mean over labels"})
    spread = Spread(1.0, np.full(50, 1.0), 0.0)
    found = entries(account, {"auroc": spread}, None, n=30, n_patients=30)["auroc"]
    assert (found["low"], found["high"]) == (1, 1)
    assert found["reason"] == "interval unreliable: every resample gives the same value, so it is too narrow"
    assert "delong" not in found
    assert found["method"].endswith("patients drawn from all; mean over labels")
