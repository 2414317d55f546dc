import numpy as np
import pandas as pd
import pytest

from semeion.cohort.cohort import Cohort, Target
from semeion.errors import InputError
from semeion.prepare.covariate_fit import covariate_kinds

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
