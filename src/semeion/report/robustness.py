"""How figures fall when images are made worse: noise, blur, less contrast, a cut field, a turn, JPEG, a lower dose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.evidence import Evidence
from semeion.report.reading import Artefacts
from semeion.report.robustness_figures import curve
from semeion.report.words import SHORT, figure_interval, figure_text, figure_value, metric_name, number, percent, plural

SPLIT = "test"
COLUMNS = {
    "binary": ("auroc", "recall", "specificity"),
    "multilabel": ("auroc", "recall", "specificity"),
    "multiclass": ("auroc", "balanced_accuracy"),
    "ordinal": ("auroc", "balanced_accuracy", "kappa_quadratic"),
    "regression": ("mae",),
}
"""Figures of the table; the first is drawn."""
TITLES = {
    "noise": "Noise",
    "blur": "Blur",
    "contrast": "Less contrast",
    "crop": "Cut field of view",
    "rotation": "Turned",
    "jpeg": "JPEG compression",
    "low_dose": "Lower dose",
}
_WORDS = {
    "noise": "noise of {} {}",
    "blur": "a blur of {} {}",
    "contrast": "{} {} left",
    "crop": "{} {} cut away",
    "rotation": "a turn by {} {}",
    "jpeg": "JPEG of quality {}",
    "low_dose": "{} {}",
}
OTHER_FILES = 1e-3
"""Difference of probabilities of the images as they are from which other files must have been read."""
_MANY = 0.1
"""Share of calls that change which is told."""


def robustness_content(found: Artefacts) -> dict[str, Any] | None:
    """Return the section's content; None where the page is of predictions or of other cases than the run's own."""
    evidence = found.evidence
    if evidence.weighed is not None or set(evidence.metrics) <= {"external"}:
        return None
    about = (evidence.robustness or {}).get("about") or _unasked(evidence)
    if not about["measured"]:
        return {"measured": False, "reason": about["reason"], "command": about["command"]}
    columns = COLUMNS[evidence.task]
    main, extra = columns[0], "shift" if evidence.task == "regression" else "changed"
    parts = [_part(evidence, name, about, columns, extra, found) for name in TITLES if name in _curves(evidence)]
    return {
        "measured": True,
        "n": about["n"],
        "n_patients": about["n_patients"] if evidence.has_patients is not False else None,
        "of_patients": about["of_patients"],
        "drawn": about["n_patients"] < about["of_patients"],
        "versions": sum(len(part["rows"]) for part in parts),
        "main": {"key": main, "name": SHORT.get(main, metric_name(main))},
        "columns": [{"key": key, "name": SHORT.get(key, metric_name(key))} for key in columns],
        "extra": {"key": extra, "name": "Moved, mean" if extra == "shift" else "Calls changed"},
        "undegraded": {key: _plain(about["undegraded"][key]) for key in columns},
        "falls": falls_words(evidence),
        "changes": "" if extra == "shift" else changes_words(evidence),
        "parts": parts,
        "not_applicable": [{"title": TITLES[name], "reason": why} for name, why in about["not_applicable"].items()],
        "other_files": about["largest_deviation"] if (about["largest_deviation"] or 0) > OTHER_FILES else None,
        "case": found.strips.get("case_id"),
    }


def _unasked(evidence: Evidence) -> dict[str, Any]:
    """Return what is said of a run whose evidence does not speak of it."""
    reason, command = "it was not asked for", "semeion audit RUN --full"
    if evidence.measured is not None:
        reason, command = "a diagnosis from measurements is not read from images made worse by this version", ""
    elif SPLIT not in evidence.metrics:
        reason, command = "there are no test cases", ""
    return {"measured": False, "reason": reason, "command": command or None}


def robustness_pictures(content: Mapping[str, Any] | None) -> dict[str, str]:
    """Return a small picture of each degradation, ``robust-noise`` and on; all have one scale."""
    if not content or not content["measured"]:
        return {}
    main = content["main"]
    whole = content["undegraded"][main["key"]]
    rows = [row["figures"][main["key"]] for part in content["parts"] for row in part["rows"]]
    ends = [value for one in (*rows, whole) for value in (one["value"], one["low"], one["high"]) if value is not None]
    if not ends:
        return {}
    top = 1.0 if main["key"] != "mae" else 1.05 * max(ends)
    span = (min(0.5, *ends) if main["key"] != "mae" else 0.0, top)
    return {
        f"robust-{part['name']}": curve(f"robust-{part['name']}", part, main, whole, span) for part in content["parts"]
    }


def strength_words(name: str, strength: float, unit: str) -> str:
    """Return a strength in words: ``a blur of 1 pixel of the network's input``."""
    one = unit.replace("pixels", "pixel", 1).replace("voxels", "voxel", 1) if strength == 1 else unit
    return _WORDS[name].format(f"{strength:g}", one)


