"""All that the first page, the crosswalk and the model card tell of a run, gathered once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semeion.report.demographics import demographics
from semeion.report.first_page import first_page
from semeion.report.flow import flow_content
from semeion.report.headline import headline_split
from semeion.report.people import People, read_people
from semeion.report.reading import Artefacts
from semeion.report.stated import stated_in


@dataclass(frozen=True)
class Account:
    """A run as the standards ask about it.

    Attributes
    ----------
    found
        The artefacts.
    run
        The folder.
    split
        That of the headline; None without figures.
    people
        Who is in the run.
    stated
        What the user said, by the keys of :data:`semeion.report.stated.KEYS`.
    first, flow, who
        Content of the first page, of the flow of cases and of the demographics.
    """

    found: Artefacts
    run: Path
    split: str | None
    people: People
    stated: dict[str, str]
    first: dict[str, Any]
    flow: dict[str, Any]
    who: dict[str, Any]

    def content(self) -> dict[str, Any]:
        """Return what the report's content model takes of it."""
        return {"first": self.first, "flow_diagram": self.flow, "demographics": self.who}


def account_of(found: Artefacts, run: Path) -> Account:
    """Gather the account of a run.

    Raises
    ------
    InputError
        When a table or ``intended_use.yaml`` in the run cannot be read.
    """
    split = headline_split(found.evidence.metrics)
    people, stated = read_people(run, found), stated_in(run)
    return Account(
        found,
        run,
        split,
        people,
        stated,
        first_page(found, run, people, stated, split),
        flow_content(found, people),
        demographics(people, found.evidence.target),
    )
