"""The road of a diagnosis from measurements: outline with networks, measure, classify; every step held out alike.

See :mod:`semeion.plan.crossfit` for who may look at whom.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.artefacts import write_json
from semeion.cohort.cohort import Cohort
from semeion.cohort.volume import knows_spacing
from semeion.errors import InputError, Interrupted, nearest
from semeion.evidence.use.operating import parse_rule
from semeion.measure import cardiac
from semeion.measure.features import feature_definitions
from semeion.measure.spec import Measurements
from semeion.model.trees import MAX_FEATURES
from semeion.plan.crossfit import CrossFit, cross_fit
from semeion.plan.files import read_plan_as, write_plan
from semeion.plan.fingerprint import fingerprint, mask_voxels
from semeion.plan.measure_rules import FOLDS, looks_of, make_measured_plan, pairs_of, reserve_for_measuring
from semeion.plan.measure_schema import MeasuredPlan
from semeion.plan.rules import Wishes
from semeion.plan.splits import Sides
from semeion.prepare.register import registered
from semeion.prepare.volume_scan import scan_volumes
from semeion.progress import Progress
from semeion.report.page import write_report
from semeion.study.averaging import averaged
from semeion.study.clock import Clock
from semeion.study.diagnosing import Diagnosed, diagnose
from semeion.study.folder import RunFolder, code_notes
from semeion.study.inspect import labels
from semeion.study.measure_images import FOLDER, Seen, image_seconds, look, plan_image_networks
from semeion.study.measure_shipping import ship_measured
from semeion.study.measuring import divided, measure_cases, measurements_of, one_row_a_volume
from semeion.study.options import RunOptions
from semeion.study.outlining import write_predictions
from semeion.study.planning import check_plan_fits
from semeion.study.segment_road import groups_of, plan_segmentation, segmenter_of_run, store_of
from semeion.study.segmenting import train_segmenters
from semeion.study.stopping import interruptible
from semeion.study.weighing import Asked, Audited, run_evidence

Rows = npt.NDArray[np.int64]


def go_measured(
    run: RunFolder,
    cohort: Cohort,
    facts: pd.DataFrame,
    audited: Audited,
    options: RunOptions,
    clock: Clock,
    progress: Progress,
) -> None:
    """Plan, outline, measure, classify, weigh, ship and tell.

    Raises
    ------
    InputError
        When a case has no mask, or the cases are too few to divide.
    Interrupted
        When the user stopped it; resumable.
    """
    volumes = one_row_a_volume(cohort)
    seen = _scan(volumes, options, progress)
    plan = _plan(run, cohort, facts, volumes, seen, options, clock, progress)
    clock.budget = plan.budget.seconds
    fit = folds_of(cohort, facts, plan)
    each = len(plan.measurements.take.images)
    parts = [on_volumes(side, each) for side in fit.sides]
    store = store_of(run, volumes, seen, plan.segmentation, parts, options, progress)
    with interruptible() as stop:
        groups = groups_of(cohort, facts)
        trained = train_segmenters(run, plan.segmentation, store, parts, clock, progress, stop, np.repeat(groups, each))
        if stop():
            raise Interrupted("stopped by the user")
        looked = look(run, plan, cohort, facts, groups, fit, options, clock, progress, stop)
    executed = plan.model_copy(update={"segmentation": trained.plan, "budget": trained.plan.budget})
    if plan.images is not None and looked is not None:
        images = plan.images.model_copy(update={"networks": looked.trained.plan})
        executed = executed.model_copy(update={"images": images})
    write_plan(executed, run / "plan.executed.yaml")
    networks = [
        segmenter_of_run(run, trained.plan, [member for member in trained.plan.members if member.fold == number])
        for number in range(len(fit.pairs))
    ]
    members = [[m.name for m in trained.plan.members if m.fold == number] for number in range(len(fit.pairs))]
    take, new = plan.measurements.take, shipped_pairs(fit)
    measured = measure_cases(run, cohort, volumes, take, fit, networks, members, new, progress)
    progress.start("weighing", 4)
    found = diagnose(executed, cohort, labels(cohort), groups, fit, measured)
    if looked is not None:
        found = averaged(executed, cohort, labels(cohort), found, looked)
    # Test cases tell a model nothing, not even what images it may expect.
    seen = seen[np.repeat(fit.fold >= 0, each)]
    moved = registered([store.notes(row) for row in range(store.n)])
    _finish(
        run, executed, cohort, seen, audited, fit, found, looked, clock, progress, trained.facts, trained.ended, moved
    )


def shipped_pairs(fit: CrossFit) -> tuple[int, ...]:
    """Return the networks that ship: neighbouring pairs in a ring, so that each fold is left out by two of them.

    As many as folds, close to the number that outlined a held-out case, and every patient was learned from by some.
    """
    folds = fit.folds
    ring = {tuple(sorted((fold, (fold + 1) % folds))) for fold in range(folds)}
    return tuple(number for number, pair in enumerate(fit.pairs) if pair in ring)


def folds_of(cohort: Cohort, facts: pd.DataFrame, plan: MeasuredPlan) -> CrossFit:
    """Return the folds of the cases that are not test cases; a given val split joins the others."""
    pool, stratum = divided(cohort)
    how, groups = plan.validation, groups_of(cohort, facts)
    fit = cross_fit(pool, stratum, groups, folds=how.folds, inner_share=how.inner_share, seed=plan.seed)
    _refuse_few_patients(fit, labels(cohort), groups, cohort)
    return fit


def _refuse_few_patients(fit: CrossFit, y: npt.NDArray[np.float64], groups: Rows, cohort: Cohort) -> None:
    """Refuse a class of which some fold's classifier would have fewer than two patients, before hours of learning."""
    for index, name in enumerate(cohort.target.classes):
        for fold in range(fit.folds):
            count = len(np.unique(groups[(fit.fold >= 0) & (fit.fold != fold) & (y == index)]))
            if count < 2:
                raise InputError(
                    f"class {name!r} leaves {count} patients to learn from when a fold is held out, and two are needed",
                    where=cohort.source,
                    fix="bring more patients of it, leave it out, or join classes",
                )


