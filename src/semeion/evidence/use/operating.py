"""The operating point: from which probability on a case is called positive."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.errors import InputError, nearest

OPTION = "--operating-point"
KINDS = ("youden", "accuracy", "sensitivity", "specificity", "cost")
_FIX = "use youden, accuracy, sensitivity=0.95, specificity=0.95 or cost=FN:FP, for example cost=10:1"

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """A parsed rule: the wanted sensitivity or specificity as `wanted`, the costs of one false call each."""

    kind: str
    wanted: float = math.nan
    cost_fn: float = 1.0
    cost_fp: float = 1.0


@dataclass(frozen=True)
class OperatingPoints:
    """The points at which the predictions of one run are called.

    Attributes
    ----------
    rule
        How they were chosen, as the user wrote it; ``argmax`` where the largest probability is called.
    shipped
        The point of the shipped model, for every split but ``oof``.
    by_fold
        The point of each fold's model, for the split ``oof``.
    by_target
        Multi-label: the points of each label, by its name.
    """

    rule: str = "argmax"
    shipped: float | None = None
    by_fold: Mapping[int, float] = field(default_factory=dict)
    by_target: Mapping[str, OperatingPoints] = field(default_factory=dict)

    def of(self, target: str) -> OperatingPoints:
        """Return the points of one label.

        Raises
        ------
        InputError
            When none was given for it.
        """
        if target not in self.by_target:
            raise InputError(
                f"no operating point for the label {target!r}", where="operating points", fix="choose one a label"
            )
        return self.by_target[target]

    def thresholds(self, split: str, fold: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the point of each case: its own fold's for ``oof``, else the shipped one.

        Raises
        ------
        InputError
            When the point that is needed was not given.
        """
        if split != "oof":
            if self.shipped is None:
                raise InputError(
                    f"no operating point for the split {split!r}", where="operating points", fix="give the shipped one"
                )
            return np.full(len(fold), self.shipped)
        missing = sorted(set(fold.tolist()) - set(self.by_fold))
        if missing:
            raise InputError(
                f"no operating point for fold {missing[0]}",
                where="operating points",
                fix="give each fold's own point: the shipped one was chosen on these very cases",
            )
        return np.array([self.by_fold[int(k)] for k in fold], dtype=np.float64)


def parse_rule(text: str) -> Rule:
    """Read a rule as the user writes it.

    Raises
    ------
    InputError
        When it is not one of ``youden``, ``accuracy``, ``sensitivity=X``, ``specificity=X`` (0 < X <= 1) and
        ``cost=FN:FP`` (both above 0).
    """
    kind, equals, value = text.strip().partition("=")
    where = f"{OPTION} {text}"
    if kind not in KINDS:
        raise InputError(f"unknown rule {kind!r}{nearest(kind, KINDS)}", where=where, fix=_FIX)
    if kind in ("youden", "accuracy"):
        if equals:
            raise InputError(f"the rule {kind!r} takes no value", where=where, fix=f"write {OPTION} {kind}")
        return Rule(kind)
    if kind == "cost":
        fn, colon, fp = value.partition(":")
        costs = _number(fn), _number(fp)
        if not colon or not all(0 < cost < math.inf for cost in costs):
            raise InputError(
                f"{value!r} is not two costs above 0", where=where, fix="write cost=FN:FP, for example cost=10:1"
            )
        return Rule(kind, cost_fn=costs[0], cost_fp=costs[1])
    wanted = _number(value)
    if not 0 < wanted <= 1:
        raise InputError(
            f"{value!r} is not a number above 0 and up to 1", where=where, fix=f"write for example {kind}=0.95"
        )
    return Rule(kind, wanted=wanted)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def choose_point(y: ArrayLike, p: ArrayLike, rule: str) -> float:
    """Choose the operating point; a case is called positive when ``p >= point``.

    Parameters
    ----------
    y
        The reference standard of the cases that may choose, 0 or 1 (or bool), ``(cases,)``. Never test cases.
    p
        Calibrated probability of the positive class, ``(cases,)``.
    rule
        ``youden`` (largest sensitivity + specificity - 1), ``accuracy`` (fewest errors), ``sensitivity=X`` (largest
        specificity with at least this sensitivity, then the largest sensitivity), ``specificity=X`` (the mirror
        image), ``cost=FN:FP`` (least ``FN * misses + FP * false alarms``).

    Returns
    -------
    The middle of the gap between two neighbouring distinct probabilities, so that the point is not tied to one case;
    0 and 1 count as neighbours of the outermost. Of several equally good points in a row the middle one, of several
    such rows the widest.

    Raises
    ------
    InputError
        When the rule cannot be read, a class is missing, or only calling all or no cases positive would satisfy it.
    """
    parsed = parse_rule(rule)
    where = f"{OPTION} {rule}"
    truth, probability = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if truth.shape != probability.shape or truth.ndim != 1:
        raise InputError(
            f"{truth.shape} labels for {probability.shape} probabilities", where=where, fix="give one label a case"
        )
    if not np.isin(truth, (0, 1)).all():
        raise InputError("a label is neither 0 nor 1", where=where, fix="leave out cases without a label")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise InputError("a probability is not between 0 and 1", where=where, fix="give calibrated probabilities")
    positives = int(truth.sum())
    if positives in (0, len(truth)):
        kind = "positive" if positives == 0 else "negative"
        raise InputError(
            f"no {kind} case among the {len(truth)} cases that choose the point",
            where=where,
            fix="give validation cases of both classes",
        )
    lows, highs, tp, fp = _cuts(truth, probability)
    best = _best(parsed, tp, fp, positives, len(truth) - positives, where)
    first, last = _widest_run(best, lows, highs)
    middle = (lows[first] + highs[last]) / 2
    chosen = min(max(int(np.searchsorted(highs, middle)), first), last)
    return _between(float(lows[chosen]), float(highs[chosen]))


