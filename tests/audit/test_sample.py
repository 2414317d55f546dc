from __future__ import annotations

import numpy as np
import pytest

from semeion.audit.sample import cases_for_auroc, small_sample
from support.judged import judged, table


def entry(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


@pytest.mark.parametrize(
    ("low", "high", "verdict", "says"),
    [
        (0.55, 0.9, "warn", "The AUROC's interval is 0.35 wide. Such figures cannot support a claim"),
        (0.75, 0.9, "note", "cases would make the AUROC's interval 0.1 wide; it is 0.15"),
        (0.80, 0.88, "clear", "enough for the intervals to be narrow"),
    ],
)
def test_wide_intervals(low: float, high: float, verdict: str, says: str) -> None:
    audit = small_sample(judged(table(200)), {"auroc": entry(0.85, low, high)})
    assert audit.verdict == verdict
    assert says in audit.advice


def test_few_cases_of_a_class_are_named() -> None:
    found = table(60)
    found["y_true"] = ["malignant"] * 4 + ["benign"] * 56
    audit = small_sample(judged(found), {"auroc": entry(0.9, 0.88, 0.92)})
    assert audit.verdict == "warn"
    assert "Class 'malignant' has 4 cases, and 10 are the least" in audit.advice


@pytest.mark.parametrize(("n", "verdict"), [(30, "warn"), (400, "clear")])
def test_few_cases_of_a_model_that_is_nearly_always_right_are_few(n: int, verdict: str) -> None:
    """Resampling finds no width where no case is called wrongly, or one."""
    found = table(n)
    truth = np.arange(n) % 2
    p = np.where(truth == 1, 0.9, 0.1)
    p[0] = 0.9
    found = found.assign(y_true=np.where(truth == 1, "malignant", "benign"), p_malignant=p, p_benign=1 - p)
    audit = small_sample(judged(found), {"auroc": entry(0.99, 0.97, 1.0)})
    assert audit.verdict == verdict
    low, high = wilson_by_hand(n // 2 - 1, n // 2)
    assert audit.figures["recall_width_benign"] == pytest.approx(high - low)
    if verdict == "warn":
        assert f"How many of 'benign' are recognised is known to within {high - low:.2f} (15 cases)" in audit.advice


def wilson_by_hand(k: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(k, n).proportion_ci(method="wilson")
    return interval.low, interval.high


def test_a_wide_slope_says_how_many_cases_it_takes() -> None:
    figures = {"auroc": entry(0.9, 0.88, 0.92), "calibration_slope": entry(1.0, 0.6, 1.4)}
    audit = small_sample(judged(table(200)), figures)
    assert audit.verdict == "note"
    assert audit.figures["cases_for_slope"] == 800  # twice as wide as wanted: four times the cases


@pytest.mark.parametrize(("auroc", "share"), [(0.7, 0.1), (0.8, 0.018), (0.95, 0.5), (0.5, 0.3)])
def test_the_number_of_cases_solves_newcombes_formula(auroc: float, share: float) -> None:
    n = cases_for_auroc(auroc, share)

    def width(n: float) -> float:
        c, half = auroc, n / 2 - 1
        square = c * (1 - c) * (1 + half * (1 - c) / (2 - c) + half * c / (1 + c)) / (n**2 * share * (1 - share))
        return 2 * 1.959963984540054 * np.sqrt(square)

    assert width(n) <= 0.1 < width(n - 1)


def test_without_an_interval_only_counts_are_told() -> None:
    audit = small_sample(judged(table(200)), {"auroc": {"value": 1.0, "low": None, "high": None}})
    assert "auroc_width" not in audit.figures
    assert audit.figures["cases"] == 200
