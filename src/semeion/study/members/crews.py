"""Which crew learns the members of a plan."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from semeion.plan.schema import Plan
from semeion.study.folder import RunFolder
from semeion.study.members.crew import Crew, Here
from semeion.study.members.processes import Processes
from semeion.study.members.telling import STOP, TOLD


def crew_for(
    run: RunFolder,
    plan: Plan,
    jobs: int | None,
    cluster: str | None,
    stop: Callable[[], bool],
    log: Callable[[dict[str, Any]], None],
) -> Crew:
    """Return who learns: a cluster where one is named, else as many processes as the plan and the user allow.

    Parameters
    ----------
    run, plan
        Where and what.
    jobs
        How many members may learn at once at most.
    cluster
        Address of a Ray cluster, or ``auto``.
    stop, log
        As of :class:`semeion.study.members.crew.Here`.

    Raises
    ------
    InputError
        When the cluster cannot be used.
    """
    # A process that was killed left them, and a member that finishes here does not know of them.
    for name in (TOLD, STOP):
        for left in (run / "members").glob(f"*/{name}"):
            left.unlink(missing_ok=True)
    if cluster is not None:
        from semeion.study.members.cluster import join_cluster

        return join_cluster(run, plan, jobs, cluster, stop, log)
    processes = min(plan.parallel.processes, jobs or plan.parallel.processes)
    # A frozen program has no interpreter to start.
    if processes < 2 or not sys.executable:
        return Here(stop, log)
    return Processes(processes, stop, log, gpus_of(plan))


def gpus_of(plan: Plan) -> int:
    """Return how many GPUs torch sees where the plan trains on one, else 0."""
    if plan.training.device != "cuda":
        return 0
    from semeion.learn.throughput import gpus

    return gpus()
