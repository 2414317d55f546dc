"""What only an evaluation on other cases tells: who they are beside the model's own, what was lost, what would mend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.evidence import Evidence
from semeion.report.words import SHORT, SPLITS, figure_text, metric_name, number, percent, plural

KEYS = {"ici": "brier"}
"""Figures without a format of their own, and whose they take."""
NAMES = {"ici": "Mean distance from calibration (ICI)"}
VERDICTS = {
    "worse": "worse here",
    "better": "better here",
    "differs": "differs",
    "none": "no difference shown",
    "unknown": "not known",
}
MAPS = {
    "intercept": "Intercept alone",
    "temperature": "Slope alone (temperature)",
    "platt": "Slope and intercept",
    "beta": "Beta map",
    "isotonic": "Isotonic regression",
}
SHOWN = ("brier", "calibration_slope", "calibration_intercept", "ici")
_TITLES = {
    "brier": "Brier score",
    "calibration_slope": "Slope",
    "calibration_intercept": "Intercept",
    "ici": "ICI",
}


_CORRECTED = ("recall", "specificity", "precision", "brier", "calibration_slope", "calibration_intercept")
"""Figures that are shown with corrected probabilities."""


def elsewhere(evidence: Evidence) -> dict[str, Any] | None:
    """Return the content of the section, None where the evidence is no evaluation of a finished model.

    What is printed stands in words, and beside it, as ``values`` or ``figure``, the numbers as the evidence has them.
    """
    if evidence.case_mix is None and evidence.drop is None and evidence.recalibration is None:
        return None
    return {
        "mix": _mix(evidence.case_mix),
        "drop": _drop(evidence.drop),
        "recalibration": _recalibration(evidence.recalibration),
        "adjusted": _adjusted(evidence),
    }


def _mix(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not found:
        return None
    groups = []
    for key in ("people", "cases"):
        part = found[key]
        if not part["rows"]:
            continue
        told = [
            {
                "title": row["title"],
                "unit": row["unit"],
                "lines": _lines(row),
                "difference": None if row["difference"] is None else number(row["difference"], 2),
                "notable": row["notable"],
                "reason": row["reason"],
                "values": {name: row[name] for name in ("internal", "external", "difference")},
            }
            for row in part["rows"]
        ]
        groups.append({**{name: part[name] for name in ("unit", "internal", "external")}, "rows": told})
    notable = [row["title"] for part in groups for row in part["rows"] if row["notable"]]
    return {"source": found["source"], "groups": groups, "notable": notable}


def _lines(row: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a line of words for a number, a line a level otherwise: ``{level, internal, external}``."""
    inside, outside = row["internal"], row["external"]
    if row["kind"] == "number":
        return [{"level": "", "internal": _number_words(inside), "external": _number_words(outside)}]
    names = list(dict.fromkeys([*(inside or {}).get("levels", {}), *(outside or {}).get("levels", {})]))
    lines = [
        {"level": name, "internal": _share_words(inside, name), "external": _share_words(outside, name)}
        for name in names
    ]
    return lines + _missing_line(inside, outside)


def _number_words(side: Mapping[str, Any] | None) -> str:
    if side is None:
        return "not known"
    if "range" in side:
        return f"from {_short(side['range'][0])} to {_short(side['range'][1])}"
    lost = f"; {side['missing']} not recorded" if side["missing"] else ""
    return f"{_short(side['median'])} ({_short(side['low'])} to {_short(side['high'])}){lost}"


def _share_words(side: Mapping[str, Any] | None, name: str) -> str:
    if side is None:
        return "not known"
    n = side["levels"].get(name, 0)
    return f"{n} ({percent(n, side['n'])})"


def _missing_line(inside: Mapping[str, Any] | None, outside: Mapping[str, Any] | None) -> list[dict[str, str]]:
    counts = [None if side is None else int(side["missing"]) for side in (inside, outside)]
    if not any(counts):
        return []
    told = ["not known" if count is None else str(count) for count in counts]
    return [{"level": "not recorded", "internal": told[0], "external": told[1]}]


