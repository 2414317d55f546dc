"""Likely wrong labels, by confident learning on predictions of cases that no model learned from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from semeion.audit.audit import Audit, Verdict, counted
from semeion.audit.judged import Floats, Judged

NAME = "label-errors"
FEWEST_CASES = 50
FEWEST_OF_A_CLASS = 5
UNLIKELY = 0.1
"""A label whose class has less than this probability contradicts the model."""
LEAST_CHANCE = 0.005
"""Probabilities are not taken for less, so that one case alone proves nothing."""
SHARE = 0.01
"""Estimated share of wrong labels that is warned of..."""
CHANCE = 2.58
"""...when it is this many standard errors from none: one in two hundred by chance."""


def label_errors(judged: Judged) -> Audit:
    """Look for cases whose label is likely wrong.

    Confident learning (Northcutt, Jiang and Chuang, JAIR 70:1373, 2021, by cleanlab) names the cases: those that the
    model, on the average of their class or above, takes for another. A model that is merely weak has such cases too, so
    that they alone are a note. Wrong labels do more: they contradict the model where it is sure. How many there are is
    estimated as the share e that makes the labels most likely when each is drawn from the model's probabilities with
    chance ``1 - e`` and else is any other class; a warning needs 1 % and a likelihood that chance does not explain.
    """
    if judged.question.task == "regression":
        return _not_run("Labels that are measured values are not looked at.")
    y, p = judged.y, judged.cases.p
    counts = np.bincount(y, minlength=p.shape[1])
    if len(y) < FEWEST_CASES or counts[counts > 0].min() < FEWEST_OF_A_CLASS or (counts > 0).sum() < 2:
        return _not_run(
            f"{counted(len(y), 'case')} with {counts.min()} of the rarest class are too few to tell a wrong label from "
            f"a hard case; {FEWEST_CASES} cases and {FEWEST_OF_A_CLASS} of each class are needed."
        )
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        return _not_run("cleanlab is not installed: pip install 'semeion[train]'.")
    seen = np.flatnonzero(counts)
    # A class without cases is left out; a case that is sure to be of it is as unlikely in all that are left.
    kept = np.clip(p[:, seen], 1e-9, None)
    shown = kept / kept.sum(axis=1, keepdims=True)
    ranked = find_label_issues(
        labels=np.searchsorted(seen, y), pred_probs=shown, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    suspects = [str(judged.ids[row]) for row in ranked]
    figures: dict[str, Any] = {
        "cases": len(y),
        "suspects": len(suspects),
        "share_of_suspects": len(suspects) / len(y),
        **_contradictions(judged),
    }
    share, z = figures["estimated_share"], figures["estimated_standard_errors"]
    verdict: Verdict = "clear"
    advice = "No label stands out as likely wrong."
    if share >= SHARE and z > CHANCE:
        verdict = "warn"
        advice = (
            f"About {share:.0%} of the labels seem wrong: {figures['contradicted']} contradict the model where it is "
            f"sure, and its probabilities foretell {figures['contradicted_expected']:.1f}. Or the model is too sure of "
            f"itself (see calibration). Read the {counted(len(suspects), 'listed case')} again, likeliest first, "
            "without seeing what the model says."
        )
    elif suspects:
        verdict = "note"
        advice = (
            f"{counted(len(suspects), 'case')} may be labelled wrong or are hard; no more contradict the model than "
            "its probabilities foretell. Read the first ones again if labels were given in haste."
        )
    return Audit(NAME, verdict, "train", figures, tuple(suspects), advice)


def _contradictions(judged: Judged) -> dict[str, Any]:
    """Count labels that have hardly any probability, and estimate the share of wrong ones.

    The standard errors are the root of twice the log likelihood ratio, which is divided by the mean number of cases a
    patient, as if a patient's cases were all alike.
    """
    y, p = judged.y, judged.cases.p
    unlikely = p < UNLIKELY
    own = np.clip(p[np.arange(len(y)), y], LEAST_CHANCE, 1 - LEAST_CHANCE)
    share, gain = wrong_share(own, (1 - own) / (p.shape[1] - 1))
    patients = len(np.unique(judged.cases.patient))
    return {
        "contradicted": int(unlikely[np.arange(len(y)), y].sum()),
        "contradicted_expected": float(np.where(unlikely, p, 0.0).sum()),
        "estimated_share": share,
        "estimated_standard_errors": math.sqrt(2 * gain * patients / len(y)),
    }


def wrong_share(own: Floats, other: Floats) -> tuple[float, float]:
    """Return the e from 0 to 0.5 of the greatest ``sum(log((1 - e) own + e other))``, and its gain over e = 0.

    Parameters
    ----------
    own, other
        Probability of each label as given, and of it when the label is wrong, ``(cases,)``.

    Notes
    -----
    The sum is concave in e: its derivative falls, and its root is found by bisection.
    """

    def slope(share: float) -> float:
        return float(((other - own) / ((1 - share) * own + share * other)).sum())

    if slope(0.0) <= 0:
        return 0.0, 0.0
    low, high = 0.0, 0.5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    best = (low + high) / 2
    gain = float(np.log(((1 - best) * own + best * other) / own).sum())
    return best, max(gain, 0.0)


def _not_run(why: str) -> Audit:
    return Audit(NAME, "not_run", "train", advice=why)
