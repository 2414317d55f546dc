"""Whether a network from scratch is worth its time beside a pretrained one that learns from large pictures."""

from __future__ import annotations

from semeion.plan.recipes import NetworkRecipe, kept_stages
from semeion.plan.schema import Plan

FEW = 2_000
"""Learning cases below which a network from scratch is left out: on 530 breast ultrasound pictures its validation loss
was 1.2 to 2.2 times that of the pretrained one, and it took half of the time."""


def without_scratch(plan: Plan, learning_cases: float) -> Plan:
    """Return a plan without members of its own network where the last stages of a pretrained one learn from few cases.

    What is left of the time goes to further members of that one. A plan keeps them that searches for settings, that
    has images without labels, or whose pretrained network learns as a whole.

    Parameters
    ----------
    plan
        Of images, before covariates are added.
    learning_cases
        That a fold learns from.
    """
    networks = [one.network for one in plan.recipes.values() if isinstance(one, NetworkRecipe)]
    kept = any(kept_stages(one) for one in networks)
    if (
        not kept
        or len(networks) > 1
        or learning_cases >= FEW
        or plan.search is not None
        or plan.pretraining is not None
    ):
        return plan
    left = plan.model_copy(deep=True)
    left.members = [member for member in left.members if member.recipe is not None]
    reason = (
        f"{learning_cases:.0f} learning cases teach a network from scratch little beside a pretrained one that sees "
        "large pictures"
    )
    left.combination.why["network"] = f"left out: {reason}"
    left.validation.why["members"] = f"{reason}; what is left of the time goes to further members of that one"
    # What the others take is filled up.
    left.budget.why["expected_seconds"] = "all of the budget: further members learn until it is over"
    return left
