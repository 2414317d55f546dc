"""What of the time for learning is a member's, when one or several learn at once."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from semeion.plan.distilling import distilling_seconds
from semeion.plan.portfolio import HEAD_SECONDS
from semeion.plan.recipes import OWN
from semeion.plan.schema import Plan
from semeion.plan.search import search_seconds
from semeion.study.clock import Clock
from semeion.study.members.following import OVERHEAD, step_seconds


@dataclass
class Abreast:
    """How many members learn at once, and until when the ones under way may, on the scale of :meth:`Clock.used`."""

    processes: int = 1
    ends: dict[str, float] = field(default_factory=dict)


def left_for_learning(plan: Plan, clock: Clock) -> float:
    """Return the seconds left for learning members; those of a search or of students that are yet to come are not."""
    yet = search_seconds(plan) + distilling_seconds(plan)
    return max(0.0, (clock.left() or 0.0) - plan.budget.reserve - yet)


def scaled_to_fit(each: Sequence[float], left: float, busy: Sequence[float] = (), processes: int = 1) -> float:
    """Return the factor for durations with which the last of them ends when `left` seconds are over.

    They are begun in their order, each as soon as one of `processes` is free (list scheduling; Graham, Bell System
    Technical Journal 45, 1966).

    Parameters
    ----------
    each
        Durations, in any unit.
    left
        Seconds.
    busy
        Seconds for which processes are still taken.
    """
    if processes == 1 and not busy:
        return left / sum(each)

    def over(factor: float) -> float:
        free = sorted(min(one, left) for one in busy)[: processes - 1] + [0.0] * max(1, processes - len(busy))
        heapq.heapify(free)
        return max(heapq.heapreplace(free, free[0] + factor * one) + factor * one for one in each)

    low, high = 0.0, left / max(each)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if over(middle) <= left else (low, middle)
    return low


def share(
    plan: Plan, facts: list[dict[str, Any]], index: int, clock: Clock, abreast: Abreast | None = None
) -> float | None:
    """Return the seconds that member `index`, about to start, may use; None without a budget.

    Its share of what is left for learning is fixed now, so that no later member is starved by an early slow one.
    """
    if plan.budget.seconds is None or clock.left() is None:
        return None
    abreast, seconds = abreast or Abreast(), step_seconds(plan, facts)
    waiting = [member for member in plan.members[index:] if member.name not in abreast.ends]
    if abreast.processes > 1:
        # Who waits for a teacher stands before others that are begun meanwhile.
        begun = {*abreast.ends, *(one["name"] for one in facts)}
        waiting += [member for member in plan.members[:index] if member.steps and member.name not in begun]
    # Of a plan that was never measured steps are all that is known.
    each = [member.steps * seconds.get(member.recipe, 1.0) if member.steps else HEAD_SECONDS for member in waiting]
    busy = [max(0.0, end - clock.used()) for end in abreast.ends.values()]
    return each[0] * scaled_to_fit(each, left_for_learning(plan, clock), busy, abreast.processes)


def lengthen(plan: Plan, facts: list[dict[str, Any]], index: int, clock: Clock, abreast: Abreast | None = None) -> None:
    """Give member `index` more steps, at most half as many again, where the machine is faster than was measured."""
    member, seconds = plan.members[index], step_seconds(plan, facts)
    if not any(one["recipe"] == (member.recipe or OWN) for one in facts):
        return
    possible = int(((share(plan, facts, index, clock, abreast) or 0.0) - OVERHEAD) / seconds[member.recipe])
    if possible > 1.1 * member.steps:
        member.steps = min(possible, member.steps * 3 // 2)
