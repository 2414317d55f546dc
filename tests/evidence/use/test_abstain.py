from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.errors import InputError
from semeion.evidence.intervals.drawing import checked_cases, draw_together
from semeion.evidence.use.abstain import COVERAGES, GRID, abstaining_piece, confidence_of


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return (rng.random(n) < p).astype(int), p


def weighed(
    y: Any, p: Any, patient: Any, call: Any, *, resamples: int = 5, jobs: int | None = None, **asked: Any
) -> dict[str, Any]:
    """Return what the piece tells when it is drawn alone."""
    cases = checked_cases(y, p, patient)
    [found] = draw_together([abstaining_piece(cases, call, **asked)], cases, resamples=resamples, jobs=jobs)
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.sampled_from([6, 10**6]))
def test_risk_is_the_error_among_the_surest(seed: int, n: int, grid: int) -> None:
    rng = np.random.default_rng(seed)
    y, p, count = rng.integers(0, 2, n), rng.integers(0, grid + 1, n) / grid, rng.integers(0, 3, n)
    count[0] = 1
    call = (p >= 0.5).astype(int)
    found = abstaining_piece(checked_cases(y, p, np.arange(n)), call).compute(count.astype(float)[None, :])[0]
    sure, wrong = np.repeat(np.abs(p - 0.5), count), np.repeat(call != y, count)
    # |p - 0.5| ranks as the logit does, but for rounding: 0.3 and 0.7 must tie.
    sure = np.round(sure, 9)
    for c, risk in zip(GRID, found[:100], strict=True):
        least = max(level for level in np.unique(sure) if (sure >= level).mean() >= c - 1e-12)
        assert risk == pytest.approx(wrong[sure >= least].mean(), abs=1e-12)
    area = np.mean([wrong[sure >= level].mean() for level in sure])
    assert found[100 + len(COVERAGES)] == pytest.approx(area, abs=1e-12)


def test_sure_and_right_then_unsure_and_wrong() -> None:
    p = np.concatenate([np.linspace(0.99, 0.8, 80), np.linspace(0.7, 0.6, 20)])
    y = np.repeat([1, 0], [80, 20])
    told = weighed(y, p, np.arange(100), np.ones(100), coverages=[0.5, 0.8, 1.0], resamples=100)
    json.dumps(told)
    half, most, whole = (each["error"] for each in told["at"])
    assert (half["value"], most["value"], whole["value"]) == (0, 0, 0.2)
    assert (half["n"], most["n"], whole["n"]) == (50, 80, 100)
    assert half["high"] == pytest.approx(1.959963984540054**2 / (50 + 1.959963984540054**2))
    assert "Wilson" in half["method"]
    assert told["area"]["value"] == pytest.approx(sum(k / (80 + k) for k in range(1, 21)) / 100)
    curve = told["curve"]
    assert curve["confidence"][79] == pytest.approx(0.8)
    # Of the 80 surest no call is wrong; of all a fifth is, and none of the negative cases is called so.
    row = told["at"][1]
    assert (row["ratio"]["value"], row["recall"]["value"], row["specificity"]["value"]) == (0, 1, None)
    assert (told["at"][2]["ratio"]["value"], told["at"][2]["specificity"]["value"]) == (1, 0)
    assert (curve["coverage"][79], curve["risk"][79], curve["risk"][99]) == (0.8, 0, 0.2)
    assert len(curve["low"]) == len(curve["high"]) == len(curve["confidence"]) == 100


def test_a_constant_confidence_answers_all_or_nothing() -> None:
    y, p = drawn(60)
    told = weighed(y, p, np.arange(60), np.ones(60), confidence=np.zeros(60), resamples=50)
    assert told["curve"]["risk"] == [pytest.approx(1 - y.mean())] * 100
    assert told["area"]["value"] == pytest.approx(1 - y.mean())
    assert told["at"][0]["error"]["n"] == 60


def test_a_call_is_as_sure_as_its_class_is_probable() -> None:
    p = np.array([0.05, 0.3, 0.7, 0.9])
    assert confidence_of(p, (p >= 0.5).astype(int)).tolist() == [0.95, 0.7, 0.7, 0.9]
    # Called positive at a point of 0.25, a case of 0.3 is wrong in 7 of 10.
    assert confidence_of(p, (p >= 0.25).astype(int))[1] == 0.3
    assert confidence_of(np.array([[0.2, 0.5, 0.3]]), [2]).tolist() == [0.3]


def test_leaving_out_the_least_sure_halves_the_error_of_calibrated_calls() -> None:
    y, p = drawn(4000, 7)
    for point in (0.2, 0.5, 0.8):
        call = (p >= point).astype(int)
        told = weighed(y, p, np.arange(4000), call, coverages=[0.8, 1.0])
        chance = np.sort(1 - confidence_of(p, call))[:3200].mean() / (1 - confidence_of(p, call)).mean()
        assert told["at"][0]["ratio"]["value"] == pytest.approx(chance, abs=0.06)
        other = weighed(y, p, np.arange(4000), call, confidence=np.abs(p - point), coverages=[0.8, 1.0])
        assert told["at"][0]["ratio"]["value"] <= other["at"][0]["ratio"]["value"] + 0.02


def test_several_classes_and_the_same_draws_on_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], 300)
    y = (rng.random((300, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    told = weighed(y, p, np.arange(300) // 3, p.argmax(axis=1), resamples=200)
    assert told == weighed(y, p, np.arange(300) // 3, p.argmax(axis=1), resamples=200, jobs=1)
    assert told["at"][0]["error"]["value"] < told["at"][-1]["error"]["value"]
    assert told["area"]["low"] < told["area"]["value"] < told["area"]["high"]


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        ([0, 2], {}, "abstaining: not one call, a class index, a case; call every case"),
        ([0], {}, "not one call, a class index, a case"),
        ([0, 1], {"confidence": [0.1]}, "abstaining: not one finite confidence a case; say how sure each case is"),
        ([0, 1], {"confidence": [0.1, np.nan]}, "not one finite confidence a case"),
        ([0, 1], {"coverages": [0.0]}, "abstaining: a coverage is not above 0 and up to 1; give shares"),
        ([0, 1], {"coverages": [80]}, "a coverage is not above 0 and up to 1"),
    ],
)
def test_unusable_input_is_refused(call: list[int], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        weighed([0, 1], [0.2, 0.8], [0, 1], call, **options)
    assert message in str(caught.value)
