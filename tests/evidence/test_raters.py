from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import cohen_kappa_score

from semeion.errors import InputError
from semeion.evidence.raters import agreement_of, alpha, cohen, fleiss, icc, majority, pairs, weigh_agreement

PSYCHIATRISTS = (
    *("00060", "03003", "01401", "00006", "03030", "20400", "00402", "20310", "20040", "00006"),
    *("10050", "11040", "03300", "10050", "02031", "00501", "30012", "51000", "02040", "10203"),
    *("00006", "01050", "02013", "20040", "10041", "05010", "40002", "02040", "10500", "00006"),
)
"""Fleiss 1971, table 1: of 30 patients, how many of six psychiatrists chose each of five diagnoses."""

N = np.nan
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
).T
"""Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: four observers, twelve units."""

JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)
"""Shrout and Fleiss 1979, table 2: six targets, four judges."""


def test_fleiss_example():
    readings = np.array(
        [[code for code, n in enumerate(row) for _ in range(int(n))] for row in PSYCHIATRISTS], dtype=float
    )
    assert readings.shape == (30, 6)
    assert fleiss(readings).value == pytest.approx(0.430, abs=5e-4)
    assert agreement_of(readings, "nominal").name == "kappa_fleiss"


def test_krippendorffs_example():
    assert alpha(OBSERVERS - 1).value == pytest.approx(0.743, abs=5e-4)
    assert alpha(OBSERVERS, squared=True).value == pytest.approx(0.849, abs=5e-4)
    assert agreement_of(OBSERVERS - 1, "nominal").name == "alpha"
    assert agreement_of(OBSERVERS - 1, "ordinal").name == "alpha_squared"


def test_shrout_and_fleiss_example():
    assert icc(JUDGES).value == pytest.approx(0.29, abs=5e-3)
    missing = np.vstack([JUDGES, [[5, np.nan, 5, 5]]])
    assert icc(missing).value == icc(JUDGES).value
    assert icc(JUDGES + 1e6).value == pytest.approx(icc(JUDGES).value)


@pytest.mark.parametrize("quadratic", [False, True])
@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40))
def test_two_readers_are_scikit_learns(quadratic, both):
    a, b = np.array(both, dtype=float).T
    found = cohen(a, b, quadratic=quadratic).value
    if len(set(a) | set(b)) < 2:
        assert np.isnan(found)
        return
    labels = list(range(int(max(a.max(), b.max())) + 1))  # distances are of grades, also of those nobody gave
    wanted = cohen_kappa_score(a, b, labels=labels, weights="quadratic" if quadratic else None)
    assert found == pytest.approx(wanted, nan_ok=True)


READINGS = arrays(np.float64, st.tuples(st.integers(2, 20), st.integers(2, 5)), elements=st.sampled_from([0, 1, 2, N]))


@settings(deadline=None, max_examples=50)
@given(READINGS, st.permutations(range(3)))
def test_names_of_classes_and_order_of_readers_do_not_matter(readings, names):
    renamed = np.where(np.isfinite(readings), np.array(names, dtype=float)[np.nan_to_num(readings).astype(int)], N)
    first = alpha(readings).value
    assert first == pytest.approx(alpha(renamed).value, nan_ok=True)
    assert first == pytest.approx(alpha(readings[:, ::-1]).value, nan_ok=True)
    assert np.isnan(first) or first <= 1 + 1e-12


@settings(deadline=None, max_examples=50)
@given(READINGS)
def test_complete_agreement_is_one_or_undefined(readings):
    same = np.repeat(np.nan_to_num(readings[:, :1]), 3, axis=1)
    for statistic in (alpha(same), fleiss(same), cohen(same[:, 0], same[:, 1])):
        found = statistic.value
        assert np.isnan(found) == (len(np.unique(same)) == 1)
        assert np.isnan(found) or found == pytest.approx(1)


def test_intervals_draw_patients_and_what_is_undefined_says_why():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 200)
    readings = np.column_stack([np.where(rng.random(200) < 0.85, truth, 1 - truth) for _ in range(2)]).astype(float)
    statistic = agreement_of(readings, "nominal")
    each = weigh_agreement(statistic, np.arange(200), resamples=300)
    assert each["low"] < each["value"] < each["high"]
    assert (each["n"], each["n_patients"], each["measure"]) == (200, 200, "kappa")
    twice = agreement_of(np.repeat(readings, 4, axis=0), "nominal")
    clustered = weigh_agreement(twice, np.repeat(np.arange(200), 4), resamples=300)
    naive = weigh_agreement(twice, np.arange(800), resamples=300)
    assert clustered["high"] - clustered["low"] == pytest.approx(each["high"] - each["low"], rel=0.25)
    assert naive["high"] - naive["low"] < 0.7 * (clustered["high"] - clustered["low"])
    same = weigh_agreement(agreement_of(np.ones((5, 2)), "nominal"), np.arange(5))
    assert (same["value"], same["reason"]) == (None, "all readings are the same")
    nobody = weigh_agreement(agreement_of(np.full((5, 2), N), "nominal"), np.arange(5))
    assert (nobody["value"], nobody["reason"], nobody["n"]) == (None, "no case has two readings", 0)
    one = weigh_agreement(statistic, np.zeros(200))
    assert (one["low"], one["reason"]) == (None, "no interval: fewer than 2 patients")


def test_pairs_and_majority():
    readings = np.array([[0, 0, 1], [1, 1, 1], [0, 1, 2], [2, N, N], [N, N, N]], dtype=float)
    assert [(a, b) for a, b, _ in pairs(readings, "nominal")] == [(0, 1), (0, 2), (1, 2)]
    assert majority(readings).tolist()[:2] == [0, 1]
    assert np.isnan(majority(readings)[[2, 4]]).all()
    assert majority(readings)[3] == 2
    assert np.isnan(majority(np.full((2, 2), N))).all()


def test_one_reader_is_refused():
    with pytest.raises(InputError, match="readings of shape \\(4, 1\\) are not of two readers or more"):
        agreement_of(np.zeros((4, 1)), "nominal")
