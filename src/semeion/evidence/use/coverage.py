"""How often sets of classes held the truth, how large they were, and in which subgroups they failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.errors import InputError
from semeion.evidence.intervals.drawing import Checked, Drawn, Piece
from semeion.evidence.intervals.weights import Array, Weights, weighted_sums

MOST_LEVELS = 20
"""Levels of a subgroup column that are looked at, the largest first."""
FEWEST_CASES = 10
"""A level with fewer cases has no figures."""
_WHERE = "coverage of sets"
SHARES = ("coverage", "singletons", "empty", "right_among_singletons", "several")
_PATIENTS, _SIZE, _PAIRS = 5, 6, 7
"""Columns of the figures that are no plain share of cases."""


def sets_piece(cases: Checked, sets: ArrayLike, *, groups: Mapping[str, ArrayLike] | None = None) -> Piece:
    """Return the account of the measured coverage of sets, overall, by class and by subgroup.

    Parameters
    ----------
    cases
        With probabilities ``(cases, classes)``, that neither trained nor calibrated.
    sets
        Whether each class is in the set of each case, ``(cases, classes)``.
    groups
        By name of a column: the level of each case, ``(cases,)``; None or NaN where unknown.

    Returns
    -------
    Piece
        To be drawn with others by :func:`semeion.evidence.intervals.drawing.draw_together`; every figure is a ratio of
        sums over cases. It tells ``coverage`` (share of cases whose set holds the truth), ``patient_coverage`` (share
        of patients with all cases held, what a rule of largest scores promises), ``size`` (mean number of classes),
        ``singletons``, ``several``, ``empty``, ``right_among_singletons``; ``by_class``, a list in the order of the
        classes, and ``groups.<column>.<level>``, the 20 largest levels of each column with at least 10 cases, both of
        ``{coverage, size}``. Figures are ``{value, low, high, n, n_patients, method}``.

    Raises
    ------
    InputError
        When sets or levels do not fit the cases.
    """
    held = np.asarray(sets)
    if held.dtype != np.bool_ or held.shape != cases.p.shape or held.ndim != 2:
        raise InputError(
            f"sets of shape {held.shape} and type {held.dtype} for probabilities of shape {cases.p.shape}",
            where=_WHERE,
            fix="say true or false for each class of each case",
        )
    covered = held[np.arange(len(cases)), cases.y]
    size = held.sum(axis=1).astype(np.float64)
    everything = np.ones(len(cases), dtype=np.bool_)
    first = np.zeros(len(cases), dtype=np.bool_)
    first[np.unique(cases.patient, return_index=True)[1]] = True
    missed = np.bincount(cases.patient, weights=~covered, minlength=cases.n_patients)[cases.patient]
    # Each figure: what is summed, and among which cases.
    ratios: list[tuple[NDArray[Any], NDArray[np.bool_]]] = [
        (covered, everything),
        (size == 1, everything),
        (size == 0, everything),
        (covered, size == 1),
        (size > 1, everything),
        (missed == 0, first),
        (size, everything),
    ]
    places = {name: known_levels(name, values, len(cases)) for name, values in (groups or {}).items()}
    classes = [cases.y == k for k in range(held.shape[1])]
    members = [*classes, *(group for levels in places.values() for group in levels.values())]
    for group in members:
        ratios += [(covered, group), (size, group)]
    columns = np.column_stack([part for value, group in ratios for part in (value * group, group)]).astype(np.float64)

    def compute(weights: Weights) -> Array:
        sums = weighted_sums(weights, columns)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(sums[:, ::2] / sums[:, 1::2])

    def pair(drawn: Drawn, column: int, group: NDArray[np.bool_], undefined: str) -> dict[str, Any]:
        size_entry = drawn.entry(column + 1, undefined=undefined)
        size_entry |= {"n": int(group.sum()), "n_patients": len(np.unique(cases.patient[group]))}
        return {"coverage": drawn.share(column, covered, group, undefined=undefined), "size": size_entry}

    def tell(drawn: Drawn) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for column, name in enumerate(SHARES):
            hit, among = ratios[column]
            told[name] = drawn.share(column, hit, among, undefined="no set holds a single class")
        how = "share of patients whose every case is held"
        told["patient_coverage"] = drawn.share(_PATIENTS, *ratios[_PATIENTS], how=how)
        told["size"] = drawn.entry(_SIZE)
        pairs = iter(range(_PAIRS, 2 * len(members) + _PAIRS, 2))
        told["by_class"] = [pair(drawn, next(pairs), group, "no case of this class") for group in classes]
        told["groups"] = {
            name: {level: pair(drawn, next(pairs), group, "no case") for level, group in levels.items()}
            for name, levels in places.items()
        }
        return told

    return Piece(compute, tell)


def known_levels(name: str, values: ArrayLike, n: int) -> dict[str, NDArray[np.bool_]]:
    """Return which cases are in each level, the largest levels first."""
    labels = np.asarray(values, dtype=object)
    if labels.shape != (n,):
        raise InputError(f"{labels.shape} levels for {n} cases", where=f"{_WHERE}, {name}", fix="give one level a case")
    known = np.array([label is not None and label == label for label in labels], dtype=np.bool_)
    text = np.where(known, labels.astype(str), "")
    levels, counts = np.unique(text[known], return_counts=True)
    ranked = levels[np.argsort(-counts, kind="stable")][:MOST_LEVELS]
    found = {str(level): known & (text == level) for level in ranked}
    return {level: group for level, group in found.items() if group.sum() >= FEWEST_CASES}
