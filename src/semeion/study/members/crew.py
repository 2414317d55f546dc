"""Who learns members: this process, further ones of this machine, or a cluster. What becomes of a member is alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from semeion.errors import SemeionError, TrainingFailed
from semeion.study.members.task import LearnTask, learn_in_place

Stepped = Callable[[int, int, float], None]


class WorkerDied(TrainingFailed):
    """The process that a member learned in has ended without a word: it was killed, or memory ran out."""


@dataclass(frozen=True)
class Ended:
    """A member that learns no more; `error` is None where it has finished."""

    member: str
    error: Exception | None


class Crew(Protocol):
    """Learns at most `processes` members at once.

    `peak_gib` is the largest memory of further processes of this machine, one beside the other.
    """

    processes: int

    @property
    def peak_gib(self) -> float:
        """In GiB; 0 where there are none."""

    def start(self, task: LearnTask, stepped: Stepped) -> None:
        """Begin a member; `stepped` is called now and then while :meth:`wait` waits."""

    def wait(self) -> Ended:
        """Wait until one of the members that were begun has ended."""

    def close(self) -> None:
        """End everything at once."""

    def __enter__(self) -> Crew: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Here:
    """Learns in this process, one member after the other.

    Parameters
    ----------
    stop
        Whether the user asked to stop.
    log
        Called with one line an evaluation.
    """

    processes = 1
    peak_gib = 0.0

    def __init__(self, stop: Callable[[], bool], log: Callable[[dict[str, Any]], None]) -> None:
        self._stop, self._log = stop, log
        self._task: tuple[LearnTask, Stepped] | None = None

    def start(self, task: LearnTask, stepped: Stepped) -> None:
        """Take a member; it learns in :meth:`wait`."""
        self._task = task, stepped

    def wait(self) -> Ended:
        """Learn the member that was taken."""
        if self._task is None:
            raise ValueError("no member was begun")
        (task, stepped), self._task = self._task, None
        try:
            learn_in_place(task, self._stop, stepped, self._log)
        except SemeionError as error:
            return Ended(task.member, error)
        return Ended(task.member, None)

    def close(self) -> None:
        """Nothing is left to end."""

    def __enter__(self) -> Here:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def died(member: str, how: str) -> WorkerDied:
    """Return the error of a member whose process ended without a word."""
    return WorkerDied(
        f"the process that it learned in has ended: {how}",
        where=f"member {member}",
        fix="see whether memory ran out, and lower training.batch in the plan",
    )


def member_there(folder: Path) -> bool:
    """Say whether a member has finished; the folder is listed, since shared file systems remember what was absent."""
    return folder.is_dir() and any(file.name == "member.json" for file in folder.iterdir())
