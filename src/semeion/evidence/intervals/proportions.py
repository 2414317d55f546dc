"""Score intervals of shares and areas, for where the bootstrap fails because too little was observed.

Resamples of a share of 1 are all 1; with nine misses they take few values, and the interval is too short on one side. A
score interval asks instead which true values would make the observed one unlikely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semeion.evidence.intervals.weights import distinct_codes

Array = NDArray[np.float64]
FEW = 10
"""Patients with a hit, and with a miss, that a bootstrap of a share needs; of each class for an area."""
_Z = 1.959963984540054


@dataclass(frozen=True)
class ScoreInterval:
    """A 95 % score interval, and the number of independent cases that it reckons with.

    Attributes
    ----------
    low, high
        Between 0 and 1.
    effective
        Effective number of cases, at most the number of cases.
    n
        Number of cases.
    """

    low: float
    high: float
    effective: float
    n: int

    @property
    def method(self) -> str:
        """How the interval comes about."""
        if self.effective == self.n:
            return "95 % Wilson score interval"
        return f"95 % Wilson score interval, {self.n} cases counting as {self.effective:.1f} as patients have several"


def wilson(hits: Array, n: Array) -> tuple[Array, Array]:
    """Return low and high end of the 95 % Wilson score interval of ``hits / n`` (Wilson, JASA 1927)."""
    share = hits / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    # At 0 and n the ends are 0 and 1 exactly, which rounding would miss.
    return np.where(hits == 0, 0.0, centre - half), np.where(hits == n, 1.0, centre + half)


def carriers(hit: NDArray[np.bool_], patient: NDArray[np.int64]) -> int:
    """Return how many patients have a hit, or how many have a miss, whichever are fewer."""
    return min(distinct_codes(patient[hit]), distinct_codes(patient[~hit]))


def clustered_wilson(hit: NDArray[np.bool_], patient: NDArray[np.int64]) -> ScoreInterval:
    """Return the Wilson interval of the share of hits, cases of one patient taken together.

    Parameters
    ----------
    hit
        Whether each of the cases that count is a hit, ``(cases,)``, at least one case.
    patient
        Whose each case is, ``(cases,)``.

    Notes
    -----
    Wilson's interval with the effective number of cases of :func:`effective_cases` in place of their number, as Saha,
    Miller and Wang, International Journal of Biostatistics 12 (2016), propose for clustered shares.
    """
    effective = effective_cases(hit, patient)
    share = float(hit.mean())
    low, high = wilson(np.array([share * effective]), np.array([effective]))
    return ScoreInterval(float(low[0]), float(high[0]), effective, len(hit))


def effective_cases(hit: NDArray[np.bool_], patient: NDArray[np.int64]) -> float:
    """Return how many independent cases would give the share of hits the variance that it has.

    The number of cases over the design effect, which is the variance of the share as a ratio of two sums over patients
    (Cochran, Sampling Techniques, 1977, section 3.12) to that of as many independent cases (Rao and Scott, Biometrics
    48:577, 1992), at least 1. Where hits, or misses, are found in fewer than 2 patients it cannot be estimated, and the
    number of patients is returned, which is the least there can be when they have equally many cases.
    """
    n, (_, own) = len(hit), np.unique(patient, return_inverse=True)
    cases = np.bincount(own).astype(np.float64)
    n_patients = len(cases)
    if n_patients == n or carriers(hit, patient) < 2:
        return float(n_patients)
    share = float(hit.mean())
    residual = np.bincount(own, weights=hit) - share * cases
    variance = n_patients / (n_patients - 1) * float((residual**2).sum()) / n**2
    # One more, so that independent cases give their number: their estimated variance has n - 1 below.
    return float(n) if variance == 0 else min(float(n), 1 + share * (1 - share) / variance)


def area_interval(area: float, positives: float, negatives: float) -> tuple[float, float]:
    """Return low and high end of a 95 % score interval of an area under the ROC curve.

    Parameters
    ----------
    area
        Observed, 0 to 1.
    positives, negatives
        Effective numbers of cases of each class, at least 1.

    Notes
    -----
    Newcombe, Statistics in Medicine 25:559 (2006), method 5: the areas whose distance from the observed one is 1.96
    standard errors by Hanley and McNeil, Radiology 143:29 (1982), both classes entering its covariance terms with their
    mean number. It is not symmetric, lies within 0 to 1 and does not vanish where the classes are separated.
    """
    spare = (positives + negatives) / 2 - 1

    def beyond(true: float) -> bool:
        both = true * (1 - true)
        distance = positives * negatives * (area - true) ** 2 * (2 - true) * (1 + true)
        return distance > _Z**2 * both * (2 + spare + (1 + 2 * spare) * both)

    ends = []
    for bound in (0.0, 1.0):
        inside, outside = area, bound
        if beyond(outside):
            for _ in range(60):
                middle = (inside + outside) / 2
                inside, outside = (inside, middle) if beyond(middle) else (middle, outside)
        else:
            inside = bound
        ends.append(inside)
    return ends[0], ends[1]
