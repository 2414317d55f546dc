"""Which compact network an ensemble is distilled into, and what of a budget is kept for it."""

from __future__ import annotations

import math

from semeion.errors import InputError
from semeion.plan.members import member_name, member_seed
from semeion.plan.portfolio import FORWARD
from semeion.plan.recipes import OWN, FrozenRecipe, NetworkRecipe, PretrainedPlan, kept_stages
from semeion.plan.schema import DistillationPlan, MemberPlan, Plan

STUDENT = "student"
"""The recipe by which students learn."""
SHARE = 0.25
"""Of the time for learning, what is kept for students and for what their teachers say."""
READING = 0.1
"""Of that, what the teachers may take to say it."""
VALIDATED = 1.1
"""What validating adds to the steps of a student."""
PATIENT = 2
"""Times the images of a member that a student sees at most: it gains from a longer schedule than its teachers do
(Beyer et al., CVPR 2022, "Knowledge distillation: a good teacher is patient and consistent")."""
TRUST = 0.7
"""Weight of the ensemble's words beside the reference standard, which Hinton et al. let count considerably less."""
KEPT_TOO = 2.5
"""Times as long that a step takes with the stages that a pretrained network keeps, which images without labels pass
too: measured 2.4, at 224 pixels."""
PASSES = 4
"""How often a student should see each of its images at least: of more images without labels so many are drawn."""
OPTION = "--ship"


def seconds_for(seconds: float) -> float:
    """Return what is set aside for students of the seconds for learning."""
    return SHARE * max(seconds, 0.0)


def distilling_seconds(plan: Plan) -> float:
    """Return what students may take of a plan's budget, all folds together; 0 without them or without a budget."""
    if plan.distillation is None or plan.budget.seconds is None:
        return 0.0
    return plan.distillation.share * max(0.0, plan.budget.seconds - plan.budget.reserve)


