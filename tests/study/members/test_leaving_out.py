"""A member that cannot learn is left out with what goes by it; the run goes on while its fold has others."""

from __future__ import annotations

import pytest

from semeion.errors import TrainingFailed
from semeion.plan.covariate_rules import with_covariates
from semeion.plan.schema import Plan
from semeion.study.learning import Trained
from semeion.study.members.rounds import leave_out
from support.tiny import make_plan

ERROR = TrainingFailed("class number 1 has cases of one patient", where="member", fix="bring more")


def fused() -> Trained:
    """Return a plan of two folds: covariates, frozen features, both fused, and a network in each."""
    told = make_plan().model_dump(by_alias=True)
    told["recipes"] = {"frozen": {"kind": "frozen", "side": 32}}
    first = [{"name": f"frozen-{fold}", "recipe": "frozen", "fold": fold, "seed": 1, "steps": 0} for fold in (0, 1)]
    told["members"] = [*first, *told["members"]]
    plan = with_covariates(Plan.model_validate(told), {"age": "number"})
    return Trained(plan, planned=len(plan.members))


def test_what_goes_by_it_is_left_out_too_and_the_plan_stays_whole() -> None:
    done = fused()
    recipes = [member.recipe for member in done.plan.members if member.fold == 0]
    assert recipes == ["covariates", "frozen", "fused", None]
    index = next(number for number, one in enumerate(done.plan.members) if one.name == "frozen-0")
    leave_out(done, index, ERROR)
    assert [member.recipe for member in done.plan.members if member.fold == 0] == ["covariates", None]
    assert len([member for member in done.plan.members if member.fold == 1]) == 4
    assert done.planned == 6
    [note] = done.notes
    assert note.startswith("Member frozen-0 was left out, and with it fused") and ERROR.what in note
    Plan.model_validate(done.plan.model_dump(by_alias=True))


def test_the_last_one_of_its_fold_fails_the_run() -> None:
    done = fused()
    done.plan.members = [one for one in done.plan.members if one.recipe in ("frozen", "fused")]
    with pytest.raises(TrainingFailed, match="one patient"):
        leave_out(done, 0, ERROR)
