"""What the plans of several targets share: the division of the cases, and where they differ who gives way."""

from __future__ import annotations

import pytest

from semeion.errors import InputError
from semeion.plan.rules import BudgetTooSmall
from semeion.plan.schema import ValidationPlan
from semeion.study.options import RunOptions
from semeion.study.several_plans import JOINING, budget_of_all, share_of, shared_validations


def folds(number: int) -> ValidationPlan:
    return ValidationPlan(scheme="folds", folds=number, why={"scheme": "no split", "folds": "few cases"})


def test_all_targets_have_as_many_folds_as_the_poorest_allows() -> None:
    each = {"type": folds(5), "grade": folds(3)}
    found = shared_validations(each)
    assert [one.folds for one in found.values()] == [3, 3]
    assert found["type"].why["folds"] == "few cases; grade allows 3, and all targets share their folds"
    assert found["grade"].why["folds"] == "few cases"
    assert found["grade"].why["scheme"].endswith("the folds are drawn once for all targets")
    assert each["type"].folds == 5, "what was given is left as it was"


def test_a_given_split_is_everybodys() -> None:
    given = ValidationPlan(scheme="given", folds=0, why={})
    assert shared_validations({"type": given, "grade": given}) == {"type": given, "grade": given}
    with pytest.raises(InputError, match="no case of the split val has a grade, and those of other targets are there"):
        shared_validations({"type": given, "grade": folds(3)})


def test_what_is_left_is_shared_out_as_planned() -> None:
    assert share_of(JOINING + 90, [30.0, 30.0, 30.0]) == pytest.approx(30)
    assert share_of(JOINING + 90, [60.0, 600.0]) == pytest.approx(90 / 11)
    assert share_of(JOINING + 40, [7.0]) == pytest.approx(40), "the last has all that is left"
    assert share_of(1.0, [30.0, 30.0]) == 0


def test_a_budget_too_small_for_a_share_is_told_as_a_whole() -> None:
    """Of a minute half is used for reading; each of two targets needs one of its own."""
    too_small = BudgetTooSmall("the budget of 15 s leaves 0 steps a member", where="--budget", fix="allow at least 1m")
    too_small.seconds = 60.0
    with (
        pytest.raises(InputError, match="the budget of 60 s leaves 15 s for each of 2 targets") as refused,
        budget_of_all(RunOptions(budget=60.0), 15.0, 2),
    ):
        raise too_small
    assert refused.value.fix == "allow at least 3m, or name fewer targets"