def with_distillation(
    plan: Plan, seconds: float, learning_cases: float, images: int = 0, look_seconds: float | None = None
) -> Plan:
    """Return a plan whose ensemble is distilled: one student a fold learns from its words, and ships alone.

    The student is the pretrained network that goes on learning where the plan has one and its schedule fits into
    `seconds`, since few cases teach it more; else the plan's own network, which learns from nothing but these cases.

    Parameters
    ----------
    plan
        Of an ensemble that sees images; its budget leaves `seconds` free.
    seconds
        For the students of all folds together; :func:`seconds_for`.
    learning_cases
        That a fold learns from.
    images
        Without labels, on which the ensemble may speak too.
    look_seconds
        What an image costs to look at by the frozen features of the plan; None where that was not measured.

    Raises
    ------
    InputError
        When the seconds do not last for one pass through the cases.
    """
    folds = tuple(range(plan.validation.folds)) if plan.validation.scheme == "folds" else (-1,)
    learning = (1 - READING) * seconds / VALIDATED / len(folds)
    base, name, reason = _chosen(plan, learning)
    step_seconds, batch = plan.budget.step_seconds[name], base.training.batch
    if images and kept_stages(base.network):
        step_seconds *= KEPT_TOO
    alike = [member.steps for member in plan.members if (member.recipe or OWN) == name]
    # Where no member learns so, as many images as one sees that learns otherwise.
    others = [(member.steps, plan.recipe_of(member)) for member in plan.members]
    seen = [steps * one.training.batch // batch for steps, one in others if isinstance(one, NetworkRecipe)]
    full = max(alike or seen)
    possible, least = int(learning / step_seconds), max(1, round(learning_cases / batch))
    if possible < least:
        # Two minutes more than in proportion: what is kept for the end grows too.
        minutes = math.ceil((plan.budget.seconds or seconds) * least / max(possible, 1) / 60) + 2
        raise InputError(
            f"the {seconds:.0f} s for a student allow {possible} steps, fewer than the {least} of one epoch",
            where=OPTION,
            fix=f"allow about {minutes}m with --budget, or ship the ensemble or a single member",
        )
    steps = min(possible, PATIENT * full)
    drawn = min(images, max(round(learning_cases), steps * batch // PASSES))
    each = _spoken_seconds(plan, look_seconds)
    drawn = min(drawn, int(READING * seconds / each)) if each else drawn
    why_images = f"{drawn} of the {images} images without labels, which have the ensemble's words alone"
    if not images:
        why_images = "no images without labels were given"
    elif plan.images.role != "single":
        drawn, why_images = 0, "a case has several images, and nobody knows which without labels belong together"
    training = base.training.model_copy(
        update={
            "label_smoothing": 0.0,
            "threads": plan.threads,
            "why": {
                "label_smoothing": "the ensemble's words are soft already, by case; softening all alike blurs them "
                "(Mueller et al., NeurIPS 2019)",
                "threads": "all: one student learns at a time",
            },
        }
    )
    students = [
        MemberPlan(
            name=member_name(STUDENT, fold, 0),
            recipe=STUDENT,
            fold=fold,
            seed=member_seed(plan.seed, 0, fold, STUDENT),
            steps=steps,
        )
        for fold in folds
    ]
    expected = len(folds) * steps * step_seconds * VALIDATED
    section = DistillationPlan(
        share=min(0.5, round(seconds / ((plan.budget.seconds or 4 * seconds) - plan.budget.reserve), 4)),
        seconds=round(expected, 1),
        trust=TRUST,
        images=drawn,
        students=students,
        why={
            "share": f"asked for with {OPTION} distilled; {SHARE:.0%} of the time for learning, {seconds:.0f} s",
            "students": f"{reason}; {steps} steps, at most {PATIENT} times those of a member, since a student gains "
            "from a long schedule",
            "trust": "weight of the ensemble's words beside the reference standard (Hinton, Vinyals and Dean 2015)",
            "soften": "members are over-confident about cases that they learned from",
            "images": why_images,
        },
    )
    fields = plan.model_dump(by_alias=True)
    fields["recipes"][STUDENT] = NetworkRecipe(network=base.network, training=training, why=base.why).model_dump()
    fields["distillation"] = section.model_dump()
    fields["combination"]["ship"] = "distilled"
    fields["combination"]["why"]["ship"] = "one network that learned from the ensemble ships and is weighed"
    fields["budget"]["step_seconds"][STUDENT] = step_seconds
    return Plan.model_validate(fields)


def _spoken_seconds(plan: Plan, look_seconds: float | None) -> float:
    """Return what it takes all planned members to speak of an image without labels, in seconds."""
    frozen = any(isinstance(recipe, FrozenRecipe) for recipe in plan.recipes.values())
    # Where networks are taught of the images, their features are known already.
    total = look_seconds or 0.0 if frozen and not plan.taught else 0.0
    for member in plan.members:
        recipe = plan.recipe_of(member)
        if isinstance(recipe, NetworkRecipe):
            total += FORWARD * plan.budget.step_seconds.get(member.recipe or OWN, 0.0) / recipe.training.batch
    return total


def _chosen(plan: Plan, seconds: float) -> tuple[NetworkRecipe, str, str]:
    """Return whose network a student has, its name and the reason; `seconds` are for the steps of one student."""
    own = NetworkRecipe(network=plan.network, training=plan.training)
    for name, recipe in plan.recipes.items():
        if not isinstance(recipe, NetworkRecipe) or not isinstance(recipe.network, PretrainedPlan):
            continue
        steps = next((member.steps for member in plan.members if member.recipe == name), 0)
        needed = steps * plan.budget.step_seconds.get(name, math.inf)
        if steps and needed <= seconds:
            what = "a pretrained network that goes on learning, from which few cases are enough"
            return recipe, name, f"{what}: its {steps} steps take {needed:.0f} of {seconds:.0f} s"
        what = "a compact network from scratch"
        return own, OWN, f"{what}: the pretrained one would take {needed:.0f} of {seconds:.0f} s"
    return own, OWN, "a compact network from scratch: the plan has no pretrained one that goes on learning"
