"""From facts to a plan of segmentation: pure functions of the fingerprint, the measured machine and the budget."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from semeion.errors import InputError
from semeion.plan.members import member_seed
from semeion.plan.networks import volume_axes
from semeion.plan.rules import SAFE_SHARE, Wishes
from semeion.plan.schema import BudgetPlan
from semeion.plan.segment_networks import planned_spacing
from semeion.plan.segment_preparation import plan_preparation
from semeion.plan.segment_schema import (
    ArmPlan,
    ChoicePlan,
    SegmentationPlan,
    SegmentMemberPlan,
    SegmentTargetPlan,
    SegmentTrainingPlan,
    SegmentValidationPlan,
    VolumeAugmentationPlan,
)
from semeion.plan.segment_use import lesion_labels, plan_choice, plan_use, untried, why_lesions

DEFAULT_BUDGET = 45 * 60.0
ENOUGH_STEPS = {8: 0, 16: 400, 24: 2000, 32: 4000}
"""Steps that a member must be able to do before its first level is given so many channels, from our trials: too wide
for the time learns too little of it, but below 16 channels outlines stay coarse however long they are learned."""
LEAST_STEPS = 60
"""Steps below which nothing is learned that deserves to ship."""
LEAST_TRIAL = 100
"""Steps of each arm below which a comparison of arms would be luck."""
MIRRORED_FROM = 80
"""Times that every window is seen from which on mirrored ones are seen too; at 40 they neither gained nor lost."""
MOST_EVALUATIONS = 15
"""Validations of a member while it learns."""
MOST_STEPS = 20_000
"""Steps of one member, after which another member gains more."""
SAME_SIDES = re.compile(r"(^|[^a-z])(left|right|links|rechts|sin(istra)?|dex(tra)?|lh|rh)([^a-z]|$)", re.IGNORECASE)
"""Names of labels that tell the sides of a body apart."""


@dataclass(frozen=True)
class MeasuredArm:
    """One network on this machine: seconds of a training step by precision, and memory of the process by then."""

    arm: ArmPlan
    seconds: dict[str, float]
    peak_gib: float = 0.0

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """The faster precision; float32 unless bfloat16 gains a tenth."""
        slow, fast = self.seconds.get("float32", math.inf), self.seconds.get("bfloat16", math.inf)
        return "bfloat16" if fast < 0.9 * slow else "float32"

    @property
    def step(self) -> float:
        """Seconds of a step at that precision."""
        return self.seconds[self.precision]


@dataclass(frozen=True)
class SegmentMachine:
    """What ``machine.json`` says: facts of this machine, measured."""

    threads: int
    memory_gib: float
    device: str
    measured: list[MeasuredArm]
    facts: dict[str, Any] = field(default_factory=dict)


def make_segmentation_plan(
    facts: dict[str, Any],
    machine: SegmentMachine,
    wishes: Wishes,
    *,
    folds: int = 0,
    outlines: int = 0,
) -> SegmentationPlan:
    """Decide everything.

    Parameters
    ----------
    facts
        :func:`semeion.plan.fingerprint.fingerprint` of a cohort of volumes with masks.
    machine
        Measured throughput of :func:`semeion.plan.segment_networks.segment_candidates`.
    wishes
        The user's.
    folds
        Folds wanted, so that every training case gets a mask from networks that never saw its patient; 0: none.
    outlines
        Times that every case is outlined after learning; 0: as validation needs.

    Raises
    ------
    InputError
        When there are too few cases, or the budget does not last for :data:`LEAST_STEPS` of the smallest network.
    """
    budget = wishes.budget or DEFAULT_BUDGET
    validation = plan_segment_validation(facts, folds)
    if not machine.measured:
        raise InputError(
            "the training volumes are too small to be outlined by a network",
            where="the cohort",
            fix="bring volumes of at least 8 voxels along two axes",
        )
    members = max(1, validation.folds)
    for_learning = max(0.0, budget - wishes.used - wishes.still_to_prepare - plan_reserve(facts, budget))
    arms = choose_arms(facts, machine, for_learning / members)
    folded = validation.scheme == "folds"
    if folded:
        arms = arms[:1]
    preferred = arms[0]
    # A case of folds that nobody asked for is held out once and nothing is chosen on it: plain and mirrored.
    each = outlines or (2 if folded else 5)
    reserve = plan_reserve(facts, budget, preferred, each)
    seconds = budget - wishes.used - wishes.still_to_prepare - reserve
    # A step as it will be: reading, augmentation and validation take a tenth.
    steps = int(min(MOST_STEPS, max(seconds, 0.0) / members / (1.1 * preferred.step)))
    if steps < LEAST_STEPS:
        need = 1.1 * LEAST_STEPS * members * preferred.step + wishes.used + wishes.still_to_prepare
        minutes = math.ceil(need / 60)
        while 60 * minutes - plan_reserve(facts, 60.0 * minutes, preferred, each) < need:
            minutes += 1
        raise InputError(
            f"the budget of {budget:.0f} s leaves {steps} steps a member, fewer than the {LEAST_STEPS} that learn "
            "anything",
            where="--budget",
            fix=f"allow at least {minutes}m",
        )
    preparation = plan_preparation(facts)
    looks = looks_a_case(facts, preferred.arm)
    training_plan = plan_training(
        facts,
        machine,
        plan_evaluations(steps, preferred.arm, looks),
        steps * preferred.arm.batch / (looks * facts["training"]["cases"]),
    )
    planned = [
        entry.arm.model_copy(
            update={
                "precision": entry.precision,
                "step_seconds": round(entry.step, 4),
                "why": _why_arm(entry, facts, number, steps),
            }
        )
        for number, entry in enumerate(arms)
    ]
    use, lesions = plan_use(training_plan.augmentation, len(facts["classes"])), lesion_labels(facts["classes"])
    return SegmentationPlan(
        schema=1,
        seed=wishes.seed,
        target=SegmentTargetPlan(
            name=facts["target"],
            classes=facts["classes"],
            values=facts["values"],
            lesions=lesions,
            why={"task": facts["why"], "lesions": why_lesions(lesions)},
        ),
        preparation=preparation,
        arms=planned,
        training=training_plan,
        validation=validation,
        members=[
            SegmentMemberPlan(
                name=f"fold{fold}-seed0" if fold >= 0 else "seed0",
                fold=fold,
                seed=member_seed(wishes.seed, 0, fold),
                steps=steps,
                arm=planned[0].name,
            )
            for fold in (range(validation.folds) if validation.scheme == "folds" else [-1])
        ],
        choice=plan_choice(planned, max(seconds, 0.0) / members, folded=folded),
        use=untried(use, planned[0]) if folded else use,
        budget=BudgetPlan(
            seconds=budget,
            reserve=round(reserve, 1),
            expected_seconds=round(budget - max(seconds, 0.0) + members * steps * 1.1 * preferred.step, 1),
            expected_gib=round(max(entry.peak_gib for entry in arms), 2),
            why={
                "seconds": "asked for" if wishes.budget else "no budget was given, so 45 minutes",
                "reserve": "export, outlines of validation and test cases, evidence, report",
                "expected_seconds": f"{members} x {steps} steps of {preferred.step:.3f} s as measured, a tenth more "
                f"for reading and validation, and {budget - max(seconds, 0.0):.0f} s for all else",
            },
        ),
    )


def choose_arms(facts: dict[str, Any], machine: SegmentMachine, seconds: float) -> list[MeasuredArm]:
    """Return the arms that are tried, the preferred one first, each at the width that the time affords.

    Parameters
    ----------
    facts, machine
        As for :func:`make_segmentation_plan`.
    seconds
        For one member.
    """
    fitting = [entry for entry in machine.measured if entry.peak_gib <= SAFE_SHARE * machine.memory_gib]
    if not fitting:
        raise InputError(
            f"{machine.memory_gib:.1f} GiB of memory are free, too few for the smallest network",
            where="this machine",
            fix="end other programs, or use a machine with more memory",
        )
    first = "2d" if facts["training"]["volume"]["anisotropic"] else "3d"
    found: list[MeasuredArm] = []
    for name in sorted({entry.arm.name for entry in fitting}, key=lambda name: name != first):
        widest = sorted((entry for entry in fitting if entry.arm.name == name), key=lambda e: -e.arm.network.widths[0])
        found.append(next((e for e in widest if affords(e, seconds)), widest[-1]))
    share = ChoicePlan().trial_share
    return [
        entry
        for number, entry in enumerate(found)
        if number == 0 or share * seconds / (1.1 * max(entry.step, found[0].step)) >= LEAST_TRIAL
    ]


def affords(entry: MeasuredArm, seconds: float) -> bool:
    """Tell whether so many steps fit as the network's width asks for."""
    return seconds / (1.1 * entry.step) >= ENOUGH_STEPS.get(entry.arm.network.widths[0], 0)


