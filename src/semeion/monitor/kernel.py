"""Maximum mean discrepancy of features without the features of any training case.

A Gaussian kernel is the mean of cosines with random frequencies (Rahimi and Recht 2007, "Random features for
large-scale kernel machines"). So of the training cases only the mean of these cosines ships, and three traces of the
powers of their covariance, which say how large the discrepancy is when nothing changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semeion.monitor.bins import Floats

COSINES = 64
CAUTION = 3.0
"""By which p-values are made larger: in simulations of heavy-tailed features the gamma tail was up to 2.8 times too
small at 0.0005."""
_LARGEST = 1e100


@dataclass(frozen=True)
class Kernel:
    """The embedding of the training cases.

    Attributes
    ----------
    frequencies, phases
        Of the cosines, ``(cosines, features)`` and ``(cosines,)``; the scale of the features is within the frequencies.
    mean
        Of the cosines over the training cases, ``(cosines,)``.
    traces
        Of the first three powers of their covariance.
    n
        Training cases.
    """

    frequencies: Floats
    phases: Floats
    mean: Floats
    traces: tuple[float, float, float]
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
    scale = given.std(axis=0)
    scale = np.where(scale > 1e-9 * max(1.0, float(np.abs(given).max())), scale, 1.0)
    chosen = given[random.permutation(len(given))[:300]] / scale
    away = np.sqrt(((chosen[:, None] - chosen[None]) ** 2).sum(-1))[np.triu_indices(len(chosen), 1)]
    width = float(np.median(away)) or 1.0
    frequencies = _digits(random.normal(size=(COSINES, given.shape[1])) / (width * scale))
    phases = _digits(random.uniform(0, 2 * np.pi, COSINES))
    each = embed(given, frequencies, phases)
    spread = np.cov(each.T)
    traces = tuple(float(f"{np.trace(np.linalg.matrix_power(spread, power)):.6g}") for power in (1, 2, 3))
    mean = _digits(each.mean(axis=0))
    return Kernel(frequencies, phases, mean, (traces[0], traces[1], traces[2]), len(given))


def mmd_test(kernel: Kernel, features: npt.ArrayLike) -> tuple[float, float]:
    """Return the squared discrepancy of new cases ``(N, d)`` and its p-value.

    While nothing changes it is about a weighted sum of squared normal numbers whose weights are the eigenvalues of the
    covariance times ``1 / n + 1 / m``; the gamma distribution with its first three moments stands for it (Buckley and
    Eagleson 1988). The p-value is multiplied by :data:`CAUTION`.
    """
    from scipy.stats import gamma

    each = embed(features, kernel.frequencies, kernel.phases)
    found = float(((each.mean(axis=0) - kernel.mean) ** 2).sum())
    share = 1 / len(each) + 1 / kernel.n
    one, two, three = (trace * share ** (power + 1) for power, trace in enumerate(kernel.traces))
    if two**3 <= 0 or three**2 <= 0:  # the training cases did not vary, or by less than numbers can tell
        return found, 1.0 if found <= 1e-9 else 0.0
    # Cumulants of the sum are one, 2 two and 8 three; so has a moved and scaled chi-square of these degrees of freedom.
    freedom = two**3 / three**2
    placed = freedom + (found - one) * np.sqrt(freedom / two)
    return found, min(1.0, CAUTION * float(gamma.sf(placed / 2, freedom / 2)))


def _digits(values: Floats) -> Floats:
    """Return six digits of each number."""
    return np.array([float(f"{value:.6g}") for value in values.ravel()]).reshape(values.shape)
