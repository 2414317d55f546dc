"""Which trials an explanation must stand, how well, and what is said of one that does not.

The whole 95 % interval of a figure must lie beyond its limit, not its estimate alone: what could not be shown does not
pass. Where a lesion lies decides nothing here. A map that shows truly that a network looks beside the lesion is the one
that must be seen; figures of lesions tell of the network, and stand in the report beside the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["passed", "failed", "not_run"]


@dataclass(frozen=True)
class Rule:
    """One figure, the limit that its whole interval must keep, and why.

    Attributes
    ----------
    figure
        Name of the figure.
    limit
        Of it.
    below
        Whether it must stay below the limit; above it otherwise.
    needed
        Whether nothing passes without this figure; others count where they could be measured.
    why
        The rule in words.
    failed
        What is said where it is not kept.
    """

    figure: str
    limit: float
    below: bool
    needed: bool
    why: str
    failed: str

    def kept(self, figure: Mapping[str, Any]) -> bool:
        """Tell whether a figure ``{value, low, high, ...}`` keeps the limit."""
        low, high = figure.get("low"), figure.get("high")
        if low is None or high is None:
            return False
        return bool(high < self.limit) if self.below else bool(low > self.limit)


RULES = (
    Rule(
        "randomised",
        0.3,
        True,
        True,
        "With the weights of all layers drawn anew a map must be another one: rank correlation below 0.3.",
        "it hardly depends on what the network learned",
    ),
    Rule(
        "noise",
        0.7,
        False,
        True,
        "With noise of two grey levels a map must stay what it is: rank correlation above 0.7.",
        "noise that nobody sees changes it",
    ),
    Rule(
        "removal_gain",
        0.0,
        False,
        True,
        "What a map names must matter more to the model than places at random: areas under the curves of deletion and "
        "insertion better than those of the same map moved at random.",
        "the places it names are not shown to matter more to the model than others",
    ),
    Rule(
        "members_over_randomised",
        0.0,
        False,
        False,
        "Two networks that learned the same must agree more than one does with weights drawn anew.",
        "networks that learned the same do not agree on it",
    ),
    Rule(
        "random_labels",
        0.5,
        True,
        False,
        "Learned again on labels that were exchanged at random, the map must be another one: rank correlation below "
        "0.5, since the pictures that were learned from stay the same.",
        "it hardly depends on the labels that were learned",
    ),
)


def verdict_of(figures: Mapping[str, Mapping[str, Any]]) -> tuple[Verdict, str]:
    """Return the verdict on a method, and the reason in words.

    Parameters
    ----------
    figures
        Name to ``{value, low, high, ...}``; of rules that were not tried there is none, or one without a value.
    """
    there = {name for name, figure in figures.items() if figure.get("value") is not None}
    missing = [rule.figure for rule in RULES if rule.needed and rule.figure not in there]
    if missing:
        return "not_run", "not all that decides was measured"
    broken = [rule for rule in RULES if rule.figure in there and not rule.kept(figures[rule.figure])]
    if broken:
        return "failed", "; ".join(_told(rule, figures[rule.figure]) for rule in broken)
    return "passed", ""


def rules_json(figures: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rules as the evidence states them, those that were measured: ``{figure, limit, below, why, kept}``."""
    return [
        {
            "figure": rule.figure,
            "limit": rule.limit,
            "below": rule.below,
            "why": rule.why,
            "kept": rule.kept(figures[rule.figure]),
        }
        for rule in RULES
        if rule.figure in figures and figures[rule.figure].get("value") is not None
    ]


def shown(verdict: str | None) -> bool:
    """Tell whether a method may be shown: one that failed may not; of one that was not tried that is said."""
    return verdict != "failed"


def _told(rule: Rule, figure: Mapping[str, Any]) -> str:
    low, high = figure.get("low"), figure.get("high")
    interval = "no interval" if low is None or high is None else f"95 % interval {low:.2f} to {high:.2f}"
    side = "below" if rule.below else "above"
    return f"{rule.failed} ({rule.figure} {figure['value']:.2f}, {interval}; must lie {side} {rule.limit:g})"
