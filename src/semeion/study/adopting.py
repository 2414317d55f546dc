"""The road of a network that was trained elsewhere: read it, weigh it, calibrate it, ship it and tell of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semeion.adopt.answer import Answer, class_order, try_graph, understand
from semeion.adopt.given import Given, read_given, refuse_no_onnx
from semeion.adopt.look import Look, look_of, parse_numbers
from semeion.adopt.wrap import refuse_difference, wrap
from semeion.artefacts import whole_file, write_bytes, write_json
from semeion.audit.checks import affected_cases
from semeion.cohort.cohort import Cohort, write_cohort
from semeion.cohort.gather import gather
from semeion.cohort.roles import image_references
from semeion.cohort.several import refuse_several
from semeion.errors import InputError
from semeion.evidence.question import Question
from semeion.evidence.use.operating import parse_rule
from semeion.plan.adopt_schema import AdoptionPlan, ChoosingPlan
from semeion.plan.files import write_plan
from semeion.plan.fingerprint import fingerprint
from semeion.plan.schema import OperatingPointPlan, ValidationPlan
from semeion.plan.sets import plan_sets
from semeion.plan.splits import sides
from semeion.prepare.store import Store, build_store
from semeion.progress import Progress
from semeion.report.page import write_report
from semeion.report.stated import keep_stated, read_stated
from semeion.study.adopt_plan import (
    AdoptOptions,
    choosing_plan,
    groups_of,
    network_plan,
    prepared_as,
    refuse_cohort,
    target_plan,
)
from semeion.study.adopted import adopted_json, predict_adopted, ship_adopted
from semeion.study.auditing import looks_of
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder, code_notes, read_run_state
from semeion.study.gallery import write_gallery
from semeion.study.inspect import inspect, labels, refuse_bad_images, refuse_void
from semeion.study.options import RunOptions
from semeion.study.predicting import Predicted, operating_points
from semeion.study.robustness import measure_within_budget
from semeion.study.set_words import refuse_coverage, refuse_sets, sets_asked
from semeion.study.weighing import Asked, Audited, run_evidence

MEMBER = "adopted"
"""Name of the network in the run and in the model."""
LONGEST = 2000
"""Characters of what a user states of the network's learning."""
TRIED = 64
"""Images on which the graph is tried before anything is made of it; none is a test case."""


def adopt_network(
    model: Path,
    source: Path,
    options: RunOptions,
    asked: AdoptOptions,
    output: Path,
    progress: Progress,
    started: float | None = None,
) -> Path:
    """Weigh, calibrate and ship a network that was trained elsewhere; nothing of it is trained on.

    Parameters
    ----------
    model
        An ONNX file.
    source, options
        The cases, and how they are read and weighed; a budget and a plan have no meaning here.
    asked
        What is said of the network.
    output
        The run folder; must be new or empty. On an error nothing stays in it.
    progress
        For the bar.
    started
        :func:`time.monotonic` when the command began; now when None.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    InputError
        When the table is refused, or something is not said that the graph does not tell.
    ModelRefused
        When the file is no graph that can be trusted and run.
    """
    refuse_no_onnx()
    parse_rule(options.operating_point)
    refuse_coverage(options)
    if options.intended_use is not None:
        read_stated(Path(options.intended_use))
    asked = replace(asked, learned_from=stated(asked.learned_from))
    given = read_given(model, asked.output_name)
    look = look_of(
        given,
        scale=asked.scale,
        mean=parse_numbers(asked.mean, "--mean"),
        std=parse_numbers(asked.std, "--std"),
        layout=asked.layout,
        blue_first=asked.blue_first,
    )
    # Before any image is read: what the table alone tells to be wrong.
    refuse_several(source, options.cohort, "an adopted network")
    cases = gather(source, options.cohort)
    refuse_cohort(cases)
    if cases.target.task != "regression":
        class_order(given, cases.target.classes, asked.classes)
    run = RunFolder(output)
    existed = output.exists()
    if not (run / ".lock").exists():
        run.refuse_taken()
    with run.locked():
        run.begin(source, options)
        state = {**read_run_state(run.path), "adopted": given.sha256}
        run.write_state(state)
        try:
            if options.intended_use is not None:
                keep_stated(Path(options.intended_use), run.path)
            clock = Clock(None, 0.0, started)
            _go(run, source, options, asked, given, look, clock, progress)
            run.write_state({**state, "finished": True, "seconds_used": clock.used()})
        except BaseException:  # interrupted, too: nothing is left of what did not finish
            _remove(run, existed)
            raise
    return run.path


