"""The plan and the facts it came from, flattened into rows that a person reads: decision, value, reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from semeion.report.words import plain

_TITLES = {
    "target": "The question",
    "measurements": "What is measured",
    "classifier": "Who classifies the measurements",
    "segmentation": "The networks that outline",
    "preparation": "How an image becomes input",
    "network": "The network",
    "training": "Training",
    "validation": "Validation",
    "distillation": "One network that learns from the ensemble",
    "baseline": "The classic small network",
    "search": "The search for how to learn",
    "teaching": "Weights of cases and votes of raters",
    "operating_point": "Operating point",
    "sets": "Sets and intervals",
    "budget": "Budget",
    "members": "Members",
    "calibration": "Calibration",
}
_MOST_FACTS = 80
_LONGEST = 400
"""Characters of one value; a longer one is cut, since plan.yaml is beside the page."""


def plan_sections(plan: Mapping[str, Any] | None, asked: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the plan as sections of rows ``{key, value, why, planned}``.

    ``planned`` holds the value before training where what was executed differs from `asked`, else None.
    """
    if not plan:
        return []
    sections: list[dict[str, Any]] = []
    general: list[dict[str, Any]] = []
    for name, part in plan.items():
        before = (asked or {}).get(name)
        if name == "search" and part is None:
            # What was executed has what was found; how it was searched stands in what was planned.
            if before is None:
                continue
            part = before
        if isinstance(part, Mapping):
            rows = list(_rows(part, before if isinstance(before, Mapping) else None))
            reason = part.get("why")
            why = reason if isinstance(reason, str) else ""
            sections.append({"name": name, "title": _TITLES.get(name, _words(name)), "why": why, "rows": rows})
        elif name == "members" and isinstance(part, list):
            general.append(_row("members", len(part), "", len(before) if isinstance(before, list) else None))
        elif name not in ("schema", "why"):
            reasons = plan.get("why")
            general.append(_row(name, part, reasons.get(name, "") if isinstance(reasons, Mapping) else "", before))
    if general:
        sections.insert(0, {"name": "", "title": "In general", "why": "", "rows": general})
    return [section for section in sections if section["rows"] or section["why"]]


def facts_of(facts: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Return the fingerprint's facts as rows ``{key, value}``, nested names joined by a dot."""
    rows = [{"key": _words(key), "value": _cut(value)} for key, value in _flat(facts or {}, "") if key != "schema"]
    return rows[:_MOST_FACTS]


def _rows(part: Mapping[str, Any], before: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    reasons = _reasons(part, "")
    old = dict(_flat(before or {}, "", whole=frozenset(reasons)))
    for key, value in _flat(part, "", whole=frozenset(reasons)):
        yield _row(key, value, reasons.get(key, ""), old.get(key))


def _reasons(part: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Return the reasons of a section and of the sections within it by the full names of what they explain."""
    why = part.get("why")
    found = {f"{prefix}{key}": str(reason) for key, reason in why.items()} if isinstance(why, Mapping) else {}
    for key, value in part.items():
        if isinstance(value, Mapping) and key != "why":
            found |= _reasons(value, f"{prefix}{key}.")
    return found


def _row(key: str, value: Any, why: str, before: Any) -> dict[str, Any]:
    shown, earlier = _cut(value), _cut(before) if before is not None else None
    return {"key": _words(key), "value": shown, "why": why, "planned": earlier if earlier != shown else None}


def _flat(part: Mapping[str, Any], prefix: str, whole: frozenset[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    """Walk nested names; what has one reason as a whole (`whole`) stays in one piece, beside its reason."""
    for key, value in part.items():
        name = f"{prefix}{key}"
        if key == "why":
            continue
        if isinstance(value, Mapping) and value and name.count(".") < 3 and name not in whole:
            yield from _flat(value, f"{name}.", whole)
        else:
            yield name, value


def _words(key: str) -> str:
    return str(key).replace("_", " ").replace(".", " · ")


def _cut(value: Any) -> str:
    text = plain(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
