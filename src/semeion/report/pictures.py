"""From the content of a report to its pictures: which are drawn, under which name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.report import figures
from semeion.report.words import SHORT

_MOST_PARTS = 12
"""Labels of a multi-label target that get pictures of their own; the table has all."""
_MOST_CLASSES = 30
"""Classes of a confusion matrix that can still be read in a picture."""
_MOST_LEVELS = 30
_UNBOUNDED = ("mae", "rmse", "bias", "r2", "grade_distance")
"""Figures that do not lie between 0 and 1."""


def draw(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the inline SVG of every picture of the report by its name.

    Names are ``roc``, ``pr``, ``calibration``, ``confusion``, ``scatter``, ``residuals``; per yes-or-no question
    ``roc-0`` ...; per stratum column and figure ``strata-0-0`` ....
    """
    shown = content["performance"]
    pictures: dict[str, str] = {}
    for index, part in enumerate(shown["parts"][:_MOST_PARTS]):
        pictures |= _part(part, f"-{index}")
    if len(shown["parts"]) > 1:
        curves = {part["target"]: part["curves"] for part in shown["parts"]}
        pictures |= _several(_hardest(curves, {p["target"]: p["figures"].get("auroc", {}) for p in shown["parts"]}))
    elif shown["curves"]:
        areas = {row["class"]: row["figures"].get("auroc", {}) for row in shown["per_class"]}
        pictures |= _several(_hardest(shown["curves"], areas))
    matrix = shown["confusion"]
    if matrix and len(matrix["classes"]) <= _MOST_CLASSES:
        pictures["confusion"] = figures.confusion("confusion", matrix["classes"], matrix["counts"])
    if shown["scatter"]:
        pictures |= _values(shown["scatter"], content["question"]["target"], shown["agreement"])
    for index, section in enumerate(content["strata"]):
        for place, key in enumerate(section["keys"][:2]):
            pictures |= _stratum(section, key, f"strata-{index}-{place}")
    return pictures


def shipped_counts(part: Mapping[str, Any]) -> Mapping[str, int] | None:
    """Return tp, fp, tn, fn at the shipped point, where the slider starts; else those of the confusion matrix."""
    operating = part["operating"]
    if operating is None:
        counts: Mapping[str, int] | None = part["counts"]
        return counts
    return {name: operating[name][operating["start"]] for name in ("tp", "fp", "tn", "fn")}


def _rates(counts: Mapping[str, int] | None) -> tuple[float, float] | None:
    """Return (1 - specificity, sensitivity), or None when either is undefined."""
    if counts is None:
        return None
    ill, well = counts["tp"] + counts["fn"], counts["fp"] + counts["tn"]
    return (counts["fp"] / well, counts["tp"] / ill) if ill and well else None


def _part(part: Mapping[str, Any], suffix: str) -> dict[str, str]:
    curves, counts, title = part["curves"], shipped_counts(part), part["positive"]
    pictures: dict[str, str] = {}
    at = _rates(counts)
    if "roc" in curves:
        pictures[f"roc{suffix}"] = figures.roc(f"roc{suffix}", {title: curves["roc"]}, shipped=at)
    if "pr" in curves:
        called = counts["tp"] + counts["fp"] if counts else 0
        shipped = (at[1], counts["tp"] / called) if at and counts and called else None
        base = (counts["tp"] + counts["fn"]) / max(sum(counts.values()), 1) if counts else None
        name = f"pr{suffix}"
        pictures[name] = figures.precision_recall(name, {title: curves["pr"]}, shipped=shipped, base=base)
    if "calibration" in curves:
        name = f"calibration{suffix}"
        pictures[name] = figures.calibration(name, {title: curves["calibration"]})
    if part["confusion"]:
        name = f"confusion{suffix}"
        pictures[name] = figures.confusion(name, part["confusion"]["classes"], part["confusion"]["counts"])
    return pictures


def _several(curves: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    def of(kind: str) -> dict[str, Mapping[str, Any]]:
        return {name: curve[kind] for name, curve in curves.items() if kind in curve}

    pictures: dict[str, str] = {}
    if of("roc"):
        pictures["roc"] = figures.roc("roc", of("roc"), shipped=None)
    if of("pr"):
        pictures["pr"] = figures.precision_recall("pr", of("pr"))
    if of("calibration"):
        pictures["calibration"] = figures.calibration("calibration", of("calibration"))
    return pictures


def _hardest(
    curves: Mapping[str, Mapping[str, Any]], areas: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return at most `MOST_CURVES` curves, those with the smallest area, in their own order."""
    if len(curves) <= figures.MOST_CURVES:
        return dict(curves)

    def area(name: str) -> float:
        value = (areas.get(name) or {}).get("value")
        return 1.0 if value is None else float(value)

    kept = set(sorted(curves, key=area)[: figures.MOST_CURVES])
    return {name: curve for name, curve in curves.items() if name in kept}


def _values(
    points: Mapping[str, Sequence[float | None]], target: str, agreement: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    pairs = [(a, b) for a, b in zip(points["truth"], points["pred"], strict=False) if a is not None and b is not None]
    if not pairs:
        return {}
    truth, predicted = [a for a, _ in pairs], [b for _, b in pairs]
    return {
        "scatter": figures.scatter("scatter", truth, predicted, target),
        "residuals": figures.residuals("residuals", truth, predicted, target, agreement),
    }


def _stratum(section: Mapping[str, Any], key: str, name: str) -> dict[str, str]:
    rows = [(row["level"], row["figures"][key]) for row in section["rows"] if key in row["figures"]][:_MOST_LEVELS]
    if len(rows) < 2:
        return {}
    bounded = key not in _UNBOUNDED
    return {name: figures.forest(name, rows, SHORT.get(key, key), unit=bounded)}
