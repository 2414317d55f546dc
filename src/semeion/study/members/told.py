"""What the evidence says of the members: what each cost, what it counts, and what the ensemble would be without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.plan.recipes import OWN
from semeion.plan.splits import Sides
from semeion.study.learning import Trained
from semeion.study.members.losses import case_losses, paired_gain

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

KEPT = (
    *("name", "recipe", "fold", "seed", "steps", "epochs", "seconds", "val_loss", "best_step", "stopped"),
    *("waited_share", "graph_difference"),
)


def members_json(trained: Trained) -> list[dict[str, Any]]:
    """Return what the evidence says of each member; `share` is that in the ensemble of all folds, which ships."""
    shares = trained.shares([member.name for member in trained.plan.members])
    return [
        {**{name: facts[name] for name in KEPT if name in facts}, "share": shares.get(facts["name"], 0.0)}
        for facts in trained.facts
    ]


def combination_json(trained: Trained, y: Floats, groups: Rows, sides: list[Sides]) -> dict[str, Any] | None:
    """Return how members were combined, and of each recipe its cost and its gain; None where there is one recipe.

    The gain is by how much the validation loss would be larger without the recipe's members, with its interval over
    patients (normal approximation). Folds are pooled, those that have another recipe too; where none has, there is no
    gain (None). The cases chose the weights, so that it flatters.

    Parameters
    ----------
    trained
        The members, their validation outputs and shares.
    y, groups
        Reference standard and patient in cohort order.
    sides
        Rows of each fold.
    """
    plan = trained.plan
    recipes = list(dict.fromkeys(member.recipe or OWN for member in plan.members))
    if len(recipes) < 2:
        return None
    rows = np.concatenate([side.validate for side in sides])
    together = _losses(trained, y, sides, None)
    told = []
    for recipe in recipes:
        own = [member for member in plan.members if (member.recipe or OWN) == recipe]
        names = {member.name for member in own}
        shares = trained.shares([member.name for member in plan.members])
        gain, error = paired_gain(_losses(trained, y, sides, recipe), together, groups[rows])
        others = {member.fold for member in plan.members if member.name not in names}
        known = any(member.fold in others for member in own)
        finite = known and bool(np.isfinite(error))
        told.append(
            {
                "recipe": recipe,
                "members": len(own),
                "seconds": round(sum(facts["seconds"] for facts in trained.facts if facts["name"] in names), 2),
                "share": sum(shares.get(name, 0.0) for name in names),
                "gain": gain if known else None,
                "low": gain - 1.96 * error if finite else None,
                "high": gain + 1.96 * error if finite else None,
            }
        )
    return {
        "recipes": told,
        "loss": float(np.nanmean(together)),
        "loss_name": "absolute error" if plan.target.task == "regression" else "log loss",
        # A case may validate in several folds.
        "n": len(np.unique(rows)),
        "n_patients": len(np.unique(groups[rows])),
        "folds": {
            str(fold): {"method": one.method, "reason": one.reason} for fold, one in trained.combinations.items()
        },
    }


def _losses(trained: Trained, y: Floats, sides: list[Sides], without: str | None) -> Floats:
    """Return the loss of every validation case by the ensemble of its fold, or by what is left without a recipe.

    Where nothing with a share is left, the members that have none answer, all alike; where no member is left, the cases
    of the fold have none (NaN).
    """
    plan, found = trained.plan, []
    for side in sides:
        own = [m for m in plan.members if m.fold == side.fold and (m.recipe or OWN) != without]
        if not own:
            found.append(np.full(len(side.validate), np.nan))
            continue
        shares = trained.shares([m.name for m in own])
        if not shares:
            shares = {m.name: 1.0 / len(own) for m in own}
        said = sum(share * trained.validation[name] for name, share in shares.items())
        found.append(case_losses(np.asarray(said), y[side.validate], plan.target.task))
    return np.concatenate(found)
