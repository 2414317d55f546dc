"""What came of a search: the trial of least loss, what to expect of such a choice, and what the evidence says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json
from semeion.evidence.chosen import Chosen, choose_corrected
from semeion.plan.members import member_seed
from semeion.plan.recipes import OWN, NetworkRecipe
from semeion.plan.schema import MemberPlan, Plan, SearchPlan
from semeion.plan.search import Knob
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.folder import RunFolder
from semeion.study.members.losses import case_losses

if TYPE_CHECKING:
    from semeion.learn.search import Tried

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

FOLDER = "search"
NAME = "searched"


@dataclass(frozen=True)
class Ground:
    """What the trials of a fold learn from, what they vary, and where they are kept."""

    run: RunFolder
    plan: Plan
    store: Store
    y: Floats
    groups: Rows
    side: Sides

    @property
    def settings(self) -> SearchPlan:
        """How far is searched."""
        if self.plan.search is None:
            raise ValueError("the plan searches nothing")
        return self.plan.search

    @property
    def folder(self) -> Path:
        """Of the fold's trials."""
        return self.run / FOLDER / ("given" if self.side.fold < 0 else f"fold{self.side.fold}")

    def said(self, number: int) -> Path:
        """What a trial said of the validation cases at its last look."""
        return self.folder / f"trial{number}.npy"

    def facts(self, number: int) -> Path:
        """The recipe of a trial, its steps and seconds."""
        return self.folder / f"trial{number}.json"


@dataclass(frozen=True)
class Searched:
    """What came of the search of a fold.

    Attributes
    ----------
    fold
        -1 of a given split.
    way
        The recipe that was searched around.
    steps
        Of its member, which a trial has a share of.
    knobs, tried
        What was searched, and the trials.
    best
        Number of the finished trial of least loss, None where none was finished.
    chosen
        What to expect of a choice like this; None where there was nothing to choose.
    name, recipe
        Of what was found; None where nothing did better than what was planned.
    member_steps, step_seconds
        Of a member that learns so: as many images as the planned one sees.
    reason
        In a sentence.
    """

    fold: int
    way: str
    steps: int
    knobs: dict[str, Knob]
    tried: list[Tried]
    best: int | None
    chosen: Chosen | None
    name: str | None
    recipe: NetworkRecipe | None
    member_steps: int
    step_seconds: float
    reason: str

    @property
    def seconds(self) -> float:
        """Of all its trials."""
        return sum(one.seconds for one in self.tried)

    def member(self, seed: int) -> MemberPlan:
        """Return the first member of what was found."""
        own = "" if self.fold < 0 or str(self.name).endswith(f"fold{self.fold}") else f"-fold{self.fold}"
        drawn = member_seed(seed, 0, self.fold, self.name)
        return MemberPlan(
            name=f"{self.name}{own}-seed0", recipe=self.name, fold=self.fold, seed=drawn, steps=self.member_steps
        )


def free_name(plan: Plan, fold: int) -> str:
    """Return what a recipe that a search found is called."""
    wanted = NAME if fold < 0 else f"{NAME}-fold{fold}"
    taken = {*plan.recipes, OWN}
    return next(
        name for name in (wanted, *(f"{NAME}{n}{wanted[len(NAME) :]}" for n in range(2, 100))) if name not in taken
    )


def steps_of(member: MemberPlan, base: NetworkRecipe, recipe: NetworkRecipe) -> int:
    """Return the steps in which a member with another batch sees as many images as a planned one."""
    return max(1, round(member.steps * base.training.batch / recipe.training.batch))


