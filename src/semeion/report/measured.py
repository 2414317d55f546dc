"""What a report says of a diagnosis from measurements: masks, agreement, classifiers, and what drove each case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from semeion.artefacts import machine_errors
from semeion.errors import InputError
from semeion.report.evidence import MeasuredEvidence
from semeion.report.figures import forest
from semeion.report.svg import COLOURS, HAIR, canvas, label, to_svg
from semeion.report.words import SPLITS, significant

DRIVERS = "drivers.parquet"
PREDICTIONS = "predictions.parquet"
MOST_BARS = 12
"""Measurements of the picture of importance; report.json has all."""
MOST_CASES = 12
"""Cases of which the page says what drove them, wrong ones first."""
KINDS = {"forest": "random forest", "extra-trees": "extremely randomised trees", "boosting": "gradient boosting"}
_ORDER = ("test", "external", "oof", "val")
PARTS = {
    "measurements": "Measurements alone",
    "images": "Images alone",
    "average": "Average of both",
    "difference": "Average less measurements",
}


def measured_content(found: MeasuredEvidence | None, drivers: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the content of the section "Measurements"; None for a run without.

    Parameters
    ----------
    found
        ``measured`` of ``evidence.json``.
    drivers
        From :func:`read_drivers`.
    """
    if found is None:
        return None
    splits = [split for split in _ORDER if split in found.agreement or split in found.masks]
    return {
        "kind": found.kind,
        "networks": dict(found.networks),
        "structures": [
            {
                "split": split,
                "split_words": SPLITS.get(split, split),
                "rows": [
                    {"structure": unquote(key.removeprefix("dice_")), **figure.model_dump()}
                    for key, figure in found.masks[split].items()
                    if key.startswith("dice_")
                ],
            }
            for split in splits
            if found.masks.get(split)
        ],
        "agreement": [
            {
                "split": split,
                "split_words": SPLITS.get(split, split),
                "rows": [{"name": name, **row.model_dump()} for name, row in found.agreement[split].items()],
            }
            for split in splits
            if found.agreement.get(split)
        ],
        "classifiers": {
            "by_fold": [KINDS.get(kind, kind) for kind in found.classifiers.by_fold],
            "shipped": KINDS.get(found.classifiers.shipped, found.classifiers.shipped),
            "losses": {KINDS.get(kind, kind): loss for kind, loss in found.classifiers.losses.items()},
        },
        "importance": [
            {"name": name, "title": found.titles.get(name, name), "share": share}
            for name, share in sorted(found.importance.items(), key=lambda item: -item[1])
        ],
        "unmeasured": sum(len(cases) for cases in found.unmeasured.values()),
        "cases": chosen_cases(drivers),
        **({"parts": _parts(found)} if found.parts else {}),
    }


def _parts(found: MeasuredEvidence) -> list[dict[str, Any]]:
    """Return what each part of an averaged verdict is worth alone, and what the average gains, by split."""
    return [
        {
            "split": split,
            "split_words": SPLITS.get(split, split),
            "rows": [
                {"part": name, "title": title, **{key: one.model_dump() for key, one in figures[name].items()}}
                for name, title in PARTS.items()
                if name in figures
            ],
        }
        for split, figures in sorted(found.parts.items(), key=lambda item: _place(item[0]))
    ]


def _place(split: str) -> int:
    """Return where a split stands in order of trust."""
    return _ORDER.index(split) if split in _ORDER else len(_ORDER)


