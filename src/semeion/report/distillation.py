"""The one network that learned from an ensemble and ships: whose the figures are, and how its teacher does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.report.beside import rows_beside
from semeion.report.classic import shown
from semeion.report.evidence import Evidence
from semeion.report.words import figure_text, number, plural

VERDICTS = {
    "student": "the one network is better",
    "teacher": "the ensemble is better",
    "none": "no difference shown",
    "differs": "they differ",
    "unknown": "nothing can be said",
}
MIB = 1 << 20


def distillation(evidence: Evidence, split: str | None) -> dict[str, Any] | None:
    """Return the comparison of student and teacher on a split; None where nothing was distilled.

    Returns
    -------
    dict or None
        ``origin``, a sentence for the first page, ``sentences``, and ``rows`` of ``{key, name, model, teacher,
        difference, shown, verdict, words}``.
    """
    found = evidence.distillation
    if not found:
        return None
    other = found.get("metrics", {}).get(split or "", {})
    differences = found.get("difference", {}).get(split or "", {})
    rows = [
        {**told, "model": own.model_dump(), "teacher": theirs.model_dump(), "shown": shown(told["key"], gain)}
        for own, theirs, gain, told in rows_beside(evidence, split, other, differences, VERDICTS)
    ]
    several = len(found["students"]) > 1
    if several and split == "oof":
        whose = (
            "Figures are those of such networks of all folds, each of cases that neither it nor its teachers had seen"
        )
    elif several:
        whose = "Its figures are its own, and those out of fold are of such networks of all folds"
    else:
        whose = "Every figure is its own"
    n = found["networks"]["teacher"]
    origin = f"One network: it learned from an ensemble of {plural(n, 'member')} and ships alone. {whose}."
    if rows:
        origin += f" {_sentence(rows[0])}"
    return {"origin": origin, "rows": rows, "sentences": _sentences(found)}


def _sentence(row: Mapping[str, Any]) -> str:
    """Return the first figure of both and their difference in one sentence."""
    key, gain, told = row["key"], row["difference"], row["shown"]
    text = f"{row['name']} {figure_text(key, row['model'])}; the ensemble: {figure_text(key, row['teacher'])}"
    if gain["value"] is None:
        return f"{text}. There is no difference to state: {gain['reason'] or 'it is not defined'}."
    between = f" ({told['interval']})" if told["interval"] else ""
    return f"{text}. Difference {told['value']}{between}: {row['words']}."


def _sentences(found: Mapping[str, Any]) -> list[str]:
    """Return how it was taught, and what it saves."""
    students: Sequence[Mapping[str, Any]] = found["students"]
    which = f"{found['ships']} ships, of {len(students)} students, one a fold. " if len(students) > 1 else ""
    trust = found["trust"]
    first = (
        f"{which}It was taught what the ensemble says of the training cases (weight {trust:.0%}) and the reference "
        f"standard ({1 - trust:.0%}), by members that had seen none of the cases that figures are made of; validation "
        "cases chose when it stopped."
    )
    sentences = [first]
    temperatures = [one["temperature"] for one in students]
    if any(one["unsure"] for one in students):
        span = number(min(temperatures), 1)
        if number(max(temperatures), 1) != span:
            span += f" to {number(max(temperatures), 1)}"
        softened = (
            f"The ensemble is surer of cases that it learned from than of others: its words were softened (temperature "
            f"{span}) until they were as unsure as those about validation cases."
        )
        sentences.append(
            softened if max(temperatures) > 1 else "What the ensemble says of training cases was taught as it is."
        )
    if found["images"]:
        sentences.append(
            f"It was also taught the ensemble's words about {plural(found['images'], 'image')} without labels."
        )
    size, own = found["bytes"]["teacher"] / MIB, found["bytes"]["student"] / MIB
    sentences.append(
        f"It takes {number(own, 2)} MiB, and the ensemble of {found['networks']['teacher']} would take "
        f"{number(size, 2)} MiB."
    )
    return sentences
