"""The content of a report: every section's data as plain values, taken from the artefacts and never recomputed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.audits import audits
from semeion.report.calibrated import calibrated
from semeion.report.covariates import covariates
from semeion.report.distillation import distillation
from semeion.report.elsewhere import elsewhere
from semeion.report.evidence import Evidence, Metric
from semeion.report.explained import explained_content
from semeion.report.gate import gate_content
from semeion.report.headline import figure_rows, headline, headline_split, question, split_role, split_words
from semeion.report.measured import measured_content
from semeion.report.members import combination, pretraining, taught
from semeion.report.performance import performance
from semeion.report.planned import facts_of, plan_sections
from semeion.report.practice import practice
from semeion.report.reading import Artefacts
from semeion.report.robustness import robustness_content
from semeion.report.search import search_content
from semeion.report.words import (
    HEADLINE,
    NAMES,
    SHORT,
    TERMS,
    duration,
    metric_meaning,
)

CONTENT_SCHEMA = 1
_SPLIT_ORDER = ("train", "val", "calibration", "test", "external", "oof")


def report_content(found: Artefacts) -> dict[str, Any]:
    """Return the content model of ``report.html``, which is also ``report.json``.

    Figures are copied from the evidence as ``{key, name, value, low, high, n, n_patients, method, reason}``.
    """
    evidence = found.evidence
    split = headline_split(evidence.metrics)
    return {
        "schema": CONTENT_SCHEMA,
        "semeion": evidence.semeion,
        "created": evidence.created,
        "synthetic": evidence.synthetic,
        "question": question(found, split),
        "headline": headline(evidence, split),
        "audits": audits(evidence, split, found.audited),
        "patients": patients(found),
        "performance": performance(evidence, split),
        "covariates": covariates(evidence, split),
        "practice": practice(evidence, split),
        "gate": gate_content(evidence),
        "calibrated": calibrated(evidence),
        "robustness": robustness_content(found),
        "explained": explained_content(evidence),
        "elsewhere": elsewhere(evidence),
        "adjusted": adjusted(evidence),
        "measured": measured_content(evidence.measured, list(found.drivers)),
        "registration": [row.model_dump() for row in evidence.registration],
        "strata": strata(evidence, split),
        "gallery": gallery(found),
        "metrics": metric_tables(evidence),
        "not_validated": evidence.not_validated,
        "notes": evidence.notes,
        "plan": plan_sections(found.plan, found.asked),
        "fingerprint": facts_of(found.fingerprint),
        "distillation": distillation(evidence, split),
        "combination": combination(evidence.combination),
        "pretraining": pretraining(evidence.pretraining),
        "taught": taught(evidence.taught),
        "search": search_content(evidence.search),
        "members": evidence.members,
        "budget": evidence.budget or {},
        "cost": evidence.cost or {},
        "adopted": found.evidence.adopted is not None,
        "software": software(found),
        "terms": terms(evidence),
    }


def adjusted(evidence: Evidence) -> dict[str, Any] | None:
    """Return the headline figures with probabilities corrected for the class balance at use, None where none are."""
    found = evidence.adjusted
    if not found or evidence.external is not None:  # an evaluation tells of it among the other things lost elsewhere
        return None
    metrics = {"test": {key: Metric.model_validate(figure) for key, figure in (found.get("test") or {}).items()}}
    keys = (*HEADLINE[evidence.task], "brier")
    return {
        "rows": [row for row in figure_rows(metrics, "test") if row["key"] in keys],
        "reason": found.get("reason", ""),
        "labels": list(found.get("targets") or {}),
    }


def patients(found: Artefacts) -> dict[str, Any]:
    """Return the flow of cases, who is in which split, and whether patients were told apart.

    ``apart`` is True only when the audit of patients on both sides of a split was run and found none.
    """
    evidence = found.evidence
    check = found.check or {}
    known = [evidence.has_patients, found.cohort.get("has_patients"), check.get("has_patients")]
    named = next((value for value in known if value is not None), None)
    ordered = [name for name in _SPLIT_ORDER if name in evidence.splits]
    ordered += [name for name in evidence.splits if name not in _SPLIT_ORDER]
    counted = [evidence.splits[name].class_counts or {} for name in ordered]
    classes = [*evidence.classes, *sorted({name for counts in counted for name in counts} - set(evidence.classes))]
    return {
        "has_patients": named,
        "apart": evidence.audits.get("patient-overlap", {}).get("verdict") == "clear",
        "flow": evidence.flow,
        "classes": [name for name in classes if any(name in counts for counts in counted)],
        "splits": [
            {"split": name, "role": split_role(evidence, name), **evidence.splits[name].model_dump()}
            for name in ordered
        ],
        "images": check.get("images"),
    }


def strata(evidence: Evidence, split: str | None) -> list[dict[str, Any]]:
    """Return, per column, the headline figures of each level."""
    keys = HEADLINE[evidence.task]
    sections = []
    for column, levels in evidence.strata.items():
        rows = []
        for level, part in levels.items():
            figures = part.metrics.get(split or "", {})
            shown = {key: figures[key].model_dump() for key in keys if key in figures}
            if shown:
                rows.append({"level": level, "n": next(iter(shown.values()))["n"], "figures": shown})
        if rows:
            used = [key for key in keys if any(key in row["figures"] for row in rows)]
            sections.append(
                {"column": column, "keys": used, "names": [SHORT.get(key, key) for key in used], "rows": rows}
            )
    return sections


def gallery(found: Artefacts) -> list[dict[str, Any]]:
    """Return the cases with pictures by kind: wrong ones first, since they teach the most."""
    titles = {
        "wrong": ("Far off", "Predictions far from the measured value."),
        "right": ("Near", "Predictions near the measured value."),
    }
    titles = (
        titles
        if found.evidence.task == "regression"
        else {
            "wrong": ("Wrong", "Calls that did not agree with the reference standard."),
            "unsure": ("Unsure", "Cases of which the model was least sure."),
            "right": ("Right", "Calls that agreed with the reference standard."),
        }
    )
    titles["where"] = (
        "Where the members looked",
        (
            "Maps of some of these cases, by members that did not learn from them: vermilion speaks for the class that "
            "is named, blue against it. An activation map's strength is what a hundredth of the image would add. A map "
            "is no outline of disease, and it does not show that a call is right."
        ),
    )
    return [
        {"kind": kind, "title": title, "words": words, "cases": cases}
        for kind, (title, words) in titles.items()
        if (cases := [case for case in found.gallery if case.get("kind") == kind])
    ]


def metric_tables(evidence: Evidence) -> list[dict[str, Any]]:
    """Return every figure of every split, and of every target and split when there are several targets."""
    tables: list[dict[str, Any]] = []
    for target, part in [(None, evidence), *evidence.targets.items()]:
        for split in ("test", "external", "oof", "val", *part.metrics):
            if part.metrics.get(split) and not any(t["target"] == target and t["split"] == split for t in tables):
                rows = figure_rows(part.metrics, split)
                words = split_words(evidence, split)
                shared = _shared_method(rows)
                for row in rows:
                    row["remark"] = _remark(row, shared)
                table = {"target": target, "split": split, "split_words": words, "shared_method": shared, "rows": rows}
                tables.append(table)
    return tables


def _shared_method(rows: list[dict[str, Any]]) -> str:
    """Return the first part of the method when all intervals have the same one: it is then said once."""
    found = {row["method"].split("; ")[0] for row in rows if row["method"] and row["low"] is not None}
    return found.pop() if len(found) == 1 else ""


def _remark(row: dict[str, Any], shared: str) -> str:
    parts = [part for part in (row["method"] or "").split("; ") if part and part != shared]
    return "; ".join([*parts, *([row["reason"]] if row["reason"] else [])])


def software(found: Artefacts) -> list[dict[str, str]]:
    """Return the versions that made the run, as far as they were recorded, and those that made this page."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    rows = [{"name": "Semeion, when the figures were made", "version": found.evidence.semeion}]
    facts = (found.machine or {}).get("facts") or {}
    recorded = {name: facts[name] for name in ("python", "torch") if name in facts} or None
    if isinstance(recorded, Mapping):
        rows += [{"name": f"{name}, in training", "version": str(value)} for name, value in recorded.items()]
    rows.append({"name": "Python, for this page", "version": platform.python_version()})
    for package in ("semeion", "numpy", "onnxruntime", "opencv-python-headless", "matplotlib"):
        try:
            rows.append({"name": f"{package}, for this page", "version": version(package)})
        except PackageNotFoundError:
            continue
    return rows


