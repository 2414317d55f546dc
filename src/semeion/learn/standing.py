"""Where training stands, and what every loop of it does between two steps, so that it can be stopped and continued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.errors import Interrupted
from semeion.plan.schema import Shortened

CHECKPOINT_SECONDS = 15.0
LOOK_SECONDS = 8.0
"""The pace is judged over at least this long: a shared machine stutters, and the first steps are slow everywhere."""
SLACK = (0.1, 0.03)
"""Share of what is left by which the steps may miss the time left, in the first half of the schedule and after it."""


@dataclass(frozen=True)
class Hooks:
    """What a run tells a member and hears from it.

    Attributes
    ----------
    allowed
        Seconds that this member may still use, None without a budget.
    stop
        Whether the user asked to stop.
    stepped
        Called after every step with the steps done, the total and the last smoothed validation loss (NaN before).
    log
        Called with one JSON-ready line an evaluation.
    looked
        Called at an evaluation with what is said of the validation rows, ``(rows, outputs)``, before `log`.
    """

    allowed: Callable[[], float | None] = lambda: None
    stop: Callable[[], bool] = lambda: False
    stepped: Callable[[int, int, float], None] = lambda *_: None
    log: Callable[[dict[str, Any]], None] = lambda _: None
    looked: Callable[[npt.NDArray[np.float64]], None] = lambda _: None


@dataclass
class Standing:
    """Where a training stands; with the tensors of a checkpoint, all that the rest of it depends on.

    Attributes
    ----------
    step, total
        Steps done, and those there will be.
    phase
        Share of the learning-rate schedule that is over.
    shortened
        Changes of `total` that took place, ``{"at": step, "to": total}``.
    seconds, waited
        Used so far, and of those the ones that batches were waited for.
    """

    step: int = 0
    total: int = 0
    phase: float = 0.0
    shortened: list[dict[str, int]] = field(default_factory=list)
    seconds: float = 0.0
    waited: float = 0.0

    def change(self, planned: Sequence[Shortened]) -> None:
        """Change the total where a plan says so at this step."""
        for change in planned:
            if change.at == self.step:
                self.total = change.to
                self.shortened.append({"at": change.at, "to": change.to})

    def advance(self) -> None:
        """Count a step; what is left of the schedule is spread over the steps left."""
        self.phase = min(1.0, self.phase + (1 - self.phase) / max(self.total - self.step, 1))
        self.step += 1

    def facts(self, per_epoch: float) -> dict[str, Any]:
        """Return what ``member.json`` says of the way here; `per_epoch`: steps in which every case is seen once."""
        return {
            "steps": self.step,
            "epochs": round(self.step / per_epoch, 2),
            "seconds": round(self.seconds, 2),
            "waited_share": round(self.waited / max(self.seconds, 1e-9), 4),
            "shortened": self.shortened,
        }

    def fitted(
        self, planned: list[Shortened], allowed: float | None, seconds_a_step: float, most: int
    ) -> list[Shortened]:
        """Return `planned` with the change that fits what is left to the time left, never beyond `most` steps.

        The change is noted there, so that the executed plan repeats it; one that is hardly one is not made.
        """
        left = self.total - self.step
        if allowed is None or left <= 1:
            return planned
        total = min(most, self.step + max(1, int(max(allowed, 0.0) / seconds_a_step)))
        if abs(total - self.total) <= SLACK[self.phase >= 0.5] * left:
            return planned
        return [*(change for change in planned if change.at < self.step), Shortened(at=self.step, to=total)]


class Between:
    """What a loop does between two steps: it counts time, tells, keeps to its budget, can be stopped, and is kept.

    Parameters
    ----------
    at
        Where the loop stands; its seconds are counted here.
    hooks
        Of the run.
    save
        Writes the checkpoint.
    keep_to_budget
        Called from time to time with the seconds of a step, lately and over all since the loop began or went on.
    """

    def __init__(
        self, at: Standing, hooks: Hooks, save: Callable[[], None], keep_to_budget: Callable[[float, float], None]
    ) -> None:
        self._at, self._hooks, self._save, self._keep_to_budget = at, hooks, save, keep_to_budget
        self._began = self._counted = self._looked = self._saved = perf_counter()
        self._began_at = self._looked_at = at.step

    def count(self, smoothed: float) -> None:
        """Count the seconds of a step, and tell of it with the last smoothed loss."""
        now = perf_counter()
        self._at.seconds += now - self._counted
        self._counted = now
        self._hooks.stepped(self._at.step, self._at.total, smoothed)

    def pause(self) -> None:
        """Keep to the budget, stop where that is asked, and write a checkpoint where the last is old.

        Raises
        ------
        Interrupted
            When the user asked to stop; the checkpoint is written.
        """
        now, step = self._counted, self._at.step
        if now - self._looked > LOOK_SECONDS:
            recent = (now - self._looked) / (step - self._looked_at)
            self._keep_to_budget(recent, (now - self._began) / (step - self._began_at))
            self._looked, self._looked_at = now, step
        if self._hooks.stop():
            self._save()
            raise Interrupted("stopped by the user", fix="continue with `semeion resume`")
        if now - self._saved > CHECKPOINT_SECONDS:
            self._save()
            self._saved = now
