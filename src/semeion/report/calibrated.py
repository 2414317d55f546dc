"""What calibration did: which maps were tried, which one ships and why, and how honest probabilities became."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.evidence import Evidence, Metric
from semeion.report.words import SPLITS, number, plural

MAPS = {
    "identity": "left as they are",
    "temperature": "a temperature",
    "platt": "Platt's slope and intercept",
    "beta": "a beta map",
    "isotonic": "isotonic regression",
}
"""Kinds of maps, from the simplest to the most flexible."""
FIGURES = {
    "log_loss": ("Log loss", "lower is better"),
    "brier": ("Brier score", "lower is better"),
    "calibration_slope": ("Calibration slope", "1 is best"),
    "calibration_intercept": ("Calibration intercept", "0 is best"),
    "ici": ("Mean distance of probability and observed frequency", "ICI, 0 is best"),
    "ece_adaptive": ("The same in bins", "0 is best"),
}
_SHOWN = ("test", "oof")
_IN_SHORT = ("log_loss", "brier", "ici")
_FITTED = {"oof": "out-of-fold cases", "val": "validation cases"}


def calibrated(evidence: Evidence) -> dict[str, Any] | None:
    """Return the content of the section, None where the evidence does not say how the calibration was chosen."""
    made = evidence.calibration or {}
    if not isinstance(made.get("validation"), Mapping):
        return None
    compared = {**evidence.calibrated, "validation": made["validation"]}
    averaged = evidence.measured is not None and bool(evidence.measured.parts)
    on = _FITTED.get(str(made.get("fitted_on", "")), str(made.get("fitted_on", "")))
    split = next((name for name in _SHOWN if compared.get(name)), None)
    chose = "The cases that chose, each by a map fitted without it"
    shown = [("validation", f"{chose}; measurements alone" if averaged else chose)]
    if split is not None:
        name = SPLITS[split][:1].upper() + SPLITS[split][1:]
        shown.insert(0, (split, f"{name}; the average of measurements and image networks" if averaged else name))
    if "by_target" in made:
        labels = [_label(name, told, compared, shown[0][0]) for name, told in made["by_target"].items()]
        lead = f"Each label has a calibration of its own, fitted on {on}."
        lead = f"{lead} {_order(evidence.task, split)}"
        content = {"lead": lead, "tried": [], "folds": None, "tables": [], "labels": labels, "of": shown}
        return {**content, "chose": split is None}
    target = evidence.target
    return {
        "lead": " ".join(
            filter(None, [_lead(made, on, averaged), _why(made), "" if averaged else _order(evidence.task, split)])
        ),
        "tried": _tried(made),
        "folds": made.get("folds"),
        "tables": [{"title": title, **_table(compared.get(key, {}).get(target, {}))} for key, title in shown],
        "labels": [],
        "of": shown,
        "chose": bool(made.get("tried")),
    }


def _lead(made: Mapping[str, Any], on: str, averaged: bool) -> str:
    cases = f"{made['n']} {on}" if isinstance(made.get("n"), int) else on
    what = "The probabilities that come from measurements" if averaged else "The model's probabilities"
    if made["method"] == "identity":
        return f"{what} were left as they are{f', as {cases} advise' if made.get('tried') else ''}."
    value = f" of {number(made['value'], 2)}" if isinstance(made.get("value"), int | float) else ""
    return f"{what} were calibrated by {MAPS[made['method']]}{value}, fitted on {cases}."


def _order(task: str, split: str | None) -> str:
    """Return what calibration does to figures of ranking."""
    if split == "oof":
        return "Each fold has a calibration of its own, so that cases of different folds may change places."
    if task in ("binary", "multilabel"):
        return "The order of cases, and so AUROC, is the same before and after."
    return ""


def _why(made: Mapping[str, Any]) -> str:
    """Return in a sentence why this map and no other."""
    losses = {row["kind"]: row["loss"] for row in made.get("tried", []) if row["loss"] is not None}
    if not losses:
        reason = str(made.get("reason", ""))
        return f"{reason[:1].upper()}{reason[1:]}." if reason else ""
    best = min(losses, key=lambda kind: losses[kind])
    if best == made["method"]:
        return f"Of {plural(len(losses), 'way')}, this one had the least log loss on patients left out."
    name = f"{MAPS[best][:1].upper()}{MAPS[best][1:]}" if best != "identity" else "Leaving them as they are"
    return (
        f"{name} had the least log loss on patients left out, but this one is simpler and lost no more than a standard "
        "error to it."
    )


def _tried(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": MAPS[row["kind"]][:1].upper() + MAPS[row["kind"]][1:],
            "chosen": row["kind"] == made["method"],
            **{key: row.get(key) for key in ("loss", "excess", "se", "reason")},
        }
        for row in made.get("tried", [])
    ]


def _table(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row a figure, before and after and their difference; or the reason why there is none."""
    if "before" not in told:
        return {"rows": [], "reason": told.get("reason", ""), "n": None, "same": False}
    rows = [
        {
            "name": name,
            "words": words,
            **{part: _metric(told[part], key) for part in ("before", "after", "difference")},
        }
        for key, (name, words) in FIGURES.items()
        if key in told["before"]
    ]
    same = told["before"] == told["after"]
    return {"rows": rows, "reason": "", "n": told["before"]["brier"]["n"], "same": same}


def _metric(figures: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    return Metric.model_validate(figures[key]).model_dump() if key in figures else None


def _label(name: str, told: Mapping[str, Any], compared: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return one label's row: its map, and its figures before and after in the split that the caption names."""
    here: Mapping[str, Any] = compared.get(key, {}).get(name, {})
    found: Mapping[str, Any] = here if "before" in here else {}
    return {
        "label": name,
        "map": MAPS[told["method"]],
        "why": _why(told),
        "figures": {
            key: {part: _metric(found[part], key) for part in ("before", "after")} if found else None
            for key in _IN_SHORT
        },
    }