def _why_arm(entry: MeasuredArm, facts: dict[str, Any], number: int, steps: int) -> dict[str, str]:
    thick = facts["training"]["volume"]["thickness"]["median"]
    seconds = ", ".join(f"{name} {value:.3f} s" for name, value in entry.seconds.items())
    flat = entry.arm.network.dims == 2
    return {
        "name": f"slices lie {thick:.1f} times as far apart as pixels: "
        + ("slice by slice" if flat else "volumes")
        + (" is preferred" if number == 0 else " is tried too"),
        "network": "the widest of those measured for which enough steps fit; kernels and strides leave "
        "out an axis while it is more than twice as coarse as the finest; the patch holds the median volume or as much "
        "as is affordable" + (f"; {steps} steps are planned" if number == 0 else ""),
        "norm": "batch, which is folded into the convolutions in use. "
        + (
            "In one trial on hearts (one seed, 8 validation cases) a step took a fifth less processor time than with "
            "instance normalisation, and Dice after about equal time was 0.83 against 0.78"
            if flat
            else "A step took an eighth less processor time than with instance normalisation; their Dice has not been "
            "compared with all else equal"
        ),
        "learning_rate": "3e-3 slice by slice, 5e-3 for volumes: they learned well in short trials, which did not "
        "compare rates alone",
        "precision": f"measured for one step: {seconds}",
    }


