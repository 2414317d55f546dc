"""What an external validation says beyond its figures: whether it is one, who was read, what was lost, what would mend.

Nothing here changes a probability or an operating point of the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semeion.audit.judged import judge
from semeion.audit.prevalence import NAME as PREVALENCE
from semeion.audit.prevalence import prevalence_shift
from semeion.cohort.cohort import Cohort
from semeion.errors import InputError
from semeion.evidence.external.drop import drop_of, stated_drop
from semeion.evidence.external.recalibrate import weigh_recalibration
from semeion.evidence.pairs.pairing import Side
from semeion.evidence.question import Question
from semeion.evidence.table import split_cases, validate_predictions
from semeion.evidence.use.operating import OperatingPoints
from semeion.model.manifest import Manifest
from semeion.study.adjusting import adjusted_by_labels, adjusted_figures
from semeion.study.mix import mix_json
from semeion.study.origin import HONEST, Origin
from semeion.study.outside import outside_json

SPLIT = "external"
SAME_CASES = "{} of these images are among those of the run, so there are no two sets of patients to be compared"
NO_RUN = "the run that made the model was not given (--run), and the model folder does not state this figure"


def elsewhere_json(
    cohort: Cohort,
    facts: pd.DataFrame,
    predictions: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    weighed: dict[str, Any],
    manifest: Manifest,
    origin: Origin | None,
    *,
    seed: int = 0,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Return the keys of the evidence that only an external validation has.

    Parameters
    ----------
    cohort, facts
        The cases, and their scan.
    predictions, question, points, weighed
        What the model said of them, asked what, called how, and the figures.
    manifest
        Of the model.
    origin
        The run that made the model, where it was given.
    seed, jobs
        Of the bootstrap.

    Returns
    -------
    dict
        ``external``, ``case_mix``, ``drop``, ``recalibration`` and, where the class balance differs, ``adjusted``.
    """
    external = outside_json(cohort, facts, origin)
    found: dict[str, Any] = {"external": external, "case_mix": mix_json(cohort, facts, origin, manifest)}
    if shared := external["checked"]["images"]:
        found["drop"] = {"source": None, "split": None, "targets": {}, "reason": SAME_CASES.format(shared)}
    else:
        found["drop"] = drop_json(predictions, question, points, weighed, manifest, origin, seed=seed, jobs=jobs)
    if question.task != "regression":
        found["recalibration"] = recalibration_json(predictions, question, seed=seed, jobs=jobs)
    if adjusted := adjusted_json(predictions, question, points, origin, seed=seed):
        found["adjusted"] = adjusted
    return found


def drop_json(
    predictions: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    weighed: dict[str, Any],
    manifest: Manifest,
    origin: Origin | None,
    *,
    seed: int = 0,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Return ``drop`` of the evidence: external less internal figures.

    From the run's predictions where it was given, else from the figures that the model folder states; ``source`` says
    which, ``split`` of which of the model's own cases, ``targets.<target>`` holds the figures, and ``reason`` why there
    are none.
    """
    none: dict[str, Any] = {"source": None, "split": None, "targets": {}}
    if origin is not None:
        inside = origin.side
        if inside is None:
            reason = "the run has no held-out case: its validation figures are optimistic, and nothing is compared"
            return {**none, "reason": reason}
        outside = Side("the external cases", predictions, question, points, SPLIT)
        try:
            targets = drop_of(inside, outside, seed=seed, jobs=jobs)
        except InputError as error:
            return {**none, "reason": error.what}
        return {"source": "run", "split": inside.split, "targets": targets}
    split = next((name for name in HONEST if name in manifest.evidence), None)
    if split is None:
        return {**none, "reason": "the model folder states no figure of held-out cases; give its run with --run"}
    stated = {name: figure.model_dump() for name, figure in manifest.evidence[split].items()}
    here = weighed["metrics"].get(SPLIT, {})
    figures = stated_drop(stated, here, question.task)
    # Of several labels the model folder states the mean over labels alone.
    target = question.target
    told: dict[str, Any] = {"source": "model", "split": split, "targets": {target: figures} if figures else {}}
    if not figures:
        told["reason"] = NO_RUN
    return told


def recalibration_json(
    predictions: pd.DataFrame, question: Question, *, seed: int = 0, jobs: int | None = None
) -> dict[str, Any]:
    """Return ``recalibration`` of the evidence, by target: see
    :func:`semeion.evidence.external.recalibrate.weigh_recalibration`.
    """
    table = validate_predictions(predictions, question).sort_values(["patient_id", "case_id"], kind="stable")
    found: dict[str, Any] = {}
    for cases in split_cases(table, question):
        if cases[0].split != SPLIT:
            continue
        for each in cases:
            asked = question.label(each.target) if question.task == "multilabel" else question
            y, p = each.y.astype(np.int64), each.p
            if asked.task == "binary":
                y, p = (y == asked.positive_index).astype(np.int64), p[:, asked.positive_index]
            found[each.target] = weigh_recalibration(y, p, each.patient, seed=seed, jobs=jobs)
    return {"applied": False, "targets": found}


def with_chosen(predictions: pd.DataFrame, origin: Origin | None) -> pd.DataFrame | None:
    """Return the external predictions with the run's cases that calibrated the model as the split ``val``."""
    if origin is None or not len(origin.chose):
        return None
    # The two places name cases and patients by themselves, and the same names are not the same people.
    chosen = origin.chose.assign(split="val", fold=-1)
    for name in ("case_id", "patient_id"):
        chosen[name] = "its own " + chosen[name].astype(str)
    return pd.concat([predictions, chosen], ignore_index=True)


def adjusted_json(
    predictions: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    origin: Origin | None,
    *,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Return ``adjusted`` of the evidence: figures with probabilities corrected for the class balance of these cases.

    ``external``, ``prevalence`` and ``operating_point`` by the balance estimated without labels (Saerens), and
    ``by_labels`` the same by the balance that the labels show; None where there is neither, or no run.
    """
    table = with_chosen(predictions, origin)
    if table is None:
        return None
    estimated = adjusted_figures(table, question, points, split=SPLIT, seed=seed)
    known = adjusted_by_labels(table, question, points, split=SPLIT, seed=seed)
    if estimated is None and known is None:
        return None
    unsure = "estimated without labels, the balance is not what the labels show, or not sure"
    return {**(estimated or {"reason": unsure}), "by_labels": known}


def prevalence_audit(
    predictions: pd.DataFrame, question: Question, points: OperatingPoints | None, origin: Origin | None, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Return the audit of the class balance against the cases that calibrated the model, empty without a run."""
    table = with_chosen(predictions, origin)
    if table is None or question.task not in ("binary", "multiclass", "ordinal"):
        return {}
    judged = judge(validate_predictions(table, question), question, points, seed=seed)
    return {PREVALENCE: prevalence_shift(judged[0]).to_json()} if judged else {}
