"""One thing told of a run, with where it stands; and the two ways by which most are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from semeion.report.account import Account

LONGEST = 700
"""Characters of a fact; the artefact that it names has the whole."""


@dataclass(frozen=True)
class Fact:
    """Something told of a run.

    Attributes
    ----------
    value
        In words.
    where
        The file and key, or the part of the report.
    sure
        Whether it is read from the run; otherwise it is offered for a person to confirm.
    """

    value: str
    where: str
    sure: bool = True


Tell = Callable[[Account], Fact | None]
"""How a fact is told of a run; None where the run does not know it."""


def cut(text: str) -> str:
    """Return `text` no longer than a fact may be."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def audit(*names: str) -> Tell:
    """Return what audits that were run say; None when none of them was."""

    def tell(account: Account) -> Fact | None:
        audits = account.found.evidence.audits
        ran = {name: audits[name] for name in names if audits.get(name, {}).get("verdict", "not_run") != "not_run"}
        told = " ".join(f"{name}: {one['verdict']}. {one.get('advice') or ''}".strip() for name, one in ran.items())
        return Fact(cut(told), f"evidence.json: audits ({', '.join(ran)})") if ran else None

    return tell


def said(text: str, where: str) -> Tell:
    """Return what holds of every model of Semeion, for a person to confirm; None of predictions of any tool."""

    def tell(account: Account) -> Fact | None:
        return None if account.found.evidence.weighed is not None else Fact(text, where, False)

    return tell
