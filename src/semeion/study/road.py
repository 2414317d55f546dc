"""The whole road of one run: each stage writes its artefact, and a resume begins at the first that is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semeion.artefacts import read_json, whole_file, write_json
from semeion.audit.checks import duplicate_groups
from semeion.cohort.cohort import Cohort, read_cohort
from semeion.cohort.several import targets_of
from semeion.errors import InputError, Interrupted
from semeion.evidence.use.operating import parse_rule
from semeion.plan.files import plan_task, plans_measurements, read_plan, read_plan_as, write_plan
from semeion.plan.joint import joint_sides
from semeion.plan.measure_schema import MeasuredPlan
from semeion.plan.rules import plan_reading, plan_reserve
from semeion.plan.schema import Plan
from semeion.plan.splits import Sides, sides
from semeion.prepare.register import registered
from semeion.prepare.store import Store
from semeion.progress import Progress
from semeion.report.page import write_report
from semeion.report.stated import keep_stated, read_stated
from semeion.study.accounting import accounted, remove_refused
from semeion.study.admitting import admitted
from semeion.study.auditing import looks_of
from semeion.study.baseline import Baseline, baseline_json, predict_baseline, train_baseline, with_baseline
from semeion.study.by_site import planned_fold, validation_json
from semeion.study.clock import Clock
from semeion.study.covariate_worth import covariates_json, predict_parts, with_parts
from semeion.study.covariates import with_planned
from semeion.study.distilled import (
    distillation_json,
    members_of,
    predict_teacher,
    refuse_planned_otherwise,
    with_teacher,
)
from semeion.study.distilling import Distilled, distil
from semeion.study.explaining import explain_within_budget, tried_again
from semeion.study.feature_audit import look_in_features
from semeion.study.folder import RunFolder, code_notes, read_run_state
from semeion.study.gallery import write_gallery
from semeion.study.gallery_maps import add_maps
from semeion.study.inspect import keep_inspected, labels
from semeion.study.learning import Trained, question_of, train_members
from semeion.study.members.searched import search_json
from semeion.study.members.told import combination_json
from semeion.study.neighbours import refuse_long_ids, refuse_unplanned, with_neighbours
from semeion.study.options import RunOptions, refuse_beside_plan, refuse_without_structures
from semeion.study.own_network import check_factory, refuse_other_code, with_own_network
from semeion.study.planning import check_plan_fits, plan_run, refuse_no_training
from semeion.study.predicting import Predictor, operating_points, predict_run
from semeion.study.preparing import prepared_cases
from semeion.study.pretraining import Pretrained, learn_from_images, refuse_plan_without
from semeion.study.robustness import measure_within_budget
from semeion.study.set_words import refuse_coverage
from semeion.study.several import asked_targets, go_several, refuse_unable
from semeion.study.shipping import ship
from semeion.study.stopping import interruptible
from semeion.study.taught import TaughtOf, images_to_teach
from semeion.study.teaching import as_planned, teaching_notes
from semeion.study.unlabelled import kept_look, refuse_folder
from semeion.study.weighing import Audited, asked_of, run_evidence


def start_run(
    source: Path, options: RunOptions, output: Path, progress: Progress, started: float | None = None
) -> Path:
    """Make a run folder and go the whole road.

    Parameters
    ----------
    source, options
        What to learn from, and how.
    output
        The run folder; must be new or empty.
    progress
        For the terminal.
    started
        :func:`time.monotonic` when the budget began; now when None.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    InputError
        When the input is refused; a new folder is removed again.
    Interrupted
        When the user stopped it; resumable.
    """
    parse_rule(options.operating_point)
    refuse_without_structures(options)
    refuse_coverage(options)
    if options.intended_use is not None:
        read_stated(Path(options.intended_use))
    if several := targets_of(source, options.cohort):
        refuse_unable(options, several)
    elif options.plan is not None and plan_task(Path(options.plan)) != "segmentation":
        given = Path(options.plan)
        plan = read_plan_as(given, MeasuredPlan) if plans_measurements(given) else read_plan(given)
        options = with_planned(options, plan)
        options = as_planned(options, plan) if isinstance(plan, Plan) else options
        refuse_beside_plan(options, plan.seed, plan.operating_point.rule)
    refuse_no_training()
    check_factory(options.network)
    refuse_folder(options)
    existed = output.exists()
    run = RunFolder(output)
    # A folder with a lock may be in use, which locked() says; looking first keeps the lock out of anything else.
    if not (run / ".lock").exists():
        run.refuse_taken()
    with run.locked():
        run.begin(source, options)
        try:
            if options.intended_use is not None:
                keep_stated(Path(options.intended_use), run.path)
            _go(run, progress, started)
        except InputError:
            remove_refused(run, existed)
            raise
    return run.path


def resume_run(path: Path, progress: Progress, started: float | None = None) -> Path:
    """Go on with an interrupted run; a finished one is left as it is.

    Raises
    ------
    InputError
        When the folder holds no run.
    """
    run = RunFolder(path)
    state = read_run_state(run.path)
    if state.get("adopted") and not state["finished"]:
        raise InputError(
            "adopting a network was stopped here, and nothing was learned that could be gone on with",
            where=str(path),
            fix="delete the folder and adopt it again",
        )
    if state.get("part_of"):
        raise InputError(
            "is one of several targets of a run", where=str(path), fix="resume the run that holds the folder `targets`"
        )
    refuse_no_training()
    with run.locked():
        if read_run_state(run.path)["finished"]:
            progress.say(f"{path} is finished; nothing to resume.")
        else:
            run.tidy()
            _go(run, progress, started)
    return run.path


def _go(run: RunFolder, progress: Progress, started: float | None) -> None:
    state = read_run_state(run.path)
    options = RunOptions.from_json(state["options"])
    clock = Clock(options.budget, state["seconds_used"], started)
    with accounted(run, state, clock):
        source = Path(state["source"])
        if several := asked_targets(run, source, options):
            go_several(run, source, options, several, clock, progress)
            state["finished"] = True
            return
        cohort, facts, audited = _gather(run, source, options, progress)
        if cohort.target.task == "segmentation":
            from semeion.study.segment_road import go_segmentation

            go_segmentation(run, cohort, facts, audited, options, clock, progress)
            state["finished"] = True
            return
        if cohort.structures:
            from semeion.study.measure_road import go_measured

            go_measured(run, cohort, facts, audited, options, clock, progress)
            state["finished"] = True
            return
        images = kept_look(run, cohort, facts, options, progress)
        plan = _plan(run, cohort, facts, options, clock, progress, 0 if images is None else images.images)
        clock.budget = plan.budget.seconds
        store, y, parts = _prepare(run, cohort, facts, plan, options, progress)
        learn_images(run, plan, store, y, parts, images, cohort, facts, audited, options, clock, progress)
        state["finished"] = True


def learn_images(
    run: RunFolder,
    plan: Plan,
    store: Store,
    y: Any,
    parts: list[Sides],
    images: Any,
    cohort: Cohort,
    facts: pd.DataFrame,
    audited: Audited,
    options: RunOptions,
    clock: Clock,
    progress: Progress,
) -> None:
    """Learn, weigh, ship and tell: the road of one target from prepared images on.

    Raises
    ------
    Interrupted
        When the user stopped it; what was learned until then is weighed and shipped where every fold has a member.
    """
    groups = groups_of(cohort, facts)
    with interruptible() as stop:
        # First, so that the members have exactly the time that is left.
        plan, classic = train_baseline(run, plan, store, y, parts, clock, progress, stop)
        plan, pretrained = learn_from_images(run, plan, store, parts, images, options, clock, progress, stop)
        plan, taught = images_to_teach(run, plan, store, images, options, progress)
        trained = train_members(
            *(run, plan, store, y, groups, parts, clock, progress, stop),
            jobs=options.jobs,
            cluster=options.cluster,
        )
        trained, distilled = distil(run, plan, trained, store, y, parts, images, options, clock, progress, stop)
        if stop.at_once or (stop() and not trained.interrupted):
            raise Interrupted("stopped by the user")
    if trained.interrupted:
        progress.say("Stopped: what was learned so far is weighed and shipped. Press Ctrl-C again to stop at once.")
    write_plan(trained.plan, run / "plan.executed.yaml")
    told = (distilled, classic, pretrained, taught.of(trained.plan))
    _finish(run, plan, trained, *told, cohort, facts, audited, store, y, parts, clock, progress)
    if trained.interrupted:
        raise Interrupted("stopped by the user; what was learned until then is weighed and shipped")


def _gather(
    run: RunFolder, source: Path, options: RunOptions, progress: Progress
) -> tuple[Cohort, pd.DataFrame, Audited]:
    audits_file = run / "audits.json"
    if not audits_file.exists():
        seen, accepted = admitted(source, options, progress)
        keep_inspected(run.path, seen, accepted)
        for name, audit in seen.audits.items():
            if audit.verdict in ("void", "warn"):
                progress.say(f"{audit.verdict}: {name}: {audit.advice}")
    audited = Audited(**read_json(audits_file))
    return read_cohort(run / "cohort.parquet"), pd.read_parquet(run / "scan.parquet"), audited


def _plan(
    run: RunFolder,
    cohort: Cohort,
    facts: pd.DataFrame,
    options: RunOptions,
    clock: Clock,
    progress: Progress,
    unlabelled: int = 0,
) -> Plan:
    if not (run / "plan.yaml").exists():
        machine = run / "machine.json"
        planned = plan_run(
            cohort, facts, options, progress, used=clock.used(), machine_file=machine, unlabelled=unlabelled
        )
        write_json(run / "fingerprint.json", planned.fingerprint)
        if options.plan is not None:
            plan = read_plan(Path(options.plan))
            check_plan_fits(plan, cohort, Path(options.plan), options.by)
            refuse_other_code(plan, options.network, Path(options.plan))
            refuse_plan_without(plan, options.unlabelled, options.plan)
            refuse_planned_otherwise(options, plan.combination.ship)
            refuse_unplanned(options, plan)
            if plan.combination.neighbours:
                refuse_long_ids(cohort)
            if options.budget is not None:
                plan.budget.seconds = options.budget
                plan.budget.reserve = plan_reserve(planned.fingerprint, options.budget)
                # What its networks will read is kept beside that, as they are seen to read.
                plan.budget.reading = plan_reading(planned.fingerprint)
        else:
            plan = with_neighbours(with_own_network(planned.plan(), options.network), options)
        write_plan(plan, run / "plan.yaml")
    return read_plan(run / "plan.yaml")


def _prepare(
    run: RunFolder, cohort: Cohort, facts: pd.DataFrame, plan: Plan, options: RunOptions, progress: Progress
) -> tuple[Store, Any, list[Sides]]:
    y = labels(cohort)
    parts = sides_of(cohort, facts, plan)
    # Last, since it takes long: a cohort that cannot be divided is refused before.
    store = prepared_cases(run, cohort, facts, plan, options, progress)
    return store, y, parts


def groups_of(cohort: Cohort, facts: pd.DataFrame) -> Any:
    """Return the number of each case's patient; patients who share a picture count as one, int64 ``(cases,)``."""
    return pd.factorize(duplicate_groups(cohort, facts))[0].astype("int64")


