"""Measures whether several members should learn at once, before a plan is made for so many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from semeion.artefacts import write_json
from semeion.parallel import usable_cores
from semeion.plan.networks import Candidate
from semeion.plan.rules import DEFAULT_BUDGET, Machine
from semeion.plan.schema import Plan
from semeion.progress import Progress

LEAST_BUDGET = 240.0
"""Seconds of a budget from which on it is measured: starting the processes takes some of them."""


def sees(plan: Plan, candidate: Candidate) -> bool:
    """Tell whether a candidate is of the kind of the plan's network and sees images as large as that does."""
    size, side = tuple(plan.preparation.size or ()), getattr(plan.network, "side", None)
    if len(size) < 3:
        return tuple(candidate.size) == size
    if candidate.kind != plan.network.kind:
        return False
    return max(candidate.size[1:]) == side if side is not None else tuple(candidate.size) == size


def measured_beside(
    machine: Machine, plan: Plan, file: Path | None, jobs: int | None, budget: float | None, progress: Progress
) -> Machine:
    """Return the machine with what the plan's network loses beside itself, where that is worth a measurement.

    Parameters
    ----------
    machine, plan
        As measured, and the plan that was made for one member at a time.
    file
        Where the measurement is kept.
    jobs
        How many members may learn at once.
    budget
        Seconds of the run; None takes the usual ones.
    progress
        For the bar.
    """
    from semeion.learn.pace import measure_beside
    from semeion.learn.throughput import machine_to_json

    cores = usable_cores()
    networks = [
        entry
        for entry in machine.measured
        if list(entry.candidate.widths) == getattr(plan.network, "widths", None) and sees(plan, entry.candidate)
    ]
    members = [member for member in plan.members if member.steps]
    small = (budget or DEFAULT_BUDGET) < LEAST_BUDGET
    if machine.beside or small or machine.device != "cpu" or (jobs or cores) < 2 or len(members) < 2 or not networks:
        return machine
    progress.start("measuring members side by side", 1)
    measured = measure_beside(
        networks[0].candidate,
        plan.target.task,
        plan.target.classes,
        plan.shape[0],
        groups=plan.images.groups,
        bfloat16=plan.training.precision == "bfloat16",
        threads=machine.threads,
        cores=cores,
        most=jobs or cores,
    )
    progress.finish()
    found = replace(machine, beside=tuple(measured))
    if file is not None and measured:
        write_json(file, machine_to_json(found))
    return found
