"""The classic small network beside the model: what a first attempt by the textbook would give on the same cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.beside import rows_beside
from semeion.report.evidence import Evidence, Metric
from semeion.report.words import figure_text, figure_value, number, plural, significant

NAME = "The classic small network"
VERDICTS = {
    "ensemble": "the model is better",
    "classic": "the classic network is better",
    "none": "no difference shown",
    "differs": "they differ",
    "unknown": "nothing can be said",
}


def classic(evidence: Evidence, split: str | None) -> dict[str, Any] | None:
    """Return the comparison on a split, or why there is none; None where the evidence knows of no such network.

    Returns
    -------
    dict or None
        ``sentence``, ``rows`` of ``{key, name, model, classic, difference, shown, verdict, words}`` and, of how it
        learned, ``networks``, ``epochs`` and ``how``; ``reason`` alone where it was not trained.
    """
    found = (evidence.baseline or {}).get("classic")
    if not isinstance(found, Mapping):
        return None
    if "reason" in found:
        return {"reason": str(found["reason"]), "sentence": "", "rows": []}
    other, differences = (found.get(name, {}).get(split or "", {}) for name in ("metrics", "difference"))
    rows = [
        {**told, "model": own.model_dump(), "classic": theirs.model_dump(), "shown": shown(told["key"], gain)}
        for own, theirs, gain, told in rows_beside(evidence, split, other, differences, VERDICTS)
    ]
    if not rows:
        return None
    return {
        "reason": "",
        "sentence": sentence(rows[0]),
        "rows": rows,
        "networks": found.get("networks"),
        "epochs": found.get("epochs"),
        "how": _how(found, split),
    }


def sentence(row: Mapping[str, Any]) -> str:
    """Return the first figure of both and their difference in one sentence."""
    key, gain, found = row["key"], row["difference"], row["shown"]
    told = f"{NAME}: {row['name']} {figure_text(key, row['classic'])}; this model: {figure_text(key, row['model'])}"
    if gain["value"] is None:
        return f"{told}. There is no difference to state: {gain['reason'] or 'it is not defined'}."
    between = f" ({found['interval']})" if found["interval"] else ""
    return f"{told}. Difference {found['value']}{between}: {row['words']}."


def shown(key: str, gain: Metric) -> dict[str, str]:
    """Return a difference as text: with its sign, and ends with as many digits, so that none is rounded to 0."""
    told = figure_value(key, gain.model_dump())
    sign = "+" if gain.value is not None and gain.value > 0 and told.strip("0.") else ""
    if gain.low is None or gain.high is None:
        return {"value": f"{sign}{told}", "interval": ""}
    written = significant if key in ("mae", "rmse", "bias") else number
    return {"value": f"{sign}{told}", "interval": f"{written(gain.low)} to {written(gain.high)}"}


def _how(found: Mapping[str, Any], split: str | None) -> str:
    networks, epochs = found.get("networks"), found.get("epochs")
    several = isinstance(networks, int) and networks > 1
    said = "One layer of 32 filters, a layer of 128 units"
    said += f", {plural(epochs, 'round', 'rounds')} through the training cases" if isinstance(epochs, int) else ""
    which = f"; {networks} of them, one a fold" if several else ""
    mean = ", averaged here" if several and split == "test" else ""
    return (
        f"{said}{which}{mean}. It learned from the same cases as the model and was calibrated, and its operating point "
        "chosen, on the same validation cases. It is a measure, and no part of the model."
    )