def stated(text: str | None) -> str | None:
    """Return what a user states of the network's learning on one line; None of nothing.

    Raises
    ------
    InputError
        When it is longer than a statement.
    """
    line = " ".join((text or "").split())
    if len(line) > LONGEST:
        raise InputError(
            f"{len(line)} characters were given, and {LONGEST} are kept", where="--learned-from", fix="say it shorter"
        )
    return line or None


def _go(
    run: RunFolder,
    source: Path,
    options: RunOptions,
    asked: AdoptOptions,
    given: Given,
    look: Look,
    clock: Clock,
    progress: Progress,
) -> None:
    cohort, facts, audited = _gather(run, source, options, progress)
    known = fingerprint(cohort, facts)
    write_json(run / "fingerprint.json", known)
    preparation = prepared_as(look, facts, asked.fit, asked.window)
    scheme = choosing_plan(cohort, facts)
    y = labels(cohort)
    sets = plan_sets(known, _scheme(scheme), options.sets)
    if scheme.scheme == "folds" and sets.coverage is not None:
        sets.why["share"] = "out-of-fold predictions calibrate: no case had a part in its own calibration"
    parts = sides(
        cohort.table["split"].to_numpy(dtype=object) if cohort.has_split else None,
        y,
        cohort.target.task,
        groups_of(cohort, facts),
        scheme=scheme.scheme,
        folds=scheme.folds,
        inner_share=0.15,
        seed=options.seed,
        classes=cohort.target.classes,
        aside=sets.share,
    )
    store = build_store(
        cohort.table["case_id"].tolist(),
        image_references(cohort),
        preparation.spec(),
        run / "store",
        hashes=facts["pixel_hash"].tolist(),
        jobs=options.jobs,
        progress=progress,
    )
    progress.start("adopting", 4)
    answer, difference = _adopt(run, given, look, asked, cohort, store)
    plan = AdoptionPlan(
        seed=options.seed,
        target=target_plan(cohort),
        preparation=preparation,
        network=network_plan(given, look, answer, asked),
        validation=scheme,
        operating_point=OperatingPointPlan(rule=options.operating_point),
        sets=sets,
    )
    write_plan(plan, run / "plan.yaml")
    progress.advance(1, "weighing")
    readings = run.count_reading(cohort)
    predicted = predict_adopted(run / "members" / MEMBER / "graph.onnx", plan, cohort, y, store, parts, MEMBER)
    with whole_file(run / "predictions.parquet") as temporary:
        predicted.table.to_parquet(temporary, index=False)
    evidence = _evidence(run, plan, cohort, facts, audited, predicted, difference, readings)
    progress.advance(1, "model")
    evidence["model"] = ship_adopted(run, plan, MEMBER, evidence, cohort, facts, store, parts)
    points = operating_points(predicted, plan.operating_point.rule, plan.target.task, plan.target.classes)
    write_gallery(run, predicted.table, _question(cohort), points, cohort, store)
    evidence["robustness"] = measure_within_budget(
        run, cohort, facts, evidence, points, budget=None, left=None, reserve=0.0
    )
    used = round(clock.used(), 1)
    evidence["budget"] = {"asked_seconds": None, "used_seconds": used, "ended": "nothing was trained"}
    evidence["cost"] = {"seconds": used}
    evidence["notes"] += code_notes(run)
    write_json(run / "evidence.json", evidence)
    progress.advance(1, "report")
    write_report(run.path)
    progress.advance()
    progress.finish()


