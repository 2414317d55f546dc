"""Learns the body of a network from images without labels, before the members learn from labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semeion.artefacts import read_json, write_json
from semeion.errors import InputError, TrainingFailed
from semeion.plan.recipes import NetworkPlan
from semeion.plan.schema import Plan, Shortened
from semeion.plan.splits import Sides
from semeion.prepare.joined import joined
from semeion.prepare.store import Store
from semeion.progress import Progress
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.members.network import PRETRAINED
from semeion.study.options import RunOptions
from semeion.study.unlabelled import Unlabelled, prepared_unlabelled

NOT_THERE = "the plan starts networks from images without labels, and none are given"
NOT_THERE_TO_DISTIL = "the plan teaches one network of images without labels, and none are given"
NOT_THERE_TO_TEACH = "the plan teaches networks what frozen features say of images without labels, and none are given"


@dataclass(frozen=True)
class Pretrained:
    """What became of the pretraining of a run.

    Attributes
    ----------
    facts
        Of the evidence (``pretraining``); None where there was none.
    notes
        What a reader should know.
    """

    facts: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


def weights_file(run: RunFolder) -> Path:
    """Return the file of the weights that networks start from."""
    return run.path / PRETRAINED


def refuse_plan_without(plan: Plan, unlabelled: str | None, where: str) -> None:
    """Refuse a plan that wants images without labels where none are given, and images that a plan has no use for.

    Raises
    ------
    InputError
        Saying what to add or leave out.
    """
    distilled = plan.distillation is not None and plan.distillation.images > 0
    wanted = plan.pretraining is not None or bool(plan.taught) or distilled
    if wanted and unlabelled is None:
        what = NOT_THERE_TO_TEACH if plan.taught else NOT_THERE_TO_DISTIL
        what = NOT_THERE if plan.pretraining is not None else what
        raise InputError(what, where=where, fix="name their folder with --unlabelled, or plan again without")
    if not wanted and unlabelled is not None:
        raise InputError(
            "the plan learns nothing from images without labels",
            where="--unlabelled",
            fix="leave it out, or plan again",
        )


def learn_from_images(
    run: RunFolder,
    plan: Plan,
    store: Store,
    sides: list[Sides],
    seen: Unlabelled | None,
    options: RunOptions,
    clock: Clock,
    progress: Progress,
    stop: Callable[[], bool],
) -> tuple[Plan, Pretrained]:
    """Pretrain what the plan says, once for all members, and leave ``pretraining/body.safetensors``.

    Only images are looked at, never labels. With folds these are the images without labels alone, since every case of
    the table is held out in one of them; with a given split the train cases' images are added. No image of a val or
    test case is among them, and exact copies of those were left out.

    Parameters
    ----------
    run, plan, store, sides, options
        Where and what; the prepared cases and who learns.
    seen
        The images without labels.
    clock, progress, stop
        The budget, the bar, and whether the user asked to stop.

    Returns
    -------
    tuple
        The plan, with what was really done, or without the recipe where pretraining failed; and what became of it.

    Raises
    ------
    Interrupted
        When the user asked to stop; resumable.
    """
    if plan.pretraining is None or plan.starting is None:
        if seen is None or plan.taught:
            return plan, Pretrained()
        return plan, Pretrained(notes=[f"{seen.sentence()} {plan.budget.why.get('pretraining', '')}".strip()])
    if seen is None:
        raise InputError(NOT_THERE, where="--unlabelled", fix="name their folder")
    file = run / "pretraining" / "pretraining.json"
    if not file.exists():
        images = prepared_unlabelled(run, seen, plan, options, progress)
        parts = [(images, np.arange(images.n))]
        if plan.validation.scheme == "given" and images.shape == store.shape:
            parts.append((store, sides[0].learn))
        try:
            write_json(file, _learn(run, plan, joined(parts), clock, progress, stop))
        except TrainingFailed as error:
            write_json(file, {"failed": error.what})
    facts = read_json(file)
    if "failed" in facts:
        return without_started(plan), Pretrained(notes=[f"Nothing was learned from images alone: {facts['failed']}."])
    notes = []
    if plan.pretraining.sha256 not in (None, facts["sha256"]):
        notes.append(
            "Pretraining gave other weights than those the plan was executed with: the images or the machine differ."
        )
    done = plan.pretraining.model_copy(
        update={"sha256": facts["sha256"], "shortened": [Shortened(**one) for one in facts["shortened"]]}
    )
    told = {
        "unlabelled": seen.counts(),
        "train_cases": facts["images"] - seen.images,
        **{name: facts[name] for name in ("steps", "batch", "epochs", "seconds", "loss", "chance", "sha256")},
    }
    return plan.model_copy(update={"pretraining": done}), Pretrained(told, notes)


def without_started(plan: Plan) -> Plan:
    """Return a plan without pretraining and without the members that would start from it.

    Where a fold has no others, they begin at random instead.
    """
    gone = {name for name, one in plan.recipes.items() if getattr(one, "start", "random") == "pretraining"}
    left = [member for member in plan.members if member.recipe not in gone]
    if {member.fold for member in left} == {member.fold for member in plan.members}:
        recipes = {name: one for name, one in plan.recipes.items() if name not in gone}
    else:
        left = plan.members
        at_random = {"start": "random"}
        recipes = {name: one.model_copy(update=at_random if name in gone else {}) for name, one in plan.recipes.items()}
    return plan.model_copy(update={"pretraining": None, "recipes": recipes, "members": left})


def _learn(
    run: RunFolder, plan: Plan, store: Store, clock: Clock, progress: Progress, stop: Callable[[], bool]
) -> dict[str, Any]:
    """Pretrain, keep the weights, and return the facts."""
    from semeion.learn.bodies import tensors_hash
    from semeion.learn.checkpoint import save_tensors
    from semeion.learn.selfsup import pretrain
    from semeion.learn.standing import Hooks

    recipe, settings, folder = plan.starting, plan.pretraining, run / "pretraining"
    if recipe is None or settings is None or not isinstance(recipe.network, NetworkPlan):
        raise ValueError("the plan has no pretraining")
    end = clock.used() + settings.seconds
    timed = plan.budget.seconds is not None and settings.seconds > 0
    done = 0
    progress.start("learning from images alone", settings.steps)

    def stepped(step: int, total: int, loss: float) -> None:
        nonlocal done
        reached = round(settings.steps * step / total)
        progress.advance(reached - done, f"loss {loss:.3f}")
        done = reached

    hooks = Hooks(
        allowed=lambda: max(0.0, end - clock.used()) if timed else None,
        stop=stop,
        stepped=stepped,
    )
    tensors, facts = pretrain(settings, recipe.network, recipe.training, store, folder, hooks)
    progress.finish()
    save_tensors(weights_file(run), tensors, {"steps": facts["steps"]})
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    facts["sha256"] = tensors_hash(tensors)
    run.log("pretraining", **{name: facts[name] for name in ("steps", "images", "seconds", "loss")})
    return facts
