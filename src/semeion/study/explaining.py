"""Explanations are tested before they are shown: trials of a run's maps, their figures with intervals, and the verdict.

It is done before the model is written, with the graphs that ship and the code that explains at use, on cases that the
members did not learn from: held-out cases of each fold by the fold's own members, or validation cases of a given split.
Test cases are not read: the verdict decides what the model shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json
from semeion.cohort.cohort import Cohort
from semeion.errors import InputError, ModelRefused, TrainingFailed
from semeion.explain.trial.pointing import best_fixed_point
from semeion.explain.trial.removal import SHARES
from semeion.explain.trial.rules import rules_json, verdict_of
from semeion.explain.view import Method
from semeion.model.engine import open_engine
from semeion.model.linear import Linear
from semeion.plan.recipes import CovariatesRecipe
from semeion.plan.rules import TRIED, WORSE
from semeion.plan.schema import MemberPlan, Plan, TrialsPlan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.clock import Clock
from semeion.study.explained_figures import figure, figures
from semeion.study.explained_labels import MOST as LABELS_SHARE
from semeion.study.explained_labels import random_labels
from semeion.study.explained_reading import Side, TooLittleTime, Trial, drawing
from semeion.study.explained_trials import Tried, try_maps
from semeion.study.folder import RunFolder
from semeion.study.learning import Trained
from semeion.study.lesions import Lesion, has_lesions, lesions
from semeion.study.members.frozen import HEAD
from semeion.study.members.outputs import graph_file, member_folder
from semeion.study.sight import Asked, Seeing

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

MOST_CASES = 100
"""Held-out cases that the trials take; of more, whole patients are drawn."""
FEWEST_CASES = 20
"""With fewer nothing is measured in a run, unless there are no more: intervals would tell nothing."""
MOST_LESIONS = 500
"""Masks of learning cases that choose the best fixed point."""
HELD_OUT = {
    "folds": "held-out cases of each fold, read by the fold's own members",
    "given": "validation cases, read by all members",
}
MASKS_SHARE = 0.2
"""Of the time, at most, for reading masks."""
NO_BUDGET = "the run had no budget, and so no time set aside for it"
NONE_PLANNED = "the plan tries none"
_ORDER = 6


def explain_within_budget(
    run: RunFolder,
    cohort: Cohort,
    groups: Rows,
    trained: Trained,
    store: Store,
    y: Floats,
    parts: Sequence[Sides],
    clock: Clock,
) -> dict[str, Any]:
    """Return what :func:`try_explanations` does where it fits into what is left of a run's budget.

    The plan kept a share of the budget for it (:data:`semeion.plan.rules.TRIED`). What the plan kept for test images
    made worse stays, and half of what the reserve holds besides. A run without a budget follows a plan of fixed steps,
    which no clock may change: it tries as many cases as the plan says, and none where it says nothing.
    """
    from semeion.study.retraining import KEY as RETRAINED  # which imports the road, which imports this

    plan, left = trained.plan, clock.left()
    budget, planned = clock.budget, plan.explanations
    again = (run / RETRAINED).exists()
    if budget is None and not again and planned is not None and planned.cases:
        return try_explanations(run, cohort, groups, trained, store, y, parts, seed=plan.seed, planned=planned)
    if budget is None or left is None or again:
        method = _method(run, trained)
        why = "the run was trained for an audit" if again else NO_BUDGET if planned is None else NONE_PLANNED
        return {} if method is None else {method: not_run(why)}
    own = TRIED * budget
    worse = WORSE * budget if cohort.has_split and bool((cohort.table["split"] == "test").any()) else 0.0
    seconds = min(own, left - worse - max(0.0, plan.budget.reserve - own - worse) / 2)
    return try_explanations(run, cohort, groups, trained, store, y, parts, seed=plan.seed, seconds=seconds)


def try_explanations(
    run: RunFolder,
    cohort: Cohort,
    groups: Rows,
    trained: Trained,
    store: Store,
    y: Floats,
    parts: Sequence[Sides],
    *,
    seed: int,
    seconds: float | None = None,
    most: int = MOST_CASES,
    planned: TrialsPlan | None = None,
) -> dict[str, Any]:
    """Try the method that the model would show, and return what ``evidence.json`` says of it under ``explanations``.

    Parameters
    ----------
    run, cohort, groups
        The run, its cases, and the number of each one's patient.
    trained
        The members that were learned and ship.
    store, y, parts
        Prepared cases, their reference standard, and who learned from whom.
    seed
        Draws cases, noise, weights and labels.
    seconds
        That it may take; as long as it takes when None.
    most
        Cases that are read.
    planned
        Where no time is given: how much is tried; all when None.

    Returns
    -------
    dict
        Method to ``{verdict, reason, cases, n, allowed, figures, cascade, curves, members, labels, seconds}``:
        `verdict` is ``passed``, ``failed`` or ``not_run``; `figures` name to ``{value, low, high, n, n_patients,
        method, cases}``. Empty where no member that has a say sees images.
    """
    began = monotonic()
    method = _method(run, trained)
    if method is None:
        return {}
    if seconds is not None and seconds <= 0:
        return {method: not_run("nothing was left of the budget")}
    scheme = "given" if trained.plan.validation.scheme == "given" else "folds"
    sides = _drawn(held_out_sides(run, trained, parts), groups, seed, most)
    if not any(len(side.rows) for side in sides):
        return {method: not_run("there are no cases that the members did not learn from")}
    rows = np.concatenate([side.rows for side in sides])
    try:
        until = None if seconds is None else began + MASKS_SHARE * seconds
        masks = _masks(cohort, trained.plan, rows, parts, seed, until)
        trial = trial_of(run, cohort, trained, store, method, {row: masks[row] for row in rows if row in masks}, seed)
        spare = None if seconds is None else seconds - (monotonic() - began)
        spare = spare if spare is None else spare * (1 - LABELS_SHARE)
        tried = try_maps(trial, sides, spare, None if planned is None else planned.cases)
        left = None if seconds is None else seconds - (monotonic() - began)
        left = left if planned is None or planned.labels else 0.0
        labels = random_labels(run, trial, trained, store, y, groups, parts, sides, left)
    except TooLittleTime as error:
        return {method: not_run(str(error))}
    except (InputError, ModelRefused, TrainingFailed) as error:
        return {method: not_run(error.what)}
    except (RuntimeError, ValueError, MemoryError, OSError, cv2.error) as error:  # one odd case must not lose the run
        return {method: not_run(str(error) or "memory ran out")}
    found = _told(tried, trial, sides, masks, groups, HELD_OUT[scheme], seed)
    found["labels"] = labels.told
    if labels.values is not None:
        found["figures"]["random_labels"] = figure(labels.values, groups[labels.rows], labels.cases, seed)
    verdict, reason = verdict_of(found["figures"])
    found["rules"] = rules_json(found["figures"])
    taken = round(monotonic() - began, 1)
    run.log("explanations", method=method, verdict=verdict, cases=len(tried.rows), seconds=taken)
    return {method: {"verdict": verdict, "reason": reason, **found, "seconds": taken}}


def not_run(reason: str) -> dict[str, Any]:
    """Return what is said of a method that was not tried."""
    return {"verdict": "not_run", "reason": reason, "figures": {}}


def tried_again(plan: Plan, explanations: Mapping[str, Any]) -> Plan:
    """Return an executed plan that tries as much as was tried, so that the verdict repeats with the weights."""
    for told in explanations.values():
        trials = TrialsPlan(cases=told.get("allowed", 0), labels="random_labels" in told["figures"])
        return plan.model_copy(update={"explanations": trials})
    return plan


def explained_part(explanations: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the verdicts as the manifest states them; None where nothing is said."""
    kept = ("value", "low", "high", "n", "n_patients", "method", "reason")
    found = {}
    for method, told in explanations.items():
        figures = {
            name: {key: one[key] for key in kept if one.get(key) is not None} for name, one in told["figures"].items()
        }
        cases = {"cases": told["cases"]} if told.get("cases") else {}
        found[method] = {"verdict": told["verdict"], "reason": told["reason"] or None, "figures": figures, **cases}
    return found or None


