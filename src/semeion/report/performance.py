"""What the section on performance shows: curves, confusion, operating points, per-class and per-target figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.naming import encode_class
from semeion.report.classic import classic
from semeion.report.evidence import Evidence, Metric, Part
from semeion.report.value_intervals import value_intervals
from semeion.report.words import SHORT

_CURVES = ("roc", "pr", "calibration")
AGREEMENT = ("bias", "limit_low", "limit_high")
_RULES = {
    "youden": "the largest sum of sensitivity and specificity (Youden)",
    "accuracy": "the largest accuracy",
    "argmax": "the class with the largest probability",
}


def performance(evidence: Evidence, split: str | None) -> dict[str, Any]:
    """Return the content of the section, by task; empty lists where the evidence has nothing."""
    split = split or ""
    several = evidence.task in ("multiclass", "ordinal")
    parts: list[dict[str, Any]] = []
    if evidence.task == "binary":
        parts.append(part_content(evidence, split, evidence.positive or "positive", None))
    for target, part in evidence.targets.items():
        # Where and on how many cases the points were chosen stands once, above the labels.
        common = {key: value for key, value in (evidence.operating_point or {}).items() if key in ("chosen_on", "n")}
        point = {**common, **(part.operating_point or {})}
        parts.append(part_content(part.model_copy(update={"operating_point": point}), split, target, target))
    curves = evidence.curves.get(split, {})
    matrix = evidence.confusion.get(split)
    return {
        "split": split,
        "parts": parts,
        "curves": {name: _kept(curve) for name, curve in curves.items() if isinstance(curve, Mapping)}
        if several
        else {},
        "confusion": matrix.model_dump() if matrix and several else None,
        "rule": rule_words(evidence.operating_point or {}),
        "per_class": per_class(evidence, split),
        "per_target": per_target(evidence, split),
        "classic": classic(evidence, split),
        "scatter": curves.get("scatter") if evidence.task == "regression" else None,
        "agreement": _named(evidence, split, AGREEMENT) if evidence.task == "regression" else {},
        "intervals": value_intervals(evidence.interval, evidence.intervals.get(split, {})),
        "distances": distances(evidence, split),
        "calibration": {key: (evidence.calibration or {}).get(key) for key in ("method", "value", "fitted_on")},
    }


def part_content(part: Part, split: str, positive: str, target: str | None) -> dict[str, Any]:
    """Return curves, confusion and operating panel of one yes-or-no question."""
    matrix = part.confusion.get(split)
    counts = four_counts(matrix.counts, _positive_at(matrix.classes, positive, target)) if matrix else None
    figures = part.metrics.get(split, {})
    return {
        "target": target,
        "positive": positive,
        "curves": _kept(part.curves.get(split, {})),
        "confusion": matrix.model_dump() if matrix else None,
        "counts": counts,
        "figures": {key: figure.model_dump() for key, figure in figures.items()},
        "operating": operating(part, split, counts),
    }


def operating(part: Part, split: str, counts: Mapping[str, int] | None) -> dict[str, Any] | None:
    """Return the operating points that the slider walks through, thresholds ascending, and where it starts.

    The shipped point's own counts (the confusion matrix) are put in among the thinned points of the curve, so that the
    slider starts on exactly the figures of the first page. Out-of-fold calls use each fold's own threshold; there the
    nearest point of the pooled curve is taken instead and ``exact`` is False.
    """
    points = part.curves.get(split, {}).get("points")
    point = part.operating_point or {}
    value = point.get("value")
    if not isinstance(points, Mapping) or not isinstance(value, (int, float)):
        return None
    names = ("threshold", "tp", "fp", "tn", "fn")
    rows = [row for row in zip(*(points.get(name, []) for name in names), strict=False) if None not in row]
    if not rows:
        return None
    exact = bool(counts) and split != "oof"
    if exact and counts and not any(row[0] == value for row in rows):
        rows.append((value, counts["tp"], counts["fp"], counts["tn"], counts["fn"]))
    rows.sort(key=lambda row: row[0])
    start = min(range(len(rows)), key=lambda index: abs(rows[index][0] - value))
    return {
        **{name: [row[i] for row in rows] for i, name in enumerate(names)},
        "start": start,
        "exact": exact,
        "value": value,
        "rule": rule_words(point),
        "chosen_on": point.get("chosen_on", ""),
        "chosen_n": point.get("n"),
    }


def four_counts(counts: list[list[int]], at: int) -> dict[str, int] | None:
    """Return tp, fp, tn, fn of the class at index `at`; rows of `counts` are the truth, columns the call."""
    if not 0 <= at < len(counts):
        return None
    total = sum(map(sum, counts))
    tp = counts[at][at]
    fn = sum(counts[at]) - tp
    fp = sum(row[at] for row in counts) - tp
    return {"tp": tp, "fp": fp, "tn": total - tp - fp - fn, "fn": fn}


def per_class(evidence: Evidence, split: str) -> list[dict[str, Any]]:
    """Return recall, precision and F1 of each class with the number of its cases."""
    figures = evidence.metrics.get(split, {})
    facts = evidence.splits.get(split)
    counts = (facts.class_counts if facts else None) or {}
    rows = []
    for name in evidence.classes if evidence.task != "multilabel" else []:
        shown = {key: _of_class(figures, key, name) for key in ("recall", "precision", "f1", "auroc")}
        kept = {key: figure.model_dump() for key, figure in shown.items() if figure is not None}
        if kept:
            rows.append({"class": name, "n": counts.get(name), "figures": kept})
    return rows


def per_target(evidence: Evidence, split: str) -> dict[str, Any]:
    """Return the figures of each label of a multi-label target, and the names of the columns."""
    keys = ("auroc", "auprc", "recall", "specificity", "precision")
    rows: list[dict[str, Any]] = []
    for target, part in evidence.targets.items():
        figures = part.metrics.get(split, {})
        shown = {key: figures[key].model_dump() for key in keys if key in figures}
        matrix = part.confusion.get(split)
        counts = four_counts(matrix.counts, _positive_at(matrix.classes, "", target)) if matrix else None
        rows.append({"target": target, "n_positive": counts["tp"] + counts["fn"] if counts else None, "figures": shown})
    used = [key for key in keys if any(key in row["figures"] for row in rows)]
    return {"keys": used, "names": [SHORT[key] for key in used], "rows": rows}


def distances(evidence: Evidence, split: str) -> list[dict[str, Any]]:
    """Return, of an ordinal grade, the share of calls that are 0, 1, 2 and more grades from the truth."""
    if evidence.task != "ordinal":
        return []
    keys = ["accuracy", *(f"off_by_{k}" for k in range(1, len(evidence.classes)))]
    found = _named(evidence, split, keys)
    if len(found) < 2:
        return []
    return [{"grades": k, "key": key, "figure": found[key]} for k, key in enumerate(keys) if key in found]


def _named(evidence: Evidence, split: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    metrics = evidence.metrics.get(split, {})
    return {key: metrics[key].model_dump() for key in keys if key in metrics}


def rule_words(point: Mapping[str, Any]) -> str:
    """Return the rule of an operating point in words."""
    rule = str(point.get("rule", ""))
    name, _, wanted = rule.partition("=")
    if name in ("sensitivity", "specificity") and wanted:
        return f"a {name} of at least {wanted}"
    if name == "cost" and wanted:
        missed, _, alarm = wanted.partition(":")
        return f"the least cost, where a missed case weighs {missed} and a false alarm {alarm}"
    return _RULES.get(rule, rule)


def _of_class(figures: Mapping[str, Metric], key: str, name: str) -> Metric | None:
    # "recall_macro" is the mean over classes, so a class of that name has its first letter encoded.
    encoded = "%6Dacro" if name == "macro" else encode_class(name)
    return figures.get(f"{key}_{encoded}") or (figures.get(f"{key}_{name}") if name != "macro" else None)


def _positive_at(classes: list[str], positive: str, target: str | None) -> int:
    if target is not None:  # a label of a multi-label target is absent or present
        positive = "present" if "present" in classes else target
    return classes.index(positive) if positive in classes else len(classes) - 1


def _kept(curves: Mapping[str, Any]) -> dict[str, Any]:
    return {name: curves[name] for name in _CURVES if isinstance(curves.get(name), Mapping)}
