"""Whether a search is worth its time, what it varies, and the recipe that varied settings make."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semeion.plan.recipes import NetworkPlan, NetworkRecipe, OwnNetworkPlan, PretrainedPlan, TrainingPlan
from semeion.plan.schema import Plan, SearchPlan

FEWEST_MEMBERS = 12.0
"""Full members a fold that must be affordable: below, one more member brings more than knowing better how to learn."""
SHARE = 0.25
"""Of the time for members. At `FEWEST_MEMBERS` that is three members' time, twelve trials before any is ended early."""
MOST_TRIALS = 40
"""A fold. With a dozen settings more of them find little, and the best of many flatters more."""
NO_SEARCH = "these networks are one part of a model, and have a share of its time"
"""Why a plan that is part of another has none."""
AUGMENTED = ("scale", "shift", "tilt", "brightness", "contrast", "noise")
"""What one factor of strength makes larger or smaller together."""

Value = float | int | bool
Params = dict[str, Value]


@dataclass(frozen=True)
class Knob:
    """One setting that is searched.

    Attributes
    ----------
    title
        In words.
    planned
        What the plan has, which the first trial takes.
    low, high
        Ends of a range, both included; whole numbers are searched where both are `int`. Of a choice, 0 and 0.
    log
        Whether its logarithm is searched.
    choices
        Of a setting without an order; empty for a range.
    """

    title: str
    planned: Value
    low: float | int = 0
    high: float | int = 0
    log: bool = False
    choices: tuple[Value, ...] = ()


def plan_search(members: float, learning: float, whole: float) -> tuple[SearchPlan | None, str]:
    """Decide whether a search is worth its time, and say why or why not.

    Parameters
    ----------
    members
        Full members a fold that the time for members lasts for.
    learning
        Seconds of that time, of all folds together.
    whole
        Seconds of the budget without its reserve, which the plan's share refers to.
    """
    if members < FEWEST_MEMBERS:
        return None, (
            f"the time lasts for {members:.1f} members a fold, and a search is worth its time from {FEWEST_MEMBERS:.0f}"
        )
    why = {
        "share": f"the time lasts for {members:.1f} members a fold, so {SHARE:.0%} of it is spent on how to learn",
        "trials": "a trial beyond the first dozens finds little, and the best of many flatters",
        "steps": "a trial is a short member with one whole cycle of its learning rate",
        "looks": "what is behind at a third and at two thirds of these looks is ended early",
    }
    return SearchPlan(share=round(SHARE * learning / whole, 4), trials=MOST_TRIALS, why=why), ""


def search_seconds(plan: Plan) -> float:
    """Return what the search of a plan may take, all folds together; 0 without one, infinite without a budget."""
    if plan.search is None:
        return 0.0
    if plan.budget.seconds is None:
        return float("inf")
    return plan.search.share * max(0.0, plan.budget.seconds - plan.budget.reserve)


def knobs_of(recipe: NetworkRecipe, cases: int, searched: list[str]) -> dict[str, Knob]:
    """Return what is searched around a recipe, by its name.

    Parameters
    ----------
    recipe
        As planned.
    cases
        That a member learns from; a batch is at most half of them.
    searched
        Some of ``structure``, ``learning`` and ``strategy``.
    """
    found: dict[str, Knob] = {}
    if "structure" in searched:
        found |= _structure(recipe)
    if "learning" in searched:
        found |= _learning(recipe, cases)
    if "strategy" in searched:
        found |= _strategy(recipe.training)
    return found


def _structure(recipe: NetworkRecipe) -> dict[str, Knob]:
    network = recipe.network
    if isinstance(network, OwnNetworkPlan):
        return {}
    found = {}
    # A body with weights of its own cannot be made wider.
    if isinstance(network, NetworkPlan) and recipe.start == "random":
        found["width"] = Knob("Width, times the planned", 1.0, 0.5, 1.5)
        found["blocks"] = Knob("Blocks a stage", network.blocks, 1, max(2, network.blocks))
    return found | {"dropout": Knob("Dropout", network.dropout, 0.0, max(0.5, network.dropout))}


