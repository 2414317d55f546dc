"""What is minimised, and what a validation figure is, for each task."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from semeion.learn.network import Scales


def loss(logits: Tensor, y: Tensor, task: str, scales: Scales, weights: Tensor | None, smoothing: float) -> Tensor:
    """Return the mean training loss of one batch.

    Parameters
    ----------
    logits
        Float32 ``(batch, outputs)`` as :class:`semeion.learn.network.Network` returns.
    y
        Float32 ``(batch,)``: class index, or the measured value; ``(batch, labels)`` for multi-label, NaN unknown.
    task, scales
        Of the member.
    weights
        Of the classes, or of presence for multi-label.
    smoothing
        Label smoothing (Szegedy et al., CVPR 2016, section 7); ignored for regression.
    """
    if task == "regression":
        return F.smooth_l1_loss(logits[:, 0], (y - scales.target_mean) / scales.target_std)
    if task == "multilabel":
        known = ~torch.isnan(y)
        wanted = torch.where(known, y, torch.zeros_like(y)) * (1 - smoothing) + smoothing / 2
        each = F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weights, reduction="none")
        return (each * known).sum() / known.sum().clamp_min(1)
    return F.cross_entropy(logits, y.long(), weight=weights, label_smoothing=smoothing)


def validation_loss(values: npt.NDArray[np.float64], y: npt.NDArray[np.float64], task: str) -> float:
    """Return log loss of probabilities, or mean absolute error of measured values.

    Parameters
    ----------
    values
        ``(cases, outputs)``: probabilities after softmax or sigmoid; the value for regression.
    y
        As in :func:`loss`.
    """
    if task == "regression":
        return float(np.abs(values[:, 0] - y).mean())
    clipped = np.clip(values, 1e-7, 1 - 1e-7)
    if task == "multilabel":
        known = ~np.isnan(y)
        terms = np.where(np.nan_to_num(y) == 1, -np.log(clipped), -np.log1p(-clipped))
        return float(terms[known].mean()) if known.any() else float("nan")
    return float(-np.log(clipped[np.arange(len(y)), y.astype(np.int64)]).mean())


def to_values(logits: Tensor, task: str) -> npt.NDArray[np.float64]:
    """Return probabilities (or measured values) of shipped logits, float64 ``(cases, outputs)``."""
    logits = logits.double()
    if task == "multilabel":
        logits = torch.sigmoid(logits)
    elif task != "regression":
        logits = torch.softmax(logits, 1)
    return logits.cpu().numpy()