def _told(
    tried: Tried, trial: Trial, sides: Sequence[Side], masks: Mapping[int, Lesion], groups: Rows, cases: str, seed: int
) -> dict[str, Any]:
    """Return figures, cascade and curves as the evidence has them."""
    patient = groups[tried.rows]
    values = dict(tried.values)
    if trial.masks and np.isfinite(values["pointing"]).any():
        values |= _beside_lesions(tried, sides, masks)
    each = dict(values)
    each |= {f"cascade {step}": one for step, (_, one) in enumerate(tried.cascade)}
    names = ("deletion", "insertion", "deletion_by_chance", "insertion_by_chance") if tried.curves is not None else ()
    at = range(len(SHARES) + 2)
    each |= {f"{name} {place}": getattr(tried.curves, name)[:, place] for name in names for place in at}
    found = figures(each, patient, cases, seed)
    cascade = [{"share": share, **found[f"cascade {step}"]} for step, (share, _) in enumerate(tried.cascade)]
    curves: dict[str, Any] = {name: [found[f"{name} {place}"] for place in at] for name in names}
    curves |= {"shares": [0.0, *SHARES, 1.0]} if names else {}
    patients = len(np.unique(patient))
    about: dict[str, Any] = {"cases": cases, "n": len(tried.rows), "n_patients": patients, "members": tried.members}
    about["allowed"] = tried.allowed
    return {**about, "figures": {name: found[name] for name in values}, "cascade": cascade, "curves": curves}


