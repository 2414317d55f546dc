from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.audit.leak import link_of, target_leak
from semeion.cohort.cohort import CohortOptions, Target
from semeion.cohort.gather import gather

N = 80
Y = np.arange(N) % 2.0
RNG = np.random.default_rng(0)


def covariate(make_cohort, values, **more):
    return target_leak(make_cohort(N, x=values, covariates=("x",), **more))


@pytest.mark.parametrize(
    "values",
    [
        Y,
        1 - Y,
        Y * 7 - 3,
        ["benign" if y == 0 else " Malignant " if k % 3 else "MALIGNANT" for k, y in enumerate(Y)],
        pd.array([bool(y) for y in Y], dtype="boolean"),
        pd.Categorical(np.where(Y > 0, "M", "B")),
        np.where(Y > 0, RNG.normal(size=N), np.nan),
        [None if y == 0 else f"2020-01-{k % 28 + 1}" for k, y in enumerate(Y)],
    ],
)
def test_the_target_or_a_recoding_among_the_inputs_is_void(make_cohort, values):
    audit = covariate(make_cohort, values)
    assert audit.verdict == "void"
    assert "Covariate 'x' is the target or a recoding of it" in audit.advice
    assert audit.figures["association_x"] == 1
    assert audit.affected == frozenset()


def test_a_finer_coding_is_void(make_cohort):
    kinds = [
        ("cyst", "fibroadenoma")[k // 2 % 2] if y == 0 else ("ductal", "lobular")[k // 2 % 2] for k, y in enumerate(Y)
    ]
    audit = covariate(make_cohort, kinds)
    assert audit.verdict == "void"
    assert "leaves no doubt about the target" in audit.advice


def test_a_threshold_that_nearly_tells_is_a_warning(make_cohort):
    audit = covariate(make_cohort, Y * 10 + RNG.normal(size=N))
    assert audit.verdict == "warn"
    assert "Covariate 'x' nearly determines the target" in audit.advice
    assert "known before the diagnosis" in audit.advice


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(60, 10, N),
        [f"id-{k}" for k in range(N)],
        np.arange(N),
        Y + RNG.normal(0, 0.5, N),
        ["same"] * N,
        [None] * N,
        np.where(RNG.random(N) < 0.3, np.nan, 1.0),
    ],
)
def test_honest_columns_are_clear(make_cohort, values):
    audit = covariate(make_cohort, values)
    assert audit.verdict == "clear"
    assert "No covariate tells the target." in audit.advice


def test_the_same_column_unused_is_a_note(make_cohort):
    audit = target_leak(make_cohort(N, x=1 - Y, unused=("x",)))
    assert audit.verdict == "note"
    assert "Column 'x', which is not an input, tells the target" in audit.advice
    assert target_leak(make_cohort(N, x=Y * 10 + RNG.normal(size=N), unused=("x",))).verdict == "clear"


def test_the_target_column_itself(make_cohort):
    assert target_leak(make_cohort(N, covariates=("finding",))).verdict == "void"
    assert target_leak(make_cohort(N, finding=Y, covariates=("finding",))).verdict == "void"
    assert target_leak(make_cohort(N, finding=Y, unused=("finding",))).verdict == "clear"


def test_names_that_tell_are_warned_of(make_cohort):
    images = [f"/data/{'malignant' if y else 'benign'} ({k}).png" for k, y in enumerate(Y)]
    audit = target_leak(make_cohort(N, image=images))
    assert audit.verdict == "warn"
    assert "The file names tell the target" in audit.advice
    assert "No name enters the model" in audit.advice
    assert "--covariates" not in audit.advice
    assert audit.figures["share_told_by_file_names"] == 1
    ids = [f"{'m' if y else 'b'}_{k}" for k, y in enumerate(Y)]
    assert "The case ids tell the target" in target_leak(make_cohort(N, case_id=ids)).advice


@pytest.mark.parametrize(("share", "verdict"), [(0.8, "warn"), (0.5, "warn"), (0.25, "warn"), (0.05, "clear")])
def test_names_that_give_some_classes_away(make_cohort, share, verdict):
    n = 400
    y = np.arange(n) % 2
    shown = np.random.default_rng(0).random(n) < share
    names = [
        f"/data/{('ill' if one else 'well') if told else 'scan'}_{k}.png"
        for k, (one, told) in enumerate(zip(y, shown, strict=True))
    ]
    audit = target_leak(make_cohort(n, y=y * 1.0, image=names))
    assert audit.verdict == verdict
    if verdict == "warn":
        assert f"The file names of {audit.figures['share_told_by_file_names']:.0%} of the cases" in audit.advice


