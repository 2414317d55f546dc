"""What covariates add to images: both alone and together, on the same cases and draws, and what pushed the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.evidence.question import Question
from semeion.evidence.table import COVARIATES, ENSEMBLE, IMAGES
from semeion.naming import encode_class
from semeion.plan.recipes import OWN, CovariatesRecipe
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.prepare.covariate_fit import covariate_rows, fit_encoding
from semeion.study.beside import SHOWN, label_point, weigh_beside
from semeion.study.combining import Combination, choose_weights
from semeion.study.folder import RunFolder
from semeion.study.learning import Alone, Trained
from semeion.study.members.covariates import open_member
from semeion.study.predicting import Decision, Predicted, Predictor, operating_points
from semeion.study.weighing import point_json

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

PARTS = (IMAGES, COVARIATES)


def predict_parts(
    trained: Trained, predicted: Predicted, predictor: Predictor, groups: Rows, sides: list[Sides]
) -> dict[str, Predicted]:
    """Return what images alone and covariates alone say of every case that a figure may use, by the part's name.

    Nothing is read again: the members have said it. Each part is combined from its own members, with weights,
    calibration and operating point from the same validation cases and by the same rules as the ensemble's, so that
    neither is weighed with decisions that were made for the whole. Empty for a run without covariates; a part that has
    no member in some fold is left out.

    Parameters
    ----------
    trained, predicted, predictor
        Of the run.
    groups
        Patient of each case, ``(cases,)``.
    sides
        Rows of each fold.
    """
    if not trained.plan.covariates:
        return {}
    said = _said(trained, predicted, predictor.cohort)
    own = {
        part: [one for one in trained.plan.members if part_of(trained.plan, one) == part and one.name in said]
        for part in PARTS
    }
    folds = {side.fold for side in sides}
    return {
        part: _predict_part(part, members, trained, predictor, said, groups, sides)
        for part, members in own.items()
        if {member.fold for member in members} == folds
    }


def with_parts(predicted: Predicted, parts: dict[str, Predicted]) -> Predicted:
    """Return the predictions of a run with the rows of images alone and covariates alone."""
    if not parts:
        return predicted
    table = pd.concat([predicted.table, *(one.table for one in parts.values())], ignore_index=True)
    return Predicted(table, predicted.shipped, predicted.by_fold)


def part_of(plan: Plan, member: MemberPlan) -> str | None:
    """Return the part that a member belongs to; None of one that sees both."""
    recipe = plan.recipe_of(member)
    if not isinstance(recipe, CovariatesRecipe):
        return IMAGES
    return None if recipe.images is not None else COVARIATES


def _said(trained: Trained, predicted: Predicted, cohort: Cohort) -> dict[str, Values]:
    """Return what each member said of every case, ``(cases, outputs)`` by its name; NaN of those it never judged."""
    plan = trained.plan
    place = {str(case): row for row, case in enumerate(cohort.table["case_id"])}
    task, classes = plan.target.task, plan.target.classes
    outputs = 1 if task == "regression" else len(classes)
    found: dict[str, Values] = {}
    for name, rows in predicted.table.groupby("member", sort=False):
        values = found[str(name)] = np.full((len(place), outputs), np.nan)
        at = rows["case_id"].astype(str).map(place).to_numpy()
        if task == "regression":
            values[at, 0] = rows["y_pred"].to_numpy(dtype=np.float64)
        elif task == "multilabel":
            label = rows["target"].map({one: k for k, one in enumerate(classes)}).to_numpy()
            values[at, label] = rows["raw_present"].to_numpy(dtype=np.float64)
        else:
            values[at] = rows[[f"raw_{encode_class(one)}" for one in classes]].to_numpy(dtype=np.float64)
    return found


def _predict_part(
    part: str,
    members: list[MemberPlan],
    trained: Trained,
    predictor: Predictor,
    said: dict[str, Values],
    groups: Rows,
    sides: list[Sides],
) -> Predicted:
    plan = trained.plan
    own = _combined_anew(trained, members, predictor.y, groups, sides)
    alone = Predictor(predictor.run, own, predictor.store, predictor.cohort, predictor.y)
    frames: list[pd.DataFrame] = []
    by_fold: dict[int, Decision] = {}

    def names(fold: int) -> list[str]:
        return [member.name for member in members if member.fold == fold]

    def inner(fold: int) -> Values:
        return alone.combined({name: trained.validation[name] for name in names(fold)})

    def read(chosen: list[str], rows: Rows) -> Values:
        return alone.combined({name: said[name][rows] for name in chosen})

    def keep(rows: Rows, raw: Values, decision: Decision, split: str, fold: int) -> None:
        frames.append(alone.frame(rows, raw, decision, split, fold, part))

    if plan.validation.scheme == "given":
        rows = sides[0].validate
        raw = inner(-1)
        shipped = alone.decide(raw, rows, "val")
        keep(rows, raw, shipped, "val", -1)
    else:
        pooled = []
        for side in sides:
            decision = by_fold[side.fold] = alone.decide(inner(side.fold), side.validate, "inner validation cases")
            raw = read(names(side.fold), side.held_out)
            keep(side.held_out, raw, decision, "oof", side.fold)
            pooled.append(raw)
        shipped = alone.decide(np.concatenate(pooled), np.concatenate([side.held_out for side in sides]), "oof")
    cohort = predictor.cohort
    test = np.flatnonzero((cohort.table["split"] == "test").to_numpy()) if cohort.has_split else np.empty(0, np.int64)
    if len(test):
        keep(test, read([member.name for member in members], test), shipped, "test", -1)
    return Predicted(pd.concat(frames, ignore_index=True), shipped, by_fold)


def _combined_anew(trained: Trained, members: list[MemberPlan], y: Values, groups: Rows, sides: list[Sides]) -> Trained:
    """Return the run as if these members were all, with weights by its own rule."""
    plan = trained.plan
    if plan.combination.method == "equal":
        return replace(trained, combinations={})
    chosen: dict[int, Combination | Alone] = {}
    for side in sides:
        kinds = {member.name: member.recipe or OWN for member in members if member.fold == side.fold}
        chosen[side.fold] = choose_weights(
            {name: trained.validation[name] for name in kinds},
            y[side.validate],
            groups[side.validate],
            plan.target.task,
            kinds=kinds,
            seed=plan.seed,
        )
    return replace(trained, combinations=chosen, single=None)


def covariates_json(
    run: RunFolder,
    trained: Trained,
    predicted: Predicted,
    parts: dict[str, Predicted],
    cohort: Cohort,
    question: Question,
    sides: list[Sides],
) -> dict[str, Any]:
    """Return ``covariates`` of the evidence.

    Returns
    -------
    dict
        ``columns``: what each holds, and its usual range or its levels, over all cases that were learned from;
        ``learners``: ``{member, recipe, fold, learner, losses, gain, error, adds}``, losses on patients left out of the
        learning cases, and how much less they are than without covariates, with its standard error; where the gain is
        no larger than two of these, ``adds`` is false and the member has no say;
        ``parts.<images|covariates>``: ``operating_point`` and ``metrics.<split>``, and ``difference.<split>``: the
        ensemble's figure less that of the part, paired, with ``better`` and ``verdict`` (``both``, the part's name,
        ``none``, ``differs`` or ``unknown``); of several labels also ``targets.<label>``; ``pushed.<recipe>.<split>``:
        ``{column, mean_absolute, share}``, the strongest first.
    """
    plan = trained.plan
    learned = np.unique(np.concatenate([side.learn for side in sides]))
    rows = covariate_rows(cohort, plan.covariates, learned)
    encoding = fit_encoding(rows, plan.covariates, cohort.table["patient_id"].iloc[learned].tolist())
    rule, classes = plan.operating_point.rule, list(question.classes)
    told: dict[str, Any] = {}
    ensemble = predicted.table[predicted.table["member"] == ENSEMBLE]
    whole = operating_points(predicted, rule, question.task, classes)
    for part, own in parts.items():
        points = operating_points(own, rule, question.task, classes)
        weighed = weigh_beside(
            *(ensemble, own.table, question, whole, points),
            title=f"{part} alone",
            sides=(part, "both"),
            seed=plan.seed,
        )
        stated = point_json(points, own.shipped.fitted_on, own.shipped.n, question)
        if question.task == "multilabel" and points is not None:
            for label, place in weighed["targets"].items():
                place["operating_point"] = label_point(points.by_target[label])
        told[part] = {"operating_point": stated, **weighed}
    return {
        "columns": [column.model_dump() for column in encoding.columns],
        "learners": [
            {
                "member": facts["name"],
                "recipe": facts["recipe"],
                "fold": facts["fold"],
                "learner": facts["learner"],
                "losses": facts["learner_losses"],
                **{name: facts[name] for name in ("gain", "error", "adds")},
            }
            for facts in trained.facts
            if "learner" in facts
        ],
        "parts": told,
        "pushed": pushed(run, trained, predicted, cohort),
    }


def pushed(run: RunFolder, trained: Trained, predicted: Predicted, cohort: Cohort) -> dict[str, Any]:
    """Return how much each column moved the verdict, as its mean absolute contribution over cases and scores.

    Of out-of-fold cases by their own fold's member, of others by the mean of all members. Contributions are in log odds
    or logits, of a regression in the target's unit; see :meth:`semeion.model.covariates.CovariateMember.contributions`.
    """
    plan = trained.plan
    place = {str(case): row for row, case in enumerate(cohort.table["case_id"])}
    ensemble = predicted.table[(predicted.table["member"] == ENSEMBLE) & predicted.table["split"].isin(SHOWN)]
    said = _said(trained, predicted, cohort)
    found: dict[str, Any] = {}
    for name, recipe in plan.recipes.items():
        members = [one for one in plan.members if one.recipe == name and one.name in said]
        if not isinstance(recipe, CovariatesRecipe) or not members:
            continue
        for split, cases in ensemble.drop_duplicates(["case_id", "split"]).groupby("split"):
            rows = cases["case_id"].astype(str).map(place).to_numpy(dtype=np.int64)
            fold = cases["fold"].to_numpy(dtype=np.int64)
            total: dict[str, list[Values]] = {}
            for member in members:
                mine = np.asarray(rows[fold == member.fold] if split == "oof" else rows, dtype=np.int64)
                if len(mine):
                    for column, added in _contributions(run, plan, member, cohort, mine, said).items():
                        total.setdefault(column, []).append(np.abs(added).mean(axis=1))
            means = {column: float(np.concatenate(each).mean()) for column, each in total.items()}
            whole = sum(means.values())
            found.setdefault(name, {})[str(split)] = [
                {"column": column, "mean_absolute": mean, "share": mean / whole if whole > 0 else 0.0}
                for column, mean in sorted(means.items(), key=lambda item: (-item[1], item[0]))
            ]
    return found


def _contributions(
    run: RunFolder, plan: Plan, member: MemberPlan, cohort: Cohort, rows: Rows, said: dict[str, Values]
) -> dict[str, Values]:
    judge = open_member(run, member)
    others = np.mean([said[name][rows] for name in judge.head.after], axis=0) if judge.head.after else None
    return judge.contributions(covariate_rows(cohort, plan.covariates, rows), others)
