"""What frozen features say of images without labels, for the members that learn from it: once for each fold."""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semeion.artefacts import whole_file
from semeion.errors import TrainingFailed
from semeion.plan.recipes import NetworkRecipe, TaughtPlan
from semeion.plan.schema import MemberPlan, Plan
from semeion.prepare.store import open_store
from semeion.study.members.frozen import FOLDER, Banks, frozen_outputs

if TYPE_CHECKING:
    from semeion.learn.further import Further

IMAGES = Path("pretraining", "store")
"""In a run folder, the images without labels, prepared as the cases are."""
PART = "unlabelled"


def taught_of(plan: Plan, member: MemberPlan) -> TaughtPlan | None:
    """Return what a member is taught of images without labels; None where it is not."""
    recipe = plan.recipe_of(member)
    return recipe.taught if isinstance(recipe, NetworkRecipe) else None


def teacher_of(plan: Plan, member: MemberPlan) -> MemberPlan | None:
    """Return the member whose head says what another one is taught, of the same fold; None where there is none."""
    taught = taught_of(plan, member)
    if taught is None:
        return None
    own = (one for one in plan.members if one.recipe == taught.teacher and one.fold == member.fold)
    return next(own, None)


def awaits_teacher(plan: Plan, member: MemberPlan, finished: Container[str]) -> bool:
    """Return whether a member cannot begin yet, since who teaches it has not finished."""
    teacher = teacher_of(plan, member)
    return teacher is not None and teacher.name not in finished


def learn_alone(plan: Plan, member: MemberPlan) -> None:
    """Let a member learn by the plan's own network from labels alone, in place: as many images, taught of none."""
    recipe = plan.recipe_of(member)
    batch = recipe.training.batch if isinstance(recipe, NetworkRecipe) else plan.training.batch
    member.steps, member.shortened = max(1, round(member.steps * batch / plan.training.batch)), []
    member.recipe = None


def lesson_file(run: Path, teacher: str, fold: int) -> Path:
    """Return the file of what the head of a fold says: ``features/<recipe>.unlabelled.<fold>.npy``."""
    return run / FOLDER / f"{teacher}.{PART}.{'given' if fold < 0 else f'fold{fold}'}.npy"


def teach(
    plan: Plan,
    member: MemberPlan,
    banks: Banks,
    finished: Container[str],
    seen: Callable[[int, int], None] = lambda _done, _of: None,
) -> None:
    """Let the head of a member's fold say what it thinks of every image without a label, and keep it.

    The images are looked at once for all folds, as they are. The head learned from the cases that the fold learns from
    and from no other, so that nothing of what the fold validates on or holds out reaches the member.

    Parameters
    ----------
    plan, member
        Of a recipe that is `taught`; nothing is done for another.
    banks
        Of the cases; where the run is, and whether the user asked to stop.
    finished
        Names of the members that have.
    seen
        Called with the images looked at and their number while new ones are.

    Raises
    ------
    Interrupted
        When the user asked to stop; what was looked at is kept.
    TrainingFailed
        When the fold has no such head.
    """
    taught = taught_of(plan, member)
    if taught is None:
        return
    teacher = teacher_of(plan, member)
    if teacher is None or teacher.name not in finished:
        raise TrainingFailed(
            f"no member of its fold has the recipe {taught.teacher!r} that teaches it",
            where=f"member {member.name}",
            fix="give every fold such a member",
        )
    run = banks.run.path
    file = lesson_file(run, taught.teacher, member.fold)
    if file.exists():
        return
    images = Banks(banks.run, plan, open_store(run / IMAGES), banks.stop, PART)
    rows = np.arange(images.store.n, dtype=np.int64)
    said = frozen_outputs(run / "members" / teacher.name, teacher, images, rows, seen)
    with whole_file(file) as temporary, temporary.open("wb") as out:
        np.save(out, said)


def read_lesson(run: Path, plan: Plan, member: MemberPlan) -> Further | None:
    """Return the images without labels that a member is taught of, and what it is taught; None where it is not.

    It is read from files of the run, so that another process, or another machine, learns the same.
    """
    taught = taught_of(plan, member)
    if taught is None:
        return None
    from semeion.learn.further import Further

    said = np.load(lesson_file(run, taught.teacher, member.fold), allow_pickle=False)
    return Further(open_store(run / IMAGES), np.asarray(said, dtype=np.float64), taught.share, taught.weight)
