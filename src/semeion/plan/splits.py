"""Which case is on which side: patient-grouped, stratified, from one seed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError

Index = npt.NDArray[np.int64]

FEWEST = 3
"""Groups that every class needs: one to hold out, one to validate on, one to learn from."""


@dataclass(frozen=True)
class Sides:
    """Row numbers of one fold (or of the given split): learned from, validated on, held out, and set aside to calibrate
    sets of classes alone.
    """

    fold: int
    learn: Index
    validate: Index
    held_out: Index
    calibrate: Index = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def strata(y: npt.NDArray[np.float64], task: str) -> Index:
    """Return a stratum a row: the class; for regression the fifth of the range of ranks; for multi-label the rarest
    label present.

    Parameters
    ----------
    y
        Array ``(cases,)``, or ``(cases, labels)`` for multi-label.
    task
        The target's task.
    """
    if task == "regression":
        ranks = np.argsort(np.argsort(y, kind="stable"), kind="stable")
        return (ranks * min(5, len(y)) // max(len(y), 1)).astype(np.int64)
    if task == "multilabel":
        present = np.nan_to_num(y) == 1
        rarity = np.where(present, present.sum(0, keepdims=True), np.iinfo(np.int64).max)
        return np.where(present.any(1), rarity.argmin(1) + 1, 0).astype(np.int64)
    return y.astype(np.int64)


def grouped_folds(stratum: Index, groups: Index, folds: int, seed: int) -> Index:
    """Return the fold of every row; the rows of a group share one, and strata are spread evenly.

    Raises
    ------
    InputError
        When there are fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    n_groups = len(np.unique(groups))
    if n_groups < folds:
        raise InputError(
            f"{n_groups} patients or groups cannot be divided into {folds} folds",
            where="the cohort",
            fix="bring more patients, or give a split column",
        )
    if np.unique(stratum, return_counts=True)[1].max() < folds:
        # No stratum reaches every fold, which the splitter refuses: only the groups are kept together then.
        stratum = np.zeros_like(stratum)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    fold = np.full(len(stratum), -1, dtype=np.int64)
    with warnings.catch_warnings():
        # Of a stratum with fewer patients than folds some folds have none: the audits tell of small classes.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for number, (_, held_out) in enumerate(splitter.split(np.zeros(len(stratum)), stratum, groups)):
            fold[held_out] = number
    return fold


def inner_split(rows: Index, stratum: Index, groups: Index, inner_share: float, seed: int) -> tuple[Index, Index]:
    """Divide `rows` by group into learning and validation rows, `inner_share` of them validating.

    The validating part is one fold of ``round(1 / inner_share)``, so that it is stratified and grouped the same way as
    the outer folds: the first of those that leave most strata on both sides, and then to learn from. A class rarer than
    there are folds is missing from some of them, and nothing could be chosen for it there.
    """
    # More folds than the largest stratum has rows could not be stratified at all: few cases validate with more of them.
    largest = int(np.unique(stratum[rows], return_counts=True)[1].max())
    folds = max(2, min(round(1 / inner_share), len(np.unique(groups[rows])), largest))
    fold, own = grouped_folds(stratum[rows], groups[rows], folds, seed), stratum[rows]
    sides = [(np.unique(own[fold == number]), np.unique(own[fold != number])) for number in range(folds)]
    left = [(len(np.intersect1d(validate, learn)), len(learn)) for validate, learn in sides]
    chosen = left.index(max(left))
    return rows[fold != chosen], rows[fold == chosen]


def sides(
    split: npt.NDArray[np.object_] | None,
    y: npt.NDArray[np.float64],
    task: str,
    groups: Index,
    *,
    scheme: str,
    folds: int,
    inner_share: float,
    seed: int,
    classes: Sequence[str] = (),
    fold: Index | None = None,
    aside: float = 0.0,
) -> list[Sides]:
    """Return one :class:`Sides` a fold, or a single one for the given split.

    With folds, only rows whose split is not ``test`` take part; the test rows of a given split without ``val`` are in
    no fold and are read by the finished ensemble alone.

    Parameters
    ----------
    split
        ``train``, ``val`` or ``test`` a row, or None when no split was given.
    y, task
        As for :func:`strata`.
    groups
        Group number a row: patients, and exact copies merged with their originals.
    scheme, folds, inner_share, seed
        From the plan.
    classes
        Names for messages.
    fold
        The fold of every row where folds are not drawn but given, as :func:`semeion.plan.sites.site_folds` finds them.
    aside
        Of a given split: share of the val groups that calibrates sets of classes and does not validate.

    Raises
    ------
    InputError
        When the groups, or those of one class, are too few to divide.
    """
    everyone = np.arange(len(groups), dtype=np.int64)
    if scheme == "given":
        if split is None or not (split == "val").any():
            raise InputError("the plan uses a given split, but the table has no val cases", fix="plan again")
        none = np.empty(0, dtype=np.int64)
        validate, calibrate = everyone[split == "val"], none
        # Groups that were learned from, where such a split was accepted, could not calibrate: they go on choosing.
        known = np.isin(groups[validate], groups[split == "train"])
        free = validate[~known]
        if aside and len(np.unique(groups[free])) > 1:
            stratum = np.zeros(len(groups), dtype=np.int64)
            stratum[free] = strata(y[free], task)
            choose, calibrate = inner_split(free, stratum, groups, aside, seed)
            validate = np.sort(np.concatenate([choose, validate[known]]))
        return [Sides(-1, everyone[split == "train"], validate, none, calibrate)]
    pool = everyone if split is None else everyone[split != "test"]
    # Ranks and rarities are those of the pool: test labels decide nothing, not even who is in which fold.
    stratum = np.zeros(len(groups), dtype=np.int64)
    stratum[pool] = strata(y[pool], task)
    if fold is None:
        held = grouped_folds(stratum[pool], groups[pool], folds, seed)
        if task in ("binary", "multiclass", "ordinal"):
            _refuse_few_patients(stratum[pool], groups[pool], classes)
    else:
        held = fold[pool]
    result = []
    for number in range(folds):
        learn, validate = inner_split(pool[held != number], stratum, groups, inner_share, seed + 1 + number)
        if fold is None and task in ("binary", "multiclass", "ordinal"):
            _refuse_unlearned(number, stratum[learn], stratum[pool], classes)
        result.append(Sides(number, learn, validate, pool[held == number]))
    return result


def _refuse_unlearned(fold: int, learned: Index, pool: Index, classes: Sequence[str]) -> None:
    """Refuse a fold whose learning side lacks a class, as where nearly all cases of one are of a single patient."""
    for number in np.setdiff1d(pool, learned):
        name = classes[number] if classes else f"number {number}"
        raise InputError(
            f"fold {fold} would learn without class {name!r}: its patients cannot be spread over holding out, "
            "validating and learning",
            where="the cohort",
            fix="bring more patients of it, leave it out, or give a split column",
        )


def _refuse_few_patients(stratum: Index, groups: Index, classes: Sequence[str]) -> None:
    """Refuse a class of fewer than `FEWEST` groups: some fold would learn or validate without it."""
    for number in np.unique(stratum):
        count = len(np.unique(groups[stratum == number]))
        if count < FEWEST:
            name = classes[number] if classes else f"number {number}"
            raise InputError(
                f"class {name!r} has cases of {count} patients or groups; folds need at least {FEWEST}",
                where="the cohort",
                fix="bring more patients of it, leave it out, or give a split column",
            )
