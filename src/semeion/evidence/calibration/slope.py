"""Calibration slope and intercept for many weightings of the same cases at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from semeion.calibration import log_probability, logit
from semeion.evidence.intervals.weights import Array, Weights, weighted_sums

STEEPEST = 1e3
"""A slope beyond this is taken for infinite: the classes are separated."""


def logistic(y: NDArray[np.bool_], p: Array) -> Callable[[Weights], Array]:
    """Return a function of weights ``(resamples, cases)`` that gives slope and intercept, ``(resamples, 2)``.

    They are the maximum-likelihood logistic regression of the truth on ``logit(p)``, both fitted together (Cox,
    Biometrika 1958). NaN where the classes are separated, one is missing or `p` does not vary.

    Parameters
    ----------
    y
        Whether each case is positive, ``(cases,)``.
    p
        Calibrated probability of the positive class, ``(cases,)``.
    """
    raw = logit(p)
    centre, scale = float(raw.mean()) if len(raw) else 0.0, float(raw.std()) if len(raw) else 0.0
    if len(raw) == 0 or scale < 1e-12 or _separated(y, raw):
        return lambda weights: np.full((len(weights), 2), np.nan)
    x = (raw - centre) / scale
    design = np.column_stack([np.ones_like(x), x, x * x])
    truth = y.astype(np.float64)
    start = _careful(truth, x, np.ones_like(x))

    def compute(weights: Weights) -> Array:
        fitted = _newton(weights, truth, design, start)
        for row in np.flatnonzero(np.isnan(fitted[:, 0])):
            drawn = weights[row] > 0
            if not _separated(y[drawn], x[drawn]):
                fitted[row] = _careful(truth[drawn], x[drawn], weights[row][drawn])
        slope = fitted[:, 1] / scale
        intercept = fitted[:, 0] - slope * centre
        steep = np.abs(slope) > STEEPEST
        return np.where(steep[:, None], np.nan, np.column_stack([slope, intercept]))

    return compute


def _separated(y: NDArray[np.bool_], x: Array) -> bool:
    """Whether some cut of `x` puts the classes on its two sides, so that no finite slope is best."""
    high, low = x[y], x[~y]
    if len(high) == 0 or len(low) == 0:
        return True
    return bool(high.min() >= low.max() or high.max() <= low.min())


def _newton(weights: Weights, y: Array, design: Array, start: Array) -> Array:
    """Return intercept and slope on the standardised scale, ``(resamples, 2)``; NaN where plain Newton fails."""
    fitted = np.tile(start, (len(weights), 1))
    active = np.arange(len(weights))
    x = design[:, 1]
    observed = weighted_sums(weights, y[:, None] * design[:, :2])
    for _ in range(25):
        drawn = weights if len(active) == len(weights) else weights[active]
        chance = x * fitted[active, 1:]
        chance += fitted[active, :1]
        np.negative(chance, out=chance)
        with np.errstate(over="ignore"):
            np.exp(chance, out=chance)
        chance += 1
        np.reciprocal(chance, out=chance)
        expected = drawn * chance
        gradient = observed[active] - weighted_sums(expected, design[:, :2])
        np.subtract(1, chance, out=chance)
        expected *= chance
        h0, h1, h2 = weighted_sums(expected, design).T
        with np.errstate(all="ignore"):
            determinant = h0 * h2 - h1 * h1
            step = np.column_stack(
                [h2 * gradient[:, 0] - h1 * gradient[:, 1], h0 * gradient[:, 1] - h1 * gradient[:, 0]]
            )
            step /= determinant[:, None]
            size = np.abs(step).max(axis=1)
        failed = ~np.isfinite(size) | (determinant <= 1e-14 * h0 * h2) | (size > 10)
        fitted[active] += np.where(failed[:, None], np.nan, step)
        # Newton squares the error: after a step this small the next would change nothing.
        active = active[~failed & (size > 1e-7)]
        if len(active) == 0:
            return fitted
    fitted[active] = np.nan
    return fitted


def _careful(y: Array, x: Array, weight: Array) -> Array:
    """Fit one weighting with step halving; NaN when 100 steps do not settle."""

    def loss(at: Array) -> float:
        eta = at[0] + at[1] * x
        return float(weight @ (np.logaddexp(0, eta) - y * eta))

    at = np.zeros(2)
    design = np.column_stack([np.ones_like(x), x])
    now = loss(at)
    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(design @ at, -500, 500)))
        gradient = design.T @ (weight * (y - chance))
        hessian = (design * (weight * chance * (1 - chance))[:, None]).T @ design
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            break
        while np.abs(step).max() > 1e-9 and not loss(at + step) <= now:
            step = step / 2
        at = at + step
        now = loss(at)
        if np.abs(step).max() <= 1e-9:
            return at
    return np.full(2, np.nan)


def multinomial(y: NDArray[np.int64], p: Array) -> Callable[[Weights], Array]:
    """Return a function of weights ``(resamples, cases)`` that gives the calibration slope, ``(resamples,)``.

    The slope is the s with the greatest likelihood of ``softmax(s * log p)``: one parameter for all classes. NaN where
    no finite slope is best.

    Parameters
    ----------
    y
        Class index of each case, ``(cases,)``.
    p
        Calibrated probabilities, ``(cases, classes)``.

    Notes
    -----
    The score of each case is a smooth function of s alone. It is computed once at Chebyshev nodes around the root of
    the whole; a matrix product then gives the score of every resample, whose root is found by bisection. Where the
    root lies elsewhere it is sought directly.
    """
    log_p = log_probability(p)
    log_p = log_p - log_p.max(axis=1, keepdims=True) if len(log_p) else log_p
    own = log_p[np.arange(len(y)), y] if len(y) else np.zeros(0)

    def score(s: float) -> tuple[Array, Array]:
        """Derivative of each case's log likelihood by s, and its negative second derivative."""
        scaled = s * log_p
        power = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        power /= power.sum(axis=1, keepdims=True)
        mean = (power * log_p).sum(axis=1)
        return own - mean, (power * log_p**2).sum(axis=1) - mean**2

    def total(weight: Array, s: float) -> float:
        return float(weight @ score(s)[0])

    whole = _root(partial(total, np.ones(len(y)))) if len(y) else float("nan")
    if np.isnan(whole):
        return lambda weights: np.full(len(weights), np.nan)
    first, information = score(whole)
    spread = float(np.sqrt((first**2).sum()) / information.sum())
    half = max(0.02, 8 * spread)
    nodes = np.cos(np.pi * (np.arange(32) + 0.5) / 32)
    scores = np.column_stack([score(whole + half * float(node))[0] for node in nodes])
    basis = np.polynomial.chebyshev.chebvander(nodes, 31) * (2 / 32)
    basis[:, 0] /= 2
    coefficients = scores @ basis
    order = np.arange(32)

    def compute(weights: Weights) -> Array:
        series = weighted_sums(weights, coefficients)
        largest = np.abs(series).max(axis=1)
        low, high = np.full(len(weights), -1.0), np.full(len(weights), 1.0)

        def value(at: Array) -> Array:
            return np.asarray((series * np.cos(order * np.arccos(at)[:, None])).sum(axis=1))

        inside = (value(low) > 0) & (value(high) < 0) & (np.abs(series[:, -4:]).max(axis=1) <= 1e-12 * largest)
        for _ in range(52):
            middle = (low + high) / 2
            above = value(middle) > 0
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        slope = whole + half * (low + high) / 2
        for row in np.flatnonzero(~inside):
            slope[row] = _root(partial(total, weights[row]))
        return np.asarray(slope)

    return compute


def _root(score: Callable[[float], float]) -> float:
    """Return the root of a falling function near 1, or NaN when it keeps its sign up to a slope of STEEPEST."""
    from scipy.optimize import brentq

    at = score(1.0)
    if at == 0:
        # Zero everywhere means that the probabilities do not vary.
        return 1.0 if score(2.0) < 0 else float("nan")
    reach = 1.0
    while reach <= STEEPEST:
        end = 1 + reach if at > 0 else 1 - reach
        value = score(end)
        if value == 0:
            break  # Underflow: the likelihood rises without end.
        if (value > 0) != (at > 0):
            return float(brentq(score, min(1.0, end), max(1.0, end), xtol=1e-13, rtol=1e-13))
        reach *= 2
    return float("nan")
