"""Folds that several targets share: one draw for all cases, whole patients, the classes of every target spread evenly.

Each group goes to the fold that has had least of the rarest classes it brings, of all targets together, as in the
iterative stratification of several labels (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011), here of whole groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.errors import InputError
from semeion.plan.splits import FEWEST, Sides

Index = npt.NDArray[np.int64]

FOLD = "joint_fold"
"""Column of a cohort's table: the fold that holds a case out, -1 of a test case."""
VALIDATES = "joint_validates"
"""Column of a cohort's table: the folds whose inner split validates on a case, ``;`` between, for example ``0;2``."""
UNKNOWN = -1
"""The stratum of a case of a target that is not known of it."""


def spread(strata: Sequence[Index], groups: Index, folds: int, seed: int) -> Index:
    """Return the fold of every case, 0 to ``folds - 1``.

    Parameters
    ----------
    strata
        Of each target, the stratum of every case, int64 ``(cases,)``; `UNKNOWN` where the target is not known.
    groups
        Group number of every case; a group is in one fold.
    folds, seed
        How many, and the order in which groups that are alike are taken.

    Raises
    ------
    InputError
        When there are fewer groups than folds.
    """
    names, own = np.unique(groups, return_inverse=True)
    if len(names) < folds:
        raise InputError(
            f"{len(names)} patients or groups cannot be divided into {folds} folds",
            where="the cohort",
            fix="bring more patients, or give a split column",
        )
    counts = np.concatenate([_counts(stratum, own, len(names)) for stratum in strata], axis=1)
    size = np.bincount(own, minlength=len(names)).astype(np.float64)
    # Of a class the share that a group brings: rare classes decide first, and most.
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    random = np.random.default_rng(seed).permutation(len(names))
    order = random[np.argsort(-shares.max(axis=1, initial=0.0)[random], kind="stable")]
    held, cases, place = np.zeros((folds, counts.shape[1])), np.zeros(folds), np.zeros(len(names), dtype=np.int64)
    for one in order:
        # An empty fold is worst of all; ties go to the fold with the fewest cases.
        cost = held @ shares[one] + 1e-3 * cases / size.sum()
        place[one] = int(np.argmin(cost))
        held[place[one]] += shares[one]
        cases[place[one]] += size[one]
    return place[own]


def _counts(stratum: Index, own: Index, groups: int) -> npt.NDArray[np.float64]:
    """Return how many cases of each class each group has, ``(groups, classes)``; of what is not known nothing."""
    known = stratum >= 0
    found = np.zeros((groups, int(stratum.max(initial=UNKNOWN)) + 1))
    np.add.at(found, (own[known], stratum[known]), 1)
    return found


def draw_sides(
    strata: Sequence[Index], groups: Index, pool: Index, *, folds: int, inner_share: float, seed: int
) -> pd.DataFrame:
    """Draw the folds, and in each the cases that validate, for all targets at once.

    Parameters
    ----------
    strata, groups
        As in :func:`spread`, of all cases; of each target those of the pool are looked at alone.
    pool
        Rows that take part: all but test cases.
    folds, inner_share, seed
        As in :func:`semeion.plan.splits.sides`.

    Returns
    -------
    pandas.DataFrame
        The columns `FOLD` and `VALIDATES`, a row a case.
    """
    fold = np.full(len(groups), -1, dtype=np.int64)
    fold[pool] = spread([stratum[pool] for stratum in strata], groups[pool], folds, seed)
    validates: list[list[str]] = [[] for _ in groups]
    for number in range(folds):
        rows = pool[fold[pool] != number]
        parts = max(2, min(round(1 / inner_share), len(np.unique(groups[rows]))))
        own = [stratum[rows] for stratum in strata]
        inner = spread(own, groups[rows], parts, seed + 1 + number)
        # The part that leaves most classes of all targets on both sides, and then most to learn from.
        for row in rows[inner == _best(own, inner, parts)]:
            validates[row].append(str(number))
    return pd.DataFrame({FOLD: fold, VALIDATES: [";".join(found) for found in validates]})


def _best(strata: Sequence[Index], inner: Index, parts: int) -> int:
    def left(part: int) -> tuple[int, int]:
        on = inner == part
        both = sum(len(np.intersect1d(stratum[on & (stratum >= 0)], stratum[~on])) for stratum in strata)
        return both, int((~on).sum())

    return max(range(parts), key=left)


def joint_sides(table: pd.DataFrame, y: npt.NDArray[np.float64], task: str, classes: Sequence[str]) -> list[Sides]:
    """Return the sides that were drawn for all targets, of the cases of one.

    Parameters
    ----------
    table
        Of a cohort whose sides were drawn: with `FOLD` and `VALIDATES`.
    y, task, classes
        Reference standard of its cases, and the target's task and class names, for what is refused.

    Raises
    ------
    InputError
        When a fold would learn without a class, or a side of it is empty.
    """
    fold = table[FOLD].to_numpy(dtype=np.int64)
    says = [set(text.split(";")) if text else set() for text in table[VALIDATES].astype("str")]
    found = []
    named = task in ("binary", "multiclass", "ordinal")
    for number in range(int(fold.max(initial=-1)) + 1):
        validates = np.array([str(number) in one for one in says], dtype=bool)
        others = (fold >= 0) & (fold != number)
        side = Sides(
            number,
            np.flatnonzero(others & ~validates).astype(np.int64),
            np.flatnonzero(others & validates).astype(np.int64),
            np.flatnonzero(fold == number).astype(np.int64),
        )
        for what, rows in (("learn", side.learn), ("validate", side.validate), ("hold out", side.held_out)):
            if not len(rows):
                raise InputError(
                    f"fold {number} would have no case to {what} for this target",
                    where="the folds that the targets share",
                    fix="bring more cases whose target is known, or train the targets in runs of their own",
                )
        if named:
            _refuse_unlearned(number, y[side.learn], y[fold >= 0], classes)
        found.append(side)
    return found


def _refuse_unlearned(
    fold: int, learned: npt.NDArray[np.float64], pool: npt.NDArray[np.float64], classes: Sequence[str]
) -> None:
    for number in np.setdiff1d(pool, learned).astype(int):
        raise InputError(
            f"fold {fold} would learn without class {classes[number]!r}: folds that several targets share cannot "
            f"spread it, and need at least {FEWEST} patients of it, better many more",
            where="the cohort",
            fix="bring more patients of it, leave it out, or give a split column",
        )
