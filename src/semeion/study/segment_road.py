"""The road of a segmentation: the same stages as a diagnosis's, with masks in place of probabilities."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.artefacts import read_json, write_json
from semeion.audit.checks import duplicate_groups
from semeion.cohort.cohort import Cohort
from semeion.cohort.roles import image_references, mask_references
from semeion.errors import InputError, Interrupted
from semeion.model.engine import open_engine
from semeion.model.segment import Looking, Segmenter
from semeion.plan.files import read_plan_as, write_plan
from semeion.plan.fingerprint import fingerprint
from semeion.plan.rules import Wishes
from semeion.plan.segment_networks import segment_candidates
from semeion.plan.segment_rules import DEFAULT_BUDGET, make_segmentation_plan, plan_segment_validation
from semeion.plan.segment_schema import SegmentationPlan, SegmentMemberPlan
from semeion.plan.splits import Sides, inner_split, sides
from semeion.prepare.register import registered
from semeion.prepare.volume_store import VolumeStore, build_volume_store
from semeion.progress import Progress
from semeion.report.page import write_report
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder, code_notes
from semeion.study.options import RunOptions
from semeion.study.outlining import Group, outline_cases, write_predictions
from semeion.study.segment_gallery import write_segment_gallery
from semeion.study.segment_graphs import graph_to_run, shipped_graphs
from semeion.study.segment_shipping import ship_segmentation
from semeion.study.segment_weighing import segmentation_evidence
from semeion.study.segmenting import TrainedSegmenters, train_segmenters
from semeion.study.stopping import interruptible
from semeion.study.weighing import Audited

if TYPE_CHECKING:
    from semeion.plan.segment_rules import SegmentMachine

TIMED = 6
"""Cases that are read to estimate how long preparing all of them takes."""


def go_segmentation(
    run: RunFolder,
    cohort: Cohort,
    facts: pd.DataFrame,
    audited: Audited,
    options: RunOptions,
    clock: Clock,
    progress: Progress,
) -> None:
    """Plan, prepare, learn, weigh, ship and tell; each stage begins at what an earlier process left.

    Raises
    ------
    InputError
        When the cohort cannot be divided, a mask is missing, or nothing that may be weighed has one.
    Interrupted
        When the user stopped it; resumable.
    """
    plan = _plan(run, cohort, facts, options, clock, progress)
    clock.budget = plan.budget.seconds
    store, parts = prepare_segmentation(run, cohort, facts, plan, options, progress)
    with interruptible() as stop:
        trained = train_segmenters(run, plan, store, parts, clock, progress, stop, groups_of(cohort, facts))
        if stop():
            raise Interrupted("stopped by the user")
    write_plan(trained.plan, run / "plan.executed.yaml")
    _finish(run, trained, cohort, facts, audited, store, parts, clock, progress)


def plan_segmentation(
    cohort: Cohort,
    known: dict[str, Any],
    options: RunOptions,
    progress: Progress,
    *,
    used: float = 0.0,
    machine_file: Path | None = None,
    folds: int = 0,
    outlines: int = 0,
) -> SegmentationPlan:
    """Measure the machine and decide everything.

    Parameters
    ----------
    cohort, known
        The cases and their fingerprint.
    options
        Budget and seed.
    progress
        For the bar.
    used
        Seconds of the budget that are over.
    machine_file
        Where the measurement is kept; read when it exists.
    folds
        Networks that each leave some of the cases out; 0 when none are wanted.
    outlines
        Times that every case is outlined after learning; 0: as validation needs.
    """
    began = monotonic()
    # Refuses a cohort that cannot be divided before time is spent on measuring.
    plan_segment_validation(known, folds)
    machine = _machine(known, machine_file, min(60.0, max(10.0, 0.04 * (options.budget or DEFAULT_BUDGET))), progress)
    wishes = Wishes(
        budget=options.budget,
        used=used + monotonic() - began,
        still_to_prepare=_reading_seconds(cohort),
        seed=options.seed,
    )
    return make_segmentation_plan(known, machine, wishes, folds=folds, outlines=outlines)


def _plan(
    run: RunFolder, cohort: Cohort, facts: pd.DataFrame, options: RunOptions, clock: Clock, progress: Progress
) -> SegmentationPlan:
    if not (run / "plan.yaml").exists():
        known = fingerprint(cohort, facts)
        write_json(run / "fingerprint.json", known)
        if options.plan is not None:
            plan = read_plan_as(Path(options.plan), SegmentationPlan)
            check_segmentation_plan_fits(plan, cohort, Path(options.plan))
            if options.budget is not None:
                plan.budget.seconds = options.budget
        else:
            plan = plan_segmentation(
                cohort, known, options, progress, used=clock.used(), machine_file=run / "machine.json"
            )
        write_plan(plan, run / "plan.yaml")
    return read_plan_as(run / "plan.yaml", SegmentationPlan)


def check_segmentation_plan_fits(plan: SegmentationPlan, cohort: Cohort, where: Path) -> None:
    """Refuse a plan that was made for other labels or other images.

    Raises
    ------
    InputError
        Naming what differs.
    """
    target = cohort.target
    for name, planned, found in (
        ("target", plan.target.name, target.name),
        ("labels", plan.target.classes, list(target.classes)),
        ("values in the mask", plan.target.values, list(target.values)),
    ):
        if planned != found:
            raise InputError(
                f"the plan was made for the {name} {planned!r}, and the table has {found!r}",
                where=str(where),
                fix="plan again, or give the options that the plan was made with",
            )
    given = cohort.has_split and bool((cohort.table["split"] == "val").any())
    if plan.validation.scheme == "given" and not given:
        raise InputError("the plan uses val cases, and the table has none", where=str(where), fix="plan again")


def _machine(known: dict[str, Any], file: Path | None, seconds: float, progress: Progress) -> SegmentMachine:
    from semeion.learn.segment_throughput import (
        measure_segmentation,
        segment_machine_from_json,
        segment_machine_to_json,
    )

    if file is not None and file.exists():
        return segment_machine_from_json(read_json(file), file)
    images = known["images"]
    channels = len(images["names"]) if images["role"] == "channels" else 1
    labels = len(known["classes"]) + 1
    machine = measure_segmentation(segment_candidates(known), channels, labels, seconds=seconds, progress=progress)
    if file is not None:
        write_json(file, segment_machine_to_json(machine))
    return machine


def _reading_seconds(cohort: Cohort) -> float:
    """Return how long preparing every case should take, from reading a few: preparing costs as much again."""
    from semeion.study.outlining import read_volumes

    references = image_references(cohort)
    chosen = np.unique(np.linspace(0, len(references) - 1, min(TIMED, len(references))).astype(int))
    began = monotonic()
    for row in chosen:
        read_volumes(references[row], cohort, int(row))
    return 3 * (monotonic() - began) / len(chosen) * len(references)


def prepare_segmentation(
    run: RunFolder,
    cohort: Cohort,
    facts: pd.DataFrame,
    plan: SegmentationPlan,
    options: RunOptions,
    progress: Progress,
) -> tuple[VolumeStore, list[Sides]]:
    """Divide the cases and build the store.

    Raises
    ------
    InputError
        When a case that is learned from or validates has no mask, or the groups are too few to divide.
    """
    parts = segment_sides(cohort, facts, plan)
    return store_of(run, cohort, facts, plan, parts, options, progress), parts


def store_of(
    run: RunFolder,
    cohort: Cohort,
    facts: pd.DataFrame,
    plan: SegmentationPlan,
    parts: list[Sides],
    options: RunOptions,
    progress: Progress,
) -> VolumeStore:
    """Build the store of a divided cohort.

    Raises
    ------
    InputError
        When a case that is learned from or validates has no mask.
    """
    masks = [first[0] if first else None for first in mask_references(cohort)]
    needed = np.unique(np.concatenate([np.concatenate([side.learn, side.validate]) for side in parts]))
    without = [str(cohort.table["case_id"].iloc[row]) for row in needed if masks[row] is None]
    if without:
        raise InputError(
            f"{len(without)} cases to learn from have no mask",
            where=f"column {cohort.target.name!r}",
            fix="fill the masks in, or remove the rows",
            details=[f"case {case}" for case in without[:20]],
        )
    return build_volume_store(
        cohort.table["case_id"].tolist(),
        image_references(cohort),
        masks,
        plan.preparation.spec(),
        run / "store",
        hashes=facts["pixel_hash"].tolist(),
        jobs=options.jobs,
        progress=progress,
    )


def groups_of(cohort: Cohort, facts: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the number of every case's group: its patient, and whoever has a copy of one of its images."""
    return np.asarray(pd.factorize(duplicate_groups(cohort, facts))[0], dtype=np.int64)


