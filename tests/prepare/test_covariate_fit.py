import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.cohort.cohort import Cohort, Target
from semeion.errors import InputError
from semeion.prepare.covariate_fit import covariate_kinds, fit_encoding, shared_quantile
from semeion.prepare.covariates import LEAST_PATIENTS, Number

N = 60
RNG = np.random.default_rng(0)
BINARY = Target("finding", "binary", ("benign", "malignant"), "malignant")


def cohort_of(site=None, **columns):
    table = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(N)],
            "patient_id": [f"p{k}" for k in range(N)],
            "site": pd.array([site(k) if site else None for k in range(N)], dtype="str"),
            "split": pd.array([None] * N, dtype="str"),
            "y": np.arange(N) % 2.0,
            **columns,
        }
    )
    return Cohort(table, BINARY, covariates=tuple(columns))


def kinds(learning=None, site=None, **columns):
    return covariate_kinds(cohort_of(site, **columns), np.ones(N, bool) if learning is None else learning)


def refused(learning=None, site=None, **columns):
    with pytest.raises(InputError) as error:
        kinds(learning, site, **columns)
    return str(error.value)


def test_what_columns_hold():
    found = kinds(
        age=RNG.normal(60, 10, N),
        stage=RNG.integers(1, 5, N),
        smoker=["yes", "No", "", "yes"] * 15,
        coded=[0, 1, 1] * 20,
        flag=pd.array([True, False, None] * 20, dtype="boolean"),
        sex=["F", "M", "m", None] * 15,
        grade=pd.Categorical(["low", "high", "middle"] * 20),
        text=["7.5", "8", "", "9.25"] * 15,
    )
    assert found == {
        "age": "number",
        "stage": "number",
        "smoker": "yes-no",
        "coded": "yes-no",
        "flag": "yes-no",
        "sex": "levels",
        "grade": "levels",
        "text": "number",
    }


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([None] * N, "is empty in every case to learn from; leave it out of --covariates"),
        (["x"] * N, "has the one value 'x' in every case to learn from"),
        ([f"{k % 28 + 1}.3.2021" for k in range(N)], "holds dates; give a number instead, such as the age"),
        ([f"2021-03-{k % 28 + 1:02d}" for k in range(N)], "holds dates"),
        ([20210301 + k % 28 for k in range(N)], "holds dates"),
        (pd.date_range("2021-01-01", periods=N), "holds dates"),
        ([f"p{k}" for k in range(N)], "names the patients"),
        ([f"X{k * 7}q" for k in range(N)], "tells every case apart, as an identifier does"),
        (list(range(100, 100 + N)), "is a running number"),
        ([f"pain since {k // 2} days" for k in range(N)], "is free text (30 different values in 60 cases); code it"),
        (
            ["54", "61", "about 60", "70 y", "48", "77"] * 10,
            "holds numbers and words ('about 60' of case c2, '70 y'",
        ),
        ([f"l{k // 4}" for k in range(N)], "has no level that 5 patients share; join its levels"),
    ],
)
def test_what_no_model_should_see_is_named_with_what_to_do(values, says):
    assert f"--covariates: the covariate 'x' {says}" in refused(x=values)


def test_an_identifier_by_its_name():
    numbers = RNG.choice(10**6, N, replace=False)
    assert "tells every case apart" in refused(study_id=numbers)
    assert kinds(platelets=numbers) == {"platelets": "number"}


def test_the_site_is_none_however_it_is_coded():
    there = lambda k: "north" if k % 3 else "south"  # noqa: E731
    said = refused(site=there, scanner=[1 if k % 3 else 2 for k in range(N)])
    assert "the covariate 'scanner' tells the site of each case; leave it out of --covariates; `--by site`" in said
    assert kinds(site=there, sex=["F", "M"] * 30) == {"sex": "levels"}


def test_kinds_come_from_learning_cases_and_numbers_are_read_in_all():
    learning = np.arange(N) < 50
    assert kinds(learning, x=[1.5, 2.5] * 25 + [7.0] * 10) == {"x": "number"}
    assert "has the one value" in refused(learning, x=[1.0] * 50 + [2.0] * 10)
    assert "'old' of case c50" in refused(learning, x=[str(k % 9) for k in range(50)] + ["old"] * 10)
    # Two codes and a word: the word of a case that nobody learns from does not make levels of them.
    assert "numbers and words ('x' of case c50" in refused(learning, x=["1", "2"] * 25 + ["x"] * 10)
    assert kinds(learning, x=["0", "1"] * 25 + ["x"] * 10) == {"x": "yes-no"}


