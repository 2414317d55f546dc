"""What keeps the model from calling: the limits that ship, how many cases they mark, and for which reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.evidence import Evidence
from semeion.report.words import percent, plural

LIMITS: dict[str, tuple[str, tuple[str, ...]]] = {
    "features": (
        "Distance from the training cases, as a network sees them",
        ("features-far", "features-outside", "rotated"),
    ),
    "pixels": ("Shares of grey levels and detail", ("pixels-far", "pixels-outside", "rotated")),
    "looks": ("Blurred, grainy or cut off", ("blurred", "grainy", "cropped")),
    "members": ("Members that contradict one another", ("members-disagree",)),
    "measurements": ("Measurements beyond those of the training cases", ("measurements-far",)),
}
"""What limits there may be: in words, and the reason codes that they give."""
STATUSES = {
    "called": "Called",
    "set": "A set of classes",
    "unsure": "Unsure",
    "not_applicable": "Not applicable",
    "failed": "Failed",
}


def gate_content(evidence: Evidence) -> dict[str, Any] | None:
    """Return the section's content; None where the evidence says nothing of it.

    Returns
    -------
    dict
        ``lead``, sentences; ``limits`` ``{name, codes, marked}``; ``held_back``, the share of test cases that are
        marked, as a figure; ``statuses`` ``{name, n}``, ``reasons`` ``{code, means, n}`` and ``marked`` of an
        evaluation.
    """
    gate = evidence.gate
    if not gate:
        return None
    if "statuses" in gate:
        return _of_evaluation(gate)
    limits = set(gate.get("limits") or ())
    marked = gate.get("marked") or {}
    rows = [
        {"key": key, "name": name, "codes": list(codes), "marked": marked.get(key)}
        for key, (name, codes) in LIMITS.items()
        if key in limits
    ]
    return {
        "lead": _lead(gate),
        "limits": rows,
        "together": gate.get("together"),
        "held_back": gate.get("held_back"),
        "statuses": [],
        "reasons": [],
        "marked": None,
    }


def _lead(gate: Mapping[str, Any]) -> list[str]:
    said = ["Headers of another modality or part of the body, and blank images, get no call."]
    if gate.get("limits"):
        said.append(
            f"The limits below were set to mark {percent(float(gate['rate']), 1)} of cases like the training cases, on "
            f"{plural(int(gate['cases']), 'case')} of {plural(int(gate['patients']), 'patient')} that may choose, each "
            "held out of what it was compared with; no test case set one."
        )
    else:
        said.append("No limit could be set on what images look like.")
    if gate.get("reason"):
        said.append(
            f"There is no limit on the distance of features: {gate['reason']}. Images of another kind that do not say "
            "what they are may be called."
        )
    return said


def _of_evaluation(gate: Mapping[str, Any]) -> dict[str, Any]:
    counts, meanings = gate["statuses"], gate.get("meanings") or {}
    return {
        "lead": [
            "Figures elsewhere on this page are of every case that could be read.",
            "Below is what its findings are when the model may abstain, and why; a case may have several reasons.",
        ],
        "limits": [],
        "together": None,
        "held_back": None,
        "statuses": [{"key": key, "name": name, "n": counts[key]} for key, name in STATUSES.items() if key in counts],
        "reasons": [
            {"code": code, "means": meanings.get(code, ""), "n": count}
            for code, count in (gate.get("reasons") or {}).items()
        ],
        "marked": gate.get("marked"),
    }
