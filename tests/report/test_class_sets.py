from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semeion.report.class_sets import class_sets
from semeion.report.page import write_report


def figure(value: float | None, low: float | None = None, high: float | None = None, n: int = 40) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n, "n_patients": n, "method": "m"}


def rule(held: float, **more: Any) -> dict[str, Any]:
    return {
        "promise": "The set holds the truth.",
        "thresholds": [0.6, 0.6],
        "coverage": figure(held, held - 0.05, held + 0.04),
        "patient_coverage": figure(held, held - 0.05, held + 0.04),
        "size": figure(1.21, 1.1, 1.3),
        "singletons": figure(0.75, 0.7, 0.8),
        "several": figure(0.22, 0.2, 0.25),
        "empty": figure(0.03, 0.01, 0.05),
        "right_among_singletons": figure(0.94, 0.9, 0.97),
        "by_class": {
            "benign": {"coverage": figure(held + 0.01, 0.9, 0.99), "size": figure(1.2)},
            "malignant": {"coverage": figure(held - 0.02, 0.8, 0.95), "size": figure(1.3)},
        },
        "groups": {"site": {"north <b>": {"coverage": figure(0.777, 0.7, 0.85, 12), "size": figure(1.4)}}},
        "sizes": [],
        **more,
    }


def sets_of(held: float = 0.905, **more: Any) -> dict[str, Any]:
    return {
        "stated": 0.9,
        "method": "split conformal: thresholds",
        "scored": "p",
        "calibration": {"split": "calibration", "n": 60, "n_patients": 50, "patients_of_class": {}},
        "marginal": rule(held, expected={"low": 0.83, "high": 0.96}),
        "per_class": rule(held),
        **more,
    }


def page(build: ModuleType, folder: Path, sets: dict[str, Any]) -> str:
    return write_report(build.write_run(folder, build.binary() | {"sets": sets})).read_text(encoding="utf-8")


def test_sets_are_shown_with_what_was_stated_and_what_was_measured(build: ModuleType, tmp_path: Path) -> None:
    text = page(build, tmp_path / "run", {"test": sets_of()})
    assert '<section id="practice">' in text
    assert (
        "made to hold the truth of 90\u00a0% of patients; here they held that of 90\u00a0% (86\u00a0% to 94\u00a0%)"
        in text
    )
    assert "83\u00a0% to 96\u00a0% was to be expected" in text
    assert 'id="sets-0-title"' in text
    assert "stated: 0.90" in text
    assert "0.777" in text
    assert "north &lt;b&gt;" in text
    assert "Calibrated on 60 cases of 50 patients" in text
    assert "Nothing is promised for a subgroup" in text


def test_less_than_chance_explains_is_said_to_be_so() -> None:
    found = class_sets(sets_of(0.8), ["benign", "malignant"])
    assert found is not None
    assert "less than chance explains" in " ".join(found["lead"])


def test_the_reason_stands_where_no_set_was_made(build: ModuleType, tmp_path: Path) -> None:
    text = page(build, tmp_path / "run", {"test": {"stated": 0.9, "reason": "40 val patients are too few."}})
    assert "None were made: 40 val patients are too few." in text
    assert 'id="sets-0-title"' not in text


def test_sets_without_test_cases_are_said_to_be_unmeasured() -> None:
    kept = {key: {"promise": "P", "thresholds": [0.5, 0.5]} for key in ("marginal", "per_class")}
    found = class_sets({**sets_of(), **kept, "reason": "No test case."}, ["benign", "malignant"])
    assert found is not None
    assert (found["columns"], found["reason"]) == ([], "No test case.")
    assert found["remarks"][0].startswith("Calibrated on 60 cases")


def test_a_promise_that_is_lacking_has_its_reason() -> None:
    found = class_sets(sets_of(per_class={"reason": "5 patients with malignant calibrate."}), ["benign", "malignant"])
    assert found is not None
    assert len(found["columns"]) == 1
    assert "Made for each class by itself: 5 patients with malignant calibrate." in found["remarks"]


@pytest.mark.parametrize("n", [40, 30])
def test_patients_have_a_row_where_they_are_not_the_cases(n: int) -> None:
    sets = sets_of()
    for key in ("marginal", "per_class"):
        sets[key]["patient_coverage"] = figure(0.9, 0.8, 0.95, n)
    found = class_sets(sets, ["benign", "malignant"])
    assert found is not None
    assert found["coverage"][0]["name"].startswith("All patients") == (n == 30)
    assert [name for name, _ in found["picture"]] == ["All cases", "benign", "malignant", "north <b>"]


def test_evidence_without_sets_says_nothing_of_them() -> None:
    assert class_sets({}, ["a", "b"]) is None


def test_a_class_that_an_average_hides_is_named() -> None:
    sets = sets_of()
    sets["marginal"]["by_class"]["malignant"]["coverage"] = figure(0.65, 0.58, 0.71)
    found = class_sets(sets, ["benign", "malignant"])
    assert found is not None
    lead = " ".join(found["lead"])
    assert "they hold the truth of 65\u00a0% of the malignant cases; sets made for each class" in lead
    sets["per_class"]["by_class"]["benign"] |= {"expected": {"low": 0.97, "high": 0.99}}
    found = class_sets(sets, ["benign", "malignant"])
    assert found is not None
    assert "they hold benign less often than chance explains" in " ".join(found["lead"])


def test_answers_that_are_never_right_are_not_passed_over(build: ModuleType, tmp_path: Path) -> None:
    wrong = {"right_among_singletons": figure(0.0, 0.0, 0.1)}
    text = page(build, tmp_path / "run", {"test": sets_of(marginal=rule(0.9, **wrong))})
    assert "and it is the right one in 0\u00a0% of these" in text
