"""Another class balance where the model is used."""

from __future__ import annotations

from typing import Any

import numpy as np

from semeion.audit.audit import Audit
from semeion.audit.judged import Judged
from semeion.errors import InputError
from semeion.evidence.prevalence import Prevalence, class_shares, estimate_prevalence

NAME = "prevalence-shift"
GAP = 0.05
"""A share that differs by less is not warned of."""
RESAMPLES = 500


def prevalence_shift(judged: Judged) -> Audit:
    """Compare the class balance among validation cases with that at use, estimated without labels.

    By expectation-maximisation on calibrated probabilities (Saerens, Latinne and Decaestecker, Neural Computation
    14:21, 2002). The labels of these cases are not used for it, but are known, so that the estimate can be held against
    them: where they disagree the images differ too, and no correction by prevalence is right.
    """
    found = estimated(judged)
    if isinstance(found, str):
        return Audit(NAME, "not_run", "train", advice=found)
    classes = judged.question.classes
    observed = np.bincount(judged.y, minlength=len(classes)) / len(judged.y)
    figures: dict[str, Any] = {
        "cases": len(judged.y),
        "validation_cases": 0 if judged.chosen is None else len(judged.chosen),
    }
    largest, doubtful = 0, []
    for k, name in enumerate(classes):
        entry = found.entries[k]
        figures[name] = {
            "validation": found.prior[k],
            "at_use": entry["value"],
            "low": entry["low"],
            "high": entry["high"],
            "observed": float(observed[k]),
        }
        if abs(found.at_use[k] - found.prior[k]) > abs(found.at_use[largest] - found.prior[largest]):
            largest = k
        if entry["low"] is not None and not entry["low"] - GAP <= observed[k] <= entry["high"] + GAP:
            doubtful.append(name)
    figures["label_shift_doubtful"] = ", ".join(doubtful)
    prior, at_use = found.prior[largest], found.at_use[largest]
    told = f"{classes[largest]!r} seems to be {at_use:.0%} of these cases, and was {prior:.0%} of those that calibrated"
    if not found.shifted or abs(at_use - prior) < GAP:
        advice = "The class balance is that of the validation cases, as far as can be told."
        return Audit(
            NAME,
            "clear" if not found.shifted else "note",
            "train",
            figures,
            (),
            advice if not found.shifted else f"{told}.",
        )
    todo = "Figures with corrected probabilities stand under adjusted; recalibrate before probabilities are used there."
    if doubtful:
        todo = (
            f"But {observed[largest]:.0%} are: the images differ as well, so a correction by prevalence is not to be "
            "trusted. Recalibrate on labelled cases from there."
        )
    return Audit(NAME, "warn", "train", figures, (), f"{told}. {todo}")


def estimated(judged: Judged) -> Prevalence | str:
    """Return the class balance at use, or why it cannot be told."""
    if judged.question.task not in ("binary", "multiclass", "ordinal"):
        return "A measured value has no classes."
    if judged.chosen is None:
        return "There are no validation cases to compare with: folds share one class balance."
    try:
        prior = class_shares(judged.chosen.y, judged.chosen.p.shape[1])
        return estimate_prevalence(judged.cases.p, judged.cases.patient, prior, resamples=RESAMPLES, seed=judged.seed)
    except InputError as error:
        return f"The class balance cannot be told: {error.what}."
