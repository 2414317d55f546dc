"""What an evaluation on other cases says beyond its figures, by loops, scikit-learn and closed forms; see `plain`."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize
from sklearn.isotonic import IsotonicRegression

from evidence import plain

Applied = Callable[[np.ndarray], np.ndarray]


class NoMap(Exception):
    """These cases allow no map of the kind."""


# Who the cases are


def of_numbers(values: Sequence[float]) -> dict[str, Any]:
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    told = {"n": len(values), "missing": 0, "mean": statistics.fmean(values), "sd": statistics.stdev(values)}
    return {**told, "median": median, "low": low, "high": high}


def of_levels(values: Sequence[Any], levels: Sequence[str]) -> dict[str, Any]:
    counted = Counter(str(value) for value in values)
    return {"n": len(values), "missing": 0, "levels": {name: counted[name] for name in levels}}


def numbers_apart(internal: Sequence[float], external: Sequence[float]) -> float | None:
    """The difference of the means over the root of the mean variance."""
    gap = statistics.fmean(external) - statistics.fmean(internal)
    spread = ((statistics.variance(internal) + statistics.variance(external)) / 2) ** 0.5
    if spread == 0:
        return 0.0 if gap == 0 else None
    return gap / spread


def levels_apart(internal: Sequence[Any], external: Sequence[Any]) -> float | None:
    """The largest standardised difference of any score of the levels: that is their Mahalanobis distance."""
    a, b = (Counter(str(value) for value in side) for side in (internal, external))
    names = sorted({*a, *b})
    if not set(a) & set(b):
        return None
    shares = [np.array([side[name] / sum(side.values()) for name in names]) for side in (a, b)]
    gap, mean = shares[1] - shares[0], [np.diag(one) - np.outer(one, one) for one in shares]
    # The best score of the levels solves this; a constant added to it changes nothing.
    score = np.linalg.lstsq((mean[0] + mean[1]) / 2, gap, rcond=None)[0]
    variance = float(score @ (mean[0] + mean[1]) @ score) / 2
    return 0.0 if variance == 0 else abs(float(score @ gap)) / variance**0.5


# What was lost


def ends_of_difference(internal: Mapping[str, Any], external: Mapping[str, Any]) -> tuple[float, float]:
    """Both ends of external less internal from those of each: Zou and Donner's method."""
    value = external["value"] - internal["value"]
    down = (external["value"] - external["low"]) ** 2 + (internal["high"] - internal["value"]) ** 2
    up = (external["high"] - external["value"]) ** 2 + (internal["value"] - internal["low"]) ** 2
    return value - down**0.5, value + up**0.5


# What recalibrating would bring


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    return float(np.mean([-np.log(one if label else 1 - one) for label, one in zip(y, p, strict=True)]))


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def aims(y: np.ndarray) -> np.ndarray:
    """Platt's targets."""
    return np.where(y == 1, (y.sum() + 1) / (y.sum() + 2), 1 / (len(y) - y.sum() + 2))


def likeliest(columns: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Logistic regression by Newton's steps from near the end."""

    def loss(b: np.ndarray) -> float:
        return float(np.logaddexp(0, columns @ b).sum() - wanted @ (columns @ b))

    b = minimize(loss, np.zeros(columns.shape[1])).x
    for _ in range(30):
        q = 1 / (1 + np.exp(-columns @ b))
        b = b + np.linalg.solve(columns.T @ (columns * (q * (1 - q))[:, None]), columns.T @ (wanted - q))
    return np.asarray(b)


def refuse(y: np.ndarray) -> None:
    if len(y) < 20 or len(set(y.tolist())) < 2:
        raise NoMap


def intercept(y: np.ndarray, p: np.ndarray) -> Applied:
    refuse(y)
    wanted = aims(y).sum()
    moved = brentq(lambda v: float((1 / (1 + np.exp(-logit(p) - v))).sum() - wanted), -50, 50, xtol=1e-14, rtol=1e-14)
    return lambda new: 1 / (1 + np.exp(-logit(new) - moved))


def temperature(y: np.ndarray, p: np.ndarray) -> Applied:
    refuse(y)
    factor = plain.multinomial_slope(y, np.column_stack([1 - p, p]))
    return lambda new: 1 / (1 + np.exp(-factor * logit(new)))


def platt(y: np.ndarray, p: np.ndarray) -> Applied:
    refuse(y)
    slope, moved = likeliest(np.column_stack([logit(p), np.ones(len(p))]), aims(y))
    if slope <= 0:
        raise NoMap
    return lambda new: 1 / (1 + np.exp(-slope * logit(new) - moved))


def beta(y: np.ndarray, p: np.ndarray) -> Applied:
    """Of the fits that let neither slope fall below 0 the likeliest."""
    refuse(y)
    columns, found = np.column_stack([np.log(p), -np.log(1 - p), np.ones(len(p))]), []
    for kept in ([0, 1, 2], [0, 2], [1, 2]):
        b = np.zeros(3)
        b[kept] = likeliest(columns[:, kept], aims(y))
        if b[:2].min() >= 0:
            found.append((float(np.logaddexp(0, columns @ b).sum() - aims(y) @ (columns @ b)), b))
    if not found:
        raise NoMap
    rise, fall, moved = min(found, key=lambda one: one[0])[1]
    return lambda new: 1 / (1 + np.exp(-rise * np.log(new) + fall * np.log(1 - new) - moved))


def isotonic(y: np.ndarray, p: np.ndarray) -> Applied:
    """Scikit-learn's, and a thousandth of the probability itself."""
    refuse(y)
    fitted = IsotonicRegression(out_of_bounds="clip").fit(p, aims(y))
    if fitted.y_thresholds_[0] == fitted.y_thresholds_[-1]:
        raise NoMap
    return lambda new: 0.999 * fitted.predict(new) + 0.001 * new


MAPS = {"intercept": intercept, "temperature": temperature, "platt": platt, "beta": beta, "isotonic": isotonic}
