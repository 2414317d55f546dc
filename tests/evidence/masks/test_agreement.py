import numpy as np
import pytest

from semeion.evidence.masks.agreement import agreement


def test_closed_form():
    rng = np.random.default_rng(0)
    reference = rng.normal(50, 10, 80)
    difference = rng.normal(2, 3, 80)
    found = agreement(reference + difference, reference, np.arange(80))
    assert found["mae"]["value"] == pytest.approx(np.abs(difference).mean())
    assert found["bias"]["value"] == pytest.approx(difference.mean())
    spread = difference.std(ddof=1)
    assert found["limit_low"]["value"] == pytest.approx(difference.mean() - 1.96 * spread)
    assert found["limit_high"]["value"] == pytest.approx(difference.mean() + 1.96 * spread)
    # The bootstrap of a mean is close to the normal interval.
    assert found["bias"]["low"] == pytest.approx(difference.mean() - 1.96 * spread / np.sqrt(80), abs=0.15)
    assert (found["mae"]["n"], found["mae"]["n_patients"]) == (80, 80)
    assert found["bias"]["method"] == "95 % BCa bootstrap over patients, 2000 resamples; patients drawn from all"


def test_few_patients_are_said_to_be_unreliable():
    found = agreement(np.arange(12.0), np.arange(12.0)[::-1] + 0.5, np.arange(12))
    assert found["mae"]["reason"] == "interval unreliable: 12 patients, fewer than 20"
    assert found["mae"]["low"] < found["mae"]["value"] < found["mae"]["high"]


def test_cases_of_a_patient_are_drawn_together():
    rng = np.random.default_rng(1)
    difference = np.repeat(rng.normal(0, 1, 20), 10)
    together = agreement(difference, np.zeros(200), np.repeat(np.arange(20), 10))["bias"]
    apart = agreement(difference, np.zeros(200), np.arange(200))["bias"]
    assert together["high"] - together["low"] > 2 * (apart["high"] - apart["low"])


def test_cases_without_a_value_are_left_out_and_counted():
    found = agreement([1.0, np.nan, 3.0], [0.0, 0.0, np.nan], ["a", "b", "c"])
    assert (found["mae"]["value"], found["mae"]["n"]) == (1.0, 1)
    assert found["mae"]["reason"] == "no interval: fewer than 2 patients"
    # One difference has no spread, and so no limits.
    for name in ("limit_low", "limit_high"):
        assert (found[name]["value"], found[name]["reason"], found[name]["n"]) == (None, "fewer than 2 cases", 1)
    none = agreement([np.nan], [1.0], ["a"])["mae"]
    assert (none["value"], none["reason"]) == (None, "no case has both values")
