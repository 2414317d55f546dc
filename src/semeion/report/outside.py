"""Whether figures are of an external validation: what may be said of it, in one place, so that no page mixes it up."""

from __future__ import annotations

from typing import Any

from semeion.report.evidence import Evidence
from semeion.report.words import SPLITS, plural

EXTERNAL, NOT_EXTERNAL, NOT_VERIFIED = "external", "not_external", "not_verified"
HEADS = {
    EXTERNAL: "external validation",
    NOT_EXTERNAL: "evaluation of a finished model, not external",
    NOT_VERIFIED: "stated as external, not verified",
}
"""What the head of every page of an evaluation says."""
CASES = {
    EXTERNAL: SPLITS[EXTERNAL],
    NOT_EXTERNAL: "cases that are not external",
    NOT_VERIFIED: "cases stated as external",
}
"""What the cases are called."""
ROLES = {
    EXTERNAL: "These are other cases than those the model was made from; the shipped model read them.",
    NOT_EXTERNAL: "The shipped model read these cases, and they are not external to those it was made from.",
    NOT_VERIFIED: "The shipped model read these cases; that they are others than those it was made from is the user's "
    "word.",
}


def outside(evidence: Evidence) -> str | None:
    """Return whether the figures are external, not, or only said to be; None where there is no such evaluation.

    Without a check on record an evaluation is not verified. Predictions that were weighed without their model are none.
    """
    if evidence.weighed is not None:
        return None
    if "external" not in evidence.splits and not evidence.metrics.get("external"):
        return None
    status = (evidence.external or {}).get("status")
    return status if status in (EXTERNAL, NOT_EXTERNAL) else NOT_VERIFIED


def outside_words(evidence: Evidence, source: str) -> dict[str, Any]:
    """Return ``{value, sentence}`` of an evaluation: True only where it was shown to be external."""
    told = evidence.external or {}
    facts = evidence.splits.get("external")
    status = outside(evidence)
    count = plural(facts.n, "case") if facts else "cases"
    reason = str(told.get("reason") or "No check of it is on record.")
    if status == EXTERNAL:
        people = told.get("n_patients")
        who = plural(people, "patient") if people is not None else f"{count} of patients who were not named"
        sites = plural(told.get("n_sites"), "site") if told.get("n_sites") else "sites that are not named"
        return {"value": True, "sentence": f"External validation: yes, {who} of {sites} not used in training. {reason}"}
    if status == NOT_EXTERNAL:
        site = "same site: this is not external. " if told.get("shared_sites") else ""
        return {"value": False, "sentence": f"No external validation: {site}{reason}"}
    sentence = f"Stated as external by the user, not verified: the shipped model read {count} of {source}. {reason}"
    return {"value": None, "sentence": sentence}
