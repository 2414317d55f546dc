"""How strongly facts beside the pictures go with the label: size, interval over patients, permutation test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from semeion.evidence.intervals.bootstrap import case_weights, interval, resample
from semeion.evidence.intervals.weights import Array
from semeion.evidence.ranking import areas

Codes = npt.NDArray[np.int64]
Measure = Literal["cramers_v", "auroc"]
ENOUGH = 20
"""A permutation test stops once so many shuffles reach what was seen: that association is no rare one."""
_CELLS = 1 << 18


@dataclass(frozen=True)
class Factor:
    """One fact of every case.

    Attributes
    ----------
    name
        Of the fact.
    codes
        Level of each case from 0, when the fact is a category; missing is a level of its own.
    numbers
        Value of each case, NaN where missing, when the fact is a number. Exactly one of the two is given.
    """

    name: str
    codes: Codes | None = None
    numbers: Array | None = None

    def at(self, rows: npt.NDArray[np.bool_] | Codes) -> Factor:
        """Return the factor of some cases; levels that none of them has are left out."""
        if self.numbers is not None:
            return Factor(self.name, numbers=self.numbers[rows])
        codes = np.zeros(0) if self.codes is None else self.codes[rows]
        return Factor(self.name, codes=np.unique(codes, return_inverse=True)[1].astype(np.int64))

    @property
    def measure(self) -> Measure:
        """What its association is measured by."""
        return "auroc" if self.numbers is not None else "cramers_v"


@dataclass(frozen=True)
class Association:
    """How one fact goes with the label.

    Attributes
    ----------
    name
        Of the fact.
    measure
        ``cramers_v`` of a category (0 none, 1 each level has its class), ``auroc`` of a number (0.5 none, 1 separated;
        of several classes the mean of one versus rest, each turned to be 0.5 or more).
    value, low, high
        With its 95 % interval; NaN where it is undefined.
    p
        Of the permutation test.
    """

    name: str
    measure: Measure
    value: float
    low: float
    high: float
    p: float


def cramers_v(counts: npt.ArrayLike, *, effective: float = 1.0, corrections: float = 1.0) -> Array:
    """Return Cramér's V with the correction of its bias.

    Parameters
    ----------
    counts
        Contingency tables ``(..., levels, classes)`` of counts or weights.
    effective
        Independent observations as a share of the cases, where cases of one patient are not independent.
    corrections
        How many times the bias is taken off: once of a sample, more of a resample, which has its sample's and its own.

    Returns
    -------
    numpy.ndarray
        ``(...)``, from 0 to 1; NaN where fewer than two levels or classes occur.

    Notes
    -----
    Bergsma, J Korean Stat Soc 42:323 (2013): with phi² = chi²/n, r levels and k classes,
    phi²₊ = max(0, phi² - (r - 1)(k - 1)/(n - 1)), r₊ = r - (r - 1)²/(n - 1), likewise k₊, and
    V = sqrt(phi²₊ / (min(r₊, k₊) - 1)).
    """
    tables = np.asarray(counts, dtype=np.float64)
    rows, cols = tables.sum(axis=-1), tables.sum(axis=-2)
    r, k = (rows > 0).sum(axis=-1), (cols > 0).sum(axis=-1)
    fewer = np.maximum(effective * tables.sum(axis=(-2, -1)) - 1, 1e-9)
    phi = np.maximum(phi_squared(tables) - corrections * (r - 1) * (k - 1) / fewer, 0)
    least = np.minimum(r - (r - 1) ** 2 / fewer, k - (k - 1) ** 2 / fewer) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        v = np.where(least > 0, np.sqrt(phi / np.maximum(least, 1e-300)), 0.0)
    return np.asarray(np.where((r > 1) & (k > 1), np.clip(v, 0, 1), np.nan))


def phi_squared(tables: Array) -> Array:
    """Return chi² over the number of cases of contingency tables ``(..., levels, classes)``."""
    product = tables.sum(axis=-1)[..., :, None] * tables.sum(axis=-2)[..., None, :]
    shares = np.divide(tables**2, product, out=np.zeros_like(tables), where=product > 0)
    return np.asarray(np.maximum(shares.sum(axis=(-2, -1)) - 1, 0))


def holm(p: npt.ArrayLike) -> Array:
    """Return p-values adjusted for their number (Holm, Scand J Stat 6:65, 1979)."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)) if len(values) else values
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def associations(
    factors: Sequence[Factor],
    y: npt.ArrayLike,
    patients: npt.ArrayLike,
    *,
    permutations: int = 1999,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Association]:
    """Return how each fact goes with the classes, in the order of `factors`.

    Parameters
    ----------
    factors
        Facts of the same cases.
    y
        Class of each case, ``(cases,)`` whole numbers.
    patients
        Whose each case is: intervals draw patients, and the test shuffles labels between patients.
    permutations
        The most of a test; it stops early where chance does as well often (:data:`ENOUGH`).
    resamples, seed
        Of the bootstrap and of the shuffles.

    Notes
    -----
    A number's AUROC is the Mann-Whitney statistic (Bamber, J Math Psychol 12:387, 1975), its test statistic that of
    Kruskal and Wallis. Intervals are percentiles of a bootstrap over patients. Cramér's V takes its bias off with
    Kish's effective number of patients (cases² / sum of squared cases a patient), and in a resample once more, in
    proportion to what the association leaves to chance.
    """
    truth = np.unique(np.asarray(y), return_inverse=True)[1].astype(np.int64)
    patient = np.unique(np.asarray(patients).astype(str), return_inverse=True)[1].astype(np.int64)
    if len(truth) == 0 or truth.max() < 1:
        return [Association(one.name, one.measure, np.nan, np.nan, np.nan, np.nan) for one in factors]
    p = permutation_p(factors, truth, patient, permutations=permutations, seed=seed)
    sized = [_sized(one, truth, patient, resamples, seed) for one in factors]
    return [
        Association(one.name, one.measure, *size, float(chance))
        for one, size, chance in zip(factors, sized, p, strict=True)
    ]


