"""Intervals by drawing patients with replacement, all cases of a patient together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semeion.evidence.weights import Array
from semeion.parallel import ordered_map, usable_cores

LEVEL = 0.95
TOO_MANY_LOST = 0.05
"""Share of resamples without a figure beyond which the figure's reason says so."""
CELLS = 1 << 18
"""Resamples times cases worked on at once by a thread: 2 MB an array, so that the temporaries stay in the cache."""
MOST_THREADS = 4


@dataclass(frozen=True)
class Interval:
    """A percentile interval; `low` and `high` are NaN where it is undefined, and `reason` says why or warns."""

    low: float
    high: float
    reason: str = ""


def multiplicities(n_patients: int, first: int, last: int, seed: int) -> Array:
    """Return how often each patient is drawn in the resamples `first` to ``last - 1``, ``(resamples, patients)``.

    Every resample has its own random stream, so the draws depend on the seed and the number of patients alone and not
    on how the work is cut or on the number of cases.
    """
    counts = np.empty((last - first, n_patients))
    for row, resample in enumerate(range(first, last)):
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(resample,)))
        counts[row] = np.bincount(stream.integers(0, n_patients, n_patients), minlength=n_patients)
    return counts


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
    """
    rows = max(1, min(resamples, CELLS // max(n_cases, n_patients, 1)))
    chunks = [(first, min(first + rows, resamples)) for first in range(0, resamples, rows)]
    threads = max(1, min(jobs or usable_cores(), MOST_THREADS, len(chunks)))
    return np.concatenate(
        list(ordered_map(lambda chunk: compute(multiplicities(n_patients, *chunk, seed)), chunks, jobs=threads))
    )


def interval(values: Array, n_patients: int) -> Interval:
    """Return the 95 % percentile interval of one figure over resamples, NaN being a resample without the figure.

    Undefined with fewer than 2 patients, or when less than half of the resamples have the figure.
    """
    if n_patients < 2:
        return Interval(math.nan, math.nan, "no interval: fewer than 2 patients")
    defined = values[np.isfinite(values)]
    lost = len(values) - len(defined)
    said = f"{100 * lost / len(values):.1f} % of the resamples have no such figure and are left out" if lost else ""
    if 2 * len(defined) < len(values) or len(defined) == 0:
        return Interval(math.nan, math.nan, f"no interval: {said}")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    reasons = [said] if lost > TOO_MANY_LOST * len(values) else []
    if defined.min() == defined.max():
        reasons.append("every resample gives the same value, so the interval is too narrow")
    return Interval(float(low), float(high), "; ".join(reasons))
