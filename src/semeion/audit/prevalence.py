"""Another class balance where the model is used."""

from __future__ import annotations

from typing import Any

import numpy as np

from semeion.audit.audit import Audit
from semeion.audit.judged import Floats, Judged
from semeion.errors import InputError
from semeion.evidence.use.prevalence import Prevalence, class_shares, estimate_prevalence

NAME = "prevalence-shift"
GAP = 0.05
"""A share that differs by less is not warned of."""
SURE = 0.01
"""P-value of a difference that is taken for more than chance."""
RESAMPLES = 500


def prevalence_shift(judged: Judged) -> Audit:
    """Compare the class balance of these cases with that of the validation cases, by their labels and without them.

    The labels say whether the balance differs: two shares, their difference over its standard error, with patients for
    the number of cases. Without labels, as in use, it is estimated by expectation-maximisation on calibrated
    probabilities (Saerens, Latinne and Decaestecker, Neural Computation 14:21, 2002). Where the two disagree the images
    differ too, or the probabilities are not calibrated, and no correction by prevalence is right.
    """
    found = estimated(judged)
    if isinstance(found, str):
        return Audit(NAME, "not_run", "train", advice=found)
    classes = judged.question.classes
    observed, p = observed_shift(judged)
    figures: dict[str, Any] = {
        "cases": len(judged.y),
        "validation_cases": 0 if judged.chosen is None else len(judged.chosen),
        "p": float(p.min()),
    }
    for k, name in enumerate(classes):
        entry = found.entries[k]
        figures[name] = {
            "validation": found.prior[k],
            "observed": float(observed[k]),
            "without_labels": entry["value"],
            "low": entry["low"],
            "high": entry["high"],
        }
    gaps = observed - np.array(found.prior)
    one = judged.question.positive_index if judged.question.task == "binary" else int(np.argmax(np.abs(gaps)))
    here, there, guessed = (f"{share:.0%}" for share in (observed[one], found.prior[one], found.at_use[one]))
    told = f"{classes[one]!r} are {here} of these cases, and were {there} of those that calibrated"
    differs, agrees = bool(p[one] < SURE and abs(gaps[one]) >= GAP), agree(found, observed)
    figures |= {"differs": differs, "estimate_agrees": agrees}
    if differs and agrees:
        todo = (
            f"Without labels they are estimated at {guessed}; figures with corrected probabilities stand under "
            "adjusted. Correct, or recalibrate, before probabilities are used there."
        )
        return Audit(NAME, "warn", "train", figures, (), f"{told}. {todo}")
    if differs:
        todo = (
            f"Without labels they would be taken for {guessed}: the images differ as well, or probabilities are not "
            "calibrated there. Do not correct by prevalence; recalibrate on labelled cases from there."
        )
        return Audit(NAME, "warn", "train", figures, (), f"{told}. {todo}")
    if not agrees:
        advice = (
            f"The class balance is that of the validation cases, and without labels {classes[one]!r} would be taken "
            f"for {guessed}: do not correct these probabilities by an estimated prevalence."
        )
        return Audit(NAME, "note", "train", figures, (), advice)
    return Audit(NAME, "clear", "train", figures, (), "The class balance is that of the validation cases.")


def observed_shift(judged: Judged) -> tuple[Floats, Floats]:
    """Return the share of each class among the cases, and the p-value of its difference from the validation cases."""
    from scipy.stats import norm

    width = judged.cases.p.shape[1]
    observed = np.bincount(judged.y, minlength=width) / len(judged.y)
    if judged.chosen is None:
        return observed, np.ones(width)
    prior = np.bincount(judged.chosen.y.astype(np.int64), minlength=width) / len(judged.chosen)
    here, there = len(np.unique(judged.cases.patient)), len(np.unique(judged.chosen.patient))
    pooled = (observed * here + prior * there) / (here + there)
    error = np.sqrt(pooled * (1 - pooled) * (1 / here + 1 / there))
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(error > 0, np.abs(observed - prior) / error, 0.0)
    return observed, np.asarray(2 * norm.sf(z), dtype=np.float64)


def agree(found: Prevalence, observed: Floats) -> bool:
    """Tell whether the balance estimated without labels is, within its interval and 5 points, what the labels say."""
    ends = [(entry["low"], entry["high"]) for entry in found.entries]
    return all(
        low is None or low - GAP <= share <= high + GAP for (low, high), share in zip(ends, observed, strict=True)
    )


def correctable(judged: Judged) -> Prevalence | None:
    """Return the class balance at use where it differs, is estimated rightly without labels, and not by chance."""
    found = estimated(judged)
    if isinstance(found, str) or not found.shifted:
        return None
    observed, p = observed_shift(judged)
    moved = np.abs(observed - np.array(found.prior)) >= GAP
    return found if bool((moved & (p < SURE)).any()) and agree(found, observed) else None


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