def _cuts(y: NDArray[np.float64], p: NDArray[np.float64]) -> tuple[Counts, Counts, Counts, Counts]:
    """Return every way to cut the cases: the gap (low, high] that holds the point, and the true and false positives.

    Cut 0 calls all cases; the last calls none, and is missing when a case has a probability of 1.
    """
    values, group = np.unique(p, return_inverse=True)
    positive = np.bincount(group, weights=y, minlength=len(values))
    negative = np.bincount(group, weights=1 - y, minlength=len(values))
    tp = np.append(np.cumsum(positive[::-1])[::-1], 0)
    fp = np.append(np.cumsum(negative[::-1])[::-1], 0)
    lows, highs = np.append(0, values), np.append(values, 1)
    kept = len(highs) - (1 if values[-1] == 1 else 0)
    return lows[:kept], highs[:kept], tp[:kept], fp[:kept]


def _best(rule: Rule, tp: Counts, fp: Counts, positives: int, negatives: int, where: str) -> NDArray[np.int64]:
    """Return the indices of the cuts that serve the rule equally well."""
    tn = negatives - fp
    if rule.kind == "cost":
        cost = rule.cost_fn * (positives - tp) + rule.cost_fp * fp
        return np.flatnonzero(cost <= cost.min() * (1 + 1e-12))
    if rule.kind in ("youden", "accuracy"):
        score = tp + tn if rule.kind == "accuracy" else tp * negatives + tn * positives
        return np.flatnonzero(score == score.max())
    kept, other = (tp / positives, tn / negatives) if rule.kind == "sensitivity" else (tn / negatives, tp / positives)
    enough = kept >= rule.wanted - 1e-12
    other_name = "specificity" if rule.kind == "sensitivity" else "sensitivity"
    if not enough.any() or other[enough].max() == 0:
        useful = kept[other > 0]
        reach = f"at most {useful.max():.3f} is reached" if len(useful) else "no point is of use"
        raise InputError(
            f"a {rule.kind} of {rule.wanted:g} would leave a {other_name} of 0 on the {positives + negatives} cases "
            f"that choose the point; {reach} otherwise",
            where=where,
            fix="ask for less, or use youden",
        )
    ties = enough & (other == other[enough].max())
    return np.flatnonzero(ties & (kept == kept[ties].max()))


def _widest_run(best: NDArray[np.int64], lows: Counts, highs: Counts) -> tuple[int, int]:
    """Return first and last cut of the run of neighbouring best cuts that spans most probability."""
    breaks = np.flatnonzero(np.diff(best) > 1)
    firsts, lasts = best[np.append(0, breaks + 1)], best[np.append(breaks, len(best) - 1)]
    widest = int(np.argmax(highs[lasts] - lows[firsts]))
    return int(firsts[widest]), int(lasts[widest])


def _between(low: float, high: float) -> float:
    """Return the middle, or `high` where rounding would give `low` (which would call the case below, too)."""
    middle = low + (high - low) / 2
    return middle if middle > low else high