def _beside_lesions(tried: Tried, sides: Sequence[Side], masks: Mapping[int, Lesion]) -> dict[str, Floats]:
    """Return hits of one fixed place: the best of the learning cases' lesions, and the best of these very lesions."""
    outlined = [int(row) for row in tried.rows if int(row) in masks]
    point, _ = best_fixed_point(np.stack([masks[row].mask for row in outlined]))
    strict = _hits(tried.rows, masks, point)
    learned = np.full(len(tried.rows), np.nan)
    for side in sides:
        own = [masks[int(row)].mask for row in side.learned_from if int(row) in masks]
        if own:
            there = np.isin(tried.rows, side.rows)
            learned[there] = _hits(tried.rows[there], masks, best_fixed_point(np.stack(own))[0])
    return {
        "fixed_point": learned,
        "fixed_point_of_these": strict,
        "pointing_over_fixed": tried.values["pointing"] - strict,
    }


def _hits(rows: Rows, masks: Mapping[int, Lesion], point: tuple[int, ...]) -> Floats:
    """Return 1 where a place lies inside a case's lesion, 0 where beside it, NaN where there is no mask."""
    return np.array([float(masks[int(row)].mask[point]) if int(row) in masks else np.nan for row in rows])


def _method(run: RunFolder, trained: Trained) -> Method | None:
    """Return how the model would explain: by activation where any graph gives maps; None where nobody sees images."""
    seeing = _seeing(trained, trained.plan.members)
    if not seeing:
        return None
    for member in seeing:
        extras = open_engine(graph_file(run, member), 1).extras
        if any(name == "maps" or name.startswith("map_") for name in extras):
            return "activation"
    return "occlusion"


def _seeing(trained: Trained, members: Sequence[MemberPlan]) -> list[MemberPlan]:
    """Return the members that see images and have a share in what these say together."""
    shares = trained.shares([member.name for member in members])
    recipes = trained.plan
    return [
        member
        for member in members
        if shares.get(member.name, 0.0) > 0 and not isinstance(recipes.recipe_of(member), CovariatesRecipe)
    ]


