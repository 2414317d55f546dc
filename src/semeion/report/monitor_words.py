"""What a model in service is watched by, in words, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from semeion.report.words import percent, plural, significant

_NAMES = {
    "mean": "mean grey value",
    "sd": "contrast (standard deviation of grey values)",
    "p05": "dark end of grey values (5th percentile)",
    "p50": "median grey value",
    "p95": "bright end of grey values (95th percentile)",
    "sharpness": "sharpness",
    "size_i": "columns of the image",
    "size_j": "rows of the image",
    "size_k": "slices of the image",
    "spacing_i": "spacing between columns in mm",
    "spacing_j": "spacing between rows in mm",
    "spacing_k": "spacing between slices in mm",
    "feature_distance": "distance of the features from the training cases",
    "features": "features together",
    "value": "measured value",
    "abstained": "share set aside as unlike the training cases",
}
_TESTS = {
    "psi": "population stability index",
    "ks": "Kolmogorov-Smirnov",
    "mmd": "maximum mean discrepancy",
    "case by case": "case by case",
}
FAMILIES = {
    "inputs": "Images",
    "features": "Features",
    "probabilities": "Probabilities",
    "prevalence": "What is called",
    "abstained": "Abstaining",
}


def statistic_name(name: str) -> str:
    """Return what a statistic is, in words."""
    if name in _NAMES:
        return _NAMES[name]
    if name.startswith("feature_"):
        return f"feature direction {int(name.removeprefix('feature_')) + 1}"
    if name.startswith("p_"):
        return f"probability of {unquote(name.removeprefix('p_'))}"
    return f"share {name}" if name.startswith("called ") else name


def test_name(name: str) -> str:
    """Return what a comparison is, in words."""
    return _TESTS.get(name, name)


def stream_name(name: str, kind: str) -> str:
    """Return whose cases are watched."""
    return "all cases" if kind == "all" else f"{kind} {name}"


def sentences(found: Mapping[str, Any]) -> list[str]:
    """Return what one should take away from the content of ``monitor.json``."""
    said = [f"{plural(found['n'], 'case')} from {found['from'][:10]} to {found['to'][:10]}, beside the training cases."]
    alarms = found["alarms"]
    rate = percent(found["false_alarms"]["rate"], 1)
    if found["n"] < found["fewest"]:
        more = found["fewest"] - found["n"]
        said.append(
            f"Too few to say anything: at least {found['fewest']} are needed, {more} more. No alarm can be raised."
        )
    elif not alarms:
        said.append(f"No alarm. Where nothing changes, at most {rate} of services ever raise one.")
    else:
        more = len({(one["of"], one["stream"], one["statistic"]) for one in alarms}) - 1
        said.append(
            f"ALARM: {alarm_words(alarms[0])}"
            + (f" {plural(more, 'more change')} of what is watched: see the page." if more else "")
        )
        said.append(f"Where nothing changes, at most {rate} of services ever raise an alarm.")
    labels = found.get("labels")
    if labels:
        said.append(f"Labels came for {plural(labels['n'], 'case')} of {plural(labels['n_patients'], 'patient')}.")
    return said


def alarm_words(alarm: Mapping[str, Any]) -> str:
    """Return an alarm as a sentence."""
    what = statistic_name(alarm["statistic"])
    whose = stream_name(alarm["stream"], alarm["of"])
    if alarm["after"] is not None:
        return f"{what} of {whose} changed, seen after {plural(alarm['after'], 'case')} on {alarm['time'][:10]}."
    value = significant(alarm["value"])
    return f"{what} of {whose} changed, seen in {alarm['period']} ({test_name(alarm['kind'])} {value})."
