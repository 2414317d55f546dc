"""What ``member.json`` says of a member that does not learn by steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.plan.schema import MemberPlan
from semeion.study.members.losses import case_losses

Floats = npt.NDArray[np.float64]


def solved_json(
    member: MemberPlan, seconds: float, said: Floats, y: Floats, task: str, *, stopped: str, **more: Any
) -> dict[str, Any]:
    """Return the facts of a finished member in the keys of one that learned by gradient, and `more`.

    Parameters
    ----------
    member
        Of the plan, with a recipe.
    seconds
        That it took.
    said, y
        Its output and the reference standard of its validation cases.
    task
        Of the target.
    stopped
        Why there is nothing more to learn.
    """
    return {
        "name": member.name,
        "recipe": str(member.recipe),
        "fold": member.fold,
        "seed": member.seed,
        "steps": 0,
        "epochs": 0.0,
        "seconds": round(seconds, 2),
        "waited_share": 0.0,
        "val_loss": float(np.nanmean(case_losses(said, y, task))),
        "best_step": 0,
        "stopped": stopped,
        "graph_difference": 0.0,
        **more,
        "steps_planned": 0,
        "shortened": [],
    }
