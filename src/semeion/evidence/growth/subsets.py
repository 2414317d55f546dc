"""Who is learned from at each size of a learning curve: whole patients, nested, every class as it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semeion.errors import InputError

Index = NDArray[np.int64]

SIZES = 6
"""Sizes at most: three parameters are fitted, and what is left tells whether they fit."""
FEWEST_SIZES = 3
LEAST_STEP = 1.25
"""A size is at least so many times the one before: steps that are smaller show nothing but chance."""
WIDEST = 64
"""The largest size over the smallest, at most: what thirty patients teach tells little of what three thousand do."""
LEAST_PATIENTS = 10
LEAST_OF_CLASS = 5
"""Patients with the rarest class at the smallest size: of fewer no procedure can choose anything."""


@dataclass(frozen=True)
class Pool:
    """The patients of whom subsets are drawn.

    Attributes
    ----------
    groups
        The group number of each patient, rising, ``(patients,)``.
    stratum
        Of each patient, counted from 0, ``(patients,)``.
    rarest
        Share of the patients that have the rarest of the classes that must be there; 1 where there are none.
    """

    groups: Index
    stratum: Index
    rarest: float = 1.0

    def __len__(self) -> int:
        return len(self.groups)


@dataclass(frozen=True)
class Side:
    """Rows of whom subsets are drawn, and rows that are scored and never learned from."""

    learn: Index
    score: Index


def pool_of(rows: Index, groups: Index, stratum: Index, classes: NDArray[np.bool_] | None = None) -> Pool:
    """Return the patients of some rows; one with rows of several strata belongs to the rarest of them.

    Parameters
    ----------
    rows
        Row numbers.
    groups, stratum
        Patient and stratum (class, fifth of a measured value, rarest label) of every row of the cohort, 0 or more.
    classes
        Whether each row of the cohort has each of the classes or labels that every subset needs, ``(rows, classes)``.
    """
    present, codes = np.unique(stratum[rows], return_inverse=True)
    named, whose = np.unique(groups[rows], return_inverse=True)
    count = np.bincount(codes, minlength=len(present))
    rank = np.argsort(np.argsort(count, kind="stable"), kind="stable")
    rarest = np.full(len(named), len(present), dtype=np.int64)
    np.minimum.at(rarest, whose, rank[codes])
    back = np.argsort(rank, kind="stable")
    of_class = [] if classes is None else [len(np.unique(whose[has])) for has in classes[rows].T]
    share = min(of_class, default=len(named)) / max(len(named), 1)
    return Pool(named.astype(np.int64), back[rarest].astype(np.int64), share)


def sizes_of(pools: list[Pool], *, where: str = "the cohort") -> tuple[int, ...]:
    """Return the sizes of a curve in patients, rising, evenly spaced on a log scale, the last one the whole pool.

    Parameters
    ----------
    pools
        One a fold; the sizes suit all of them.
    where
        Named in messages.

    Raises
    ------
    InputError
        When the patients do not suffice for three sizes.
    """
    most = min(len(pool) for pool in pools)
    if not most:
        raise InputError("there is nobody to learn from", where=where, fix="give cases of the split train")
    if not min(pool.rarest for pool in pools):
        raise InputError("a class has nobody to learn from", where=where, fix="bring patients of it, or leave it out")
    of_rarest = max(math.ceil(LEAST_OF_CLASS / pool.rarest) for pool in pools)
    least = max(LEAST_PATIENTS, of_rarest, math.ceil(most / WIDEST))
    steps = math.floor(math.log(most / least) / math.log(LEAST_STEP) + 1e-9) if most > least else 0
    if steps + 1 < FEWEST_SIZES:
        needed = math.ceil(least * LEAST_STEP ** (FEWEST_SIZES - 1))
        raise InputError(
            f"{most} patients to learn from are too few for a curve of {FEWEST_SIZES} sizes: the smallest size needs "
            f"{least}" + (f", so that it holds {LEAST_OF_CLASS} of every class" if least == of_rarest else ""),
            where=where,
            fix=f"bring about {needed} patients or more to learn from, with the classes as they are",
        )
    count = min(SIZES, steps + 1)
    spaced = np.exp(np.linspace(math.log(least), math.log(most), count))
    return tuple(round(float(one)) for one in spaced)


def draw_order(pool: Pool, stream: np.random.Generator) -> Index:
    """Return the pool's patients (places in `pool`) in an order of which every beginning is stratified.

    Within a stratum the order is random. The patients of a stratum of m lie at ``(k + u) / m``, u random, and all are
    sorted by that (systematic sampling: Cochran, Sampling Techniques, 1977, chapter 8), so that what lies below any
    bound holds m times the bound of them, rounded up or down.
    """
    at = np.empty(len(pool))
    for one in np.unique(pool.stratum):
        mine = np.flatnonzero(pool.stratum == one)
        at[stream.permutation(mine)] = (np.arange(len(mine)) + stream.uniform()) / len(mine)
    return np.argsort(at, kind="stable").astype(np.int64)


def nested_rows(pool: Pool, rows: Index, groups: Index, sizes: tuple[int, ...], *, seed: int, draw: int) -> list[Index]:
    """Return the rows to learn from at each size of one draw: each holds the one before, and whole patients.

    Parameters
    ----------
    pool
        Of :func:`pool_of` for these `rows` and `groups`.
    sizes
        In patients, rising.
    seed, draw
        Decide the order together; the same ones give the same rows.
    """
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(draw,)))
    order = draw_order(pool, stream)
    place = np.empty(len(pool), dtype=np.int64)
    place[order] = np.arange(len(pool))
    own = place[np.searchsorted(pool.groups, groups[rows])]
    return [rows[own < size] for size in sizes]
