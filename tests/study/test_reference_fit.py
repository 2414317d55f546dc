"""Where training cases lie: limits hold their rate on others of the kind, and nothing of one patient ships."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.covariance import LedoitWolf

from semeion.errors import InputError
from semeion.model.gate_image import FEWEST_PATIENTS
from semeion.model.reference import MAX_COLUMNS, RATE, Distances, share_beyond
from semeion.prepare.covariate_fit import shared_quantile
from semeion.study.reference_fit import (
    Known,
    columns_of,
    fit_on,
    fit_space,
    held_out_distances,
    measured_range,
    per_patient,
    rounded,
    tail_of,
)

WIDTH = 30


def cases(n: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Features that vary in a few directions, of two classes."""
    random = np.random.default_rng(seed)
    basis = np.random.default_rng(99).normal(size=(4, WIDTH))
    label = random.integers(0, 2, n)
    inside = random.normal(size=(n, 4)) + 2 * label[:, None]
    return inside @ basis + 0.3 * random.normal(size=(n, WIDTH)) + shift, label


def known(n: int = 400, seed: int = 0, **change) -> Known:
    x, label = cases(n, seed)
    return Known(**({"features": x, "label": label, "patient": np.arange(n)} | change))


def fitted(given: Known, **change):
    return fit_space(given, "members/m0.onnx", WIDTH, columns_of(WIDTH), seed=0, **change)


def test_the_limit_marks_about_its_rate_of_others_of_the_kind_and_all_of_another():
    space, scores, rows = fitted(known())
    assert space is not None and len(scores) == len(rows) == 400 and space.patients == 400
    assert (scores > space.limit).mean() <= space.rate
    distances = Distances(space)
    marked = (distances.scores(cases(3000, 1)[0]) > space.limit).mean()
    assert marked <= 0.05
    other = np.random.default_rng(5).normal(size=(200, WIDTH)) * 4
    assert (distances.scores(other) > space.limit).mean() >= 0.95
    assert (distances.scores(other + 40) > space.far).all()
    assert np.isinf(distances.scores(np.full((1, WIDTH), np.nan))).all()


@pytest.mark.parametrize("patients", [FEWEST_PATIENTS, 120])
def test_the_limit_of_few_patients_holds_on_many_others(patients: int):
    rates = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        basis = random.normal(size=(8, WIDTH))

        def heavy(n: int, random=random, basis=basis) -> np.ndarray:
            return random.standard_t(6, (n, 8)) @ basis + 0.5 * random.standard_t(6, (n, WIDTH))

        given = Known(heavy(patients), random.integers(0, 2, patients), np.arange(patients))
        space, _, _ = fitted(given)
        rates.append((Distances(space).scores(heavy(500)) > space.limit).mean())
    assert np.mean(rates) <= 0.05


@pytest.mark.parametrize("patients", [40, 60, 1000])
def test_the_end_of_a_tail_is_kept_where_too_few_patients_reach_it(patients: int):
    beyond = []
    for seed in range(40):
        each = np.sort(np.random.default_rng(seed).normal(size=patients))
        beyond.append(1 - norm.cdf(tail_of(each, 0.025)))
    assert 0.01 <= np.mean(beyond) <= 0.04
    assert tail_of(np.zeros(patients), 0.025) == 0.0
    # With nothing left it is the fifth from the end, of few patients moved out as for the share of all limits.
    assert tail_of(each, 0.0) == (shared_quantile(each, 1.0) if patients == 1000 else tail_of(each, RATE))


def test_what_other_gates_mark_is_no_longer_left():
    spoken = np.zeros(400, dtype=bool)
    spoken[:10] = True
    after, scores, rows = fitted(known(), rate=0.05, spoken=spoken)
    assert (spoken[rows] | (scores > after.limit)).mean() <= 0.05


def test_the_covariance_is_that_of_ledoit_and_wolf_about_class_means():
    given = known(300)
    fit = fit_on(given, np.arange(300), 0)
    inside = (given.features - fit.mean) / fit.scale @ fit.projection.T
    centred = np.concatenate([inside[given.label == k] - inside[given.label == k].mean(0) for k in (0, 1)])
    np.testing.assert_allclose(fit.covariance, LedoitWolf(assume_centered=True).fit(centred).covariance_, atol=1e-6)
    np.testing.assert_allclose(fit.projection @ fit.projection.T, np.eye(len(fit.projection)), atol=1e-9)


