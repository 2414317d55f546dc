"""Networks that see the images themselves, beside a diagnosis from measurements, on the same folds.

For held-out fold k the image networks learn from the other folds; an inner part of those, by patient, says when to
stop, and calibrates. Nothing else learns from what they say, so one fold is left out at a time and not two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.errors import InputError, Interrupted
from semeion.plan.crossfit import CrossFit, fold_sides
from semeion.plan.fingerprint import fingerprint
from semeion.plan.measure_rules import IMAGE_SHARE, plan_image_validation
from semeion.plan.measure_schema import MeasuredPlan
from semeion.plan.rules import Wishes, make_plan
from semeion.plan.schema import Plan
from semeion.plan.segment_rules import DEFAULT_BUDGET
from semeion.progress import Progress
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.inspect import labels
from semeion.study.learning import Trained, train_members
from semeion.study.measuring import divided
from semeion.study.options import RunOptions
from semeion.study.planning import machine_of, reading_seconds
from semeion.study.predicting import Decision, Predictor
from semeion.study.preparing import prepared_cases

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
FOLDER = "images"
"""Of the run: store, members and log of these networks."""


@dataclass(frozen=True)
class Seen:
    """What the image networks say of every case.

    Attributes
    ----------
    trained
        The networks as they became.
    raw
        ``(cases, classes)`` before calibration: of a held-out case by the networks of its fold, of a test case by all.
    by_fold
        Calibration and operating point of each fold, from its inner validation cases.
    shipped
        The same from all held-out cases: for test cases and in use.
    inner
        By fold: the inner validation cases and what the fold's networks say of them.
    """

    trained: Trained
    raw: Floats
    by_fold: dict[int, Decision]
    shipped: Decision
    inner: dict[int, tuple[Rows, Floats]]

    def decision(self, fold: int) -> Decision:
        """Return the decision of a fold; of -1, test cases, that which ships."""
        return self.by_fold[fold] if fold >= 0 else self.shipped


def image_seconds(options: RunOptions) -> float:
    """Return the seconds of a run that are for image networks."""
    return IMAGE_SHARE * (options.budget or DEFAULT_BUDGET)


def plan_image_networks(
    cohort: Cohort, facts: pd.DataFrame, options: RunOptions, progress: Progress, machine_file: Path | None = None
) -> Plan:
    """Measure the machine and plan the networks for their share of the budget. Test cases shape nothing.

    Raises
    ------
    InputError
        When the share does not last for one epoch of the smallest network.
    """
    learned = ~(cohort.table["split"] == "test").to_numpy(dtype=bool)
    table = cohort.table[learned].reset_index(drop=True)
    table["split"] = pd.Series(pd.NA, index=table.index, dtype="str")
    own = replace(cohort, table=table)
    known = fingerprint(own, facts[learned].reset_index(drop=True))
    seconds = image_seconds(options)
    machine = machine_of(known, machine_file, min(40.0, max(8.0, 0.06 * seconds)), progress)
    wishes = Wishes(
        budget=seconds,
        still_to_prepare=reading_seconds(cohort, options.jobs),
        seed=options.seed,
        operating_point=options.operating_point,
        classic=False,
        search=False,
    )
    try:
        return make_plan(known, machine, wishes, plan_image_validation())
    except InputError as error:
        if error.where != "--budget":
            raise
        raise InputError(
            f"the image networks have {IMAGE_SHARE:.0%} of the budget: {error.what}",
            where="--budget",
            fix=f"{error.fix} for that part and {1 / IMAGE_SHARE:.0f} times as much for the run, or leave "
            "--with-images out",
        ) from error


def look(
    run: RunFolder,
    plan: MeasuredPlan,
    cohort: Cohort,
    facts: pd.DataFrame,
    groups: Rows,
    fit: CrossFit,
    options: RunOptions,
    clock: Clock,
    progress: Progress,
    stop: Callable[[], bool],
) -> Seen | None:
    """Prepare the images, train the networks and let them say what they see; None where the plan has none.

    Parameters
    ----------
    run, plan
        Of the diagnosis; the networks live in ``images/``.
    cohort, facts, groups
        The cases, their scan, and the number of each one's patient.
    fit
        Who is in which fold.
    options, clock, progress, stop
        As on every road.

    Raises
    ------
    Interrupted
        When the user stopped it; resumable.
    """
    if plan.images is None:
        return None
    own, folder = plan.images.networks, RunFolder(run / FOLDER)
    y, (_, stratum) = labels(cohort), divided(cohort)
    sides = fold_sides(fit, stratum, groups, inner_share=own.validation.inner_share, seed=own.seed)
    store = prepared_cases(folder, cohort, facts, own, options, progress)
    trained = train_members(
        *(folder, own, store, y, groups, sides, clock, progress, stop), jobs=options.jobs, cluster=options.cluster
    )
    if stop():
        raise Interrupted("stopped by the user")
    predictor = Predictor(folder, trained, store, cohort, y)
    raw = np.full((len(y), len(plan.target.classes)), np.nan)
    by_fold: dict[int, Decision] = {}
    inner: dict[int, tuple[Rows, Floats]] = {}
    for side in sides:
        members = [member for member in trained.plan.members if member.fold == side.fold]
        said = predictor.combined({member.name: trained.validation[member.name] for member in members})
        inner[side.fold] = side.validate, said
        by_fold[side.fold] = predictor.decide(said, side.validate, "inner validation cases")
        raw[side.held_out] = predictor.combined(predictor.outputs(members, side.held_out))
    pool = np.flatnonzero(fit.fold >= 0)
    shipped = predictor.decide(raw[pool], pool, "oof")
    test = np.flatnonzero(fit.fold < 0)
    if len(test):
        raw[test] = predictor.combined(predictor.outputs(trained.plan.members, test))
    return Seen(trained, raw, by_fold, shipped, inner)
