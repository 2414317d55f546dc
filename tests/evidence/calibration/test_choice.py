from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss

from semeion.calibration.maps import Identity, Isotonic, Platt, Temperature
from semeion.errors import InputError
from semeion.evidence.calibration.choice import choose_by_size, choose_map, compare_calibration
from semeion.evidence.calibration.maps import fit_platt
from semeion.evidence.calibration.temperature import fit_temperature
from semeion.folds import grouped_folds


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
        np.testing.assert_array_equal(choice.held_out[out], fit_platt(y[~out], p[~out]).apply(p[out]))
    assert choice.chosen == fit_platt(y, p)
    assert choose_map(y, p, patient, kinds=["platt"], folds=4, seed=7).held_out.tolist() == choice.held_out.tolist()


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


def cases_with(events: int, n: int = 400, slope: float = 0.4, shift: float = -1.0) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`drawn`, with exactly so many positive cases."""
    y, p = drawn(8000, slope, shift)
    kept = np.concatenate([np.flatnonzero(y == 1)[:events], np.flatnonzero(y == 0)[: n - events]])
    return y[kept], p[kept]


@pytest.mark.parametrize(
    ("events", "kinds"),
    [
        (19, []),
        (20, ["identity", "temperature", "platt"]),
        (30, ["identity", "temperature", "platt", "beta"]),
        (100, ["identity", "temperature", "platt", "beta", "isotonic"]),
    ],
)
def test_what_is_tried_goes_by_the_patients_of_the_rarer_class(events: int, kinds: list[str]) -> None:
    y, p = cases_with(events)
    choice = choose_by_size(y, p, np.arange(len(y)))
    assert [each["kind"] for each in choice.candidates] == kinds
    assert choice.folds == (5 if kinds else 0)
    # Cases of the same patients are one: with two each, half as many patients decide.
    halved = choose_by_size(np.repeat(y, 2), np.repeat(p, 2), np.repeat(np.arange(len(y)), 2))
    assert [each["kind"] for each in halved.candidates] == kinds


def test_with_few_cases_the_temperature_alone_is_fitted_as_ever() -> None:
    y, p = cases_with(12)
    choice = choose_by_size(y, p, np.arange(len(y)))
    assert choice.chosen == Temperature(fit_temperature(y, np.column_stack([1 - p, p])).value)
    assert choice.reason == "temperature alone: the second commonest class has 12 patients, fewer than 20 to compare on"
    assert choice.warning == ""
    one = choose_by_size(np.ones(30, dtype=int), np.linspace(0.1, 0.9, 30), np.arange(30))
    assert one.chosen == Identity()
    assert one.warning == one.reason == "one class only among the cases: not calibrated"
    none = choose_by_size(np.zeros(0), np.zeros(0), np.zeros(0))
    assert none.chosen == Identity()
    assert none.warning == "only 0 labelled cases, fewer than 20: not calibrated"
    several = choose_by_size([0, 1, 2] * 10, np.full((30, 3), 1 / 3), np.arange(30))
    assert several.warning == "every class has the same probability in every case: not calibrated"


def test_probabilities_that_rank_the_wrong_way_are_left_and_said() -> None:
    y, p = drawn(200, 1.0)
    choice = choose_by_size(1 - y, p, np.arange(200))
    assert choice.chosen.kind in ("identity", "temperature")
    reasons = {each["kind"]: each.get("reason") for each in choice.candidates}
    assert reasons["platt"].startswith("the probabilities do not rank these cases the right way")


def test_what_ships_is_readily_recalibrated_by_a_temperature_and_not_by_more() -> None:
    y, p = drawn(150, 0.7)
    careful, ready = (choose_map(y, p, np.arange(150), ready=ready) for ready in (False, True))
    losses = {each["kind"]: each["loss"] for each in ready.candidates}
    assert losses["temperature"] < losses["identity"]
    assert (careful.chosen.kind, ready.chosen.kind) == ("identity", "temperature")
    # Where no map has less log loss the probabilities are left.
    y, p = drawn(3000, 1.0, seed=3)
    found = choose_map(y, p, np.arange(3000), ready=True)
    losses = {each["kind"]: each["loss"] for each in found.candidates}
    assert (found.chosen.kind == "identity") == (min(losses, key=lambda kind: losses[kind]) == "identity")