def test_a_class_of_few_patients_has_no_mean():
    label = np.zeros(100, dtype=np.int64)
    label[:4] = 1
    assert len(fit_on(known(100, label=label), np.arange(100), 0).means) == 1
    label[:5] = 1
    assert len(fit_on(known(100, label=label), np.arange(100), 0).means) == 2
    assert len(fit_on(known(100, label=np.full(100, -1)), np.arange(100), 0).means) == 1


def test_no_case_is_measured_by_a_fit_that_saw_its_patient():
    patient = np.repeat(np.arange(50), 4)
    given = known(200, patient=patient)
    odd = given.features.copy()
    odd[patient == 7] += 25  # one patient alone lies far: a fit that saw it would find it nearer
    apart, rows = held_out_distances(Known(odd, given.label, patient), seed=0)
    mean = apart[patient[rows] == 7].mean(axis=0)
    assert (mean > apart[patient[rows] != 7].max(axis=0)).any()
    held = np.zeros(200, dtype=bool)
    held[patient >= 25] = True
    _, rows = held_out_distances(Known(odd, given.label, patient, held), seed=0)
    assert set(rows) == set(np.flatnonzero(held))
    # A copy of a case that the network learned from counts as its patient's, and sets no limit.
    shared = np.where(patient == 30, 3, patient)
    _, rows = held_out_distances(Known(odd, given.label, shared, held), seed=0)
    assert set(rows) == set(np.flatnonzero(held & (patient != 30)))


def test_nothing_of_a_single_patient_ships():
    given = known(200)
    plain, _, _ = fitted(given)
    moved = given.features.copy()
    moved[:3] *= 50  # three patients far out: no quantile tells by how much
    other, _, _ = fitted(Known(moved, given.label, given.patient))
    wild, _, _ = fitted(Known(np.where(np.arange(200)[:, None] < 3, moved * 7, moved), given.label, given.patient))
    assert max(other.quantiles.values()) < 50 and max(wild.quantiles.values()) < 50
    text = plain.model_dump_json()
    assert all(f"{value:.5g}" not in text for value in given.features[0])
    assert len(json.loads(text)["means"]) == 2


def test_too_few_patients_set_no_limit_and_none_at_all_are_refused():
    few = known(200, patient=np.arange(200) % (FEWEST_PATIENTS - 1))
    space, scores, rows = fitted(few)
    assert space is None and len(scores) == len(rows) == 0
    held = np.arange(200) < 20
    assert fitted(known(200, held=held))[0] is None
    with pytest.raises(InputError, match="there is no training case to say what the model's images look like"):
        fitted(known(0))


def test_it_repeats():
    assert fitted(known())[0] == fitted(known())[0]


def test_of_many_features_every_nth_is_taken():
    assert columns_of(5).tolist() == [0, 1, 2, 3, 4]
    assert len(columns_of(40_000)) <= MAX_COLUMNS and columns_of(40_000)[1] == 10
    assert rounded([[1 / 3, 0.0], [-1e-9, 12345678.9]]) == [[0.3333333, 0.0], [-1e-9, 12345680.0]]
    np.testing.assert_array_equal(per_patient(np.array([1.0, 5.0, 2.0]), np.array([3, 3, 9])), [2.0, 5.0])


def test_measurements_beyond_those_of_the_training_cases():
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 10))
    x[:, 3] = np.nan
    names = [f"m{k}" for k in range(10)]
    found = measured_range(x, names, np.arange(120), rate=0.025)
    assert found["features"] == [name for name in names if name != "m3"]
    kept = [k for k in range(10) if k != 3]
    assert (share_beyond(x[:, kept], found["low"], found["high"]) > found["limit"]).mean() <= 0.025
    assert share_beyond(np.full((1, 9), 9.0), found["low"], found["high"])[0] == 1.0
    assert measured_range(x[:20], names, np.arange(20), rate=0.025) is None
