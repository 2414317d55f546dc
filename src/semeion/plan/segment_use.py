"""From names of labels and trained changes to how a segmentation is used: mirroring, post-processing, lesions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from semeion.plan.segment_schema import ArmPlan, UsePlan, VolumeAugmentationPlan

LESION = re.compile(
    r"(^|[^a-z])(lesions?|tumou?rs?|metastas[ei]s|metastatic|plaques?|nodules?|hyperintens(e|ity|ities))([^a-z]|$)",
    re.IGNORECASE,
)
"""Words in the names of labels of which a patient has several, each to be found."""
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
