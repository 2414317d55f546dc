"""What a segmentation network learns from, and what it is validated by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from semeion.plan.segment_schema import SegmentTrainingPlan

SMOOTH = 1.0
"""Voxels added above and below the line of the soft Dice: a label that is absent from a batch costs nothing then."""


def soft_dice(probabilities: Tensor, wanted: Tensor, *, over_batch: bool) -> Tensor:
    """Return the soft Dice averaged over the labels but the background (Milletari et al., 3DV 2016, without squares).

    Parameters
    ----------
    probabilities
        ``(N, L, ...)``.
    wanted
        Classes int64 ``(N, ...)``.
    over_batch
        One figure of all patches together, else the mean over patches.
    """
    flat = probabilities[:, 1:].flatten(2)
    labels = torch.arange(1, probabilities.shape[1], device=wanted.device).view(1, -1, 1)
    truth = (wanted.flatten(1)[:, None] == labels).to(flat.dtype)
    both, sizes = (flat * truth).sum(2), flat.sum(2) + truth.sum(2)
    if over_batch:
        both, sizes = both.sum(0), sizes.sum(0)
    return ((2 * both + SMOOTH) / (sizes + SMOOTH)).mean()


def loss(outputs: Sequence[Tensor], wanted: Tensor, plan: SegmentTrainingPlan) -> Tensor:
    """Return the weighted loss of all supervised levels; each coarser one weighs half of the finer.

    Parameters
    ----------
    outputs
        Logits ``(N, L, ...)`` from the full resolution down.
    wanted
        Classes int64 ``(N, ...)`` at the full resolution.
    plan
        Weights of Dice and cross-entropy.
    """
    total = torch.zeros((), device=wanted.device)
    weights = [0.5**level for level in range(len(outputs))]
    for weight, logits in zip(weights, outputs, strict=True):
        logits = logits.float()
        steps = [a // b for a, b in zip(wanted.shape[1:], logits.shape[2:], strict=True)]
        here = wanted[(slice(None), *(slice(step // 2, None, step) for step in steps))]
        value = torch.zeros((), device=wanted.device)
        if plan.cross_entropy:
            value = value + plan.cross_entropy * F.cross_entropy(logits, here)
        if plan.dice:
            value = value + plan.dice * (1 - soft_dice(logits.softmax(1), here, over_batch=plan.batch_dice))
        total = total + weight / sum(weights) * value
    return total


def label_dice(found: npt.NDArray[Any], truth: npt.NDArray[Any], labels: int) -> npt.NDArray[np.float64]:
    """Return the Dice of classes 1 to `labels` of one case; NaN where both lack the label, 0 where one does."""
    wanted = np.bincount(truth.ravel(), minlength=labels + 1)[1 : labels + 1].astype(np.float64)
    given = np.bincount(found.ravel(), minlength=labels + 1)[1 : labels + 1].astype(np.float64)
    both = np.bincount(truth.ravel()[truth.ravel() == found.ravel()], minlength=labels + 1)[1 : labels + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * both / (wanted + given), dtype=np.float64)


def mean_dice(per_case: npt.NDArray[np.float64]) -> float:
    """Return the mean over cases of the mean over labels ``(cases, labels)``, labels absent in both left out."""
    known = ~np.isnan(per_case)
    counts = known.sum(1)
    sums = np.where(known, per_case, 0.0).sum(1)
    return float((sums[counts > 0] / counts[counts > 0]).mean()) if (counts > 0).any() else float("nan")