def on_volumes(side: Sides, each: int) -> Sides:
    """Return the sides of the volumes of the cases of `side`, `each` a case, one after the other."""

    def spread(rows: Rows) -> Rows:
        return (rows[:, None] * each + np.arange(each)).ravel().astype(np.int64)

    return Sides(side.fold, spread(side.learn), spread(side.validate), spread(side.held_out))


def classified_features(take: Measurements) -> tuple[str, ...]:
    """Return the measurements that a classifier sees: of a heart those that hold whatever the split over the axes."""
    return tuple(cardiac.TRUE_BY_VOLUME) if take.kind == "heart" else tuple(feature_definitions(take))


def _scan(volumes: Cohort, options: RunOptions, progress: Progress) -> pd.DataFrame:
    seen = scan_volumes(volumes, jobs=options.jobs, progress=progress)
    bad = seen[seen["status"] != "ok"]
    if len(bad):
        raise InputError(
            f"{len(bad)} of {len(seen)} volumes or masks cannot be used",
            where=volumes.source,
            fix="correct these, or remove their rows",
            details=[f"case {case}: {what}" for case, what in zip(bad["case_id"], bad["problem"], strict=True)],
        )
    unknown = [not knows_spacing(str(notes).split(";")) for notes in seen["notes"]]
    if any(unknown):
        raise InputError(
            f"{sum(unknown)} of {len(seen)} volumes do not say how large a voxel is, and nothing can be measured in "
            "mm or ml",
            where=volumes.source,
            fix="give files that state their spacing, or leave --structures out",
            details=[f"case {case}" for case in seen["case_id"][np.array(unknown)].iloc[:20]],
        )
    return seen


