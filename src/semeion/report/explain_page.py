"""``explain.html``: what a folder of explanations holds, case by case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from semeion.artefacts import read_json, write_bytes
from semeion.errors import InputError
from semeion.report.render import LARGEST_PAGE, render, spend

NAME = "explain"
MOST_CASES = 400
"""Cases on the page; the JSON of every case lies beside it."""
_FOR_PICTURES = 3_600_000
"""Bytes of base64 for all pictures."""
WIDE = 480
"""Longest side of a picture on the page in pixels; the file beside it has all of them."""
_QUALITY = 84
STATUS = {
    "called": "called",
    "set": "a set of classes",
    "unsure": "not sure",
    "not_applicable": "not applicable",
    "failed": "failed",
}


def write_explain_page(folder: Path) -> Path:
    """Write ``explain.html`` from ``explain.json`` and the JSON and pictures of the cases beside it.

    Parameters
    ----------
    folder
        That :func:`semeion.explain.run.explained_findings` wrote.

    Returns
    -------
    Path
        The page: one file below 5 MB that asks no other computer for anything. Pictures are shown smaller, as many as
        fit, and lead to their files.

    Raises
    ------
    InputError
        When the folder holds no explanations, or a file is damaged.
    MachineError
        When it cannot be written.
    """
    account = _read(folder / f"{NAME}.json")
    names = list(account["cases"])
    cases = [_read(folder / name) for name in names[:MOST_CASES]]
    small: dict[str, bytes] = {}
    for case in cases:
        for part in case["explained"]:
            for name in part["pictures"]:
                if sum(map(len, small.values())) * 4 / 3 < _FOR_PICTURES:
                    small[name] = shrunk(folder / name)
    images, _ = spend(small, _FOR_PICTURES)
    page = render(
        "explain.html.j2",
        script=None,
        pictures={},
        images=images,
        left_out=len(names) - len(cases),
        unseen=sum(len(part["pictures"]) for case in cases for part in case["explained"]) - len(images),
        cases=[case_content(case) | {"file": quote(name)} for name, case in zip(names, cases, strict=False)],
        called_from=account.get("called_from") or {},
        status_words=STATUS,
        **{name: account[name] for name in ("semeion", "model", "task", "target", "classes", "synthetic", "statuses")},
    )
    if len(page) >= LARGEST_PAGE:
        raise InputError(
            f"the page of explanations would be {len(page) / 1e6:.1f} MB, and {LARGEST_PAGE / 1e6:.0f} MB is the limit",
            where=str(folder),
            fix="explain fewer cases at once; the files of every case are written",
        )
    write_bytes(folder / f"{NAME}.html", page)
    return folder / f"{NAME}.html"


def case_content(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of one case, from its JSON."""
    parts = [
        {
            **part,
            "sentences": [one["sentence"] for one in part.get("values") or []],
            "remark": part.get("remark") or "",
            "files": [{"name": name, "link": quote(name)} for name in (*part["pictures"], *part["maps"])],
        }
        for part in case["explained"]
    ]
    like = case.get("like") or {}
    return {
        "case_id": case["case_id"],
        "image": case["image"],
        "findings": case["findings"],
        "parts": parts,
        "like": like.get("sentence") or "",
        "why": case.get("why_no_map") or "",
    }


def shrunk(path: Path) -> bytes:
    """Return a picture as JPEG, no side longer than :data:`WIDE`.

    Raises
    ------
    InputError
        When it is absent or damaged.
    """
    import cv2
    import numpy as np

    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        picture = None
    if picture is None:
        raise InputError("the picture cannot be read", where=str(path), fix="explain the cases again")
    part = WIDE / max(picture.shape[:2])
    if part < 1:
        picture = cv2.resize(picture, None, fx=part, fy=part, interpolation=cv2.INTER_AREA)
    done, found = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return bytes(found.tobytes())


def _read(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            "the file of explanations is absent or damaged", where=str(path), fix="explain the cases again"
        ) from error
    if not isinstance(value, dict):
        raise InputError("not a file of explanations", where=str(path), fix="explain the cases again")
    return value
