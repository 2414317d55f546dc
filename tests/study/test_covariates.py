"""Which covariates a study accepts, and what a plan and a table must agree in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semeion.cohort.cohort import Cohort, CohortOptions, Target
from semeion.errors import InputError
from semeion.plan.covariate_rules import with_covariates
from semeion.study.covariates import (
    kinds_of,
    known_of,
    problems_of,
    refuse_covariates,
    refuse_other_covariates,
    with_planned,
)
from semeion.study.options import RunOptions
from support.tiny import make_plan

N = 60
RNG = np.random.default_rng(0)


def cohort_of(*covariates: str, target: Target | None = None) -> Cohort:
    table = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(N)],
            "patient_id": [f"p{k}" for k in range(N)],
            "site": pd.array(["north", "south", "south"] * 20, dtype="str"),
            "split": pd.array(["train", "train", "test"] * 20, dtype="str"),
            "y": np.arange(N) % 2.0,
            "age": RNG.normal(60, 10, N).round(1),
            "sex": ["f", "m", "m", "f", "f", "m"] * 10,
            "date": [f"2021-03-{k % 28 + 1:02d}" for k in range(N)],
        }
    )
    asked = target or Target("finding", "binary", ("benign", "malignant"), "malignant")
    return Cohort(table, asked, covariates=covariates)


def test_good_columns_are_taken_and_bad_ones_named() -> None:
    assert kinds_of(cohort_of("age", "sex")) == {"age": "number", "sex": "levels"}
    assert kinds_of(cohort_of()) == {}
    refuse_covariates(cohort_of("age"))
    assert problems_of(cohort_of("age")) == []
    with pytest.raises(InputError, match="2 of the covariates cannot be learned from"):
        refuse_covariates(cohort_of("age", "date", "site"))
    said = problems_of(cohort_of("age", "date", "site"))
    assert said[0].startswith("Training would refuse --covariates: 'date' holds dates: give a number instead")
    assert said[1].startswith("Training would refuse --covariates: 'site' tells the site of each case")


def test_what_is_held_out_is_no_input() -> None:
    with pytest.raises(InputError, match="'sex' is held out value by value, and also an input"):
        refuse_covariates(cohort_of("age", "sex"), "sex")
    refuse_covariates(cohort_of("age"), "sex")


def test_masks_are_not_made_with_covariates() -> None:
    with pytest.raises(InputError, match=r"masks are not made with covariates \(age\)"):
        refuse_covariates(cohort_of("age", target=Target("mask", "segmentation", ("rim",))))
    with pytest.raises(InputError, match="a diagnosis from measurements is not made with covariates"):
        refuse_covariates(replace(cohort_of("age"), structures={"lv": 1}))


def test_a_plan_and_a_table_agree() -> None:
    plain, aged = make_plan(), with_covariates(make_plan(), {"age": "number"})
    refuse_other_covariates(plain, cohort_of(), Path("plan.yaml"))
    refuse_other_covariates(aged, cohort_of("age"), Path("plan.yaml"))
    with pytest.raises(InputError, match=r"plan.yaml: the plan learns from no covariates, and --covariates names age"):
        refuse_other_covariates(plain, cohort_of("age"), Path("plan.yaml"))
    with pytest.raises(InputError, match="the plan learns from age, and --covariates names age, sex"):
        refuse_other_covariates(aged, cohort_of("age", "sex"), Path("plan.yaml"))
    other = with_covariates(make_plan(), {"sex": "number"})
    with pytest.raises(InputError, match="the plan has the covariate 'sex' as number, and the table holds levels"):
        refuse_other_covariates(other, cohort_of("sex"), Path("plan.yaml"))


def test_a_plan_names_its_covariates_where_no_option_does() -> None:
    aged = with_covariates(make_plan(), {"age": "number"})
    assert with_planned(RunOptions(), aged).cohort.covariates == ("age",)
    asked = RunOptions(CohortOptions(covariates=("sex",)))
    assert with_planned(asked, aged).cohort.covariates == ("sex",)
    assert with_planned(RunOptions(), None).cohort.covariates == ()


def test_what_is_known_of_each_case() -> None:
    known = known_of(cohort_of("age", "sex"), ("sex",))
    assert known["c1"] == {"sex": "m"}
    assert len(known) == N