def permutation_p(
    factors: Sequence[Factor], y: Codes, patient: Codes, *, permutations: int = 1999, seed: int = 0
) -> Array:
    """Return the p-value of each fact: how often shuffled labels go with it as closely.

    Labels are shuffled between patients: each patient takes over the labels of another, stretched or thinned to its own
    number of cases, and in another order where patients have cases of several classes. With equally many cases a
    patient the test is exact; else it takes for granted that their number says nothing of the label. A test stops
    at the shuffle ``l`` that is the 20th to reach what was seen, with ``p = 20 / l`` (Besag and Clifford,
    Biometrika 78:301, 1991); one that does not stop has ``p = (reached + 1) / (shuffles + 1)``.

    Parameters
    ----------
    factors
        Facts of the same cases.
    y, patient
        Class and patient of each case, whole numbers from 0.
    """
    order = np.argsort(patient, kind="stable")
    label, whose = y[order], patient[order]
    tests = [_Test(one.at(order), label) for one in factors]
    p = np.ones(len(factors))
    reached = np.zeros(len(factors), dtype=np.int64)
    active = [number for number, test in enumerate(tests) if np.isfinite(test.seen)]
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    done, most_at_once = 0, max(1, _CELLS // max(len(y), 1))
    while active and done < permutations:
        count = min(most_at_once, permutations - done, max(2 * ENOUGH, done))
        shuffled = _dealt(label, whose, count, rng)
        for number in list(active):
            close = tests[number].reaches(shuffled)
            so_far = reached[number] + np.cumsum(close)
            if so_far[-1] >= ENOUGH:
                p[number] = ENOUGH / (done + int(np.argmax(so_far >= ENOUGH)) + 1)
                active.remove(number)
            reached[number] = so_far[-1]
        done += count
    for number in active:
        p[number] = (reached[number] + 1) / (done + 1)
    return p


def effective_share(patient: Codes) -> float:
    """Return Kish's effective number of patients over the number of cases, 1 when each case is its own patient."""
    sizes = np.bincount(patient)
    return float(len(patient) / (sizes.astype(np.float64) ** 2).sum()) if len(patient) else 1.0


def _dealt(label: Codes, whose: Codes, count: int, rng: np.random.Generator) -> Codes:
    """Return the labels of cases sorted by patient, shuffled between patients, ``(count, cases)``."""
    n = len(label)
    starts = np.flatnonzero(np.diff(whose, prepend=-1))
    if len(starts) == n:
        return np.asarray(rng.permuted(np.broadcast_to(label, (count, n)), axis=1))
    sizes = np.diff(starts, append=n)
    at = np.repeat(np.arange(len(starts)), sizes)
    place = np.arange(n) - starts[at]
    mixed = bool((label != label[starts[at]]).any())
    dealt = np.empty((count, n), dtype=np.int64)
    for row in range(count):
        donor = rng.permutation(len(starts))[at]
        at_once = label[starts[donor] + place * sizes[donor] // sizes[at]]
        if mixed:
            # Within a patient too: else what goes with the label from case to case could not show.
            at_once = at_once[np.argsort(at + rng.random(n))]
        dealt[row] = at_once
    return dealt


class _Test:
    """A statistic that any shuffling of the labels can be compared in; larger is a closer association."""

    def __init__(self, factor: Factor, label: Codes) -> None:
        self.n_classes = int(label.max()) + 1
        self.codes = factor.codes
        self.ranks: Array = np.zeros(0)
        if factor.numbers is not None:
            self.ranks = centred_ranks(factor.numbers)
        varies = bool(self.ranks.any()) if self.codes is None else bool(self.codes.any())
        self.seen = float(self._values(label[None])[0]) if varies else np.nan

    def reaches(self, labels: Codes) -> npt.NDArray[np.bool_]:
        """Tell of each shuffling ``(shuffles, cases)`` whether it is as closely associated as what was seen."""
        return np.asarray(self._values(labels) >= self.seen - 1e-9 * max(1.0, abs(self.seen)))

    def _values(self, labels: Codes) -> Array:
        count, k = len(labels), self.n_classes
        if self.codes is None:
            places = np.arange(count)[:, None] * k + labels
            weights = np.broadcast_to(self.ranks, labels.shape)
            sums = np.bincount(places.ravel(), weights.ravel(), count * k)
            sizes = np.bincount(places.ravel(), minlength=count * k)
            return np.asarray((sums**2 / np.maximum(sizes, 1)).reshape(count, k).sum(axis=1))
        levels = int(self.codes.max()) + 1
        places = np.arange(count)[:, None] * (levels * k) + self.codes * k + labels
        tables = np.bincount(places.ravel(), minlength=count * levels * k).reshape(count, levels, k)
        return phi_squared(tables.astype(np.float64))


def centred_ranks(numbers: Array) -> Array:
    """Return ranks about their mean over half their range, -1 to 1, ties at their middle; 0 where missing."""
    from scipy.stats import rankdata

    known = np.isfinite(numbers)
    ranks = np.zeros(len(numbers))
    if known.any():
        found = rankdata(numbers[known])
        ranks[known] = (found - found.mean()) / max(len(found) / 2, 1)
    return ranks


def _sized(factor: Factor, y: Codes, patient: Codes, resamples: int, seed: int) -> tuple[float, float, float]:
    """Return the association and its interval."""
    if factor.numbers is not None:
        known = np.isfinite(factor.numbers)
        y, factor = y[known], factor.at(known)
        patient = np.unique(patient[known], return_inverse=True)[1].astype(np.int64)
    n_patients = int(patient.max(initial=-1)) + 1
    if n_patients < 2 or len(np.unique(y)) < 2:
        return np.nan, np.nan, np.nan
    whole = np.ones((1, n_patients))
    if factor.numbers is not None:
        compute = _separation(factor.numbers, y, patient)
        value = float(compute(whole)[0, 0])
    else:
        value = float(_category(factor, y, patient, 1.0)(whole)[0, 0])
        compute = _category(factor, y, patient, 2.0 - min(1.0, value**2))
    if not np.isfinite(value):
        return np.nan, np.nan, np.nan
    span = interval(resample(compute, n_patients, len(y), resamples=resamples, seed=seed)[:, 0], n_patients)
    return value, span.low, span.high


def _separation(numbers: Array, y: Codes, patient: Codes) -> Callable[[Array], Array]:
    """Return a function of patients' multiplicities that gives the mean AUROC of one class versus the rest."""
    each = [areas(y == k, numbers) for k in np.unique(y)]
    ones = np.ones((1, len(y)))
    signs = [-1.0 if rank(ones)[0, 0] < 0.5 else 1.0 for rank in each]

    def compute(counts: Array) -> Array:
        weights = case_weights(counts, patient)
        turned = [sign * (rank(weights)[:, :1] - 0.5) + 0.5 for sign, rank in zip(signs, each, strict=True)]
        return np.asarray(np.mean(turned, axis=0))

    return compute


def _category(factor: Factor, y: Codes, patient: Codes, corrections: float) -> Callable[[Array], Array]:
    """Return a function of patients' multiplicities that gives Cramér's V."""
    codes = factor.codes if factor.codes is not None else np.zeros(len(y), dtype=np.int64)
    levels, n_classes = int(codes.max()) + 1, int(y.max()) + 1
    cell, width, share = codes * n_classes + y, levels * n_classes, effective_share(patient)

    def compute(counts: Array) -> Array:
        weights = case_weights(counts, patient)
        places = (np.arange(len(counts))[:, None] * width + cell).ravel()
        tables = np.bincount(places, weights.ravel(), len(counts) * width).reshape(-1, levels, n_classes)
        return cramers_v(tables, effective=share, corrections=corrections)[:, None]

    return compute
