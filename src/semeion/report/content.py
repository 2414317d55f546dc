"""The content of a report: every section's data as plain values, taken from the artefacts and never recomputed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.audit_pictures import Seen, shown_content
from semeion.report.balance import balance_words
from semeion.report.calibrated import calibrated
from semeion.report.covariates import covariates
from semeion.report.distillation import distillation
from semeion.report.elsewhere import elsewhere
from semeion.report.explained import explained_content
from semeion.report.gate import gate_content
from semeion.report.measured import measured_content
from semeion.report.members import combination, pretraining, taught
from semeion.report.outside import CASES as OUTSIDE_CASES
from semeion.report.outside import HEADS as OUTSIDE_HEADS
from semeion.report.outside import ROLES as OUTSIDE_ROLES
from semeion.report.outside import outside
from semeion.report.performance import performance
from semeion.report.planned import facts_of, plan_sections
from semeion.report.practice import practice
from semeion.report.reading import Artefacts, Evidence, Metric, Metrics
from semeion.report.robustness import robustness_content
from semeion.report.search import search_content
from semeion.report.words import (
    ADOPTED_ROLE,
    HEADLINE,
    NAMES,
    SHORT,
    SPLIT_ROLE,
    SPLITS,
    TASKS,
    TERMS,
    VERDICT_ORDER,
    duration,
    metric_meaning,
    metric_name,
    percent,
    plural,
)

CONTENT_SCHEMA = 1
_SPLIT_ORDER = ("train", "val", "calibration", "test", "external", "oof")
_MOST_NAMED = 6
"""Classes that still fit in a title."""
_MOST_CASES = 60
"""Case ids of one audit that are listed on the page; evidence.json has all."""


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


def audits(evidence: Evidence, split: str | None, seen: Mapping[str, Seen]) -> dict[str, Any]:
    """Return the audits with the gravest first, those accepted, and the figures without the affected cases.

    `seen` has the cases that audits name, as far as they are known.
    """
    rows = audit_rows(evidence.audits, evidence.accepted)
    without = evidence.without_accepted
    figures: list[dict[str, Any]] = []
    if without:
        metrics = without.get("metrics", without)
        for key, figure in (metrics.get(split) or {}).items() if isinstance(metrics, Mapping) else ():
            if isinstance(figure, Mapping):
                figures.append({"key": key, "name": metric_name(key), **figure})
    wanted = HEADLINE[evidence.task]
    return {
        "rows": rows,
        "counts": {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICT_ORDER},
        "shown": shown_content(evidence.audits, seen),
        "accepted": evidence.accepted,
        "late": [row["name"] for row in rows if row["verdict"] == "void" and row["name"] not in evidence.accepted],
        "left_out": (without or {}).get("cases_left_out"),
        "without_accepted": [row for row in figures if row["key"] in wanted] or figures[:4],
    }


def audit_rows(found: Mapping[str, Mapping[str, Any]], accepted: list[str]) -> list[dict[str, Any]]:
    """Return the audits as rows, the gravest verdict first; long lists of cases are cut, with their true length."""
    rows = []
    for name, audit in found.items():
        cases = list(audit.get("cases") or [])
        verdict = str(audit.get("verdict", "not_run"))
        rows.append(
            {
                "name": name,
                "verdict": verdict if verdict in VERDICT_ORDER else "not_run",
                "accepted": name in accepted,
                "tier": audit.get("tier", ""),
                "advice": audit.get("advice", ""),
                # A list of cases is shown as such, below the table.
                "figures": {key: item for key, item in (audit.get("figures") or {}).items() if not _of_cases(item)},
                "cases": cases[:_MOST_CASES],
                "n_cases": len(cases),
            }
        )
    return sorted(rows, key=lambda row: VERDICT_ORDER.index(row["verdict"]))


def _of_cases(figure: Any) -> bool:
    return isinstance(figure, list) and any(isinstance(item, Mapping) for item in figure)


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
