"""Intervals around a measured value: what ships, what was promised, how often the truth was within, how wide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.words import percent, plural, significant

MOST_ROWS = 24
"""Levels of subgroups on the page; evidence.json has all."""


def value_intervals(interval: Mapping[str, Any] | None, found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the page says of the intervals of a measured value in one split, None where the evidence has nothing.

    Parameters
    ----------
    interval
        ``interval`` of the evidence: what the model ships with.
    found
        ``intervals.<split>`` of the evidence.

    Returns
    -------
    dict
        ``lead`` and ``remarks``, sentences; ``reason`` where nothing was measured; ``stated``; ``rows`` of ``{name,
        words, coverage, width}``, the coverage a figure.
    """
    if not found:
        return None
    told: dict[str, Any] = {"reason": str(found.get("reason", "")), "lead": [], "rows": [], "remarks": []}
    told["stated"] = found["stated"]
    ships = interval or {}
    half = ships.get("half_width")
    if half is not None:
        told["lead"].append(
            f"Findings give each value with a lower and an upper end, {significant(half)} below and above it."
        )
    elif ships.get("reason") and ships["reason"] != told["reason"]:
        told["remarks"].append(f"No interval ships: {ships['reason']}")
    if "coverage" not in found:
        return told
    told["lead"] += _lead(found)
    told["rows"] = _rows(found)
    told["remarks"] += _remarks(found)
    return told


def _lead(found: Mapping[str, Any]) -> list[str]:
    held = found["patient_coverage"]
    made = f"Such intervals are made to hold the truth of {percent(found['stated'], 1)} of patients"
    ends = ""
    if held["low"] is not None and held["high"] is not None:
        ends = f" ({percent(held['low'], 1)} to {percent(held['high'], 1)})"
    sentences = [f"{made}; here they held that of {percent(held['value'], 1)}{ends}."]
    expected = found.get("expected")
    if expected:
        span = f"{percent(expected['low'], 1)} to {percent(expected['high'], 1)}"
        if held["value"] < expected["low"]:
            sentences.append(
                f"That is less than chance explains ({span} was to be expected): these patients are not like those "
                "that the intervals were calibrated on."
            )
        else:
            sentences.append(f"By chance {span} was to be expected of so many patients.")
    elif held["high"] is not None and held["high"] < found["stated"]:
        sentences.append("That is fewer than stated: do not rely on the ends for patients like these.")
    return sentences


def _rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    width = found["width"]
    rows = [{"name": "All cases", "words": "", "coverage": found["coverage"], "width": width}]
    if found["patient_coverage"]["n"] != found["coverage"]["n"]:
        row = {"name": "All patients, every case of theirs", "words": "patients", "width": width}
        rows.insert(0, {**row, "coverage": found["patient_coverage"]})
    levels = [(column, level) for column, each in found["groups"].items() for level in each]
    for column, level in levels[:MOST_ROWS]:
        rows.append({"name": level, "words": column.replace("_", " "), **found["groups"][column][level]})
    if cross := found.get("cross"):
        rows.append(
            {
                "name": "CV+",
                "words": "each fold's model by itself; does not ship",
                "coverage": cross["coverage"],
                "width": cross["width"],
            }
        )
    return rows


def _remarks(found: Mapping[str, Any]) -> list[str]:
    """Return who calibrated and what exactly is promised."""
    remarks = []
    if made := found.get("calibration"):
        remarks.append(
            f"Calibrated on {plural(made['n'], 'case')} of {plural(made['n_patients'], 'patient')}; "
            f"method: {found['method']}."
        )
    remarks.append(f"The promise: {found['promise']}")
    if cross := found.get("cross"):
        remarks.append(f"CV+: {cross['promise']}")
    remarks.append(
        "All intervals are equally wide. Nothing is promised for patients that are harder than others, or for a "
        "subgroup: the table shows what was measured."
    )
    return remarks
