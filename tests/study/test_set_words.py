from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plan.made import cohort_of
from semeion.cohort.cohort import Cohort, CohortOptions, Target
from semeion.errors import InputError
from semeion.evidence.use.sets import SetsAsked
from semeion.plan.schema import SetsPlan, ValidationPlan
from semeion.plan.sets import ASIDE
from semeion.progress import Silent
from semeion.study.options import RunOptions
from semeion.study.planning import plan_source
from semeion.study.road import start_run
from semeion.study.set_words import refuse_coverage, refuse_sets, sets_asked

GIVEN = ValidationPlan(scheme="given")


def test_the_plan_says_what_is_promised_and_why_nobody_calibrates() -> None:
    asked = sets_asked(SetsPlan(coverage=0.95, why={"share": "40 val patients are too few"}), GIVEN)
    assert asked == SetsAsked(0.95, "40 val patients are too few.")
    assert sets_asked(SetsPlan(coverage=None), GIVEN) is None


def test_a_plan_that_sets_nothing_aside_without_a_reason_still_has_one() -> None:
    asked = sets_asked(SetsPlan(), GIVEN)
    assert asked is not None
    assert asked.reason == "The plan sets no val cases aside, and who chose cannot calibrate: no sets are made."


def test_a_share_that_was_edited_does_not_keep_the_reason_of_the_old_one() -> None:
    stale = {"share": f"of 120 val patients; {ASIDE}, the others choose"}
    none = sets_asked(SetsPlan(share=0, why=stale), GIVEN)
    assert none is not None
    assert none.reason.startswith("The plan sets no val cases aside")
    # Where a share was to be set aside and nobody could be, the plan's reason would say that they do calibrate.
    lacking = sets_asked(SetsPlan(share=0.333, why=stale), GIVEN)
    assert lacking is not None
    assert lacking.reason.startswith("Too few val patients were not learned from")


def test_of_a_measured_value_intervals_are_spoken_of() -> None:
    asked = sets_asked(SetsPlan(), GIVEN, "regression")
    assert asked is not None
    assert asked.reason.endswith("who chose cannot calibrate: no intervals are made.")


def test_folds_that_are_sites_promise_nothing_for_new_cases() -> None:
    asked = sets_asked(SetsPlan(), ValidationPlan(scheme="folds", folds=3, by="hospital"))
    assert asked is not None
    assert asked.folds.startswith("Each fold is one hospital")
    drawn = sets_asked(SetsPlan(), ValidationPlan(scheme="folds", folds=3))
    assert drawn is not None
    assert drawn.folds == ""


def refused(cohort: Cohort, options: RunOptions) -> str:
    with pytest.raises(InputError) as caught:
        refuse_sets(cohort, options)
    return str(caught.value)


@pytest.mark.parametrize("share", [1.0, 1.5, -0.1, 90.0, float("nan")])
def test_a_share_that_cannot_be_is_refused_before_anything_is_read(share: float, tmp_path: Path) -> None:
    # The table says of no row what it needs, and its images are not there: to read it would be another error.
    table = tmp_path / "cohort.csv"
    table.write_text("image,finding\nnowhere.png,benign\n")
    options = RunOptions(CohortOptions(target="finding"), sets=share)
    for go in (
        lambda: start_run(table, options, tmp_path / "run", Silent()),
        lambda: plan_source(table, options, Silent()),
    ):
        with pytest.raises(InputError, match=r"--sets: sets that hold the truth of a share of .* give a share below 1"):
            go()
    assert not (tmp_path / "run").exists()


def test_a_share_beside_a_plan_is_refused_before_anything_is_read() -> None:
    with pytest.raises(InputError, match="stands in the plan; leave --sets out"):
        refuse_coverage(RunOptions(sets=0.95, plan="plan.yaml"))
    for asked in (None, 0.0, 0.95):
        refuse_coverage(RunOptions(sets=asked))


def test_sets_are_refused_where_nobody_would_read_them() -> None:
    masks = replace(cohort_of(20), target=Target("mask", "segmentation", ("liver",), values=(1,)))
    assert "the target has no classes" in refused(masks, RunOptions(sets=0.95))
    refuse_sets(cohort_of(20, "regression"), RunOptions(sets=0.95))
    for asked in (None, 0.0, 0.95):
        refuse_sets(cohort_of(), RunOptions(sets=asked))


def test_what_is_asked_is_remembered_for_a_resume() -> None:
    for asked in (None, 0.0, 0.95):
        written = RunOptions(sets=asked).to_json()
        assert ("sets" in written) == (asked is not None)
        assert RunOptions.from_json(written).sets == asked
