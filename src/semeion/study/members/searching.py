"""Searches how to learn better: short members are trials, in each fold on its own validation cases alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from semeion.artefacts import whole_file, write_json
from semeion.errors import TrainingFailed
from semeion.plan.members import member_seed
from semeion.plan.recipes import NetworkRecipe
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.search import Knob, Params, knobs_of, search_seconds, varied
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.members.losses import case_losses
from semeion.study.members.network import PRETRAINED
from semeion.study.members.searched import FOLDER, Ground, Searched, chosen_of, steps_of
from semeion.study.members.task import ran_out
from semeion.study.members.taught import read_lesson
from semeion.study.teaching import read_teaching

if TYPE_CHECKING:
    from semeion.learn.search import Tried

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

REST = 0.5
"""Of what is left for learning a search takes at most, where the run fell behind its plan."""
SLOWER = 1.3
"""A trial is looked at more often than a member; so much longer a step of the first one is expected to take."""
GRACE = 0.05
"""Share of its time that a search may go beyond, before the trial under way is cut off."""


@dataclass(frozen=True)
class Time:
    """What a fold's trials may use.

    Attributes
    ----------
    seconds
        Of all its trials together, those of earlier processes included; infinite without a budget.
    until
        When the clock says so the search is over in any case, since the run fell behind its plan.
    step
        What a step of the planned member took.
    now
        The clock, in seconds.
    stop
        Whether the user asked to stop.
    told
        Called with a short line of where the search is.
    """

    seconds: float = float("inf")
    until: float = float("inf")
    step: float = 0.0
    now: Callable[[], float] = monotonic
    stop: Callable[[], bool] = lambda: False
    told: Callable[[str], None] = lambda _: None


def firsts_of(plan: Plan) -> list[str]:
    """Return the names of the first member of every way in every fold, in the order of the plan."""
    found: dict[tuple[str | None, int], str] = {}
    for member in plan.members:
        found.setdefault((member.recipe, member.fold), member.name)
    return list(found.values())


def search_due(plan: Plan, finished: Container[str]) -> bool:
    """Return whether the first member of every way was learned in every fold, which is when the search begins."""
    return plan.search is not None and all(name in finished for name in firsts_of(plan))


def leading_way(plan: Plan, fold: int, said: dict[str, Floats], truth: Floats) -> MemberPlan | None:
    """Return the first member of the way by gradient that leads on a fold's validation cases; None without one.

    Parameters
    ----------
    plan
        With the members so far.
    fold
        Of whose members.
    said
        Member name to its output for the fold's validation cases.
    truth
        Reference standard of these.
    """
    firsts: dict[str | None, MemberPlan] = {}
    for member in plan.members:
        if member.fold == fold and member.name in said and isinstance(plan.recipe_of(member), NetworkRecipe):
            firsts.setdefault(member.recipe, member)
    losses = {name: case_losses(said[one.name], truth, plan.target.task) for name, one in firsts.items()}
    return firsts[min(losses, key=lambda name: float(np.nanmean(losses[name])))] if losses else None


def search_fold(ground: Ground, member: MemberPlan, time: Time) -> Searched:
    """Search around the way of a member, by trials of a share of its steps.

    Every trial has one whole cycle of the learning rate and is judged by the fold's inner validation cases at its end,
    not at its best look, so that no look is chosen. What is held out, or belongs to another fold, is never seen.

    Raises
    ------
    Interrupted
        When the user asked to stop; the trial under way starts anew when the search goes on.
    """
    from semeion.learn.search import search

    plan, settings, side = ground.plan, ground.settings, ground.side
    base = plan.recipe_of(member)
    if not isinstance(base, NetworkRecipe):
        raise ValueError(f"member {member.name} does not learn by gradient")
    knobs = knobs_of(base, len(side.learn), list(settings.searched))
    trials = _Trials(ground, base, member, knobs, time)
    tried = search(
        ground.folder,
        knobs,
        settings,
        trials.learn,
        trials.fits,
        time.now,
        seed=member_seed(plan.seed, 1, side.fold, FOLDER),
    )
    # With this file the search is over, whatever time a later process would have.
    write_json(ground.folder / "done.json", {"trials": len(tried)})
    return chosen_of(ground, base, member, knobs, tried, time.step)


class _Trials:
    """Lets one trial after the other learn; an object only because they share the time."""

    def __init__(
        self, ground: Ground, base: NetworkRecipe, member: MemberPlan, knobs: dict[str, Knob], time: Time
    ) -> None:
        self.ground, self.base, self.member, self.knobs, self.time = ground, base, member, knobs, time
        self.over = (ground.folder / "done.json").exists()
        self.spent, self.best = 0.0, float("inf")

    def fits(self, tried: Sequence[Tried]) -> bool:
        """Return whether one more trial is expected to end in time."""
        self.spent = sum(one.seconds for one in tried)
        whole = [one.seconds for one in tried if one.state == "complete"]
        self.best = min((one.loss for one in tried if one.state == "complete" and one.loss is not None), default=np.inf)
        settings = self.ground.settings
        expected = float(np.mean(whole)) if whole else settings.steps * self.member.steps * self.time.step * SLOWER
        left = min(self.time.seconds - self.spent, self.time.until - self.time.now())
        return not self.over and expected <= left

    def learn(self, number: int, params: Params, look: Callable[[float], None]) -> str:
        """Let a trial learn; where memory runs out, again with half the batch."""
        recipe = varied(self.base, self.knobs, params)
        note = ""
        while True:
            try:
                self._learn(number, recipe, look)
                return note
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error) or recipe.training.batch < 4:
                    raise
                training = recipe.training.model_copy(update={"batch": recipe.training.batch // 2})
                recipe = recipe.model_copy(update={"training": training})
                note = f"memory ran out, so it learned with a batch of {training.batch}"

    def _learn(self, number: int, recipe: NetworkRecipe, look: Callable[[float], None]) -> None:
        from semeion.learn.member import train_member
        from semeion.learn.search import OverTimeError
        from semeion.learn.standing import Hooks

        ground, time = self.ground, self.time
        settings, side, task = ground.settings, ground.side, ground.plan.target.task
        folder = ground.folder / f"trial{number}"
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        # One trial after the other: each has what several members at once would share.
        threads = min(256, recipe.training.threads * ground.plan.parallel.processes)
        changed = {"evaluations": settings.looks, "patience": 2 * settings.looks, "threads": threads}
        short = recipe.model_copy(update={"training": recipe.training.model_copy(update=changed)})
        # As many steps between two looks everywhere, so that trials are compared at the same place of their cycle.
        steps = settings.looks * max(
            1, round(settings.steps * steps_of(self.member, self.base, recipe) / settings.looks)
        )
        trial = MemberPlan(
            name=f"trial{number}",
            recipe="trial",
            fold=side.fold,
            # All trials of a fold draw alike, so that they differ by their settings.
            seed=member_seed(ground.plan.seed, 0, side.fold, FOLDER),
            steps=steps,
        )
        plan = ground.plan.model_copy(update={"recipes": {**ground.plan.recipes, "trial": short}, "members": [trial]})
        begun = time.now()
        last: list[Floats] = []
        at = 0

        def looked(said: Floats) -> None:
            last[:] = [said]
            look(float(np.nanmean(case_losses(said, ground.y[side.validate], task))))

        end = min(begun + time.seconds - self.spent, time.until)
        late = end + 1.0 + (GRACE * time.seconds if np.isfinite(time.seconds) else 0.0)

        def stepped(step: int, total: int, _loss: float) -> None:
            nonlocal at
            at = step
            if time.now() > late:
                raise OverTimeError
            best = f", best loss {self.best:.4f}" if np.isfinite(self.best) else ""
            time.told(f"search: trial {number + 1} of at most {settings.trials}, step {step} of {total}{best}")

        def allowed() -> float | None:
            return max(0.0, end - time.now()) if np.isfinite(end) else None

        try:
            hooks = Hooks(allowed=allowed, stop=time.stop, stepped=stepped, looked=looked)
            start = ground.run / str(PRETRAINED) if recipe.start == "pretraining" else None
            learned = train_member(
                plan,
                trial,
                ground.store,
                ground.y,
                side,
                folder,
                hooks,
                start,
                taught=read_teaching(ground.run.path, plan),
                further=read_lesson(ground.run.path, plan, trial),
            )
            if "not a finite number" in learned.facts["stopped"]:
                raise TrainingFailed(learned.facts["stopped"], where=trial.name, fix="a lower rate")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if last and at:
                with whole_file(ground.said(number)) as temporary, temporary.open("wb") as file:
                    np.save(file, last[0])
                facts = {"recipe": recipe.model_dump(), "steps": at, "seconds": round(time.now() - begun, 3)}
                write_json(ground.facts(number), facts)


def search_folds(
    run: RunFolder,
    plan: Plan,
    store: Store,
    y: Floats,
    groups: Rows,
    sides: Sequence[Sides],
    said: dict[str, Floats],
    steps: dict[str | None, float],
    clock: Clock,
    stop: Callable[[], bool],
    told: Callable[[str], None],
) -> list[Searched]:
    """Search in every fold, each with an even part of the time that is left to the search.

    Parameters
    ----------
    run, plan, store, y, groups, sides
        Where, the plan with the members so far, prepared images, reference standard and patient, rows of each fold.
    said
        Member name to its output for the validation cases of its fold.
    steps
        What a step of each recipe took.
    clock, stop, told
        The run's, whether the user asked to stop, and what is called with where the search is.

    Raises
    ------
    Interrupted
        When the user asked to stop.
    """
    whole = search_seconds(plan)
    found: list[Searched] = []
    left = clock.left()
    timed = plan.budget.seconds is not None and left is not None
    until = clock.used() + REST * max(0.0, (left or 0.0) - plan.budget.reserve) if timed else float("inf")
    for number, side in enumerate(sides):
        leader = leading_way(plan, side.fold, said, y[side.validate])
        if leader is None:
            continue
        seconds = (whole - sum(one.seconds for one in found)) / (len(sides) - number)
        place = "" if side.fold < 0 else f"fold {side.fold}, "
        said_where = partial(_told, told, place)
        time = Time(seconds, until, steps.get(leader.recipe, 0.0), clock.used, stop, said_where)
        found.append(search_fold(Ground(run, plan, store, y, groups, side), leader, time))
    return found


def _told(told: Callable[[str], None], place: str, text: str) -> None:
    told(place + text)
