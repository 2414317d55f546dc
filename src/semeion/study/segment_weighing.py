"""Puts the evidence of a segmentation together: figures of masks, and everything that a reader needs beside them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.evidence.masks.segmentation import weigh_segmentation
from semeion.plan.segment_schema import SegmentationPlan
from semeion.study.statements import NO_PATIENTS, made, strata_of
from semeion.study.weighing import Audited

BORDER = "The effect of a border that is wrong where it matters most: figures are means over whole structures."


def segmentation_evidence(
    plan: SegmentationPlan,
    facts: list[dict[str, Any]],
    table: pd.DataFrame,
    cohort: Cohort,
    audited: Audited,
) -> dict[str, Any]:
    """Return ``evidence.json`` of a segmentation run, but for its cost, which is known last.

    Parameters
    ----------
    plan
        As it was executed, with the choices that were made.
    facts
        Each member's ``member.json``.
    table
        Measurements of every case with a reference, as :func:`semeion.study.outlining.outline_cases` returns.
    cohort, audited
        Of whom, and what was looked for.
    """
    weighed = weigh_segmentation(table, plan.target.classes, seed=plan.seed, strata=strata_of(cohort))
    without = None
    spoiled = {case for name in audited.accepted for case in audited.affected.get(name, ())}
    if spoiled:
        kept = table[~table["case_id"].isin(spoiled)]
        figures = weigh_segmentation(kept, plan.target.classes, seed=plan.seed)["metrics"] if len(kept) else {}
        without = {"cases_left_out": len(spoiled), "metrics": figures}
    notes = [*cohort.notes, *weighed.pop("notes")]
    if not cohort.has_patients:
        notes.append(NO_PATIENTS)
    return {
        **made(),
        "target": plan.target.name,
        "task": "segmentation",
        "positive": None,
        "classes": plan.target.classes,
        "why": cohort.target.why,
        "source": cohort.source,
        "synthetic": cohort.synthetic,
        "has_patients": cohort.has_patients,
        "operating_point": None,
        "calibration": None,
        **weighed,
        "splits": {**_training(cohort, table), **weighed["splits"]},
        "flow": [vars(step) for step in cohort.flow],
        "audits": audited.audits,
        "accepted": audited.accepted,
        "without_accepted": without,
        "members": facts,
        "choice": [decision.model_dump() for decision in plan.choice.decisions],
        "use": plan.use.model_dump(),
        "notes": notes,
        "not_validated": _not_validated(cohort, weighed["metrics"]),
    }


def _training(cohort: Cohort, weighed: pd.DataFrame) -> dict[str, Any]:
    """Return the cases that networks learned from: those of the split ``train`` that did not validate instead."""
    if not cohort.has_split:
        return {}
    validated = weighed.loc[weighed["split"] == "val", "case_id"]
    table = cohort.table[(cohort.table["split"] == "train") & ~cohort.table["case_id"].isin(validated)]
    return {"train": {"n": len(table), "n_patients": int(table["patient_id"].nunique()), "class_counts": {}}}


def _not_validated(cohort: Cohort, metrics: dict[str, Any]) -> list[str]:
    """Return what no figure of this run speaks for."""
    sentences = []
    if cohort.table["site"].dropna().nunique() <= 1:
        sentences.append("Images from another site, scanner or protocol: none were seen (use `semeion evaluate`).")
    if set(metrics) == {"val"}:
        sentences.append("New cases: there is no test split, and validation figures are optimistic.")
    sentences.append("Patients unlike those of the cohort in age, sex, anatomy or disease stage.")
    return [*sentences, BORDER]