def _learning(recipe: NetworkRecipe, cases: int) -> dict[str, Knob]:
    training = recipe.training
    rate, decay = training.learning_rate, training.weight_decay
    found = {"learning_rate": Knob("Peak learning rate", rate, rate / 4, min(1.0, 4 * rate), log=True)}
    if decay > 0:
        found["weight_decay"] = Knob("Weight decay", decay, decay / 10, 10 * decay, log=True)
    if isinstance(recipe.network, PretrainedPlan):
        layer, frozen = training.layer_decay, training.frozen_share
        found["layer_decay"] = Knob("Rate of a stage beside the next", layer, min(0.6, layer), 1.0)
        found["frozen_share"] = Knob("Share with frozen stages", frozen, 0.0, max(0.5, frozen))
        return found
    smaller, larger = int(training.batch >= 8), int(4 * training.batch <= cases)
    if smaller or larger:
        found["batch"] = Knob("Batch, doublings", 0, -smaller, larger)
    return found


def _strategy(training: TrainingPlan) -> dict[str, Knob]:
    change = training.augmentation
    found = {
        "strength": Knob("Strength of augmentation", 1.0, 0.25, 2.0),
        "rotation": Knob("Largest rotation, degrees", change.rotation, 0.0, min(180.0, max(30.0, 2 * change.rotation))),
        "mixup": Knob("Share of mixed batches", training.mixup, 0.0, 1.0),
        "cutmix": Knob("Share of batches with pasted parts", training.cutmix, 0.0, 1.0),
    }
    # Only where the plan holds that a mirrored image means the same.
    for name, title in (("flip_horizontal", "Mirrored left to right"), ("flip_vertical", "Mirrored top to bottom")):
        if getattr(change, name):
            found[name] = Knob(title, True, choices=(True, False))
    if training.label_smoothing > 0:
        most = max(0.2, training.label_smoothing)
        found["label_smoothing"] = Knob("Label smoothing", training.label_smoothing, 0.0, most)
    return found


def planned(knobs: Mapping[str, Knob]) -> Params:
    """Return the settings that the plan has."""
    return {name: knob.planned for name, knob in knobs.items()}


def varied(recipe: NetworkRecipe, knobs: Mapping[str, Knob], params: Mapping[str, Value]) -> NetworkRecipe:
    """Return the recipe with settings in place of the planned ones, each rounded to three digits.

    Settings as planned leave it as it is.
    """
    changed = {
        name: float(f"{value:.3g}") if isinstance(value, float) else value
        for name, value in params.items()
        if value != knobs[name].planned
    }
    network, training = _network(recipe, changed), _training(recipe.training, changed)
    return NetworkRecipe(start=recipe.start, taught=recipe.taught, network=network, training=training)


def _network(recipe: NetworkRecipe, changed: Mapping[str, Any]) -> NetworkPlan | PretrainedPlan | OwnNetworkPlan:
    network = recipe.network
    new: dict[str, Any] = {name: changed[name] for name in ("blocks", "dropout") if name in changed}
    if "width" in changed and isinstance(network, NetworkPlan):
        new["widths"] = [max(4, 4 * math.floor(width * changed["width"] / 4 + 0.5)) for width in network.widths]
    return type(network).model_validate({**network.model_dump(), **new, "why": _reasons(network.why, new)})


def _training(training: TrainingPlan, changed: Mapping[str, Any]) -> TrainingPlan:
    kept = ("learning_rate", "weight_decay", "layer_decay", "frozen_share", "mixup", "cutmix", "label_smoothing")
    new: dict[str, Any] = {name: changed[name] for name in kept if name in changed}
    if "batch" in changed:
        new["batch"] = max(2, int(training.batch * 2 ** changed["batch"]))
    old = training.augmentation
    other: dict[str, Any] = {
        name: changed[name] for name in ("rotation", "flip_horizontal", "flip_vertical") if name in changed
    }
    if "strength" in changed:
        most = {"tilt": 180.0, "brightness": 1.0, "noise": 1.0}
        for name in AUGMENTED:
            other[name] = round(min(most.get(name, 0.9), getattr(old, name) * changed["strength"]), 4)
    augmentation = {**old.model_dump(), **other, "why": _reasons(old.why, other)}
    return TrainingPlan.model_validate(
        {**training.model_dump(), **new, "augmentation": augmentation, "why": _reasons(training.why, new)}
    )


def _reasons(why: Mapping[str, str], new: Mapping[str, Any]) -> dict[str, str]:
    """Return the reasons, with that of the search for what it changed."""
    return {**why, **dict.fromkeys(new, "found by search")}