def looks_a_case(facts: dict[str, Any], arm: ArmPlan, overlap: float = 0.0) -> float:
    """Return the windows that the median volume takes."""
    volume = facts["training"]["volume"]
    size = volume[volume_axes(volume)]["extent_mm"]
    patch = arm.network.patch if arm.network.dims == 3 else [1, *arm.network.patch]
    counts = []
    for axis, mm, window in zip("kji", planned_spacing(facts)[::-1], patch, strict=True):
        side, step = size[axis]["median"] / mm, max(1.0, window * (1 - overlap))
        counts.append(1 + max(0, math.ceil((side - window) / step - 1e-9)))
    return float(math.prod(counts))


def plan_evaluations(steps: int, arm: ArmPlan, looks: float) -> int:
    """Return how often a member is validated: looking at a window costs about a third of learning from it."""
    cases = SegmentTrainingPlan(threads=1).validation_cases
    return int(min(MOST_EVALUATIONS, max(2, 0.05 * steps * arm.batch / (0.35 * cases * looks))))


def plan_segment_validation(facts: dict[str, Any], folds: int = 0) -> SegmentValidationPlan:
    """Use the given val cases, else folds where they are wanted, else a part of the training cases."""
    cases, training = facts["cases"], facts["training"]
    if not training["cases"]:
        raise InputError("there is no training case", where="the split", fix="name some cases train, or use --no-split")
    if facts["has_split"] and cases.get("val", 0) and not folds:
        given = f"the table gives {cases.get('train', 0)} train and {cases['val']} val cases; they choose everything"
        return SegmentValidationPlan(scheme="given", why={"scheme": given})
    if training["patients"] < 4:
        raise InputError(
            f"{training['patients']} patients are too few to learn and to validate",
            where="the cohort",
            fix="bring at least 4 patients, better dozens",
        )
    tested = facts["has_split"] and cases.get("test", 0)
    if folds or not tested:
        number = min(folds or 3, training["patients"])
        return SegmentValidationPlan(
            scheme="folds",
            folds=number,
            why={
                "scheme": "folds are wanted"
                if folds
                else "no test cases are given, so every case is held out once, with all cases of its patient",
                "inner_share": "choices of a fold use an inner part of its other cases, by patient",
            },
        )
    share = min(0.2, max(0.1, 12 / training["patients"]))
    return SegmentValidationPlan(
        scheme="holdout",
        inner_share=round(share, 3),
        why={
            "scheme": f"the table gives {cases['test']} test cases and no val: a part of the training patients chooses",
            "inner_share": f"at least 12 of {training['patients']} patients where that is a tenth to a fifth of them",
        },
    )


