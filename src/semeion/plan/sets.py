"""Who calibrates sets of classes and intervals of values: out-of-fold predictions, or val cases that are set aside."""

from __future__ import annotations

import math
from typing import Any

from semeion.errors import InputError
from semeion.plan.schema import SetsPlan, ValidationPlan

SHARE = 0.333
"""Of the val patients, set aside: two thirds go on choosing."""
FEWEST_PATIENTS = 100
"""Val patients from which a third is set aside. With 33, what is promised as 90 % lies between 80 and 98 % in 95 of 100
draws of them (Vovk 2013); fewer would promise little, and fewer than the other 67 would choose badly."""
FEWEST_OF_CLASS = 20
"""Of each of two classes, patients on either side: the operating point is chosen on the one, each class has its own
promise from the other."""

ASIDE = "and serve nothing else"
"""In the reason of a share that is set aside."""


def plan_sets(facts: dict[str, Any], validation: ValidationPlan, coverage: float | None = None) -> SetsPlan:
    """Decide who calibrates sets of classes, or intervals of a measured value.

    Cases that chose when to stop, the calibration or the operating point cannot: a model does better on them than on
    new ones, and the promise would be too large.

    Parameters
    ----------
    facts
        :func:`semeion.plan.fingerprint.fingerprint`.
    validation
        Who chooses.
    coverage
        What was asked for; 0 makes no sets, None takes the usual one.

    Raises
    ------
    InputError
        When so few patients calibrate that no finite threshold keeps the coverage that was asked for.
    """
    what = "intervals" if facts["task"] == "regression" else "sets"
    if coverage == 0:
        return SetsPlan(coverage=None, why={"coverage": f"no {what} were asked for"})
    stated = 0.9 if coverage is None else coverage
    why = {"coverage": "the usual one" if coverage is None else "asked for with --sets"}
    if validation.scheme == "folds":
        _refuse_too_few(facts["training"]["patients"], coverage, what)
        return SetsPlan(
            coverage=stated, why={**why, "share": "out-of-fold predictions calibrate: no network saw its own cases"}
        )
    given = facts.get("validation") or {"patients": 0, "of_class": {}}
    patients, few = given["patients"], ""
    if patients < FEWEST_PATIENTS:
        few = f"{patients} val patients are too few to set a third aside (from {FEWEST_PATIENTS} on)"
    elif facts["task"] == "binary":
        label, count = min(given["of_class"].items(), key=lambda item: item[1])
        if count < 3 * FEWEST_OF_CLASS:
            few = f"{count} val patients have {label!r}, and {3 * FEWEST_OF_CLASS} are needed to set a third aside"
    if few:
        reason = f"{few}; all of them choose, and who chose cannot calibrate: no {what} are made"
        return SetsPlan(coverage=stated, why={**why, "share": reason})
    _refuse_too_few(int(SHARE * patients), coverage, what)
    reason = f"of {patients} val patients; they calibrate the {what} {ASIDE}, the others choose"
    return SetsPlan(coverage=stated, share=SHARE, why={**why, "share": reason})


def _refuse_too_few(patients: int, coverage: float | None, what: str) -> None:
    """Refuse a coverage that was asked for and that so many patients cannot calibrate: ``ceil((n + 1) c) > n``."""
    if coverage is None or math.ceil((patients + 1) * coverage - 1e-9) <= patients:
        return
    need = math.ceil(coverage / (1 - coverage) - 1e-9)
    most = math.floor(1000 * patients / (patients + 1)) / 1000
    raise InputError(
        f"{patients} patients calibrate {what}, and a coverage of {coverage:g} takes {need}",
        where="--sets",
        fix=f"bring more patients, ask for {most:g} or less, or leave --sets out",
    )
