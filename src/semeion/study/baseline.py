"""The classic small network of a run: learned first, read with the rest, compared with the ensemble; never a member.

It is fair to it: it learns from the cases that the members of its fold learn from, its probabilities are calibrated and
its operating point is chosen on the same validation cases and by the same rule as the ensemble's, and both are weighed
on the same cases and the same draws of patients. Where folds read test cases, it is the mean of the folds' networks, as
the ensemble is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.artefacts import read_json, write_bytes, write_json
from semeion.cohort.cohort import Cohort
from semeion.evidence.question import Question
from semeion.evidence.table import CLASSIC, ENSEMBLE
from semeion.evidence.use.operating import OperatingPoints
from semeion.model.combine import from_logits
from semeion.model.engine import open_engine
from semeion.plan.members import member_seed
from semeion.plan.schema import Plan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.progress import Progress
from semeion.study.beside import label_point, weigh_beside
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.learning import Trained
from semeion.study.members.network import SAMPLE
from semeion.study.members.outputs import run_graph
from semeion.study.predicting import Decision, Predicted, Predictor, operating_points
from semeion.study.weighing import point_json

if TYPE_CHECKING:
    from semeion.learn.classic import Classic

MOST = 0.12
"""Share of a budget that it may really take, all folds together; where the pace says more, it is given up."""
REPEAT = 9_999
"""Its place among the seeds of a plan: no fold has so many members."""
NOT_PLANNED = "the plan has none"
SIDES = (CLASSIC, ENSEMBLE)
"""What a verdict calls it and the ensemble."""

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Baseline:
    """What became of the classic network.

    Attributes
    ----------
    facts
        One a fold: ``name fold seed epochs steps cases seconds losses parameters graph_difference``.
    reason
        Why there is none, in words; empty where there is one.
    """

    facts: tuple[dict[str, Any], ...] = ()
    reason: str = ""


def baseline_graph(run: RunFolder, fold: int) -> Path:
    """Return ``baseline/classic.onnx``, or ``baseline/classic-fold<k>.onnx``."""
    return run / "baseline" / (f"{CLASSIC}.onnx" if fold < 0 else f"{CLASSIC}-fold{fold}.onnx")


def train_baseline(
    run: RunFolder,
    plan: Plan,
    store: Store,
    y: Values,
    sides: list[Sides],
    clock: Clock,
    progress: Progress,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Plan, Baseline]:
    """Train the classic network of every fold that is not there yet, and export it.

    Returns
    -------
    tuple
        The plan, without its baseline where that was given up, so that the executed plan repeats what was done; and
        what became of it.

    Raises
    ------
    Interrupted
        When the user asked to stop; finished folds are kept.
    """
    if plan.baseline is None:
        return plan, Baseline(reason=plan.budget.why.get("baseline", NOT_PLANNED))
    given_up = run / "baseline" / "given_up.json"
    if given_up.exists():
        return _without(plan, read_json(given_up)["reason"])
    facts: list[dict[str, Any]] = []
    progress.start("the classic small network", len(sides))
    for place, side in enumerate(sides):
        file = baseline_graph(run, side.fold).with_suffix(".json")
        if not file.exists():
            allowed = None
            if plan.budget.seconds is not None:
                spent = sum(one["seconds"] for one in facts)
                allowed = max(0.0, MOST * plan.budget.seconds - spent) / (len(sides) - place)
                allowed = min(allowed, clock.left() or 0.0)
            reason = _train_one(run, plan, store, y, side, file, plan.baseline.epochs, allowed, stop)
            if reason:
                progress.finish()
                write_json(given_up, {"reason": reason})
                run.log("baseline", given_up=reason)
                return _without(plan, reason)
        facts.append(read_json(file))
        progress.advance()
    progress.finish()
    return plan, Baseline(tuple(facts))


def predict_baseline(
    run: RunFolder, trained: Trained, found: Baseline, store: Store, cohort: Cohort, y: Values, sides: list[Sides]
) -> Predicted | None:
    """Predict what the ensemble predicts, through ONNX Runtime, in the same reading of the test cases; None without it.

    Rows have the member ``classic``; ``raw_`` is the graph's probability, ``p_`` that after a calibration of its own.
    """
    if found.reason:
        return None
    plan = trained.plan
    predictor = Predictor(run, trained, store, cohort, y)
    frames: list[pd.DataFrame] = []
    by_fold: dict[int, Decision] = {}

    def read(fold: int, rows: Rows) -> Values:
        return run_graph(baseline_graph(run, fold), plan.target.task, store, rows, plan.threads)

    def keep(rows: Rows, raw: Values, decision: Decision, split: str, fold: int) -> None:
        frames.append(predictor.frame(rows, raw, decision, split, fold, CLASSIC))

    if plan.validation.scheme == "given":
        rows = sides[0].validate
        raw = read(-1, rows)
        shipped = predictor.decide(raw, rows, "val")
        keep(rows, raw, shipped, "val", -1)
    else:
        pooled = []
        for side in sides:
            inner = read(side.fold, side.validate)
            decision = by_fold[side.fold] = predictor.decide(inner, side.validate, "inner validation cases")
            raw = read(side.fold, side.held_out)
            keep(side.held_out, raw, decision, "oof", side.fold)
            pooled.append(raw)
        shipped = predictor.decide(np.concatenate(pooled), np.concatenate([side.held_out for side in sides]), "oof")
    rows = np.flatnonzero((cohort.table["split"] == "test").to_numpy()) if cohort.has_split else np.empty(0, np.int64)
    if len(rows):
        keep(rows, np.mean([read(side.fold, rows) for side in sides], axis=0), shipped, "test", -1)
    return Predicted(pd.concat(frames, ignore_index=True), shipped, by_fold)


def with_baseline(predicted: Predicted, classic: Predicted | None) -> Predicted:
    """Return the predictions of a run with the rows of the classic network."""
    if classic is None:
        return predicted
    table = pd.concat([predicted.table, classic.table], ignore_index=True)
    return Predicted(table, predicted.shipped, predicted.by_fold)


def baseline_json(
    found: Baseline,
    predicted: Predicted,
    classic: Predicted | None,
    question: Question,
    rule: str,
    *,
    seed: int,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Return ``baseline`` of the evidence.

    Parameters
    ----------
    found, classic
        What became of the network, and its predictions.
    predicted
        Of the ensemble.
    question, rule
        Target, and rule of the operating point.
    seed, resamples
        Of the bootstrap.

    Returns
    -------
    dict
        ``classic`` is ``{reason}`` where there is none. Else it has ``networks epochs seconds parameters``,
        ``operating_point`` as the evidence states one, and for each of :data:`semeion.study.beside.SHOWN` that counts
        ``metrics.<split>.<name>`` (with its interval) and ``difference.<split>.<name>``: the ensemble's figure less its
        own, with interval, ``better`` (``higher``, ``lower`` or None) and ``verdict``: ``ensemble`` or ``classic``
        where the interval excludes 0 in its favour, else ``none``, ``differs`` or ``unknown``, as
        :func:`semeion.evidence.pairs.compare.compare` has them. Of several labels these are means, and
        ``targets.<label>`` has its own, with its ``operating_point``.
    """
    if classic is None:
        return {"classic": {"reason": found.reason}}
    classes = list(question.classes)
    points = operating_points(classic, rule, question.task, classes)
    told: dict[str, Any] = {
        "networks": len(found.facts),
        "epochs": found.facts[0]["epochs"],
        "seconds": round(sum(one["seconds"] for one in found.facts), 1),
        "parameters": found.facts[0]["parameters"],
        "operating_point": point_json(points, classic.shipped.fitted_on, classic.shipped.n, question),
    }
    ensemble = predicted.table[predicted.table["member"] == ENSEMBLE]
    own_points = operating_points(predicted, rule, question.task, classes)
    compared = weigh_beside(
        ensemble,
        classic.table,
        question,
        own_points,
        points,
        title="the classic network",
        sides=SIDES,
        seed=seed,
        resamples=resamples,
    )
    for label in compared.get("targets", {}):
        own = (points or OperatingPoints()).of(label)
        compared["targets"][label]["operating_point"] = {**label_point(own), "rule": rule}
    return {"classic": {**told, **compared}}


