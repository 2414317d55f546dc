"""Cases that belong together: of one patient, or with copies of one picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort

Rows = npt.NDArray[np.int64]

NEAR_BITS = 3
"""Perceptual hashes that differ in at most this many of 64 bits make a pair look like copies."""
MOST_COMPARED = 40_000
"""Distinct perceptual hashes that are compared with one another (a few seconds); beyond, only equal ones are."""
MOST_PAIRS = 10_000


def exact_groups(facts: pd.DataFrame) -> list[Rows]:
    """Return the row numbers of every group of two or more readable cases with exactly the same pixels."""
    seen = np.flatnonzero((facts["status"] == "ok").to_numpy())
    codes, _ = pd.factorize(facts["pixel_hash"].to_numpy()[seen])
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return [seen[rows] for rows in np.split(order, starts[1:]) if len(rows) > 1]


def joined_groups(groups: Iterable[Rows], n: int) -> list[Rows]:
    """Return groups of row numbers below `n` that share no row: those that share one are followed through and joined.

    Each is ascending, and they stand in the order of their first rows.
    """
    parent = followed(groups, np.arange(n))
    codes, _ = pd.factorize(parent)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return [rows for rows in np.split(order, starts[1:]) if len(rows) > 1]


def followed(groups: Iterable[Rows], member: Rows) -> Rows:
    """Return one number a row, equal for rows that `groups` join, by way of others too (union-find).

    Parameters
    ----------
    groups
        Row numbers that belong together.
    member
        What each row belongs to from the start, numbers from 0.
    """
    parent = np.arange(int(member.max(initial=-1)) + 1)

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = int(parent[node])
        return node

    for rows in groups:
        first = root(int(member[rows[0]]))
        for row in rows[1:]:
            parent[root(int(member[row]))] = first
    roots = np.array([root(node) for node in range(len(parent))], dtype=np.int64)
    return roots[member]


def duplicate_groups(cohort: Cohort, facts: pd.DataFrame) -> pd.Series:
    """Return which cases must stay on one side of a split.

    Cases of one patient belong together, and so do cases with exactly the same pixels and those whose pictures were
    confirmed to be copies (column ``copy_group`` of the facts, where :func:`with_copies` made one); all relations are
    followed through, so two patients who share one picture become one group.

    Returns
    -------
    pandas.Series
        A group number a row (int64, from 0 in order of appearance), with the index of the cohort's table.
    """
    patients, _ = pd.factorize(cohort.table["patient_id"], use_na_sentinel=False)
    if not cohort.has_patients:
        patients = np.arange(len(cohort.table))
    groups = exact_groups(facts)
    if "copy_group" in facts.columns:
        codes = facts["copy_group"].to_numpy(dtype=np.int64)
        groups += [np.flatnonzero(codes == code) for code in np.unique(codes[codes >= 0])]
    labels, _ = pd.factorize(followed(groups, np.asarray(patients, dtype=np.int64)))
    return pd.Series(labels.astype(np.int64), index=cohort.table.index, name="group")


def with_copies(facts: pd.DataFrame, groups: Iterable[Rows]) -> pd.DataFrame:
    """Return the facts with a column ``copy_group``: the number of a case's group of copies, -1 without one."""
    codes = np.full(len(facts), -1, dtype=np.int64)
    for number, rows in enumerate(groups):
        codes[rows] = number
    return facts.assign(copy_group=codes)


def near_pairs(facts: pd.DataFrame) -> tuple[Rows, str]:
    """Return pairs of rows whose pixels differ and whose perceptual hashes nearly agree, and how they were compared.

    Blank images, whose hash means nothing, and volumes, which have none, take no part; of exact copies the first alone.
    At most 10,000 pairs.

    Returns
    -------
    tuple
        Array ``(pairs, 2)`` of row numbers, and ``all``, ``equal hashes only`` or ``none``.
    """
    usable = ((facts["status"] == "ok") & ~facts["blank"]).to_numpy() & ~facts["pixel_hash"].duplicated().to_numpy()
    usable &= (facts["thumb_hash"] != "").to_numpy()
    rows = np.flatnonzero(usable)
    hashes = np.array([int(text, 16) for text in facts["thumb_hash"].to_numpy()[rows]], dtype=np.uint64)
    order = np.argsort(hashes, kind="stable")
    rows, hashes = rows[order], hashes[order]
    found: list[Rows] = []
    everything = len(hashes) <= MOST_COMPARED
    total = 0
    for start in range(0, len(hashes), 512):
        stop = min(start + 512, len(hashes))
        # Sorted, so equal hashes stand side by side: without a full comparison a short window holds them.
        until = len(hashes) if everything else min(stop + 64, len(hashes))
        apart = np.bitwise_count(hashes[start:stop, None] ^ hashes[None, start:until])
        first, second = np.nonzero(apart <= (NEAR_BITS if everything else 0))
        later = second > first
        pairs = np.stack([rows[start + first[later]], rows[start + second[later]]], axis=1)
        found.append(np.sort(pairs, axis=1))
        total += len(pairs)
        if total >= MOST_PAIRS:
            break
    pairs = np.concatenate(found)[:MOST_PAIRS] if found else np.empty((0, 2), dtype=np.int64)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))] if len(pairs) else pairs.reshape(0, 2)
    return pairs, ("all" if everything else "equal hashes only") if len(rows) else "none"


def drawn_groups(
    groups: Rows, most: int, seed: int, known: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.bool_]:
    """Return which cases are looked at: all, or whole groups in random order until they are enough.

    Parameters
    ----------
    groups
        Codes from 0, ``(cases,)``.
    most
        Cases at most.
    seed
        Where the random stream begins.
    known
        Which cases count, ``(cases,)``; all when None.
    """
    counting = groups if known is None else groups[known]
    if len(counting) <= most:
        return np.ones(len(groups), dtype=np.bool_)
    sizes = np.bincount(counting, minlength=int(groups.max()) + 1)
    chosen = np.zeros(len(sizes), dtype=np.bool_)
    room = most
    for group in np.random.default_rng(seed).permutation(len(sizes)):
        if sizes[group] <= room:  # one that does not fit is passed over, and those after it are not
            chosen[group], room = True, room - int(sizes[group])
    return np.asarray(chosen[groups])