def _gather(
    run: RunFolder, source: Path, options: RunOptions, progress: Progress
) -> tuple[Cohort, pd.DataFrame, Audited]:
    seen = inspect(source, options, progress)
    refuse_bad_images(seen, skip_bad=options.skip_bad)
    accepted = refuse_void(seen.audits, options.accept)
    refuse_cohort(seen.cohort)
    refuse_sets(seen.cohort, options)
    write_cohort(seen.cohort, run / "cohort.parquet")
    with whole_file(run / "scan.parquet") as temporary:
        seen.facts.to_parquet(temporary, index=False)
    audited = Audited(
        {name: audit.to_json() for name, audit in seen.audits.items()},
        accepted,
        {name: sorted(cases) for name, cases in affected_cases(seen.audits).items()},
    )
    write_json(run / "audits.json", vars(audited))
    for name, audit in seen.audits.items():
        if audit.verdict in ("void", "warn"):
            progress.say(f"{audit.verdict}: {name}: {audit.advice}")
    return seen.cohort, seen.facts, audited


def _adopt(
    run: RunFolder, given: Given, look: Look, asked: AdoptOptions, cohort: Cohort, store: Store
) -> tuple[Answer, float]:
    """Try the graph on cases that may choose, wrap it, compare both, and keep the wrapped one."""
    usable = np.flatnonzero(cohort.table["split"].to_numpy(dtype=object) != "test") if cohort.has_split else None
    rows = np.arange(store.n, dtype=np.int64) if usable is None else usable.astype(np.int64)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(TRIED, len(rows))).astype(np.int64))]
    pixels, task = store.take(rows), cohort.target.task
    session = given.session(None)
    values, single = try_graph(session, given, look, pixels, cohort.table["case_id"].iloc[rows].astype(str).tolist())
    answer = understand(
        given,
        values,
        task,
        cohort.target.classes,
        single=single,
        named=asked.classes,
        stated=asked.gives,
    )
    graph = wrap(given, look, answer, task)
    difference = refuse_difference(graph, session, given, look, answer, task, pixels)
    folder = run / "members" / MEMBER
    write_bytes(folder / "graph.onnx", graph)
    write_json(folder / "member.json", {"name": MEMBER, "sha256": given.sha256, "graph_difference": difference})
    return answer, difference


def _evidence(
    run: RunFolder,
    plan: AdoptionPlan,
    cohort: Cohort,
    facts: pd.DataFrame,
    audited: Audited,
    predicted: Predicted,
    difference: float,
    readings: int | None,
) -> dict[str, Any]:
    asked = Asked(
        _question(cohort),
        plan.operating_point.rule,
        plan.seed,
        plan.validation.scheme == "given",
        sets=sets_asked(plan.sets, _scheme(plan.validation), plan.target.task),
    )
    member = {"name": MEMBER, "fold": -1, "stopped": "trained elsewhere", "graph_difference": difference}
    evidence = run_evidence(asked, [member], predicted, cohort, audited, readings=readings, embedding=looks_of(facts))
    evidence["adopted"] = adopted_json(plan.network)
    run.log("adopted", sha256=plan.network.sha256, graph_difference=difference)
    return evidence


def _remove(run: RunFolder, existed: bool) -> None:
    """Leave nothing behind of a network that was refused."""
    for entry in run.path.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    if not existed:
        run.path.rmdir()


def _scheme(plan: ChoosingPlan) -> ValidationPlan:
    return ValidationPlan(scheme=plan.scheme, folds=plan.folds)


def _question(cohort: Cohort) -> Question:
    target = cohort.target
    return Question(target.name, target.task, tuple(target.classes), target.positive)
