"""Folds for what is fitted on figures: whole groups, classes spread evenly, from one seed. Plain numpy.

The folds that networks learn from are those of :mod:`semeion.plan.splits`, which a plan's results depend on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]


def grouped_folds(y: Codes, groups: Codes, folds: int, seed: int = 0) -> Codes:
    """Return a fold a case: whole groups, each class spread as evenly as that allows.

    Groups are taken in random order, the largest first, and each goes where its classes are scarcest.

    Parameters
    ----------
    y, groups
        Codes from 0, ``(cases,)``.
    folds, seed
        Number of folds, and where the random stream begins.
    """
    counts = np.zeros((int(groups.max(initial=-1)) + 1, int(y.max(initial=-1)) + 1))
    np.add.at(counts, (groups, y), 1)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    held = np.zeros((folds, counts.shape[1]))
    place = np.zeros(len(counts), dtype=np.int64)
    for one in order:
        # The small second term settles ties by the number of cases.
        cost = held @ shares[one] + 1e-6 * held.sum(axis=1)
        place[one] = int(np.argmin(cost))
        held[place[one]] += shares[one]
    return place[groups]
