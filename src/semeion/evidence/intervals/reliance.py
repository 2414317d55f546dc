"""Where a bootstrap interval is known to miss the truth more often than it says: one table, one question.

An interval of 95 % that covers less than 90 % of the time must say so. The rules below are those that the literature
supports; ``benchmarks/coverage.py`` simulates the coverage of each figure by patients and events, and its readings are
what these numbers are to be held against.
"""

from __future__ import annotations

from dataclasses import dataclass

EVERY = ""


@dataclass(frozen=True)
class Rule:
    """Fewer patients or events than these, and a bootstrap interval of the figures is not to be relied on.

    Attributes
    ----------
    figures
        Beginnings of the names of the figures; EVERY stands for all.
    patients
        Fewest patients.
    events
        Fewest patients with a case of the rarest class.
    source
        Why.
    """

    figures: tuple[str, ...]
    patients: int
    events: int
    source: str


RULES = (
    Rule(
        (EVERY,),
        20,
        0,
        "Cameron, Gelbach and Miller, Review of Economics and Statistics 90:414 (2008): tests that resample few "
        "clusters, five to thirty, reject too often, near twice the stated rate at about twenty",
    ),
    Rule(
        ("calibration_slope", "calibration_intercept"),
        0,
        10,
        "Peduzzi et al., Journal of Clinical Epidemiology 49:1373 (1996): fewer than ten events for a coefficient of a "
        "logistic regression leave intervals without their coverage",
    ),
    Rule(
        ("auroc", "auprc", "balanced_accuracy", "f1", "precision_macro", "recall_macro"),
        0,
        10,
        "Brown, Cai and DasGupta, Statistical Science 16:101 (2001), for shares of few events, of which these are "
        "made; Boyd, Eng and Page, ECML PKDD (2013), for the precision-recall curve",
    ),
)
"""Not for the figures whose interval is a score interval: those were made for few events."""


def unreliable(name: str, *, patients: int, events: int | None = None) -> str:
    """Return why a bootstrap interval of a figure is unreliable, empty where nothing is known against it.

    Parameters
    ----------
    name
        Of the figure.
    patients
        With a case.
    events
        Patients with a case of the rarest class; None where there are no classes or a figure is a mean over labels.
    """
    for rule in RULES:
        if not name.startswith(rule.figures):
            continue
        if patients < rule.patients:
            return f"interval unreliable: {patients} patients, fewer than {rule.patients}"
        if events is not None and events < rule.events:
            return f"interval unreliable: {events} patients of the rarest class, fewer than {rule.events}"
    return ""
