"""The plans of several targets: each its own, on the same prepared images and the same folds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from semeion.artefacts import write_json
from semeion.audit.checks import duplicate_groups
from semeion.cohort.cohort import Cohort, read_cohort, write_cohort
from semeion.cohort.several import folder_names, targets_of
from semeion.errors import InputError
from semeion.plan.files import read_plan, write_plan
from semeion.plan.fingerprint import fingerprint
from semeion.plan.joint import FOLD, UNKNOWN, VALIDATES, Index, draw_sides, joint_sides
from semeion.plan.rules import DEFAULT_BUDGET, BudgetTooSmall, plan_reading, plan_reserve, plan_validation
from semeion.plan.schema import Plan, ValidationPlan
from semeion.plan.splits import strata
from semeion.progress import Progress
from semeion.study.distilled import refuse_planned_otherwise
from semeion.study.folder import RunFolder
from semeion.study.inspect import labels
from semeion.study.options import RunOptions, refuse_beside_plan
from semeion.study.planning import (
    AnyPlan,
    Shared,
    check_plan_fits,
    cleaning_of,
    plan_run,
    reading_seconds,
    refuse_no_training,
    write_planned,
)

JOINING = 5.0
"""Seconds of a run that are kept for joining the results."""
OF_CASES = ("cases", "patients", "labels", "known")
"""Facts of a fingerprint that are of the cases of a target; all others of ``training`` are of the images."""


def write_plans(source: Path, options: RunOptions, output: Path, progress: Progress) -> dict[Path, AnyPlan]:
    """Plan one target or several, and write the plans.

    Parameters
    ----------
    source, options, progress
        As in :func:`semeion.study.planning.write_planned`.
    output
        The file of the plan. Of several targets a folder, to which ``<target>.yaml`` and ``<target>.fingerprint.json``
        go; ``.yaml`` is left out.

    Returns
    -------
    dict
        Each plan by its file.
    """
    if not targets_of(source, options.cohort):
        return {output: write_planned(source, options, output, progress)}
    folder = output.with_suffix("") if output.suffix.lower() in (".yaml", ".yml") else output
    known, plans = plan_targets(source, options, progress)
    found: dict[Path, AnyPlan] = {}
    for name, file in folder_names(list(plans)).items():
        write_json(folder / f"{file}.fingerprint.json", known[name])
        write_plan(plans[name], folder / f"{file}.yaml")
        found[folder / f"{file}.yaml"] = plans[name]
    return found


def plan_targets(
    source: Path, options: RunOptions, progress: Progress
) -> tuple[dict[str, dict[str, Any]], dict[str, Plan]]:
    """Inspect and plan several targets; images are read, nothing is written.

    Raises
    ------
    InputError
        When the source or an option is refused.
    """
    from semeion.study.several import gather_targets, refuse_unable

    asked = targets_of(source, options.cohort)
    refuse_unable(options, asked)
    refuse_no_training()
    began = monotonic()
    found = gather_targets(source, options, asked, progress)
    share = budget_share(found.everyone, options, monotonic() - began, len(asked))
    cohorts = {name: seen.cohort for name, seen in found.seen.items()}
    scans = {name: seen.facts for name, seen in found.seen.items()}
    with TemporaryDirectory() as folder:
        machine, mine = Path(folder) / "machine.json", replace(options, budget=share)
        with budget_of_all(options, share, len(asked)):
            known, plans = plan_each(cohorts, scans, found.everyone, found.facts, mine, machine, progress)
    first = next(iter(plans.values()))
    if first.validation.scheme == "folds":
        with_folds(cohorts, found.everyone, found.facts, first.validation, first.seed)
    return known, plans


def budget_share(everyone: Cohort, options: RunOptions, used: float, targets: int) -> float | None:
    """Return the seconds that each target is planned with; None where plans are given and say it themselves."""
    if options.budget is None and options.plan is not None:
        return None
    budget = options.budget or DEFAULT_BUDGET
    reading = reading_seconds(everyone, options.jobs)
    return max(1.0, budget - used - reading - JOINING) / targets


@contextmanager
def budget_of_all(options: RunOptions, share: float | None, targets: int) -> Iterator[None]:
    """Say of the whole budget what is said of one target's share of it, where that is too small."""
    try:
        yield
    except BudgetTooSmall as error:
        whole = options.budget or DEFAULT_BUDGET
        beside = max(0.0, whole - targets * share) if share is not None else 0.0
        raise InputError(
            f"the budget of {whole:.0f} s leaves {share or whole:.0f} s for each of {targets} targets, fewer than one "
            "epoch of learning takes",
            where="--budget",
            fix=f"allow at least {math.ceil((beside + targets * error.seconds) / 60)}m, or name fewer targets",
        ) from error


