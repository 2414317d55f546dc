"""Characteristics of the cases: which columns are compared, and that none names a patient."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from plan.made import cohort_of
from semeion.cohort.cohort import Cohort
from semeion.study.mix import _people


def with_columns(prefix: str, n: int = 40, **columns: Any) -> Cohort:
    cohort = cohort_of(n, patients=[f"{prefix}{k // 2}" for k in range(n)])
    return replace(cohort, table=cohort.table.assign(**columns), unused=tuple(columns))


def columns(first: int) -> dict[str, Any]:
    person = np.arange(40) // 2
    return {
        "record_number": first + person,
        "accession": [f"A{first + k}" for k in range(40)],
        "psa": 1.5 + person / 7,
        "weight": 60 + person // 3,
        "scanner": ["a", "b"] * 20,
        "StudyID": first + np.arange(40) // 4,
    }


def test_columns_that_tell_patients_apart_are_not_compared() -> None:
    other = with_columns("q", **columns(9000))
    traits, outside, inside = _people(with_columns("p", **columns(5000)), other.table)
    assert [trait.column for trait in traits] == ["psa", "weight", "scanner"]
    assert inside is not None
    for side in (outside, inside):
        assert "record_number" not in side
        assert "accession" not in side
    # A column that was declared is the user's wish.
    named = replace(with_columns("p", **columns(5000)), unused=(), covariates=("record_number",))
    assert [trait.column for trait in _people(named, None)[0]] == ["record_number"]