def terms(evidence: Evidence) -> list[dict[str, str]]:
    """Return the words used on the page with one plain sentence each."""
    used = {key for split in evidence.metrics.values() for key in split}
    used |= {key for part in evidence.targets.values() for split in part.metrics.values() for key in split}
    rows = [
        {"term": name, "meaning": words}
        for key, name in NAMES.items()
        if key in used and (words := metric_meaning(key, evidence.task))
    ]
    several = evidence.task in ("multiclass", "ordinal", "multilabel")
    skipped = {"Macro", "One versus rest"} if not several else set()
    if evidence.task == "regression":
        skipped = {
            "Operating point",
            "ROC curve",
            "Precision-recall curve",
            "Calibration",
            "Confusion matrix",
            *skipped,
        }
    return [
        *({"term": term, "meaning": meaning} for term, meaning in TERMS.items() if term not in skipped),
        *rows,
    ]


def budget_sentence(budget: Mapping[str, Any]) -> str:
    """Return in one sentence how long training was allowed to take, how long it took and why it ended."""
    ended = {
        "budget": "because the time was used up",
        "no further improvement": "because validation stopped improving",
        "most members": "because there were as many networks as are worth shipping",
        "fixed plan": "when the plan's steps were done",
        "interrupted": "because it was interrupted",
    }.get(str(budget.get("ended", "")), "")
    used, asked = budget.get("used_seconds"), budget.get("asked_seconds")
    if used is None:
        return ""
    start = f"{duration(asked)} were allowed and {duration(used)} used" if asked else f"The run took {duration(used)}"
    return f"{start}; training ended {ended}." if ended else f"{start}."
