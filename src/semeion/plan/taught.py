"""Whether a network is taught by frozen features what it cannot know from few labels, of how many images, how long."""

from __future__ import annotations

import math

from semeion.plan.members import member_name, member_seed
from semeion.plan.portfolio import VALIDATED
from semeion.plan.pretraining import FEWEST_IMAGES, FEWEST_STEPS, SMALLEST_BATCH, VIEWED
from semeion.plan.recipes import OWN, FrozenRecipe, NetworkPlan, NetworkRecipe, TaughtPlan
from semeion.plan.rules import GROWTH, PRESENTATIONS, REFERENCE_CASES, SETTLED
from semeion.plan.schema import MOST_PLANNED, MemberPlan, Plan

NAME = "taught"
"""The recipe of networks that frozen features teach."""
BATCH = 64
SHARE = 0.5
"""Of the images of each batch, those without labels."""
WEIGHT = 0.5
"""Of their loss in that of a batch."""
MOST_CASES = 1_000
"""Labelled cases above which a network knows more than a linear head on frozen features could teach it."""
ALONE_FROM = 100
"""Labelled cases up to which the same network is not planned to learn from labels alone too."""
FEWEST_VALIDATING = 20
"""Validation cases of a fold below which its best step is a matter of luck."""
LOOKING = 0.25
"""Largest share of the time set aside that frozen features of the images may take."""
WHY = (
    "with few labels better in trials than learning from the images alone, which is not planned beside it: a linear "
    "head on frozen features knows more than few labels tell, and the network that it teaches knows more in the end"
)


def with_taught(
    plan: Plan,
    images: int,
    seconds: float,
    learning_cases: int,
    look_seconds: float | None,
    validating: float = FEWEST_VALIDATING,
) -> tuple[Plan, str]:
    """Return a plan whose `NAME` members are taught by frozen features of images without labels, and the reason.

    Parameters
    ----------
    plan
        Of members that see images.
    images
        Without labels.
    seconds
        Set aside for them: features of the images, and the first member of each fold.
    learning_cases
        Training cases of the table.
    look_seconds
        What an image costs to look at by the frozen features of the plan; None where that was not measured.
    validating
        Cases that a fold validates on.

    Returns
    -------
    tuple
        The plan, the same one where nothing is taught, and why or why not.
    """
    if not isinstance(plan.network, NetworkPlan):
        return plan, "a network of your own learns from labels alone"
    if plan.images.kind == "volume":
        return plan, "whether frozen features of volumes can teach was not tried"
    teacher = next((name for name, one in plan.recipes.items() if isinstance(one, FrozenRecipe)), None)
    if teacher is None or look_seconds is None:
        return plan, "no frozen features are planned that could teach a network"
    if plan.images.role != "single":
        return plan, "a case has several images, and nobody knows which images without labels belong together"
    if images < FEWEST_IMAGES:
        return plan, f"{images} images without labels are fewer than {FEWEST_IMAGES}, too few to be taught of"
    if learning_cases > MOST_CASES:
        return (
            plan,
            f"of {learning_cases} labelled cases, more than {MOST_CASES}, a network learns more than a head says",
        )
    folds = tuple(range(plan.validation.folds)) if plan.validation.scheme == "folds" else (-1,)
    features = images * look_seconds
    if features > LOOKING * seconds:
        return plan, f"frozen features of {images} images would take {features:.0f} s of the {seconds:.0f} s set aside"
    pixels = math.prod(plan.preparation.size or ())
    batch = max(plan.training.batch, min(BATCH, max(SMALLEST_BATCH, VIEWED // pixels)))
    step_seconds = plan.budget.step_seconds[OWN] / plan.training.batch * batch
    wanted = max(PRESENTATIONS * ((learning_cases + images) / REFERENCE_CASES) ** GROWTH, 2 * images / SHARE)
    rounds = math.ceil(len(folds) / plan.parallel.processes)
    # Up to so many cases the network that learns from labels alone is the same one with less to learn from.
    alone = [member for member in plan.members if member.recipe is None and learning_cases > ALONE_FROM]
    gone = [member for member in plan.members if member.recipe is None and member not in alone]
    seconds += sum(member.steps for member in gone) * plan.budget.step_seconds[OWN] / plan.parallel.processes
    left = (seconds - features) / (rounds * step_seconds * VALIDATED)
    steps = int(min(wanted / batch, left))
    if steps < FEWEST_STEPS:
        return plan, f"{seconds:.0f} s allow {steps} steps a member, fewer than the {FEWEST_STEPS} worth taking"
    expected = features + rounds * steps * step_seconds * VALIDATED
    why = (
        f"{images} images without labels: {steps} steps of {batch}, about {expected:.0f} s of the {seconds:.0f} s set "
        f"aside; {WHY}"
    )
    # Validating an image costs about a third of learning from it, and so does taking batch statistics from one.
    evaluations = int(min(20, max(5, 0.3 * steps * batch / SETTLED)))
    training = plan.training.model_copy(
        update={
            "batch": batch,
            "evaluations": evaluations,
            "patience": max(3, round(0.4 * evaluations)),
            "why": {
                "batch": "not bounded by how many cases have labels: these come as often as their half of it asks for",
                "evaluations": "20, or as many as take a tenth of a member's time",
            },
        }
    )
    taught = TaughtPlan(
        teacher=teacher,
        share=SHARE,
        weight=WEIGHT,
        last=validating < FEWEST_VALIDATING,
        images=images,
        why={
            "images": why,
            "teacher": "the head of the same fold; it has not seen what the fold validates on and holds out",
            "share": "half of each batch, so that few labelled cases are not drowned by many images",
            "last": f"a fold validates on about {validating:.0f} cases, and of fewer than {FEWEST_VALIDATING} the best "
            "step would be luck",
            "weight": "what the head says counts as much as labels do, and its doubts are taught with it",
        },
    )
    network = plan.network.model_copy(update={"why": {}})
    recipe = NetworkRecipe(taught=taught, network=network, training=training)
    own = [
        MemberPlan(
            name=member_name(NAME, fold, 0),
            recipe=NAME,
            fold=fold,
            seed=member_seed(plan.seed, 0, fold, NAME),
            steps=steps,
        )
        for fold in folds
    ]
    first = [member for member in plan.members if member.recipe == teacher]
    rest = [member for member in plan.members if member.recipe != teacher and member not in gone]
    if len(first) + len(own) + len(rest) > MOST_PLANNED:
        return plan, f"with one more a fold there would be more than {MOST_PLANNED} members"
    fields = plan.model_dump(by_alias=True)
    if gone:
        fields["validation"]["why"]["members"] = (
            f"with {learning_cases} labelled cases no network learns from labels alone: those that are taught are the "
            "same and learn from these too"
        )
    fields["recipes"] = {**fields["recipes"], NAME: recipe.model_dump()}
    fields["members"] = [member.model_dump() for member in (*first, *own, *rest)]
    fields["budget"]["step_seconds"][NAME] = step_seconds
    fields["budget"]["why"][NAME] = why
    fields["combination"]["why"][NAME] = why
    return Plan.model_validate(fields), why
