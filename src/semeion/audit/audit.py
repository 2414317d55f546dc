"""The verdict of one audit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["void", "warn", "note", "clear", "not_run"]
Tier = Literal["check", "train", "full"]

MOST_CASES_LISTED = 1000
"""Longer lists are cut in JSON; the figures always count everything."""


@dataclass(frozen=True)
class Audit:
    """What one audit found.

    Attributes
    ----------
    name
        As INTERFACES names it, for example ``near-duplicates``.
    verdict
        ``void`` (the result means nothing as it stands), ``warn``, ``note``, ``clear``, or ``not_run``: never
        ``clear`` for an audit that could not look.
    tier
        How much work it is: ``check``, ``train`` or ``full``.
    figures
        Numbers by name; the counts are of all that was found.
    cases
        Case ids, or groups of case ids that belong together.
    advice
        A sentence: what was found and what to do.
    affected
        Test cases to leave out of the figures that are given without what is void. Not written to JSON.
    """

    name: str
    verdict: Verdict
    tier: Tier = "check"
    figures: dict[str, Any] = field(default_factory=dict)
    cases: tuple[Any, ...] = ()
    advice: str = ""
    affected: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """Return what stands under ``audits.<name>``; at most 1,000 cases or groups are listed."""
        figures = dict(self.figures)
        if len(self.cases) > MOST_CASES_LISTED:
            figures["cases_listed"] = MOST_CASES_LISTED
        listed = [list(case) if isinstance(case, (tuple, list)) else case for case in self.cases[:MOST_CASES_LISTED]]
        return {
            "verdict": self.verdict,
            "tier": self.tier,
            "figures": figures,
            "cases": listed,
            "advice": self.advice,
        }


def counted(number: int, thing: str, things: str = "") -> str:
    """Return ``1 case`` or ``2 cases``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {things or thing + 's'}"
