"""From the members' raw outputs to calibrated probabilities and calls; the same in training and in use. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from semeion.calibration.maps import Map, apply_to_classes

if TYPE_CHECKING:
    from semeion.model.manifest import Calibration, OperatingPoint, Task

Floats = npt.NDArray[np.float64]


def from_logits(logits: npt.ArrayLike, task: Task) -> Floats:
    """Turn a network's output into probabilities, in float64.

    Parameters
    ----------
    logits
        Shape (..., K): class logits (binary, multi-class, ordinal), one logit a label (multi-label), or the measured
        value (regression, K = 1).
    task
        What K means.

    Returns
    -------
    numpy.ndarray
        Same shape: softmax over K; for multi-label the sigmoid of each (the probability that the label is present); for
        regression the values unchanged.
    """
    values = np.asarray(logits, dtype=np.float64)
    if task == "regression":
        return values
    if task == "multilabel":
        # exp of a non-positive number cannot overflow
        small = np.exp(-np.abs(values))
        return np.where(values >= 0, 1.0, small) / (1.0 + small)
    raised = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), dtype=np.float64)


def combine_members(raw: npt.ArrayLike, task: Task, weights: Sequence[float] | None = None) -> Floats:
    """Average the members.

    Parameters
    ----------
    raw
        Shape (M, N, K): probabilities (or values, for regression) of M members for N cases.
    task
        The task; every task averages what :func:`from_logits` returned.
    weights
        Share of each member, M numbers from 0 that sum to 1; None: all have the same.

    Returns
    -------
    numpy.ndarray
        Shape (N, K).
    """
    values = np.asarray(raw, dtype=np.float64)
    if values.ndim != 3 or values.shape[0] == 0:
        raise ValueError(f"raw must be (members, cases, outputs) with at least one member, got shape {values.shape}")
    if task == "regression" and values.shape[2] != 1:
        raise ValueError(f"a regression member gives one value a case, got {values.shape[2]}")
    if weights is None:
        return np.asarray(values.mean(axis=0), dtype=np.float64)
    shares = np.asarray(weights, dtype=np.float64)
    if shares.shape != values.shape[:1] or (shares < 0).any() or not np.isclose(shares.sum(), 1.0):
        raise ValueError(f"{len(values)} members need as many weights, none below 0, that sum to 1")
    return np.asarray(np.einsum("m,mnk->nk", shares / shares.sum(), values), dtype=np.float64)


def calibrate(combined: npt.ArrayLike, task: Task, maps: Map | Sequence[Map] | None) -> Floats:
    """Recalibrate combined probabilities.

    Parameters
    ----------
    combined
        Shape (N, K) from :func:`combine_members`.
    task
        Multi-label has a map for each label; regression is returned unchanged.
    maps
        One map, which of two classes takes the probability of the second; for multi-label one a label, in their order.
        None changes nothing.

    Returns
    -------
    numpy.ndarray
        Shape (N, K).
    """
    values = np.asarray(combined, dtype=np.float64)
    if maps is None or task == "regression" or values.size == 0:
        return values
    several = isinstance(maps, Sequence)
    if several != (task == "multilabel"):
        raise ValueError("a multi-label model has a map for each label, and any other has one")
    if not isinstance(maps, Sequence):
        return apply_to_classes(values, maps)
    if len(maps) != values.shape[1]:
        raise ValueError(f"{len(maps)} maps for {values.shape[1]} labels")
    return np.column_stack([each.apply(column) for each, column in zip(maps, values.T, strict=True)])


def shipped_maps(calibration: Calibration | None, classes: Sequence[str]) -> Map | list[Map] | None:
    """Return what :func:`calibrate` takes from the manifest's calibration, in the order of `classes`."""
    if calibration is None:
        return None
    found = calibration.by_label
    return calibration.whole if found is None else [found[name] for name in classes]


def called(
    p: npt.ArrayLike, task: Task, classes: Sequence[str], positive: str | None, point: OperatingPoint | None
) -> npt.NDArray[np.intp]:
    """Return the call at the operating point as indices.

    Parameters
    ----------
    p
        Calibrated probabilities (N, K).
    task, classes, positive, point
        From the manifest.

    Returns
    -------
    numpy.ndarray
        Shape (N,), an index into `classes`; multi-label: shape (N, K), 1 present and 0 absent.
    """
    values = np.asarray(p, dtype=np.float64)
    if point is None or task == "regression":
        raise ValueError("a measured value is not called")
    if task == "multilabel":
        limits = point.by_target or {}
        return (values >= np.array([limits[name] for name in classes])).astype(np.intp)
    if task == "binary" and positive is not None and point.value is not None:
        yes = list(classes).index(positive)
        return np.where(values[:, yes] >= point.value, yes, 1 - yes).astype(np.intp)
    return np.asarray(values.argmax(axis=1), dtype=np.intp)
