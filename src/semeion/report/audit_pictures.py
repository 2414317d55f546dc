"""What audits found, shown as pictures: copies side by side, and likely wrong labels, the likeliest first.

The pictures are the thumbnails that the scan kept (``scan.parquet``), so that no image is read again for a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semeion.report.people import read_columns
from semeion.report.render import data_uri

if TYPE_CHECKING:
    import pandas as pd

COPIES, LABELS = "near-duplicates", "label-errors"
MOST_GROUPS = 12
"""Groups of copies on a page..."""
MOST_OF_A_GROUP = 6
"""...pictures of each..."""
MOST_LABELS = 12
"""...and likely wrong labels."""
LIKELIEST = "likeliest"
"""Figure of the audit of labels that holds the ranked cases."""
_SIDE = 32
"""Rows and columns of a thumbnail; of a volume three stand one after the other."""
_FEW_PIXELS = 64
"""Pictures whose longer side has no more pixels are shown as squares rather than smeared."""
_STRETCHED = 3.0
"""Longest side over shortest that a picture is shown with."""


@dataclass(frozen=True)
class Seen:
    """One case as a page shows it.

    Attributes
    ----------
    split
        ``train``, ``val``, ``test``, or the fold that held it out; empty where none is known.
    label
        Its label in words; None without one.
    png
        Its thumbnail; None where the scan kept none.
    ratio
        Width over height at which it is shown.
    small
        Whether it has so few pixels that they are shown as squares.
    """

    split: str = ""
    label: str | None = None
    png: bytes | None = None
    ratio: float = 1.0
    small: bool = True


def named_cases(audits: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the ids of all cases that may be shown."""
    found = {str(case) for group in _groups(audits) for case in group}
    return found | {str(one["case"]) for _, rows in _likeliest(audits) for one in rows}


def copies_content(audits: Mapping[str, Mapping[str, Any]], cases: Mapping[str, Seen]) -> dict[str, Any] | None:
    """Return the groups of copies as a page shows them: across the test set first, then those with two labels.

    None where there is none. ``confirmed`` is False of pairs that only look alike; ``total`` counts the groups that the
    audit names, ``more`` of a group its cases that are not shown.
    """
    groups = _groups(audits)
    if not groups:
        return None
    figures = audits[COPIES].get("figures") or {}
    made = [_group(group, cases) for group in groups]
    made.sort(key=lambda one: (not one["across_test"], not one["across"], not one["two_labels"]))
    confirmed = bool(figures.get("groups", len(groups)))
    total = max(len(groups), int(figures.get("groups" if confirmed else "near_pairs", 0)))
    return {"confirmed": confirmed, "total": total, "groups": made[:MOST_GROUPS]}


def _group(group: Sequence[Any], cases: Mapping[str, Seen]) -> dict[str, Any]:
    ids = [str(case) for case in group]
    known = [cases.get(case, Seen()) for case in ids]
    splits = {one.split for one in known if one.split}
    labels = {one.label for one in known if one.label is not None}
    # One of each side and label first, so that what is wrong is seen where a group is too large to be shown whole.
    seen: dict[tuple[str, str | None], int] = {}
    turn = []
    for one in known:
        seen[one.split, one.label] = seen.get((one.split, one.label), 0) + 1
        turn.append(seen[one.split, one.label])
    chosen = sorted(sorted(range(len(ids)), key=lambda k: (turn[k], k))[:MOST_OF_A_GROUP])
    return {
        "n": len(ids),
        "splits": sorted(splits, key=_split_order),
        "labels": sorted(labels),
        "across": len(splits) > 1,
        "across_test": len(splits) > 1 and ("test" in splits or any(name.startswith("fold ") for name in splits)),
        "two_labels": len(labels) > 1,
        "cases": [{"case_id": ids[k], "split": known[k].split, "label": known[k].label} for k in chosen],
        "more": len(ids) - len(chosen),
    }


def labels_content(audits: Mapping[str, Mapping[str, Any]], cases: Mapping[str, Seen]) -> dict[str, Any] | None:
    """Return the likely wrong labels, the likeliest first (of several labels, those of each in turn); None without."""
    found = _likeliest(audits)
    if not found:
        return None
    figures = audits[LABELS].get("figures") or {}
    total = sum(int(figures.get(_before(key) + "suspects", len(rows))) for key, rows in found)
    by_turn = sorted(((k, key, one) for key, rows in found for k, one in enumerate(rows)), key=lambda row: row[0])
    shown = [
        {
            "case_id": str(one["case"]),
            "split": cases.get(str(one["case"]), Seen()).split,
            "target": _before(key).removesuffix(": ") or None,
            "given": str(one["given"]),
            "suggested": str(one["suggested"]),
            "probability": float(one["probability"]),
        }
        for _, key, one in by_turn[:MOST_LABELS]
    ]
    return {"total": total, "verdict": str(audits[LABELS].get("verdict", "")), "cases": shown}


