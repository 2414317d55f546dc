"""Whether a network first learns from images without labels, how long, and what then starts from it."""

from __future__ import annotations

import math

from semeion.plan.members import member_name, member_seed
from semeion.plan.networks import seen_size
from semeion.plan.portfolio import VALIDATED
from semeion.plan.recipes import OWN, AugmentationPlan, NetworkPlan, NetworkRecipe
from semeion.plan.rules import GROWTH, PRESENTATIONS, REFERENCE_CASES
from semeion.plan.schema import MOST_PLANNED, MemberPlan, Plan, PretrainingPlan

NAME = "pretraining"
"""The recipe of networks that start from what was learned from images alone."""
SHARE = 0.5
"""Of the time for learning: pretraining, and the first member of each fold that starts from it."""
OWN_SHARE = 0.7
"""Of that, what pretraining itself takes."""
SEEN = 0.25
"""Images that a member sees that starts from it, beside one that begins at random: it has less to learn."""
FEWEST_IMAGES = 100
"""Fewer teach a network little about telling images apart."""
FEWEST_STEPS = 60
"""Below this little was learned."""
MOST_SEEN = 250_000
"""Images that pretraining sees at most, each counted as often as it is seen."""
BATCH = 128
SMALLEST_BATCH = 16
VIEWED = 1 << 20
"""Pixels or voxels of all changed images of a step: bounds the memory, of which they need some kilobytes each."""
STRONGER = {"rotation": 15.0, "scale": 0.3, "shift": 0.15, "brightness": 0.3, "contrast": 0.4, "noise": 0.2}
"""Changes of an image that is to be known again; stronger than those of a labelled one."""


def seconds_for(images: int, seconds: float) -> float:
    """Return what is set aside of the seconds for learning for all that comes of `images` without labels."""
    return SHARE * max(seconds, 0.0) if images >= FEWEST_IMAGES else 0.0


def without(images: int) -> str:
    """Return why nothing is learned from `images` without labels, where they are the reason."""
    return f"{images} images without labels are fewer than {FEWEST_IMAGES}, too few to learn from alone"


def with_pretraining(
    plan: Plan, images: int, seconds: float, learning_cases: int, train_cases: int = 0
) -> tuple[Plan, str]:
    """Return a plan whose `NAME` members start from what a body learned from images alone, and the reason.

    Parameters
    ----------
    plan
        Of members that see images; its network's body is the one that learns.
    images
        Without labels.
    seconds
        For pretraining and the members that start from it; :func:`seconds_for`.
    learning_cases
        Training cases of the table.
    train_cases
        Of them those whose images are learned from without their labels too: the train cases of a given split.
    """
    network = plan.network
    if not isinstance(network, NetworkPlan):
        return plan, "a network of your own learns from labels alone"
    # What is stored larger for other members is made smaller first.
    size = seen_size(network, plan.preparation.size or ())
    step_seconds = plan.budget.step_seconds[OWN]
    # Slices are learned from one by one, so a volume costs what one of its slices does.
    parts = plan.images.groups * (size[0] if network.kind == "slices" else 1)
    each = step_seconds / plan.training.batch / parts
    pixels = math.prod(size[-2:] if network.kind == "slices" else size)
    batch = min(BATCH, max(SMALLEST_BATCH, VIEWED // (2 * pixels)), images)
    steps = int(min(OWN_SHARE * seconds / (2 * batch * each), MOST_SEEN / batch))
    folds = tuple(range(plan.validation.folds)) if plan.validation.scheme == "folds" else (-1,)
    wanted = SEEN * PRESENTATIONS * (learning_cases / REFERENCE_CASES) ** GROWTH / plan.training.batch
    left = (seconds - steps * 2 * batch * each) / (len(folds) * step_seconds * VALIDATED)
    own = int(min(wanted, left))
    if steps < FEWEST_STEPS or own < 1:
        return plan, f"{seconds:.0f} s allow {steps} steps on images alone, fewer than the {FEWEST_STEPS} worth taking"
    expected = steps * 2 * batch * each
    why = (
        f"{images + train_cases} images are learned from without labels: {steps} steps of {batch}, each seen twice, "
        f"about {expected:.0f} s of the {seconds:.0f} s set aside ({SHARE:.0%} of the time for learning)"
    )
    changes = {**plan.training.augmentation.model_dump(), **STRONGER}
    changes["why"] = {"scale": "stronger than with labels: an image is known again by what no change takes away"}
    settings = PretrainingPlan(
        images=images + train_cases,
        steps=steps,
        batch=batch,
        seed=member_seed(plan.seed, 0, -1, NAME),
        augmentation=AugmentationPlan.model_validate(changes),
        seconds=round(expected, 1),
        why={
            "steps": why,
            "batch": "an image is told apart from the others of its step, so many; memory bounds them",
        },
    )
    training = plan.training.model_copy(
        update={
            "learning_rate": plan.training.learning_rate / 2,
            "why": {"learning_rate": "half of what a network needs that begins at random: what it knows is to last"},
        }
    )
    recipe = NetworkRecipe(start="pretraining", network=network.model_copy(update={"why": {}}), training=training)
    started = [
        MemberPlan(
            name=member_name(NAME, fold, 0),
            recipe=NAME,
            fold=fold,
            seed=member_seed(plan.seed, 0, fold, NAME),
            steps=own,
        )
        for fold in folds
    ]
    first = [member for member in plan.members if member.recipe is not None]
    rest = [member for member in plan.members if member.recipe is None]
    if len(first) + len(started) + len(rest) > MOST_PLANNED:
        return plan, f"with one more a fold there would be more than {MOST_PLANNED} members"
    fields = plan.model_dump(by_alias=True)
    fields["recipes"] = {**fields["recipes"], NAME: recipe.model_dump()}
    fields["pretraining"] = settings.model_dump()
    fields["members"] = [member.model_dump() for member in (*first, *started, *rest)]
    fields["budget"]["step_seconds"][NAME] = step_seconds
    fields["budget"]["why"]["pretraining"] = why
    return Plan.model_validate(fields), why
