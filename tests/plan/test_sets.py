from __future__ import annotations

from typing import Any

import pytest

from plan.made import cohort_of, fingerprint_of, machine_of
from semeion.errors import InputError
from semeion.plan.files import read_plan, write_plan
from semeion.plan.rules import Wishes, make_plan
from semeion.plan.schema import Plan, SetsPlan
from semeion.plan.sets import plan_sets


def facts_with(val: int, task: str = "binary", y: list[float] | None = None, **changed: Any) -> dict[str, Any]:
    n = 60 + val
    split = ["train"] * 40 + ["test"] * 20 + ["val"] * val
    return fingerprint_of(cohort=cohort_of(n, task, split=split, y=y, **changed))


def sets_of(facts: dict[str, Any]) -> SetsPlan:
    return make_plan(facts, machine_of(facts), Wishes()).sets


def test_a_third_of_enough_val_patients_is_set_aside() -> None:
    found = sets_of(facts_with(120))
    assert (found.coverage, found.share) == (0.9, 0.333)
    assert "of 120 val patients" in found.why["share"]


def test_patients_are_counted_and_not_cases() -> None:
    found = sets_of(facts_with(120, patients=[f"p{row // 2}" for row in range(180)]))
    assert found.share == 0
    assert "60 val patients are too few" in found.why["share"]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (facts_with(99), "99 val patients are too few to set a third aside (from 100 on)"),
        (facts_with(200, y=[0.0, 1.0] * 30 + [1.0] * 59 + [0.0] * 141), "59 val patients have 'malignant', and 60 are"),
        (fingerprint_of(60), "out-of-fold predictions calibrate"),
    ],
)
def test_where_none_is_set_aside_the_plan_says_why(facts: dict[str, Any], said: str) -> None:
    found = sets_of(facts)
    assert (found.coverage, found.share) == (0.9, 0)
    assert said in found.why["share"]


def test_several_classes_and_labels_need_enough_patients_alone() -> None:
    few = [0.0, 1.0, 2.0] * 20 + [0.0] * 118 + [1.0, 2.0]
    assert sets_of(facts_with(120, "multiclass", y=few)).share == 0.333
    assert sets_of(facts_with(120, "multilabel")).share == 0.333


def test_of_a_measured_value_the_same_patients_calibrate_intervals() -> None:
    found = sets_of(facts_with(150, "regression"))
    assert (found.coverage, found.share) == (0.9, 0.333)
    assert (
        found.why["share"]
        == "of 150 val patients; they calibrate the intervals and serve nothing else, the others choose"
    )
    few = sets_of(facts_with(60, "regression"))
    assert few.why["share"].endswith("who chose cannot calibrate: no intervals are made")


def test_what_is_asked_for_is_stated() -> None:
    facts = facts_with(150)
    found = make_plan(facts, machine_of(facts), Wishes(sets=0.95)).sets
    assert (found.coverage, found.share, found.why["coverage"]) == (0.95, 0.333, "asked for with --sets")
    none = make_plan(facts, machine_of(facts), Wishes(sets=0.0)).sets
    assert (none.coverage, none.share) == (None, 0)
    few = fingerprint_of(60)
    assert make_plan(few, machine_of(few), Wishes(sets=0.8)).sets.coverage == 0.8


@pytest.mark.parametrize(
    ("facts", "asked", "says"),
    [
        (facts_with(150), 0.99, "--sets: 49 patients calibrate sets, and a coverage of 0.99 takes 99; bring more"),
        (facts_with(150, "regression"), 0.99, "49 patients calibrate intervals, and a coverage of 0.99 takes 99"),
        (fingerprint_of(60), 0.99, "ask for 0.983 or less, or leave --sets out"),
    ],
)
def test_a_coverage_that_the_cohort_cannot_keep_is_refused(facts: dict[str, Any], asked: float, says: str) -> None:
    with pytest.raises(InputError) as caught:
        make_plan(facts, machine_of(facts), Wishes(sets=asked))
    assert says in str(caught.value)


def test_facts_of_an_earlier_version_set_nothing_aside() -> None:
    facts = facts_with(150)
    plan = make_plan(facts, machine_of(facts), Wishes())
    del facts["validation"]
    assert plan_sets(facts, plan.validation).share == 0


def test_a_plan_of_an_earlier_version_sets_nothing_aside(tmp_path: Any) -> None:
    facts = facts_with(150)
    plan = make_plan(facts, machine_of(facts), Wishes())
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml").sets == plan.sets
    old = plan.model_dump(by_alias=True)
    del old["sets"]
    assert Plan.model_validate(old).sets.share == 0


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ("{coverage: 1.0}", "sets.coverage"),
        ("{share: 0.7}", "sets.share"),
        ("{coverage: null, share: 0.3}", "without a coverage none are made"),
        ("{shares: 0.3}", "unknown key sets.shares"),
    ],
)
def test_a_share_that_cannot_be_is_refused_by_name(tmp_path: Any, sets: str, said: str) -> None:
    facts = facts_with(150)
    path = tmp_path / "plan.yaml"
    write_plan(make_plan(facts, machine_of(facts), Wishes()).model_copy(update={"sets": SetsPlan()}), path)
    text = path.read_text(encoding="utf-8")
    start, end = text.index("sets:"), text.index("budget:")
    path.write_text(f"{text[:start]}sets: {sets}\n{text[end:]}", encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_plan(path)


def test_with_folds_no_share_can_be_set_aside() -> None:
    facts = fingerprint_of(60)
    plan = make_plan(facts, machine_of(facts), Wishes()).model_dump(by_alias=True)
    plan["sets"]["share"] = 0.3
    with pytest.raises(ValueError, match="with folds there are none"):
        Plan.model_validate(plan)
