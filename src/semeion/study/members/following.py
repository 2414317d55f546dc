"""Who learns next: the fold that had least, by a way that its own validation cases do not speak against."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.plan.members import member_name, member_seed, most_members
from semeion.plan.recipes import OWN, NetworkRecipe
from semeion.plan.schema import MemberPlan, Plan
from semeion.study.members.losses import case_losses, paired_gain

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

LEAST = 0.25
"""A further member is learned when at least this share of a full one's steps fits."""
OVERHEAD = 1.0
"""Seconds to export and compare a member."""
BEHIND = 1.64
"""Standard errors by which a way is worse than the best one when it is given up: one that is as good is given up by
chance once in twenty times."""

FEWEST_JUDGED = 10
"""Validation patients of a fold below which no way is given up: of a handful the standard error says nothing."""


@dataclass(frozen=True)
class Fold:
    """What is known of a fold.

    Attributes
    ----------
    number
        Of the fold; -1 of a given split.
    y, groups
        Reference standard and patient of its validation cases.
    said
        Member name to its output for them.
    seconds
        That its members have learned for.
    """

    number: int
    y: Floats
    groups: Rows
    said: dict[str, Floats]
    seconds: float


def ways_left(plan: Plan, fold: Fold) -> list[str | None]:
    """Return the recipes that learn by gradient and are not given up in a fold; None is the plan's own.

    A way is given up when the mean of its members is worse than that of the best way by more than `BEHIND` standard
    errors of the difference over patients: half of what is left would else be spent on it (successive halving;
    Jamieson and Talwalkar, AISTATS 2016). Only the fold's own validation cases are looked at, and with fewer than
    `FEWEST_JUDGED` patients among them every way stays.
    """
    by_recipe: dict[str | None, list[Floats]] = {}
    for member in plan.members:
        if member.fold == fold.number and member.name in fold.said:
            by_recipe.setdefault(member.recipe, []).append(fold.said[member.name])
    known = [name for name in (None, *plan.recipes) if name is None or isinstance(plan.recipes[name], NetworkRecipe)]
    # What has not been tried cannot be given up.
    tried = [name for name in known if name in by_recipe]
    if len(tried) < 2:
        return [name for name in known if name in by_recipe] or [None]
    if len(np.unique(fold.groups)) < FEWEST_JUDGED:
        return tried
    losses = {name: case_losses(np.mean(by_recipe[name], axis=0), fold.y, plan.target.task) for name in tried}
    best = min(tried, key=lambda name: float(np.nanmean(losses[name])))
    left: list[str | None] = []
    for name in tried:
        gain, error = paired_gain(losses[name], losses[best], fold.groups)
        if name == best or gain <= BEHIND * error:
            left.append(name)
    return left


def step_seconds(plan: Plan, facts: list[dict[str, Any]]) -> dict[str | None, float]:
    """Return what a step of each recipe takes, validation included: as its last member did, else as measured."""
    found: dict[str | None, float] = {}
    for name in (None, *plan.recipes):
        told = [one for one in facts if one["recipe"] == (name or OWN) and one["steps"]]
        if told:
            found[name] = float(told[-1]["seconds"]) / float(told[-1]["steps"])
        elif (name or OWN) in plan.budget.step_seconds:
            found[name] = plan.budget.step_seconds[name or OWN]
    return found


def next_member(
    plan: Plan,
    folds: list[Fold],
    seconds_left: float,
    seconds: dict[str | None, float],
    taken: Collection[str] = (),
    reading: Callable[[str | None, int], float] = lambda _recipe, _fold: 0.0,
) -> MemberPlan | str:
    """Return the next member, or why there is none: ``budget`` where nothing worth its overhead fits any more.

    Parameters
    ----------
    plan
        With the members so far; names and seeds of new ones go on from them.
    folds
        What is known of each.
    seconds_left
        For learning.
    seconds
        What a step of each recipe takes.
    taken
        Names besides those in the plan that no new member may have: of members that could not learn, and would fail
        again with the same seed.
    reading
        Seconds that one more member of a recipe and a fold will read at the end, when all have learned.
    """
    if len(plan.members) >= most_members(len(folds)):
        return "most members"
    fold = min(folds, key=lambda one: (one.seconds, one.number))
    counts = {
        name: sum(m.recipe == name and m.fold == fold.number for m in plan.members) for name in ways_left(plan, fold)
    }
    for name in sorted(counts, key=lambda name: (counts[name], name or "")):
        full = next((member.steps for member in plan.members if member.recipe == name), None)
        # A plan of frozen features alone has no way that could go on.
        if full is None or name not in seconds:
            continue
        affordable = int((seconds_left - OVERHEAD - reading(name, fold.number)) / seconds[name])
        if affordable < LEAST * full:
            continue
        known = {*taken, *(member.name for member in plan.members)}
        repeat = next(n for n in range(len(known) + 1) if member_name(name, fold.number, n) not in known)
        return MemberPlan(
            name=member_name(name, fold.number, repeat),
            recipe=name,
            fold=fold.number,
            seed=member_seed(plan.seed, repeat, fold.number, name),
            steps=max(1, min(affordable, full * 3 // 2)),
        )
    return "budget"