def sides_of(cohort: Cohort, facts: pd.DataFrame, plan: Plan) -> list[Sides]:
    """Return who learns, validates and is held out, as the plan and the cohort have it."""
    if cohort.drawn:
        return joint_sides(cohort.table, labels(cohort), cohort.target.task, cohort.target.classes)
    return sides(
        cohort.table["split"].to_numpy(dtype=object) if cohort.has_split else None,
        labels(cohort),
        cohort.target.task,
        groups_of(cohort, facts),
        scheme=plan.validation.scheme,
        folds=plan.validation.folds,
        inner_share=plan.validation.inner_share,
        seed=plan.seed,
        classes=cohort.target.classes,
        fold=planned_fold(cohort, facts, plan),
        aside=plan.sets.share,
    )


def _finish(
    run: RunFolder,
    plan: Plan,
    trained: Trained,
    distilled: Distilled | None,
    classic: Baseline,
    pretrained: Pretrained,
    taught: TaughtOf,
    cohort: Cohort,
    facts: pd.DataFrame,
    audited: Audited,
    store: Store,
    y: Any,
    parts: list[Sides],
    clock: Clock,
    progress: Progress,
) -> None:
    """Predict, weigh, ship, tell."""
    progress.start("weighing", 5)
    readings = run.count_reading(cohort)
    beside = predict_baseline(run, trained, classic, store, cohort, y, parts)
    shipped = trained if distilled is None else distilled.student
    predicted = with_baseline(predict_run(run, shipped, store, cohort, y, parts), beside)
    teacher = None if distilled is None else predict_teacher(run, trained, store, cohort, y, parts)
    predicted = with_teacher(predicted, teacher)
    predictor = Predictor(run, trained, store, cohort, y)
    alone = predict_parts(trained, predicted, predictor, groups_of(cohort, facts), parts)
    predicted = with_parts(predicted, alone)
    with whole_file(run / "predictions.parquet") as temporary:
        predicted.table.to_parquet(temporary, index=False)
    progress.advance(1, "evidence")
    members = members_of(trained, distilled)
    looks = looks_of(facts)
    audited = look_in_features(run, shipped.plan, cohort, facts, store, parts, audited, clock)
    evidence = run_evidence(asked_of(plan), members, predicted, cohort, audited, readings=readings, embedding=looks)
    if combined := combination_json(trained, y, groups_of(cohort, facts), parts):
        evidence["combination"] = combined
    if trained.searches and plan.search is not None:
        evidence["search"] = search_json(trained.searches, plan.search, plan.target.task, plan.seed)
    question = question_of(plan)
    rule = plan.operating_point.rule
    evidence["baseline"] = baseline_json(classic, predicted, beside, question, rule, seed=plan.seed)
    if distilled is not None and teacher is not None:
        evidence["distillation"] = distillation_json(run, trained, distilled, predicted, teacher, question)
        evidence["notes"] += distilled.student.notes
    if alone:
        evidence["covariates"] = covariates_json(run, trained, predicted, alone, cohort, question, parts)
    if pretrained.facts:
        evidence["pretraining"] = pretrained.facts
    if taught.facts:
        evidence["taught"] = taught.facts
    if held_out := validation_json(cohort, plan):
        evidence["validation"] = held_out
    if moved := registered(store.notes()):
        evidence["registration"] = moved
    points = operating_points(predicted, plan.operating_point.rule, plan.target.task, plan.target.classes)
    write_gallery(run, predicted.table, question, points, cohort, store)
    progress.advance(1, "model")
    from semeion.learn.throughput import peak_gib

    # Before the model is written, which shows no explanation that failed; test cases have no part in it.
    evidence["explanations"] = explain_within_budget(
        run, cohort, groups_of(cohort, facts), shipped, store, y, parts, clock
    )
    if clock.budget is not None:
        write_plan(tried_again(trained.plan, evidence["explanations"]), run / "plan.executed.yaml")
    add_maps(run, cohort, shipped, store, parts, evidence["explanations"])
    model = ship(run, plan, shipped, evidence, cohort, facts, store, parts)
    asked = plan.budget.seconds
    evidence["model"] = model
    progress.advance(1, "robustness")
    # Last, when all is locked: nothing is chosen from it, and it is part of the same reading of the test cases.
    evidence["robustness"] = measure_within_budget(
        run,
        cohort,
        facts,
        evidence,
        points,
        budget=plan.budget.seconds,
        left=clock.left(),
        reserve=plan.budget.reserve,
    )
    used = round(clock.used(), 1)
    evidence["budget"] = {"asked_seconds": asked, "used_seconds": used, "ended": trained.ended}
    evidence["cost"] = {"seconds": used, "peak_mib": round((peak_gib() + trained.beside_gib) * 1024, 1)}
    evidence["notes"] += teaching_notes(cohort, np.concatenate([side.learn for side in parts]))
    evidence["notes"] += [*trained.notes, *pretrained.notes, *taught.notes, *code_notes(run)]
    write_json(run / "evidence.json", evidence)
    progress.advance(1, "report")
    write_report(run.path)
    progress.advance()
    progress.finish()
