"""From inspected cases to a plan: fingerprint, measurement of the machine, rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semeion.artefacts import read_json, write_json
from semeion.cohort.cohort import Cohort
from semeion.cohort.roles import image_references
from semeion.errors import InputError
from semeion.evidence.use.operating import parse_rule
from semeion.parallel import usable_cores
from semeion.plan.files import write_plan
from semeion.plan.fingerprint import fingerprint, learning_rows
from semeion.plan.measure_schema import MeasuredPlan
from semeion.plan.networks import candidates
from semeion.plan.rules import DEFAULT_BUDGET, Machine, Wishes, make_plan, plan_validation
from semeion.plan.schema import Plan
from semeion.plan.segment_schema import SegmentationPlan
from semeion.plan.sites import plan_sites
from semeion.plan.volume_rules import plan_images
from semeion.prepare.case import Spec, read_case
from semeion.prepare.scan import recommend_cleaning
from semeion.prepare.spec import Preparation
from semeion.prepare.volume_spec import VolumePreparation
from semeion.progress import Progress
from semeion.study.by_site import refuse_by, sites_of
from semeion.study.inspect import inspect, refuse_bad_images, refuse_void
from semeion.study.options import RunOptions, refuse_without_structures
from semeion.study.set_words import refuse_sets

AnyPlan = Plan | SegmentationPlan | MeasuredPlan
TIMED = 16
"""Images that are read to estimate how long preparing all of them takes."""


@dataclass(frozen=True)
class Planned:
    """The fingerprint, and the plan when it is wanted: a given plan needs no measurement."""

    fingerprint: dict[str, Any]
    plan: Callable[[], Plan]


def plan_run(
    cohort: Cohort,
    facts: pd.DataFrame,
    options: RunOptions,
    progress: Progress,
    *,
    used: float = 0.0,
    machine_file: Path | None = None,
) -> Planned:
    """Take the fingerprint and return it with a function that plans.

    Parameters
    ----------
    cohort, facts
        Usable cases and their scan.
    options
        Budget, seed, operating point.
    progress
        For the bar.
    used
        Seconds of the budget that are over.
    machine_file
        Where the measurement is kept; read when it exists.
    """
    known = fingerprint(cohort, facts)
    pictures = cohort.images.kind == "picture"
    cleaning = recommend_cleaning(facts, learning_rows(cohort).to_numpy()) if pictures else {}

    def plan() -> Plan:
        from time import monotonic

        began = monotonic()
        # Refuses a cohort that cannot be divided before time is spent on measuring.
        validation = plan_validation(known)
        if options.by is not None:
            validation = plan_sites(sites_of(cohort, facts, options.by))
        budget = options.budget or DEFAULT_BUDGET
        machine = machine_of(known, machine_file, min(40.0, max(8.0, 0.06 * budget)), progress)
        wishes = Wishes(
            budget=options.budget,
            used=used + monotonic() - began,
            still_to_prepare=reading_seconds(cohort, options.jobs),
            seed=options.seed,
            operating_point=options.operating_point,
            sets=options.sets,
            cleaning=cleaning,
        )
        return make_plan(known, machine, wishes, validation)

    return Planned(known, plan)


def reading_seconds(cohort: Cohort, jobs: int | None) -> float:
    """Return how long preparing every image should take: `TIMED` of them are read, evenly spaced, on one thread.

    Preparing costs about as much again as reading; threads share the work.
    """
    from time import perf_counter

    references = image_references(cohort)
    chosen = np.linspace(0, len(references) - 1, min(TIMED, len(references))).astype(int)
    spec: Spec = Preparation() if cohort.images.kind == "picture" else VolumePreparation(size=(1, 8, 8))
    began = perf_counter()
    for row in chosen:
        read_case(references[row], spec)
    return 2 * (perf_counter() - began) / len(chosen) * len(references) / (jobs or usable_cores())


def refuse_no_training() -> None:
    """Stop before anything is read where the packages that learn are not installed.

    Raises
    ------
    InputError
        Saying how to install them.
    """
    if find_spec("torch") is None:
        raise InputError(
            "learning needs packages that are not installed", where="torch", fix="run pip install 'semeion[train]'"
        )


def refuse_covariates(cohort: Cohort) -> None:
    """Refuse inputs that this version cannot learn from, rather than leave them out without a word.

    Raises
    ------
    InputError
        When covariates were named.
    """
    if cohort.covariates:
        raise InputError(
            f"covariates are not learned from yet ({', '.join(cohort.covariates)}): models see images alone",
            where="--covariates",
            fix="leave the option out; `semeion check --covariates` audits such columns",
        )


def machine_of(known: dict[str, Any], file: Path | None, seconds: float, progress: Progress) -> Machine:
    """Return what this machine does with the candidates for a fingerprint, measured within about `seconds`.

    `file` keeps the measurement, and is read when it exists.
    """
    from semeion.learn.throughput import machine_from_json, machine_to_json, measure_machine

    if file is not None and file.exists():
        return machine_from_json(read_json(file), file)
    images = plan_images(known)
    colours = 3 if known["training"].get("colour_share", 0.0) >= 0.5 else 1
    planes = colours * (len(images.names) if images.role != "single" else 1)
    machine = measure_machine(
        candidates(known),
        known["task"],
        known["classes"],
        planes,
        groups=images.groups,
        seconds=seconds,
        progress=progress,
    )
    if file is not None:
        write_json(file, machine_to_json(machine))
    return machine


def check_plan_fits(plan: Plan, cohort: Cohort, where: Path, by: str | None = None) -> None:
    """Refuse a plan that was made for another question.

    Raises
    ------
    InputError
        Naming what differs.
    """
    parse_rule(plan.operating_point.rule)
    if by is not None and by != plan.validation.by:
        held = "draws its folds" if plan.validation.by is None else f"holds out by {plan.validation.by!r}"
        raise InputError(
            f"the plan {held}, and --by asks for {by!r}", where=str(where), fix="leave --by out, or plan again with it"
        )
    refuse_by(cohort, plan.validation.by)
    target = cohort.target
    for name, planned, found in (
        ("target", plan.target.name, target.name),
        ("task", plan.target.task, target.task),
        ("classes", plan.target.classes, list(target.classes)),
        ("positive class", plan.target.positive, target.positive),
        ("kind of images", plan.images.kind, cohort.images.kind),
        ("role of the images", plan.images.role, cohort.images.role),
        ("names of the images", plan.images.names, list(cohort.images.names)),
    ):
        if planned != found:
            raise InputError(
                f"the plan was made for the {name} {planned!r}, and the table has {found!r}",
                where=str(where),
                fix="plan again, or give the options that the plan was made with",
            )
    if plan.validation.scheme == "given" and not cohort.has_split:
        raise InputError("the plan uses a given split, and the table has none", where=str(where), fix="plan again")
    empty = set(range(plan.validation.folds)) - {member.fold for member in plan.members}
    if plan.validation.scheme == "folds" and empty:
        raise InputError(
            f"no member has fold {min(empty)}, so its held-out cases would have no prediction",
            where=str(where),
            fix="give every fold from 0 a member, or lower validation.folds",
        )


def write_planned(source: Path, options: RunOptions, output: Path, progress: Progress) -> AnyPlan:
    """Inspect, plan, and write ``plan.yaml`` as `output` with ``fingerprint.json`` beside it.

    Raises
    ------
    InputError
        When the source is refused.
    """
    known, plan = plan_source(source, options, progress)
    write_plan(plan, output)
    write_json(output.parent / "fingerprint.json", known)
    return plan


def plan_source(source: Path, options: RunOptions, progress: Progress) -> tuple[dict[str, Any], AnyPlan]:
    """Inspect and plan whatever is asked: networks that diagnose, outlines, or a diagnosis from measurements.

    Returns
    -------
    tuple
        The fingerprint and the plan.

    Raises
    ------
    InputError
        When the source is refused.
    """
    parse_rule(options.operating_point)
    refuse_without_structures(options)
    refuse_no_training()
    seen = inspect(source, options, progress)
    refuse_bad_images(seen, skip_bad=options.skip_bad)
    refuse_void(seen.audits, options.accept)
    refuse_covariates(seen.cohort)
    refuse_by(seen.cohort, options.by)
    refuse_sets(seen.cohort, options)
    if seen.cohort.target.task == "segmentation":
        from semeion.study.segment_road import plan_segmentation

        known = fingerprint(seen.cohort, seen.facts)
        return known, plan_segmentation(seen.cohort, known, options, progress)
    if seen.cohort.structures:
        from semeion.study.measure_road import plan_cases

        return plan_cases(seen.cohort, seen.facts, options, progress)
    planned = plan_run(seen.cohort, seen.facts, options, progress)
    return planned.fingerprint, planned.plan()
