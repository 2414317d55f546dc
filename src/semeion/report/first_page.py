"""What must stand on the first page: for whom, of whom, disjoint or not, how good, external or not, what fails."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from semeion.artefacts import machine_errors
from semeion.report.evidence import Evidence, Metric
from semeion.report.flow import events_of, parts_of
from semeion.report.outside import outside, outside_words
from semeion.report.people import People
from semeion.report.performance import rule_words
from semeion.report.reading import Artefacts
from semeion.report.robustness import failure_row
from semeion.report.stated import FILE, FIRST
from semeion.report.words import HEADLINE, SHORT, figure_text, metric_name, plural

CALIBRATION = ("calibration_slope", "calibration_intercept", "brier", "ece")
HASHED = {
    "cohort.parquet": "table of cases",
    "scan.parquet": "pixels of all images",
    "predictions.parquet": "predictions",
    "evidence.json": "figures",
    "plan.executed.yaml": "plan, as executed",
    "model/model.json": "model",
}
_LOWER_IS_BETTER = ("mae", "rmse")
_FEWEST = 10
"""Cases of a subgroup that is called the worst."""


def first_page(
    found: Artefacts, run: Path, people: People, stated: dict[str, str], split: str | None
) -> dict[str, Any]:
    """Return the content of the first page besides the headline figures.

    Parameters
    ----------
    found, people
        The artefacts, and who is in the run.
    run
        The folder, whose files are hashed.
    stated
        What the user said, from :func:`semeion.report.stated.stated_in`.
    split
        The split of the headline.
    """
    return {
        "intended_use": {
            "file": FILE if stated else None,
            "rows": [{"key": key, "title": title, "value": stated.get(key)} for key, title in FIRST.items()],
        },
        "adopted": (found.evidence.adopted or {}).get("sentence"),
        "neighbours": (found.evidence.neighbours or {}).get("sentence"),
        "people": people_content(found, people, split),
        "disjoint": disjoint(found.evidence, people),
        "operating_point": operating_point(found.evidence),
        "calibration": calibration(found.evidence, split),
        "external": external(found.evidence, split),
        "failures": failures(found.evidence, run, split),
        "hashes": hashes(run),
        "semeion": found.evidence.semeion,
        "code": found.evidence.code or None,
        "model": found.evidence.model,
    }


def people_content(found: Artefacts, people: People, split: str | None) -> dict[str, Any]:
    """Return patients, sites and events, of all cases and of those that were weighed."""
    evidence = found.evidence
    positive = evidence.positive if evidence.task == "binary" else None
    parts = parts_of(evidence.splits)
    events: dict[str, int] = {}
    for name in parts:
        for label, n in events_of(evidence.splits[name], positive).items():
            events[label] = events.get(label, 0) + n
    facts = evidence.splits.get(split or "")
    weighed = people.of(split or "")
    return {
        "source": people.source or None,
        "named": people.named,
        "n_cases": len(people.table) if people.source else sum(evidence.splits[name].n for name in parts),
        "n_patients": people.patients(people.table),
        "n_sites": people.sites(people.table),
        "events": events,
        "weighed": {
            "split": split,
            "n": facts.n if facts else None,
            "n_patients": facts.n_patients if facts and people.named else None,
            "n_sites": people.sites(weighed),
            "events": events_of(facts, positive) if facts else {},
        },
    }


def disjoint(evidence: Evidence, people: People) -> dict[str, Any]:
    """Return the proof that no patient is on two sides: the audit's verdict, and a count made anew from the table.

    ``shown`` is True only where patients were named, the audit is clear or a note, and the count is 0.
    """
    audit = evidence.audits.get("patient-overlap", {})
    verdict = str(audit.get("verdict", "not_run"))
    sides = sorted({str(side) for side in people.sides["side"]}) if len(people.sides) else []
    across = len(people.across()) if people.named else None
    copies = evidence.audits.get("near-duplicates", {})
    told = (copies.get("figures") or {}).get("test_cases_with_a_copy_elsewhere")
    apart = ((evidence.external or {}).get("checked") or {}).get("patients")
    if apart is not None:
        # An evaluation: the other side is the run that made the model, which the command was given to look at.
        verdict = "not_run" if apart else "clear"
        sentence = "No patient id of these cases is in the run that made the model."
        if apart:
            sentence = f"{plural(apart, 'patient id')} of these cases may be in the run that made the model: same ids."
    elif not people.named:
        sentence = "Cannot be shown: patients were not named, so one with several images may be on both sides."
    elif len(sides) < 2 and verdict in ("clear", "note"):
        sentence = "The audit found none. This cannot be counted anew: the cases learned from are not in these files."
    elif len(sides) < 2:
        sentence = "Cannot be shown from these files: the cases that the model learned from are not among them."
    elif across:
        sentence = f"{plural(across, 'patient is', 'patients are')} on more than one of {len(sides)} sides."
    else:
        sentence = f"No patient is on more than one of {len(sides)} sides ({', '.join(_short(sides))})."
    if evidence.adopted is not None:
        sentence += " What the network learned from is not among these files."
    return {
        "shown": evidence.adopted is None
        and (apart == 0 or (people.named and verdict in ("clear", "note") and len(sides) > 1 and across == 0)),
        "verdict": verdict,
        "advice": str(audit.get("advice", "")),
        "sides": sides,
        "across": across,
        "source": people.source or None,
        "copies": {"verdict": str(copies.get("verdict", "not_run")), "test_cases": told},
        "sentence": sentence,
    }


def _short(sides: list[str]) -> list[str]:
    folds = [side for side in sides if side.startswith("fold ")]
    rest: list[str] = [side for side in ("train", "val", "calibration", "test") if side in sides]
    rest += [side for side in sides if side not in (*rest, *folds)]
    return [*rest, *([plural(len(folds), "fold")] if folds else [])]


def operating_point(evidence: Evidence) -> dict[str, Any] | None:
    """Return where a case is called positive, by which rule, and on which cases that was chosen."""
    point = evidence.operating_point
    if point is None or evidence.task in ("regression", "segmentation"):
        return None
    return {
        "value": point.get("value"),
        "positive": evidence.positive,
        "rule": rule_words(point) or None,
        "chosen_on": point.get("chosen_on"),
        "chosen_n": point.get("n"),
        "by_target": point.get("by_target") or {},
    }


def calibration(evidence: Evidence, split: str | None) -> dict[str, Any] | None:
    """Return the figures of calibration of the headline's split, and how probabilities were calibrated."""
    rows = _figures(evidence, split, CALIBRATION)
    if not rows and not evidence.calibration:
        return None
    made = evidence.calibration or {}
    return {
        "figures": rows,
        "method": made.get("method"),
        "value": made.get("value"),
        "fitted_on": made.get("fitted_on"),
    }


