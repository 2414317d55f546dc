"""Two folds held out at a time, so that what is learned from learned features stays honest.

A classifier of measurements learns from masks that networks drew. For held-out fold k no network may have seen a
patient of k; and the masks that the classifier learns from must come from networks that did not see those patients
either, or they would be better than any mask in use. So one network is trained for every pair of folds, without both:
the cases of fold j, learning cases of the classifier for k, are drawn by the network without ``{j, k}``, and the
held-out cases of k by all networks without k.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from semeion.plan.splits import Index, Sides, grouped_folds, inner_split


@dataclass(frozen=True)
class CrossFit:
    """Folds, and a network's sides for every pair of them.

    Attributes
    ----------
    fold
        Fold of every row; -1 for rows that take no part (test cases of a given split).
    pairs
        The two folds that each network is trained without.
    sides
        One a pair, in that order; ``fold`` is the pair's number and ``held_out`` the rows of both folds.
    """

    fold: Index
    pairs: tuple[tuple[int, int], ...]
    sides: tuple[Sides, ...]

    @property
    def folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    def rows(self, fold: int) -> Index:
        """Return the rows of a fold."""
        return np.flatnonzero(self.fold == fold).astype(np.int64)

    def without(self, *folds: int) -> tuple[int, ...]:
        """Return the numbers of the pairs that hold all of `folds`: networks that saw none of their patients."""
        return tuple(number for number, pair in enumerate(self.pairs) if set(folds) <= set(pair))


def fold_sides(fit: CrossFit, stratum: Index, groups: Index, *, inner_share: float, seed: int) -> list[Sides]:
    """Return the sides of each single fold: for networks whose output nothing else learns from.

    Parameters
    ----------
    fit
        Whose folds these are.
    stratum, groups, inner_share, seed
        As for :func:`cross_fit`.
    """
    sides = []
    for fold in range(fit.folds):
        rest = np.flatnonzero((fit.fold >= 0) & (fit.fold != fold)).astype(np.int64)
        learn, validate = inner_split(rest, stratum, groups, inner_share, seed + 1 + fold)
        sides.append(Sides(fold, learn, validate, fit.rows(fold)))
    return sides


def cross_fit(pool: Index, stratum: Index, groups: Index, *, folds: int, inner_share: float, seed: int) -> CrossFit:
    """Divide `pool` into folds by group and make the sides of every pair.

    Parameters
    ----------
    pool
        Rows that take part.
    stratum, groups
        Of every row of the cohort: what is spread evenly, and what is kept together.
    folds
        3 or more: a network needs a third fold to learn from.
    inner_share
        Share of a network's learning rows, by group, that validates instead.
    seed
        Of the division.

    Raises
    ------
    InputError
        When there are fewer groups than folds.
    ValueError
        When `folds` is below 3.
    """
    if folds < 3:
        raise ValueError(f"{folds} folds leave nothing to learn from when two are held out")
    fold = np.full(len(groups), -1, dtype=np.int64)
    fold[pool] = grouped_folds(stratum[pool], groups[pool], folds, seed)
    pairs = tuple(combinations(range(folds), 2))
    sides = []
    for number, pair in enumerate(pairs):
        left = np.isin(fold, pair)
        learn, validate = inner_split(pool[~left[pool]], stratum, groups, inner_share, seed + 1 + number)
        sides.append(Sides(number, learn, validate, np.flatnonzero(left).astype(np.int64)))
    return CrossFit(fold, pairs, tuple(sides))
