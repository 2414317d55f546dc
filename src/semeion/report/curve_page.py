"""``curve.html`` and ``curve.json``: what more patients bring, and how many cases an interval needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semeion.artefacts import write_bytes, write_json
from semeion.report.curve_figures import learning_curve
from semeion.report.render import render
from semeion.report.words import (
    SHORT,
    TASKS,
    TERMS,
    count,
    duration,
    figure_interval,
    figure_text,
    figure_value,
    metric_meaning,
    metric_name,
    number,
    percent,
    plural,
    significant,
)

_TERMS = ("95 % interval", "Out-of-fold", "Fold")
_LAW = {
    "term": "Inverse power law",
    "meaning": "Errors of what learns fall fast at first and slowly later, towards a floor that no number of patients "
    "of this kind gets below: error(n) = a + b n^-c, with a, b and c fitted to the points.",
}


def write_curve(folder: Path, curve: dict[str, Any]) -> None:
    """Write ``curve.json`` and ``curve.html`` into `folder`, each whole or not at all.

    Parameters
    ----------
    folder
        Made when absent.
    curve
        The content of ``curve.json``; ``sentences`` is added to it.

    Raises
    ------
    MachineError
        When the folder cannot be written.
    """
    curve["sentences"] = sentences(curve)
    drawn = {"curve": learning_curve("curve", curve)}
    page = render("curve.html.j2", script=None, pictures=drawn, **curve_content(curve))
    write_json(folder / "curve.json", curve)
    write_bytes(folder / "curve.html", page)


def sentences(curve: Mapping[str, Any]) -> list[str]:
    """Return what a clinician should take away: the present figure, what doubling brings, what an interval needs."""
    key, points, beyond = curve["metric"], curve["points"], curve["beyond"]
    name, last = _name(key), points[-1]
    learned, scored = plural(last["patients"], "patient"), plural(curve["scored"]["n"], "case")
    found = [f"Learned from {learned}, the {name} is {figure_text(key, last)} on {scored} that were not learned from."]
    double = next((row for row in beyond["points"] if row["times"] == 2.0), None)
    if double is not None:
        now, ends = beyond["from"], (count(beyond["from"]["patients"]), count(double["patients"]))
        verb = "raise" if curve["better"] == "higher" else "lower"
        moved = figure_value(key, {"value": abs(double["gain"]["value"])}).strip("0.") != ""
        told = (
            f"is expected to {verb} the {name} along the fitted curve from {figure_value(key, now)} to "
            f"{figure_text(key, double)}"
            if moved
            else f"is not expected to change the {name}, along the fitted curve {figure_text(key, double)} then"
        )
        found.append(
            f"Doubling the training patients from {ends[0]} to {ends[1]} {told}: a change of "
            f"{_change(key, double['gain'])}. This is a guess from the shape of the curve."
        )
    else:
        found.append(f"What more patients would bring cannot be said: {beyond['reason']}.")
    wanted = curve["wanted"]
    first = wanted["figures"][0] if wanted["figures"] else None
    if first is not None:
        aim = f"an interval of the {_name(first['figure'])} no wider than {_plain(wanted['width'])}"
        if first["n_needed"] is None:
            found.append(f"For {aim}: {first['reason']}.")
        else:
            of = "" if len(first["needed"]) < 2 else f" ({_shares(first['needed'], first['n_needed'])})"
            has = f"these {plural(first['n'], 'case')} give one {_plain(first['width'])} wide"
            found.append(f"For {aim}, about {plural(first['n_needed'], 'case')} must be tested{of}; {has}.")
    return found


def curve_content(curve: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows, from the content of ``curve.json``."""
    key, beyond, scored = curve["metric"], curve["beyond"], curve["scored"]
    return {
        "semeion": curve["semeion"],
        "created": curve["created"],
        "synthetic": curve["synthetic"],
        "target": curve["target"],
        "task_words": TASKS[curve["task"]],
        "positive": curve["positive"],
        "source": curve["source"],
        "sentences": curve.get("sentences") or sentences(curve),
        "metric": metric_name(key),
        "short": SHORT.get(key, metric_name(key)),
        "better": curve["better"],
        "learner": curve["learner"]["words"],
        "scored": scored,
        "scored_words": _scored_words(curve),
        "points": [
            {
                **row,
                "figure": figure_value(key, row),
                "interval": figure_interval(key, row),
                "between": _plain(row["between"]),
            }
            for row in curve["points"]
        ],
        "gained": {**curve["gained"], "text": _change(key, curve["gained"])},
        "beyond": [
            {
                "times": _plain(row["times"]),
                "patients": row["patients"],
                "figure": figure_value(key, row),
                "interval": figure_interval(key, row),
                "gain": _change(key, row["gain"]),
            }
            for row in beyond["points"]
        ],
        "reason": beyond["reason"],
        "picture_words": _picture_words(curve),
        "reach": _plain(beyond["reach"]),
        "law": {name: significant(curve["law"][name]) for name in ("a", "b", "c")} | {"error": curve["law"]["error"]},
        "width": _plain(curve["wanted"]["width"]),
        "asked": curve["wanted"]["asked"],
        "threshold": None if curve["wanted"]["threshold"] is None else number(curve["wanted"]["threshold"]),
        "wanted": [_wanted(row) for row in curve["wanted"]["figures"]],
        "methods": _methods(curve["wanted"]["figures"]),
        "draws": curve["draws"],
        "resamples": curve["resamples"],
        "put_aside": curve["test_cases_put_aside"],
        "took": duration(curve["budget"]["used_seconds"]),
        "budget": duration(curve["budget"]["asked_seconds"]),
        "seed": curve["seed"],
        "notes": curve["notes"],
        "terms": [
            {"term": metric_name(key), "meaning": metric_meaning(key, curve["task"])},
            *({"term": term, "meaning": TERMS[term]} for term in _TERMS if term == "95 % interval" or scored["folds"]),
            _LAW,
        ],
    }


