"""Members that judge what is known of a patient besides images, alone or with the verdict of frozen features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.artefacts import write_json, write_text
from semeion.cohort.cohort import read_cohort
from semeion.errors import InputError, TrainingFailed
from semeion.model.covariates import CovariateHead, CovariateMember, feature_names, image_features, open_head
from semeion.plan.recipes import CovariatesRecipe
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.prepare.covariate_fit import covariate_rows, fit_encoding
from semeion.prepare.covariates import Values
from semeion.study.folder import RunFolder
from semeion.study.members.losses import case_losses, paired_gain
from semeion.study.members.solved import solved_json
from semeion.study.teaching import read_teaching

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Said = Callable[[MemberPlan, Rows], Floats]
"""Member and rows to what it says of them as it ships."""

FILE = "covariates.json"
HALVES = "members that know the covariates have half of the shares, where they tell more than images do without"
CAUTION = 2.0
"""Standard errors over patients by which covariates must tell more than is told without them. One would do if the best
of several learners, and of several numbers of trees, had not been chosen on the same cases."""
INNER = "inner.npy"
"""What a frozen member says of its own learning cases, each by a head that did not know its patient."""


def covariate_values(run: RunFolder, plan: Plan, rows: Rows) -> dict[str, Values]:
    """Return the covariates of `rows` of a run's cohort by column, as the table has them."""
    cohort = read_cohort(run / "cohort.parquet")
    return dict(covariate_rows(cohort, plan.covariates, rows))


def learn_covariates(
    run: RunFolder, plan: Plan, member: MemberPlan, y: Floats, groups: Rows, side: Sides, said: Said
) -> None:
    """Fit encoding and learner on the fold's learning cases and leave ``covariates.json member.json``, the last last.

    The inner validation cases are only predicted. What others say of the images of a case that they learned from comes
    from heads that did not know its patient, so that the learner sees them as good as they are.

    Parameters
    ----------
    run, plan, member
        Where and what.
    y, groups
        Reference standard and patient in cohort order.
    side
        Rows of the member's fold.
    said
        Tells what finished members say.
    """
    from semeion.learn.covariates import fit_covariates

    began = perf_counter()
    recipe, task = _recipe(plan, member), plan.target.task
    folder = run / "members" / member.name
    folder.mkdir(parents=True, exist_ok=True)
    outputs = 1 if task == "regression" else len(plan.target.classes)
    learning = covariate_values(run, plan, side.learn)
    encoding = fit_encoding(learning, recipe.columns, groups[side.learn].tolist())
    after = _after(plan, member)
    if recipe.images is not None and not after:
        raise TrainingFailed(
            f"member {member.name} goes by {recipe.images!r}, which has no member in its fold",
            where=member.name,
            fix="give the plan one, or leave this member out",
        )
    x, seen = encoding.encode(learning), None
    if after:
        inner = np.mean([np.load(run / "members" / one.name / INNER, allow_pickle=False) for one in after], axis=0)
        seen = image_features(inner, task)
        x = np.concatenate([x, seen], axis=1)
    names = feature_names(encoding, task, outputs, images=bool(after))
    places, lesson, weight = np.arange(len(side.learn)), y[side.learn], None
    if (taught := read_teaching(run.path, plan)) is not None:
        places, lesson, weight = taught.copies(side.learn, y)
    patients, learners = groups[side.learn][places], recipe.learners
    fitted = fit_covariates(
        *(x[places], lesson, patients, names, task, outputs), seed=member.seed, learners=learners, weight=weight
    )
    head = CovariateHead.model_validate(
        {"task": task, "outputs": outputs, "encoding": encoding, "after": [one.name for one in after], **fitted.head}
    )
    write_text(folder / FILE, head.model_dump_json(by_alias=True))
    without = _without_covariates(y[side.learn], groups[side.learn], seen, task, outputs, member.seed)
    # The first copies of cases come first: what is said of one is the same of all.
    own = case_losses(fitted.inner[: len(side.learn)], y[side.learn], task)
    gain, error = paired_gain(case_losses(without, y[side.learn], task), own, groups[side.learn])
    values = covariate_outputs(run, plan, member, side.validate, said)
    facts = solved_json(
        member,
        perf_counter() - began,
        values,
        y[side.validate],
        task,
        stopped="chosen by cross-validation",
        learner=fitted.kind,
        learner_losses=fitted.losses,
        gain=gain,
        error=error if np.isfinite(error) else None,
        adds=bool(gain > CAUTION * error),
    )
    write_json(folder / "member.json", facts)