def share_of(left: float, planned: Sequence[float]) -> float:
    """Return the seconds of the next target: of what is `left` for all, as the plans share it out.

    Parameters
    ----------
    left
        Seconds left of the run's budget.
    planned
        Seconds that the plans of the targets still to learn name, the next one first.
    """
    part = planned[0] / sum(planned) if sum(planned) else 1 / len(planned)
    return max(0.0, left - JOINING) * part


def keep_plans(
    run: RunFolder,
    runs: Mapping[str, RunFolder],
    everyone: Cohort,
    facts: pd.DataFrame,
    options: RunOptions,
    progress: Progress,
) -> None:
    """Plan every target or take the plans given, draw the folds, and write all of it.

    Parameters
    ----------
    run, runs
        The run, and those of its targets, with their cases and scans.
    everyone, facts
        The cases of all targets, and their scan.
    options
        Of all; the budget is that of one target.
    progress
        For the bar.
    """
    cohorts = {name: read_cohort(own / "cohort.parquet") for name, own in runs.items()}
    scans = {name: pd.read_parquet(own / "scan.parquet") for name, own in runs.items()}
    machine = run / "machine.json"
    known, plans = plan_each(cohorts, scans, everyone, facts, options, machine, progress)
    first = next(iter(plans.values()))
    if first.validation.scheme == "folds":
        cohorts = with_folds(cohorts, everyone, facts, first.validation, first.seed)
    for name, own in runs.items():
        write_cohort(cohorts[name], own / "cohort.parquet")
        write_json(own / "fingerprint.json", known[name])
        if machine.exists():
            (own / "machine.json").write_bytes(machine.read_bytes())
    for name, own in runs.items():
        # Last, when the folds of every target are written: a target with a plan has all else.
        write_plan(plans[name], own / "plan.yaml")


def plan_each(
    cohorts: Mapping[str, Cohort],
    scans: Mapping[str, pd.DataFrame],
    everyone: Cohort,
    facts: pd.DataFrame,
    options: RunOptions,
    machine: Path | None,
    progress: Progress,
) -> tuple[dict[str, dict[str, Any]], dict[str, Plan]]:
    """Return the fingerprint and the plan of each target.

    Raises
    ------
    InputError
        When a target cannot be divided, the budget is too small, or given plans do not fit one another.
    """
    shown = fingerprint(everyone, facts)["training"]
    images = {key: value for key, value in shown.items() if key not in OF_CASES}
    known = {}
    for name, cohort in cohorts.items():
        own = fingerprint(cohort, scans[name])
        known[name] = {**own, "training": {**own["training"], **images}}
    if options.plan is not None:
        plans = read_given(Path(options.plan), cohorts)
        for name, plan in plans.items():
            refuse_beside_plan(options, plan.seed, plan.operating_point.rule)
            refuse_planned_otherwise(options, plan.combination.ship)
            if options.budget is not None:
                plan.budget.seconds = options.budget
                plan.budget.reserve = plan_reserve(known[name], options.budget)
                plan.budget.reading = plan_reading(known[name])
        return known, plans
    validations = shared_validations({name: plan_validation(one) for name, one in known.items()})
    cleaning = cleaning_of(everyone, facts)
    plans = {}
    for name, cohort in cohorts.items():
        like = next(iter(plans.values()), None)
        shared = Shared(known[name], validations[name], cleaning, like)
        mine = replace(options, cohort=replace(options.cohort, target=name))
        planned = plan_run(cohort, scans[name], mine, progress, machine_file=machine, shared=shared)
        plans[name] = planned.plan()
    return known, plans