def _picture_words(curve: Mapping[str, Any]) -> str:
    words = "Squares: mean over draws, with 95 % intervals."
    if curve["beyond"]["reason"]:
        return words
    return f"{words} Line and band: the power law through them; dashed, beyond the patients there are, it is a guess."


def _wanted(row: Mapping[str, Any]) -> dict[str, Any]:
    figure = row["figure"]
    return {
        "name": _short(figure),
        "value": figure_value(figure, dict(row)),
        "interval": figure_interval(figure, dict(row)),
        "width": _plain(row["width"]),
        "n": row["n"],
        "cases": _classes(row["cases"]) if set(row["cases"]) != {"all"} else "",
        "n_needed": row["n_needed"],
        "needed": _shares(row["needed"], row["n_needed"]) if row["needed"] and set(row["needed"]) != {"all"} else "",
        "reason": row["reason"],
    }


def _methods(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each method once, with the figures that it is of."""
    named: dict[str, list[str]] = {}
    for row in rows:
        named.setdefault(row["method"], []).append(_short(row["figure"]))
    return [f"{', '.join(names)}: {method}" for method, names in named.items()]


def _shares(needed: Mapping[str, int], total: int) -> str:
    """Return ``42 (27 %) malignant, 114 (73 %) benign``."""
    return ", ".join(f"{count(n)} ({percent(n, total)}) {name}" for name, n in needed.items())


def _classes(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count(n)} {name}" for name, n in counts.items())


def _scored_words(curve: Mapping[str, Any]) -> str:
    scored = curve["scored"]
    whom = plural(scored["n"], "case")
    if curve["has_patients"]:
        whom += f" of {plural(scored['n_patients'], 'patient')}"
    if scored["scheme"] == "given":
        return f"the {whom} of the validation split, the same ones at every size"
    return f"the {whom} of {scored['folds']} folds, each by what was learned from the other folds"


def _short(key: str) -> str:
    return SHORT.get(key, metric_name(key))


def _name(key: str) -> str:
    """Return a figure's name as it stands within a sentence; abbreviations and persons keep their capital."""
    name = _short(key)
    return name[0].lower() + name[1:] if name[1:2].islower() and not name.startswith("Brier") else name


def _plain(value: float) -> str:
    """Return a width or a number of times, short: 0.1, 0.24, 2, 1.5."""
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.4g}"


def _signed(key: str, value: float) -> str:
    text = figure_value(key, {"value": value})
    return f"+{text}" if value > 0 and text.strip("0.") else text


def _change(key: str, gain: Mapping[str, Any]) -> str:
    return f"{_signed(key, gain['value'])} ({_signed(key, gain['low'])} to {_signed(key, gain['high'])})"
