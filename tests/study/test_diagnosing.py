"""Findings from measurements: honest whatever the networks that saw a case would say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.cohort.cohort import Cohort, Target
from semeion.cohort.roles import ImageRole
from semeion.errors import InputError
from semeion.plan.crossfit import CrossFit, cross_fit
from semeion.study.diagnosing import diagnose
from semeion.study.measuring import MeasuredCases
from support.hearts import FAILING, FEATURES, HEALTHY, measured_plan

N = 90


def cohort_of(y: np.ndarray) -> Cohort:
    n = len(y)
    table = pd.DataFrame(
        {
            "case_id": [f"c{row}" for row in range(n)],
            "patient_id": [f"p{row // 2}" for row in range(n)],
            "site": None,
            "split": None,
            "group": y,
        }
    )
    target = Target("group", "binary", (HEALTHY, FAILING), positive=FAILING)
    return Cohort(table, target, has_patients=True, source="c.csv", images=ImageRole("volume", "frames", ("ED", "ES")))


def plan_of() -> Any:
    return measured_plan(classifier={"kinds": ["boosting"]})


def setting(seed: int = 0, test: int = 0) -> tuple[np.ndarray, np.ndarray, CrossFit]:
    """Return labels of noise, patients and folds."""
    rng = np.random.default_rng(seed)
    y, groups = rng.integers(0, 2, N).astype(float), np.arange(N) // 2
    pool = np.arange(N - test)
    return y, groups, cross_fit(pool, (groups * 0).astype(np.int64), groups, folds=3, inner_share=0.2, seed=1)


def measured_of(fit: CrossFit, joint: np.ndarray, alone: dict[int, np.ndarray]) -> MeasuredCases:
    return MeasuredCases(
        features=tuple(FEATURES),
        joint=joint,
        alone=alone,
        reference=joint + 1.0,
        problems=tuple("" if np.isfinite(row).any() else "the left cavity is empty" for row in joint),
        overlap=pd.DataFrame(),
    )


def accuracy(table: pd.DataFrame) -> float:
    called = np.where(table[f"p_{FAILING}"] > 0.5, FAILING, HEALTHY)
    return float((called == table["y_true"]).mean())


def test_networks_that_saw_a_case_may_say_nothing_of_it() -> None:
    """Labels are noise, and every network tells the label of the cases it saw: nothing of that reaches a finding."""
    y, groups, fit = setting()
    rng = np.random.default_rng(2)
    joint = rng.normal(size=(N, len(FEATURES)))
    alone = {}
    for number, pair in enumerate(fit.pairs):
        told = np.repeat(10 * y[:, None], len(FEATURES), axis=1) + rng.normal(size=joint.shape)
        unseen = np.isin(fit.fold, pair)
        alone[number] = np.where(unseen[:, None], rng.normal(size=joint.shape), told)
    found = diagnose(plan_of(), cohort_of(y), y, groups, fit, measured_of(fit, joint, alone))
    table = found.predicted.table
    assert len(table) == N
    # Chance, within three standard deviations of a share of N.
    assert abs(accuracy(table) - 0.5) < 3 * 0.5 / np.sqrt(N)
    assert abs(table[f"p_{FAILING}"].corr(table["y_true"].eq(FAILING).astype(float))) < 0.3


def test_what_is_in_the_measurements_is_found() -> None:
    y, groups, fit = setting()
    rng = np.random.default_rng(3)

    def drawn() -> np.ndarray:
        x = rng.normal(size=(N, len(FEATURES)))
        x[:, 0] += 4 * y
        return x

    found = diagnose(plan_of(), cohort_of(y), y, groups, fit, measured_of(fit, drawn(), {n: drawn() for n in range(3)}))
    assert accuracy(found.predicted.table) > 0.85
    assert next(iter(found.evidence["importance"])) == FEATURES[0]
    assert sum(found.evidence["importance"].values()) == pytest.approx(1)
    first = found.drivers[found.drivers["rank"] == 1]
    assert (first["measurement"] == FEATURES[0]).mean() > 0.8
    assert set(first["class"]) == {HEALTHY, FAILING}
    assert found.evidence["agreement"]["oof"][FEATURES[0]]["bias"]["value"] == pytest.approx(-1)
    assert found.evidence["masks"] == {}


def test_a_case_that_cannot_be_measured_gets_no_finding_and_is_said() -> None:
    y, groups, fit = setting(test=6)
    rng = np.random.default_rng(4)
    x = rng.normal(size=(N, len(FEATURES))) + 4 * y[:, None]
    joint, alone = x.copy(), {n: x.copy() for n in range(3)}
    joint[[5, N - 1]] = np.nan
    joint[7, 1] = np.nan
    alone[0][11] = np.nan
    found = diagnose(plan_of(), cohort_of(y), y, groups, fit, measured_of(fit, joint, alone))
    table = found.predicted.table
    assert table["split"].value_counts().to_dict() == {"oof": N - 7, "test": 5}
    assert not {"c5", f"c{N - 1}"} & set(table["case_id"])
    assert found.evidence["unmeasured"] == {"oof": ["c5"], "test": [f"c{N - 1}"]}
    assert any("2 of 90 cases have no finding" in note and "left cavity is empty" in note for note in found.notes)
    assert any(note.startswith("1 measurements could not be taken") for note in found.notes)
    driver = found.drivers.query("case_id == 'c7' and measurement == @FEATURES[1]")
    assert driver["value"].isna().all()


def test_nothing_measured_at_all_is_refused() -> None:
    y, groups, fit = setting()
    x = np.random.default_rng(5).normal(size=(N, len(FEATURES)))
    measured = replace(measured_of(fit, x, dict.fromkeys(range(3), x)), joint=np.full_like(x, np.nan))
    with pytest.raises(InputError, match="nothing could be measured in any mask"):
        diagnose(plan_of(), cohort_of(y), y, groups, fit, measured)


def test_test_cases_change_no_held_out_finding_and_not_the_model() -> None:
    y, groups, fit = setting(test=10)
    rng = np.random.default_rng(6)
    x = rng.normal(size=(N, len(FEATURES))) + y[:, None]
    other, turned = x.copy(), y.copy()
    other[N - 10 :], turned[N - 10 :] = 50.0, 1 - y[N - 10 :]
    alone = dict.fromkeys(range(3), x)
    one, two = (
        diagnose(plan_of(), cohort_of(truth), truth, groups, fit, measured_of(fit, joint, alone))
        for joint, truth in ((x, y), (other, turned))
    )
    assert one.shipped.arrays == two.shipped.arrays
    assert one.predicted.shipped == two.predicted.shipped
    tables = [made.predicted.table.query("split == 'oof'") for made in (one, two)]
    pd.testing.assert_frame_equal(*tables)
