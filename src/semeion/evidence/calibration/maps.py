"""Recalibration maps are fitted here, and applied by :mod:`semeion.calibration.maps`.

Platt's, beta and isotonic maps are fitted towards Platt's targets, ``(n1 + 1) / (n1 + 2)`` and ``1 / (n0 + 2)`` instead
of 1 and 0, so that finitely many cases never make a map certain and separated classes have a finite fit (Platt,
Advances in Large Margin Classifiers, 1999). The temperature is fitted to the labels themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.calibration import log_probability, logit
from semeion.calibration.maps import Beta, Identity, Isotonic, Map, Platt, Temperature, sigmoid
from semeion.errors import InputError

Array = NDArray[np.float64]
FEWEST_CASES = 20
"""With fewer cases nothing is fitted, as for the temperature."""
_WHERE = "recalibration"


@dataclass(frozen=True)
class Fitter:
    """A kind of map, and what fits it.

    Attributes
    ----------
    kind
        Of the map.
    fit
        Truth and probabilities to the map. It raises InputError with fewer than 20 cases, one class, probabilities that
        do not vary or that rank the classes the wrong way.
    """

    kind: str
    fit: Callable[[ArrayLike, ArrayLike], Map]


def fit_identity(y: ArrayLike, p: ArrayLike) -> Identity:  # noqa: ARG001 - called as the other fits are
    """Return the map; there is nothing to fit."""
    return Identity()


def fit_one_temperature(y: ArrayLike, p: ArrayLike) -> Temperature:
    """Return the map by :func:`semeion.evidence.calibration.temperature.fit_temperature`.

    Raises
    ------
    InputError
        Where that function leaves the temperature at 1 and says why.
    """
    from semeion.evidence.calibration.temperature import fit_temperature

    values = np.asarray(p, dtype=np.float64)
    fitted = fit_temperature(y, values if values.ndim == 2 else np.column_stack([1 - values, values]))
    if fitted.reason and fitted.value == 1:
        raise InputError(fitted.reason, where=_WHERE, fix="leave the probabilities as they are")
    return Temperature(fitted.value)


def fit_platt(y: ArrayLike, p: ArrayLike) -> Platt:
    """Return the map of greatest likelihood for Platt's targets."""
    target, values = _fit_input(y, p)
    slope, intercept = _logistic(np.column_stack([logit(values), np.ones_like(values)]), target)
    _refuse_reversed(slope)
    return Platt(slope, intercept)


def fit_beta(y: ArrayLike, p: ArrayLike) -> Beta:
    """Return the map of greatest likelihood for Platt's targets; a slope that would be below 0 is 0."""
    target, values = _fit_input(y, p)
    rise, fall, one = log_probability(values), -log_probability(1 - values), np.ones_like(values)
    a, b, c = _logistic(np.column_stack([rise, fall, one]), target)
    # The likelihood is concave, so where one slope alone is below 0 the best map allowed has it at 0.
    if a < 0 <= b:
        a, (b, c) = 0.0, _logistic(np.column_stack([fall, one]), target)
    elif b < 0 <= a:
        b, (a, c) = 0.0, _logistic(np.column_stack([rise, one]), target)
    _refuse_reversed(min(a, b) if min(a, b) < 0 else a + b)
    return Beta(a, b, c)


def fit_isotonic(y: ArrayLike, p: ArrayLike) -> Isotonic:
    """Return the monotone map with the least squared distance to Platt's targets, by pooling adjacent violators.

    Pooling commutes with shifting and scaling the truth, so this is the usual isotonic regression drawn in to Platt's
    targets. Equal probabilities are pooled first.
    """
    from scipy.optimize import isotonic_regression

    target, values = _fit_input(y, p)
    x, group, n = np.unique(values, return_inverse=True, return_counts=True)
    mean = np.bincount(group.reshape(-1), weights=target) / n
    fitted = np.asarray(isotonic_regression(mean, weights=n.astype(np.float64)).x, dtype=np.float64)
    if fitted[0] == fitted[-1]:
        _refuse_reversed(0.0)
    step = np.diff(fitted) > 0
    kept = np.append(True, step) | np.append(step, True)
    return Isotonic(tuple(x[kept].tolist()), tuple(fitted[kept].tolist()))


MAPS: dict[str, Fitter] = {
    kind: Fitter(kind, fit)
    for kind, fit in (
        ("identity", fit_identity),
        ("temperature", fit_one_temperature),
        ("platt", fit_platt),
        ("beta", fit_beta),
        ("isotonic", fit_isotonic),
    )
}
"""By kind, from the simplest to the most flexible."""


def _refuse_reversed(slope: float) -> None:
    if slope <= 0:
        raise InputError(
            "the probabilities do not rank these cases the right way",
            where=_WHERE,
            fix="leave the probabilities as they are: a map would have to turn them round",
        )


def _fit_input(y: ArrayLike, p: ArrayLike) -> tuple[Array, Array]:
    """Return Platt's targets and the probabilities, checked."""
    truth, values = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or truth.shape != values.shape:
        raise InputError(
            f"{truth.shape} labels for probabilities of shape {values.shape}",
            where=_WHERE,
            fix="give one label and one probability of the positive class a case",
        )
    if not np.isin(truth, (0, 1)).all():
        raise InputError("a label is neither 0 nor 1", where=_WHERE, fix="leave out cases without a label")
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError("a probability is not between 0 and 1", where=_WHERE, fix="leave out failed cases")
    n, positives = len(truth), int(truth.sum())
    left = "leave the probabilities as they are"
    if n < FEWEST_CASES:
        raise InputError(f"only {n} cases, fewer than {FEWEST_CASES}", where=_WHERE, fix=left)
    if positives in (0, n):
        raise InputError("one class only among the cases", where=_WHERE, fix=left)
    if logit(values).max() - logit(values).min() < 1e-12:
        raise InputError("every case has the same probability", where=_WHERE, fix=left)
    return np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (n - positives + 2)), values


def _logistic(design: Array, target: Array) -> tuple[float, ...]:
    """Return the coefficients of greatest likelihood for targets strictly between 0 and 1, by Newton with halving.

    Such targets make the loss strictly convex with a finite minimum wherever the columns differ. A trace of damping
    carries the steps over columns that are nearly the same; it does not move the minimum.
    """
    scale = np.abs(design).max(axis=0)
    scaled = design / np.where(scale > 0, scale, 1)
    at = np.zeros(design.shape[1])
    eta = scaled @ at

    def loss(eta: Array) -> float:
        return float((np.logaddexp(0, eta) - target * eta).sum())

    now = loss(eta)
    for _ in range(200):
        chance = sigmoid(eta)
        gradient = scaled.T @ (target - chance)
        hessian = (scaled * (chance * (1 - chance))[:, None]).T @ scaled
        hessian.flat[:: len(at) + 1] += 1e-13 * np.trace(hessian) + 1e-300
        step = np.linalg.solve(hessian, gradient)
        # Near the minimum losses differ by less than their rounding, and Newton's steps are right as they are.
        while np.abs(step).max() > 1e-6 and not loss(scaled @ (at + step)) <= now:
            step = step / 2
        at = at + step
        eta = scaled @ at
        now = loss(eta)
        if np.abs(step).max() <= 1e-10 * max(1.0, float(np.abs(at).max())):
            break
    return tuple(float(value) for value in at / np.where(scale > 0, scale, 1))
