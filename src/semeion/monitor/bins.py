"""A statistic of the training cases as counts between edges: all that ships of it, and nothing of any single case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.prepare.covariate_fit import shared_quantile
from semeion.prepare.covariates import LEAST_PATIENTS

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

MOST_BINS = 20
CASES_A_BIN = 10
ATOM = 0.05
"""A value that this share of the patients have gets a bin of its own."""


@dataclass(frozen=True)
class Bins:
    """How many patients lie where.

    Attributes
    ----------
    edges
        Increasing, ``(edges,)``.
    counts
        Patients without the value, below the first edge, from each edge to the next, and from the last on, int64
        ``(edges + 2,)``. Each is 0 or at least five.
    """

    edges: Floats
    counts: Index

    @property
    def n(self) -> int:
        """Patients."""
        return int(self.counts.sum())

    def place(self, values: npt.ArrayLike) -> Index:
        """Return the place of each value among :attr:`counts`; NaN is the first."""
        given = np.asarray(values, dtype=np.float64)
        return np.where(np.isnan(given), 0, 1 + np.searchsorted(self.edges, given, side="right")).astype(np.int64)

    def tally(self, values: npt.ArrayLike) -> Index:
        """Return how many values are at each place, int64 ``(edges + 2,)``."""
        return np.bincount(self.place(values), minlength=len(self.counts)).astype(np.int64)


def one_each(patients: Sequence[Any], seed: int) -> Index:
    """Return the rows of one case of every patient, drawn with `seed`, in their order: cases that count alike."""
    order = np.random.default_rng(seed).permutation(len(patients))
    first: dict[Any, int] = {}
    for row in order.tolist():
        first.setdefault(patients[row], row)
    return np.sort(np.array(list(first.values()), dtype=np.int64))


def fit_bins(values: npt.ArrayLike, edges: Sequence[float] | None = None) -> Bins:
    """Return the bins of a statistic, of one value a patient.

    The edges are quantiles that five patients share (:func:`semeion.prepare.covariate_fit.shared_quantile`), so many
    that about ten patients lie between two; bins of one to four patients are joined with their neighbour.

    Parameters
    ----------
    values
        One a patient, ``(patients,)``; NaN where there is none.
    edges
        Of a statistic whose few values are known beforehand: its edges. Counts of one to four are then stated as five
        (:func:`hidden`), as are those of patients without a value.
    """
    given = np.asarray(values, dtype=np.float64)
    if edges is not None:
        fixed = np.asarray(edges, dtype=np.float64)
        return Bins(fixed, hidden(Bins(fixed, np.zeros(len(fixed) + 2, np.int64)).tally(given)))
    each = np.sort(given[~np.isnan(given)])
    if len(each) < 2 * LEAST_PATIENTS:
        nothing = np.zeros(0)
        return Bins(nothing, hidden(np.array([len(given) - len(each), len(each)], dtype=np.int64)))
    bins = max(2, min(MOST_BINS, len(each) // CASES_A_BIN))
    found = {shared_quantile(each, share) for share in np.linspace(0, 1, bins + 1)[1:-1]}
    atoms, counts = np.unique(each, return_counts=True)
    for value in atoms[counts >= max(LEAST_PATIENTS, ATOM * len(each))]:
        found |= {float(value), float(np.nextafter(value, np.inf))}
    kept = np.array(sorted(found))
    while True:
        tally = Bins(kept, np.zeros(len(kept) + 2, np.int64)).tally(each)
        small = np.flatnonzero((tally[1:] > 0) & (tally[1:] < LEAST_PATIENTS))
        if not len(small) or not len(kept):
            break
        # The edge above it, below the last bin's: the bin is joined with its neighbour.
        kept = np.delete(kept, min(int(small[0]), len(kept) - 1))
    tally[0] = len(given) - len(each)
    return Bins(kept, hidden(tally))


def hidden(counts: npt.ArrayLike) -> Index:
    """Return counts in which one to four patients are stated as five.

    The largest counts give up as many, so that the sum stays: with another sum of the same patients beside it, what is
    over would tell how many there were. Only of fewer than five patients in all, or where no count is above five, it
    grows.
    """
    given = np.asarray(counts, dtype=np.int64)
    shown = np.where((given > 0) & (given < LEAST_PATIENTS), LEAST_PATIENTS, given)
    for _ in range(int((shown - given).sum())):
        largest = int(shown.argmax())
        if shown[largest] <= LEAST_PATIENTS:
            break
        shown[largest] -= 1
    return shown.astype(np.int64)
