"""An evaluation tells what abstaining did, and its headline figures are of all cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.model.findings import Finding
from semeion.study.abstained import gate_json
from semeion.study.rows import prediction_rows

QUESTION = Question("finding", "binary", ("benign", "malignant"), "malignant")


def case(number: int, status: str, *reasons: str) -> list[Finding]:
    return [Finding(str(number), "a.png", "finding", status, None, (0.5, 0.5), reasons, "hash")]


@pytest.fixture
def cohort() -> pd.DataFrame:
    return pd.DataFrame({"case_id": [str(n) for n in range(40)], "patient_id": [f"p{n // 2}" for n in range(40)]})


def predictions(cohort: pd.DataFrame) -> pd.DataFrame:
    y = np.arange(40) % 2
    right = np.where(np.arange(40) < 30, y, 1 - y)  # the last ten are all wrong
    p = np.stack([1 - 0.8 * right - 0.1, 0.8 * right + 0.1], axis=1)
    base = cohort.assign(site="", split="external", fold=-1, member="ensemble")
    return prediction_rows(base, "finding", "binary", ["benign", "malignant"], y.astype(float), p, p)


def test_statuses_reasons_and_figures_of_the_cases_called(cohort: pd.DataFrame) -> None:
    findings = {str(n): case(n, "called", "size-far: 2 x 2") for n in range(30)}
    findings |= {str(n): case(n, "unsure", "features-far: 3") for n in range(30, 38)}
    findings |= {str(n): case(n, "not_applicable", "modality-differs: CT", "features-far: 9") for n in (38, 39)}
    found = gate_json(cohort, findings, predictions(cohort), QUESTION, OperatingPoints("youden", 0.5))
    assert found["statuses"] == {"called": 30, "unsure": 8, "not_applicable": 2}
    assert found["reasons"] == {"features-far": 10, "modality-differs": 2}
    assert set(found["meanings"]) == set(found["reasons"])
    marked = found["marked"]
    assert (marked["value"], marked["n"], marked["n_patients"]) == (0.25, 40, 20)
    assert marked["low"] < 0.25 < marked["high"]
    assert found["metrics"]["accuracy"]["value"] == 1.0 and found["metrics"]["accuracy"]["n"] == 30


def test_where_all_are_called_their_figures_are_the_headline(cohort: pd.DataFrame) -> None:
    findings = {str(n): case(n, "called") for n in range(40)}
    found = gate_json(cohort, findings, predictions(cohort), QUESTION, OperatingPoints("youden", 0.5))
    assert found["metrics"] == {} and found["marked"]["value"] == 0.0
    none = gate_json(
        cohort,
        {key: case(0, "unsure") for key in findings},
        predictions(cohort),
        QUESTION,
        OperatingPoints("youden", 0.5),
    )
    assert none["metrics"] == {} and none["marked"]["value"] == 1.0
