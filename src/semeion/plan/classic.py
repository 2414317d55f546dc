"""Whether the budget allows the classic small network that every report compares with, and what it should take."""

from __future__ import annotations

import math

from semeion.plan.schema import ClassicPlan, ValidationPlan

SHARE, SHARE_LEFT = 0.08, 0.2
"""Largest shares of a budget, and of what is left of it for learning, that the classic network may be planned with."""
NO_CLASSIC = "these networks are one part of a model, and the model is compared as a whole"
"""Why a plan that is part of another has none."""
EPOCHS = 10
BATCH = 32
STEP_SECONDS = 0.06
"""Of a step, where this machine was not asked."""


def plan_classic(
    cases: float, validation: ValidationPlan, budget: float, left: float, step_seconds: float | None = None
) -> tuple[ClassicPlan | None, str]:
    """Return the plan of the classic network, or None where it would take too much, and why.

    Parameters
    ----------
    cases
        That one fold (or the given split) learns from.
    validation
        Every fold has a classic network of its own.
    budget, left
        Seconds of the whole run, and of these what is left for learning.
    step_seconds
        Of a step of 32 cases, as measured.
    """
    networks = validation.folds if validation.scheme == "folds" else 1
    each = STEP_SECONDS if step_seconds is None else step_seconds
    steps = networks * EPOCHS * math.ceil(max(cases, 1.0) / BATCH)
    seconds = round(steps * each, 1)
    how = "one" if networks == 1 else f"{networks}, one a fold,"
    for share, whole, name in ((SHARE, budget, "of the budget"), (SHARE_LEFT, left, "left for learning")):
        if seconds > share * whole:
            return None, (
                f"the classic network ({how} of {EPOCHS} epochs) would take about {seconds:.0f} s, more than "
                f"{share:.0%} of the {max(whole, 0):.0f} s {name}"
            )
    why = {
        "epochs": "as its textbooks have it; nothing of it is tuned",
        "seconds": f"{steps} steps of {each:.3f} s, {'as measured' if step_seconds is not None else 'not measured'}: "
        f"at most {SHARE:.0%} of the budget",
    }
    return ClassicPlan(epochs=EPOCHS, seconds=seconds, why=why), ""
