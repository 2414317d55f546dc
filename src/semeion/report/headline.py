"""What was asked, on which cases it was answered, and the few figures of the first page."""

from __future__ import annotations

from typing import Any

from semeion.report.balance import balance_words
from semeion.report.evidence import Evidence, Metrics
from semeion.report.outside import CASES as OUTSIDE_CASES
from semeion.report.outside import HEADS as OUTSIDE_HEADS
from semeion.report.outside import ROLES as OUTSIDE_ROLES
from semeion.report.outside import outside
from semeion.report.reading import Artefacts
from semeion.report.words import (
    ADOPTED_ROLE,
    HEADLINE,
    NAMES,
    SHORT,
    SPLIT_ROLE,
    SPLITS,
    TASKS,
    metric_name,
    percent,
    plural,
)

_MOST_NAMED = 6
"""Classes that still fit in a title."""


def headline_split(metrics: Metrics) -> str | None:
    """Return the most trustworthy split that has figures: test, else external, else out-of-fold, else validation."""
    return next((split for split in ("test", "external", "oof", "val") if metrics.get(split)), None)


def figure_rows(metrics: Metrics, split: str | None) -> list[dict[str, Any]]:
    """Return the figures of `split` with their keys and names, known names first and in a fixed order."""
    rows = metrics.get(split or "", {})
    known = [key for key in NAMES if key in rows]
    return [
        {"key": key, "name": metric_name(key), "short": SHORT.get(key, metric_name(key)), **rows[key].model_dump()}
        for key in [*known, *(key for key in rows if key not in NAMES)]
    ]


def question(found: Artefacts, split: str | None) -> dict[str, Any]:
    """Return what was asked, of which data, in words."""
    evidence = found.evidence
    target = found.cohort.get("target")
    why = target.get("why", "") if isinstance(target, dict) else ""
    positive, others = evidence.positive, [name for name in evidence.classes if name != evidence.positive]
    few = len(evidence.classes) <= _MOST_NAMED
    if evidence.task == "binary" and positive:
        title = f"Telling {positive} from {listed(others)}"
    elif evidence.task == "multilabel":
        title = f"Looking for {listed(evidence.classes) if few else f'{len(evidence.classes)} findings'}"
    elif evidence.task == "ordinal" and evidence.classes:
        title = f"Grading {evidence.target}, from {evidence.classes[0]} to {evidence.classes[-1]}"
    elif evidence.task == "regression":
        title = f"Measuring {evidence.target}"
    else:
        title = f"Telling apart {listed(evidence.classes) if few else f'{len(evidence.classes)} classes'}"
    return {
        "target": evidence.target,
        "task": evidence.task,
        "task_words": TASKS[evidence.task],
        "classes": evidence.classes,
        "positive": positive,
        "title": title,
        "why": evidence.why or why or (found.check or {}).get("why", ""),
        "source": evidence.source,
        "external": outside(evidence) if split == "external" else None,
        "external_head": OUTSIDE_HEADS.get(outside(evidence) or "") if split == "external" else None,
        "weighed": None if evidence.weighed is None else evidence.weighed.model_dump(),
    }


def listed(names: list[str]) -> str:
    """Return 'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def headline(evidence: Evidence, split: str | None) -> dict[str, Any]:
    """Return the few figures of the first page, the split they come from, and what they mean in cases."""
    rows = figure_rows(evidence.metrics, split)
    by_key = {row["key"]: row for row in rows}
    chosen = [by_key[key] for key in HEADLINE[evidence.task] if key in by_key] or rows[:4]
    facts = evidence.splits.get(split or "")
    first = chosen[0] if chosen else {}
    return {
        "split": split,
        "split_words": split_words(evidence, split or ""),
        "optimistic": split == "val",
        "role": split_role(evidence, split or ""),
        "n": facts.n if facts else first.get("n"),
        "n_patients": facts.n_patients if facts else first.get("n_patients"),
        "figures": chosen,
        "method": next(
            (row["method"].split("; ")[0] for row in chosen if row["method"] and row["low"] is not None), ""
        ),
        "sentences": in_cases(evidence, split),
        "balance": balance_words(evidence, split),
    }


def split_words(evidence: Evidence, split: str) -> str:
    """Return what the cases of a split are called; a table of predictions has its own words for it."""
    own = evidence.weighed.split_words if evidence.weighed else {}
    if split == "external" and (status := outside(evidence)):
        return OUTSIDE_CASES[status]
    return own.get(split) or SPLITS.get(split, split)


def split_role(evidence: Evidence, split: str) -> str:
    """Return what a split is for. Of predictions without their run, only what their table says of it is known."""
    if evidence.weighed is not None:
        return evidence.weighed.roles.get(split, "")
    if split == "external" and (status := outside(evidence)):
        return OUTSIDE_ROLES[status]
    own = ADOPTED_ROLE.get(split, "") if evidence.adopted is not None else ""
    return own or SPLIT_ROLE.get(split, "")


def in_cases(evidence: Evidence, split: str | None) -> list[str]:
    """Return sentences in natural frequencies (Gigerenzer 2003), which are understood better than rates."""
    matrix = evidence.confusion.get(split or "")
    if matrix is None or not matrix.counts:
        return []
    if evidence.task == "binary" and evidence.positive in matrix.classes:
        at = matrix.classes.index(evidence.positive)
        hit, false = matrix.counts[at][at], sum(row[at] for i, row in enumerate(matrix.counts) if i != at)
        ill = sum(matrix.counts[at])
        well = sum(map(sum, matrix.counts)) - ill
        missed = f"missed {ill - hit} ({percent(ill - hit, ill)})"
        return [
            f"Of {plural(ill, f'{evidence.positive} case')}, the model called {hit} and {missed}.",
            f"Of {plural(well, 'other case')}, it raised a false alarm in {false} ({percent(false, well)}).",
        ]
    right, total = sum(row[i] for i, row in enumerate(matrix.counts)), sum(map(sum, matrix.counts))
    return [f"Of {plural(total, 'case')}, the model called {right} rightly ({percent(right, total)})."]
