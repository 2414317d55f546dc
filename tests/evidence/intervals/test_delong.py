from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from semeion.evidence.intervals.delong import delong


def wins(positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Every positive against every negative, ties one half: (positives, negatives)."""
    high, low = score[positive][:, None], score[~positive][None, :]
    return np.asarray((high > low) + 0.5 * (high == low))


def by_definition(positive: np.ndarray, scores: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """Obuchowski's covariance from the table of all pairs, patient by patient."""
    models, patients = len(scores), np.unique(patient)
    m, n = positive.sum(), (~positive).sum()
    own10, own01 = patient[positive], patient[~positive]
    v10 = [wins(positive, score).mean(axis=1) for score in scores]
    v01 = [wins(positive, score).mean(axis=0) for score in scores]
    theta = [v.mean() for v in v10]
    found = np.zeros((models, models))
    i10, i01, i = len(np.unique(own10)), len(np.unique(own01)), len(patients)
    for r in range(models):
        for s in range(models):
            s10 = s01 = s11 = s11t = 0.0
            for k in patients:
                a = [(v10[q][own10 == k] - theta[q]).sum() for q in (r, s)]
                b = [(v01[q][own01 == k] - theta[q]).sum() for q in (r, s)]
                s10 += a[0] * a[1]
                s01 += b[0] * b[1]
                s11 += a[0] * b[1]
                s11t += a[1] * b[0]
            found[r, s] = i10 / ((i10 - 1) * m) * s10 / m + i01 / ((i01 - 1) * n) * s01 / n
            found[r, s] += i / (i - 1) * (s11 + s11t) / (m * n)
    return found


def drawn(seed: int, n: int, most: int, grid: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n), rng.integers(1, most + 1, n))
    positive = rng.random(len(patient)) < 0.4
    positive[patient == 0], positive[patient == 1], positive[patient == 2], positive[patient == 3] = 1, 1, 0, 0
    scores = rng.integers(0, grid, (2, len(patient))) / grid + 0.3 * positive
    return positive, scores, patient


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 25), st.integers(1, 4), st.sampled_from([4, 10**6]))
def test_the_covariance_is_that_of_the_definition(seed: int, n: int, most: int, grid: int) -> None:
    positive, scores, patient = drawn(seed, n, most, grid)
    found = delong(positive, scores, patient)
    for value, score in zip(found.values, scores, strict=True):
        assert value == pytest.approx(roc_auc_score(positive, score))
    np.testing.assert_allclose(found.covariance, by_definition(positive, scores, patient), atol=1e-12)
    order = np.random.default_rng(seed).permutation(len(positive))
    again = delong(positive[order], scores[:, order], patient[order] * 3 + 1)
    np.testing.assert_allclose(again.covariance, found.covariance, atol=1e-12)


def test_one_case_a_patient_is_delong() -> None:
    positive, scores, _ = drawn(0, 60, 1, 20)
    found = delong(positive, scores, np.arange(60)).covariance
    placed = [(wins(positive, score).mean(axis=1), wins(positive, score).mean(axis=0)) for score in scores]
    upper = np.cov([each[0] for each in placed]) / positive.sum()
    lower = np.cov([each[1] for each in placed]) / (~positive).sum()
    np.testing.assert_allclose(found, upper + lower, atol=1e-15)


def test_copies_of_cases_under_their_patients_change_nothing() -> None:
    positive, scores, _ = drawn(1, 50, 1, 10**6)
    once = delong(positive, scores, np.arange(50))
    twice = delong(np.tile(positive, 2), np.tile(scores, 2), np.tile(np.arange(50), 2))
    np.testing.assert_allclose(twice.covariance, once.covariance, rtol=1e-12)
    apart = delong(np.tile(positive, 2), np.tile(scores, 2), np.arange(100))
    assert apart.covariance[0, 0] < 0.6 * once.covariance[0, 0]


def test_the_paired_difference() -> None:
    positive, scores, patient = drawn(2, 80, 2, 10**6)
    found = delong(positive, scores, patient)
    value, ends = found.difference(0, 1)
    assert value == pytest.approx(found.values[0] - found.values[1])
    c = found.covariance
    half = 1.959963984540054 * np.sqrt(c[0, 0] + c[1, 1] - 2 * c[0, 1])
    assert ends == pytest.approx((value - half, value + half))
    same = delong(positive, scores[[0, 0]], patient)
    assert same.difference() == (0, None)


def test_the_interval_is_normal_about_the_logit_and_missing_where_nothing_varies() -> None:
    positive = np.array([True] * 4 + [False] * 4)
    score = np.array([0.9, 0.8, 0.7, 0.35, 0.4, 0.3, 0.2, 0.1])
    found = delong(positive, score[None], np.arange(8))
    half = NormalDist().inv_cdf(0.975) * math.sqrt(found.covariance[0, 0]) / (15 / 16 / 16)
    ends = [1 / (1 + math.exp(-(math.log(15) + side * half))) for side in (-1, 1)]
    assert found.interval() == pytest.approx(tuple(ends), rel=1e-12)
    assert delong(positive, positive[None] * 1.0, np.arange(8)).interval() is None
    assert delong(positive, score[None], np.array([0] * 4 + [1] * 4)).interval() is None
    one_class = delong(np.ones(3, dtype=bool), score[None, :3], np.arange(3))
    assert np.isnan(one_class.values[0])
    assert one_class.interval() is None
