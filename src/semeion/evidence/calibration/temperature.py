"""Fit the temperature that makes probabilities honest, on cases that may choose."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.calibration import log_probability
from semeion.errors import InputError

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the temperature."""
FEWEST_CASES = 20
"""With fewer labelled cases the temperature stays 1."""


class Temperature(NamedTuple):
    """A fitted temperature, the cases it was fitted on, and why it is 1 or at a bound (else empty)."""

    value: float
    n: int
    reason: str = ""


def fit_temperature(y: ArrayLike, raw: ArrayLike) -> Temperature:
    """Return the T in ``[0.05, 20]`` with the least log loss of ``softmax(log(raw) / T)``.

    Parameters
    ----------
    y
        Class index of each case, ``(cases,)``; a NaN (no label) is left out. Never test cases.
    raw
        Uncalibrated probabilities ``(cases, classes)``; binary has two columns. 0 and 1 are kept 1e-7 away.

    Raises
    ------
    InputError
        When shapes do not fit, a probability is not finite or a class index is unknown.

    Notes
    -----
    The loss is convex in ``1 / T``, so its derivative has one root, which is bracketed and found to machine precision.
    Source: Guo et al., ICML 2017.
    """
    truth, values = np.asarray(y, dtype=np.float64), np.asarray(raw, dtype=np.float64)
    where = "calibration"
    if values.ndim != 2 or values.shape[1] < 2 or truth.shape != values.shape[:1]:
        raise InputError(
            f"{truth.shape} labels for probabilities of shape {values.shape}",
            where=where,
            fix="give one label a case and probabilities of shape (cases, classes)",
        )
    known = np.isfinite(truth)
    index, values = truth[known].astype(np.int64), values[known]
    if not np.isfinite(values).all():
        raise InputError("a probability is not a number", where=where, fix="leave out failed cases")
    if len(index) and not (index.min() >= 0 and index.max() < values.shape[1]):
        raise InputError(
            f"class index outside 0 to {values.shape[1] - 1}", where=where, fix="number the classes in their order"
        )
    return _fit(index, log_probability(values))


def _fit(y: NDArray[np.int64], log_p: NDArray[np.float64]) -> Temperature:
    from scipy.optimize import brentq

    n = len(y)
    if n < FEWEST_CASES:
        return Temperature(1.0, n, f"only {n} labelled cases, fewer than {FEWEST_CASES}: not calibrated")
    if len(np.unique(y)) < 2:
        return Temperature(1.0, n, "one class only among the cases: not calibrated")
    relative = log_p - log_p.max(axis=1, keepdims=True)
    if not relative.any():
        return Temperature(1.0, n, "every class has the same probability in every case: not calibrated")
    own = relative[np.arange(n), y]
    if not own.any():
        # The loss falls all the way to T = 0, which would claim certainty on the strength of a few easy cases.
        return Temperature(1.0, n, "the classes are separated on these cases, no temperature is best: not calibrated")
    right = own.sum()

    def slope(inverse: float) -> float:
        """Derivative of the log loss by ``1 / T``; it rises with ``1 / T``."""
        power = np.exp(inverse * relative)
        return float(((power * relative).sum(axis=1) / power.sum(axis=1)).sum() - right)

    if slope(1 / HIGHEST) >= 0:
        return Temperature(HIGHEST, n, f"the probabilities say little about the truth: temperature at {HIGHEST:g}")
    if slope(1 / LOWEST) <= 0:
        return Temperature(LOWEST, n, f"the probabilities are far too cautious: temperature at {LOWEST:g}")
    return Temperature(float(1 / brentq(slope, 1 / HIGHEST, 1 / LOWEST, xtol=1e-13, rtol=1e-13)), n)