def segment_sides(cohort: Cohort, facts: pd.DataFrame, plan: SegmentationPlan) -> list[Sides]:
    """Return the sides of the plan's validation, with copies of one image on one side."""
    groups = groups_of(cohort, facts)
    split = cohort.table["split"].to_numpy(dtype=object) if cohort.has_split else None
    # Nothing but the patient divides: what a mask holds is spread by chance.
    stratum = np.zeros(len(groups), dtype=np.int64)
    how = plan.validation
    if how.scheme == "holdout":
        pool = np.arange(len(groups), dtype=np.int64)
        pool = pool if split is None else pool[split == "train"]
        learn, validate = inner_split(pool, stratum, groups, how.inner_share, plan.seed)
        return [Sides(-1, learn, validate, np.empty(0, dtype=np.int64))]
    return sides(
        split,
        stratum.astype(np.float64),
        "segmentation",
        groups,
        scheme=how.scheme,
        folds=how.folds,
        inner_share=how.inner_share,
        seed=plan.seed,
    )


def segmenter_of_run(run: RunFolder, plan: SegmentationPlan, members: list[SegmentMemberPlan]) -> Segmenter:
    """Return the exported networks of `members` with the choices of the plan, as they ship and run in ONNX Runtime."""
    engines = [
        open_engine(graph_to_run(run / "members" / member.name), plan.training.threads, takes="float32")
        for member in members
    ]
    networks = tuple(Looking(engine, tuple(plan.use.mirror)) for engine in engines)
    return Segmenter(networks, plan.preparation.spec(), plan.use.overlap, tuple(plan.use.postprocess))