def falls_words(evidence: Evidence) -> str:
    """Return in a sentence under what the first figure falls first beyond its interval; empty when not measured."""
    found = evidence.robustness or {}
    about = found.get("about") or {}
    if not about.get("measured"):
        return ""
    first, main = about["falls_first"], COLUMNS[evidence.task][0]
    name = SHORT.get(main, metric_name(main))
    verb = "rises" if main == "mae" else "falls"
    if first is None:
        gains = [entry["difference"].get(main) or {} for curve in _curves(evidence).values() for entry in curve]
        if all(_holds_none(gain) for gain in gains):
            return (
                f"At no strength tried is it shown that {name} {verb}: the interval of the difference always holds 0."
            )
        return (
            f"It is shown of no strength tried that {name} {verb} there and at every stronger one. Not every interval "
            "of the difference is known and holds 0: see the table."
        )
    entries = _curves(evidence)[first["degradation"]]
    entry = entries[first["step"]]
    words = strength_words(first["degradation"], entry["strength"], entry["unit"])
    gain = _signed(entry["difference"][main])
    step = ("mildest", "second", "third", "fourth", "fifth")[first["step"]]
    which = f"the {step} of {len(entries)} strengths"
    return (
        f"{name} {verb} beyond its interval first with {words}, {which}: "
        f"{figure_text(main, entry['metrics'][main])} against {figure_text(main, about['undegraded'][main])} on the "
        f"images as they are; difference {gain['value']} ({gain['interval']})."
    )


def _holds_none(gain: Mapping[str, Any]) -> bool:
    """Tell whether the interval of a difference is known and holds 0."""
    low, high = gain.get("low"), gain.get("high")
    return low is not None and high is not None and low <= 0 <= high


def changes_words(evidence: Evidence) -> str:
    """Return in a sentence from where on one call in ten or more is another."""
    told = []
    for name, entries in _curves(evidence).items():
        for entry in entries:
            share = entry["metrics"]["changed"]["value"]
            if share is not None and share >= _MANY:
                words = strength_words(name, entry["strength"], entry["unit"])
                told.append((share, f"{words} ({percent(share, 1)})"))
                break
    if not told:
        return "At no strength tried does one call in ten differ from that on the image as it is."
    listed = "; ".join(words for _, words in sorted(told, reverse=True))
    return f"One call in ten or more differs, at the same operating point, from: {listed}."


def _curves(evidence: Evidence) -> dict[str, Any]:
    return (evidence.robustness or {}).get(SPLIT) or {}


def _part(
    evidence: Evidence, name: str, about: dict[str, Any], columns: tuple[str, ...], extra: str, found: Artefacts
) -> dict[str, Any]:
    entries = _curves(evidence)[name]
    strips = {strip["degradation"]: strip["file"] for strip in found.strips.get("strips", [])}
    rows = [
        {
            "strength": entry["strength"],
            "label": f"{entry['strength']:g}",
            "words": strength_words(name, entry["strength"], entry["unit"]),
            "figures": {key: _plain(entry["metrics"][key]) for key in columns},
            "difference": _signed(entry["difference"][columns[0]]),
            "extra": _extra(extra, entry["metrics"][extra]),
        }
        for entry in entries
    ]
    told = about["degradations"][name]
    return {
        "name": name,
        "title": TITLES[name],
        "unit": told["unit"],
        "how": told["how"],
        "rows": rows,
        "strip": strips.get(name),
    }


def _plain(figure: Mapping[str, Any]) -> dict[str, Any]:
    return {key: figure.get(key) for key in ("value", "low", "high", "n", "n_patients", "reason")}


def _signed(gain: Mapping[str, Any]) -> dict[str, str]:
    """Return ``−0.020`` and ``−0.051 to −0.005``."""
    known = gain["low"] is not None and gain["high"] is not None
    value = "not defined" if gain["value"] is None else number(gain["value"])
    return {"value": value, "interval": f"{number(gain['low'])} to {number(gain['high'])}" if known else ""}


def _extra(key: str, figure: Mapping[str, Any]) -> dict[str, str]:
    """Return ``14 %`` and ``9.4 % to 20 %`` of a share; of a distance both in the unit of the target."""
    known = figure["low"] is not None and figure["high"] is not None
    if key == "shift":
        return {"value": figure_value("mae", dict(figure)), "interval": figure_interval("mae", dict(figure))}
    if figure["value"] is None:
        return {"value": "not defined", "interval": ""}
    interval = f"{percent(figure['low'], 1)} to {percent(figure['high'], 1)}" if known else ""
    return {"value": percent(figure["value"], 1), "interval": interval}


def failure_row(evidence: Evidence) -> list[dict[str, str]]:
    """Return what the first page tells of it among the known failures; nothing where nothing is shown to fall."""
    about = (evidence.robustness or {}).get("about") or {}
    told = falls_words(evidence) if about.get("falls_first") else ""
    return [{"kind": "robustness", "name": "robustness", "text": told}] if told else []


def summary_words(evidence: Evidence) -> str:
    """Return what the reporting standards are told; empty when not measured."""
    told = falls_words(evidence)
    if not told:
        return ""
    about = (evidence.robustness or {})["about"]
    done = ", ".join(TITLES[name].lower() for name in _curves(evidence))
    return f"Of {plural(about['n'], 'test case')} made worse ({done}): {told}"
