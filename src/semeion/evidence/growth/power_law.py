"""The inverse power law through the points of a learning curve, its band, and whether it may be carried on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semeion.evidence.growth.figure import TAIL, as_error, ends_of
from semeion.evidence.growth.measure import Points
from semeion.evidence.intervals.weights import Array

FORMULA = "error(n) = a + b n^-c"
REACH = 4.0
"""The curve is carried on to at most so many times the patients."""
_EXPONENTS = np.exp(np.linspace(np.log(0.05), np.log(2.0), 80))
"""Of the power, tried one by one: published learning curves lie between 0.1 and 1 (Figueroa et al. 2012)."""
_LEAST_SIZES = 4
"""Three parameters go through three points whatever they are."""
_TURNED = 0.005
"""Share of resamples in which a size must not be worse than the one before for the curve to have turned."""


@dataclass(frozen=True)
class Law:
    """``error(n) = a + b n^-c`` for one or many sets of points: arrays of one length."""

    a: Array
    b: Array
    c: Array

    def error(self, sizes: Array) -> Array:
        """Return the errors at some sizes, ``(sets, sizes)``."""
        return np.asarray(self.a[:, None] + self.b[:, None] * sizes[None, :] ** -self.c[:, None])


@dataclass(frozen=True)
class Fitted:
    """A law through the points and through every resample of them, in the figure's own direction.

    Attributes
    ----------
    law
        Through the points, one set.
    again
        Through each resample.
    metric
        The figure.
    refused
        Why it may not be carried on beyond the points, empty where it may.
    reach
        How many times the patients it may be carried on to, 1 where it may not.
    """

    law: Law
    again: Law
    metric: str
    refused: str
    reach: float

    def at(self, sizes: Array) -> tuple[Array, Array, Array]:
        """Return value, low and high end of the pointwise 95 % band at some sizes in patients."""
        value = as_error(self.law.error(sizes)[0], self.metric)
        drawn = as_error(self.again.error(sizes), self.metric)
        return (value, *ends_of(value, drawn, self.metric))

    def change(self, one: float, other: float) -> tuple[float, float, float]:
        """Return the change of the figure from `one` to `other` patients, with its 95 % interval."""
        sizes = np.array([one, other])
        value = as_error(self.law.error(sizes)[0], self.metric)
        drawn = as_error(self.again.error(sizes), self.metric)
        low, high = np.quantile(drawn[:, 1] - drawn[:, 0], [TAIL, 1 - TAIL])
        gain = float(value[1] - value[0])
        return gain, min(float(low), gain), max(float(high), gain)


def fit_law(sizes: Array, errors: Array, weights: Array) -> Law:
    """Return the laws of least weighted squares, with ``a >= 0`` and ``b >= 0``.

    Parameters
    ----------
    sizes
        In patients, ``(sizes,)``.
    errors
        ``(sets, sizes)``.
    weights
        Of each size, ``(sizes,)``: one over a variance.

    Notes
    -----
    The form is that of Mukherjee et al., Journal of Computational Biology 10:119 (2003), and of Figueroa et al., BMC
    Medical Informatics and Decision Making 12:8 (2012), who fit by weighted least squares. For a given exponent the law
    is linear in a and b, which have a closed form within their bounds, and 80 exponents from 0.05 to 2 are tried: no
    start to choose, no fit that fails (variable projection: Golub and Pereyra, SIAM Journal on Numerical Analysis
    10:413, 1973).
    """
    best = np.full(len(errors), np.inf)
    a, b, c = (np.zeros(len(errors)) for _ in range(3))
    weight = weights / weights.sum()
    mean_y = errors @ weight
    for exponent in _EXPONENTS:
        x = sizes**-exponent
        mean_x = float(x @ weight)
        spread = float(((x - mean_x) ** 2) @ weight)
        slope = (errors - mean_y[:, None]) @ (weight * (x - mean_x)) / spread
        level = mean_y - slope * mean_x
        # Beyond a bound the best lies on it, since the squares are convex in both.
        through = np.maximum(errors @ (weight * x) / float((x**2) @ weight), 0.0)
        slope, level = np.where(level < 0, through, slope), np.maximum(level, 0.0)
        flat = slope < 0
        slope, level = np.where(flat, 0.0, slope), np.where(flat, np.maximum(mean_y, 0.0), level)
        left = ((errors - level[:, None] - slope[:, None] * x[None, :]) ** 2) @ weight
        better = left < best - 1e-15
        best = np.where(better, left, best)
        a, b, c = np.where(better, level, a), np.where(better, slope, b), np.where(better, exponent, c)
    return Law(a, b, c)


def fit_points(points: Points, metric: str) -> Fitted:
    """Fit the law to points and their resamples and judge whether the points determine it.

    The weights are one over the variance of a size about the mean of all sizes: what moves all of them together,
    such as which patients are scored, tells nothing of the shape.

    Parameters
    ----------
    points
        Of :func:`semeion.evidence.growth.measure.weigh_points`.
    metric
        The figure.
    """
    drawn = as_error(points.drawn, metric)
    own = (drawn - drawn.mean(axis=1, keepdims=True)).var(axis=0)
    weights = 1 / np.maximum(own, max(float(own.max()), 1e-12) * 1e-3)
    law = fit_law(points.sizes, as_error(points.value, metric)[None], weights)
    again = fit_law(points.sizes, drawn, weights)
    fitted = Fitted(law, again, metric, "", REACH)
    refused = _refused(points, drawn)
    if refused:
        return Fitted(law, again, metric, refused, 1.0)
    measured = abs(float(points.value[-1] - points.value[0]))
    for reach in (REACH, REACH / 2):
        _, low, high = fitted.change(points.sizes[-1], reach * points.sizes[-1])
        if high - low <= measured:
            return Fitted(law, again, metric, "", reach)
    why = "what more patients would bring is less certain than what was gained from the smallest size to the largest"
    return Fitted(law, again, metric, why, 1.0)


def _refused(points: Points, drawn: Array) -> str:
    """Return why no law can be carried on, or nothing."""
    sizes = [int(one) for one in points.sizes]
    if len(sizes) < _LEAST_SIZES:
        return f"there are {len(sizes)} sizes, and a law of three parameters goes through any three"
    gained = drawn[:, 0] - drawn[:, -1]
    if float(np.quantile(gained, TAIL)) <= 0:
        return f"from {sizes[0]} to {sizes[-1]} patients the figure does not get better beyond chance"
    steps = np.diff(drawn, axis=1)
    for place in range(len(sizes) - 1):
        if float((steps[:, place] <= 0).mean()) <= _TURNED:
            return (
                f"from {sizes[place]} to {sizes[place + 1]} patients the figure gets worse beyond chance, which no "
                "power law does"
            )
    return ""
