"""From facts to the plan of a diagnosis from measurements: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from semeion.measure.spec import Measurements
from semeion.plan.measure_schema import ClassifierPlan, MeasuredPlan, MeasurementsPlan, PairsPlan
from semeion.plan.rules import Wishes
from semeion.plan.schema import OperatingPointPlan, TargetPlan
from semeion.plan.segment_schema import SegmentationPlan
from semeion.plan.segment_use import untried, why_first_arm

FOLDS = 5
OUTLINE_SECONDS = 0.5
"""Seconds to outline one volume with one network, kept from the budget beforehand."""


def pairs_of(folds: int) -> int:
    """Return the number of pairs of folds, and so of networks."""
    return folds * (folds - 1) // 2


def reserve_for_measuring(volumes: int, folds: int) -> float:
    """Return seconds kept for outlining every volume by all networks that may, measuring and classifying."""
    return 60.0 + OUTLINE_SECONDS * volumes * (folds - 1)


def make_measured_plan(
    facts: dict[str, Any], take: Measurements, features: Sequence[str], segmentation: SegmentationPlan, wishes: Wishes
) -> MeasuredPlan:
    """Put the plan together around the plan of its networks.

    Nothing about the networks' use is chosen on validation cases here: the validation cases of one pair are held-out
    cases of another, so a choice made on all of them would have read cases that are weighed.

    Parameters
    ----------
    facts
        Fingerprint of the cases that are diagnosed.
    take, features
        What is measured, and what of it is classified.
    segmentation
        Plan of the networks, one a pair of folds.
    wishes
        The user's.
    """
    heart = take.kind == "heart"
    arm = segmentation.arms[0]
    use = untried(segmentation.use, arm)
    if heart:
        pieces = [f"largest:{n + 1}" for n in range(len(take.structures))]
        use = untried(segmentation.use, arm, pieces, "a chamber and its wall are one piece each")
    choice = segmentation.choice.model_copy(update={"arm": arm.name, "why": {"arm": why_first_arm(arm)}})
    networks = segmentation.model_copy(update={"use": use, "choice": choice, "arms": [arm]})
    networks = networks.model_copy(
        update={"members": [member.model_copy(update={"arm": arm.name}) for member in networks.members]}
    )
    folds = FOLDS
    return MeasuredPlan(
        schema=1,
        seed=wishes.seed,
        target=TargetPlan(
            name=facts["target"],
            task=facts["task"],
            classes=facts["classes"],
            positive=facts["positive"],
            why={"task": facts["why"]},
        ),
        measurements=MeasurementsPlan(
            take=take,
            features=list(features),
            why={
                "take": "images named ED and ES with the structures rv, myocardium and lv: a heart"
                if heart
                else "size and shape of each structure in each image",
                "features": "those that do not depend on how a voxel's volume is split over its axes"
                if heart
                else "all that are a number",
            },
        ),
        classifier=ClassifierPlan(
            kinds=["forest", "extra-trees", "boosting"],
            why={"kinds": "small ensembles of trees suit tens to hundreds of cases; inner folds decide"},
        ),
        validation=PairsPlan(
            folds=folds,
            why={
                "folds": f"{pairs_of(folds)} networks, each without two of {folds} folds: masks to learn from and "
                "masks that are weighed come from networks that saw neither the patient nor the held-out fold"
            },
        ),
        segmentation=networks,
        operating_point=OperatingPointPlan(rule=wishes.operating_point),
        budget=segmentation.budget,
    )
