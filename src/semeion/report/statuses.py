"""What findings would be with the thresholds that ship: called, a set of classes, or unsure, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.report.words import percent, plural

KINDS = {"per_class": "for each class by itself", "marginal": "for all patients together"}
ROWS = (
    ("called", "Called", "one class is named"),
    ("set", "Set", "several classes are named, for a reader to tell apart"),
    ("unsure", "Unsure", "no class is likely enough"),
    ("error_called", "Wrong among the called", ""),
    ("error_all", "Wrong if all were called", "at the operating point"),
    ("held", "The truth is among the named", "of all cases"),
)


def class_statuses(
    found: Mapping[str, Any], rule: Mapping[str, Any] | None, classes: Sequence[str]
) -> dict[str, Any] | None:
    """Return what the page says of the statuses of findings, None where the evidence has no rule.

    Parameters
    ----------
    found, rule
        ``statuses.<split>`` and ``set_rule`` of the evidence.
    classes
        In their order.

    Returns
    -------
    dict
        ``lead``, sentences on what ships; ``reason`` where nothing was measured; ``rows`` ``{name, words, figure}``;
        ``by_class`` ``{name, called, set, unsure, wrong}``; ``promise``.
    """
    if not found and not rule:
        return None
    lead, promise = _lead(found, rule or {}), str(found.get("promise") or (rule or {}).get("promise") or "")
    reason = str(found.get("reason") or (rule or {}).get("reason") or "")
    told: dict[str, Any] = {"lead": lead, "reason": reason, "promise": promise, "rows": [], "by_class": []}
    if "called" not in found:
        return told
    told["rows"] = [{"name": name, "words": words, "figure": found[key]} for key, name, words in ROWS]
    told["by_class"] = [
        {"name": name, **{key: found["by_class"][name][key] for key in ("called", "set", "unsure", "wrong")}}
        for name in classes
        if name in found["by_class"]
    ]
    return told


def _lead(found: Mapping[str, Any], rule: Mapping[str, Any]) -> list[str]:
    """Return sentences for a reader of findings."""
    if "thresholds" not in rule and "called" not in found:
        return ["The model ships with no thresholds of sets of classes: no finding names several."]
    coverage, kind = rule.get("coverage", found.get("coverage")), KINDS[str(rule.get("kind", found.get("kind")))]
    sentences = [f"The model names every class that it cannot rule out at {percent(float(coverage or 0), 1)}, {kind}."]
    sentences.append("What the input gate keeps from a call comes on top and is not counted here.")
    if rule.get("kind") == "marginal" and rule.get("why"):
        sentences.append(f"Not for each class: {rule['why']}.")
    if made := rule.get("calibration"):
        sentences.append(f"The thresholds come from {plural(made['n_patients'], 'patient')}.")
    called, few, every = (found.get(key, {}) for key in ("called", "error_called", "error_all"))
    if called.get("value") is not None and few.get("value") is not None:
        left = percent(1 - called["value"], 1)
        sentences.append(
            f"Here it would call {percent(called['value'], 1)} of the cases, of which {percent(few['value'], 1)} "
            f"wrongly, and leave {left} to a reader; calling all, {percent(every['value'], 1)} would be wrong."
        )
    return sentences
