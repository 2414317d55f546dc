"""What acting on the calls is worth: net benefit over thresholds, and predictive values at stated prevalences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.errors import InputError
from semeion.evidence.intervals.drawing import Checked, Drawn, Piece, listed, need_binary
from semeion.evidence.intervals.proportions import FEW, ScoreInterval, carriers, clustered_wilson
from semeion.evidence.intervals.weights import Array, Weights, weighted_sums

THRESHOLDS = np.arange(1, 100) / 100
PREVALENCES = (0.01, 0.05, 0.1, 0.2, 0.5)
_WHERE = "utility"
_quiet = np.errstate(invalid="ignore", divide="ignore")


def net_benefit(tp: ArrayLike, fp: ArrayLike, n: ArrayLike, threshold: ArrayLike) -> Array:
    """Return ``tp / n - fp / n * t / (1 - t)`` (Vickers and Elkin, Med Decis Making 26:565, 2006); any shapes."""
    t = np.asarray(threshold, dtype=np.float64)
    return np.asarray((np.asarray(tp) - np.asarray(fp) * t / (1 - t)) / np.asarray(n), dtype=np.float64)


def predictive_values(sensitivity: ArrayLike, specificity: ArrayLike, prevalence: ArrayLike) -> tuple[Array, Array]:
    """Return positive and negative predictive value at a prevalence, by Bayes; NaN where nothing is called so."""
    se, sp = np.asarray(sensitivity, dtype=np.float64), np.asarray(specificity, dtype=np.float64)
    one = np.asarray(prevalence, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        positive = se * one / (se * one + (1 - sp) * (1 - one))
        negative = sp * (1 - one) / (sp * (1 - one) + (1 - se) * one)
    return np.asarray(positive), np.asarray(negative)


def utility_piece(
    cases: Checked, call: ArrayLike, *, point: float | None = None, prevalences: Sequence[float] = PREVALENCES
) -> Piece:
    """Return the account of the decision curve, of net benefit at the point and of predictive values.

    Parameters
    ----------
    cases
        Of two classes. Net benefit takes a threshold for the odds at which a reader would trade false alarms for
        misses, so uncalibrated probabilities are judged harshly.
    call
        Whether each case is called positive, 0 or 1 (or bool), ``(cases,)``: at its own fold's point for ``oof``.
    point
        The threshold probability that the calls at the operating point are judged by; None where there is none.
        For the rule ``cost=FN:FP`` give ``FP / (FP + FN)``, for others the point itself.
    prevalences
        Strictly between 0 and 1.

    Returns
    -------
    Piece
        To be drawn with others by :func:`semeion.evidence.intervals.drawing.draw_together`. It tells ``curve =
        {threshold, model, low, high, treat_all, treat_all_low, treat_all_high, gain, gain_low, gain_high, standardised,
        standardised_low, standardised_high}`` at 0.01, ..., 0.99, where ``gain`` is over the better of treating all and
        none (which is 0); ``useful = [[from, to], ...]``, the runs of thresholds whose gain lies above 0 with its whole
        band; ``net_benefit``, ``net_benefit_treat_all`` and ``net_benefit_gain`` at the point; ``predictive_values``, a
        list of ``{prevalence, ppv, npv}``. Figures are ``{value, low, high, n, n_patients, method}``.

    Raises
    ------
    InputError
        For probabilities of several classes, a call that is none, a point outside 0 to 1 and a prevalence that is not
        strictly between.

    Notes
    -----
    Standardised net benefit (Kerr et al., J Clin Oncol 34:2534, 2016) is net benefit by prevalence, 1 for a model that
    finds all and nothing else.
    """
    return _Utility(cases, _checked_call(call, cases), _checked_point(point), _checked_shares(prevalences)).piece()


class _Utility:
    """Cases of each class sorted by probability, and where the thresholds cut them."""

    def __init__(self, cases: Checked, call: NDArray[np.bool_], point: float | None, shares: Array) -> None:
        self.cases, self.call, self.point, self.shares = cases, call, point, shares
        self.sides = []
        for label in (1, 0):
            own = np.flatnonzero(cases.y == label)
            own = own[np.argsort(cases.p[own], kind="stable")]
            self.sides.append((own, np.searchsorted(cases.p[own], THRESHOLDS, side="left")))
        positive = cases.y == 1
        self.columns = np.column_stack([positive, ~positive, positive & call, ~positive & call]).astype(np.float64)

    def piece(self) -> Piece:
        return Piece(self.compute, self.tell)

    @_quiet
    def compute(self, weights: Weights) -> Array:
        """Return the four curves, net benefits at the point, sensitivity and specificity, and predictive values."""
        tp, fp = (_above(weights, own, cuts) for own, cuts in self.sides)
        n1, n0, hits, alarms = weighted_sums(weights, self.columns).T
        n = (n1 + n0)[:, None]
        model = net_benefit(tp, fp, n, THRESHOLDS)
        everyone = net_benefit(n1[:, None], n0[:, None], n, THRESHOLDS)
        gain = model - np.maximum(everyone, 0)
        standardised = np.where(n1[:, None] > 0, model * n / n1[:, None], np.nan)
        at = np.full((len(weights), 3), np.nan)
        if self.point is not None:
            at[:, 0] = net_benefit(hits, alarms, n[:, 0], self.point)
            at[:, 1] = net_benefit(n1, n0, n[:, 0], self.point)
            at[:, 2] = at[:, 0] - np.maximum(at[:, 1], 0)
        se, sp = hits / n1, 1 - alarms / n0
        values = predictive_values(se[:, None], sp[:, None], self.shares)
        return np.hstack([model, everyone, gain, standardised, at, se[:, None], sp[:, None], *values])

    def tell(self, drawn: Drawn) -> dict[str, Any]:
        k = len(THRESHOLDS)
        curve: dict[str, Any] = {"threshold": THRESHOLDS.tolist()}
        for place, name in enumerate(("model", "treat_all", "gain", "standardised")):
            curve[name] = listed(drawn.values[place * k : (place + 1) * k])
            band = drawn.band(place * k, (place + 1) * k)
            prefix = "" if name == "model" else f"{name}_"
            curve |= {f"{prefix}low": band["low"], f"{prefix}high": band["high"]}
        curve["method"] = (
            "net benefit, positive at p >= threshold; pointwise 95 % band, percentile bootstrap over patients"
        )
        names = ("net_benefit", "net_benefit_treat_all", "net_benefit_gain")
        how = f"at the threshold probability {self.point:.6g}" if self.point is not None else ""
        entries = {
            name: drawn.entry(4 * k + place, how=how, undefined="no operating point")
            for place, name in enumerate(names)
        }
        return {
            "curve": curve,
            "useful": _runs(np.array([low is not None and low > 1e-12 for low in curve["gain_low"]])),
            **entries,
            "predictive_values": self._values(drawn, 4 * k + 3),
        }

    def _values(self, drawn: Drawn, first: int) -> list[dict[str, Any]]:
        """Return the entries; `first` is the column of the sensitivity."""
        se, sp = (float(value) for value in drawn.values[first : first + 2])
        scored = self._scored()
        how = "from sensitivity and specificity by Bayes"
        told = []
        for place, share in enumerate(self.shares):
            both: dict[str, Any] = {"prevalence": float(share)}
            for kind, name in enumerate(("ppv", "npv")):
                column = first + 2 + kind * len(self.shares) + place
                entry = drawn.entry(column, how=how, undefined=self._undefined(kind))
                if scored is not None and entry["value"] is not None and drawn.cases.n_patients > 1:
                    hit, right = scored
                    ends = (
                        _bayes_ends(se, hit.low, hit.high, 1 - sp, 1 - right.high, 1 - right.low, share)
                        if kind == 0
                        else _bayes_ends(sp, right.low, right.high, 1 - se, 1 - hit.high, 1 - hit.low, 1 - share)
                    )
                    entry |= {"low": ends[0], "high": ends[1]}
                    entry["method"] = (
                        f"95 % interval of the likelihood ratio from Wilson's of both shares (MOVER); {how}; fewer "
                        f"than {FEW} patients with a hit, or with a miss, of a class"
                    )
                    entry.pop("reason", None)
                both[name] = entry
            told.append(both)
        return told

    def _scored(self) -> tuple[ScoreInterval, ScoreInterval] | None:
        """Return Wilson's intervals of sensitivity and specificity where a bootstrap of one fails, else None."""
        own = [self.cases.y == label for label in (1, 0)]
        if not all(side.any() for side in own):
            return None
        right = self.call == (self.cases.y == 1)
        parts = [(right[side], self.cases.patient[side]) for side in own]
        if all(carriers(*part) >= FEW for part in parts):
            return None
        return clustered_wilson(*parts[0]), clustered_wilson(*parts[1])

    def _undefined(self, kind: int) -> str:
        if len(np.unique(self.cases.y)) < 2:
            return "only one class among the cases"
        return f"no case is called {'positive' if kind == 0 else 'negative'}"


