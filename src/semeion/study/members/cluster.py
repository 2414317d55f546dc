"""Members that learn on the nodes of a Ray cluster; what they are and what becomes of them is as in processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep
from types import TracebackType
from typing import Any

from semeion.plan.schema import Plan
from semeion.study.clusters import join, leave, options_of, refuse_other_nodes, slots_in
from semeion.study.folder import RunFolder
from semeion.study.members.crew import Ended, Stepped, died, member_there
from semeion.study.members.task import LearnTask
from semeion.study.members.telling import Listening, error_of, learn_telling

EVERY = 0.2
"""Seconds between two looks at the members under way."""
PATIENCE = 60.0
"""Seconds after which a file that another machine wrote must be visible here."""


@dataclass(frozen=True)
class Sent:
    """A member under way; `answer` is Ray's reference to how it ends."""

    task: LearnTask
    listening: Listening
    answer: Any


class Cluster:
    """Learns members on the nodes of a cluster that was joined.

    Parameters
    ----------
    processes
        How many learn at once.
    device
        Of the plan; with ``cuda`` each member has a GPU of its own.
    stop, log
        As of :class:`semeion.study.members.crew.Here`.
    """

    peak_gib = 0.0

    def __init__(
        self, processes: int, device: str, stop: Callable[[], bool], log: Callable[[dict[str, Any]], None]
    ) -> None:
        self.processes, self._device, self._stop, self._log = processes, device, stop, log
        self.sent: dict[str, Sent] = {}

    def start(self, task: LearnTask, stepped: Stepped) -> None:
        """Send a member to where there is room."""
        import ray

        listening = Listening(task.folder, stepped, self._log)
        # A member that was lost is begun again by who knows how often, and says so.
        learn = ray.remote(learn_telling).options(max_retries=0, **options_of(task.threads, self._device))
        self.sent[task.member] = Sent(task, listening, learn.remote(task))

    def wait(self) -> Ended:
        """Wait until one of the members under way has ended."""
        import ray

        while True:
            if not self.sent:
                raise ValueError("no member was begun")
            for one in list(self.sent.values()):
                one.listening.hear()
                if ray.wait([one.answer], timeout=0)[0]:
                    return self._ended(one)
            if self._stop():
                for one in self.sent.values():
                    one.listening.ask_to_stop()
            sleep(EVERY)

    def _ended(self, one: Sent) -> Ended:
        import ray
        from ray.exceptions import RayError

        del self.sent[one.task.member]
        try:
            error = error_of(ray.get(one.answer))
        except RayError as lost:
            error = died(one.task.member, str(lost).strip().splitlines()[0].rstrip("."))
        one.listening.hear()
        one.listening.tidy()
        began = monotonic()
        # What another machine wrote may take a moment to be seen through a shared file system.
        while error is None and not member_there(one.task.folder) and monotonic() - began < PATIENCE:
            sleep(EVERY)
        return Ended(one.task.member, error)

    def close(self) -> None:
        """End what is under way at once, and leave the cluster."""
        import ray

        for one in self.sent.values():
            ray.cancel(one.answer, force=True)
            one.listening.tidy()
        self.sent.clear()
        leave()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def join_cluster(
    run: RunFolder,
    plan: Plan,
    jobs: int | None,
    address: str,
    stop: Callable[[], bool],
    log: Callable[[dict[str, Any]], None],
) -> Cluster:
    """Join a cluster, see that its nodes can learn for this run, and return who learns.

    Raises
    ------
    InputError
        Saying what keeps it from being used.
    """
    nodes = join(address)
    try:
        slots = slots_in(nodes, plan.training.threads, plan.training.device)
        able = [node for node in nodes if node.slots(plan.training.threads, plan.training.device)]
        refuse_other_nodes(able, run.path)
    except BaseException:  # interrupted, too: who leaves frees its place
        leave()
        raise
    return Cluster(min(slots, jobs or slots), plan.training.device, stop, log)
