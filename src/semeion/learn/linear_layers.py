"""One linear head on the features of several layers: all features together, a head a layer, or the mean of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.learn.linear import FittedLinear, fit_linear

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

STRUCTURES = ("together", "by layer", "both")
FLOOR = 1e-6
PRIOR = 2.0
"""Weight of the prior for no change of temperature: with a handful of cases there is none."""


@dataclass(frozen=True)
class FittedLayers:
    """A linear head on features of several layers.

    Attributes
    ----------
    arrays
        Fields of :class:`semeion.model.linear.Linear`.
    structure
        One of `STRUCTURES`.
    inner
        ``(N, K)``: what is said of each learning case without its patient; see
        :class:`semeion.learn.linear.FittedLinear`.
    losses
        Held-out loss of each structure.
    strengths
        The penalty of the features together, and that of each layer.
    temperature
        By which the logits were divided; 1 for measured values.
    notes
        What a reader should know.
    """

    arrays: dict[str, Any]
    structure: str
    inner: Floats
    losses: dict[str, float]
    strengths: tuple[float, ...]
    temperature: float
    notes: tuple[str, ...]


def fit_layers(
    x: npt.NDArray[np.float32],
    layers: Sequence[Index],
    y: npt.ArrayLike,
    groups: npt.ArrayLike,
    task: str,
    classes: int,
    *,
    seed: int,
    weight: npt.ArrayLike | None = None,
) -> FittedLayers:
    """Fit a head on all features, one on those of each layer, and take what says the held-out cases best.

    With few cases the mean of one head a layer is much better than one head on everything: a layer of many features
    does not drown one of few, and errors of different depths are different ones. With many cases one head can weigh
    the features against each other. The mean is taken of logits, so that the result is one linear head again, whose
    contributions add up.

    Parameters
    ----------
    x
        Features ``(N, F)``.
    layers
        Columns of each layer; together they are all of them.
    y, groups, task, classes, seed, weight
        As for :func:`semeion.learn.linear.fit_linear`.
    """
    truth = np.asarray(y, dtype=np.float64)
    counts = None if weight is None else np.asarray(weight, dtype=np.float64)
    whole = fit_linear(x, truth, groups, task, classes, seed=seed, weight=weight)
    each = [
        fit_linear(_of_layer(x, columns), truth, groups, task, classes, seed=seed, weight=weight) for columns in layers
    ]
    logits = {
        "together": _logits(whole.inner, task),
        "by layer": np.mean([_logits(one.inner, task) for one in each], axis=0),
    }
    logits["both"] = (logits["together"] + logits["by layer"]) / 2
    if len(layers) < 2:
        logits = {"together": logits["together"]}
    losses = {name: _loss(_values(given, task), truth, task, counts) for name, given in logits.items()}
    structure = min(logits, key=lambda name: losses[name])
    temperature = _temperature(logits[structure], truth, task, counts)
    arrays = _joined(whole, each, layers, structure, temperature)
    return FittedLayers(
        arrays,
        structure,
        _values(logits[structure] / temperature, task),
        losses,
        (whole.strength, *(one.strength for one in each)),
        temperature,
        tuple(dict.fromkeys(note for one in (whole, *each) for note in one.notes)),
    )


def _of_layer(x: npt.NDArray[np.float32], columns: Index) -> npt.NDArray[np.float32]:
    """Return the features of one layer; of columns that follow one another without a copy."""
    if len(columns) and (np.diff(columns) == 1).all():
        return x[:, int(columns[0]) : int(columns[-1]) + 1]
    return x[:, columns]


def _joined(
    whole: FittedLinear, each: Sequence[FittedLinear], layers: Sequence[Index], structure: str, temperature: float
) -> dict[str, Any]:
    """Return one head whose logits are the means of several."""
    coefficients = np.asarray(whole.arrays["coefficients"], dtype=np.float64)
    intercepts = np.asarray(whole.arrays["intercepts"], dtype=np.float64)
    share = {"together": 1.0, "by layer": 0.0, "both": 0.5}[structure]
    coefficients, intercepts = share * coefficients, share * intercepts
    for one, columns in zip(each, layers, strict=True):
        part = (1 - share) / len(each)
        coefficients[:, columns] += part * np.asarray(one.arrays["coefficients"], dtype=np.float64)
        intercepts = intercepts + part * np.asarray(one.arrays["intercepts"], dtype=np.float64)
    return {
        **whole.arrays,
        "coefficients": (coefficients / temperature).tolist(),
        "intercepts": (intercepts / temperature).tolist(),
    }


def _logits(p: Floats, task: str) -> Floats:
    """Return what is averaged: log probabilities, logits of labels, cumulative logits of grades, or the values."""
    if task == "regression":
        return p
    clipped = np.clip(p, FLOOR, 1 - FLOOR)
    if task == "multilabel":
        return np.asarray(np.log(clipped) - np.log1p(-clipped))
    if task == "ordinal":
        below = np.clip(np.cumsum(p, axis=1)[:, :-1], FLOOR, 1 - FLOOR)
        return np.asarray(np.log(below) - np.log1p(-below))
    return np.asarray(np.log(clipped))


def _values(logits: Floats, task: str) -> Floats:
    """Return the probabilities or values behind :func:`_logits`."""
    if task == "regression":
        return logits
    if task == "multilabel":
        return np.asarray(1 / (1 + np.exp(-logits)))
    if task == "ordinal":
        edge = np.zeros((len(logits), 1))
        below = np.hstack([edge, 1 / (1 + np.exp(-logits)), edge + 1])
        return np.asarray(np.diff(below, axis=1))
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _loss(p: Floats, y: Floats, task: str, weight: Floats | None = None) -> float:
    """Return the mean loss of what was held out: absolute error, or log loss. NaN predictions were never held out.

    `weight` says how much each case counts; None: all the same.
    """
    if task == "regression":
        return _mean(np.abs(p[:, 0] - y.reshape(len(p))), weight)
    clipped = np.clip(p, FLOOR, 1 - FLOOR)
    if task == "multilabel":
        return -_mean(y * np.log(clipped) + (1 - y) * np.log1p(-clipped), weight)
    shares = np.eye(p.shape[1])[y.astype(np.int64)] if y.ndim == 1 else y
    return -_mean((shares * np.log(clipped)).sum(axis=1), weight)


def _mean(values: Floats, weight: Floats | None) -> float:
    """Return the mean of what is known, weighted case by case where weights are given."""
    if weight is None:
        return float(np.nanmean(values))
    counts = np.where(np.isfinite(values), weight if values.ndim == 1 else weight[:, None], 0.0)
    return float((counts * np.nan_to_num(values)).sum() / counts.sum())


def _temperature(logits: Floats, y: Floats, task: str, weight: Floats | None = None) -> float:
    """Return the temperature of least held-out loss, near 1 with few cases (Guo et al., ICML 2017, section 4.2)."""
    if task == "regression":
        return 1.0
    from scipy.optimize import minimize_scalar

    known = np.isfinite(logits).all(axis=1)
    given, truth = logits[known], y[known]
    counts = None if weight is None else weight[known]

    def cost(log_t: float) -> float:
        return len(given) * _loss(_values(given / np.exp(log_t), task), truth, task, counts) + PRIOR * log_t**2

    found = minimize_scalar(cost, bounds=(-1.5, 1.5), method="bounded")
    return float(np.exp(found.x))
