"""Further processes of this machine that learn members, each with its own; one that dies takes no other with it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import sleep
from types import TracebackType
from typing import IO, Any

from semeion.study.members.crew import Ended, Stepped, died, member_there
from semeion.study.members.task import LearnTask
from semeion.study.members.telling import PEAK, Listening, error_of

EVERY = 0.1
"""Seconds between two looks at the members under way."""
PATIENCE = 10.0
"""Seconds that a process has to end when it is asked."""


@dataclass
class Worker:
    """A process, what it printed, and what it learns."""

    process: subprocess.Popen[str]
    printed: IO[str]
    task: LearnTask | None = None
    listening: Listening | None = None


class Processes:
    """Learns members in processes of this machine; they live as long as this does, so that torch is loaded once.

    No part of the program that trains is loaded in them again, so a user's script needs no main guard.

    Parameters
    ----------
    processes
        How many learn at once.
    stop, log
        As of :class:`semeion.study.members.crew.Here`.
    gpus
        GPUs of this machine that torch sees; with several, each process has one of them.
    """

    def __init__(
        self,
        processes: int,
        stop: Callable[[], bool],
        log: Callable[[dict[str, Any]], None],
        gpus: int = 0,
    ) -> None:
        self.processes, self._stop, self._log, self._gpus = processes, stop, log, gpus
        self.workers: dict[int, Worker] = {}
        self._peaks: dict[int, float] = {}

    @property
    def peak_gib(self) -> float:
        """Sum of the largest memory that each process had, in GiB."""
        return sum(self._peaks.values())

    def start(self, task: LearnTask, stepped: Stepped) -> None:
        """Begin a member in a process that has nothing to do."""
        place = next(n for n in range(self.processes) if n not in self.workers or self.workers[n].task is None)
        # All of them, so that they load torch together.
        for missing in set(range(self.processes)) - set(self.workers):
            self.workers[missing] = self._worker(missing)
        worker = self.workers[place]
        worker.task, worker.listening = task, Listening(task.folder, stepped, self._log)
        try:
            print(task.to_json(), file=input_of(worker), flush=True)
        except BrokenPipeError:
            # It died before it was asked; wait() says so.
            return

    def wait(self) -> Ended:
        """Wait until one of the members under way has ended."""
        while True:
            busy = {place: worker for place, worker in self.workers.items() if worker.task is not None}
            if not busy:
                raise ValueError("no member was begun")
            for place, worker in busy.items():
                if ended := self._look(place, worker):
                    return ended
            if self._stop():
                for worker in busy.values():
                    if worker.listening is not None:
                        worker.listening.ask_to_stop()
            sleep(EVERY)

    def close(self) -> None:
        """End the processes; what they were about is lost but for its checkpoint."""
        for worker in self.workers.values():
            with suppress(BrokenPipeError):
                input_of(worker).close()
        for worker in self.workers.values():
            try:
                worker.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.printed.close()
            if worker.listening is not None:
                worker.listening.tidy()
        self.workers.clear()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _worker(self, place: int) -> Worker:
        # What can be imported here can be imported there: a network of the user's may lie anywhere on the path.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
        if self._gpus > 1:
            environment["CUDA_VISIBLE_DEVICES"] = str(place % self._gpus)
        printed = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed with its worker
        process = subprocess.Popen(
            [sys.executable, "-m", "semeion.study.members.worker"],
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=printed,
            text=True,
            env=environment,
            # Ctrl-C in a terminal goes to all of its processes: only this one is to hear it.
            start_new_session=True,
        )
        return Worker(process, printed)

    def _look(self, place: int, worker: Worker) -> Ended | None:
        """Return what became of a worker's member, None while it learns."""
        task, listening = worker.task, worker.listening
        if task is None or listening is None:
            return None
        # First, so that a process that told its end and then died has told it.
        status = worker.process.poll()
        told = listening.hear()
        if told is None and status is None:
            return None
        listening.tidy()
        worker.task = worker.listening = None
        if status is not None:
            del self.workers[place]
            worker.printed.seek(0)
            last = (worker.printed.read().strip().splitlines() or [""])[-1]
            worker.printed.close()
        if told is not None:
            self._peaks[place] = max(self._peaks.get(place, 0.0), told[PEAK])
            return Ended(task.member, error_of(told))
        if member_there(task.folder):
            return Ended(task.member, None)
        how = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
        return Ended(task.member, died(task.member, f"{how}: {last}" if last else how))


def input_of(worker: Worker) -> IO[str]:
    """Return what a worker reads its tasks from."""
    if worker.process.stdin is None:
        raise ValueError("a worker has no input")
    return worker.process.stdin
