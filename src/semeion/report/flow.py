"""The flow of cases: read, left out with reasons, and in which split; and whether it adds up to the row."""

from __future__ import annotations

from typing import Any

from semeion.report.evidence import SplitFacts
from semeion.report.headline import split_words
from semeion.report.people import COHORT, People
from semeion.report.reading import Artefacts
from semeion.report.words import plural

_PARTS = ("train", "val", "calibration", "test")


def parts_of(splits: dict[str, SplitFacts]) -> list[str]:
    """Return the splits that part the cases, each case in one: out-of-fold cases are not counted beside training."""
    given = [name for name in _PARTS if name in splits]
    rest = [name for name in splits if name not in _PARTS and not (name == "oof" and "train" in splits)]
    return [*given, *rest]


def events_of(facts: SplitFacts, positive: str | None) -> dict[str, int]:
    """Return the cases of each class; of a binary target the positive ones alone, of several labels those present."""
    counted = {}
    for name, count in (facts.class_counts or {}).items():
        value = count.get("present") if isinstance(count, dict) else count
        if value is not None and (positive is None or name == positive):
            counted[name] = int(value)
    return counted


def flow_content(found: Artefacts, people: People) -> dict[str, Any]:
    """Return the steps, the splits, and whether they add up.

    Returns
    -------
    dict
        ``steps``: ``{step, n_cases, n_patients, left_out, reason}`` in order; ``parts``: ``{split, words, n,
        n_patients, events}``; ``unplaced``: cases of the last step that are in no split; ``adds_up`` and ``sentence``;
        ``gaps``: what does not add up, in words.
    """
    evidence = found.evidence
    steps: list[dict[str, Any]] = []
    for raw in evidence.flow:
        n = raw.get("n_cases")
        before = steps[-1]["n_cases"] if steps else None
        left = before - n if isinstance(n, int) and isinstance(before, int) else 0
        patients = raw.get("n_patients") if people.named else None
        row = {"step": str(raw.get("step", "")), "n_cases": n, "n_patients": patients, "left_out": left}
        steps.append({**row, "reason": str(raw.get("reason") or "")})
    positive = evidence.positive if evidence.task == "binary" else None
    parts: list[dict[str, Any]] = [
        {
            "split": name,
            "words": split_words(evidence, name),
            "n": evidence.splits[name].n,
            "n_patients": evidence.splits[name].n_patients if people.named else None,
            "events": events_of(evidence.splits[name], positive),
        }
        for name in parts_of(evidence.splits)
    ]
    last = steps[-1]["n_cases"] if steps else None
    placed = sum(part["n"] for part in parts)
    gaps = _gaps(found, people, steps, placed if parts else None)
    unplaced = last - placed if isinstance(last, int) and parts else 0
    return {
        "steps": steps,
        "parts": parts,
        "unplaced": unplaced,
        "adds_up": not gaps and not unplaced and bool(steps) and bool(parts),
        "gaps": gaps,
        "sentence": _sentence(steps, parts, unplaced, gaps),
    }


def _gaps(found: Artefacts, people: People, steps: list[dict[str, Any]], placed: int | None) -> list[str]:
    """Return what contradicts: more cases after a step than before, more in the splits than entered, other rows."""
    gaps = [
        f"{row['step']} has {-row['left_out']} cases more than the step before" for row in steps if row["left_out"] < 0
    ]
    last = steps[-1]["n_cases"] if steps else None
    if isinstance(last, int) and placed is not None and placed > last:
        gaps.append(f"the splits hold {plural(placed - last, 'case')} more than entered")
    kept = found.cohort.get("flow")
    if people.source == COHORT and isinstance(kept, list) and kept:
        written = kept[-1].get("n_cases")
        if written != len(people.table):
            gaps.append(f"{COHORT} has {len(people.table)} rows, and its flow ends with {written}")
    return gaps


def _sentence(steps: list[dict[str, Any]], parts: list[dict[str, Any]], unplaced: int, gaps: list[str]) -> str:
    if gaps:
        return f"The numbers do not add up: {'; '.join(gaps)}."
    if not steps or not parts:
        return "The flow of cases was not recorded." if not steps else ""
    left = sum(row["left_out"] for row in steps)
    inside = " + ".join(f"{part['n']} {part['split']}" for part in parts)
    rest = f" + {unplaced} in no split that was weighed" if unplaced > 0 else ""
    total = steps[0]["n_cases"]
    return f"{total} = {left} left out + {inside}{rest}." if isinstance(total, int) else ""
