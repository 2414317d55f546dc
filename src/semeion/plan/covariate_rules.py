"""Members that judge what is known of a patient besides images, for a plan that has the others already."""

from __future__ import annotations

from collections.abc import Mapping

from semeion.plan.members import member_name, member_seed
from semeion.plan.recipes import CovariatesRecipe, FrozenRecipe
from semeion.plan.schema import MemberPlan, Plan

ALONE, FUSED = "covariates", "fused"
"""Names of the recipes: covariates alone, and together with what frozen features say of the images."""


def with_covariates(plan: Plan, kinds: Mapping[str, str]) -> Plan:
    """Return a plan that also learns from covariates: alone, and fused with frozen features where it has such.

    Parameters
    ----------
    plan
        Of members that see images.
    kinds
        What each column holds; empty returns the plan as it is.
    """
    if not kinds:
        return plan
    columns = dict(kinds)
    why = {"columns": "named as inputs; what each holds was read from the cases to learn from"}
    recipes = {**plan.recipes, ALONE: CovariatesRecipe.model_validate({"columns": columns, "why": why})}
    frozen = next((name for name, recipe in plan.recipes.items() if isinstance(recipe, FrozenRecipe)), None)
    if frozen is not None:
        why = {"images": "one model weighs covariates and the verdict on the images against each other"}
        recipes[FUSED] = CovariatesRecipe.model_validate({"columns": columns, "images": frozen, "why": why})
    else:
        reason = "no frozen features are planned, so images and covariates meet in the weights of the members alone"
        recipes[ALONE].why["fused"] = reason
    folds = range(plan.validation.folds) if plan.validation.scheme == "folds" else (-1,)
    alone = [_member(plan, ALONE, fold) for fold in folds]
    first = [member for member in plan.members if frozen is not None and member.recipe == frozen]
    fused = [_member(plan, FUSED, fold) for fold in folds] if frozen is not None else []
    rest = [member for member in plan.members if member not in first]
    fields = {**plan.model_dump(by_alias=True), "recipes": {name: one.model_dump() for name, one in recipes.items()}}
    fields["members"] = [member.model_dump() for member in (*alone, *first, *fused, *rest)]
    return Plan.model_validate(fields)


def _member(plan: Plan, recipe: str, fold: int) -> MemberPlan:
    seed = member_seed(plan.seed, 0, fold, recipe)
    return MemberPlan(name=member_name(recipe, fold, 0), recipe=recipe, fold=fold, seed=seed, steps=0)
