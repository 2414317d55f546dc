"""From names of labels and trained changes to how a segmentation is used: mirroring, post-processing, lesions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from semeion.plan.segment_schema import ArmPlan, ChoicePlan, UsePlan, VolumeAugmentationPlan

LESION = re.compile(
    r"(^|[^a-z])(lesions?|tumou?rs?|metastas[ei]s|metastatic|plaques?|nodules?|hyperintens(e|ity|ities))([^a-z]|$)",
    re.IGNORECASE,
)
"""Words in the names of labels of which a patient has several, each to be found."""
LEAST_SUPERVISED = 300
"""Steps below which deep supervision is not tried: three times those of the trial of arms, since the twins differ in
their loss alone, and their Dice by less. No trial tuned it."""
NO_LEVEL = "not tried: the network has no coarser level to supervise"
ANOTHER_FOLD = "fixed beforehand: a choice on validation cases would read cases that another fold weighs"


def plan_use(augmentation: VolumeAugmentationPlan, labels: int) -> UsePlan:
    """Return what is tried on validation cases: mirroring along trained axes, largest parts, filled holes."""
    tried = [f"largest:{label}" for label in range(1, labels + 1)] + [f"fill:{n}" for n in range(1, labels + 1)]
    return UsePlan(
        mirror_tried=augmentation.flip,
        postprocess_tried=["largest:union", *tried] if labels > 1 else tried,
        why={
            "mirror": "tried on validation cases; kept when it helps"
            if augmentation.flip
            else "not tried: no mirrored patch was learned from, and such looks then lose Dice",
            "postprocess": "each rule is tried on validation cases and kept when it helps",
            "overlap": "windows overlap by half and are weighted by a Gaussian, so that borders do not show",
        },
    )


def untried(
    use: UsePlan, arm: ArmPlan, rules: Sequence[str] = (), why: str = "none: structures may be in parts"
) -> UsePlan:
    """Return how `arm` is used where nothing may be tried: mirrored along all axes that would be tried.

    With folds the validation cases of one fold are held-out cases of another, so a choice made on all of them would
    have read cases that are weighed.

    Parameters
    ----------
    use
        With axes to be tried, or fixed already.
    arm
        The network.
    rules, why
        Of post-processing, and why these.
    """
    flat = arm.network.dims == 2
    # Axes are counted in (D, H, W) while planning, and in the patch where they are used.
    mirror = [axis - flat for axis in use.mirror_tried if axis - flat >= 0] or use.mirror
    return use.model_copy(
        update={
            "mirror": mirror,
            "mirror_tried": [],
            "postprocess": list(rules),
            "postprocess_tried": [],
            "why": {**use.why, "mirror": ANOTHER_FOLD, "postprocess": why},
        }
    )


def plan_choice(arms: Sequence[ArmPlan], seconds: float, *, folded: bool) -> ChoicePlan:
    """Return which networks are compared before one of them is trained.

    Parameters
    ----------
    arms
        As planned, with their measured seconds of a step.
    seconds
        For the learning of one member, trials included.
    folded
        Whether every validation case is held out by another fold.
    """
    share = ChoicePlan().trial_share
    steps = int(share * seconds / (1.1 * max(arm.step_seconds or 0.0 for arm in arms)))
    supervised = any(arm.network.deep_supervision for arm in arms)
    tried = supervised and not folded and steps >= LEAST_SUPERVISED
    if folded:
        arm, supervision = why_first_arm(arms[0]), ANOTHER_FOLD
    else:
        arm = "each arm learns for trial_share of the time; validation Dice decides which goes on"
        supervision = "the arm and its twin without deep supervision learn equally long; validation Dice decides"
    if len(arms) == 1 and not folded:
        arm = "one network only: " + arms[0].name
    if not supervised:
        supervision = NO_LEVEL
    elif not folded and not tried:
        supervision = (
            f"not tried: {steps} steps of a trial, fewer than {LEAST_SUPERVISED}, would leave to luck which is better; "
            "coarser levels are supervised, as is usual"
        )
    trials = (len(arms) if len(arms) > 1 or tried else 0) + tried
    return ChoicePlan(
        arm=arms[0].name if len(arms) == 1 else None,
        supervision_tried=tried,
        why={
            "arm": arm,
            "supervision_tried": supervision,
            "trial_share": f"{trials} trials, of which one goes on; the others take {share * (trials - 1):.0%} of the "
            "time for learning"
            if trials
            else "nothing is tried",
        },
    )


def why_first_arm(arm: ArmPlan) -> str:
    """Return the reason for an arm that was not compared with another, for the sake of folds."""
    return f"{arm.name}: the first for this geometry; {ANOTHER_FOLD}"


def lesion_labels(names: Sequence[str]) -> list[str]:
    """Return the labels that are named for lesions; ``LiverTumour`` and ``liver_tumour`` are read as two words."""
    words = {name: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name) for name in names}
    return [name for name, text in words.items() if LESION.search(text)]


def why_lesions(found: Sequence[str]) -> str:
    """Return the reason for labels that are lesions, or for having none."""
    if found:
        named = ", ".join(map(repr, found))
        return f"{named}: named for lesions, whose connected parts are also weighed one by one; empty the list if not"
    return "no label is named for a lesion; write a label here to have its connected parts weighed one by one too"
