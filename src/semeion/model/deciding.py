"""The one place where a finding's status is decided.

The order is fixed: what failed has no result; what the model is not addressed by has none that means anything; of what
it is unsure it makes no call; where several classes cannot be told apart it names them; the rest it calls. A weaker
reason never hides a stronger one, and all of them stay with the finding.
"""

from __future__ import annotations

from dataclasses import dataclass

from semeion.model.codes import strongest
from semeion.model.findings import Status


@dataclass(frozen=True)
class Facts:
    """What is known of a finding before its status is.

    Attributes
    ----------
    call
        The class at the operating point (multi-label: ``present`` or ``absent``), or the measured value; None where
        nothing came out.
    reasons
        All that the input gate, the networks, the reference of the training cases, the members' disagreement and sets
        of classes gave, each ``code`` or ``code: text``; what a code does stands in
        :data:`semeion.model.codes.CODES`.
    among
        The classes of the conformal set in the order of the probabilities; None where the model has no sets, or none
        are asked for.
    abstain
        Whether the model may keep from calling. False: every case that did not fail is called at the operating point,
        and its reasons stay.
    """

    call: str | float | None
    reasons: tuple[str, ...] = ()
    among: tuple[str, ...] | None = None
    abstain: bool = True


def decide(facts: Facts) -> tuple[Status, str | float | None, tuple[str, ...]]:
    """Return the status of a finding, its call (None without one), and its reasons, each once.

    The order is ``failed``, ``not_applicable``, ``unsure``, ``set``, ``called``: the first that applies. A set of one
    class is a call of that class.
    """
    reasons = tuple(dict.fromkeys(facts.reasons))
    effect = strongest(reasons)
    if effect == "failed":
        return "failed", None, reasons
    if not facts.abstain:
        return "called", facts.call, reasons
    if effect in ("not_applicable", "unsure"):
        return effect, None, reasons
    if facts.among is None:
        return "called", facts.call, reasons
    if not facts.among:
        return "unsure", None, reasons
    if len(facts.among) > 1:
        # A bar within a name would make two classes of one: it is written as in the columns of probabilities.
        return "set", "|".join(name.replace("|", "%7C") for name in facts.among), reasons
    return "called", facts.among[0], reasons