def chosen_cases(drivers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a few cases of the most trustworthy split: at most half of them wrong, the right ones from every class."""
    split = next((name for name in _ORDER if any(case["split"] == name for case in drivers)), None)
    cases = [case for case in drivers if case["split"] == split]
    wrong = [case for case in cases if case["truth"] not in (None, case["called"])][: MOST_CASES // 2]
    by_class: dict[str, list[dict[str, Any]]] = {}
    for case in cases:
        if case["truth"] == case["called"]:
            by_class.setdefault(case["called"], []).append(case)
    right: list[dict[str, Any]] = []
    depth = 0
    while len(wrong) + len(right) < MOST_CASES and any(depth < len(own) for own in by_class.values()):
        right += [own[depth] for _, own in sorted(by_class.items()) if depth < len(own)]
        depth += 1
    return [*wrong, *right][:MOST_CASES]


def read_drivers(run: Path) -> list[dict[str, Any]]:
    """Return every case of ``drivers.parquet`` with its driving measurements and its reference standard.

    Returns
    -------
    list of dict
        ``case_id split called truth drivers``, `drivers` a list of ``{title value unit added}``, the strongest first.
        Empty without the file.

    Raises
    ------
    InputError
        When a table is damaged.
    """
    path = run / DRIVERS
    if not path.is_file():
        return []
    wanted = ["case_id", "split", "rank", "class", "title", "value", "unit", "added"]
    truth = {
        (str(row["case_id"]), row["split"]): row["y_true"]
        for row in _rows(run / PREDICTIONS, ["case_id", "split", "member", "y_true"])
        if row["member"] == "ensemble"
    }
    cases: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(_rows(path, wanted), key=lambda one: int(one["rank"])):
        key = (str(row["case_id"]), str(row["split"]))
        known = truth.get(key)
        empty = {"case_id": key[0], "split": key[1], "called": row["class"], "truth": known, "drivers": []}
        case = cases.setdefault(key, empty)
        value = None if row["value"] is None or row["value"] != row["value"] else row["value"]
        if case["drivers"] and row["added"] <= 0:
            continue  # it spoke against the call, or did not speak
        case["drivers"].append({"title": row["title"], "value": value, "unit": row["unit"], "added": row["added"]})
    return [cases[key] for key in sorted(cases)]


def _rows(path: Path, columns: list[str]) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    damaged = InputError(
        f"is damaged, or lacks one of the columns {', '.join(columns)}",
        where=str(path),
        fix="restore it from a copy, or train again",
    )
    if not path.is_file():
        raise InputError("is missing", where=str(path), fix="restore it from a copy, or train again")
    try:
        with machine_errors(path):
            table = pq.read_table(path, columns=columns)
    except (pa.ArrowInvalid, pa.ArrowKeyError, KeyError) as error:
        raise damaged from error
    if set(table.column_names) != set(columns):
        raise damaged
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def measured_pictures(content: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the inline SVG of the section: ``measured-importance`` and, per split, ``measured-masks-0`` ...."""
    if content is None:
        return {}
    pictures: dict[str, str] = {}
    shares = [(row["title"], row["share"]) for row in content["importance"] if row["share"] > 0][:MOST_BARS]
    if shares:
        pictures["measured-importance"] = bars("measured-importance", shares)
    for index, part in enumerate(content["structures"]):
        rows = [(row["structure"], row) for row in part["rows"]]
        if any(row["value"] is not None for _, row in rows):
            name = f"measured-masks-{index}"
            pictures[name] = forest(name, rows[:20], "Dice", unit=True)
    return pictures


def bars(name: str, shares: list[tuple[str, float]]) -> str:
    """Return a horizontal bar a measurement, the largest on top, its title above it so that long ones are whole."""
    height = 0.8 + 0.44 * len(shares)
    with canvas(4.6, height) as (figure, axes):
        axes.set_position((0.015, 0.62 / height, 0.97, 0.99 - 0.62 / height))
        for index, (title, share) in enumerate(shares):
            axes.barh(index, 100 * share, height=0.34, color=COLOURS[0])
            axes.text(0, index - 0.3, label(title, 58), va="bottom", ha="left", fontsize=9.5)
            axes.text(100 * share, index, f" {significant(100 * share, 2)} %", va="center", ha="left", fontsize=9.5)
        axes.set(ylim=(len(shares) - 0.6, -0.85), xlim=(0, 115 * max(share for _, share in shares)), yticks=[])
        axes.set_xlabel("Share of what all measurements added (%)")
        axes.locator_params(axis="x", nbins=6)
        axes.grid(color=HAIR, linewidth=0.6, axis="x")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        words = "; ".join(f"{label(title, 80)} {significant(100 * share, 2)} %" for title, share in shares)
        return to_svg(figure, name, "What the findings lean on", f"Importance: {words}.")