def test_all_that_is_wrong_is_said_at_once():
    said = refused(a=["x"] * N, b=pd.date_range("2021-01-01", periods=N), c=RNG.normal(size=N))
    assert "2 of the covariates cannot be learned from" in said
    assert "'a' has the one value 'x'" in said
    assert "'b' holds dates: give a number instead" in said


NUMBERS = st.lists(
    st.one_of(st.floats(-1e9, 1e9), st.integers(0, 100).map(float), st.floats(60, 61)), min_size=5, max_size=80
)


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e300, 1e307])
def test_numbers_of_any_size_have_a_quantile(size):
    for share in (0.05, 0.5, 0.95):
        assert np.isfinite(shared_quantile(np.sort(np.linspace(-1, 1, 12) * size), share))


@settings(deadline=None)
@given(NUMBERS, st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0]))
def test_a_quantile_that_ships_is_shared_by_five_patients(values, share):
    """Some width of rounding brings five patients to it, and it lies among those around the quantile."""
    each = np.sort(values)
    shown = shared_quantile(each, share)
    away = np.sort(np.abs(each - shown))[LEAST_PATIENTS - 1]
    # Whoever is rounded to it lies at most half a width away, and no width is wider than some times the largest number.
    assert away <= 10 * max(np.abs(each).max(), 1e-300)
    assert shown == 0 or (each == shown).sum() not in range(1, LEAST_PATIENTS)
    assert shown == float(f"{shown:.4g}")


def number(values, patients=None):
    patients = [f"p{k}" for k in range(len(values))] if patients is None else patients
    (column,) = fit_encoding({"x": values}, {"x": "number"}, patients).columns
    assert isinstance(column, Number)
    return column


def test_quantiles_are_about_those_of_the_cohort():
    values = RNG.normal(60, 10, 2000)
    found = number(values.tolist())
    np.testing.assert_allclose([found.low, found.fill, found.high], np.percentile(values, [5, 50, 95]), atol=0.5)
    ages = number(RNG.integers(20, 90, 1000).tolist())
    assert {ages.low % 1, ages.fill % 1, ages.high % 1} == {0}, "many share an age to the year"


@pytest.mark.parametrize("canary", [61.83, 987654.0, -73.19])
@pytest.mark.parametrize("patients", [10, 12, 21, 40])
def test_no_patients_own_value_ships(canary, patients):
    """Up to four patients with a value of their own, wherever it lies, are not told by the encoding."""
    rng = np.random.default_rng(patients)
    common = np.round(rng.normal(60, 12, patients), 2)
    for few in (1, 2, 4):
        values = common.copy()
        values[:few] = canary
        text = number(values.tolist()).model_dump_json()
        told = [float(part) for part in text.replace("}", "").replace(",", ":").split(":") if part[-1:].isdigit()]
        assert not set(told) & {float(value) for value in values}
        assert max(map(abs, told)) < 5000, "not even its size"


@pytest.mark.parametrize("patients", [6, 7, 9])
def test_of_a_fold_with_few_patients_the_furthest_is_not_told(patients):
    values = [*(60.0 + np.arange(patients - 1)), 987654.0]
    found = number(values)
    assert found.low == found.fill == found.high
    assert found.margin < 100
    # However far out it is, the same ships.
    assert found == number([*values[:-1], 543.21])


def test_where_most_have_one_number_the_others_still_tell_something():
    values = [0.0] * 150 + [3.0] * 6
    found = number(values)
    assert (found.low, found.fill, found.high) == (0, 0, 0)
    assert found.encode([3.0])[0, 0] == 3.0
    assert found == number([*values[:-1], 70000.0])
    assert number([0.0] * 150 + [3.0] * 4).margin == 0, "of four patients nothing is told"


def test_a_patient_of_many_cases_counts_once():
    values = [*np.linspace(40, 80, 20), *[95.37] * 200]
    patients = [*(f"p{k}" for k in range(20)), *["one"] * 200]
    found = number(values, patients)
    assert 50 < found.fill < 70
    assert found.high != 95.37


def test_of_too_few_patients_nothing_is_kept_and_the_column_is_refused():
    assert number([3.25, 7.125, 9.5, 11.0]).model_dump(include={"fill", "low", "high", "margin"}) == {
        "fill": 0.0,
        "low": 0.0,
        "high": 0.0,
        "margin": 0.0,
    }
    said = refused(psa=[4.0 + k if k < 9 else None for k in range(N)])
    assert "the covariate 'psa' is known of 9 patients to learn from, and a model that ships its usual range" in said
    assert kinds(psa=[4.0 + k % 7 if k < 10 else None for k in range(N)]) == {"psa": "number"}
