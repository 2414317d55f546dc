"""What cannot be distilled into one network is refused, with what to leave out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plan.made import cohort_of
from semeion.cohort.cohort import Cohort, Target
from semeion.errors import InputError
from semeion.study.distilled import refuse_distilling, refuse_planned_otherwise
from semeion.study.options import RunOptions

ASKED = RunOptions(ship="distilled")
CASES = cohort_of()


@pytest.mark.parametrize(
    ("cohort", "options", "what"),
    [
        (replace(CASES, target=Target("mask", "segmentation", ("lesion",))), ASKED, "networks that outline are not"),
        (replace(CASES, structures={"rv": 1}), ASKED, "a diagnosis from measurements"),
        (replace(CASES, covariates=("age", "sex")), ASKED, "sees images alone, and the ensemble would go by age, sex"),
        (CASES, replace(ASKED, network="mine:Net"), "a network of your own is not taught"),
    ],
)
def test_what_one_network_cannot_say_is_refused(cohort: Cohort, options: RunOptions, what: str) -> None:
    with pytest.raises(InputError, match=what) as refused:
        refuse_distilling(cohort, options)
    assert refused.value.where == "--ship distilled"
    assert refused.value.fix and "leave" in refused.value.fix
    refuse_distilling(cohort, replace(options, ship="single"))


def test_pictures_are_distilled_and_a_plan_must_have_a_student() -> None:
    refuse_distilling(CASES, ASKED)
    refuse_planned_otherwise(ASKED, "distilled")
    refuse_planned_otherwise(RunOptions(), "distilled")
    with pytest.raises(InputError, match="the plan ships a single member, and has no student"):
        refuse_planned_otherwise(ASKED, "single")
    single = replace(ASKED, ship="single")
    refuse_planned_otherwise(single, "single")
    with pytest.raises(InputError, match="ships one network that learned from the ensemble, and not a single member"):
        refuse_planned_otherwise(single, "distilled")


def test_the_option_is_kept_for_a_resume() -> None:
    assert RunOptions.from_json(ASKED.to_json()).ship == "distilled"
