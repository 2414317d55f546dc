"""Plans of several targets on one set of prepared images: the first target's plan says how these are prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from semeion.plan.networks import Candidate
from semeion.plan.recipes import FrozenRecipe, NetworkPlan, NetworkRecipe, PretrainedPlan
from semeion.plan.schema import Plan

if TYPE_CHECKING:
    from semeion.plan.rules import Machine

WHY = "as for the first target: all targets of a run see the same prepared images"


def machine_like(machine: Machine, like: Plan) -> Machine:
    """Return what was measured of networks that see images as large as those of another plan's do.

    Networks of other sizes are left out, so that the choice is among those that fit; of pretrained ones, those that the
    other plan has, where it has some.
    """
    measured = [one for one in machine.measured if _same_size(one.candidate, like)]
    seen = {(one.backbone, one.side) for recipe in like.recipes.values() if (one := _pretrained(recipe)) is not None}
    pretrained = [one for one in machine.pretrained if (one.candidate.backbone, one.candidate.side) in seen]
    return replace(machine, measured=measured or machine.measured, pretrained=pretrained or machine.pretrained)


def prepared_like(plan: Plan, like: Plan) -> Plan:
    """Return a plan whose images are prepared as those of another plan of the same cases are."""
    network = plan.network
    preparation = like.preparation.model_copy(update={"why": {**like.preparation.why, "targets": WHY}})
    if isinstance(network, NetworkPlan):
        own, stored = _seen(network, plan.preparation.size), tuple(like.preparation.size or ())
        # What is stored larger than the network sees it is made smaller in its graph.
        smaller = own != (max(stored[-2:]), stored[0] if len(stored) == 3 else None)
        side, depth = own if smaller else (None, None)
        network = network.model_copy(update={"side": side, "depth": depth})
    return plan.model_copy(update={"preparation": preparation, "network": network})


def _seen(network: NetworkPlan, size: Sequence[int] | None) -> tuple[int, int | None]:
    """Return the longer side that a network sees, and how many slices of volumes."""
    stored = tuple(size or ())
    depth = (network.depth or stored[0]) if len(stored) == 3 else None
    return network.side or max(stored[-2:]), depth


def _same_size(candidate: Candidate, like: Plan) -> bool:
    if not isinstance(like.network, NetworkPlan):
        return True
    depth = candidate.size[0] if len(candidate.size) == 3 else None
    return (max(candidate.size[-2:]), depth) == _seen(like.network, like.preparation.size)


def _pretrained(recipe: object) -> FrozenRecipe | PretrainedPlan | None:
    if isinstance(recipe, FrozenRecipe):
        return recipe
    network = recipe.network if isinstance(recipe, NetworkRecipe) else None
    return network if isinstance(network, PretrainedPlan) else None
