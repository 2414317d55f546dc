import pytest
from pydantic import ValidationError

from semeion.plan.covariate_rules import with_covariates
from semeion.plan.files import read_plan, write_plan
from semeion.plan.schema import Plan
from support.tiny import make_plan

KINDS = {"age": "number", "sex": "levels"}


def frozen_plan(scheme="folds"):
    plan = make_plan(scheme=scheme)
    fields = plan.model_dump(by_alias=True)
    fields["recipes"] = {"frozen": {"kind": "frozen", "side": 32}}
    folds = sorted({member.fold for member in plan.members})
    heads = [{"name": f"frozen{fold}", "recipe": "frozen", "fold": fold, "seed": 1, "steps": 0} for fold in folds]
    fields["members"] = [*fields["members"], *heads]
    return Plan.model_validate(fields)


@pytest.mark.parametrize(("scheme", "folds"), [("folds", [0, 1]), ("given", [-1])])
def test_covariates_alone_are_a_member_of_every_fold(scheme, folds, tmp_path):
    plan = with_covariates(make_plan(scheme=scheme), KINDS)
    own = [member for member in plan.members if member.recipe == "covariates"]
    assert [(member.fold, member.steps) for member in own] == [(fold, 0) for fold in folds]
    assert plan.covariates == KINDS
    assert "no frozen features are planned" in plan.recipes["covariates"].why["fused"]
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml") == plan


def test_with_frozen_features_a_fused_member_comes_after_them():
    plan = with_covariates(frozen_plan(), KINDS)
    assert [member.recipe for member in plan.members] == [
        *["covariates"] * 2,
        *["frozen"] * 2,
        *["fused"] * 2,
        *[None] * 2,
    ]
    assert plan.recipes["fused"].images == "frozen"
    assert len({member.seed for member in plan.members}) > 5


def test_without_covariates_a_plan_stays_as_it_is():
    plan = frozen_plan()
    assert with_covariates(plan, {}) is plan
    assert plan.covariates == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f["members"].reverse(), "goes by the recipe 'frozen', and no member of its fold before it"),
        (lambda f: f["recipes"]["fused"]["columns"].pop("sex"), "two recipes learn from different covariates"),
        (lambda f: f["recipes"]["fused"].update(columns={}), "at least 1 item"),
        (lambda f: f["recipes"]["fused"].update(learners=["forest"]), "'linear' or 'boosting'"),
        (lambda f: f["members"][0].update(steps=3), "does not learn by steps"),
        (lambda f: f["members"][0].update(name="images"), "a member is called 'images'"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(change, says):
    fields = with_covariates(frozen_plan(), KINDS).model_dump(by_alias=True)
    change(fields)
    with pytest.raises(ValidationError, match=says):
        Plan.model_validate(fields)