def test_names_of_sites_and_of_patients_give_nothing_away(make_cohort):
    n = 400
    y = np.arange(n) % 2
    sites = np.where(np.random.default_rng(1).random(n) < 0.3 + 0.4 * y, "north", "south")
    by_site = make_cohort(n, y=y * 1.0, image=[f"/data/{site}_{k}.png" for k, site in enumerate(sites)])
    assert target_leak(by_site).verdict == "clear"
    # A patient's cases are of one class, whoever is named: 20 of each.
    patient = np.arange(n) // 20
    named = [f"/data/{'abcdefghijklmnopqrstuvwxyz'[who]}_{k}.png" for k, who in enumerate(patient)]
    of_patients = make_cohort(
        n, y=patient % 2.0, image=named, patient_id=[f"p{who}" for who in patient], has_patients=True
    )
    assert target_leak(of_patients).figures["share_told_by_file_names"] == 0


@pytest.mark.parametrize(("wrong", "verdict"), [(0.0, "void"), (0.007, "warn"), (0.03, "warn"), (0.1, "clear")])
def test_a_recoding_with_some_cells_wrong(make_cohort, wrong, verdict):
    n = 300
    y = np.arange(n) % 2
    code = y.copy()
    rows = np.random.default_rng(2).permutation(n)[: round(wrong * n)]
    code[rows] = 1 - code[rows]
    audit = target_leak(make_cohort(n, y=y * 1.0, pathway=np.where(code, "B2", "A1"), covariates=("pathway",)))
    assert audit.verdict == verdict


def test_rows_of_an_archive_have_no_names(make_cohort):
    images = [f"/x.npz#{'a' if y else 'b'}_images[{k}]" for k, y in enumerate(Y)]
    assert target_leak(make_cohort(N, image=images)).verdict == "clear"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (lambda y: y * 3 + 1, "void"),
        (lambda y: -np.exp(y / 50), "void"),
        (lambda y: y + RNG.normal(0, 1, N), "warn"),
        (lambda y: y + RNG.normal(0, 30, N), "clear"),
        (lambda y: [f"text {k}" for k in range(N)], "clear"),
    ],
)
def test_measured_targets(make_cohort, values, verdict):
    y = np.random.default_rng(1).permutation(np.arange(float(N)))
    cohort = make_cohort(N, target=Target("ef", "regression"), y=y, x=values(y), covariates=("x",))
    assert target_leak(cohort).verdict == verdict


def test_one_label_of_several(make_cohort):
    target = Target("a,b", "multilabel", ("a", "b"))
    b = (np.arange(N) // 3 % 2).astype(float)
    b[:5] = np.nan
    cohort = make_cohort(N, target=target, x=1 - np.nan_to_num(b), covariates=("x",), **{"y.a": Y, "y.b": b})
    audit = target_leak(cohort)
    assert audit.verdict == "void"
    assert "'x' (label 'b')" in audit.advice


def test_several_classes_by_thresholds(make_cohort):
    y = np.arange(N) % 4.0
    target = Target("grade", "ordinal", ("0", "1", "2", "3"))
    audit = target_leak(make_cohort(N, target=target, y=y, x=y * 5 + RNG.random(N), covariates=("x",)))
    assert audit.verdict == "warn"


def test_a_handful_of_cases_says_nothing(make_cohort):
    assert target_leak(make_cohort(6, x=[0.0, 1] * 3, covariates=("x",))).verdict == "clear"


@given(st.permutations(range(4)), st.integers(0, 2**32 - 1))
def test_any_renaming_of_classes_is_a_recoding(order, seed):
    y = np.random.default_rng(seed).integers(0, 4, 60).astype(float)
    if len(np.unique(y)) < 2:
        return
    numbers = pd.Series([float(order[int(value)]) for value in y])
    texts = pd.Series([f"class {order[int(value)]}" for value in y])
    assert link_of(numbers, y, measured=False).kind == "recoding"
    assert link_of(texts, y, measured=False).kind == "recoding"


def test_real_file_names_tell_and_are_warned_of(data):
    audit = target_leak(gather(data / "busi" / "cases.csv", CohortOptions(target="finding")))
    assert audit.verdict == "warn"
    assert "file names" in audit.advice
