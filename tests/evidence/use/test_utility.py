from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_score

from semeion.errors import InputError
from semeion.evidence.intervals.drawing import checked_cases, draw_together
from semeion.evidence.use.utility import (
    THRESHOLDS,
    _bayes_ends,
    net_benefit,
    predictive_values,
    utility_piece,
)


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(scale=2, size=n) - 1
    return (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int), 1 / (1 + np.exp(-z))


def weighed(
    y: Any, p: Any, patient: Any, call: Any, *, resamples: int = 5, jobs: int | None = None, **asked: Any
) -> dict[str, Any]:
    """Return what the piece tells when it is drawn alone."""
    cases = checked_cases(y, p, patient)
    [found] = draw_together([utility_piece(cases, call, **asked)], cases, resamples=resamples, jobs=jobs)
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.sampled_from([100, 7, 10**6]))
def test_the_curve_is_the_definition_at_every_threshold(seed: int, n: int, grid: int) -> None:
    rng = np.random.default_rng(seed)
    y, p, count = rng.integers(0, 2, n), rng.integers(0, grid + 1, n) / grid, rng.integers(0, 3, n)
    count[0] = 1
    cases = checked_cases(y, p, np.arange(n))
    found = utility_piece(cases, p >= 0.5).compute(count.astype(float)[None, :])[0]
    y, p = np.repeat(y, count), np.repeat(p, count)
    share = y.mean()
    for k, t in enumerate(THRESHOLDS):
        call = p >= t
        model = (call & (y == 1)).mean() - (call & (y == 0)).mean() * t / (1 - t)
        everyone = share - (1 - share) * t / (1 - t)
        assert found[k] == pytest.approx(model, abs=1e-12)
        assert found[99 + k] == pytest.approx(everyone, abs=1e-12)
        assert found[198 + k] == pytest.approx(model - max(everyone, 0), abs=1e-12)
        if share:
            assert found[297 + k] == pytest.approx(model / share, abs=1e-12)
        else:
            assert np.isnan(found[297 + k])


def test_treating_all_is_worth_nothing_at_the_prevalence_and_all_below_the_least_probability() -> None:
    y, p = np.repeat([1, 0], [20, 80]), np.repeat([0.9, 0.3], [20, 80])
    curve = weighed(y, p, np.arange(100), p >= 0.5, resamples=50)["curve"]
    at = {t: k for k, t in enumerate(curve["threshold"])}
    assert curve["treat_all"][at[0.2]] == pytest.approx(0)
    assert curve["model"][at[0.1]] == pytest.approx(curve["treat_all"][at[0.1]])
    assert curve["model"][at[0.3]] == pytest.approx(curve["treat_all"][at[0.3]])
    assert curve["model"][at[0.31]] == curve["model"][at[0.9]] == 0.2
    assert curve["model"][at[0.91]] == 0
    assert curve["standardised"][at[0.5]] == 1


def test_a_good_model_is_useful_over_a_run_of_thresholds() -> None:
    y, p = drawn(3000)
    told = weighed(y, p, np.arange(3000), p >= 0.2, point=0.2, resamples=200)
    json.dumps(told)
    assert any(low <= 0.2 and high >= 0.6 for low, high in told["useful"])
    call = p >= 0.2
    tp, fp = int((call & (y == 1)).sum()), int((call & (y == 0)).sum())
    assert told["net_benefit"]["value"] == pytest.approx(float(net_benefit(tp, fp, 3000, 0.2)))
    assert told["net_benefit"]["value"] == pytest.approx(told["curve"]["model"][19])
    assert told["net_benefit_gain"]["low"] > 0
    for name in ("low", "high", "treat_all", "gain_low", "standardised_high"):
        assert len(told["curve"][name]) == 99
    assert told == weighed(y, p, np.arange(3000), p >= 0.2, point=0.2, resamples=200, jobs=1)


def test_noise_is_useful_nowhere_much() -> None:
    y, p = drawn(300)
    noise = np.random.default_rng(1).permutation(p)
    told = weighed(y, noise, np.arange(300), noise >= 0.5, resamples=200)
    assert told["useful"] == []
    assert told["net_benefit"] == {
        "value": None,
        "low": None,
        "high": None,
        "n": 300,
        "n_patients": 300,
        "method": "not computed",
        "reason": "no operating point",
    }


def test_at_the_observed_prevalence_the_predictive_values_are_the_observed_ones() -> None:
    y, p = drawn(500)
    call = p >= 0.4
    told = weighed(y, p, np.arange(500), call, prevalences=[y.mean(), 0.01], resamples=300)
    here, rare = told["predictive_values"]
    tn, _, fn, _ = confusion_matrix(y, call).ravel()
    assert here["ppv"]["value"] == pytest.approx(precision_score(y, call))
    assert here["npv"]["value"] == pytest.approx(tn / (tn + fn))
    assert rare["ppv"]["value"] < 0.1 < here["ppv"]["value"]
    for both in (here, rare):
        for name in ("ppv", "npv"):
            assert both[name]["low"] < both[name]["value"] < both[name]["high"]