def audit_images(content: Mapping[str, Any], cases: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
    """Return the pictures of all cases that the content shows: ``uri``, ``ratio`` and ``small`` by case id."""
    shown = [case for group in (content["copies"] or {}).get("groups", []) for case in group["cases"]]
    shown += (content["labels"] or {}).get("cases", [])
    return {
        name: {"uri": data_uri(one.png), "ratio": one.ratio, "small": one.small}
        for name in dict.fromkeys(case["case_id"] for case in shown)
        if (one := cases.get(name)) is not None and one.png is not None
    }


def shown_content(audits: Mapping[str, Mapping[str, Any]], cases: Mapping[str, Seen]) -> dict[str, Any]:
    """Return ``copies`` and ``labels``, each None where an audit named nothing."""
    return {"copies": copies_content(audits, cases), "labels": labels_content(audits, cases)}


def seen_cases(
    table: pd.DataFrame, facts: pd.DataFrame | None, target: Mapping[str, Any], wanted: Iterable[str]
) -> dict[str, Seen]:
    """Return the wanted cases as a page shows them.

    Parameters
    ----------
    table
        ``case_id``, ``split`` where one is known, and the columns of the reference standard as a cohort has them.
    facts
        The scan: ``case_id``, ``thumb``, and ``rows`` and ``cols`` of pictures. None: no pictures.
    target
        ``task`` and ``classes``.
    wanted
        Case ids.
    """
    named = set(wanted)
    rows = table[table["case_id"].astype(str).isin(named)]
    told: dict[str, dict[str, Any]] = {}
    if facts is not None and "thumb" in facts.columns:
        found = facts[facts["case_id"].astype(str).isin(named)]
        told = {str(one["case_id"]): one for one in _rows(found)}
    cases: dict[str, Seen] = {}
    for one in _rows(rows):
        case, split = str(one["case_id"]), one.get("split")
        fact = told.get(case, {})
        png = thumb_png(fact.get("thumb"))
        ratio, small = _shape(fact)
        cases[case] = Seen(split if isinstance(split, str) else "", _label(one, target), png, ratio, small)
    return cases


def run_cases(run: Path, target: Mapping[str, Any], wanted: set[str], *, pictures: bool) -> dict[str, Seen]:
    """Return the wanted cases of a run folder; of a run without a split, each with the fold that held it out.

    Raises
    ------
    InputError
        When a table is damaged.
    """
    table = read_columns(run / "cohort.parquet") if wanted else None
    if table is None or "case_id" not in table.columns:
        return {}
    facts = read_columns(run / "scan.parquet", ("case_id", "thumb", "rows", "cols")) if pictures else None
    cases = seen_cases(table, facts, target, wanted)
    told = read_columns(run / "predictions.parquet", ("case_id", "split", "fold"))
    if told is None or not {"case_id", "split", "fold"} <= set(told.columns):
        return cases
    held = told[told["split"] == "oof"].drop_duplicates("case_id")
    folds = dict(zip(held["case_id"].astype(str), held["fold"].astype(int), strict=True))
    return {
        name: one if one.split or name not in folds else replace(one, split=f"fold {folds[name]}")
        for name, one in cases.items()
    }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def thumb_png(packed: Any) -> bytes | None:
    """Return a thumbnail of the scan as a PNG; three slices of a volume side by side; None where there is none."""
    import cv2
    import numpy as np

    size = len(packed) if isinstance(packed, (bytes, bytearray)) else 0
    if size not in (_SIDE * _SIDE, 3 * _SIDE * _SIDE):
        return None
    views = np.frombuffer(packed, dtype=np.uint8).reshape(-1, _SIDE, _SIDE)
    done, data = cv2.imencode(".png", np.concatenate(list(views), axis=1), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return data.tobytes() if done else None


def _shape(fact: Mapping[str, Any]) -> tuple[float, bool]:
    """Return width over height, and whether pixels are shown as squares; volumes are three squares."""
    if len(fact.get("thumb") or b"") == 3 * _SIDE * _SIDE:
        return 3.0, False
    try:
        rows, cols = float(fact["rows"]), float(fact["cols"])
    except (KeyError, TypeError, ValueError):
        return 1.0, True
    if not (rows > 0 and cols > 0):
        return 1.0, True
    return round(min(max(cols / rows, 1 / _STRETCHED), _STRETCHED), 3), max(rows, cols) <= _FEW_PIXELS


def _label(row: Mapping[str, Any], target: Mapping[str, Any]) -> str | None:
    """Return a case's reference standard in words."""
    task, classes = target.get("task"), list(target.get("classes") or [])
    if task == "multilabel":
        known = {name: row.get(f"y.{name}") for name in classes}
        present = [name for name, value in known.items() if value == 1]
        return "; ".join(present) if present else ("none" if any(value == 0 for value in known.values()) else None)
    value = row.get("y")
    if not isinstance(value, (int, float)) or value != value:
        return None
    if task == "regression":
        return f"{value:g}"
    return str(classes[int(value)]) if 0 <= int(value) < len(classes) else None


def _groups(audits: Mapping[str, Mapping[str, Any]]) -> list[Sequence[Any]]:
    cases = (audits.get(COPIES) or {}).get("cases") or []
    return [group for group in cases if not isinstance(group, str) and len(group) > 1]


def _likeliest(audits: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return the ranked cases of the audit of labels, by the name of the figure: of several labels one each."""
    figures = (audits.get(LABELS) or {}).get("figures") or {}
    return [(str(key), list(rows)) for key, rows in figures.items() if str(key).endswith(LIKELIEST) and rows]


def _before(key: str) -> str:
    return key.removesuffix(LIKELIEST)


def _split_order(name: str) -> tuple[int, str]:
    known = ("train", "val", "calibration", "test")
    return (known.index(name), name) if name in known else (len(known), name)