def _bayes_ends(
    hit: float, hit_low: float, hit_high: float, alarm: float, alarm_low: float, alarm_high: float, share: float
) -> tuple[float, float]:
    """Return both ends of ``share * hit / (share * hit + (1 - share) * alarm)`` from those of `hit` and `alarm`.

    The logarithm of ``hit / alarm`` is a difference of two estimates from different cases, whose interval the square
    root of summed squares of their distances to their own ends gives (MOVER: Zou and Donner, Stat Med 27:1693, 2008).
    Where one of them is 0 its logarithm has no end, and the limit of that interval is taken.
    """
    with np.errstate(divide="ignore"):
        h, h_low, h_high, a, a_low, a_high = np.log([hit, hit_low, hit_high, alarm, alarm_low, alarm_high])
    if a == -np.inf:
        ends = (h - a_high, np.inf)
    elif h == -np.inf:
        ends = (-np.inf, h_high - a)
    else:
        ratio = h - a
        ends = (ratio - np.hypot(h - h_low, a_high - a), ratio + np.hypot(h_high - h, a - a_low))
    odds = np.log(share / (1 - share))
    low, high = (1 / (1 + np.exp(-(odds + end))) for end in ends)
    return float(low), float(high)


def _above(weights: Weights, own: NDArray[np.int64], cuts: NDArray[np.int64]) -> Array:
    """Return the weight of the cases `own`, which are sorted, from each cut on, ``(resamples, cuts)``."""
    under = np.zeros((len(weights), len(own) + 1))
    np.cumsum(np.take(weights, own, axis=1), axis=1, out=under[:, 1:])
    return np.asarray(under[:, -1:] - np.take(under, cuts, axis=1))


