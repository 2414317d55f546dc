"""Members for which memory does not last learn with half the batch, by a recipe of their own that the plan shows."""

from __future__ import annotations

from collections.abc import Mapping

from semeion.artefacts import read_json, write_json
from semeion.plan.recipes import OWN, NetworkRecipe
from semeion.plan.schema import MemberPlan, Plan
from semeion.study.folder import RunFolder

FILE = "lighter.json"
"""Of ``members/``: who learns with a smaller batch than was planned, so that a resume goes on with it."""
LEAST = 2
MOST_NAME = 26


def make_lighter(run: RunFolder, plan: Plan, member: MemberPlan, cases: int) -> str | None:
    """Halve a member's batch and let it begin again; return what to say of it, None where the batch cannot be halved.

    It takes twice the steps, so that it sees as many images.

    Parameters
    ----------
    run, plan, member
        Where, and what; the plan gets the recipe ``<recipe>-b<batch>``.
    cases
        That it learns from; a batch is never larger, but for one with images without labels.
    """
    recipe = plan.recipe_of(member)
    if not isinstance(recipe, NetworkRecipe):
        return None
    before = recipe.training.batch if recipe.taught is not None else min(recipe.training.batch, cases)
    if before // 2 < LEAST:
        return None
    base = (member.recipe or OWN).removesuffix(f"-b{recipe.training.batch}")
    file = run / "members" / FILE
    changes = read_json(file) if file.exists() else []
    change = {
        "member": member.name,
        "of": member.recipe,
        "recipe": f"{base[:MOST_NAME]}-b{before // 2}",
        "batch": before // 2,
        "steps": 2 * member.steps,
    }
    folder = run / "members" / member.name
    # In this order: what a smaller batch learned must never go on with a larger one.
    write_json(file, [*changes, change])
    for name in ("checkpoint.safetensors", "begun.json"):
        (folder / name).unlink(missing_ok=True)
    _apply(plan, change)
    return f"Memory ran out while member {member.name} learned with batches of {before}: it learns with {before // 2}."


def as_lightened(run: RunFolder, plan: Plan) -> list[str]:
    """Give a plan the smaller batches of an earlier process; return what to say of them."""
    file = run / "members" / FILE
    changes = read_json(file) if file.exists() else []
    for change in changes:
        _apply(plan, change)
    return [
        f"Memory ran out while member {change['member']} learned: it learns with batches of {change['batch']}."
        for change in changes
    ]


def _apply(plan: Plan, change: Mapping[str, object]) -> None:
    """Make the recipe, where it is not there, and give it to the member, where that is there."""
    old, name, batch = change["of"], str(change["recipe"]), int(str(change["batch"]))
    if name not in plan.recipes:
        if old is None:
            base = NetworkRecipe(network=plan.network, training=plan.training)
        else:
            # What a search found is not there before it was gone through again.
            found = plan.recipes.get(str(old))
            if not isinstance(found, NetworkRecipe):
                return
            base = found
        made = base.model_copy(deep=True)
        made.training.batch = batch
        made.training.why["batch"] = "memory ran out with twice as many images"
        plan.recipes[name] = made
        if (took := plan.budget.step_seconds.get(str(old or OWN))) is not None:
            plan.budget.step_seconds[name] = took / 2
    students = plan.distillation.students if plan.distillation is not None else []
    for member in [*plan.members, *students]:
        if member.name == change["member"] and member.recipe != name:
            member.recipe, member.steps, member.shortened = name, int(str(change["steps"])), []
