"""Whether several processes learn more together than one: measured, since memory and caches decide it.

``python -m semeion.learn.pace`` is one of the processes: it takes one step after the other for as long as it is told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from time import perf_counter
from typing import IO, Any

from semeion.plan.networks import Candidate
from semeion.plan.parallel import WORTH, Beside, trials_of

SECONDS = 1.2
"""Of each measurement."""


def measure_beside(
    candidate: Candidate,
    task: str,
    classes: list[str],
    channels: int,
    *,
    groups: int = 1,
    bfloat16: bool = False,
    threads: int,
    cores: int,
    most: int,
) -> list[Beside]:
    """Return what one, two, four ... processes take for a step of a network, as long as more of them pay.

    Parameters
    ----------
    candidate, task, classes, channels, groups, bfloat16
        The network and how it learns, as of :func:`semeion.learn.throughput.step_seconds`.
    threads
        Of a process that learns alone.
    cores
        That may be used.
    most
        Processes that may learn at once.

    Returns
    -------
    list
        One process first. Empty where there is nothing to compare, or where a process did not answer.
    """
    trials = trials_of(threads, cores, most)
    if len(trials) < 2 or not sys.executable:
        return []
    network = {
        "candidate": asdict(candidate),
        "task": task,
        "classes": classes,
        "channels": channels,
        "groups": groups,
        "bfloat16": bfloat16,
    }
    runners: list[subprocess.Popen[str]] = []
    found: list[Beside] = []
    try:
        for processes, each in trials:
            runners += [_runner(network) for _ in range(processes - len(runners))]
            if not all(_heard(runner) == "ready" for runner in runners[len(found) and found[-1].processes :]):
                return []
            seconds = _timed(runners[:processes], each)
            found.append(Beside(processes, each, seconds))
            if len(found) > 1 and found[-1].rate < WORTH * found[-2].rate:
                break
    except (OSError, ValueError):
        # What cannot be measured is not planned with; one process always works.
        return []
    finally:
        for runner in runners:
            runner.kill()
        for runner in runners:
            runner.communicate()
    return found


def _runner(network: dict[str, Any]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
    runner = subprocess.Popen(
        [sys.executable, "-m", "semeion.learn.pace"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,
    )
    print(json.dumps(network), file=runner.stdin, flush=True)
    return runner


def _heard(runner: subprocess.Popen[str]) -> str:
    if runner.stdout is None:
        raise ValueError("a process has no output")
    return runner.stdout.readline().strip()


def _timed(runners: list[subprocess.Popen[str]], threads: int) -> float:
    """Return the mean seconds of a step while all `runners` are at it."""
    for runner in runners:
        print(f"{threads} {SECONDS}", file=runner.stdin, flush=True)
    return sum(float(_heard(runner)) for runner in runners) / len(runners)


def serve(asked: IO[str], told: IO[str]) -> None:
    """Build the network of the first line, then answer each ``threads seconds`` with the seconds of a step."""
    import torch

    from semeion.learn.throughput import a_step

    network = json.loads(asked.readline())
    raw = network.pop("candidate")
    candidate = Candidate(**{**raw, "size": tuple(raw["size"]), "widths": tuple(raw["widths"])})
    step = a_step(candidate, device="cpu", **network)
    step()
    print("ready", file=told, flush=True)
    for line in asked:
        threads, seconds = line.split()
        torch.set_num_threads(int(threads))
        # The first step with other threads is slow everywhere.
        step()
        began, steps = perf_counter(), 0
        while not steps or perf_counter() - began < float(seconds):
            step()
            steps += 1
        print((perf_counter() - began) / steps, file=told, flush=True)


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