def held_out_sides(run: RunFolder, trained: Trained, parts: Sequence[Sides]) -> list[Side]:
    """Return the cases that members did not learn from, and who reads them."""
    members = trained.plan.members
    if trained.plan.validation.scheme == "given":
        return [Side(parts[0].validate, as_seeing(run, trained, members), parts[0].learn)]
    own = {side.fold: as_seeing(run, trained, [m for m in members if m.fold == side.fold]) for side in parts}
    folds = [side.fold for side in parts]
    following = {fold: own[folds[(place + 1) % len(folds)]] for place, fold in enumerate(folds)}
    return [
        Side(side.held_out, own[side.fold], side.learn, following[side.fold] if len(folds) > 1 else ())
        for side in parts
        if own[side.fold]
    ]


def as_seeing(run: RunFolder, trained: Trained, members: Sequence[MemberPlan]) -> tuple[Seeing, ...]:
    """Return those of some members that see images and have a share, and their shares, which sum to 1."""
    shares = trained.shares([member.name for member in members])
    seeing = _seeing(trained, members)
    total = sum(shares[member.name] for member in seeing)
    found = []
    for member in seeing:
        head = member_folder(run, member) / HEAD
        linear = Linear.model_validate(read_json(head)) if head.exists() else None
        graph = str(member.recipe) if linear is not None else member.name
        found.append(Seeing(member.name, graph, linear, shares[member.name] / total))
    return tuple(found)


def _drawn(sides: Sequence[Side], groups: Rows, seed: int, most: int) -> list[Side]:
    """Return the sides with the cases of drawn patients, `most` of all or a few less: in the order of the draw."""
    rows = np.concatenate([side.rows for side in sides])
    patients, n = np.unique(groups[rows], return_counts=True)
    order = np.random.default_rng([seed, _ORDER]).permutation(len(patients))
    last = max(1, int(np.searchsorted(np.cumsum(n[order]), most, side="right")))
    rank = {int(patients[place]): number for number, place in enumerate(order[:last])}

    def drawn(own: Rows) -> Rows:
        kept = own[[int(groups[row]) in rank for row in own]] if len(own) else own
        return kept[np.argsort([rank[int(groups[row])] for row in kept], kind="stable")]

    return [replace(side, rows=drawn(side.rows)) for side in sides]


def _masks(
    cohort: Cohort, plan: Plan, rows: Rows, parts: Sequence[Sides], seed: int, until: float | None
) -> dict[int, Lesion]:
    """Return lesions on the input grid, of the tried cases and of learning cases, by row; none where there are none."""
    if not has_lesions(cohort):
        return {}
    learned = np.unique(np.concatenate([side.learn for side in parts]))
    drawn = np.random.default_rng([seed, _ORDER, 1]).permutation(learned)[:MOST_LESIONS]
    wanted = list(dict.fromkeys(np.concatenate([rows, drawn]).tolist()))  # those that are tried first
    return lesions(cohort, plan.preparation.spec(), wanted, None, until)


def trial_of(
    run: RunFolder,
    cohort: Cohort,
    trained: Trained,
    store: Store,
    method: Method,
    masks: Mapping[int, Lesion],
    seed: int,
) -> Trial:
    """Return what trials of a run's members are made of."""
    plan = trained.plan
    files = graph_files(run, plan)

    def graphs(name: str) -> bytes:
        return bytes(files[name].read_bytes())

    asked = asked_of_members(cohort, plan)
    opened = drawing(graphs, lambda graph: open_engine(graph, plan.threads))
    return Trial(asked, store, opened, graphs, method, masks, seed, FEWEST_CASES)


def asked_of_members(cohort: Cohort, plan: Plan) -> Asked:
    """Return what the members of a run are asked, and of which images."""
    spec = plan.preparation.spec()
    channels = getattr(spec, "channels", None)
    return Asked(cohort, spec, channels if isinstance(channels, int) else None)


def graph_files(run: RunFolder, plan: Plan) -> dict[str, Path]:
    """Return the graph of each member that sees images; those on the same frozen features share one, by its recipe."""
    files = {}
    for member in plan.members:
        if isinstance(plan.recipe_of(member), CovariatesRecipe):
            continue
        frozen = (member_folder(run, member) / HEAD).exists()
        files[str(member.recipe) if frozen else member.name] = graph_file(run, member)
    return files
