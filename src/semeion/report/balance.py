"""Why accuracy does not lead: what calling every case by the largest class would reach."""

from __future__ import annotations

from semeion.report.evidence import Evidence
from semeion.report.words import percent

UNEVEN = 1.5
"""Times its even share that the largest class may have before the first page speaks of it."""


def balance_words(evidence: Evidence, split: str | None) -> str:
    """Return in a sentence why accuracy is not among the first figures, empty where the classes are about even.

    Uneven is a largest class of more than 1.5 times the share that it would have among equally many cases of each.
    """
    facts = evidence.splits.get(split or "")
    counts = (facts.class_counts if facts else None) or {}
    known = {name: count for name, count in counts.items() if isinstance(count, int)}
    total = sum(known.values())
    if evidence.task not in ("binary", "multiclass", "ordinal") or not total:
        return ""
    largest = max(known, key=lambda name: known[name])
    if known[largest] * len(known) <= UNEVEN * total:
        return ""
    share = percent(known[largest], total)
    return (
        f"{share} of these cases are {largest}: calling every case so would be right as often, "
        "so accuracy is not among these figures."
    )
