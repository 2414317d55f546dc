"""The members of a plan: their names, seeds and steps."""

from __future__ import annotations

import math

import numpy as np

from semeion.plan.portfolio import Way
from semeion.plan.schema import MemberPlan, ValidationPlan

MOST_MEMBERS = 20
"""Of a run with a given split, and of one with few folds."""
MOST_A_FOLD = 6


def plan_members(
    validation: ValidationPlan,
    seconds: float,
    step_seconds: float,
    batch: int,
    wanted: float,
    seed: int,
    processes: int = 1,
) -> tuple[list[MemberPlan], str]:
    """Divide the learning seconds into members of equal steps, `processes` of which learn at once."""
    one = max(seconds, 0.0) / step_seconds * batch / wanted
    affordable = processes * one
    if validation.scheme == "folds":
        rounds = max(1, min(MOST_MEMBERS // validation.folds, int(affordable / validation.folds + 0.25)))
        places = [(fold, repeat) for repeat in range(rounds) for fold in range(validation.folds)]
    else:
        count = max(1, min(MOST_MEMBERS, int(affordable + 0.25)))
        if count > processes:
            # The last round leaves no process without work.
            count = (count + processes // 2) // processes * processes
        places = [(-1, repeat) for repeat in range(count)]
    share = one / math.ceil(len(places) / processes)
    steps = int(min(share, 3.0) * wanted / batch)
    members = [
        MemberPlan(
            name=member_name(None, fold, repeat),
            fold=fold,
            seed=member_seed(seed, repeat, fold),
            steps=max(steps, 1),
        )
        for fold, repeat in places
    ]
    return (
        members,
        f"the budget lasts for {affordable:.1f} members that see {wanted:.0f} images each; {len(members)} planned",
    )


def most_members(folds: int) -> int:
    """Return how many members a run has at most."""
    return max(MOST_MEMBERS, MOST_A_FOLD * folds)


def members_of(ways: list[Way], validation: ValidationPlan, seed: int) -> list[MemberPlan]:
    """Return the first member of each further way in each fold, the quickest way first."""
    folds = range(validation.folds) if validation.scheme == "folds" else (-1,)
    return [
        MemberPlan(
            name=member_name(way.name, fold, 0),
            recipe=way.name,
            fold=fold,
            seed=member_seed(seed, 0, fold, way.name),
            steps=way.steps,
        )
        for way in ways
        for fold in folds
    ]


def member_name(recipe: str | None, fold: int, repeat: int) -> str:
    """Return the name of a member; one of the plan's own network bears no recipe's."""
    parts = [recipe] if recipe else []
    parts += [f"fold{fold}"] if fold >= 0 else []
    return "-".join([*parts, f"seed{repeat}"])


def member_seed(seed: int, repeat: int, fold: int, recipe: str | None = None) -> int:
    """Return the seed of one member: runs of different seeds share none, nor do recipes."""
    entropy = [seed, repeat, fold + 1, *(recipe or "").encode()]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] % 2**31)
