"""Maximum mean discrepancy of features without the features of any training case.

A Gaussian kernel is the mean of cosines with random frequencies (Rahimi and Recht 2007, "Random features for
large-scale kernel machines"), so that the squared discrepancy is that of two means of cosines. How large it is when
nothing changed would need the training cases: a gamma distribution with its first moments is up to three times too
small far out. So the p-value is of its parts. The cosines of a case are seen along the few directions in which those of
training cases vary most, and along each of them new cases are compared with counts of training cases, as any other
statistic is. Scale, frequencies and directions are from a third of the training patients and the counts from the
others. These and new cases are therefore alike while nothing changes, and the p-values hold whatever the features'
distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semeion.monitor.batch import ks_test
from semeion.monitor.bins import Bins, Floats, fit_bins

COSINES = 64
PARTS = 8
"""Directions of the cosines that are compared."""
SHAPING = 3
"""One in so many patients shapes the kernel and its directions, and is not counted."""
_LARGEST = 1e100
_DECIMALS = 6


@dataclass(frozen=True)
class Kernel:
    """The embedding of the training cases.

    Attributes
    ----------
    frequencies, phases
        Of the cosines, ``(cosines, features)`` and ``(cosines,)``; the scale of the features is within the frequencies.
    mean
        Of the cosines over the training cases, ``(cosines,)``.
    directions
        Of the cosines, orthonormal rows ``(parts, cosines)``.
    parts
        The training cases along each direction.
    n
        Training cases.
    """

    frequencies: Floats
    phases: Floats
    mean: Floats
    directions: Floats
    parts: tuple[Bins, ...]
    n: int


def embed(features: npt.ArrayLike, frequencies: Floats, phases: Floats) -> Floats:
    """Return ``sqrt(2 / D) cos(W x + b)`` of features ``(N, d)``, ``(N, D)``."""
    # Cut where a product with the frequencies would be no number.
    given = np.clip(np.asarray(features, dtype=np.float64), -_LARGEST, _LARGEST)
    return np.asarray(np.sqrt(2 / len(phases)) * np.cos(given @ frequencies.T + phases))


def fit_kernel(features: npt.ArrayLike, seed: int) -> Kernel:
    """Return the embedding of training cases.

    The kernel's width is the median distance of two cases whose features are divided by their standard deviations
    (Gretton et al. 2012, "A kernel two-sample test", section 8).

    Parameters
    ----------
    features
        Of one case a patient, ``(N, d)``.
    seed
        Of the frequencies.
    """
    given = np.asarray(features, dtype=np.float64)
    random = np.random.default_rng(seed)
    order = random.permutation(len(given))
    shaping, counted = given[order[: len(given) // SHAPING]], given[order[len(given) // SHAPING :]]
    scale = shaping.std(axis=0)
    scale = np.where(scale > 1e-9 * max(1.0, float(np.abs(shaping).max())), scale, 1.0)
    chosen = shaping[:300] / scale
    away = np.sqrt(((chosen[:, None] - chosen[None]) ** 2).sum(-1))[np.triu_indices(len(chosen), 1)]
    width = float(np.median(away)) or 1.0
    frequencies = _digits(random.normal(size=(COSINES, given.shape[1])) / (width * scale))
    phases = _digits(random.uniform(0, 2 * np.pi, COSINES))
    each = embed(shaping, frequencies, phases)
    directions = _digits(np.linalg.svd(each - each.mean(axis=0), full_matrices=False)[2][:PARTS])
    parts = tuple(fit_bins(column) for column in _along(embed(counted, frequencies, phases), directions))
    mean = _digits(embed(given, frequencies, phases).mean(axis=0))
    return Kernel(frequencies, phases, mean, directions, parts, len(given))


def mmd_test(kernel: Kernel, features: npt.ArrayLike) -> tuple[float, float]:
    """Return the squared discrepancy of new cases ``(N, d)`` and a p-value of its parts.

    The p-value is the smallest of :func:`semeion.monitor.batch.ks_test` along the directions times their number, which
    holds however they depend on one another (Bonferroni).
    """
    each = embed(features, kernel.frequencies, kernel.phases)
    found = float(((each.mean(axis=0) - kernel.mean) ** 2).sum())
    along = zip(kernel.parts, _along(each, kernel.directions), strict=True)
    p = [ks_test(part.counts, part.tally(own))[1] for part, own in along]
    return found, min(1.0, len(p) * min(p))


def _along(cosines: Floats, directions: Floats) -> Floats:
    """Return the cosines of cases along the directions, ``(parts, N)``.

    The last digits of a product depend on how many cases are taken at once, and cases that are alike must stay so.
    """
    return np.asarray(np.round(cosines @ directions.T, _DECIMALS).T)


def _digits(values: Floats) -> Floats:
    """Return six digits of each number."""
    return np.array([float(f"{value:.6g}") for value in values.ravel()]).reshape(values.shape)
