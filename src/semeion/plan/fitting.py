"""What of a plan must fit together: networks that begin with learned weights, and students with their teachers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semeion.plan.recipes import NetworkPlan, NetworkRecipe

if TYPE_CHECKING:
    from semeion.plan.schema import Plan


def refuse_students(plan: Plan) -> None:
    """Refuse students that have no teachers or no way to learn, and a network that ships and is not learned.

    Raises
    ------
    ValueError
        Saying which.
    """
    if (plan.combination.ship == "distilled") != (plan.distillation is not None):
        what = "no distillation says how" if plan.distillation is None else "combination.ship is not 'distilled'"
        raise ValueError(f"one network is to learn from the ensemble and ship, and {what}")
    if plan.distillation is None:
        return
    if plan.covariates:
        raise ValueError("a distilled network sees images alone, and this ensemble goes by covariates too")
    students = plan.distillation.students
    if sorted(one.fold for one in students) != sorted({member.fold for member in plan.members}):
        raise ValueError("distillation.students: every fold needs one student, and no other fold has any")
    for one in students:
        if one.recipe is not None and not isinstance(plan.recipes.get(one.recipe), NetworkRecipe):
            raise ValueError(f"student {one.name} has the recipe {one.recipe!r}, which is no network of the plan")
        if not one.steps:
            raise ValueError(f"student {one.name} learns by steps, and has none")


def refuse_starts(plan: Plan) -> None:
    """Refuse recipes that begin with weights that nobody makes, or with those of another network.

    Raises
    ------
    ValueError
        Saying which.
    """
    started = {
        name: recipe
        for name, recipe in plan.recipes.items()
        if isinstance(recipe, NetworkRecipe) and recipe.start == "pretraining"
    }
    if bool(started) != (plan.pretraining is not None):
        what = f"recipes.{next(iter(started))} starts from them" if started else "no recipe starts from them"
        has = "has no pretraining" if started else "has pretraining"
        raise ValueError(f"the plan {has}, and {what}")
    bodies = set()
    for name, recipe in started.items():
        network = recipe.network
        if not isinstance(network, NetworkPlan):
            raise ValueError(f"recipes.{name}: only networks of the kinds residual, residual3d and slices start so")
        bodies.add((network.kind, tuple(network.widths), network.blocks, network.stem_stride))
    if len(bodies) > 1:
        raise ValueError("recipes that start from pretraining have different bodies")