def plan_reserve(facts: dict[str, Any], budget: float, entry: MeasuredArm | None = None, looks: int = 5) -> float:
    """Return seconds kept for export, choices, outlines, evidence and report; with `entry` those that it outlines in.

    A validation case is looked at `looks` times (five: plain, mirrored, and mirrored again at the end), a test case
    twice.
    """
    given, training = facts["cases"], facts["training"]["cases"]
    test = given.get("test", 0) if facts["has_split"] else 0
    chosen = given.get("val", 0) if facts["has_split"] else 0
    chosen = chosen or training * (0.15 if test else 1.0)
    seconds = 12.0 + 0.02 * budget + 0.3 * (chosen + test)
    if entry is not None:
        window = 0.5 * entry.step / entry.arm.batch
        seconds += (looks * chosen + 2 * test) * looks_a_case(facts, entry.arm, overlap=0.5) * window
    return float(seconds)


def plan_training(
    facts: dict[str, Any], machine: SegmentMachine, evaluations: int, passes: float
) -> SegmentTrainingPlan:
    """Decide loss, sampling and augmentation.

    Parameters
    ----------
    facts, machine
        As for :func:`make_segmentation_plan`.
    evaluations
        Of a member while it learns.
    passes
        Times that a member sees every window of the training volumes.
    """
    anisotropic = facts["training"]["volume"]["anisotropic"]
    sided = [name for name in facts["classes"] if SAME_SIDES.search(name.replace("_", " "))]
    long = passes >= MIRRORED_FROM
    return SegmentTrainingPlan(
        device="cuda" if machine.device == "cuda" else "cpu",
        threads=machine.threads,
        evaluations=evaluations,
        augmentation=VolumeAugmentationPlan(
            rotation=30.0 if anisotropic else 15.0,
            tilt=0.0 if anisotropic else 15.0,
            flip=[2] if long and not sided else [],
            why={
                "rotation": "bodies lie a little differently; whole turns would show anatomy that is rare in use "
                "(where images are turned any way, write 180)",
                "tilt": "thick slices are never tilted" if anisotropic else "as in the plane",
                "flip": f"off: {sided[0]!r} names a side of the body"
                if sided
                else f"each window is seen {passes:.0f} times: "
                + (
                    "long enough to learn mirrored anatomy too, and no label is named for a side of the body"
                    if long
                    else f"mirrored anatomy would take from the time for what is seen in use; from {MIRRORED_FROM} on "
                    "it is learned too"
                ),
            },
        ),
        why={
            "foreground": "half of the patches are centred near a label, labels in turn, so that small ones count",
            "dice": "soft Dice and cross-entropy together: one follows the figure that is weighed, the other is smooth",
            "evaluations": f"{MOST_EVALUATIONS}, or as many as take a twentieth of a member's time",
            "averaging": "averaged weights outline better than the last ones and make validation steady",
        },
    )
