"""``check.html`` and ``check.json``: what was found in the data before anything was trained on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from semeion.artefacts import write_bytes, write_json
from semeion.report.audit_pictures import Seen, audit_images, shown_content
from semeion.report.audits import audit_rows
from semeion.report.render import is_small, render, spend
from semeion.report.words import SPLIT_ROLE, TASKS, VERDICT_ORDER

_FOR_EXAMPLES = 3_500_000
"""Bytes of base64 for the pictures before and after cleaning."""
_SPLITS = ("train", "val", "test")
_CLEANING = {
    "borders": "Black borders and collimation",
    "text": "Burned-in text and markers",
    "salt": "Salt noise",
    "equalise": "Low contrast, equalised (CLAHE)",
}
_PIXELS = {"rows": "Height in pixels", "cols": "Width in pixels", "intensity": "Intensity"}
_KINDS = {
    "formats": "File format",
    "photometry": "Grey or colour",
    "bits": "Bits per pixel and channel",
    "modality": "Modality",
    "units": "Unit",
}


def write_check(
    folder: Path,
    check: Mapping[str, Any],
    examples: Iterable[tuple[str, bytes]] | Mapping[str, bytes] = (),
    audited: Mapping[str, Seen] | None = None,
) -> None:
    """Write ``check.json`` and ``check.html`` into `folder`, each whole or not at all.

    Parameters
    ----------
    folder
        Made when absent.
    check
        The content of ``check.json``.
    examples
        PNG or JPEG pictures before and after cleaning, by the names under ``check["examples"]``. They are shown inline
        in the page and written nowhere else.
    audited
        The cases that audits name, by their ids; those with a picture are shown.

    Raises
    ------
    MachineError
        When the folder cannot be written.
    """
    pictures = dict(examples.items() if isinstance(examples, Mapping) else examples)
    images, left_out = spend(pictures, _FOR_EXAMPLES)
    shown = shown_content(check.get("audits") or {}, audited or {})
    page = render(
        "check.html.j2",
        script=None,
        pictures={},
        images=images,
        small={name for name, data in pictures.items() if is_small(data)},
        left_out=left_out,
        shown=shown,
        audit_images=audit_images(shown, audited or {}),
        **check_content(check),
    )
    write_json(folder / "check.json", dict(check))
    write_bytes(folder / "check.html", page)


def check_content(check: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the check page shows, from the content of ``check.json``."""
    rows = audit_rows(check.get("audits") or {}, list(check.get("accepted") or []))
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICT_ORDER}
    images = check.get("images") or {}
    splits = _splits(check)
    known = list(check.get("classes") or [])
    counted = [row["class_counts"] for row in splits]
    return {
        "source": check.get("source", ""),
        "target": check.get("target", ""),
        "task": check.get("task", ""),
        "task_words": TASKS.get(str(check.get("task", "")), ""),
        "classes": [*known, *sorted({name for row in counted for name in row} - set(known))],
        "positive": check.get("positive"),
        "why": check.get("why", ""),
        "semeion": check.get("semeion", ""),
        "synthetic": bool(check.get("synthetic", False)),
        "n_cases": check.get("n_cases"),
        "n_patients": check.get("n_patients"),
        "has_patients": check.get("has_patients"),
        "has_split": check.get("has_split"),
        "splits": splits,
        "rows": rows,
        "counts": counts,
        "result": _result(counts),
        "image_counts": {name: images[name] for name in ("ok", "missing", "unreadable") if name in images},
        "pixel_facts": [{"name": title, "facts": images[key]} for key, title in _PIXELS.items() if images.get(key)],
        "kind_facts": [{"name": title, "facts": images[key]} for key, title in _KINDS.items() if images.get(key)],
        "unused": list(check.get("unused") or []),
        "covariates": list(check.get("covariates") or []),
        "notes": list(check.get("notes") or []),
        "flow": list(check.get("flow") or []),
        "cleaning": [{"name": _CLEANING.get(key, key), **step} for key, step in (check.get("cleaning") or {}).items()],
        "examples": list(check.get("examples") or []),
    }


def _splits(check: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = check.get("splits") or {}
    ordered = [name for name in _SPLITS if name in found] + [name for name in found if name not in _SPLITS]
    return [
        {
            "split": name,
            "role": SPLIT_ROLE.get(name, ""),
            "n": found[name].get("n"),
            "n_patients": found[name].get("n_patients"),
            "class_counts": found[name].get("class_counts") or {},
        }
        for name in ordered
    ]


def _result(counts: Mapping[str, int]) -> str:
    void, warn, unseen = counts["void"], counts["warn"], counts["not_run"]
    if void:
        start = f"{void} of the audits would void a result on these data. Training stops until that is mended."
    elif warn:
        start = f"Nothing voids a result on these data; {warn} of the audits {'warns' if warn == 1 else 'warn'}."
    else:
        start = "Nothing was found that would void a result on these data."
    return f"{start} {unseen} could not be run." if unseen else start