def shared_validations(each: dict[str, ValidationPlan]) -> dict[str, ValidationPlan]:
    """Return the validation of each target with as many folds as the poorest target allows.

    Raises
    ------
    InputError
        When the given split has validation cases of some targets alone.
    """
    schemes = {one.scheme for one in each.values()}
    if len(schemes) > 1:
        without = [name for name, one in each.items() if one.scheme == "folds"]
        raise InputError(
            f"no case of the split val has a {without[0]}, and those of other targets are there",
            where="the split",
            fix=f"put cases with {without[0]} into val, ignore the split with --no-split, or train "
            f"{without[0]} in a run of its own",
        )
    if schemes == {"given"}:
        return each
    poorest = min(each, key=lambda name: each[name].folds)
    folds, share = each[poorest].folds, each[poorest].inner_share
    found = {}
    for name, one in each.items():
        mine = deepcopy(one)
        if one.folds != folds:
            mine.why["folds"] += f"; {poorest} allows {folds}, and all targets share their folds"
        mine.folds, mine.inner_share = folds, share
        mine.why["scheme"] += "; the folds are drawn once for all targets"
        found[name] = mine
    return found


def read_given(folder: Path, cohorts: Mapping[str, Cohort]) -> dict[str, Plan]:
    """Read the plan of each target from a folder of ``<target>.yaml``.

    Raises
    ------
    InputError
        When one is missing, does not fit its target, or prepares or divides the cases in another way than the first.
    """
    plans: dict[str, Plan] = {}
    for name, file in folder_names(list(cohorts)).items():
        path = folder / f"{file}.yaml"
        plan = plans[name] = read_plan(path)
        check_plan_fits(plan, cohorts[name], path)
        first = next(iter(plans.values()))
        for what, own, other in (
            ("preparation", plan.preparation.spec(), first.preparation.spec()),
            ("validation.scheme", plan.validation.scheme, first.validation.scheme),
            ("validation.folds", plan.validation.folds, first.validation.folds),
            ("validation.inner_share", plan.validation.inner_share, first.validation.inner_share),
            ("seed", plan.seed, first.seed),
        ):
            if own != other:
                raise InputError(
                    f"{what} differs from that of the plan of {next(iter(plans))}",
                    where=str(path),
                    fix="targets of one run share their prepared images, folds and seed: make it the same",
                )
    return plans


def with_folds(
    cohorts: Mapping[str, Cohort], everyone: Cohort, facts: pd.DataFrame, how: ValidationPlan, seed: int
) -> dict[str, Cohort]:
    """Return the cohorts with the columns of the folds, drawn once for all; each is looked at, and refused early."""
    ids = everyone.table["case_id"].astype(str)
    test = (everyone.table["split"] == "test").to_numpy(dtype=bool) if everyone.has_split else np.zeros(len(ids), bool)
    place = {name: row for row, name in enumerate(ids)}
    every: list[Index] = []
    for cohort in cohorts.values():
        rows = np.array([place[name] for name in cohort.table["case_id"].astype(str)], dtype=np.int64)
        pooled = ~test[rows]
        stratum = np.full(len(ids), UNKNOWN, dtype=np.int64)
        # Ranks are those of the pool: test labels decide nothing.
        stratum[rows[pooled]] = strata(labels(cohort)[pooled], cohort.target.task)
        every.append(stratum)
    groups = pd.factorize(duplicate_groups(everyone, facts))[0].astype(np.int64)
    pool = np.flatnonzero(~test).astype(np.int64)
    drawn = draw_sides(every, groups, pool, folds=how.folds, inner_share=how.inner_share, seed=seed)
    drawn.index = pd.Index(ids)
    found = {}
    for name, cohort in cohorts.items():
        own = drawn.loc[cohort.table["case_id"].astype(str).tolist()]
        table = cohort.table.assign(**{FOLD: own[FOLD].to_numpy(), VALIDATES: own[VALIDATES].to_numpy()})
        found[name] = replace(cohort, table=table, drawn=True)
        try:
            joint_sides(table, labels(cohort), cohort.target.task, cohort.target.classes)
        except InputError as error:
            raise InputError(f"target {name!r}: {error.what}", where=error.where, fix=error.fix) from error
    return found
