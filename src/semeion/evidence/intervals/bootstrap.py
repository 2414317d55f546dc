"""Intervals by drawing patients with replacement, all cases of a patient together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from semeion.evidence.intervals.weights import Array
from semeion.parallel import ordered_map, usable_cores

LEVEL = 0.95
TOO_MANY_LOST = 0.05
"""Share of resamples without a figure beyond which the figure's reason says so."""
CELLS = 1 << 18
"""Resamples times cases worked on at once by a thread: 2 MB an array, so that the temporaries stay in the cache."""
MOST_THREADS = 4
FEWEST_IN_STRATUM = 10
"""Patterns of fewer patients are drawn together: a stratum of m patients takes 1 / m off the variance it gives."""
FEWEST_LEFT_OVER = 20
"""So few patients of rare patterns are drawn with the smallest stratum: how many there are is chance, and holding it
fixed made intervals of clustered cases too narrow (simulated coverage of an AUROC 0.910, drawn together 0.925)."""
MOST_STRATA = 20
EXACT_JACKKNIFE = 500
"""Patients up to which each is left out alone."""
GROUPS = 200
"""Groups of patients that are left out in turn where there are more of them."""

Strata = tuple[NDArray[np.int64], ...]
"""The patients of each stratum; empty for a draw from all patients."""
_SAME = 1e-10
"""Difference up to which a resample equals the figure, relative to the figure or the farthest resample."""
_WITHIN, _GROUPING = 1, 2
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; `low` and `high` are NaN where it is undefined, and `reason` says why or warns."""

    low: float
    high: float
    reason: str = ""


@dataclass(frozen=True)
class Spread:
    """One figure: its value, its values over resamples, and what BCa needs beside them.

    Attributes
    ----------
    value
        On the cases as they are.
    drawn
        Over resamples, ``(resamples,)``; NaN is a resample without the figure.
    acceleration
        See :func:`acceleration`.
    stratified
        Whether patients were drawn within strata of outcome.
    """

    value: float
    drawn: Array
    acceleration: float
    stratified: bool = False

    @property
    def method(self) -> str:
        """How :meth:`interval` comes about."""
        how = f"95 % BCa bootstrap over patients, {len(self.drawn)} resamples"
        return f"{how}; patients drawn {'within strata of outcome' if self.stratified else 'from all'}"

    def interval(self, n_patients: int) -> Interval:
        """Return the interval of :func:`bca`."""
        return bca(self.value, self.drawn, self.acceleration, n_patients)


def multiplicities(n_patients: int, first: int, last: int, seed: int, strata: Strata = ()) -> Array:
    """Return how often each patient is drawn in the resamples `first` to ``last - 1``, ``(resamples, patients)``.

    Every resample has its own random stream, so the draws depend on the seed, the number of patients and the strata
    alone and not on how the work is cut or on the number of cases. With strata as many patients are drawn from each as
    it has. The last ones are remembered, for one set of patients is asked for by many figures, and drawing takes longer
    than most of these: the array is for reading only.
    """
    return _multiplicities(
        n_patients, first, last, seed, tuple(np.asarray(part, np.int64).tobytes() for part in strata)
    )


@lru_cache(maxsize=16)
def _multiplicities(n_patients: int, first: int, last: int, seed: int, strata: tuple[bytes, ...]) -> Array:
    counts = np.empty((last - first, n_patients))
    members_of = [np.frombuffer(part, np.int64) for part in strata]
    order = np.concatenate(members_of) if strata else None
    for row, resample in enumerate(range(first, last)):
        key = (resample,) if order is None else (resample, _WITHIN)
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
        if order is None:
            counts[row] = _drawn(stream, n_patients)
        else:
            counts[row, order] = np.concatenate([_drawn(stream, len(members)) for members in members_of])
    counts.flags.writeable = False
    return counts


def _drawn(stream: np.random.Generator, n: int) -> NDArray[np.int64]:
    return np.asarray(np.bincount(stream.integers(0, n, n), minlength=n))


def outcome_strata(patient: NDArray[np.int64], outcome: NDArray[np.int64], n_patients: int) -> Strata:
    """Return the patients by the set of outcomes among their cases.

    Parameters
    ----------
    patient
        Of each case, ``(cases,)``, counted from 0.
    outcome
        Class index of each case, ``(cases,)``; of several labels, one number for each label and class.
    n_patients
        Of the set.

    Returns
    -------
    tuple
        The patients of each stratum, rising, the largest stratum first. Patterns of fewer than 10 patients, and those
        beyond the 20 most frequent, are one stratum, which joins the smallest other one when it is fewer than 20.
        Every stratum therefore has at least 2 patients, unless there is only one patient at all.
    """
    found, code = np.unique(outcome, return_inverse=True)
    seen = np.zeros((n_patients, max(1, len(found))), dtype=np.bool_)
    seen[patient, code.reshape(-1)] = True
    packed = np.packbits(seen, axis=1)
    _, pattern, size = np.unique(packed, axis=0, return_inverse=True, return_counts=True)
    pattern = pattern.reshape(-1)
    largest = np.argsort(-size, kind="stable")[:MOST_STRATA]
    kept = largest[size[largest] >= FEWEST_IN_STRATUM]
    strata = [np.flatnonzero(pattern == number) for number in kept]
    rest = np.flatnonzero(~np.isin(pattern, kept))
    if len(rest) < FEWEST_LEFT_OVER and strata:
        strata[-1] = np.sort(np.append(strata[-1], rest))
    elif len(rest):
        strata.append(rest)
    return tuple(strata)


def case_weights(counts: Array, patient: NDArray[np.int64]) -> Array:
    """Return the weights of the cases ``(resamples, cases)`` from those of their patients."""
    if counts.shape[1] == len(patient) and bool((patient == np.arange(len(patient))).all()):
        return counts
    return np.take(counts, patient, axis=1)


def resample(
    compute: Callable[[Array], Array],
    n_patients: int,
    n_cases: int,
    *,
    resamples: int = 2000,
    seed: int = 0,
    jobs: int | None = None,
    strata: Strata = (),
) -> Array:
    """Return the figures of every resample, ``(resamples, figures)``.

    Parameters
    ----------
    compute
        Patients' multiplicities ``(some resamples, patients)`` to figures ``(some resamples, figures)``.
    n_patients, n_cases
        Of the set; the number of cases only bounds the memory.
    resamples, seed
        How many, and where the random streams begin.
    jobs
        Threads; by default the usable cores, at most 4. The result does not depend on it.
    strata
        Where patients are drawn within strata.
    """

    def work(first: int, last: int) -> Array:
        return compute(multiplicities(n_patients, first, last, seed, strata))

    return _in_chunks(work, resamples, max(n_cases, n_patients), jobs)


def _in_chunks(work: Callable[[int, int], Array], rows: int, width: int, jobs: int | None) -> Array:
    """Return ``work(0, rows)``, done in pieces of at most CELLS cells on several threads."""
    step = max(1, min(rows, CELLS // max(width, 1)))
    chunks = [(first, min(first + step, rows)) for first in range(0, rows, step)]
    threads = max(1, min(jobs or usable_cores(), MOST_THREADS, len(chunks)))
    return np.concatenate(list(ordered_map(lambda chunk: work(*chunk), chunks, jobs=threads)))


def draw(
    compute: Callable[[Array], Array],
    n_patients: int,
    n_cases: int,
    *,
    resamples: int = 2000,
    seed: int = 0,
    jobs: int | None = None,
    strata: Strata = (),
) -> list[Spread]:
    """Return each figure of `compute` with its resamples and its acceleration; parameters as in :func:`resample`.

    With fewer than 2 patients the one resample has no figure.
    """
    whole = compute(np.ones((1, n_patients)))[0]
    strata = strata if len(strata) > 1 else ()  # one stratum is a draw from all, and says so
    if n_patients < 2:
        return [Spread(float(value), np.full(1, np.nan), 0.0, bool(strata)) for value in whole]
    drawn = resample(compute, n_patients, n_cases, resamples=resamples, seed=seed, jobs=jobs, strata=strata)
    group, stratum = left_out_groups(n_patients, seed, strata)

    def without(first: int, last: int) -> Array:
        return compute(np.asarray(group != np.arange(first, last)[:, None], dtype=np.float64))

    left = _in_chunks(without, len(stratum), max(n_cases, n_patients), jobs)
    skew = acceleration(left, stratum)
    return [Spread(float(whole[j]), drawn[:, j], float(skew[j]), bool(strata)) for j in range(len(whole))]


def left_out_groups(n_patients: int, seed: int, strata: Strata = ()) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the group of each patient ``(patients,)`` and the stratum of each group ``(groups,)``.

    Up to 500 patients every patient is a group. Beyond, each stratum is cut at random into equal groups, about 200 in
    all and as many in each stratum, but at most its patients: a rare class, on which most hangs, is cut finest.
    """
    parts = strata or (np.arange(n_patients),)
    group = np.empty(n_patients, dtype=np.int64)
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, 0, _GROUPING)))
    wanted = n_patients if n_patients <= EXACT_JACKKNIFE else max(2, GROUPS // len(parts))
    owner: list[int] = []
    for number, members in enumerate(parts):
        many = min(len(members), wanted)
        place = np.arange(len(members)) * many // max(1, len(members))
        group[members if many == len(members) else stream.permutation(members)] = place + len(owner)
        owner += [number] * many
    return group, np.array(owner, dtype=np.int64)


def acceleration(left: Array, stratum: NDArray[np.int64]) -> Array:
    """Return the acceleration of each figure, ``(figures,)``: a sixth of the skewness of its jackknife.

    Parameters
    ----------
    left
        The figures without each group, ``(groups, figures)``; NaN where one is then undefined, which is passed over.
    stratum
        Of each group, ``(groups,)``.

    Notes
    -----
    Efron, JASA 82:171 (1987), equation 6.6; for strata, with deviations from the mean of the own stratum, Davison and
    Hinkley, Bootstrap Methods and their Application (1997), section 5.3. Exact, every patient left out alone, up to 500
    patients. Beyond that about 200 equal groups of patients are left out in turn (DiCiccio and Efron, Statistical
    Science 11:189, 1996, section 4): the influence of a group is the sum of those of its patients, whose cross terms
    have mean zero.
    """
    squares, cubes = np.zeros(left.shape[1]), np.zeros(left.shape[1])
    for number in np.unique(stratum):
        part = left[stratum == number]
        there = np.isfinite(part)
        groups = np.maximum(there.sum(axis=0), 1)
        kept = np.where(there, part, 0.0)
        away = np.where(there, kept.sum(axis=0) / groups - kept, 0.0) * (groups - 1) / groups
        squares += (away**2).sum(axis=0)
        cubes += (away**3).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        skew = cubes / (6 * squares**1.5)
    return np.where(np.isfinite(skew), skew, 0.0)


def bca(value: float, values: Array, skew: float, n_patients: int) -> Interval:
    """Return the 95 % bias-corrected and accelerated interval of one figure.

    Parameters
    ----------
    value
        On the cases as they are.
    values
        Over resamples, ``(resamples,)``; NaN is a resample without the figure.
    skew
        The acceleration.
    n_patients
        That were drawn from; undefined with fewer than 2.

    Notes
    -----
    Efron, JASA 82:171 (1987); DiCiccio and Efron, Statistical Science 11:189 (1996). The bias correction counts the
    resamples below the figure, and half of those equal to it, as a figure made of counts has many. Where all lie on
    one side half a resample is taken to lie on the other. Undefined when less than half of them have the figure.
    """
    defined, refused, reasons = _defined(values, n_patients)
    if refused:
        return refused
    near = _SAME * max(abs(value), float(np.abs(defined - value).max()))
    below = int((defined < value - near).sum()) + int((np.abs(defined - value) <= near).sum()) / 2
    share = min(max(below, 0.5), len(defined) - 0.5) / len(defined) if len(defined) > 1 else 0.5
    bias = _NORMAL.inv_cdf(share)
    ends = []
    for z in (_NORMAL.inv_cdf((1 - LEVEL) / 2), _NORMAL.inv_cdf((1 + LEVEL) / 2)):
        shifted = bias + z
        ends.append(_NORMAL.cdf(bias + shifted / (1 - skew * shifted)))
    low, high = (float(end) for end in np.quantile(defined, ends))
    if not low - near <= value <= high + near:
        reasons.append("interval unreliable: nearly all resamples lie on one side of the figure")
    return Interval(low, high, "; ".join(reasons))


def interval(values: Array, n_patients: int) -> Interval:
    """Return the 95 % percentile interval of one figure over resamples, NaN being a resample without the figure.

    Undefined with fewer than 2 patients, or when less than half of the resamples have the figure.
    """
    defined, refused, reasons = _defined(values, n_patients)
    if refused:
        return refused
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), "; ".join(reasons))


def _defined(values: Array, n_patients: int) -> tuple[Array, Interval | None, list[str]]:
    """Return the resamples that have the figure, an empty interval if they are too few, and what must be said."""
    if n_patients < 2:
        return values, Interval(math.nan, math.nan, "no interval: fewer than 2 patients"), []
    defined = values[np.isfinite(values)]
    lost = len(values) - len(defined)
    said = f"{100 * lost / len(values):.1f} % of the resamples have no such figure and are left out" if lost else ""
    if 2 * len(defined) < len(values) or len(defined) == 0:
        return defined, Interval(math.nan, math.nan, f"no interval: {said}"), []
    reasons = [said] if lost > TOO_MANY_LOST * len(values) else []
    if defined.min() == defined.max():
        reasons.append("interval unreliable: every resample gives the same value, so it is too narrow")
    return defined, None, reasons
