"""The section of each further target: its figures, calibration and calls, and where all else of it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.report import figures
from semeion.report.evidence import Evidence
from semeion.report.headline import figure_rows, headline_split, split_words
from semeion.report.performance import rule_words
from semeion.report.words import HEADLINE, TASKS

CALIBRATION = ("brier", "ece", "calibration_slope", "calibration_intercept")
_MOST_CLASSES = 30
"""Classes of a confusion matrix that can still be read in a picture."""


def further_targets(evidence: Evidence, page: str = "report") -> dict[str, Any] | None:
    """Return the content of the sections; None where the run has one target.

    Parameters
    ----------
    evidence
        Of several targets.
    page
        What the page of one target is called, without its suffix.

    Returns
    -------
    dict
        ``names`` of all targets in order, the ``page`` of the first one, and ``targets``: of each further one
        ``target task task_words positive split split_words n n_patients figures calibration fitted confusion curves
        scatter point rule warned worst page``.
    """
    if not evidence.several:
        return None
    return {
        "names": evidence.several,
        "page": f"{evidence.folder}/{page}.html" if evidence.folder else None,
        "targets": [_target(name, one, page) for name, one in evidence.further.items()],
    }


def _target(name: str, one: Evidence, page: str) -> dict[str, Any]:
    split = headline_split(one.metrics)
    rows = {row["key"]: row for row in figure_rows(one.metrics, split)}
    chosen = [rows[key] for key in HEADLINE[one.task] if key in rows]
    facts, matrix = one.splits.get(split or ""), one.confusion.get(split or "")
    first = next(iter(rows.values()), {})
    point = one.operating_point or {}
    verdicts = {key: audit["verdict"] for key, audit in one.audits.items() if audit.get("verdict") in ("void", "warn")}
    curves = one.curves.get(split or "", {})
    return {
        "target": name,
        "task": one.task,
        "task_words": TASKS[one.task],
        "positive": one.positive,
        "why": one.why,
        "split": split,
        "split_words": split_words(one, split or ""),
        "optimistic": split == "val",
        "n": facts.n if facts else first.get("n"),
        "n_patients": facts.n_patients if facts and one.has_patients else None,
        "figures": chosen,
        "calibration": [rows[key] for key in CALIBRATION if key in rows],
        "fitted": {key: (one.calibration or {}).get(key) for key in ("method", "fitted_on")},
        "confusion": matrix.model_dump() if matrix else None,
        "curves": _calibration_curves(one, curves),
        "scatter": curves.get("scatter") if one.task == "regression" else None,
        "point": point.get("value"),
        "rule": rule_words(point),
        "lacking": [step for step in one.flow if step.get("step") == f"with {name}"],
        "warned": list(verdicts),
        "worst": "void" if "void" in verdicts.values() else "warn",
        "page": f"{one.folder}/{page}.html" if one.folder else None,
    }


def _calibration_curves(one: Evidence, curves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the calibration curve of the positive class, or that of each class."""
    if one.task == "binary":
        return {one.positive or "positive": curves["calibration"]} if "calibration" in curves else {}
    found = {name: curve["calibration"] for name, curve in curves.items() if _has_calibration(curve)}
    return dict(list(found.items())[: figures.MOST_CURVES])


def _has_calibration(curve: Any) -> bool:
    return isinstance(curve, Mapping) and isinstance(curve.get("calibration"), Mapping)


def further_pictures(content: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the inline SVG of each further target: ``further-calibration-0``, ``further-confusion-0`` and so on."""
    drawn: dict[str, str] = {}
    for number, one in enumerate((content or {}).get("targets", ())):
        if one["curves"]:
            name = f"further-calibration-{number}"
            drawn[name] = figures.calibration(name, one["curves"])
        matrix = one["confusion"]
        if matrix and len(matrix["classes"]) <= _MOST_CLASSES:
            name = f"further-confusion-{number}"
            drawn[name] = figures.confusion(name, matrix["classes"], matrix["counts"])
        if one["scatter"]:
            drawn |= _scatter(one["scatter"], one["target"], f"further-scatter-{number}")
    return drawn


def _scatter(points: Mapping[str, Sequence[float | None]], target: str, name: str) -> dict[str, str]:
    pairs = [(a, b) for a, b in zip(points["truth"], points["pred"], strict=False) if a is not None and b is not None]
    return {name: figures.scatter(name, [a for a, _ in pairs], [b for _, b in pairs], target)} if pairs else {}
