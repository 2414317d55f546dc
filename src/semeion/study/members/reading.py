"""What members still have to look at when all have learned: the cases that figures are made of, each by every one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from semeion.plan.portfolio import FORWARD
from semeion.plan.recipes import OWN, FrozenRecipe, NetworkRecipe
from semeion.plan.schema import Plan
from semeion.plan.splits import Sides

LOOK = "look_seconds"
"""Key of ``member.json``: what a case costs to look at, of features that were taken for the first time."""


@dataclass
class Reading:
    """Seconds that are kept from learning, since members will still read test and held-out cases.

    A plan keeps them for the members that it names. Members that are added, that a search found, or that a user's plan
    has without a measurement, read as many cases each; without time for them a budget would not be kept.

    Attributes
    ----------
    reserve, covered
        What the plan keeps for the end, and the part of it that is for looking at cases.
    unseen
        Cases that nobody has looked at when all have learned: test cases, and those that calibrate sets.
    held_out
        Cases besides them that the members of each fold read at the end.
    seconds
        What a case costs to look at, by recipe, as members did.
    """

    reserve: float = 0.0
    covered: float = 0.0
    unseen: int = 0
    held_out: dict[int, int] = field(default_factory=dict)
    seconds: dict[str | None, float] = field(default_factory=dict)

    def saw(self, recipe: str | None, seconds: float | None) -> None:
        """Remember what a case cost a member; None where it looked at none."""
        if seconds is not None:
            self.seconds[recipe] = seconds

    def of_member(self, plan: Plan, recipe: str | None, fold: int) -> float:
        """Return the seconds that a member which learns by gradient reads at the end."""
        each = self.seconds.get(recipe)
        if each is None:
            each = _estimated(plan, recipe)
        return each * (self.unseen + self.held_out.get(fold, 0))

    def of_all(self, plan: Plan) -> float:
        """Return the seconds that all members of a plan read at the end; features of a case are taken once for all."""
        total = 0.0
        for name in {member.recipe for member in plan.members}:
            if name is not None and isinstance(plan.recipes[name], FrozenRecipe):
                total += self.seconds.get(name, 0.0) * self.unseen
        for member in plan.members:
            if isinstance(plan.recipe_of(member), NetworkRecipe):
                total += self.of_member(plan, member.recipe, member.fold)
        return total

    def keep(self, plan: Plan) -> None:
        """Let a plan under way keep the time that its members will read, where it is more than it was made with."""
        plan.budget.reserve = self.reserve + max(0.0, self.of_all(plan) - self.covered)


def reading_of(plan: Plan, sides: Iterable[Sides], cases: int) -> Reading:
    """Return what the members of a plan will read.

    Parameters
    ----------
    plan
        As it begins.
    sides
        Who learns, validates and is held out in each fold.
    cases
        Of the cohort; those on no side are test cases.
    """
    sides = list(sides)
    parts = [part for side in sides for part in (side.learn, side.validate, side.held_out)]
    known = len(np.unique(np.concatenate(parts))) if parts else 0
    return Reading(
        reserve=plan.budget.reserve,
        covered=plan.budget.reading,
        unseen=max(0, cases - known),
        held_out={side.fold: len(side.held_out) for side in sides},
    )


def _estimated(plan: Plan, recipe: str | None) -> float:
    """Return what a case should cost by the steps that were measured; 0 where none were."""
    way: Any = plan.recipes[recipe] if recipe is not None else plan
    step = plan.budget.step_seconds.get(recipe or OWN, 0.0)
    return FORWARD * step / int(way.training.batch)
