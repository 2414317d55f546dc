"""``report.html`` and ``report.json``: the account of a run that a clinician reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from semeion.artefacts import write_bytes, write_json
from semeion.errors import InputError
from semeion.report.account import account_of
from semeion.report.audit_pictures import audit_images, named_cases, run_cases
from semeion.report.chai import write_card
from semeion.report.content import budget_sentence, report_content
from semeion.report.crosswalk import write_crosswalk
from semeion.report.explained import explained_pictures
from semeion.report.flow_picture import flow_picture
from semeion.report.further import further_pictures, further_targets
from semeion.report.measured import measured_pictures, read_drivers
from semeion.report.pictures import draw
from semeion.report.practice import practice_pictures
from semeion.report.reading import Artefacts, read_artefacts
from semeion.report.render import LARGEST_PAGE, is_small, render, spend
from semeion.report.robustness import robustness_pictures
from semeion.report.search import search_pictures
from semeion.report.segmentation import segmentation_report

_FOR_GALLERY = (3_000_000, 1_000_000, 0)
"""Bytes of base64 for gallery pictures, tried in turn until the page is below its limit."""
_FOR_STRIPS = 600_000
"""Bytes of base64 for one case made worse."""
_PER_KIND = 24
"""Pictures of each kind on the page."""


def write_report(run: Path, *, pictures: bool = True, name: str = "report") -> Path:
    """Write ``report.html`` and ``report.json`` into a run folder, each whole or not at all.

    Beside them go ``crosswalk.html`` and ``crosswalk.json``, what reporting standards ask and the run answers, and of
    a run that shipped a model ``model_card.xml``.

    Parameters
    ----------
    run
        A run folder, or the folder of an external evaluation (``evidence.json`` with the split ``external``; no plan).
    pictures
        Whether to show pictures of cases. Without them the page holds no image of a patient.
    name
        What both files are called: ``evaluate`` for an external evaluation.

    Returns
    -------
    Path
        The page, ``report.html``.

    Raises
    ------
    InputError
        When an artefact is missing, damaged or of another version.
    MachineError
        When the folder cannot be written.

    Notes
    -----
    The same artefacts give the same bytes. The page is one file below 5 MB that asks no other computer for anything.
    """
    found = read_artefacts(run, pictures=pictures)
    target = {"task": found.evidence.task, "classes": found.evidence.classes}
    named = named_cases(found.evidence.audits)
    found = replace(found, audited=run_cases(run, target, named, pictures=pictures))
    if found.evidence.measured is not None:
        found = replace(found, drivers=tuple(read_drivers(run)))
    if found.evidence.task == "segmentation":
        return segmentation_report(found, run, name)
    account = account_of(found, run)
    content = report_content(found) | account.content() | {"further": further_targets(found.evidence, name)}
    page = _page(found, content)
    write_json(run / f"{name}.json", content)
    write_bytes(run / f"{name}.html", page)
    write_crosswalk(account, f"{name}.html")
    write_card(account)
    return run / f"{name}.html"


def _page(found: Artefacts, content: dict[str, Any]) -> bytes:
    drawn = {"flow": flow_picture(content["flow_diagram"])} | draw(content) | practice_pictures(content)
    drawn |= measured_pictures(content["measured"]) | robustness_pictures(content["robustness"])
    drawn |= explained_pictures(content["explained"])
    drawn |= search_pictures(content["search"])
    drawn |= further_pictures(content["further"])
    shown = {str(case["file"]) for part in content["gallery"] for case in part["cases"][:_PER_KIND]}
    chosen = {name: data for name, data in found.pictures.items() if name in shown}
    small = {name for name, data in chosen.items() if is_small(data)}
    for most in _FOR_GALLERY:
        images, left_out = spend(chosen, most)
        strips, _ = spend(found.strip_pictures, _FOR_STRIPS if most else 0)
        page = render(
            "report.html.j2",
            script="slider.js",
            pictures=drawn,
            images=images,
            strips=strips,
            audit_images=audit_images(content["audits"]["shown"], found.audited) if most else {},
            small=small,
            left_out=left_out + len(found.pictures) - len(chosen),
            budget_sentence=budget_sentence(content["budget"]),
            **content,
        )
        if len(page) < LARGEST_PAGE:
            return page
    raise InputError(
        f"the report would be {len(page) / 1e6:.1f} MB, and {LARGEST_PAGE / 1e6:.0f} MB is the limit",
        where="evidence.json",
        fix="lessen the number of strata or labels; evidence.json has every figure",
    )
