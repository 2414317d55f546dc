"""Images without labels that frozen features teach networks of: prepared, and told to be others than a plan had."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from semeion.errors import InputError
from semeion.plan.recipes import NetworkRecipe, Recipe
from semeion.plan.schema import Plan
from semeion.prepare.store import Store
from semeion.progress import Progress
from semeion.study.folder import RunFolder
from semeion.study.options import RunOptions
from semeion.study.pretraining import NOT_THERE_TO_TEACH
from semeion.study.unlabelled import Unlabelled, prepared_like

UNTAUGHT = "{used:,} images without labels were given, and no network that they taught became a member."
OTHER_IMAGES = "Networks were taught of other images without labels than those that the plan was executed with."


@dataclass(frozen=True)
class TaughtOf:
    """What networks of a run are taught of.

    Attributes
    ----------
    facts
        Of the evidence (``taught``); None where nothing is taught.
    notes
        What a reader should know.
    """

    facts: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)

    def of(self, executed: Plan) -> TaughtOf:
        """Return what is true of a plan as it was executed: who was to be taught may have been left out."""
        if self.facts is None or executed.taught:
            return self
        return TaughtOf(notes=[UNTAUGHT.format(**self.facts["unlabelled"])])


def images_to_teach(
    run: RunFolder,
    plan: Plan,
    store: Store,
    seen: Unlabelled | None,
    options: RunOptions,
    progress: Progress,
) -> tuple[Plan, TaughtOf]:
    """Prepare the images without labels where a recipe is taught of them.

    Parameters
    ----------
    run, plan, store, options
        Where and what; the prepared cases and who learns.
    seen
        The images without labels; exact copies of cases were left out.
    progress
        For the bar.

    Returns
    -------
    tuple
        The plan with the images that they really are, and what the evidence says of them.

    Raises
    ------
    InputError
        When there are none, or they are no images as the cases are.
    """
    if not plan.taught:
        return plan, TaughtOf()
    if seen is None:
        raise InputError(NOT_THERE_TO_TEACH, where="--unlabelled", fix="name their folder")
    prepared_like(run, store, seen, plan, options, progress)
    sha256 = seen.sha256
    planned = {one.sha256 for one in plan.taught.values()} - {None}
    recipes: dict[str, Recipe] = {
        name: _of_images(recipe, seen.images, sha256) if name in plan.taught else recipe
        for name, recipe in plan.recipes.items()
    }
    first = next(iter(plan.taught.values()))
    facts = {
        "unlabelled": seen.counts(),
        "teacher": first.teacher,
        "share": first.share,
        "weight": first.weight,
        "sha256": sha256,
    }
    notes = [OTHER_IMAGES] if planned - {sha256} else []
    return plan.model_copy(update={"recipes": recipes}), TaughtOf(facts, notes)


def without_taught(plan: Plan) -> Plan:
    """Return a plan without the members that are taught of images without labels.

    Where a fold has no others that learn by steps, they learn from labels alone instead.
    """
    gone = set(plan.taught)
    left = [member for member in plan.members if member.recipe not in gone]
    if {member.fold for member in left if member.steps} == {member.fold for member in plan.members}:
        recipes = {name: one for name, one in plan.recipes.items() if name not in gone}
        return plan.model_copy(update={"recipes": recipes, "members": left})
    alone = {name: one.model_copy(update={"taught": None}) for name, one in plan.recipes.items() if name in gone}
    return plan.model_copy(update={"recipes": {**plan.recipes, **alone}})


def _of_images(recipe: Recipe, images: int, sha256: str) -> Recipe:
    if not isinstance(recipe, NetworkRecipe) or recipe.taught is None:
        return recipe
    return recipe.model_copy(update={"taught": recipe.taught.model_copy(update={"images": images, "sha256": sha256})})