def _groups(run: RunFolder, plan: SegmentationPlan, cohort: Cohort, parts: list[Sides]) -> list[Group]:
    """Return who outlines whom: validation cases and held-out folds by their own networks, test cases by all."""
    groups = []
    if plan.validation.scheme == "folds":
        for side in parts:
            own = [member for member in plan.members if member.fold == side.fold]
            groups.append(Group("oof", side.fold, side.held_out, segmenter_of_run(run, plan, own)))
    else:
        groups.append(Group("val", -1, parts[0].validate, segmenter_of_run(run, plan, plan.members)))
    if cohort.has_split and (cohort.table["split"] == "test").any():
        rows = np.flatnonzero(cohort.table["split"].to_numpy() == "test").astype(np.int64)
        groups.append(Group("test", -1, rows, segmenter_of_run(run, plan, plan.members)))
    return groups


def _finish(
    run: RunFolder,
    trained: TrainedSegmenters,
    cohort: Cohort,
    facts: pd.DataFrame,
    audited: Audited,
    store: VolumeStore,
    parts: list[Sides],
    clock: Clock,
    progress: Progress,
) -> None:
    """Outline, weigh, ship, tell."""
    from semeion.learn.throughput import peak_gib

    plan = trained.plan
    table = outline_cases(run, cohort, _groups(run, plan, cohort, parts), progress, plan.target.lesions)
    write_predictions(table, run / "predictions.parquet")
    progress.start("weighing", 3)
    evidence = segmentation_evidence(plan, trained.facts, table, cohort, audited)
    if plan.preparation.registration == "rigid":
        evidence["registration"] = registered([store.notes(row) for row in range(store.n)])
    progress.advance(1, "pictures")
    write_segment_gallery(run, table, evidence["ranking"], cohort)
    graphs, fast = shipped_graphs(run, [member.name for member in plan.members])
    learned = np.unique(np.concatenate([side.learn for side in parts]))
    progress.advance(1, "model")
    evidence["model"] = ship_segmentation(run, plan, graphs, evidence, cohort, facts.iloc[learned], fast)
    used = round(clock.used(), 1)
    evidence["budget"] = {"asked_seconds": clock.budget, "used_seconds": used, "ended": trained.ended}
    evidence["cost"] = {"seconds": used, "peak_mib": round(peak_gib() * 1024, 1)}
    evidence["notes"] += code_notes(run)
    write_json(run / "evidence.json", evidence)
    write_report(run.path)
    progress.advance(1, "report")
    progress.finish()
