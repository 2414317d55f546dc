"""Sets of classes: what was promised, how often the truth was in them, and how large they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.report.words import percent, plural

MOST_ROWS = 24
"""Levels of subgroups on the page; evidence.json has all."""
RULES = {"marginal": "Made for all patients together", "per_class": "Made for each class by itself"}
_SIZES = (
    ("singletons", "One class", "an answer"),
    ("right_among_singletons", "Of these, the right one", "share of the answers"),
    ("several", "Several classes", "left to a reader"),
    ("empty", "No class", "no class is sure enough, left to a reader"),
    ("size", "Classes in a set", "mean"),
)


def class_sets(found: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any] | None:
    """Return what the page says of the sets of one question in one split, None where the evidence has nothing.

    Parameters
    ----------
    found
        ``sets.<split>`` of the evidence.
    classes
        In their order.

    Returns
    -------
    dict
        ``lead``, sentences; ``reason`` where nothing was measured; ``columns``, titles of the promises that were
        measured; ``sizes`` and ``coverage``: rows ``{name, words, cells}`` with a figure a column; ``remarks``;
        ``stated`` and ``picture``, rows for :func:`semeion.report.practice_figures.coverage_of_sets`.
    """
    if not found:
        return None
    stated, reason = found["stated"], str(found.get("reason", ""))
    rules = {key: found[key] for key in RULES if "coverage" in found.get(key, {})}
    remarks = _remarks(found, rules)
    if not rules:
        return {"lead": "", "reason": reason, "columns": [], "sizes": [], "coverage": [], "remarks": remarks}
    sizes = [
        {"name": name, "words": words, "cells": [one[key] for one in rules.values()]} for key, name, words in _SIZES
    ]
    coverage = _coverage(rules, classes)
    return {
        "stated": stated,
        # A model that is weighed elsewhere brings one rule alone.
        "lead": _lead(stated, next(iter(rules.values())), rules.get("per_class", {})),
        "reason": reason,
        "columns": [RULES[key] for key in rules],
        "sizes": sizes,
        "coverage": coverage,
        "remarks": remarks,
        "picture": [(row["name"], row["cells"][-1]) for row in coverage if row["words"] != "patients"],
    }


def _coverage(rules: Mapping[str, Mapping[str, Any]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of how often the truth was in the set: patients, cases, classes, levels of subgroups."""
    rows: list[dict[str, Any]] = [
        {"name": "All cases", "words": "", "cells": [one["coverage"] for one in rules.values()]}
    ]
    cells = [one["patient_coverage"] for one in rules.values()]
    if any(cell["n"] != one["coverage"]["n"] for cell, one in zip(cells, rules.values(), strict=True)):
        rows.insert(0, {"name": "All patients, every case of theirs", "words": "patients", "cells": cells})
    for name in classes:
        cells = [one["by_class"].get(name, {}).get("coverage") for one in rules.values()]
        rows.append({"name": name, "words": "class", "cells": cells})
    levels = [(column, level) for column, found in next(iter(rules.values()))["groups"].items() for level in found]
    for column, level in levels[:MOST_ROWS]:
        cells = [one["groups"][column][level]["coverage"] for one in rules.values()]
        rows.append({"name": level, "words": column.replace("_", " "), "cells": cells})
    return [row for row in rows if any(cell is not None and cell["value"] is not None for cell in row["cells"])]


def _short_classes(per_class: Mapping[str, Any]) -> str:
    """Return the classes whose sets held less than chance explains, joined."""
    each = per_class.get("by_class", {}).items()
    names = [name for name, one in each if "expected" in one and one["coverage"]["value"] < one["expected"]["low"]]
    return " and ".join(names) if len(names) < 3 else plural(len(names), "class", "classes")


def _lead(stated: float, marginal: Mapping[str, Any], per_class: Mapping[str, Any]) -> list[str]:
    """Return the sentences for a reader who sees findings."""
    held, one, right = (marginal[key] for key in ("patient_coverage", "singletons", "right_among_singletons"))
    sentences = ["Beside one call, a model can name every class that it cannot rule out."]
    made = f"Such sets are made to hold the truth of {percent(stated, 1)} of patients"
    sentences.append(f"{made}; here they held that of {percent(held['value'], 1)}{_interval(held)}.")
    expected = marginal.get("expected")
    if expected and held["value"] < expected["low"]:
        sentences.append(
            f"That is less than chance explains ({_range(expected)} was to be expected): these patients are not like "
            "those that the sets were calibrated on."
        )
    elif expected:
        sentences.append(f"By chance {_range(expected)} was to be expected of so many patients.")
    hidden = [
        f"{percent(one['coverage']['value'], 1)} of the {name} cases"
        for name, one in marginal["by_class"].items()
        if one["coverage"]["high"] is not None and one["coverage"]["high"] < stated
    ]
    if hidden:
        both = "coverage" in per_class and per_class is not marginal
        more = "; sets made for each class by itself are larger, and hold each alike" if both else ""
        sentences.append(f"That is an average: they hold the truth of {' and '.join(hidden[:3])}{more}.")
    short = _short_classes(per_class) if per_class is not marginal else ""
    if short:
        sentences.append(f"Even made for each class by itself, they hold {short} less often than chance explains.")
    if one["value"] is not None:
        answers = f"In {percent(one['value'], 1)} of the cases the set is a single class"
        rightly = ""
        if right["value"] is not None:
            rightly = f", and it is the right one in {percent(right['value'], 1)} of these"
        sentences.append(f"{answers}{rightly}; the others would be left to a reader.")
    return sentences


def _remarks(found: Mapping[str, Any], rules: Mapping[str, Any]) -> list[str]:
    """Return who calibrated, what exactly is promised, and why a promise is lacking."""
    remarks = []
    made = found.get("calibration")
    if made:
        remarks.append(
            f"Calibrated on {plural(made['n'], 'case')} of {plural(made['n_patients'], 'patient')}; "
            f"method: {found['method']}."
        )
    promises = list(dict.fromkeys(str(found[key]["promise"]) for key in RULES if "promise" in found.get(key, {})))
    remarks += [f"The promise: {text}" for text in promises]
    remarks += [f"{RULES[key]}: {found[key]['reason']}" for key in RULES if "reason" in found.get(key, {})]
    if rules and any(len(levels) for levels in next(iter(rules.values()))["groups"].values()):
        remarks.append("Nothing is promised for a subgroup: the table shows what was measured.")
    return remarks


def _interval(figure: Mapping[str, Any]) -> str:
    if figure["low"] is None or figure["high"] is None:
        return ""
    return f" ({percent(figure['low'], 1)} to {percent(figure['high'], 1)})"


def _range(expected: Mapping[str, float]) -> str:
    return f"{percent(expected['low'], 1)} to {percent(expected['high'], 1)}"