def _plan(
    run: RunFolder,
    cohort: Cohort,
    facts: pd.DataFrame,
    volumes: Cohort,
    seen: pd.DataFrame,
    options: RunOptions,
    clock: Clock,
    progress: Progress,
) -> MeasuredPlan:
    if not (run / "plan.yaml").exists():
        known = fingerprint(cohort, facts)
        write_json(run / "fingerprint.json", known)
        if options.plan is not None:
            plan = read_plan_as(Path(options.plan), MeasuredPlan)
            check_measured_plan_fits(plan, cohort, volumes, Path(options.plan))
            if options.with_images and plan.images is None:
                raise InputError(
                    "the plan has no networks that see the images",
                    where=options.plan,
                    fix="plan again with --with-images, or leave the option out",
                )
            if options.measure:
                raise InputError(
                    "what is measured stands in the plan",
                    where="--measure",
                    fix="leave --measure out, or write measurements.take and measurements.features in the plan",
                )
            give_budget(plan, plan.budget.seconds if options.budget is None else options.budget)
        else:
            plan = plan_measured(
                cohort, facts, known, volumes, seen, options, progress, used=clock.used(), machines=run.path
            )
        write_plan(plan, run / "plan.yaml")
    return read_plan_as(run / "plan.yaml", MeasuredPlan)


def give_budget(plan: MeasuredPlan, seconds: float | None) -> None:
    """Put a budget into a plan, of which image networks get their share; None: the steps of the plan are fixed."""
    before = plan.budget.seconds or 0.0
    plan.budget.seconds = plan.segmentation.budget.seconds = seconds
    if plan.images is None:
        return
    held = plan.images.share * before if plan.images.seconds is None else plan.images.seconds
    plan.images.networks.budget.seconds = seconds
    if seconds is not None:
        aside, own = plan.images.share * seconds, plan.segmentation.budget
        own.reserve = plan.budget.reserve = max(0.0, own.reserve + aside - held)
        plan.images.seconds = aside


def check_measured_plan_fits(plan: MeasuredPlan, cohort: Cohort, volumes: Cohort, where: Path) -> None:
    """Refuse a plan that was made for another question, other structures or other images.

    Raises
    ------
    InputError
        Naming what differs.
    """
    parse_rule(plan.operating_point.rule)
    target, take, own = cohort.target, plan.measurements.take, measurements_of(cohort)
    role, names = cohort.images.role, list(cohort.images.names)
    for name, planned, found in (
        ("target", plan.target.name, target.name),
        ("task", plan.target.task, target.task),
        ("classes", plan.target.classes, list(target.classes)),
        ("positive class", plan.target.positive, target.positive),
        ("images", take.images, own.images),
        ("channels to be measured", take.channels, names if take.intensity and role == "channels" else []),
        ("structures", plan.segmentation.target.classes, list(volumes.target.classes)),
        ("numbers of the structures", plan.segmentation.target.values, list(volumes.target.values)),
    ):
        if planned != found:
            raise InputError(
                f"the plan was made for the {name} {planned!r}, and the table has {found!r}",
                where=str(where),
                fix="plan again, or give the options that the plan was made with",
            )
    if plan.images is not None:
        check_plan_fits(plan.images.networks, cohort, where)
    known = feature_definitions(take)
    count = len(plan.measurements.features)
    if count > MAX_FEATURES:
        raise InputError(
            f"measurements.features names {count}, more than the {MAX_FEATURES} that trees take",
            where=str(where),
            fix="name fewer",
        )
    for name in plan.measurements.features:
        if name not in known:
            raise InputError(
                f"measurements.features names {name!r}, which is not measured{nearest(name, list(known))}",
                where=str(where),
                fix="correct the name, or remove it",
            )


def plan_cases(
    cohort: Cohort, facts: pd.DataFrame, options: RunOptions, progress: Progress
) -> tuple[dict[str, Any], MeasuredPlan]:
    """Return the fingerprint of the cases and the plan."""
    known, volumes = fingerprint(cohort, facts), one_row_a_volume(cohort)
    return known, plan_measured(cohort, facts, known, volumes, _scan(volumes, options, progress), options, progress)


