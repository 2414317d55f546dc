from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from semeion.errors import InputError
from semeion.evidence.calibration.choice import choose_map, compare_calibration, grouped_folds
from semeion.evidence.calibration.maps import Identity, Isotonic, Platt, Temperature


def drawn(n: int, slope: float, shift: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth drawn from sigmoid(slope * z + shift), probabilities sigmoid(z)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(scale=2, size=n)
    return (rng.random(n) < 1 / (1 + np.exp(-slope * z - shift))).astype(int), 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(
    ("slope", "shift", "kind"), [(1.0, 0.0, Identity), (0.4, 0.0, Temperature), (0.4, -1.5, Platt)]
)
def test_the_simplest_map_that_serves_is_taken(slope: float, shift: float, kind: type) -> None:
    y, p = drawn(3000, slope, shift)
    choice = choose_map(y, p, np.arange(3000))
    assert isinstance(choice.chosen, kind)
    losses = {each["kind"]: each["loss"] for each in choice.candidates}
    assert list(losses) == ["identity", "temperature", "platt", "beta", "isotonic"]
    assert losses["identity"] == pytest.approx(log_loss(y, p))
    assert losses[choice.chosen.kind] == pytest.approx(log_loss(y, choice.held_out))


def test_steps_need_the_isotonic_map() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(6000)
    y = (rng.random(6000) < np.where(p < 0.3, 0.02, np.where(p < 0.8, 0.5, 0.97))).astype(int)
    choice = choose_map(y, p, np.arange(6000))
    assert isinstance(choice.chosen, Isotonic)
    assert choice.reason == "isotonic has the least log loss on held-out patients"


def test_held_out_probabilities_did_not_see_their_patient() -> None:
    y, p = drawn(200, 0.5)
    patient = np.arange(200) // 4
    choice = choose_map(y, p, patient, kinds=["platt"], folds=4, seed=7)
    fold = grouped_folds(y, patient, 4, 7)
    for k in range(4):
        out = fold == k
        np.testing.assert_array_equal(choice.held_out[out], Platt.fit(y[~out], p[~out]).apply(p[out]))
    assert choice.chosen == Platt.fit(y, p)
    assert choose_map(y, p, patient, kinds=["platt"], folds=4, seed=7).held_out.tolist() == choice.held_out.tolist()


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(10, 60))
def test_folds_keep_patients_together_and_deal_classes_out(seed: int, folds: int, patients: int) -> None:
    rng = np.random.default_rng(seed)
    patient = np.append(np.arange(patients), rng.integers(0, patients, patients))
    y = (rng.random(2 * patients) < 0.2).astype(int)
    fold = grouped_folds(y, patient, folds, seed)
    per_patient = [np.unique(fold[patient == k]) for k in range(patients)]
    assert all(len(each) == 1 for each in per_patient)
    rarest = int(np.argmin(np.bincount(y, minlength=2)))
    for group in (np.arange(patients), np.unique(patient[y == rarest])):
        counts = np.bincount([per_patient[k][0] for k in group], minlength=folds) if len(group) else np.zeros(1)
        assert counts.max() - counts.min() <= 1


def test_more_than_two_classes_take_a_temperature() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1500, 3))
    true = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (rng.random((1500, 1)) > np.cumsum(true, axis=1)).sum(axis=1)
    raw = np.exp(3 * z) / np.exp(3 * z).sum(axis=1, keepdims=True)
    choice = choose_map(y, raw, np.arange(1500))
    assert choice.chosen.to_json()["value"] == pytest.approx(3, rel=0.1)
    told = compare_calibration(y, raw, choice.held_out, np.arange(1500), resamples=50)
    assert set(told["after"]) == {"log_loss", "brier", "calibration_slope"}
    assert told["after"]["calibration_slope"]["value"] == pytest.approx(1, abs=0.1)
    assert told["difference"]["log_loss"]["high"] < 0


def test_what_is_chosen_can_be_written_without_the_cases() -> None:
    y, p = drawn(100, 0.5)
    written = json.loads(json.dumps(choose_map(y, p, np.arange(100) // 2).to_json()))
    assert set(written) == {"map", "candidates", "reason", "n", "n_patients", "folds"}
    assert (written["n"], written["n_patients"], written["folds"]) == (100, 50, 5)


def test_before_and_after_come_from_the_same_draws() -> None:
    y, p = drawn(400, 0.4)
    patient = np.arange(400) // 2
    after = choose_map(y, p, patient).held_out
    told = compare_calibration(y, p, after, patient, resamples=200)
    assert told["before"]["log_loss"]["value"] == pytest.approx(log_loss(y, p))
    for name in told["before"]:
        both = told["after"][name]["value"] - told["before"][name]["value"]
        assert told["difference"][name]["value"] == pytest.approx(both)
    assert told["difference"]["brier"]["high"] < 0
    assert told["after"]["calibration_slope"]["low"] < 1 < told["after"]["calibration_slope"]["high"]
    same = compare_calibration(y, p, p, patient, resamples=50)["difference"]
    assert all((entry["value"], entry["low"], entry["high"]) == (0, 0, 0) for entry in same.values())


def test_where_nothing_can_be_compared_the_probabilities_stay() -> None:
    y = np.array([1] * 4 + [0] * 60)
    p = np.linspace(0.9, 0.1, 64)
    few = choose_map(y, p, np.arange(64))
    assert few.chosen == Identity()
    assert few.reason == "not recalibrated: the second commonest class has 4 patients, fewer than 5 folds"
    assert few.folds == 0
    np.testing.assert_array_equal(few.held_out, p)
    one = choose_map(np.ones(64, dtype=int), p, np.arange(64))
    assert "has 0 patients" in one.reason


def test_a_map_that_cannot_be_fitted_is_named_and_left_out() -> None:
    y, p = drawn(60, 1.0)
    flat = choose_map(y, np.full(60, 0.5), np.arange(60))
    assert flat.chosen == Identity()
    reasons = {each["kind"]: each.get("reason") for each in flat.candidates}
    assert reasons["platt"] == "every case has the same probability"
    assert reasons["identity"] is None
    reverse = choose_map(1 - y, p, np.arange(60), kinds=["platt", "isotonic"])
    assert reverse.chosen == Identity()
    assert reverse.reason.startswith("not recalibrated: platt: the probabilities do not rank these cases the right way")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["plat"]}, "recalibration: unknown map 'plat', did you mean 'platt'?"),
        ({"kinds": []}, "recalibration: no map is offered; name some of identity, temperature"),
        ({"folds": 1}, "recalibration: 1 folds; use at least 2, for example 5"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    y, p = drawn(60, 1.0)
    with pytest.raises(InputError) as caught:
        choose_map(y, p, np.arange(60), **options)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_unusable_cases_are_refused() -> None:
    with pytest.raises(InputError, match="recalibration: a probability is not a number"):
        choose_map([0, 1], [0.5, np.nan], [0, 1])
    with pytest.raises(InputError, match="the map 'platt' takes the probability of one class; use identity or"):
        choose_map([0, 1], [[0.5, 0.5]] * 2, [0, 1], kinds=["platt"])
    with pytest.raises(InputError, match=r"probabilities after: \(2,\) labels for probabilities of shape \(1,\)"):
        compare_calibration([0, 1], [0.5, 0.5], [0.5], [0, 1])
    with pytest.raises(InputError, match=r"probabilities after: shape \(2, 2\), and \(2,\) before"):
        compare_calibration([0, 1], [0.5, 0.5], [[0.5, 0.5]] * 2, [0, 1])
