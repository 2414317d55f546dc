"""Values with units: one unit is read and shown, several are refused."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from semeion.cohort.cohort import CohortOptions, Target
from semeion.cohort.problems import Problems
from semeion.cohort.question import Question
from semeion.cohort.target import ask
from semeion.cohort.units import NO_UNIT, carried_units


def asked(
    values: list[str], *, task: str | None = "regression", expected: Target | None = None
) -> tuple[Question | None, Problems]:
    table = pd.DataFrame({"size": values}, dtype="str")
    table.index = pd.RangeIndex(2, 2 + len(values), name="row")
    problems = Problems("t.csv")
    return ask(table, ("size",), CohortOptions(target="size", task=task), problems, expected), problems  # type: ignore[arg-type]


def test_one_unit_is_read_and_shown() -> None:
    question, problems = asked(["12 ml", "13.5 mL", "7ml", "1e1 ml"])
    assert not problems.found and question is not None
    assert question.truth["y"].tolist() == [12.0, 13.5, 7.0, 10.0]
    assert question.target.unit == "ml" and "Every value is in ml." in question.target.why


def test_measurements_with_a_unit_are_inferred_as_such() -> None:
    question, problems = asked([f"{value + 0.5} mm" for value in range(20)], task=None)
    assert not problems.found and question is not None and question.target.task == "regression"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            ["12 ml", "3 cm", "14 ml"],
            "the values of size carry units that conflict: 'ml' in rows 2, 4; 'cm' in row 3",
        ),
        (["12 ml", "13", "14 ml"], "the values of size carry units that conflict: 'ml' in rows 2, 4; no unit in row 3"),
        (["12 mg", "13 Mg"], "the values of size carry units that conflict: 'mg' in row 2; 'Mg' in row 3"),
    ],
)
def test_units_that_conflict_name_the_rows(values: list[str], said: str) -> None:
    question, problems = asked(values)
    assert question is None
    assert problems.found == [(said, "write every value in one unit, with the unit behind each or behind none")]


def test_conflicting_units_are_no_classes() -> None:
    """Of a column whose task nobody named, too."""
    values = [f"{value + 0.5} {'ml' if value % 2 else 'cm'}" for value in range(20)]
    question, problems = asked(values, task=None)
    assert question is None and "carry units that conflict" in problems.found[0][0]


def test_numbers_with_a_word_of_their_own_each_are_classes() -> None:
    values = [f"{number} finding{number}" for number in range(11)] * 3
    question, problems = asked(values, task=None)
    assert not problems.found and question is not None and question.target.task == "multiclass"


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (["1,5 cm", "2,25 cm"], "cm"),
        (["5 %", "7.5%"], "%"),
        (["5 percent", "6 percent"], "percent"),
        (["12 ml", "12ml", " 13 mL "], "ml"),
        (["-3 HU", "+4HU"], "HU"),
    ],
)
def test_a_unit_may_stand_in_many_ways(values: list[str], unit: str) -> None:
    question, problems = asked(values)
    assert not problems.found and question is not None and question.target.unit == unit


@pytest.mark.parametrize(("option", "given"), [("labels", {"0": "x"}), ("order", ("1", "2"))])
def test_names_of_classes_are_not_dropped_beside_measured_values(option: str, given: Any) -> None:
    table = pd.DataFrame({"size": ["1.5", "2.5", "3.5"]}, dtype="str")
    options, problems = CohortOptions(target="size", task="regression", **{option: given}), Problems("t.csv")
    assert ask(table, ("size",), options, problems) is None
    assert problems.found[0][0] == f"--{option} is of classes, and size holds measured values"


def test_a_number_that_is_none_is_told_first() -> None:
    question, problems = asked(["12 ml", "about 3", "14 ml"])
    assert question is None and problems.found[0][0] == "size is no number: 'about 3' (row 3)"


def test_what_only_looks_like_a_unit_stays_a_name() -> None:
    column = pd.Series(["2D", "3D", "1st", "12ab"], dtype="str")
    found = carried_units(column)
    assert found.text.tolist() == column.tolist() and found.units == () and set(found.unit) == {NO_UNIT}
    question, problems = asked(["2D", "3D", "2D", "3D"], task=None)
    assert not problems.found and question is not None and question.target.classes == ("2D", "3D")


def test_a_model_is_weighed_in_its_own_unit() -> None:
    expected = Target("size", "regression", unit="ml")
    question, problems = asked(["1 cm", "2 cm"], expected=expected)
    assert question is None
    assert problems.found == [("the values of size are in 'cm', and the model measures in 'ml'", "convert them to ml")]
    for values in (["1 ml", "2 mL"], ["1", "2"]):
        question, problems = asked(values, expected=expected)
        assert not problems.found and question is not None and question.target.unit == "ml"