@given(st.floats(0.01, 1), st.floats(0, 0.99), st.floats(0.001, 0.999))
def test_predictive_values_are_bayes_rule(se: float, sp: float, share: float) -> None:
    ppv, _ = predictive_values(se, sp, share)
    assert float(ppv) == pytest.approx(se * share / (se * share + (1 - sp) * (1 - share)))
    assert float(predictive_values(sp + 0.01, se - 0.01, 1 - share)[0]) == pytest.approx(
        float(predictive_values(se - 0.01, sp + 0.01, share)[1]), nan_ok=True
    )


def test_without_a_false_alarm_the_predictive_value_has_a_width() -> None:
    y = np.repeat([1, 0], [40, 60])
    call = np.repeat([1, 0, 0], [30, 10, 60])
    told = weighed(y, call / 2, np.arange(100), call, prevalences=[0.1], resamples=100)
    ppv, npv = (told["predictive_values"][0][name] for name in ("ppv", "npv"))
    assert (ppv["value"], ppv["high"]) == (1, 1)
    most = 1.959963984540054**2 / (60 + 1.959963984540054**2)
    assert ppv["low"] == pytest.approx(0.075 / (0.075 + 0.9 * most))
    assert "Wilson" in ppv["method"]
    assert npv["low"] < npv["value"] < npv["high"] < 1


def test_the_ends_by_wilson_agree_with_many_draws() -> None:
    rng = np.random.default_rng(0)
    hits, alarms = rng.binomial(200, 0.8, 20000) / 200, rng.binomial(300, 0.1, 20000) / 300
    drawn_ends = np.quantile(0.2 * hits / (0.2 * hits + 0.8 * alarms), [0.025, 0.975])
    half = [1.96 * np.sqrt(q * (1 - q) / n) for q, n in ((0.8, 200), (0.1, 300))]
    ends = _bayes_ends(0.8, 0.8 - half[0], 0.8 + half[0], 0.1, 0.1 - half[1], 0.1 + half[1], 0.2)
    np.testing.assert_allclose(ends, drawn_ends, atol=0.02)


def test_where_a_class_or_a_call_is_missing_it_says_so() -> None:
    one = weighed([1] * 5, [0.5] * 5, range(5), [1] * 5, prevalences=[0.1], resamples=20)
    assert one["predictive_values"][0]["ppv"]["reason"] == "only one class among the cases"
    never = weighed([0, 1] * 20, [0.5] * 40, range(40), [0] * 40, prevalences=[0.1], resamples=20)
    assert never["predictive_values"][0]["ppv"]["reason"] == "no case is called positive"
    assert never["predictive_values"][0]["npv"]["value"] == pytest.approx(0.9)
    always = weighed([0, 1] * 20, [0.5] * 40, range(40), [1] * 40, prevalences=[0.1], resamples=20)
    assert always["predictive_values"][0]["npv"]["reason"] == "no case is called negative"
    negative = weighed([0] * 5, [0.5] * 5, range(5), [1] * 5, resamples=20)
    assert negative["curve"]["standardised"] == [None] * 99
    alone = weighed([0, 1], [0.2, 0.8], ["a", "a"], [0, 1], point=0.5, resamples=20)
    assert alone["net_benefit"]["reason"] == "no interval: fewer than 2 patients"
    assert alone["predictive_values"][0]["ppv"]["low"] is None
    assert alone["useful"] == []


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        ([0, 2], {}, "utility: not one call of 0 or 1 a case; call every case at its operating point"),
        ([0], {}, "not one call of 0 or 1 a case"),
        ([0, np.nan], {}, "not one call of 0 or 1 a case"),
        ([0, 1], {"point": 1.0}, "utility: the threshold probability is 1.0; give a number from 0 up to, but not, 1"),
        ([0, 1], {"point": float("nan")}, "the threshold probability is nan"),
        ([0, 1], {"prevalences": [0.1, 1]}, "utility: a prevalence is not between 0 and 1; give shares"),
        ([0, 1], {"prevalences": [float("nan")]}, "a prevalence is not between 0 and 1"),
    ],
)
def test_unusable_input_is_refused(call: list[float], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        weighed([0, 1], [0.2, 0.8], [0, 1], call, **options)
    assert message in str(caught.value)


def test_columns_of_classes_are_refused() -> None:
    with pytest.raises(InputError, match="give the probability of the positive class"):
        weighed([0, 1], [[0.5, 0.5]] * 2, [0, 1], [0, 1])
