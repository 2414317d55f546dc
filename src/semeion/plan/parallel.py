"""How many members learn at once: as many as were measured to see more images together than one alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from semeion.plan.schema import MemberPlan, ParallelPlan

WORTH = 1.1
"""Images a second of several beside those of one, from which on several learn."""
SAFE_SHARE = 0.8
"""Share of the free memory that all processes together may need."""
NOT_MEASURED = "it was not measured whether several at once learn faster: a longer budget is, on more than one core"


@dataclass(frozen=True)
class Beside:
    """What so many processes took for a step of the chosen network when all were at it.

    Attributes
    ----------
    processes, threads
        How many, and threads of each.
    seconds
        Of one step in each.
    """

    processes: int
    threads: int
    seconds: float

    @property
    def rate(self) -> float:
        """Steps a second of all together."""
        return self.processes / self.seconds


def trials_of(threads: int, cores: int, most: int) -> list[tuple[int, int]]:
    """Return the processes and threads that are worth a measurement: one with all its threads, then 2, 4, 8 ...

    Parameters
    ----------
    threads
        Of one process, as they were chosen.
    cores
        That may be used.
    most
        Processes that may learn at once.
    """
    found, processes = [(1, threads)], 2
    while processes <= min(cores, most):
        found.append((processes, max(1, cores // processes)))
        processes *= 2
    return found


def choose_parallel(
    measured: Sequence[Beside], peak_gib: float, memory_gib: float, most: int = 256
) -> tuple[Beside | None, ParallelPlan]:
    """Return the measured number of processes that learns fastest, None for one; and what the plan says of it.

    Parameters
    ----------
    measured
        Of the chosen network, one process first; empty where nothing was measured.
    peak_gib
        Memory of one process with that network; this one keeps its own beside those that learn.
    memory_gib
        That is free.
    most
        Processes that may learn at once.
    """
    if len(measured) < 2:
        return None, ParallelPlan(why={"processes": NOT_MEASURED})
    alone = measured[0]
    fits = [one for one in measured if (one.processes + 1) * peak_gib <= SAFE_SHARE * memory_gib]
    several = [one for one in fits if 1 < one.processes <= most and one.rate >= WORTH * alone.rate]
    told = ", ".join(
        f"{one.processes} processes with {_threads(one.threads)} {one.rate / alone.rate:.2f}" for one in measured[1:]
    )
    told = f"times the images a second of one process with {_threads(alone.threads)}: {told}"
    if not several:
        room = "" if len(fits) == len(measured) else "; memory does not last for all of them"
        return None, ParallelPlan(why={"processes": f"{told}{room}"})
    best = max(several, key=lambda one: one.rate)
    return best, ParallelPlan(processes=best.processes, why={"processes": told})


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"


@dataclass(frozen=True)
class Together:
    """Members, who of them learn at once, and what a step of one then takes.

    Attributes
    ----------
    members, why
        Of the plan's own network.
    step_seconds
        Of one member while the others learn beside it.
    parallel
        What the plan says.
    threads
        Of each member.
    slots
        How many learn at once, those of other machines included.
    """

    members: list[MemberPlan]
    why: str
    step_seconds: float
    parallel: ParallelPlan
    threads: int
    slots: int = 1

    @property
    def seconds(self) -> float:
        """What the members take, one round after the other."""
        rounds = math.ceil(len(self.members) / self.slots)
        return rounds * max(member.steps for member in self.members) * self.step_seconds


def plan_together(
    make: Callable[[float, int], tuple[list[MemberPlan], str]],
    step_seconds: float,
    threads: int,
    least: int,
    measured: Sequence[Beside],
    peak_gib: float,
    memory_gib: float,
    *,
    most: int = 256,
    slots: int = 0,
    gpus: int = 1,
) -> Together:
    """Return the members of a plan, several at once where that lets the planned ones see at least as many images.

    Parameters
    ----------
    make
        Returns the members, and why, for the seconds of a step and how many learn at once.
    step_seconds, threads
        Of a member that learns alone.
    least
        Steps that a member needs.
    measured, peak_gib, memory_gib, most
        As of :func:`choose_parallel`.
    slots
        Members that a cluster learns at once, each as one alone here; 0 without a cluster.
    gpus
        Each has a member of its own.
    """
    members, why = make(step_seconds, max(1, slots or gpus))
    if slots:
        parallel = ParallelPlan(why={"processes": f"one on this machine alone; the cluster learns {slots} at once"})
        return Together(members, why, step_seconds, parallel, threads, slots)
    if gpus > 1:
        parallel = ParallelPlan(processes=gpus, why={"processes": f"{gpus} GPUs, one member on each"})
        return Together(members, why, step_seconds, parallel, max(1, threads // gpus), gpus)
    alone = Together(members, why, step_seconds, ParallelPlan(), threads)
    beside, parallel = choose_parallel(measured, peak_gib, memory_gib, most)
    if beside is None:
        return replace(alone, parallel=parallel)
    # On a machine that others use two may have had more of it than one: that does not last.
    slower = step_seconds * max(1.0, beside.seconds / measured[0].seconds)
    members, why = make(slower, beside.processes)
    together = Together(members, why, slower, parallel, beside.threads, beside.processes)
    if members[0].steps < least or sum(one.steps for one in members) < 0.999 * sum(one.steps for one in alone.members):
        fewer = f"{parallel.why['processes']}; but so few members would leave processes without work"
        return replace(alone, parallel=ParallelPlan(why={"processes": fewer}))
    return together
