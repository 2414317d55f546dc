"""How many cases trials of explanations can read in the time that they have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic

from semeion.explain.occlusion import MOST_RUNS
from semeion.explain.trial.removal import READINGS
from semeion.study.explained_reading import Side, TooLittleTime, Trial, as_they_are, sight_of

STEPS = 3
"""Steps of the cascade after the last layer alone, up to all layers."""
DRAWS = 4
"""Times that all layers are drawn anew at least, over all folds: of one draw the sign of a map is a matter of luck."""
FIRST = 8
"""Cases whose reading tells what the others cost."""
FASTER = 4
"""So many times as fast, at most, a network reads many pictures together as one."""


def seconds_a_case(trial: Trial, side: Side, seconds: float) -> float:
    """Return what the map of a case takes, seen on a few.

    Raises
    ------
    TooLittleTime
        When one reading shows that it takes longer than there is: of a map by occlusion every patch is a reading.
    """
    sight = sight_of(trial, side.members)
    one, fewest = trial.store.take(side.rows[:1]), min(trial.fewest, len(side.rows))
    sight.look(one)  # opens
    began = monotonic()
    sight.look(one)
    least = monotonic() - began
    if trial.method == "occlusion":
        least *= MOST_RUNS / FASTER
    if (need := least * fewest) > seconds:
        raise TooLittleTime(f"maps of {fewest} cases take about {need:.0f} s, more than the {seconds:.0f} s left")
    first = side.rows[: max(1, min(FIRST, int(seconds / FIRST / max(least, 1e-6))))]
    if trial.method == "activation":
        list(as_they_are(trial, sight, first))  # warms up
    began = monotonic()
    read = len(list(as_they_are(trial, sight, first)))
    return max((monotonic() - began) / read, 1e-6)


def affordable(trial: Trial, sides: Sequence[Side], began: float, each: float, seconds: float) -> int:
    """Return how many cases can be read in the time.

    Raises
    ------
    TooLittleTime
        When those would be too few.
    """
    total = sum(len(side.rows) for side in sides)
    draws = max(DRAWS, len(sides)) + STEPS * len(sides)
    opening = _opening_seconds(trial, sides[0])
    left = seconds - (monotonic() - began) - draws * opening
    per_case = each * (1 + 2 + STEPS + 1 + 1 + READINGS)
    n = min(total, math.floor(left / per_case))
    fewest = min(trial.fewest, total)
    if n < fewest:
        need = fewest * per_case + draws * opening
        raise TooLittleTime(f"the trials of {fewest} cases take about {need:.0f} s, more than the {seconds:.0f} s left")
    return n


def first_of(sides: Sequence[Side], n: int) -> list[Side]:
    """Return the sides with the first of their cases, each the same share of `n`; those without a case are left out."""
    total = sum(len(side.rows) for side in sides)
    return [side for side in (replace(one, rows=one.rows[: _part(one, n, total)]) for one in sides) if len(side.rows)]


def _part(side: Side, n: int, total: int) -> int:
    """Return how many of a side's cases are read where `n` of all are."""
    return math.ceil(len(side.rows) * n / total) if n < total else len(side.rows)


def _opening_seconds(trial: Trial, side: Side) -> float:
    """Return what it takes to draw the weights of a side's graphs anew and to open them, seen once."""
    began = monotonic()
    for graph in {member.graph for member in side.members}:
        trial.opened.engine(graph, 1, 1)
    trial.opened.forget({member.graph for member in side.members})
    return monotonic() - began
