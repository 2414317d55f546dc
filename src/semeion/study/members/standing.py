"""How good the best so far is, on validation cases, in words for the progress."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from semeion.evidence.intervals.delong import delong
from semeion.study.members.losses import case_losses

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def standing(values: Floats, y: Floats, groups: Rows, task: str, positive: int | None) -> str:
    """Return a figure of the ensemble so far with its 95 % interval over patients.

    Two classes have their area under the ROC curve (DeLong, about the logit), all else its loss (normal approximation).

    Parameters
    ----------
    values
        ``(cases, outputs)``.
    y, groups
        Reference standard and patient of the cases.
    task
        Of the target.
    positive
        Index of the positive class of two.
    """
    if task == "binary" and positive is not None:
        areas = delong(y == positive, values[None, :, positive], groups)
        area, ends = float(areas.values[0]), areas.interval()
        if math.isnan(area):
            return ""
        return f"AUROC {area:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends is not None else "")
    losses = case_losses(values, y, task)
    known = ~np.isnan(losses)
    sums = np.bincount(np.unique(groups[known], return_inverse=True)[1], losses[known] - losses[known].mean())
    if len(sums) < 2:
        return f"loss {losses[known].mean():.4g}"
    error = math.sqrt(len(sums) / (len(sums) - 1) * float((sums**2).sum())) / int(known.sum())
    mean = float(losses[known].mean())
    name = "mean absolute error" if task == "regression" else "log loss"
    return f"{name} {mean:.4g} ({max(0.0, mean - 1.96 * error):.4g} to {mean + 1.96 * error:.4g})"