def _without(plan: Plan, reason: str) -> tuple[Plan, Baseline]:
    plan = plan.model_copy(deep=True, update={"baseline": None})
    plan.budget.why["baseline"] = reason
    return plan, Baseline(reason=reason)


def _train_one(
    run: RunFolder,
    plan: Plan,
    store: Store,
    y: Values,
    side: Sides,
    file: Path,
    epochs: int,
    allowed: float | None,
    stop: Callable[[], bool],
) -> str:
    """Train, export and keep the network of one fold; return why it was given up, or nothing."""
    from semeion.learn.classic import classic_onnx, train_classic

    task, threads, seed = plan.target.task, plan.threads, member_seed(plan.seed, REPEAT, side.fold)
    learned = train_classic(
        store,
        y,
        side.learn,
        task,
        plan.target.classes,
        epochs=epochs,
        seed=seed,
        threads=threads,
        allowed=allowed,
        stop=stop,
    )
    if learned.network is None:
        return learned.reason
    graph = classic_onnx(learned.network, store.shape)
    difference = _agreement(plan, learned.network, graph, store, side)
    write_bytes(file.with_suffix(".onnx"), graph)
    facts = {"name": file.stem, "fold": side.fold, "seed": seed, **learned.facts, "graph_difference": difference}
    # Written last: a network with this file is finished, whatever happens after.
    write_json(file, facts)
    run.log("baseline", name=file.stem, seconds=facts["seconds"])
    return ""


def _agreement(plan: Plan, network: Classic, graph: bytes, store: Store, side: Sides) -> float:
    """Return the largest difference between network and graph on cases that it learned from.

    Raises
    ------
    TrainingFailed
        When it is larger than that of a member may be.
    """
    from semeion.learn.export import refuse_disagreement

    engine, task = open_engine(graph, plan.threads), plan.target.task
    sample = side.learn[np.linspace(0, len(side.learn) - 1, min(SAMPLE, len(side.learn))).astype(np.int64)]
    images = store.take(sample)
    return refuse_disagreement(network, lambda seen: from_logits(engine.run(seen), task), images, CLASSIC)
