"""One network member to learn, as a value: the same here, in another process, and on another machine."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError, TrainingFailed
from semeion.plan.schema import CombinationPlan, MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.members.network import learn_network

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
_NONE: Rows = np.empty(0, dtype=np.int64)
TORN = ("can't allocate memory", "out of memory", "cannot allocate memory")
"""What torch says, in errors of no class of their own, when memory runs out."""


LATEST = 60.0
"""Seconds that may pass between asking for a member and its beginning, at most: a process that starts loads torch."""


class MemoryRanOut(TrainingFailed):
    """A member needs more memory than there is."""


@dataclass(frozen=True)
class LearnTask:
    """All that the learning of one network member depends on.

    Attributes
    ----------
    run
        The run folder, as a path that whoever learns sees too.
    plan
        The plan as JSON, with the member in it.
    member
        Its name.
    learn, validate
        Rows to learn from and to validate on.
    y
        Reference standard in cohort order.
    store, n, shape, per_shard
        The prepared images, as of :class:`semeion.prepare.store.Store`.
    seconds
        That it may use; None without a budget.
    threads
        What the plan gives it; known without reading the plan.
    asked
        When it was asked for, as :func:`time.time` says: until it begins, its seconds run.
    """

    run: str
    plan: str
    member: str
    learn: Rows
    validate: Rows
    y: Floats
    store: str
    n: int
    shape: tuple[int, ...]
    per_shard: int
    seconds: float | None
    threads: int
    asked: float

    @property
    def folder(self) -> Path:
        """``members/<name>`` of the run."""
        return Path(self.run) / "members" / self.member

    def to_json(self) -> str:
        """Return one line that :meth:`from_json` reads; nothing of it is code."""
        values = {**vars(self), "shape": list(self.shape)}
        for name in ("learn", "validate", "y"):
            values[name] = _packed(values[name])
        return json.dumps(values)

    @staticmethod
    def from_json(line: str) -> LearnTask:
        """Return what :meth:`to_json` gave."""
        values = json.loads(line)
        for name in ("learn", "validate", "y"):
            values[name] = _unpacked(values[name])
        return LearnTask(**{**values, "shape": tuple(values["shape"])})


def task_of(
    run: Path, plan: Plan, member: MemberPlan, store: Store, y: Floats, side: Sides, seconds: float | None, threads: int
) -> LearnTask:
    """Return the task of a member of a plan."""
    # Nobody ships or is taught where one member learns.
    own = plan.model_copy(update={"members": [member], "distillation": None, "combination": CombinationPlan()})
    return LearnTask(
        str(run),
        own.model_dump_json(by_alias=True),
        member.name,
        side.learn,
        side.validate,
        y,
        str(store.folder.absolute()),
        store.n,
        store.shape,
        store.per_shard,
        seconds,
        threads,
        time(),
    )


def learn_in_place(
    task: LearnTask,
    stop: Callable[[], bool] = lambda: False,
    stepped: Callable[[int, int, float], None] = lambda *_: None,
    log: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:
    """Learn a member, from its checkpoint where there is one, and leave what ships and ``member.json`` in its folder.

    The weights follow from the plan and the cases alone: not from where this runs, nor from what runs beside it.

    Parameters
    ----------
    task
        What to learn.
    stop, stepped, log
        As of :class:`semeion.learn.standing.Hooks`.

    Raises
    ------
    Interrupted
        When it was stopped; the checkpoint is written.
    MemoryRanOut
        When memory ran out.
    TrainingFailed
        When it cannot learn.
    """
    from semeion.learn.standing import Hooks

    plan = Plan.model_validate_json(task.plan)
    member = next(one for one in plan.members if one.name == task.member)
    began = monotonic()
    # Between machines whose clocks differ no more than `LATEST` is believed.
    late = min(max(0.0, time() - task.asked), LATEST)

    def allowed() -> float | None:
        return None if task.seconds is None else max(0.0, task.seconds - late - (monotonic() - began))

    store = Store(Path(task.store), task.n, task.shape, task.per_shard)
    side = Sides(member.fold, task.learn, task.validate, _NONE)
    try:
        learn_network(plan, member, store, task.y, side, task.folder, Hooks(allowed, stop, stepped, log))
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        raise MemoryRanOut(
            "memory ran out while it learned",
            where=f"member {member.name}",
            fix="lower training.batch in the plan, or end other programs",
        ) from error


def ran_out(error: BaseException) -> bool:
    """Say whether an error means that memory ran out: torch raises a plain RuntimeError on the CPU."""
    return isinstance(error, MemoryError) or any(text in str(error).lower() for text in TORN)


def refuse_unseen(task: LearnTask) -> None:
    """Refuse a task whose run or store is not visible from here.

    Raises
    ------
    InputError
        Saying which.
    """
    for place in (Path(task.run), Path(task.store)):
        if not place.is_dir():
            raise InputError(
                "is not visible from where a member is to learn",
                where=str(place),
                fix="put the run folder on a file system that all machines share, under the same path",
            )


def _packed(array: npt.NDArray[Any]) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}


def _unpacked(raw: dict[str, Any]) -> npt.NDArray[Any]:
    return np.frombuffer(base64.b64decode(raw["data"]), np.dtype(raw["dtype"])).reshape(raw["shape"]).copy()
