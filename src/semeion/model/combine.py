"""From the members' raw outputs to calibrated probabilities and calls; the same in training and in use. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from semeion.calibration import apply_temperature, apply_temperatures

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


def combine_members(raw: npt.ArrayLike, task: Task) -> Floats:
    """Average the members.

    Parameters
    ----------
    raw
        Shape (M, N, K): probabilities (or values, for regression) of M members for N cases.
    task
        The task; every task averages what :func:`from_logits` returned.

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
    return np.asarray(values.mean(axis=0), dtype=np.float64)


def calibrate(combined: npt.ArrayLike, task: Task, temperature: float | Sequence[float] | None) -> Floats:
    """Apply temperature scaling (Guo et al. 2017) to combined probabilities.

    Parameters
    ----------
    combined
        Shape (N, K) from :func:`combine_members`.
    task
        Multi-label scales the logit of each label by itself; regression is returned unchanged.
    temperature
        One positive number; for multi-label one a label, in the order of the labels. None changes nothing.

    Returns
    -------
    numpy.ndarray
        Shape (N, K).
    """
    values = np.asarray(combined, dtype=np.float64)
    if temperature is None or task == "regression" or values.size == 0:
        return values
    if task != "multilabel":
        if not isinstance(temperature, (int, float)):
            raise ValueError("one temperature is needed, several belong to a multi-label model")
        return np.asarray(apply_temperature(values, float(temperature)), dtype=np.float64)
    each = [float(temperature)] * values.shape[1] if isinstance(temperature, (int, float)) else list(temperature)
    if len(each) != values.shape[1]:
        raise ValueError(f"{len(each)} temperatures for {values.shape[1]} labels")
    return apply_temperatures(values, each)


def temperatures(calibration: Calibration | None, classes: Sequence[str]) -> float | list[float] | None:
    """Return what :func:`calibrate` takes from the manifest's calibration, in the order of `classes`."""
    if calibration is None:
        return None
    if calibration.by_target is not None:
        return [calibration.by_target[name] for name in classes]
    return calibration.value


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
