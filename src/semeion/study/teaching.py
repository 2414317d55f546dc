"""Weights of cases and votes of raters: which are accepted, what a plan and a table agree in, what members learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.audit.raters import class_readings
from semeion.cohort.cohort import Cohort, read_cohort
from semeion.errors import InputError
from semeion.plan.schema import Plan, TeachingPlan
from semeion.plan.teaching import Teaching
from semeion.study.options import RunOptions

Floats = npt.NDArray[np.float64]
MOST = 20
"""Votes that a refusal lists."""
WEIGHTED = (
    "Members learn with cases weighed by {column!r} ({low:.3g} to {high:.3g}), which leaves them as much as "
    "{effective:.0f} of {n} equal cases. Early stopping, calibration, operating point and every figure count each case "
    "once."
)
VOTED = (
    "Members are taught the shares of the votes of {raters}, which differ in {divided} of {n} cases, and what "
    "{target!r} says of the {without} cases that nobody voted on. None is left out; early stopping, calibration, "
    "operating point and every figure go by {target!r} alone."
)


def refuse_teaching(cohort: Cohort) -> None:
    """Refuse weights and votes where nothing learns from them, and votes that cannot be understood.

    Raises
    ------
    InputError
        Saying which, of which cases, and what to do.
    """
    given = [(option, bool(value)) for option, value in (("--weight", cohort.weight), ("--raters", cohort.raters))]
    for option, there in given:
        if there and (cohort.target.task == "segmentation" or cohort.structures):
            what = "masks are" if cohort.target.task == "segmentation" else "a diagnosis from measurements is"
            raise InputError(f"{what} not learned with {option[2:]}", where=option, fix=f"leave {option} out")
    if not cohort.raters:
        return
    if cohort.target.task in ("regression", "multilabel"):
        kind = "a measured value" if cohort.target.task == "regression" else "several labels"
        raise InputError(
            f"shares of votes are of classes, and {cohort.target.name!r} is {kind}",
            where="--raters",
            fix="leave --raters out; the audit of raters looks at such columns all the same",
        )
    if len(cohort.raters) < 2:
        raise InputError("one rater has no shares of votes", where="--raters", fix="name two columns or more")
    said = class_readings(cohort, cohort.raters)
    cases, columns = np.nonzero(np.nan_to_num(said) >= len(cohort.target.classes))
    if len(cases):
        ids = cohort.table["case_id"].astype(str).to_numpy()
        details = [
            f"case {ids[case]}: {cohort.raters[column]} says {cohort.table[cohort.raters[column]].iloc[case]!r}"
            for case, column in list(zip(cases, columns, strict=True))[:MOST]
        ]
        raise InputError(
            f"{len(cases)} votes are for none of {', '.join(map(repr, cohort.target.classes))}",
            where="--raters",
            fix="correct them, or leave such cells empty: a case has the shares of the votes that it has",
            details=details,
        )


def refused_teaching(cohort: Cohort) -> list[str]:
    """Return why training would refuse weights or votes of a cohort, as sentences for ``semeion check``."""
    try:
        refuse_teaching(cohort)
    except InputError as error:
        more = f": {'; '.join(error.details)}" if error.details else ""
        return [f"Training would refuse {error.where}: {error.what}{more}."]
    return []


def refuse_unused(cohort: Cohort, what: str) -> None:
    """Refuse weights and votes where no member learns with them: `what` does not.

    Raises
    ------
    InputError
        Saying what to leave out.
    """
    for option, value in (("--weight", cohort.weight), ("--raters", cohort.raters)):
        if value:
            raise InputError(f"{what} does not learn with them", where=option, fix=f"leave {option} out")


def vote_shares(cohort: Cohort) -> Floats:
    """Return the share of votes that each class has of each case, ``(cases, classes)``; without a vote its class."""
    k = len(cohort.target.classes)
    said = class_readings(cohort, cohort.raters)
    counts = (said[:, :, None] == np.arange(k)).sum(axis=1).astype(np.float64)
    votes = counts.sum(axis=1, keepdims=True)
    own = np.eye(k)[cohort.table["y"].to_numpy(dtype=np.int64)]
    return np.asarray(np.where(votes > 0, counts / np.maximum(votes, 1), own), dtype=np.float64)


def with_teaching(plan: Plan, cohort: Cohort) -> Plan:
    """Return a plan whose members learn with the weights and votes that a cohort brings; itself where it has none."""
    if cohort.weight is None and not cohort.raters:
        return plan
    why = {}
    if cohort.weight is not None:
        why["weight"] = "named with --weight; figures, calibration and operating point count every case once"
    if cohort.raters:
        why["raters"] = "named with --raters; the target is what figures, calibration and operating point go by"
    taught = TeachingPlan(weight=cohort.weight, raters=list(cohort.raters), why=why)
    return plan.model_copy(update={"teaching": taught})


def as_planned(options: RunOptions, plan: Plan) -> RunOptions:
    """Return options that name the weights and raters of a given plan, where the user named none."""
    cohort, taught = options.cohort, plan.teaching
    if taught is None or cohort.weight is not None or cohort.raters:
        return options
    return replace(options, cohort=replace(cohort, weight=taught.weight, raters=tuple(taught.raters)))


def refuse_other_teaching(plan: Plan, cohort: Cohort, where: Path) -> None:
    """Refuse a plan whose members learn with other weights or raters than were named.

    Raises
    ------
    InputError
        Naming both.
    """
    taught = plan.teaching or TeachingPlan()
    for option, planned, found in (
        ("--weight", taught.weight or "none", cohort.weight or "none"),
        ("--raters", ", ".join(taught.raters) or "none", ", ".join(cohort.raters) or "none"),
    ):
        if planned != found:
            raise InputError(
                f"the plan has {option} {planned}, and {found} was given",
                where=str(where),
                fix=f"leave {option} out to take the plan's, or plan again with it",
            )


def read_teaching(run: Path, plan: Plan) -> Teaching | None:
    """Return what the members of a run are taught; None where every case counts once and has its class."""
    if plan.teaching is None:
        return None
    cohort = read_cohort(run / "cohort.parquet")
    return Teaching(_weights(cohort), vote_shares(cohort) if cohort.raters else None)


def _weights(cohort: Cohort) -> Floats:
    if cohort.weight is None:
        return np.ones(len(cohort.table))
    return cohort.table[cohort.weight].to_numpy(dtype=np.float64)


def teaching_notes(cohort: Cohort, learned: npt.NDArray[np.int64]) -> list[str]:
    """Return sentences on weights and votes for the reader, of the cases that members learned from.

    The number of equal cases is ``sum(w)^2 / sum(w^2)`` (Kish, Survey Sampling, 1965, section 11.7).
    """
    notes = []
    if cohort.weight is not None:
        w = _weights(cohort)[learned]
        facts: dict[str, Any] = {"low": w.min(), "high": w.max(), "n": len(w)}
        facts["effective"] = w.sum() ** 2 / (w**2).sum()
        notes.append(WEIGHTED.format(column=cohort.weight, **facts))
    if cohort.raters:
        shares, said = vote_shares(cohort)[learned], class_readings(cohort, cohort.raters)[learned]
        notes.append(
            VOTED.format(
                raters=", ".join(cohort.raters),
                divided=int((shares.max(axis=1) < 1).sum()),
                without=int(np.isnan(said).all(axis=1).sum()),
                n=len(shares),
                target=cohort.target.name,
            )
        )
    return notes
