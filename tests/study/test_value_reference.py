"""What ships of values: exact where it may be told, and never less than five patients'."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.cohort.cohort import Cohort, Target
from semeion.model.values import SHARES
from semeion.prepare.covariates import Levels, Number, YesNo
from semeion.study.value_reference import covariate_reference, group_rows, measured_values, shared_quantiles


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=10, max_size=300))
def test_quantiles_are_means_of_five_neighbours_and_rise(numbers):
    each = np.sort(numbers)
    found = shared_quantiles(each)
    values = [found[share] for share in SHARES if share in found]
    assert values == sorted(values)
    means = np.convolve(each, np.full(5, 0.2), "valid")
    assert all(np.abs(means - value).min() <= 1e-3 * max(1.0, np.abs(each).max()) for value in values)
    assert "50" in found


@pytest.mark.parametrize(
    ("n", "given"),
    [(10, "25 50 75"), (20, "10 25 50 75 90"), (31, "5 10 25 50 75 90 95"), (200, " ".join(SHARES))],
)
def test_few_patients_have_few_quantiles(n, given):
    assert list(shared_quantiles(np.arange(float(n)))) == given.split()
    assert shared_quantiles(np.arange(101.0))["25"] == 25.0


def cohort(**columns):
    n = len(next(iter(columns.values())))
    classes = ("benign", "malignant")
    finding = [classes[row % 2] for row in range(n)]
    table = pd.DataFrame(
        {
            "case_id": [str(row) for row in range(n)],
            "patient_id": [f"p{row}" for row in range(n)],
            "site": None,
            "split": None,
            "image": "a.png",
            "mask": None,
            "y": [float(classes.index(name)) for name in finding],
            **columns,
        }
    )
    return Cohort(table=table, target=Target("finding", "binary", classes, "malignant"), flow=[])


def column_of(found, name):
    return next(one for one in found.columns if one.name == name)


def test_covariates_by_class_of_learning_cases_alone():
    age = np.arange(80.0)
    age[60:] = 1e6  # nobody learned from these
    sex = np.where(np.arange(80) % 4 < 2, "F", "M").astype(object)
    sex[[0, 1, 2]] = "zebra"
    smoker = np.where(np.arange(80) < 4, "yes", "no")
    columns = [
        Number(name="age", fill=30, low=3, high=57, margin=50),
        Levels(name="sex", levels=["F", "M"]),
        YesNo(name="smoker"),
    ]
    found = covariate_reference(cohort(age=age, sex=sex, smoker=smoker), np.arange(60), columns)
    assert found.groups == ["benign", "malignant"]
    told = column_of(found, "age").numbers["benign"]
    assert told.n == 30
    assert told.quantiles["50"] == pytest.approx(np.arange(0, 60, 2)[13:18].mean(), abs=2)
    assert max(told.quantiles.values()) < 60
    shares = column_of(found, "sex").shares
    # Two of the benign have a level that is not named: from F and M alone their number would follow.
    assert set(shares["benign"].shares) == {"M"} or set(shares["benign"].shares) == {"F"}
    assert column_of(found, "smoker").shares["benign"].shares == {}
    assert b"zebra" not in found.to_json()


def test_a_level_that_all_but_a_few_have_is_not_told():
    # Of twelve patients three have no F, and each of these has two cases.
    made = cohort(sex=np.array(["M"] * 6 + ["F"] * 9 + ["M"] * 9, dtype=object))
    patients = np.array([f"p{row}" for row in (*(0, 0, 1, 1, 2, 2), *range(3, 12), *range(3, 12))])
    made.table["patient_id"], made.table["y"] = patients, 0.0
    found = covariate_reference(made, np.arange(24), [Levels(name="sex", levels=["F", "M"])])
    assert found.columns[0].shares["benign"].shares == {"M": 1.0}


def test_a_patient_counts_once_and_few_are_not_told():
    x = np.r_[np.zeros(30), np.arange(9.0)][:, None]
    y = np.r_[np.zeros(30), np.ones(9)]
    patients = [f"p{row // 3}" for row in range(30)] + [f"q{row}" for row in range(9)]
    found = measured_values(x, ["a"], {"a": ("A", "ml")}, y, patients, "binary", ["c", "d"])
    (column,) = found.columns
    assert (column.title, column.unit) == ("A", "ml")
    assert column.numbers["c"].n == 10
    assert "d" not in column.numbers


def test_numbers_beyond_any_measurement_ship_cut():
    found = measured_values(
        np.full((12, 1), 1e99), ["a"], {"a": ("A", "")}, np.zeros(12), list("abcdefghijkl"), "binary", ["c", "d"]
    )
    assert found.columns[0].numbers["c"].quantiles["50"] == 1e30


def test_rows_of_labels_and_values():
    several = group_rows(np.array([[1.0, 0], [0, np.nan]]), "multilabel", ["a", "b"])
    assert {name: rows.tolist() for name, rows in several.items()} == {"a=1": [0], "a=0": [1], "b=1": [], "b=0": [0]}
    assert group_rows(np.array([1.0, np.nan]), "regression", [])["all"].tolist() == [0]
