"""``audit.html`` and ``audit.json``: what was looked for in a finished run, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semeion.artefacts import write_bytes, write_json
from semeion.report.audits import audit_rows
from semeion.report.render import render
from semeion.report.words import VERDICT_ORDER


def write_audit(folder: Path, account: Mapping[str, Any]) -> Path:
    """Write ``audit.json`` and ``audit.html`` into `folder`, each whole or not at all, and return the page.

    Parameters
    ----------
    folder
        Made when absent.
    account
        ``semeion source synthetic target task audits accepted``.

    Raises
    ------
    MachineError
        When the folder cannot be written.
    """
    rows = audit_rows(account["audits"], list(account["accepted"]))
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICT_ORDER}
    page = render(
        "audit.html.j2",
        script=None,
        pictures={},
        semeion=account["semeion"],
        synthetic=bool(account["synthetic"]),
        source=account["source"],
        target=account["target"],
        rows=rows,
        counts=counts,
        result=audit_result(counts, [row["name"] for row in rows if row["verdict"] == "void"]),
    )
    write_json(folder / "audit.json", dict(account))
    write_bytes(folder / "audit.html", page)
    return folder / "audit.html"


def audit_result(counts: Mapping[str, int], void: list[str]) -> str:
    """Return in a sentence or two what the verdicts come to."""
    if void:
        start = f"The result is void: {', '.join(name.replace('-', ' ') for name in void)}."
    elif counts["warn"]:
        start = (
            f"Nothing voids the result; {counts['warn']} of the audits {'warns' if counts['warn'] == 1 else 'warn'}."
        )
    else:
        start = "Nothing was found that would void the result, or that needs a warning."
    unseen = counts["not_run"]
    return (
        f"{start} {unseen} could not be run or {'was' if unseen == 1 else 'were'} not asked for." if unseen else start
    )