def _figures(evidence: Evidence, split: str | None, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    metrics = evidence.metrics.get(split or "", {})
    return [
        {"key": key, "name": metric_name(key), "short": SHORT.get(key, metric_name(key)), **metrics[key].model_dump()}
        for key in keys
        if key in metrics
    ]


def external(evidence: Evidence, split: str | None) -> dict[str, Any]:
    """Say in one sentence whether the figures are of an external validation; None where nobody can tell."""
    source = evidence.source or "a cohort without a name"
    if evidence.weighed is not None:
        sentence = (
            "Not shown: nothing in a table of predictions says whether the model learned from these cases, whatever "
            "the table calls them."
        )
        return {"value": None, "sentence": sentence}
    if outside(evidence) is not None:
        return outside_words(evidence, source)
    inside = {
        "test": "held-out test cases",
        "oof": "out-of-fold cases",
        "val": "validation cases, which also chose",
    }.get(split or "", "no cases")
    if evidence.adopted is not None:
        sentence = (
            f"Not shown: the network was trained elsewhere. The figures are of {inside} of {source}, whose other cases "
            "chose its calibration and operating point; whether it learned from any of them is not known."
        )
        return {"value": None, "sentence": sentence}
    sentence = f"No external validation: the figures are of {inside} of the model's own cohort, {source}."
    if evidence.validation and split == "oof":
        sentence += f" {left_out_words(evidence.validation)}"
    return {"value": False, "sentence": sentence}


def left_out_words(validation: Mapping[str, Any]) -> str:
    """Return in a sentence that each site was held out of training once, and what that is called."""
    by, n = validation.get("by", "site"), int(validation.get("n", 0))
    things = plural(n, "site") if by == "site" else f"{n} values of {by}"
    return (
        f"They come from leave-one-{by}-out ({things}), internal-external validation: each was read by networks that "
        "learned at the others. The shipped model averages all of them, and has seen every one."
    )


def failures(evidence: Evidence, run: Path, split: str | None) -> list[dict[str, str]]:
    """Return what is known to fail: void and warning audits, the worst subgroup of each column, doubtful figures."""
    rows: list[dict[str, str]] = []
    kept = run / "model" / "model.json"
    if evidence.model and kept.is_file() and _sha256(kept) != evidence.model:
        text = "model/model.json is not the one that the figures were made with: its sha256 differs."
        rows.append({"kind": "void", "name": "model", "text": text})
    for verdict in ("void", "warn"):
        for name, audit in evidence.audits.items():
            if audit.get("verdict") == verdict:
                accepted = " (accepted)" if name in evidence.accepted else ""
                text = f"{_first(str(audit.get('advice') or 'see what was looked for'))}{accepted}"
                rows.append({"kind": verdict, "name": name, "text": text})
    rows += worst_subgroups(evidence, split)
    rows += _worst_class(evidence, split)
    rows += failure_row(evidence)
    for key in (*HEADLINE[evidence.task], *CALIBRATION):
        figure = evidence.metrics.get(split or "", {}).get(key)
        if figure is not None and figure.reason:
            rows.append({"kind": "figure", "name": metric_name(key), "text": figure.reason})
    return rows


def worst_subgroups(evidence: Evidence, split: str | None) -> list[dict[str, str]]:
    """Return, for each column, the level where the first headline figure is worst, with its interval."""
    key = HEADLINE[evidence.task][0]
    whole = evidence.metrics.get(split or "", {}).get(key)
    rows = []
    for column, levels in evidence.strata.items():
        known = {
            level: figure
            for level, part in levels.items()
            if (figure := part.metrics.get(split or "", {}).get(key)) is not None and _counts(figure)
        }
        if len(known) < 2:
            continue
        sign = 1 if key in _LOWER_IS_BETTER else -1
        level = max(known, key=lambda name: sign * float(known[name].value or 0.0))
        figure = known[level]
        word = "largest" if sign > 0 else "lowest"
        text = f"{SHORT.get(key, metric_name(key))} is {word} where {column} is {level}: {_told(key, figure)}"
        if whole is not None and whole.value is not None:
            text += f"; {figure_text(key, whole.model_dump())} on the whole"
        rows.append({"kind": "subgroup", "name": column, "text": f"{text}."})
    return rows


def _counts(figure: Metric) -> bool:
    return figure.value is not None and (figure.n or 0) >= _FEWEST


def _told(key: str, figure: Metric) -> str:
    return f"{figure_text(key, figure.model_dump())} of {plural(figure.n, 'case')}"


def _worst_class(evidence: Evidence, split: str | None) -> list[dict[str, str]]:
    """Return the class or label that fares worst, where there are several."""
    key = {"multiclass": "recall", "ordinal": "recall", "multilabel": "auroc", "segmentation": "dice"}.get(
        evidence.task
    )
    if key is None:
        return []
    if evidence.task == "multilabel":
        found = {name: part.metrics.get(split or "", {}).get(key) for name, part in evidence.targets.items()}
    else:
        metrics = evidence.metrics.get(split or "", {})
        head = f"{key}_"
        found = {
            unquote(name.removeprefix(head)): figure
            for name, figure in metrics.items()
            if name.startswith(head) and name != "recall_macro"
        }
    known = {name: figure for name, figure in found.items() if figure is not None and figure.value is not None}
    if len(known) < 2:
        return []
    worst = min(known, key=lambda one: float(known[one].value or 0.0))
    word = {"recall": "Recall", "dice": "Dice"}.get(key, SHORT.get(key, key))
    text = f"{word} is lowest for {worst}: {figure_text(key, known[worst].model_dump())}."
    return [{"kind": "class", "name": worst, "text": text}]


def _first(text: str) -> str:
    """Return the first sentence of some advice, whole where it is short."""
    head, dot, rest = text.partition(". ")
    return text if len(text) <= 240 or not rest else f"{head}{dot.strip()}"


def hashes(run: Path) -> list[dict[str, str]]:
    """Return the sha256 of what the figures and the page were made of, as far as it is there."""
    return [
        {"file": name, "what": what, "sha256": _sha256(run / name)}
        for name, what in HASHED.items()
        if (run / name).is_file()
    ]


def _sha256(path: Path) -> str:
    with machine_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
