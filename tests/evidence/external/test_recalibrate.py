from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from semeion.calibration import logit
from semeion.errors import InputError
from semeion.evidence.calibration.choice import held_out, log_losses
from semeion.evidence.external.recalibrate import (
    TRIED,
    Intercept,
    drawn_folds,
    patients_needed,
    weigh_recalibration,
)
from semeion.evidence.intervals.drawing import checked_cases


def shifted(n, seed, *, slope=1.0, intercept=0.0, per_patient=1):
    """Return truths and probabilities whose true probability is ``sigmoid(slope * logit(p) + intercept)``."""
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 1.5, n)
    y = rng.random(n) < 1 / (1 + np.exp(-(slope * score + intercept)))
    return y.astype(int), 1 / (1 + np.exp(-score)), np.arange(n) // per_patient


def test_the_intercept_is_the_one_of_greatest_likelihood():
    y, p, _ = shifted(3000, 0, intercept=1.0)
    n1, n0 = y.sum(), (1 - y).sum()
    target = np.where(y == 1, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))

    def loss(a):
        eta = logit(p) + a
        return (np.logaddexp(0, eta) - target * eta).sum()

    found = Intercept.fit(y, p)
    assert found.value == pytest.approx(minimize_scalar(loss).x, abs=1e-6)
    assert found.value == pytest.approx(1.0, abs=0.15)
    assert found.apply(p) == pytest.approx(1 / (1 + np.exp(-(logit(p) + found.value))))
    assert found.to_json() == {"kind": "intercept", "value": found.value}


@pytest.mark.parametrize(
    ("y", "message"), [([0, 1] * 5, "only 10 cases, fewer than 20"), ([1] * 30, "one class only among the cases")]
)
def test_cases_that_bear_no_intercept_are_refused(y, message):
    with pytest.raises(InputError, match=message):
        Intercept.fit(y, np.linspace(0.1, 0.9, len(y)))


def test_a_shift_in_the_large_is_mended_by_the_simplest_map_and_nothing_is_applied():
    y, p, patient = shifted(900, 1, intercept=-1.2, per_patient=2)
    found = weigh_recalibration(y, p, patient, resamples=200)
    assert found["applied"] is False
    assert (found["n"], found["n_patients"], found["folds"]) == (900, 450, 5)
    assert found["best"] == "intercept"
    intercept = found["maps"]["intercept"]
    assert abs(found["before"]["calibration_intercept"]["value"]) > 0.8
    assert abs(intercept["after"]["calibration_intercept"]["value"]) < 0.2
    assert intercept["difference"]["brier"]["high"] < 0
    assert intercept["difference"]["ici"]["high"] < 0
    # A temperature cannot move the whole: it does not help here.
    assert found["maps"]["temperature"]["after"]["brier"]["value"] > intercept["after"]["brier"]["value"]
    assert set(found["maps"]) == set(TRIED)


def test_noise_gains_nothing_on_patients_left_out():
    # Maps that are fitted and weighed on the same cases seem to gain; so do folds with the class balance of the whole.
    gains = {kind: [] for kind in ("intercept", "platt", "temperature")}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y, p = rng.integers(0, 2, 120), rng.uniform(0.4, 0.6, 120)
        cases = checked_cases(y, p, np.arange(120))
        fold = drawn_folds(cases, 5, seed)
        for kind, each in gains.items():
            try:
                held = held_out(kind, cases, fold, 5, TRIED)
            except InputError:
                continue
            each.append((log_losses(cases.y, cases.p) - log_losses(cases.y, held)).mean())
    assert np.mean(gains["intercept"]) < 0
    assert np.mean(gains["temperature"]) < 0.003


def test_a_patient_is_never_on_two_sides():
    cases = checked_cases(*shifted(300, 9, per_patient=3))
    fold = drawn_folds(cases, 5, 0)
    assert all(len(set(fold[cases.patient == k])) == 1 for k in range(cases.n_patients))
    assert np.ptp(np.bincount(fold)) <= 3


def test_a_well_calibrated_model_is_left_alone():
    y, p, patient = shifted(600, 4)
    found = weigh_recalibration(y, p, patient, resamples=50)
    assert found["best"] is None
    assert "no map lowers the log loss" in found["reason"]


def test_how_many_patients_it_takes():
    y, p, patient = shifted(1200, 5, intercept=-1.5)
    needed = patients_needed(checked_cases(y, p, patient), "intercept")
    assert [each["patients"] for each in needed["tried"]] == [25, 50, 100, 200, 400]
    assert needed["patients"] in (25, 50, 100)
    gains = [each["gain"] for each in needed["tried"]]
    assert gains[-1] > 0.1
    none = patients_needed(checked_cases(*shifted(400, 6)), "isotonic")
    assert none["patients"] is None
    few = patients_needed(checked_cases(*shifted(30, 7)), "intercept")
    assert (few["tried"], few["patients"]) == ([], None)


def test_several_classes_bear_a_temperature():
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 1, (500, 3))
    true = np.exp(raw / 2) / np.exp(raw / 2).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(3, p=row) for row in true])
    p = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    found = weigh_recalibration(y, p, np.arange(500), resamples=100)
    assert list(found["maps"]) == ["temperature"]
    assert found["best"] == "temperature"
    assert found["maps"]["temperature"]["map"]["value"] == pytest.approx(2, abs=0.5)
    assert found["maps"]["temperature"]["difference"]["brier"]["value"] < 0


def test_too_few_patients_of_a_class_are_not_tried():
    y, p, patient = shifted(60, 8)
    y[:] = 0
    y[:3] = 1
    found = weigh_recalibration(y, p, patient, resamples=20)
    assert (found["best"], found["folds"], found["maps"]) == (None, 0, {})
    assert "3 patients, fewer than 5 folds" in found["reason"]
    with pytest.raises(InputError, match="1 folds"):
        weigh_recalibration(y, p, patient, folds=1)


def test_one_class_alone_is_not_tried():
    y, p, patient = shifted(60, 8)
    found = weigh_recalibration(np.zeros_like(y), p, patient, resamples=20)
    assert found["best"] is None
    assert "0 patients" in found["reason"]
