"""Another balance of classes at use: estimated without labels, and what follows for probabilities and calls.

Everything here stands on one assumption, label shift: a patient with a class looks the same at both places, only the
shares of the classes differ. Unlabelled cases cannot prove it. Where the pictures differ too, the estimate is wrong
without showing it, so corrected figures stand beside the measured ones and never in their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.errors import InputError
from semeion.evidence.intervals.bootstrap import case_weights, interval, resample
from semeion.evidence.intervals.drawing import checked_cases
from semeion.evidence.intervals.weights import weighted_sums
from semeion.evidence.use.operating import choose_point, parse_rule

Array = NDArray[np.float64]
MOST_CELLS = 20_000_000
"""Resamples times cases that are worked through: beyond, fewer resamples are drawn, at least 200."""
FEWEST_RESAMPLES = 200
GAP = 1e-10
"""How far the mean log likelihood may stay below its maximum."""
MOST_ROUNDS = 2000
_WHERE = "prevalence at use"


@dataclass(frozen=True)
class Prevalence:
    """The estimated balance of classes.

    Attributes
    ----------
    prior
        Shares among the cases that the probabilities were calibrated on, ``(classes,)``.
    at_use
        Estimated shares among the unlabelled cases, ``(classes,)``; they sum to 1.
    entries
        ``{value, low, high, n, n_patients, method}`` of each class.
    shifted
        Whether the prior of some class lies outside its interval; None without an interval.
    """

    prior: tuple[float, ...]
    at_use: tuple[float, ...]
    entries: tuple[dict[str, Any], ...]
    shifted: bool | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        entries = [dict(entry) for entry in self.entries]
        return {"prior": list(self.prior), "at_use": entries, "shifted": self.shifted}


def class_shares(y: ArrayLike, classes: int) -> Array:
    """Return the share of each class among the cases that calibrated, ``(classes,)``.

    Raises
    ------
    InputError
        When a class has no case: nothing is then known of how it looks.
    """
    truth = np.asarray(y, dtype=np.float64)
    if truth.ndim != 1 or not np.isin(truth, np.arange(classes)).all():
        raise InputError(f"a label is no class index from 0 to {classes - 1}", where=_WHERE, fix="leave such cases out")
    counts = np.bincount(truth.astype(np.int64), minlength=classes)
    if (counts == 0).any():
        raise InputError(
            f"class {int(np.argmin(counts))} has no validation case", where=_WHERE, fix="give cases of every class"
        )
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def estimate_prevalence(
    p: ArrayLike,
    patient: ArrayLike,
    prior: ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
    jobs: int | None = None,
) -> Prevalence:
    """Estimate the shares of the classes among unlabelled cases by expectation-maximisation.

    Parameters
    ----------
    p
        Calibrated probabilities of the unlabelled cases ``(cases, classes)``; a binary target has two columns.
    patient
        Whose each case is.
    prior
        See :func:`class_shares`, of the cases that the probabilities were calibrated on, ``(classes,)``.
    resamples, seed, jobs
        Of the bootstrap. Resamples are fewer, at least 200, where they times cases exceed 20 million.

    Raises
    ------
    InputError
        When probabilities or prior cannot be used, or do not fit one another.

    Notes
    -----
    Saerens, Latinne and Decaestecker, Neural Computation 14:21, 2002: the shares that make the unlabelled cases most
    likely, when each weighs a class by ``p / prior``. The likelihood is concave; rounds are extrapolated (squared
    iterations: Varadhan and Roland, Scand J Stat 35:335, 2008) until the mean log likelihood is within 1e-10 of its
    maximum, which the largest gradient bounds (Lindsay, Ann Stat 11:86, 1983). The interval is over the unlabelled
    patients; the uncertainty of calibration and prior is not in it.
    """
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 2:
        raise InputError(f"probabilities of shape {values.shape}", where=_WHERE, fix="give a column a class")
    cases = checked_cases(np.zeros(len(values)), values, patient, where=_WHERE)
    before = _checked_shares(prior, values.shape[1], strictly=True)
    if resamples < 1:
        raise InputError(f"{resamples} resamples", where="resamples", fix="use 2000")
    ratio = values / before
    n, patients = len(values), cases.n_patients
    whole = most_likely_shares(np.ones((1, n)), ratio, before)[0]
    if np.isnan(whole).any():
        raise InputError(
            "the shares do not settle: the probabilities hardly tell the classes apart", where=_WHERE, fix="do without"
        )
    count = max(min(resamples, FEWEST_RESAMPLES), min(resamples, MOST_CELLS // n))

    def compute(counts: Array) -> Array:
        return most_likely_shares(case_weights(counts, cases.patient), ratio, whole)

    drawn = np.full((1, len(before)), np.nan)
    if patients >= 2:
        drawn = resample(compute, patients, n, resamples=count, seed=seed, jobs=jobs)
    entries, outside = [], []
    for k, value in enumerate(whole.tolist()):
        span = interval(drawn[:, k], patients)
        entry: dict[str, Any] = {"value": value, "low": None, "high": None, "n": n, "n_patients": patients}
        if np.isfinite(span.low):
            entry |= {"low": span.low, "high": span.high}
            outside.append(not span.low <= before[k] <= span.high)
        entry["method"] = f"95 % percentile bootstrap over patients, {count} resamples; expectation-maximisation"
        edge = "" if 0 < value < 1 else "the estimate lies at the end of its range"
        reason = "; ".join(filter(None, [edge, span.reason]))
        entries.append({**entry, "reason": reason} if reason else entry)
    shifted = any(outside) if outside else None
    return Prevalence(tuple(before.tolist()), tuple(whole.tolist()), tuple(entries), shifted)


def most_likely_shares(weights: Array, ratio: Array, start: Array) -> Array:
    """Return the shares ``(resamples, classes)`` that maximise ``sum(weights * log(ratio @ shares))``.

    Parameters
    ----------
    weights
        ``(resamples, cases)``.
    ratio
        Probability by prior, ``(cases, classes)``.
    start
        Shares to begin with, ``(classes,)``.

    Notes
    -----
    A share that the data push to 0 gets there only in the limit; below 1e-9, with a gradient below 1, it is set to 0.
    A resample that has not settled after 2000 rounds is NaN.
    """
    # A share of 0 would stay there, whatever a resample says.
    begin = np.maximum(start, 1e-3) if start.min() < 1e-3 else start
    shares = np.tile(begin / begin.sum(), (len(weights), 1))
    active, left = np.arange(len(weights)), weights
    for _ in range(MOST_ROUNDS):
        at = shares[active]
        gradient, here = _gradient(left, ratio, at)
        done = gradient.max(axis=1) - 1 <= GAP
        if done.any():
            shares[active[done]] = _settled(at[done], gradient[done])
            active, left, at, gradient, here = active[~done], left[~done], at[~done], gradient[~done], here[~done]
            if len(active) == 0:
                return shares
        one = at * gradient
        two = one * _gradient(left, ratio, one)[0]
        step, bend = one - at, two - 2 * one + at
        reach = np.sqrt((step**2).sum(axis=1) / np.maximum((bend**2).sum(axis=1), 1e-300))
        reach = np.maximum(1.0, reach)[:, None]
        # Towards the edge an extrapolation may leave the simplex: it stops a little inside.
        far = np.maximum(at + 2 * reach * step + reach**2 * bend, 0.01 * two)
        far /= far.sum(axis=1, keepdims=True)
        # Near the maximum likelihoods differ by less than their rounding, and the extrapolation is right.
        better = _gradient(left, ratio, far)[1] >= here - 1e-13 * (1 + np.abs(here))
        shares[active] = np.where(better[:, None], far, two)
    shares[active] = np.nan
    return shares


def _gradient(weights: Array, ratio: Array, shares: Array) -> tuple[Array, Array]:
    """Return the gradient of the mean log likelihood by the shares ``(resamples, classes)``, and itself."""
    mixed = np.full(weights.shape, 1e-300)
    for k in range(ratio.shape[1]):
        mixed += shares[:, k, None] * ratio[:, k]
    total = weights.sum(axis=1)
    likelihood = np.einsum("ij,ij->i", weights, np.log(mixed)) / total
    return weighted_sums(weights / mixed, ratio) / total[:, None], likelihood


def _settled(shares: Array, gradient: Array) -> Array:
    kept = np.where((shares < 1e-9) & (gradient < 1), 0.0, shares)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def adjust_probabilities(p: ArrayLike, prior: ArrayLike, at_use: ArrayLike) -> Array:
    """Return ``p * at_use / prior``, normalised (Saerens 2002): the probabilities where classes have other shares.

    Parameters
    ----------
    p
        Calibrated probabilities ``(cases, classes)``.
    prior, at_use
        Shares of the classes, ``(classes,)``; those of `prior` above 0.

    Raises
    ------
    InputError
        When shares do not fit, or a case is possible in no class that is left.
    """
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise InputError("not a finite probability a class", where=_WHERE, fix="give them as (cases, classes)")
    before = _checked_shares(prior, values.shape[1], strictly=True)
    after = _checked_shares(at_use, values.shape[1], strictly=False)
    raised = values * (after / before)
    total = raised.sum(axis=1, keepdims=True)
    if len(raised) and not total.min() > 0:
        raise InputError(
            f"case {int(np.argmin(total)) + 1} has a probability of 0 in every class that is left",
            where=_WHERE,
            fix="keep probabilities a little away from 0",
        )
    return np.asarray(raised / total)


@dataclass(frozen=True)
class MovedPoint:
    """An operating point on the adjusted scale, the same on the scale before, and how it was found."""

    value: float
    unadjusted: float
    method: str


def moved_point(y: ArrayLike, p: ArrayLike, rule: str, point: float, prior: float, at_use: float) -> MovedPoint:
    """Return the operating point for another prevalence, from validation cases alone.

    Parameters
    ----------
    y, p
        Truth 0 or 1 and calibrated probability of the positive class of the validation cases, ``(cases,)``.
    rule
        Of the operating point, see :func:`semeion.evidence.operating.choose_point`.
    point
        The operating point in use, on the unadjusted scale.
    prior, at_use
        Share of the positive class among validation cases and at use, strictly between 0 and 1.

    Returns
    -------
    MovedPoint
        ``youden``, ``sensitivity`` and ``specificity`` look at each class by itself, so under label shift the best cut
        stays where it is: the point is moved in closed form, by the prior odds, and no call changes. ``accuracy`` and
        ``cost`` depend on the prevalence: the point is chosen anew on the validation cases, each class weighing
        ``at_use / prior``, which is the same rule with other costs.

    Raises
    ------
    InputError
        When the point was given, the rule cannot be read, the cases cannot choose, or a share or the point is outside
        its range.
    """
    if rule.startswith("given"):
        raise InputError(
            "the operating point was given and follows no rule by which it could be moved",
            where=_WHERE,
            fix="choose it by a rule, such as youden, on validation cases",
        )
    parsed = parse_rule(rule)
    if not (0 < prior < 1 and 0 < at_use < 1):
        raise InputError(
            f"shares of {prior:g} and {at_use:g}", where=_WHERE, fix="no point can be moved unless both classes occur"
        )
    if not 0 <= point <= 1:
        raise InputError(f"an operating point of {point:g}", where=_WHERE, fix="give a probability")
    if parsed.kind in ("youden", "sensitivity", "specificity"):
        method = f"moved by the prior odds: the rule {rule!r} does not depend on the prevalence, so no call changes"
        return MovedPoint(_moved(point, prior, at_use), float(point), method)
    positive, negative = at_use / prior, (1 - at_use) / (1 - prior)
    costs = f"cost={parsed.cost_fn * positive!r}:{parsed.cost_fp * negative!r}"
    chosen = choose_point(y, p, costs)
    method = f"chosen anew by {rule!r} on validation cases that weigh {positive:.4g} (positive) and {negative:.4g}"
    return MovedPoint(_moved(chosen, prior, at_use), chosen, method)


def _moved(point: float, prior: float, at_use: float) -> float:
    one, other = point * at_use / prior, (1 - point) * (1 - at_use) / (1 - prior)
    return float(one / (one + other))


def _checked_shares(shares: ArrayLike, classes: int, *, strictly: bool) -> Array:
    values = np.asarray(shares, dtype=np.float64)
    least = "above 0" if strictly else "of 0 or more"
    good = values.shape == (classes,) and np.isfinite(values).all() and abs(values.sum() - 1) <= 1e-6
    if not (good and (values.min() > 0 if strictly else values.min() >= 0)):
        raise InputError(
            f"not {classes} shares {least} that sum to 1", where=_WHERE, fix="give the share of each class"
        )
    return np.asarray(values / values.sum())
