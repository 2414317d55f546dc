"""Which classes a finding names, by the thresholds that ship: one is a call, several a set, none is unsure. numpy only.

The sets are those that the evidence measured (:mod:`semeion.evidence.use.shipped_sets`), by the same code
(:mod:`semeion.calibration.sets`). A set never lacks the class at the operating point, so that no call contradicts it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semeion.calibration.sets import Sets, held_classes, told_sets
from semeion.model.codes import strongest
from semeion.model.combine import Floats
from semeion.model.deciding import Facts
from semeion.model.findings import reason
from semeion.model.manifest import Manifest
from semeion.model.manifest_sets import ClassSets

CANNOT_TELL = "cannot-tell"
NO_CLASS = "no-class-fits"


def named_sets(
    sets: ClassSets, target: str, p: Floats, raw: Floats, call: Sequence[int], *, ordered: bool = False
) -> Sets | None:
    """Return the classes that findings name, bool ``(N, K)``; None where `target` has no rule.

    Parameters
    ----------
    sets
        From the manifest.
    target
        The question, or one label of a multi-label model.
    p, raw
        Probabilities after and before calibration ``(N, K)``, in the order of the findings' columns.
    call
        Index of the class at the operating point, ``(N,)``.
    ordered
        Whether the classes are grades.
    """
    rule = sets.rule(target)
    if rule is None:
        return None
    return told_sets(held_classes(p if sets.scored == "p" else raw, rule.thresholds), call, ordered=ordered)


def facts_of(
    manifest: Manifest,
    target: str,
    call: str,
    p: Sequence[float],
    raw: Sequence[float],
    reasons: tuple[str, ...],
    *,
    abstain: bool = True,
) -> Facts:
    """Return what is known of a finding with classes before its status is: with the classes that it names.

    Parameters
    ----------
    manifest
        The model.
    target, call
        The question (multi-label: the label), and the class at the operating point.
    p, raw
        Probabilities after and before calibration, in the order of the findings' columns.
    reasons
        What is said of the case already.
    abstain
        See :class:`semeion.model.deciding.Facts`.

    Returns
    -------
    Facts
        With the reason ``cannot-tell`` or ``no-class-fits`` where several or no classes are named, unless the case is
        none that the model is for: nothing is then said of any class.
    """
    classes = manifest.probability_names
    plain = Facts(call, reasons, abstain=abstain)
    if manifest.sets is None or strongest(reasons) in ("failed", "not_applicable"):
        return plain
    named = named_sets(
        manifest.sets,
        target,
        np.array([p], dtype=np.float64),
        np.array([raw], dtype=np.float64),
        [classes.index(call)],
        ordered=manifest.task == "ordinal",
    )
    if named is None:
        return plain
    among = tuple(name for name, one in zip(classes, named[0], strict=True) if one)
    if len(among) == 1:
        return Facts(call, reasons, among, abstain)
    at = f"at {100 * manifest.sets.coverage:g} %"
    if among:
        joined = f"{', '.join(among[:-1])} and {among[-1]}"
        return Facts(call, (*reasons, reason(CANNOT_TELL, f"between {joined} {at}")), among, abstain)
    return Facts(call, (*reasons, reason(NO_CLASS, f"no class is likely enough {at}")), among, abstain)
