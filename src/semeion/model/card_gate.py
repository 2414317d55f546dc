"""What the card says of the cases that the model does not call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LIMITS = {
    "features": "its features, as one of the networks sees them, lie far from those of the training cases",
    "pixels": "its shares of grey levels and its detail are other than those of the training cases",
    "members": "the members contradict one another",
    "looks": "it is blurred, grainy or cut off as no training image is",
    "measurements": "most of its measurements lie beyond those of the training cases",
}


def gate_lines(evidence: Mapping[str, Any]) -> list[str]:
    """Return the section on what is not called, from ``gate`` of the evidence; nothing of older evidence."""
    gate = evidence.get("gate")
    if not gate:
        return []
    lines = [
        "## What it does not call",
        "",
        "An image of another modality or part of the body, and a blank one, get no call (`not_applicable`).",
    ]
    limits = [name for name in _LIMITS if name in gate.get("limits", ())]
    if limits:
        lines.append(f"A case is `unsure` or `not_applicable` too where {'; where '.join(_LIMITS[n] for n in limits)}.")
    marked = (gate.get("marked") or {}).get("together")
    if marked is not None:
        lines.append(
            f"The limits were set for {100 * gate['rate']:g} % of cases like the training cases, on {gate['cases']} "
            f"learning and validation cases of {gate['patients']} patients held out of the fit; they mark "
            f"{100 * marked:.1f} % of these."
        )
    held = gate.get("held_back")
    if held:
        lines.append(
            f"Of {held['n']} test cases, which set none, they mark {100 * held['value']:.1f} % "
            f"({100 * held['low']:.1f} to {100 * held['high']:.1f})."
        )
    if gate.get("reason"):
        lines.append(
            f"There is no limit on the distance of features ({gate['reason']}): images of another kind "
            "that do not say what they are may be called."
        )
    return lines