def chosen_of(
    ground: Ground, base: NetworkRecipe, member: MemberPlan, knobs: dict[str, Knob], tried: list[Tried], step: float
) -> Searched:
    """Choose the finished trial of least loss, and say what to expect of it; `step` took the planned one so long."""
    plan, side = ground.plan, ground.side
    way, truth = member.recipe or OWN, ground.y[side.validate]
    found: dict[str, Any] = {"best": None, "chosen": None, "name": None, "recipe": None, "member_steps": 0}
    found |= {"step_seconds": 0.0, "reason": "no trial was finished within its time"}
    told = [one for one in tried if one.losses and ground.said(one.number).exists()]
    whole = {one.number: one.loss for one in told if one.state == "complete" and one.loss is not None}
    if whole:
        best = min(whole, key=lambda number: (whole[number], number))
        losses = [case_losses(np.load(ground.said(one.number)), truth, plan.target.task) for one in told]
        numbers = [one.number for one in told]
        reference = numbers.index(0) if 0 in whole else None
        # Those that were ended early are among what could have been chosen, so they are drawn from too.
        chosen = choose_corrected(losses, ground.groups[side.validate], reference=reference, seed=plan.seed)
        found |= {"best": best, "chosen": chosen}
        if best == 0:
            found["reason"] = "no finished trial did better than the planned settings, so nothing is added"
        else:
            facts = read_json(ground.facts(best))
            why = {"network": f"trial {best + 1} of {len(tried)} that were searched around the recipe {way}"}
            recipe = NetworkRecipe.model_validate({**facts["recipe"], "why": why})
            found |= {
                "name": free_name(plan, side.fold),
                "recipe": recipe,
                "member_steps": steps_of(member, base, recipe),
                "step_seconds": _step_seconds(ground, best, step),
                "reason": "its settings became a recipe, which competes with the others",
            }
    return Searched(fold=side.fold, way=way, steps=member.steps, knobs=knobs, tried=tried, **found)


def _step_seconds(ground: Ground, number: int, planned: float) -> float:
    """Return what a step of a trial's recipe takes a member: beside the planned one's, what it did in trials."""

    def of(trial: int) -> float:
        facts = read_json(ground.facts(trial))
        return float(facts["seconds"]) / float(facts["steps"])

    if planned <= 0 or not ground.facts(0).exists() or of(0) <= 0:
        return of(number)
    return planned * of(number) / of(0)


def search_json(searches: Sequence[Searched], plan: SearchPlan, task: str, seed: int) -> dict[str, Any]:
    """Return what the evidence says of the searches: of all, of each fold, and what mattered.

    Parameters
    ----------
    searches
        Of each fold.
    plan, task, seed
        What was planned, the target's task and the plan's seed.
    """
    ways = list(dict.fromkeys(one.way for one in searches))
    return {
        "share": plan.share,
        "trial_share": plan.steps,
        "most_trials": plan.trials,
        **_counts([tried for one in searches for tried in one.tried]),
        "seconds": round(sum(one.seconds for one in searches), 1),
        "loss_name": "absolute error" if task == "regression" else "log loss",
        "folds": [_fold_json(one) for one in searches],
        "ways": [_way_json(way, [one for one in searches if one.way == way], seed) for way in ways],
    }


def _counts(tried: Sequence[Tried]) -> dict[str, int]:
    states = [one.state for one in tried]
    return {"trials": len(states)} | {name: states.count(name) for name in ("complete", "pruned", "failed")}


def _fold_json(one: Searched) -> dict[str, Any]:
    planned = next((tried.loss for tried in one.tried if tried.number == 0 and tried.state == "complete"), None)
    best = next((tried.loss for tried in one.tried if tried.number == one.best), None)
    corrected = None
    if one.chosen is not None:
        corrected = {name: value for name, value in one.chosen.to_json().items() if name not in ("best", "naive")}
    return {
        "fold": one.fold,
        "way": one.way,
        "recipe": one.name,
        "reason": one.reason,
        **_counts(one.tried),
        "seconds": round(one.seconds, 1),
        "planned_loss": planned,
        "best_loss": best,
        "best_trial": one.best,
        "corrected": corrected,
        "tried": [{**asdict(tried), "loss": tried.loss} for tried in one.tried],
    }


def _way_json(way: str, searches: Sequence[Searched], seed: int) -> dict[str, Any]:
    from semeion.learn.search import FEWEST_FOR_IMPORTANCE, what_mattered

    # Ends of a range hang on the cases of a fold; the widest holds all.
    knobs: dict[str, Knob] = {}
    for one in searches:
        for name, knob in one.knobs.items():
            known = knobs.get(name, knob)
            low, high = min(known.low, knob.low), max(known.high, knob.high)
            knobs[name] = Knob(knob.title, knob.planned, low, high, knob.log, knob.choices)
    alike = all(one.knobs.keys() == knobs.keys() for one in searches)
    mattered = what_mattered([one.tried for one in searches], knobs, seed=seed) if alike else {}
    whole = sum(tried.state == "complete" for one in searches for tried in one.tried)
    reason = "" if mattered else "the finished trials do not differ"
    if whole < FEWEST_FOR_IMPORTANCE:
        reason = f"{whole} finished trials are too few to say what mattered; {FEWEST_FOR_IMPORTANCE} would be needed"
    return {
        "way": way,
        "knobs": {name: asdict(knob) for name, knob in knobs.items()},
        "mattered": mattered,
        "mattered_reason": reason,
    }