def _runs(good: NDArray[np.bool_]) -> list[list[float]]:
    """Return first and last threshold of each run of good ones."""
    edges = np.diff(np.concatenate([[0], good.astype(np.int64), [0]]))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [[float(THRESHOLDS[a]), float(THRESHOLDS[b])] for a, b in zip(firsts, lasts, strict=True)]


def _checked_call(call: ArrayLike, cases: Checked) -> NDArray[np.bool_]:
    values = np.asarray(call, dtype=np.float64)
    need_binary(cases, _WHERE)
    if values.shape != (len(cases),) or not np.isin(values, (0, 1)).all():
        raise InputError("not one call of 0 or 1 a case", where=_WHERE, fix="call every case at its operating point")
    return np.asarray(values == 1)


def _checked_point(point: float | None) -> float | None:
    if point is not None and not 0 <= point < 1:
        raise InputError(
            f"the threshold probability is {point}", where=_WHERE, fix="give a number from 0 up to, but not, 1"
        )
    return point


def _checked_shares(prevalences: Sequence[float]) -> Array:
    shares = np.asarray(prevalences, dtype=np.float64)
    if shares.ndim != 1 or not ((shares > 0) & (shares < 1)).all():
        raise InputError("a prevalence is not between 0 and 1", where=_WHERE, fix="give shares, for example 0.05")
    return shares
