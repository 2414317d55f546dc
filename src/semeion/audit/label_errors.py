"""Likely wrong labels, by confident learning on predictions of cases that no model learned from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from semeion.audit.audit import Audit, Verdict, counted
from semeion.audit.contaminated import standard_errors, wrong_share
from semeion.audit.judged import Judged

NAME = "label-errors"
FEWEST_CASES = 50
FEWEST_OF_A_CLASS = 5
UNLIKELY = 0.1
"""A label whose class has less than this probability contradicts the model."""
SHARE = 0.01
"""Estimated share of wrong labels that is warned of..."""
CHANCE = 2.33
"""...when it is this many standard errors from none: one in a hundred by chance, as a share cannot be less than none
(Self and Liang, J Am Stat Assoc 82:605, 1987)."""
MOST_LISTED = 50
"""Suspects of which it is said what the model takes them for."""


def label_errors(judged: Judged) -> Audit:
    """Look for cases whose label is likely wrong.

    Confident learning (Northcutt, Jiang and Chuang, JAIR 70:1373, 2021, by cleanlab) names the cases: those that the
    model, on the average of their class or above, takes for another. A model that is merely weak has such cases too, so
    that they alone are a note. Wrong labels do more: they contradict the model where it is surest as often as anywhere.
    How many there are is estimated with the model recalibrated at the same time
    (:func:`semeion.audit.contaminated.wrong_share`); a warning needs 1 % and a likelihood that chance does not explain.
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
    if suspects:
        figures["likeliest"] = _likeliest(judged, ranked[:MOST_LISTED])
    share, z = figures["estimated_share"], figures["estimated_standard_errors"]
    verdict: Verdict = "clear"
    advice = "No label stands out as likely wrong."
    if share >= SHARE and z > CHANCE:
        verdict = "warn"
        advice = (
            f"About {share:.0%} of the labels seem wrong ({figures['estimated_share_low']:.1%} at least, by the 95 % "
            "interval): they contradict the model as often where it is surest as anywhere, and hard cases do not. Read "
            f"the {counted(len(suspects), 'listed case')} again, likeliest first, by someone who has not seen what the "
            "model says."
        )
    elif suspects:
        verdict = "note"
        advice = (
            f"{counted(len(suspects), 'case')} may be labelled wrong or are hard; where the model is surest, no more "
            "labels contradict it than hard cases would. Read the first ones again if labels were given in haste."
        )
    return Audit(NAME, verdict, "train", figures, tuple(suspects), advice)


def _likeliest(judged: Judged, rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Return, of each row, its label and the other class that is likeliest, with its probability."""
    names, found = judged.question.classes, []
    for row in rows:
        given, others = int(judged.y[row]), judged.cases.p[row].copy()
        others[given] = -1.0
        other = int(others.argmax())
        one = {"case": str(judged.ids[row]), "given": names[given], "suggested": names[other]}
        found.append({**one, "probability": float(others[other])})
    return found


def _contradictions(judged: Judged) -> dict[str, Any]:
    """Count labels that have hardly any probability, and estimate the share of wrong ones.

    The likelihood is divided by the mean number of cases a patient, as if a patient's cases were all alike.
    """
    y, p = judged.y, judged.cases.p
    unlikely = p < UNLIKELY
    crowd = len(y) / len(np.unique(judged.cases.patient))
    seen, codes = np.unique(y, return_inverse=True)
    kept = np.clip(p[:, seen], 1e-9, None)
    estimate = wrong_share(codes, kept / kept.sum(axis=1, keepdims=True), crowd=crowd, seed=judged.seed)
    return {
        "contradicted": int(unlikely[np.arange(len(y)), y].sum()),
        "contradicted_expected": float(np.where(unlikely, p, 0.0).sum()),
        "estimated_share": estimate.share,
        "estimated_share_low": estimate.low,
        "estimated_standard_errors": standard_errors(estimate),
    }


def _not_run(why: str) -> Audit:
    return Audit(NAME, "not_run", "train", advice=why)
