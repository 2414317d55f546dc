"""Item by item, what a run answers of TRIPOD+AI, CLAIM and STARD-AI: ``crosswalk.html`` and ``crosswalk.json``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from semeion.artefacts import write_bytes, write_json
from semeion.report.account import Account
from semeion.report.fact import Fact
from semeion.report.facts import run_facts
from semeion.report.render import render
from semeion.report.stated import FILE, KEYS

NAME = "crosswalk"
STANDARDS = ("tripod_ai", "claim_2024", "stard_ai")
STATUSES = {
    "filled": "All that the item asks for is read from the run or was stated by the user.",
    "confirm": "Part of it is filled, or a text is offered: a person must complete or confirm it.",
    "not_provided": "Nothing in the run or in intended_use.yaml says it.",
}
CROSSWALK_SCHEMA = 1


class Item(BaseModel):
    """One item of a checklist: its subject in our own words, and what answers it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    section: str
    text: str
    run: list[str] = Field(default_factory=list)
    """Names of :data:`semeion.report.facts.FACTS` that it asks for."""
    also: list[str] = Field(default_factory=list)
    """Names of facts that are shown where they are known, and not missed where they are not."""
    stated: list[str] = Field(default_factory=list)
    """Keys of :data:`semeion.report.stated.KEYS` that only a person can give."""
    suggest: list[str] = Field(default_factory=list)
    """Names of facts that are offered for a person to confirm while `stated` is not complete."""


class Standard(BaseModel):
    """One reporting standard."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    standard: str
    version: str
    citation: str
    doi: str
    wording: str
    """Which wording of the standard was at hand when the items were written."""
    check: str
    items: list[Item]


def read_standard(name: str) -> Standard:
    """Return one of :data:`STANDARDS`, from the package's own files."""
    import yaml

    text = (files("semeion.report") / "standards" / f"{name}.yaml").read_text(encoding="utf-8")
    safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same rules, written in C where PyYAML has it
    return Standard.model_validate(yaml.load(text, Loader=safe))  # noqa: S506  (a safe loader, and our own file)


def crosswalk(account: Account) -> dict[str, Any]:
    """Return every item of every standard with its status, its answers and where they stand.

    Returns
    -------
    dict
        ``standards``: ``{standard, version, citation, doi, wording, check, counts, items}``; an item is ``{id, section,
        text, status, answers, missing}``, an answer ``{name, value, where, sure}``, ``missing`` the keys that are to be
        stated.
    """
    told = run_facts(account)
    standards = []
    for name in STANDARDS:
        standard = read_standard(name)
        items = [answered(item, told, account.stated) for item in standard.items]
        counts = {status: sum(item["status"] == status for item in items) for status in STATUSES}
        standards.append({**standard.model_dump(exclude={"items"}), "counts": counts, "items": items})
    evidence = account.found.evidence
    return {
        "schema": CROSSWALK_SCHEMA,
        "semeion": evidence.semeion,
        "created": evidence.created,
        "synthetic": evidence.synthetic,
        "target": evidence.target,
        "source": evidence.source,
        "stated_in": FILE if account.stated else None,
        "standards": standards,
    }


def answered(item: Item, told: dict[str, Fact | None], stated: dict[str, str]) -> dict[str, Any]:
    """Return an item with its answers and its status.

    ``filled`` only where every fact it asks of the run is known and sure, and every statement was given; ``confirm``
    where some of it is there, or a text is offered; otherwise ``not_provided``.
    """
    given = [
        {"name": key, "value": stated[key], "where": f"{FILE}: {key}", "sure": True}
        for key in item.stated
        if key in stated
    ]
    missing = [key for key in item.stated if key not in stated]
    known = [(name, fact) for name in item.run if (fact := told[name]) is not None]
    offered = (
        [(name, fact) for name in item.suggest if (fact := told[name]) is not None]
        if missing or not item.stated
        else []
    )
    further = [(name, fact) for name in item.also if (fact := told[name]) is not None]
    shown = [
        {"name": name, "value": fact.value, "where": fact.where, "sure": fact.sure and name not in item.suggest}
        for name, fact in [*known, *further, *offered]
    ]
    answers = [*given, *shown]
    whole = not missing and len(known) == len(item.run) and all(answer["sure"] for answer in answers)
    status: Literal["filled", "confirm", "not_provided"]
    status = "not_provided" if not answers else "filled" if whole else "confirm"
    return {
        "id": item.id,
        "section": item.section,
        "text": item.text,
        "status": status,
        "answers": answers,
        "missing": missing,
    }


def write_crosswalk(account: Account, page: str) -> Path:
    """Write ``crosswalk.json`` and ``crosswalk.html`` beside a report, each whole or not at all, and return the page.

    Parameters
    ----------
    account
        Of the run; its folder is written to.
    page
        File name of the report that it belongs to.
    """
    content = crosswalk(account)
    made = render(
        "crosswalk.html.j2",
        script=None,
        pictures={},
        page=page,
        titles=KEYS,
        statuses=STATUSES,
        **content,
    )
    write_json(account.run / f"{NAME}.json", content)
    write_bytes(account.run / f"{NAME}.html", made)
    return account.run / f"{NAME}.html"
