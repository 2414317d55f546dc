"""Runs a command and measures it from outside: wall time, and peak memory over its process tree."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import psutil


@dataclass(frozen=True)
class Measured:
    """One finished command; memory in MiB as the sum of proportional set sizes less clean file pages.

    `max_rss_mib` is the largest resident set of the command's own process, as the system counts it, clean file pages
    included: an upper bound that no sampling can miss.
    """

    status: int
    seconds: float
    peak_mib: float
    output: str
    max_rss_mib: float


def run(command: list[str], *, every: float = 0.02, limit: float = float("inf")) -> Measured:
    """Run `command` to its end, looking at its memory every `every` seconds; it is killed after `limit` seconds."""
    peak = 0.0
    over = threading.Event()
    began = perf_counter()
    with tempfile.TemporaryFile(mode="w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

        def watch() -> None:
            nonlocal peak
            while not over.wait(every):
                peak = max(peak, tree_mib(process.pid))
                if perf_counter() - began > limit:
                    process.kill()

        watcher = threading.Thread(target=watch)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - began
        over.set()
        watcher.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return Measured(process.returncode, seconds, peak, output.read(), usage.ru_maxrss / 1024)


def tree_mib(pid: int) -> float:
    """Return the memory of a process and its children in MiB."""
    try:
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(own_kib(process.pid) for process in tree) / 1024


def own_kib(pid: int) -> float:
    """Return proportional set size less clean file pages, in KiB, from ``smaps_rollup``."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except (OSError, ProcessLookupError):
        return 0.0
    values = {line.split(":")[0]: float(line.split()[1]) for line in lines if ":" in line}
    anonymous = values.get("Pss_Anon", 0.0) + values.get("Pss_Shmem", 0.0)
    # Dirty pages beyond the anonymous ones are changed file pages, which cannot be dropped either.
    return anonymous + max(0.0, values.get("Pss_Dirty", anonymous) - anonymous)