def plan_measured(
    cohort: Cohort,
    facts: pd.DataFrame,
    known: dict[str, Any],
    volumes: Cohort,
    seen: pd.DataFrame,
    options: RunOptions,
    progress: Progress,
    *,
    used: float = 0.0,
    machines: Path | None = None,
) -> MeasuredPlan:
    """Measure the machine and decide everything; `machines` is the run folder, which keeps what was measured."""
    images, aside, began = None, 0.0, monotonic()
    if options.with_images:
        file = None if machines is None else machines / FOLDER / "machine.json"
        images, aside = plan_image_networks(cohort, facts, options, progress, file), image_seconds(options)
        used += monotonic() - began
    take = measurements_of(cohort, options.measure)
    # Which volumes each network sees, the pairs decide; test cases shape nothing.
    learned = ~(volumes.table["split"] == "test").to_numpy(dtype=bool)
    outlined = sum(sum(mask_voxels(text).values()) for text in seen["mask_voxels"])
    kept = reserve_for_measuring(len(learned), int((~learned).sum()), outlined, FOLDS, take)
    table = volumes.table[learned].reset_index(drop=True)
    table["split"] = pd.Series(pd.NA, index=table.index, dtype="str")
    own, seen = replace(volumes, table=table), seen[learned].reset_index(drop=True)
    networks = plan_segmentation(
        own,
        fingerprint(own, seen),
        options,
        progress,
        used=used + kept + aside,
        machine_file=None if machines is None else machines / "machine.json",
        folds=pairs_of(FOLDS),
        outlines=looks_of(FOLDS),
    )
    budget = networks.budget.model_copy(update={"reserve": networks.budget.reserve + kept + aside})
    if images is not None:
        told = f"outlining, measuring, evidence, report, and {aside:.0f} s for the image networks"
        budget = budget.model_copy(update={"why": {**budget.why, "reserve": told}})
    wishes = Wishes(budget=options.budget, seed=options.seed, operating_point=options.operating_point)
    return make_measured_plan(
        known, take, classified_features(take), networks.model_copy(update={"budget": budget}), wishes, images
    )


def _tell_unmeasured(evidence: dict[str, Any], cohort: Cohort) -> None:
    """Add to the flow of cases how many have no finding."""
    lost = {case for cases in evidence["measured"]["unmeasured"].values() for case in cases}
    if lost:
        left = cohort.table[~cohort.table["case_id"].astype(str).isin(lost)]
        step = {"step": "measured", "n_cases": len(left), "n_patients": int(left["patient_id"].nunique())}
        evidence["flow"].append({**step, "reason": f"{len(lost)} cases have masks that could not be measured"})


def _finish(
    run: RunFolder,
    plan: MeasuredPlan,
    cohort: Cohort,
    seen: pd.DataFrame,
    audited: Audited,
    fit: CrossFit,
    found: Diagnosed,
    looked: Seen | None,
    clock: Clock,
    progress: Progress,
    members: list[dict[str, Any]],
    ended: str,
    moved: list[dict[str, Any]],
) -> None:
    """Weigh, ship, tell."""
    from semeion.evidence.question import Question
    from semeion.evidence.use.sets import SetsAsked
    from semeion.learn.throughput import peak_gib

    write_predictions(found.predicted.table, run / "predictions.parquet")
    write_predictions(found.drivers, run / "drivers.parquet")
    target = plan.target
    question = Question(target.name, target.task, tuple(target.classes), target.positive)
    asked = Asked(question, plan.operating_point.rule, plan.seed, given_split=False, sets=SetsAsked())
    evidence = run_evidence(asked, members, found.predicted, cohort, audited, readings=run.count_reading(cohort))
    if moved:
        evidence["registration"] = moved
    evidence["measured"] = found.evidence
    evidence["notes"] += found.notes
    _tell_unmeasured(evidence, cohort)
    progress.advance(1, "model")
    shipped = shipped_pairs(fit)
    evidence["measured"]["networks"] = {"trained": len(fit.pairs), "shipped": len(shipped)}
    evidence["model"] = ship_measured(run, plan, cohort, seen, evidence, found.shipped, shipped, looked, found.judged)
    used = round(clock.used(), 1)
    evidence["budget"] = {"asked_seconds": clock.budget, "used_seconds": used, "ended": ended}
    evidence["cost"] = {"seconds": used, "peak_mib": round(peak_gib() * 1024, 1)}
    evidence["notes"] += code_notes(run)
    write_json(run / "evidence.json", evidence)
    progress.advance(1, "report")
    write_report(run.path)
    progress.advance(2)
    progress.finish()
