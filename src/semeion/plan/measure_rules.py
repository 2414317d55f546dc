"""From facts to the plan of a diagnosis from measurements: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from semeion.measure.spec import Measurements
from semeion.plan.measure_schema import AveragedPlan, ClassifierPlan, MeasuredPlan, MeasurementsPlan, PairsPlan
from semeion.plan.rules import Wishes
from semeion.plan.schema import BudgetPlan, OperatingPointPlan, Plan, TargetPlan, ValidationPlan
from semeion.plan.segment_schema import SegmentationPlan
from semeion.plan.segment_use import untried, why_first_arm

FOLDS = 5
OUTLINE_SECONDS, MEASURE_SECONDS, TEXTURE_SECONDS = 1.0, 0.5, 4e-6
"""Seconds to outline a test volume with one network, to measure all masks of a volume, and of the texture of a voxel,
kept from the budget beforehand; how long the other volumes are outlined, the measured speed of the network tells."""
IMAGE_SHARE = 0.25
"""Of the budget for networks that see the images themselves."""


def pairs_of(folds: int) -> int:
    """Return the number of pairs of folds, and so of networks."""
    return folds * (folds - 1) // 2


def looks_of(folds: int) -> int:
    """Return the networks that outline a case outside the test cases: those that its fold was left out of."""
    return folds - 1


def reserve_for_measuring(volumes: int, tested: int, outlined: int, folds: int, take: Measurements) -> float:
    """Return seconds kept for outlining test volumes, and for measuring and classifying.

    Parameters
    ----------
    volumes, tested
        Of all cases, and of the test cases among them.
    outlined
        Voxels of all structures in all reference masks; test cases have as many as they have.
    folds
        As many networks ship, and outline test cases.
    take
        What is measured.
    """
    # The mask of each network that may look, of all together, and the reference.
    masks = looks_of(folds) + 2
    texture = TEXTURE_SECONDS * outlined * masks * max(1, len(take.channels)) if take.texture else 0.0
    return 60.0 + MEASURE_SECONDS * volumes + texture + OUTLINE_SECONDS * tested * folds


def _asked_for(take: Measurements) -> str:
    """Return what is measured besides, and what its numbers mean."""
    if not take.intensity:
        return "; intensity and texture were not asked for (--measure)"
    what = "intensity and texture" if take.texture else "intensity"
    return (
        f", and {what}, as asked for: in the plan's unit, or scaled by each image's own intensities where it has none"
    )


def plan_image_validation(folds: int = FOLDS) -> ValidationPlan:
    """Return the validation of image networks whose verdict is averaged with that of measurements."""
    return ValidationPlan(
        scheme="folds",
        folds=folds,
        why={
            "folds": "those of the measurements, so that a held-out case is unseen by both whose verdicts are averaged",
            "inner_share": "early stopping, calibration and threshold of a fold use an inner split of its other cases",
        },
    )


def averaged_plan(networks: Plan, segmentation: SegmentationPlan) -> AveragedPlan:
    """Return the section of image networks; their budget is the run's, less what is kept for the steps after them.

    Parameters
    ----------
    networks
        Planned for their share of the budget alone.
    segmentation
        The networks that outline, which learn first; the share of the image networks is part of their reserve.
    """
    own, whole = networks.budget, segmentation.budget
    after = whole.reserve - (own.seconds or 0.0) + own.reserve
    budget = BudgetPlan(
        seconds=whole.seconds,
        reserve=round(max(0.0, after), 1),
        expected_seconds=own.expected_seconds,
        expected_gib=own.expected_gib,
        why={
            "seconds": "of the whole run; the networks that outline learn first and leave these their share",
            "reserve": "outlining and measuring every case, export, evidence, report",
            "expected_seconds": "of the image networks alone",
        },
    )
    return AveragedPlan(
        share=IMAGE_SHARE,
        seconds=own.seconds or 0.0,
        networks=networks.model_copy(update={"budget": budget}),
        why={
            "share": f"{len(segmentation.members)} networks draw the masks to be measured and learn from "
            "every voxel, so they get three quarters",
            "weights": "equal, fixed beforehand: a weight that is chosen needs cases of its own, and tens of patients "
            "tell it too poorly",
        },
    )


def make_measured_plan(
    facts: dict[str, Any],
    take: Measurements,
    features: Sequence[str],
    segmentation: SegmentationPlan,
    wishes: Wishes,
    images: Plan | None = None,
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
    images
        Plan of networks that see the images themselves, for their share of the budget; None: measurements alone.
    """
    heart = take.kind == "heart"
    arm = segmentation.arms[0]
    use = untried(segmentation.use, arm)
    if heart:
        pieces = [f"largest:{n + 1}" for n in range(len(take.structures))]
        use = untried(segmentation.use, arm, pieces, "a chamber and its wall are one piece each")
    choice = segmentation.choice.model_copy(
        update={"arm": arm.name, "why": {**segmentation.choice.why, "arm": why_first_arm(arm)}}
    )
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
                else f"size and shape of each structure in each image{_asked_for(take)}",
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
        images=None if images is None else averaged_plan(images, networks),
        operating_point=OperatingPointPlan(rule=wishes.operating_point),
        budget=segmentation.budget,
    )
