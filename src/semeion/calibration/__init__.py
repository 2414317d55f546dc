"""Temperature scaling as it is applied: the same few lines weigh a model and run it.

Source: Guo et al., On calibration of modern neural networks, ICML 2017. The networks' probabilities are averaged over
members first, so the logits are recovered as the logarithm of the averaged probability.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALLEST = 1e-7
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken: the resolution of a float32 near 1."""


def log_probability(raw: ArrayLike) -> NDArray[np.float64]:
    """Return ``log(raw)`` with `raw` kept within ``[SMALLEST, 1 - SMALLEST]``; any shape."""
    return np.log(np.clip(np.asarray(raw, dtype=np.float64), SMALLEST, 1 - SMALLEST))


def logit(p: ArrayLike) -> NDArray[np.float64]:
    """Return ``log(p / (1 - p))`` with `p` kept within ``[SMALLEST, 1 - SMALLEST]``; any shape."""
    kept = np.clip(np.asarray(p, dtype=np.float64), SMALLEST, 1 - SMALLEST)
    return np.log(kept) - np.log1p(-kept)


def apply_temperature(raw: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Return ``softmax(log(raw) / temperature)`` over the last axis.

    Parameters
    ----------
    raw
        Probabilities ``(..., classes)`` that sum to 1 over the last axis.
    temperature
        Above 1 makes them less extreme, 1 returns them unchanged.

    Returns
    -------
    Calibrated probabilities of the same shape, float64.
    """
    values = np.asarray(raw, dtype=np.float64)
    if temperature == 1:
        return values.copy()
    scaled = log_probability(values) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    power = np.exp(scaled)
    return np.asarray(power / power.sum(axis=-1, keepdims=True))


def apply_temperatures(raw: ArrayLike, temperatures: ArrayLike) -> NDArray[np.float64]:
    """Return ``sigmoid(logit(raw) / temperature)`` label by label, for a multi-label target.

    Parameters
    ----------
    raw
        Probabilities that a label is present, ``(..., labels)``.
    temperatures
        One a label, ``(labels,)``. Where it is 1 the probabilities are returned unchanged.
    """
    values, each = np.asarray(raw, dtype=np.float64), np.asarray(temperatures, dtype=np.float64)
    with np.errstate(over="ignore"):  # Beyond what a float holds lies a probability of 0.
        return np.where(each == 1, values, 1 / (1 + np.exp(-logit(values) / each)))
