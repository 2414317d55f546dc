from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from semeion.errors import InputError
from semeion.evidence.use.conformal import class_scores, cross_sets, expected_coverage, fit_sets


def drawn(n: int, rng: np.random.Generator, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    p = rng.dirichlet(np.ones(k), n)
    return (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=k - 1), p


def test_coverage_follows_its_beta_distribution() -> None:
    rng = np.random.default_rng(0)
    y, p = drawn(20000, rng)
    found = []
    for _ in range(300):
        yc, pc = drawn(99, rng)
        sets = fit_sets(yc, pc, np.arange(99), coverage=0.9).sets(p)
        found.append(sets[np.arange(len(y)), y].mean())
    # 99 patients and 0.9: the 90th of 99 scores, coverage ~ beta(90, 10).
    expected = beta(90, 10)
    assert np.mean(found) == pytest.approx(expected.mean(), abs=4 * expected.std() / np.sqrt(300) + 0.002)
    low, high = expected.ppf([0.025, 0.975])
    assert np.mean((np.array(found) >= low) & (np.array(found) <= high)) > 0.9
    assert np.std(found) == pytest.approx(expected.std(), rel=0.2)


def test_aps_covers_at_least_what_is_promised() -> None:
    rng = np.random.default_rng(7)
    y, p = drawn(2000, rng, 5)
    found = []
    for _ in range(100):
        yc, pc = drawn(99, rng, 5)
        sets = fit_sets(yc, pc, np.arange(99), coverage=0.8, score="aps").sets(p)
        found.append(sets[np.arange(2000), y].mean())
        # A class is never in without those that are likelier.
        assert (np.diff(np.take_along_axis(sets, np.argsort(-p, axis=1), axis=1).astype(int), axis=1) <= 0).all()
    # Ties, at 1 for the least likely class, can only raise it.
    assert 0.79 < np.mean(found) < 0.85


def test_the_band_of_coverage_is_beta_binomial() -> None:
    low, high = expected_coverage(99, 20000, 0.9)
    assert (low, high) == pytest.approx(tuple(beta(90, 10).ppf([0.025, 0.975])), abs=1e-3)
    rng = np.random.default_rng(0)
    shares = rng.binomial(50, rng.beta(90, 10, 20000)) / 50
    assert expected_coverage(99, 50, 0.9) == pytest.approx(tuple(np.quantile(shares, [0.025, 0.975])), abs=0.021)


def test_the_threshold_is_the_stated_order_statistic() -> None:
    rng = np.random.default_rng(1)
    y, p = drawn(50, rng)
    rule = fit_sets(y, p, np.arange(50), coverage=0.8)
    scores = np.sort(1 - p[np.arange(50), y])
    assert rule.thresholds == (scores[int(np.ceil(51 * 0.8)) - 1],) * 3
    assert rule.n_patients == (50, 50, 50)
    np.testing.assert_array_equal(rule.sets(p), 1 - p <= rule.thresholds[0])
    written = json.loads(json.dumps(rule.to_json()))
    assert written["coverage"] == 0.8
    assert "every case of a new patient with a probability of at least 0.8" in written["promise"]


def test_exactly_enough_patients_are_accepted_in_spite_of_rounding() -> None:
    rng = np.random.default_rng(1)
    for coverage, n in ((0.9, 9), (0.95, 19), (0.8, 4), (0.7, 9)):
        y, p = drawn(n, rng)
        assert fit_sets(y, p, np.arange(n), coverage=coverage).n_patients[0] == n


def test_each_class_can_have_its_own_promise() -> None:
    rng = np.random.default_rng(2)
    y, p = drawn(4000, rng)
    # Class 2 is seen badly: its own probability is too small by far.
    p = p * np.array([1, 1, 0.05])
    p /= p.sum(axis=1, keepdims=True)
    patient = np.arange(2000)
    covered = {}
    for per_class in (False, True):
        rule = fit_sets(y[:2000], p[:2000], patient, coverage=0.9, per_class=per_class)
        sets = rule.sets(p[2000:])
        covered[per_class] = [sets[y[2000:] == k, k].mean() for k in range(3)]
    assert min(covered[False]) < 0.8
    assert all(abs(each - 0.9) < 0.03 for each in covered[True])
    assert sum(fit_sets(y[:2000], p[:2000], patient, per_class=True).n_patients) == 2000


def test_a_patient_gives_one_score() -> None:
    rng = np.random.default_rng(3)
    y, p = drawn(120, rng)
    patient = np.arange(120) // 3
    own = (1 - p[np.arange(120), y]).reshape(40, 3)
    rank = int(np.ceil(41 * 0.9)) - 1
    largest = fit_sets(y, p, patient)
    assert largest.n_patients == (40, 40, 40)
    assert largest.thresholds[0] == np.sort(own.max(axis=1))[rank]
    one = fit_sets(y, p, patient, rule="drawn", seed=5)
    assert one.thresholds[0] <= largest.thresholds[0]
    assert one.thresholds[0] in own
    assert one == fit_sets(y, p, patient, rule="drawn", seed=5)
    assert "a case drawn at random" in one.promise
    shuffled = rng.permutation(120)
    assert fit_sets(y[shuffled], p[shuffled], patient[shuffled]).thresholds == largest.thresholds


def test_all_cases_of_a_new_patient_are_held_as_promised() -> None:
    rng = np.random.default_rng(4)
    held, alone = [], []
    for _ in range(150):
        # Cases of a patient share their difficulty, so their scores go together.
        sharp = np.repeat(rng.uniform(0.2, 2, 160), 4)
        z = rng.normal(size=(640, 3)) * sharp[:, None]
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        y = (rng.random((640, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=2)
        patient = np.repeat(np.arange(160), 4)
        first, new = slice(0, 320), np.arange(320, 640)
        for rule, into in (("largest", held), ("drawn", alone)):
            sets = fit_sets(y[first], p[first], patient[first], coverage=0.8, rule=rule).sets(p[new])
            right = sets[np.arange(320), y[new]].reshape(80, 4)
            into.append(right.all(axis=1).mean() if rule == "largest" else right.mean())
    assert np.mean(held) == pytest.approx(0.8, abs=0.02)
    assert np.mean(alone) == pytest.approx(0.8, abs=0.02)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_scores_rank_classes_against_their_probability(seed: int, k: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.ones(k), 5)
    for score in ("lac", "aps"):
        found = class_scores(p, score)
        order = np.argsort(-p, axis=1)
        assert (np.diff(np.take_along_axis(found, order, axis=1), axis=1) >= 0).all()
    np.testing.assert_allclose(class_scores(p, "aps").max(axis=1), 1)
    assert class_scores(np.array([[0.25, 0.5, 0.25]]), "aps").tolist() == [[1, 0.5, 1]]


def test_cross_sets_are_the_definition_and_cover() -> None:
    rng = np.random.default_rng(5)
    y, p = drawn(60, rng)
    patient, fold = np.arange(60) // 2, (np.arange(60) // 2) % 5
    new = {k: drawn(40, rng)[1] for k in range(5)}
    found = cross_sets(y, p, patient, fold, new, coverage=0.8)
    own = (1 - p[np.arange(60), y]).reshape(30, 2).max(axis=1)
    for case in range(40):
        for k in range(3):
            worse = sum(own[i] < 1 - new[i % 5][case, k] for i in range(30))
            assert found.sets[case, k] == (worse < 0.8 * 31)
    assert found.promised == pytest.approx(1 - 0.4 - min(2 * 0.8 / 7, (1 - 5 / 30) / 6))
    assert "at the worst" in found.promise


def test_cross_sets_of_each_class_compare_it_with_its_own_patients() -> None:
    rng = np.random.default_rng(7)
    y, p = drawn(90, rng)
    patient, fold = np.arange(90) // 2, (np.arange(90) // 2) % 3
    new = {k: drawn(30, rng)[1] for k in range(3)}
    found = cross_sets(y, p, patient, fold, new, coverage=0.7, per_class=True)
    own = 1 - p[np.arange(90), y]
    promised = []
    for k in range(3):
        mine = {i: own[(patient == i) & (y == k)].max() for i in np.unique(patient[y == k])}
        for case in range(30):
            worse = sum(score < 1 - new[i % 3][case, k] for i, score in mine.items())
            assert found.sets[case, k] == (worse < 0.7 * (len(mine) + 1) - 1e-9)
        n = len(mine)
        assert found.n_patients[k] == n
        promised.append(1 - 0.6 - min(2 * (2 / 3) / (n / 3 + 1), (1 - 3 / n) / 4))
    assert found.promised == pytest.approx(max(0, min(promised)))
    assert "of new patients of each class have the truth of every case of that class" in found.promise
    with pytest.raises(InputError, match=r"patients with class 2 are too few for a coverage of 0\.7"):
        kept = (y != 2) | (np.arange(90) < 3)
        cross_sets(y[kept], p[kept], patient[kept], fold[kept], new, coverage=0.7, per_class=True)


def test_cross_sets_of_one_model_are_nearly_split_sets() -> None:
    rng = np.random.default_rng(6)
    y, p = drawn(400, rng)
    truth, new = drawn(4000, rng)
    found = cross_sets(y, p, np.arange(400), np.arange(400) % 4, dict.fromkeys(range(4), new), coverage=0.9)
    split = fit_sets(y, p, np.arange(400), coverage=0.9).sets(new)
    np.testing.assert_array_equal(found.sets, split)
    assert found.sets[np.arange(4000), truth].mean() == pytest.approx(0.9, abs=0.04)


FEW = "conformal sets: 8 calibration patients are too few for a coverage of 0.9, which takes 9; set more patients aside"


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (8, {}, FEW),
        (98, {"coverage": 0.99}, "98 calibration patients are too few for a coverage of 0.99, which takes 99"),
        (20, {"coverage": 1.0}, "conformal sets: a coverage of 1.0; give a number between 0 and 1, such as 0.9"),
        (20, {"coverage": float("nan")}, "a coverage of nan"),
        (20, {"score": "raps"}, "conformal sets: unknown score 'raps', did you mean 'aps'?; use lac or aps"),
        (20, {"rule": "mean"}, "conformal sets: unknown rule 'mean'; use largest or drawn"),
        (20, {"per_class": True}, "calibration patients with class"),
    ],
)
def test_what_cannot_calibrate_is_refused(n: int, options: dict[str, object], message: str) -> None:
    y, p = drawn(n, np.random.default_rng(0))
    with pytest.raises(InputError) as caught:
        fit_sets(y, p, np.arange(n), **options)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_cases_that_do_not_fit_are_refused() -> None:
    y, p = drawn(40, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"probabilities of shape \(2,\); give the probability of every class"):
        fit_sets([0, 1], [0.5, 0.5], [0, 1])
    with pytest.raises(InputError, match="a probability is not a number"):
        fit_sets([0], [[np.nan, 0.5]], [0])
    rule = fit_sets(y, p, np.arange(40))
    for wrong in (p[:, :2], p * np.nan, p[0]):
        with pytest.raises(InputError, match="or some not a number, for 3 classes; give the probability of every"):
            rule.sets(wrong)
    fold = np.arange(40) % 4
    new = dict.fromkeys(range(4), p)
    for patient, folds, models, message in (
        (
            np.arange(40),
            np.zeros(40, dtype=int),
            new,
            "1 folds among the cases, 4 models; give one model for each fold",
        ),
        (np.arange(40), fold, dict.fromkeys(range(3), p), "4 folds among the cases, 3 models"),
        (np.arange(40) // 2, fold, new, "a patient is in two folds; hold a patient's cases out together"),
        (np.arange(40), fold / 2, new, "not one whole number a case as fold"),
        (np.arange(40), fold, {**new, 3: p[:5]}, "the models disagree on how many new cases there are: 5, 40"),
        (np.arange(40), fold, {**new, 2: p[:, :2]}, "fold 2: probabilities of shape (40, 2), or some not a number"),
        (np.arange(40) % 4, fold, new, "4 calibration patients are too few for a coverage of 0.9"),
    ):
        with pytest.raises(InputError) as caught:
            cross_sets(y, p, patient, folds, models)
        assert message in str(caught.value)
    with pytest.raises(InputError, match="no new patient"):
        expected_coverage(99, 0, 0.9)
    with pytest.raises(InputError, match="5 calibration patients are too few"):
        expected_coverage(5, 10, 0.9)


def test_the_promise_of_each_class_is_not_one_of_all_classes_together() -> None:
    # A patient with cases of two classes: each is held with the stated probability, both with less.
    y, p = drawn(120, np.random.default_rng(6))
    told = "of the cases of each class by themselves"
    assert told in fit_sets(y, p, np.arange(120), per_class=True).promise
    assert told not in fit_sets(y, p, np.arange(120)).promise
