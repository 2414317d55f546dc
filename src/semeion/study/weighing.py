"""Puts ``evidence.json`` together: figures, and everything that a reader needs beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.sets import SetsAsked
from semeion.evidence.weigh import weigh
from semeion.plan.fingerprint import known_counts, label_counts
from semeion.plan.schema import Plan
from semeion.study.adjusting import adjusted_figures
from semeion.study.auditing import columns_of, prediction_audits
from semeion.study.calibrating import calibrated_json, calibration_json
from semeion.study.learning import question_of
from semeion.study.predicting import Predicted, operating_points
from semeion.study.set_words import sets_asked
from semeion.study.statements import EFFECT, NO_PATIENTS, made, strata_of

LEFT_OUT = (
    "Each value of {by} was held out of learning, early stopping, calibration and operating point; image size, "
    "intensity range, cleaning and class weights were planned once, with its cases too. Intervals speak of more "
    "patients like these, not of how much yet another value of {by} would differ: the figures of each show how far "
    "they lie apart."
)


@dataclass(frozen=True)
class Audited:
    """What ``audits.json`` of a run says.

    Attributes
    ----------
    audits
        Each audit as JSON, by name.
    accepted
        Void ones that the user accepted.
    affected
        The cases with figures that each void audit concerns.
    late
        Those that became void when all was learned, so that nobody could accept them.
    """

    audits: dict[str, dict[str, Any]]
    accepted: list[str]
    affected: dict[str, list[str]]
    late: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """What the evidence needs to know of a plan, whatever its kind.

    Attributes
    ----------
    question
        The target.
    rule
        Of the operating point.
    seed
        Of the bootstrap.
    given_split
        Whether the table's own val cases chose.
    by
        Column whose values were held out one after another, and each has figures of its own.
    sets
        Which sets of classes are made; None: none.
    """

    question: Question
    rule: str
    seed: int
    given_split: bool
    by: str | None = None
    sets: SetsAsked | None = None


def asked_of(plan: Plan) -> Asked:
    """Return what a plan of networks asks."""
    how = plan.validation
    sets = sets_asked(plan.sets, plan.validation, plan.target.task)
    return Asked(question_of(plan), plan.operating_point.rule, plan.seed, how.scheme == "given", how.by, sets)


def run_evidence(
    asked: Asked,
    members: list[dict[str, Any]],
    predicted: Predicted,
    cohort: Cohort,
    audited: Audited,
    *,
    readings: int | None = None,
    embedding: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Return ``evidence.json`` of a run, but for its cost, which is known last.

    Parameters
    ----------
    asked, members, predicted, cohort
        What was asked, what is said of each member, what was predicted, and of whom.
    audited
        Verdicts, and what the user accepted.
    readings
        How often the test cases of this run were read, this time included.
    embedding
        What images look like, for the audit of hidden strata.
    """
    question, seed = asked.question, asked.seed
    points = operating_points(predicted, asked.rule, question.task, list(question.classes))
    weighed = weigh(
        predicted.table, question, points=points, seed=seed, strata=strata_of(cohort, asked.by), sets=asked.sets
    )
    without = None
    spoiled = {case for name in (*audited.accepted, *audited.late) for case in audited.affected.get(name, ())}
    if spoiled:
        kept = predicted.table[~predicted.table["case_id"].isin(spoiled)]
        without = {
            "cases_left_out": len(spoiled),
            "metrics": weigh(kept, question, points=points, seed=seed)["metrics"] if len(kept) else {},
        }
    adjusted = adjusted_figures(predicted.table, question, points, seed=seed)
    audits = prediction_audits(
        predicted.table,
        question,
        points,
        weighed,
        columns_of(cohort),
        tuple(cohort.covariates),
        embedding=embedding,
        readings=readings,
        seed=seed,
    )
    notes = [*cohort.notes, *weighed.pop("notes")]
    if not cohort.has_patients:
        notes.append(NO_PATIENTS)
    notes += [f"Calibration and operating point: {text}." for text in predicted.shipped.remarks]
    for fold, decision in predicted.by_fold.items():
        notes += [f"Calibration and operating point of fold {fold}: {text}." for text in decision.remarks]
    chosen_on = predicted.shipped.fitted_on
    if chosen_on == "oof":
        notes.append(
            "Out-of-fold figures use each fold's own calibration and operating point and describe the procedure; the "
            "shipped ones are refitted on all out-of-fold predictions."
        )
    if asked.by is not None:
        notes.append(LEFT_OUT.format(by=asked.by))
    return {
        **made(),
        "target": question.target,
        "task": question.task,
        "positive": question.positive,
        "classes": list(question.classes),
        "why": cohort.target.why,
        "source": cohort.source,
        "synthetic": cohort.synthetic,
        "has_patients": cohort.has_patients,
        "operating_point": point_json(points, chosen_on, predicted.shipped.n, question),
        "calibration": calibration_json(predicted, question, seed=seed),
        "calibrated": calibrated_json(predicted, question, seed=seed),
        **weighed,
        "splits": {**training_counts(cohort), **weighed["splits"]},
        **({} if adjusted is None else {"adjusted": adjusted}),
        "flow": [vars(step) for step in cohort.flow],
        "audits": {**audited.audits, **audits},
        "accepted": audited.accepted,
        "without_accepted": without,
        "members": members,
        "notes": notes,
        "not_validated": not_validated(cohort, given_split=asked.given_split),
    }


def training_counts(cohort: Cohort) -> dict[str, Any]:
    """Return the counts of the split ``train``: no figure speaks of it, but a reader asks. Empty without a split."""
    if not cohort.has_split:
        return {}
    chosen = (cohort.table["split"] == "train").to_numpy()
    table, task = cohort.table[chosen], cohort.target.task
    counts = label_counts(cohort, chosen)
    if task == "multilabel":
        known = known_counts(cohort, chosen)
        counts = {name: {"absent": known[name] - count, "present": count} for name, count in counts.items()}
    return {
        "train": {
            "n": len(table),
            "n_patients": int(table["patient_id"].nunique()),
            "class_counts": {} if task == "regression" else counts,
        }
    }


def point_json(points: OperatingPoints | None, chosen_on: str, n: int, question: Question) -> dict[str, Any] | None:
    """Return the operating point as the evidence states it."""
    if question.task == "regression":
        return None
    if points is None:
        return {"rule": "argmax"}
    common = {
        "rule": points.rule if not points.by_target else next(iter(points.by_target.values())).rule,
        "chosen_on": chosen_on,
        "n": n,
    }
    if points.by_target:
        return {**common, "by_target": {name: point.shipped for name, point in points.by_target.items()}}
    return {**common, "value": points.shipped, "by_fold": {str(fold): value for fold, value in points.by_fold.items()}}


def not_validated(cohort: Cohort, *, given_split: bool) -> list[str]:
    """Return what no figure of this run speaks for."""
    sentences = []
    sites = cohort.table["site"].dropna().nunique()
    if sites <= 1:
        sentences.append("Images from another site, scanner or protocol: none were seen (use `semeion evaluate`).")
    if given_split and not (cohort.table["split"] == "test").any():
        sentences.append("New cases: there is no test split, and validation figures are optimistic.")
    sentences.append("Patients unlike those of the cohort in age, sex, ethnicity, disease stage or prevalence.")
    return [*sentences, EFFECT]