def _short(value: float) -> str:
    return f"{value:.4g}"


def _drop(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    parts = []
    for target, figures in found["targets"].items():
        rows = []
        for key, figure in figures.items():
            gap, shape = figure["difference"], KEYS.get(key, key)
            rows.append(
                {
                    "key": key,
                    "name": NAMES.get(key) or SHORT.get(key) or metric_name(key),
                    "internal": _value(shape, figure["internal"]),
                    "external": _value(shape, figure["external"]),
                    "difference": _signed(gap),
                    "interval": _span(gap),
                    "verdict": VERDICTS[figure["verdict"]],
                    "kind": figure["verdict"],
                    "reason": gap.get("reason", ""),
                    "values": {
                        **{name: figure[name] for name in ("internal", "external")},
                        "difference": _figure(gap),
                    },
                }
            )
        parts.append({"target": target if len(found["targets"]) > 1 else None, "rows": rows})
    split = found.get("split") or ""
    return {
        "source": found.get("source"),
        "split_words": SPLITS.get(split, split),
        "out_of_fold": split == "oof",
        "parts": parts,
        "reason": found.get("reason", ""),
        "sentence": _drop_sentence(parts),
    }


def _drop_sentence(parts: list[dict[str, Any]]) -> str:
    rows = [row for part in parts for row in part["rows"]]
    worse = list(dict.fromkeys(row["name"] for row in rows if row["kind"] == "worse"))
    if worse:
        return f"Worse here than on the model's own held-out cases, beyond chance: {', '.join(worse)}."
    known = [row for row in rows if row["kind"] in ("none", "better", "differs")]
    return "No figure is shown to be worse here. Wide intervals may hide a loss." if known else ""


def _value(key: str, value: float | None) -> str:
    return "–" if value is None else figure_text(key, {"value": value, "low": None, "high": None, "reason": None})


def _signed(gap: Mapping[str, Any]) -> str:
    return "–" if gap["value"] is None else f"{gap['value']:+.3f}".replace("-", "\N{MINUS SIGN}")


def _span(gap: Mapping[str, Any]) -> str:
    if gap["low"] is None or gap["high"] is None:
        return ""
    return f"{gap['low']:+.3f} to {gap['high']:+.3f}".replace("-", "\N{MINUS SIGN}")


def _recalibration(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    parts = []
    for target, one in found["targets"].items():
        rows = [] if not one["before"] else [_map_row("As they are", one["before"], None)]
        for kind, each in one["maps"].items():
            name = MAPS.get(kind, kind)
            if "after" in each:
                row = _map_row(name, each["after"], each["difference"])
                rows.append({**row, "best": kind == one["best"]})
            else:
                none = {"figures": [], "best": False, "difference": "", "gain": None}
                rows.append({"name": name, "reason": each["reason"], **none})
        needed = one.get("needed") or {"tried": [], "patients": None}
        parts.append(
            {
                "target": target if len(found["targets"]) > 1 else None,
                "rows": rows,
                "tried": needed["tried"],
                "patients_needed": needed["patients"],
                "columns": [_TITLES[key] for key in SHOWN if key in one["before"]],
                "n": one["n"],
                "n_patients": one["n_patients"],
                "folds": one["folds"],
                "sentence": _would(one),
                "needed": _needed(one),
            }
        )
    return {"parts": parts}


def _map_row(name: str, figures: Mapping[str, Any], difference: Mapping[str, Any] | None) -> dict[str, Any]:
    shown = [
        {
            "key": key,
            "title": _TITLES[key],
            "value": _plain(figures[key]),
            "interval": _between(figures[key]),
            "figure": _figure(figures[key]),
        }
        for key in SHOWN
        if key in figures
    ]
    words, gap = "", None if difference is None else _figure(difference["log_loss"])
    if gap is not None and gap["value"] is not None:
        words = f"{_signed(gap)}{f' ({_span(gap)})' if _span(gap) else ''}"
    return {"name": name, "figures": shown, "difference": words, "gain": gap, "reason": "", "best": False}


def _figure(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a figure without what is said of it."""
    return {name: entry.get(name) for name in ("value", "low", "high", "n", "n_patients")}


def _plain(figure: Mapping[str, Any]) -> str:
    return "–" if figure["value"] is None else number(figure["value"], 3)


def _between(figure: Mapping[str, Any]) -> str:
    if figure["low"] is None or figure["high"] is None:
        return ""
    return f"{number(figure['low'], 3)} to {number(figure['high'], 3)}"


def _would(one: Mapping[str, Any]) -> str:
    if not one["maps"]:
        return f"It was {one['reason']}." if one["reason"].startswith("not tried") else f"{one['reason']}."
    if one["best"] is None:
        return f"Recalibrating is not shown to help here: {one['reason']}."
    chosen = MAPS[one["best"]].lower()
    return f"Recalibrating would help here; the simplest map that is as good as any is: {chosen}."


def _needed(one: Mapping[str, Any]) -> str:
    needed = one.get("needed")
    if not needed or not needed["tried"]:
        return ""
    if needed["patients"] is None:
        last = needed["tried"][-1]
        most, share = plural(last["patients"], "patient"), _percent(last["helped"])
        return f"Fitted on {most} of these, it helped the half left out in {share} of the draws; 95 % were not reached."
    enough = plural(needed["patients"], "patient")
    return f"Fitted on {enough} of these or more, it helped the half left out in at least 95 % of the draws."


def _adjusted(evidence: Evidence) -> dict[str, Any] | None:
    found = evidence.adjusted
    if not found:
        return None
    prevalence = found.get("prevalence")
    shares = []
    known = (found.get("by_labels") or {}).get("shares") or {}
    for place, name in enumerate(evidence.classes):
        values: dict[str, Any] = dict.fromkeys(("chosen", "here", "estimated", "low", "high"))
        if name in known:
            values |= known[name]
        if prevalence:
            entry = prevalence["at_use"][place]
            values["chosen"] = prevalence["prior"][place]
            values |= {"estimated": entry["value"], "low": entry["low"], "high": entry["high"]}
        words = {key: None if value is None else _percent(value) for key, value in values.items()}
        interval = "" if words["low"] is None else f"{words['low']} to {words['high']}"
        row = {key: words[key] for key in ("chosen", "here", "estimated")}
        shares.append({"name": name, **row, "interval": interval, "values": values})
    ways = []
    measured = {key: one.model_dump() for key, one in evidence.metrics.get("external", {}).items()}
    keys = [key for key in _CORRECTED if key in measured]
    for title, part in (("Estimated without labels", found), ("By the labels of these cases", found.get("by_labels"))):
        if not part or "external" not in part:
            continue
        point = part.get("operating_point")
        moved = None if point is None else {name: point[name] for name in ("value", "unadjusted")}
        told = None if point is None else _point_words(point)
        rows = [_corrected(key, part["external"].get(key)) for key in keys]
        ways.append({"title": title, "rows": rows, "point": told, "values": moved})
    before = [_corrected(key, measured[key]) for key in keys]
    return {"shares": shares, "ways": ways, "before": before, "reason": found.get("reason", "")}


def _corrected(key: str, figure: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a figure in words and numbers; a way that lacks it keeps its row, so that rows are of one figure."""
    name = SHORT.get(key, metric_name(key))
    if figure is None:
        return {"key": key, "name": name, "text": "–", "figure": None}
    return {"key": key, "name": name, "text": figure_text(key, {"reason": None, **figure}), "figure": _figure(figure)}


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"


def _point_words(point: Mapping[str, Any]) -> str:
    return f"{number(point['value'], 3)}, which is {number(point['unadjusted'], 3)} on the model's own scale"
