"""What the model card says of sets of classes, and of what abstaining costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS = {"per_class": "for each class by itself", "marginal": "for all patients together"}
_SPLITS = {"test": "held-out test cases", "oof": "out-of-fold cases", "external": "cases of another source"}
_FIFTH = 0.8


def abstaining_lines(parts: Mapping[str, Any], evidence: Mapping[str, Any]) -> list[str]:
    """Return the section of the card, empty where the evidence says nothing of either.

    Parameters
    ----------
    parts
        Fields of the manifest.
    evidence
        The content of ``evidence.json``.
    """
    several = parts["task"] == "multilabel"
    each: Mapping[str, Any] = (evidence.get("targets") or {}) if several else {"": evidence}
    lines = []
    for name, one in each.items():
        told = [*_rule(one.get("set_rule")), *_statuses(one.get("statuses")), *_fifth(one.get("abstaining"))]
        lines += [f"{_safe(name)}: {text}" if several else text for text in told]
    return ["", "## When the model abstains", "", *lines] if lines else []


def _rule(rule: Mapping[str, Any] | None) -> list[str]:
    if not rule:
        return []
    if "thresholds" not in rule:
        return [f"No sets of classes ship, and no finding names several: {_safe(rule['reason'])}"]
    of = rule["calibration"]
    why = "" if rule["kind"] == "per_class" else f" ({_safe(rule['why'])})"
    named = f"A finding names every class that cannot be ruled out at {100 * rule['coverage']:g} %"
    return [
        f"{named}, {KINDS[rule['kind']]}{why}; thresholds from {of['n_patients']} patients.",
        _safe(rule["promise"]),
    ]


def _statuses(found: Mapping[str, Any] | None) -> list[str]:
    lines = []
    for split, one in (found or {}).items():
        if "called" not in one or one["called"]["value"] is None:
            continue
        shares = ", ".join(f"{_share(one[key])} {key}" for key in ("called", "set", "unsure"))
        lines.append(
            f"On {_SPLITS.get(split, split)}: {shares}; the truth was among those named in {_share(one['held'])}; "
            f"{_share(one['error_called'])} of the called were wrong, against {_share(one['error_all'])} when all are "
            "called."
        )
    return lines


def _fifth(found: Mapping[str, Any] | None) -> list[str]:
    """Return what leaving the least sure fifth to a reader brought, in each split that is not optimistic."""
    lines = []
    for split, one in (found or {}).items():
        row = next((row for row in one.get("at", ()) if row["coverage"] == _FIFTH), None)
        if split in _SPLITS and row is not None and row["error"]["value"] is not None:
            every = one["at"][-1]["error"]
            lines.append(
                f"On {_SPLITS[split]}, without the least sure fifth {_share(row['error'])} of the calls were wrong, "
                f"against {_share(every)} of all."
            )
    return lines


def _share(figure: Mapping[str, Any]) -> str:
    """Return a share with its interval in per cent."""
    if figure.get("value") is None:
        return "none"
    low, high = figure.get("low"), figure.get("high")
    ends = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * figure['value']:.1f} %{ends}"


def _safe(value: Any) -> str:
    from semeion.model.card import plain  # the card stands on this module

    return plain(value)
