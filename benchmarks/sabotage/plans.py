"""Small plans with fixed steps: what is learned depends on no clock, and a training takes seconds."""

from __future__ import annotations

from pathlib import Path

from semeion.plan.files import write_plan
from semeion.plan.schema import Plan

SIDE = 28
CLASSES = ("normal", "pneumonia")
"""All cohorts that are trained on are of chest radiographs."""


def make_plan(*, folds: int = 0, members: int = 1, steps: int = 150, seed: int = 0) -> Plan:
    """Return a plan of networks with 16, 32 and 64 channels.

    Parameters
    ----------
    folds
        To draw; 0 for the table's own split.
    members
        Networks a fold, or of the given split.
    steps
        Of 32 pictures, for each network.
    seed
        Of everything.
    """
    places = [(fold if folds else -1, number) for number in range(members) for fold in range(max(folds, 1))]
    return Plan.model_validate(
        {
            "schema": 1,
            "seed": seed,
            "target": {"name": "finding", "task": "binary", "classes": list(CLASSES), "positive": CLASSES[1]},
            "preparation": {"size": [SIDE, SIDE], "fit": "stretch"},
            "network": {"widths": [16, 32, 64]},
            "training": {"batch": 32, "learning_rate": 0.005, "threads": 1, "evaluations": 5},
            "validation": {"scheme": "folds" if folds else "given", "folds": folds, "inner_share": 0.2},
            "members": [
                {
                    "name": f"fold{fold}-seed{number}" if folds else f"seed{number}",
                    "fold": fold,
                    "seed": 100 * seed + 10 * number + fold + 1,
                    "steps": steps,
                }
                for fold, number in places
            ],
        }
    )


def save_plan(path: Path, **choices: int) -> Path:
    """Write :func:`make_plan`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_plan(make_plan(**choices), path)
    return path
