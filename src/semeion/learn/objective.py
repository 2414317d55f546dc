"""What is minimised, what is said of cases, and what a validation figure is, for each task."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from semeion.learn.network import Scales, ShippedNetwork
from semeion.plan.teaching import Teaching
from semeion.prepare.store import Store

Lesson = npt.NDArray[np.float64]


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


def lesson_of(taught: Teaching, y: npt.NDArray[np.float64], learn: npt.NDArray[np.int64], classes: int) -> Lesson:
    """Return what :func:`taught_loss` takes of every case, ``(cases, 1 + outputs)``: its weight, and what is taught.

    Parameters
    ----------
    taught
        Weights, and what is taught in the place of the reference standard.
    y
        Reference standard: class index or value ``(cases,)``, or ``(cases, labels)``.
    learn
        Rows that are learned from: their weights are 1 on average.
    classes
        Number of classes; 0 for measured values and several labels.
    """
    wanted = y if taught.shares is None else taught.shares
    if wanted.ndim == 1:
        wanted = np.eye(classes)[y.astype(np.int64)] if classes else y[:, None]
    return np.column_stack([taught.relative(learn), wanted])


def taught_loss(
    logits: Tensor, lesson: Tensor, task: str, scales: Scales, weights: Tensor | None, smoothing: float
) -> Tensor:
    """Return the training loss of one batch whose cases count differently, or are taught shares of classes.

    Where every case counts 1 and has one class it is :func:`loss`. Parameters are those, but for `lesson`, rows of
    :func:`lesson_of`.
    """
    count, wanted = lesson[:, 0], lesson[:, 1:]
    if task == "regression":
        each = F.smooth_l1_loss(logits[:, 0], (wanted[:, 0] - scales.target_mean) / scales.target_std, reduction="none")
        return (count * each).mean()
    if task == "multilabel":
        known = ~torch.isnan(wanted)
        truth = torch.where(known, wanted, torch.zeros_like(wanted)) * (1 - smoothing) + smoothing / 2
        each = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=weights, reduction="none")
        return (each * known * count[:, None]).sum() / known.sum().clamp_min(1)
    soft = wanted * (1 - smoothing) + smoothing / wanted.shape[1]
    balance = torch.ones_like(logits[0]) if weights is None else weights
    each = -(balance * soft * F.log_softmax(logits, 1)).sum(1)
    return (count * each).sum() / (balance * wanted).sum()


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


def predict_values(
    shipped: ShippedNetwork, store: Store, rows: npt.NDArray[np.int64], device: torch.device
) -> npt.NDArray[np.float64]:
    """Return float32 predictions of `rows`, ``(len(rows), outputs)``: probabilities, or measured values."""
    shipped.eval()
    with torch.inference_mode():
        batches = store.batches(rows, store.at_once(128))
        out = [to_values(shipped(torch.from_numpy(pixels).to(device)), shipped.task) for pixels in batches]
    return np.concatenate(out)