def _without_covariates(y: Floats, groups: Rows, seen: Floats | None, task: str, outputs: int, seed: int) -> Floats:
    """Return what is said of the learning cases without their covariates: the same of everybody, or by images alone."""
    from semeion.learn.covariates import fit_covariates

    if seen is not None:
        names = [f"images {number}" for number in range(seen.shape[1])]
        return fit_covariates(seen, y, groups, names, task, outputs, seed=seed).inner
    if task == "regression":
        return np.full((len(y), 1), float(np.median(y)))
    if task == "multilabel":
        known = ~np.isnan(y)
        return np.tile(np.nansum(y, axis=0) / np.maximum(known.sum(axis=0), 1), (len(y), 1))
    return np.tile(np.bincount(y.astype(np.int64), minlength=outputs) / len(y), (len(y), 1))


def without_say(plan: Plan, names: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return which of the finished members `names` of one fold have no say in its ensemble.

    Covariates have none where, of patients left out of the learning cases, they do not tell more by two standard errors
    over patients: than the same of everybody, or with frozen features than these alone. Where the fused member has a
    say, it stands for the frozen features and the covariates that it knows, which would else count twice.
    """
    adds = {str(one["name"]): bool(one["adds"]) for one in facts if "adds" in one}
    mine = [member for member in plan.members if member.name in names]
    alone = {one.name for one in mine if one.name in adds and not _after(plan, one)}
    fused = [one for one in mine if one.name in adds and _after(plan, one)]
    out = {one.name for one in mine if not adds.get(one.name, True)}
    for member in fused:
        out |= alone
        if adds[member.name]:
            out |= {one.name for one in _after(plan, member)}
    return out if set(names) - out else set()


def halves(plan: Plan, names: Sequence[str]) -> dict[str, float]:
    """Return shares of members of one fold, half of them to those that know the covariates; equal ones without any.

    Equal shares would leave covariates the less to say, the more networks see the same images.
    """
    know = [one.name for one in plan.members if one.name in names and isinstance(plan.recipe_of(one), CovariatesRecipe)]
    see = [name for name in names if name not in know]
    if not know or not see:
        return {name: 1.0 / len(names) for name in names}
    return {**dict.fromkeys(see, 0.5 / len(see)), **dict.fromkeys(know, 0.5 / len(know))}


def covariate_outputs(run: RunFolder, plan: Plan, member: MemberPlan, rows: Rows, said: Said) -> Floats:
    """Return what a finished member says of `rows`, float64 ``(rows, outputs)``."""
    judge = open_member(run, member)
    return judge.outputs(covariate_values(run, plan, rows), seen_by(plan, member, rows, said))


def open_member(run: RunFolder, member: MemberPlan) -> CovariateMember:
    """Return a finished member, ready to judge."""
    file = run / "members" / member.name / FILE
    return CovariateMember(open_head(file.read_bytes(), where=str(file)))


def seen_by(plan: Plan, member: MemberPlan, rows: Rows, said: Said) -> Floats | None:
    """Return the mean of what the members that `member` goes by say of the images; None for covariates alone."""
    after = _after(plan, member)
    return np.asarray(np.mean([said(one, rows) for one in after], axis=0)) if after else None


def keep_inner(plan: Plan, member: MemberPlan, folder: Path, inner: Floats, own: Floats) -> None:
    """Keep what a frozen member says of its learning cases by heads that did not know their patients.

    Only where a recipe of covariates goes by it, or a student is taught by it. Cases of a class with a single patient
    have no such head; there stands what the member itself says, `own`.
    """
    recipes = plan.recipes.values()
    asked = any(isinstance(one, CovariatesRecipe) and one.images == member.recipe for one in recipes)
    if asked or plan.distillation is not None:
        np.save(folder / INNER, np.where(np.isfinite(inner), inner, own))


def needed(plan: Plan, shares: dict[str, float]) -> list[MemberPlan]:
    """Return the members without a share that one with a share goes by: they must ship too."""
    names = {
        one.name
        for member in plan.members
        if member.name in shares and isinstance(plan.recipe_of(member), CovariatesRecipe)
        for one in _after(plan, member)
    }
    return [member for member in plan.members if member.name in names and member.name not in shares]


def _recipe(plan: Plan, member: MemberPlan) -> CovariatesRecipe:
    recipe = plan.recipe_of(member)
    if not isinstance(recipe, CovariatesRecipe):
        raise InputError(f"member {member.name} judges no covariates", where="plan", fix="give it such a recipe")
    return recipe


def _after(plan: Plan, member: MemberPlan) -> list[MemberPlan]:
    """Return the members of the same fold that a member goes by; none of one that judges no covariates."""
    recipe = plan.recipe_of(member)
    images = recipe.images if isinstance(recipe, CovariatesRecipe) else None
    return [one for one in plan.members if images is not None and one.recipe == images and one.fold == member.fold]
