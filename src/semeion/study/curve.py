"""``semeion curve``: how much better with more patients, and how many cases a wanted interval would need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion import __version__
from semeion.audit.groups import duplicate_groups
from semeion.cohort.several import refuse_several
from semeion.errors import InputError, nearest
from semeion.evidence.growth.account import (
    beyond_json,
    gain_json,
    law_json,
    points_json,
    refuse_width,
    wanted_json,
)
from semeion.evidence.growth.figure import LOWER, METRICS, Scored, metric_of
from semeion.evidence.growth.measure import LEAST_DRAWS, MOST_DRAWS, read_sizes, scored_cases, weigh_points
from semeion.evidence.growth.power_law import fit_points
from semeion.evidence.growth.subsets import Pool, Side, pool_of, sizes_of
from semeion.evidence.question import Question
from semeion.plan.splits import Index, grouped_folds, strata
from semeion.progress import Progress
from semeion.provenance import code_hash
from semeion.report.curve_page import write_curve
from semeion.study.clock import Clock
from semeion.study.curve_learning import BUDGET, Learner, quick_learner
from semeion.study.curve_whole import FOLDER, FULL_BUDGET, refuse_other, trainings_of, whole_learner
from semeion.study.folder import refuse_taken
from semeion.study.inspect import Inspected, inspect, labels, refuse_bad_images, refuse_void
from semeion.study.options import RunOptions
from semeion.study.planning import refuse_no_training
from semeion.study.statements import NO_PATIENTS, SCHEMA
from semeion.study.teaching import refuse_unused

_FOLDS = 5
_FEWEST_FOLDS = 3
_FOR_WEIGHING = 0.2
"""Share of the budget that is kept to weigh what was learned."""

MakeLearner = Callable[[Inspected, npt.NDArray[np.float64], Index, RunOptions, Progress], Learner]
"""Cases, reference standard, groups, options, and the bar."""


@dataclass(frozen=True)
class Arranged:
    """Who is drawn from and who is scored.

    Attributes
    ----------
    sides
        One a fold; of a given split one.
    y, groups, stratum
        Of every row of the cohort: reference standard, patient (and copies), what is spread evenly.
    scheme
        ``given`` or ``folds``.
    """

    sides: list[Side]
    y: npt.NDArray[np.float64]
    groups: Index
    stratum: Index
    scheme: str


def curve_source(
    source: Path,
    options: RunOptions,
    output: Path,
    progress: Progress,
    *,
    metric: str | None = None,
    width: float | None = None,
    started: float | None = None,
    make: MakeLearner = quick_learner,
    full: bool = False,
) -> dict[str, Any]:
    """Draw a learning curve and write ``curve.json`` and ``curve.html``.

    Parameters
    ----------
    source, options
        The cohort, and what is asked of it.
    output
        A new or empty folder.
    progress
        For the bar.
    metric
        The figure; by default AUROC, of grades the quadratic kappa, of values the mean absolute error.
    width
        Of an interval, whose cases are reckoned.
    started
        :func:`time.monotonic` at which the budget began; now when None.
    make
        Makes what learns.
    full
        Whether all that ``semeion train`` plans is learned for every set of patients, in place of what `make` makes:
        slow, and gone on with where it was when the same is asked again.

    Returns
    -------
    dict
        The content of ``curve.json``.

    Raises
    ------
    InputError
        When the cohort or an option is refused; nothing is written.
    """
    if full:
        refuse_other(output, refuse_taken)
    else:
        refuse_taken(output)
    if full or make is quick_learner:
        refuse_no_training()
    refuse_no_width(width)
    refuse_no_figure(metric)
    clock = Clock(options.budget or (FULL_BUDGET if full else BUDGET), started=started)
    refuse_several(source, options.cohort, "a learning curve")
    seen = inspect(source, options, progress, without_test=True)
    refuse_bad_images(seen, skip_bad=options.skip_bad)
    accepted = refuse_void(seen.audits, options.accept)
    target = seen.cohort.target
    _refuse_kinds(seen)
    figure = metric_of(target.task, metric)
    refuse_width(width, figure)
    arranged = arrange(seen, options.seed)
    question = Question(target.name, target.task, target.classes, target.positive)
    trainings = None
    if full:
        pools = _pools(arranged, question)
        sizes = sizes_of(pools)
        larger = sum(len(pool) > sizes[-1] for pool in pools)
        trainings = trainings_of(len(sizes), len(pools), float(clock.budget or FULL_BUDGET), larger)

    def learner() -> Learner:
        if trainings is None:
            return make(seen, arranged.y, arranged.groups, options, progress)
        return whole_learner(seen, arranged.groups, options, output / FOLDER, trainings, progress)

    curve = measure_curve(
        arranged,
        question,
        figure,
        learner,
        clock,
        progress,
        width=width,
        seed=options.seed,
        jobs=options.jobs,
        draws=LEAST_DRAWS if full else MOST_DRAWS,
    )
    notes = [*curve.pop("notes"), *(f"Accepted although void: {name}." for name in accepted)]
    if not seen.cohort.has_patients:
        notes.append(NO_PATIENTS)
    put_aside = [step for step in seen.cohort.flow if step.step == "no test cases"]
    before = {"test_cases_put_aside": _put_aside(seen) if put_aside else 0}
    content = {
        "schema": SCHEMA,
        "semeion": __version__,
        "code": code_hash(),
        "created": datetime.now(UTC).date().isoformat(),
        "source": seen.cohort.source,
        "synthetic": seen.cohort.synthetic,
        "target": target.name,
        "task": target.task,
        "classes": list(target.classes),
        "positive": target.positive,
        "has_patients": seen.cohort.has_patients,
        "seed": options.seed,
        "accepted": list(accepted),
        **before,
        **curve,
        **({} if trainings is None else {"trainings": trainings.to_json()}),
        "budget": {"asked_seconds": clock.budget, "used_seconds": round(clock.used(), 1)},
        "notes": notes,
    }
    write_curve(output, content)
    return content


def measure_curve(
    arranged: Arranged,
    question: Question,
    metric: str,
    learner: Callable[[], Learner],
    clock: Clock,
    progress: Progress,
    *,
    width: float | None = None,
    seed: int = 0,
    jobs: int | None = None,
    draws: int = MOST_DRAWS,
) -> dict[str, Any]:
    """Return the account of a curve: all of ``curve.json`` that hangs on what was learned.

    Parameters
    ----------
    arranged
        Who is drawn from and who is scored.
    question, metric
        What was asked, and the figure.
    learner
        Called once, after whatever can be refused was refused.
    clock
        Draws are made while a share of its budget is left, at least three.
    progress, width, seed, jobs, draws
        The bar, a wanted interval, the one seed, threads of the bootstrap, and most draws.

    Raises
    ------
    InputError
        When the patients do not suffice for three sizes, or the figure is undefined on the scored cases.
    """
    pools = _pools(arranged, question)
    sizes = sizes_of(pools)
    scored = scored_cases(arranged.sides, arranged.y, arranged.groups)
    _refuse_one_class(scored, question)
    chosen = learner()
    began = clock.used()

    def go_on(_made: int, share: float) -> bool:
        spent = clock.used() - began
        left = clock.left()
        return left is None or spent * share < left - _FOR_WEIGHING * float(clock.budget or 0.0)

    progress.start("learning", len(sizes) * len(arranged.sides) * draws)
    readings = read_sizes(
        arranged.sides,
        pools,
        arranged.groups,
        sizes,
        chosen.learn,
        seed=seed,
        draws=draws,
        go_on=go_on,
        tell=lambda _done, _all: progress.advance(),
    )
    progress.finish()
    points = weigh_points(readings, scored, question, metric, pool=sizes[-1], seed=seed, jobs=jobs)
    fitted = fit_points(points, metric)
    notes = list(chosen.notes)
    if readings.draws < draws:
        notes.append(f"{readings.draws} draws a size fitted into the budget, of {draws} at most.")
    if clock.left() == 0.0:
        notes.append(f"{LEAST_DRAWS} draws a size, the fewest there are, took longer than the budget.")
    prior = None
    if question.task == "binary":
        rows = np.concatenate([side.learn for side in arranged.sides])
        prior = float((arranged.y[rows] == question.positive_index).mean())
    return {
        "metric": metric,
        "better": "lower" if metric in LOWER else "higher",
        "learner": {"name": chosen.name, "words": chosen.words},
        "scored": {
            "scheme": arranged.scheme,
            "folds": len(arranged.sides) if arranged.scheme == "folds" else 0,
            "n": len(scored),
            "n_patients": scored.n_patients,
            "of_class": _of_class(scored, question),
        },
        "draws": readings.draws,
        "resamples": len(points.drawn),
        "points": points_json(readings, points, metric),
        "gained": gain_json(readings, points),
        "law": law_json(fitted, sizes),
        "beyond": beyond_json(fitted, sizes),
        "wanted": wanted_json(readings.outputs[-1][0], points, scored, question, metric, width, prior=prior),
        "notes": notes,
    }


def _pools(arranged: Arranged, question: Question) -> list[Pool]:
    """Return who can be drawn from, one a side."""
    classes = _classes(arranged.y, question)
    return [pool_of(side.learn, arranged.groups, arranged.stratum, classes) for side in arranged.sides]


def arrange(seen: Inspected, seed: int) -> Arranged:
    """Decide who is drawn from and who is scored: of a given split train and val, else grouped stratified folds.

    Raises
    ------
    InputError
        When the folds cannot be stratified, or nobody is left to score.
    """
    cohort = seen.cohort
    y = labels(cohort)
    groups = pd.factorize(duplicate_groups(cohort, seen.facts))[0].astype(np.int64)
    stratum = strata(y, cohort.target.task)
    split = cohort.table["split"].to_numpy(dtype=object)
    if cohort.has_split and (split == "val").any():
        score = np.flatnonzero(split == "val").astype(np.int64)
        learn = np.flatnonzero((split == "train") & ~np.isin(groups, groups[score])).astype(np.int64)
        return Arranged([Side(learn, score)], y, groups, stratum, "given")
    rows = np.arange(len(groups), dtype=np.int64)
    folds = _fold_count(stratum, groups, cohort.target.task, cohort.target.classes)
    fold = grouped_folds(stratum, groups, folds, seed)
    sides = [Side(rows[fold != number], rows[fold == number]) for number in range(folds)]
    if cohort.target.task in ("binary", "multiclass", "ordinal"):
        for number, side in enumerate(sides):
            missing = sorted(set(np.unique(stratum)) - set(np.unique(stratum[side.score])))
            if missing:
                raise InputError(
                    f"fold {number + 1} of {folds} has no case of class {cohort.target.classes[missing[0]]!r}: the "
                    "folds cannot be stratified",
                    where=cohort.source,
                    fix="bring more patients of it, or give a split column with train and val",
                )
    return Arranged(sides, y, groups, stratum, "folds")


def refuse_no_width(width: float | None) -> None:
    """Refuse a width that is not above 0, before anything is read.

    Raises
    ------
    InputError
        Saying what to give.
    """
    if width is not None and not 0 < width < float("inf"):
        raise InputError(f"{width:g} is no width", where="--want-width", fix="give the whole width, for example 0.1")


def refuse_no_figure(metric: str | None) -> None:
    """Refuse a figure that is one of no task, before anything is read.

    Raises
    ------
    InputError
        Naming those that there are.
    """
    known = list(dict.fromkeys(name for names in METRICS.values() for name in names))
    if metric is not None and metric not in known:
        raise InputError(
            f"{metric!r} is no figure of a curve{nearest(metric, known)}",
            where="--metric",
            fix=f"use one of {', '.join(known)}, as the task has it",
        )


def _fold_count(stratum: Index, groups: Index, task: str, classes: tuple[str, ...]) -> int:
    """Return five folds, fewer where a class has fewer patients, and refuse fewer than three."""
    if task not in ("binary", "multiclass", "ordinal"):
        return _FOLDS
    patients = {int(one): len(np.unique(groups[stratum == one])) for one in np.unique(stratum)}
    rarest = min(patients, key=lambda one: patients[one])
    if patients[rarest] < _FEWEST_FOLDS:
        raise InputError(
            f"class {classes[rarest]!r} has {patients[rarest]} patients, and folds of which each has one need at least "
            f"{_FEWEST_FOLDS}",
            where="the cohort",
            fix="bring more patients of it, leave it out, or give a split column with train and val",
        )
    return max(_FEWEST_FOLDS, min(_FOLDS, patients[rarest]))


def _refuse_kinds(seen: Inspected) -> None:
    """Refuse what the curve cannot learn from, rather than leave it out without a word."""
    cohort = seen.cohort
    if cohort.target.task == "segmentation":
        raise InputError("there is no learning curve of outlines", where="--target", fix="give a column to diagnose")
    if cohort.structures:
        raise InputError(
            "there is no learning curve of a diagnosis from measurements", where="--structures", fix="leave it out"
        )
    if cohort.covariates:
        raise InputError(
            "a learning curve is of images alone, and covariates were named", where="--covariates", fix="leave it out"
        )
    refuse_unused(cohort, "a learning curve")


def _refuse_one_class(scored: Scored, question: Question) -> None:
    if question.task in ("binary", "multiclass", "ordinal") and len(np.unique(scored.y)) < 2:
        name = question.classes[int(scored.y[0])]
        raise InputError(
            f"every case that would be scored is {name!r}",
            where="split val",
            fix="put cases of the other class among the validation cases, or ignore the split with --no-split",
        )


def _classes(y: npt.NDArray[np.float64], question: Question) -> npt.NDArray[np.bool_] | None:
    """Return whether each row has each class or label, ``(rows, classes)``; None of a measured value."""
    if question.task == "regression":
        return None
    return np.asarray(y == 1 if question.task == "multilabel" else y[:, None] == np.arange(len(question.classes)))


def _of_class(scored: Scored, question: Question) -> dict[str, int]:
    if question.task == "multilabel":
        return {name: int((scored.y[:, k] == 1).sum()) for k, name in enumerate(question.classes)}
    return {name: int((scored.y == k).sum()) for k, name in enumerate(question.classes)}


def _put_aside(seen: Inspected) -> int:
    flow = seen.cohort.flow
    place = next(k for k, step in enumerate(flow) if step.step == "no test cases")
    return flow[place - 1].n_cases - flow[place].n_cases
