"""How far probabilities can be taken at their word: the smooth calibration curve, calibration errors, Brier's parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semeion.evidence.calibration.smooth import SPAN, Smoother, equal_groups, smoother
from semeion.evidence.intervals.drawing import Checked, Drawn, Piece, listed, need_binary
from semeion.evidence.intervals.sizes import mean_absolute, quantile, root_mean_square
from semeion.evidence.intervals.weights import Array, Weights, weighted_sums

MOST_BINS = 15
FEWEST_A_BIN = 10
"""Cases for which there is one more bin, up to 15 bins."""
ERRORS = ("ece_adaptive", "ici", "e50", "e90")
BRIER_PARTS = (
    "brier",
    "brier_reliability",
    "brier_resolution",
    "brier_uncertainty",
    "brier_within_variance",
    "brier_within_covariance",
)
FIGURES = (*ERRORS, *BRIER_PARTS)


def adaptive_bins(p: Array) -> NDArray[np.int64]:
    """Return the bin of each case: one for every 10 cases, at most 15, of about equally many cases.

    Equal probabilities never part. Equal mass: Nixon et al., Measuring calibration in deep learning, CVPR workshops
    2019; less biased than equal width: Roelofs et al., AISTATS 2022.
    """
    return equal_groups(p, max(1, min(MOST_BINS, len(p) // FEWEST_A_BIN)))


def error_by_chance(p: Array, group: NDArray[np.int64]) -> float:
    """Return the calibration error in these bins that a perfectly calibrated model is expected to show.

    The surplus of a bin is then a sum of independent cases with variance ``p (1 - p)`` each, near enough normal, whose
    absolute value has the mean ``sqrt(2 / pi)`` times its standard deviation. An error no larger is no sign of bad
    calibration. That the binned error cannot fall to 0: Bröcker, Climate Dynamics 39:655, 2012.
    """
    variance = np.bincount(group, weights=p * (1 - p))
    return float(np.sqrt(2 / np.pi * variance).sum() / len(p))


def reliability_piece(cases: Checked) -> Piece:
    """Return the account of how well the probabilities of the positive class are calibrated.

    Parameters
    ----------
    cases
        Of two classes. One class alone is allowed: its calibration is still defined. Where the probability is constant
        the curve is one point.

    Returns
    -------
    Piece
        To be drawn with others by :func:`semeion.evidence.intervals.drawing.draw_together`. It tells ``figures.<name> =
        {value, low, high, n, n_patients, method}`` of `FIGURES`; ``curve = {x, y, low, high, method}``, at most 101
        points over the range of the probabilities with a pointwise 95 % band; ``bins = {x, y, low, high, n}``, at most
        15; ``ece_by_chance``, see :func:`error_by_chance`.

    Raises
    ------
    InputError
        For probabilities of several classes.

    Notes
    -----
    ``ece_adaptive`` is the mean over bins, by their weight, of ``|mean probability - observed share|``. ``ici``,
    ``e50`` and ``e90`` are mean, median and 90th percentile over cases of ``|smooth curve - probability|`` (Austin and
    Steyerberg, Stat Med 38:4051, 2019); the quantile is the smallest value that is not exceeded by that share.

    The Brier score is the sum ``reliability - resolution + uncertainty + within_variance - within_covariance`` (Murphy,
    J Appl Meteorol 12:595, 1973; the last two, without which bins of unequal probabilities do not add up: Stephenson,
    Coelho and Jolliffe, Weather and Forecasting 23:752, 2008), in the same bins.
    """
    account = Reliability(cases)
    return Piece(account.compute, account.tell)


class Reliability:
    """The account of :func:`reliability_piece`: the cases sorted by probability, and where bins and cells begin.

    Raises
    ------
    InputError
        When the cases have a column a class.
    """

    def __init__(self, cases: Checked) -> None:
        need_binary(cases, "calibration")
        self.cases = cases
        self.smooth: Smoother = smoother(cases.p)
        self.group = adaptive_bins(cases.p)
        order = self.smooth.order
        self.y, p = cases.y[order].astype(np.float64), cases.p[order]
        starts = np.flatnonzero(np.append(True, np.diff(self.group[order]) > 0))
        self.slices = list(zip(starts, np.append(starts[1:], len(p)), strict=True))
        self.columns = np.column_stack([np.ones_like(p), self.y, p, p * p, p * self.y])
        cells = len(self.smooth.x)
        self.cells = "" if cells == len(np.unique(p)) else f", in {cells} cells"

    @property
    def width(self) -> int:
        """How many values :meth:`compute` gives."""
        return len(FIGURES) + len(self.smooth.grid) + 2 * len(self.slices)

    def compute(self, weights: Weights) -> Array:
        """Return side by side `FIGURES`, the curve, and mean probability and observed share of the bins."""
        ordered = np.take(weights, self.smooth.order, axis=1)
        bins = np.stack([weighted_sums(ordered[:, a:b], self.columns[a:b]) for a, b in self.slices], axis=1)
        total = np.add.reduceat(ordered, self.smooth.starts, axis=1)
        ordered *= self.y
        curve = self.smooth.curve(total, np.add.reduceat(ordered, self.smooth.starts, axis=1))
        with np.errstate(invalid="ignore", divide="ignore"):
            figures = {**_brier_parts(bins), **self._distances(total, curve)}
            places = [bins[:, :, 2] / bins[:, :, 0], bins[:, :, 1] / bins[:, :, 0]]
        return np.hstack([np.column_stack([figures[name] for name in FIGURES]), curve, *places])

    def _distances(self, total: Array, curve: Array) -> dict[str, Array]:
        """Return mean, median and 90th percentile of the distance between curve and probability over cases."""
        distance = np.abs(self.smooth.at_cells(curve) - self.smooth.x)
        distance[(total == 0)] = 0.0
        whole = total.sum(axis=1)
        rank = np.argsort(distance, axis=1, kind="stable")
        reached = np.cumsum(np.take_along_axis(total, rank, axis=1), axis=1)
        ranked = np.take_along_axis(distance, rank, axis=1)
        found = {"ici": (total * distance).sum(axis=1) / whole}
        for name, share in (("e50", 0.5), ("e90", 0.9)):
            first = (reached >= share * whole[:, None] * (1 - 1e-12)).argmax(axis=1)
            value = np.take_along_axis(ranked, first[:, None], axis=1)[:, 0]
            found[name] = np.where(np.isnan(found["ici"]), np.nan, value)
        return found

    def figures(self, drawn: Drawn) -> dict[str, dict[str, Any]]:
        """Return the entries; those that chance alone pushes up get intervals of their own kind."""
        points, k, first = len(self.smooth.grid), len(self.slices), len(FIGURES)
        bins = first + points
        near = f"against the smooth curve{self.cells}"
        within = f"in the {k} bins of ece_adaptive"
        sizes = np.bincount(self.group) / len(self.cases)
        found = {
            name: drawn.entry(column, name, how=within if name in BRIER_PARTS[1:] else "")
            for column, name in enumerate(FIGURES)
        }
        mean, share = drawn.values[bins : bins + k], drawn.values[bins + k : bins + 2 * k]
        means, shares = drawn.drawn(bins, bins + k), drawn.drawn(bins + k, bins + 2 * k)
        events = self.y.mean()
        held = np.where(np.isfinite(shares), shares, share)
        gap = {"ece_adaptive": mean - share, "brier_reliability": mean - share, "brier_resolution": share - events}
        gaps = {"ece_adaptive": means - shares, "brier_resolution": shares - (held @ sizes)[:, None]}
        gaps["brier_reliability"] = gaps["ece_adaptive"]
        for name, size, power in (
            ("ece_adaptive", mean_absolute(sizes), 1),
            ("brier_reliability", root_mean_square(sizes), 2),
            ("brier_resolution", root_mean_square(sizes), 2),
        ):
            how = f"{k} bins of about equally many cases, equal probabilities in one bin" if power == 1 else within
            found[name] = drawn.sized(FIGURES.index(name), name, gap[name], gaps[name], size, power=power, how=how)
        at = self.smooth.at_cells(drawn.values[None, first:bins])[0] - self.smooth.x
        ats = self.smooth.at_cells(drawn.drawn(first, bins)) - self.smooth.x
        mass = np.diff(np.append(self.smooth.starts, len(self.cases))) / len(self.cases)
        for name, size in (("ici", mean_absolute(mass)), ("e50", quantile(mass, 0.5)), ("e90", quantile(mass, 0.9))):
            found[name] = drawn.sized(FIGURES.index(name), name, at, ats, size, how=near)
        return found

    def tell(self, drawn: Drawn) -> dict[str, Any]:
        """Return what :func:`reliability_piece` tells."""
        points, k = len(self.smooth.grid), len(self.slices)
        first, bins = len(FIGURES), len(FIGURES) + points
        band = drawn.band(first, bins, least=0, most=1)
        curve: dict[str, Any] = {"x": self.smooth.grid.tolist(), "y": listed(drawn.values[first:bins]), **band}
        curve["method"] = (
            f"local linear regression, tricube kernel over the nearest {100 * SPAN:.0f} % of the cases{self.cells}; "
            "pointwise 95 % band, percentile bootstrap over patients"
        )
        if points == 1:
            curve["reason"] = "every case has the same probability"
        return {
            "figures": self.figures(drawn),
            "curve": curve,
            "bins": {
                "x": listed(drawn.values[bins : bins + k]),
                "y": listed(drawn.values[bins + k :]),
                **drawn.band(bins + k, bins + 2 * k, least=0, most=1),
                "n": np.bincount(self.group).tolist(),
            },
            "ece_by_chance": error_by_chance(self.cases.p, self.group),
        }


def _brier_parts(bins: Array) -> dict[str, Array]:
    """Return the calibration error and Brier's parts from sums ``(resamples, bins, (1, y, p, p^2, p y))``."""
    n, y, p, squared, product = np.moveaxis(bins, 2, 0)
    total = n.sum(axis=1)
    held = np.where(n > 0, n, 1)
    share = y.sum(axis=1) / total
    return {
        "ece_adaptive": np.abs(p - y).sum(axis=1) / total,
        "brier": (squared - 2 * product + y).sum(axis=1) / total,
        "brier_reliability": ((p - y) ** 2 / held).sum(axis=1) / total,
        "brier_resolution": (n * (y / held - share[:, None]) ** 2).sum(axis=1) / total,
        "brier_uncertainty": share * (1 - share),
        "brier_within_variance": (squared - p**2 / held).sum(axis=1) / total,
        "brier_within_covariance": 2 * (product - p * y / held).sum(axis=1) / total,
    }
