"""Leave-one-site-out: every fold holds out all cases of one site, which is read by networks that never saw it.

Also called internal-external validation (Royston, Parmar and Sylvester, Stat Med 23:907, 2004; Steyerberg and Harrell,
J Clin Epidemiol 69:245, 2016): it says how a model made like this one does at a site that it has not learned from.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError
from semeion.plan.schema import ValidationPlan
from semeion.plan.splits import Index, strata

MOST_SITES = 20
"""Sites that can be held out one by one: each needs networks of its own."""
FEWEST_LEFT = 2
"""Groups of each class that must be left when a site is held out: one to learn from, one to validate on."""
_MOST_NAMED = 10


@dataclass(frozen=True)
class Sites:
    """The folds that sites make.

    Attributes
    ----------
    column
        Of the table, whose values are the sites.
    names
        The sites in the order of their folds, which is that of their names.
    counts
        Cases of each.
    fold
        Of every row of the cohort; -1 for rows that take no part (test cases of a given split).
    """

    column: str
    names: tuple[str, ...]
    counts: tuple[int, ...]
    fold: Index


def site_names(values: Sequence[Any]) -> list[str]:
    """Return the site of each case, trimmed; an empty string where none is named."""
    return ["" if value is None or value != value else str(value).strip() for value in values]


def plain_site(name: str) -> str:
    """Return a site's name as it is compared: ``Saint Mary``, ``saint-mary`` and ``SAINT MARY`` are one, and so are
    ``1``, ``01`` and ``1.0``, which spreadsheets make of each other.
    """
    text = unicodedata.normalize("NFKC", name).casefold().strip()
    text = re.sub(r"^(\d+)\.0+$", r"\1", text)
    text = re.sub(r"(?<![\d.])0+(?=\d)", "", text)
    # A point between digits tells 1.5 from 15, and marks are vowels in some scripts.
    text = re.sub(r"(?<!\d)\.|\.(?!\d)", "", text)
    return "".join(sign for sign in text if sign == "." or unicodedata.category(sign)[0] in "LNM") or name


def site_folds(
    values: Sequence[Any],
    pool: Index,
    y: npt.NDArray[np.float64],
    task: str,
    groups: Index,
    *,
    column: str = "site",
    cases: Sequence[Any] = (),
    patients: Sequence[Any] = (),
    classes: Sequence[str] = (),
) -> Sites:
    """Return the folds that the sites of the cases in `pool` make.

    Parameters
    ----------
    values
        The site of every case of the cohort; missing and empty ones are none.
    pool
        Rows that take part.
    y, task
        Reference standard as for :func:`semeion.plan.splits.strata`.
    groups
        Group number a row: patients, and exact copies merged with their originals.
    column, cases, patients, classes
        Names for messages.

    Raises
    ------
    InputError
        When a case has no site, there are fewer than 2 sites or more than 20, one site is written in two ways, a
        patient has cases at several sites, or a class is not left in enough patients when some site is held out. A site
        that has one class alone is held out like any other: figures that need two classes are then undefined for it,
        and the pooled ones are not.
    """
    named = np.array(site_names(values), dtype=object)
    where = f"column {column!r}"
    lacking = int((named[pool] == "").sum())
    if lacking == len(pool):
        raise InputError(
            "no case has a site, and each site is to be held out",
            where=where,
            fix="bring a column with the site of every case, or name another one with --by",
        )
    if lacking:
        raise InputError(
            f"{lacking} of {len(pool)} cases have no site, so it cannot be said which fold holds them out",
            where=where,
            fix="name the site of every case, or leave these out of the table",
            details=[
                f"case {cases[row]}" if len(cases) else f"row {row + 1}"
                for row in pool[named[pool] == ""][:_MOST_NAMED]
            ],
        )
    names, number, counts = np.unique(named[pool].astype(str), return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise InputError(
            f"all cases are of {str(names[0])!r}: nothing is left to learn from when it is held out",
            where=where,
            fix="bring cases of at least 2 sites, or leave --by out",
        )
    _refuse_two_spellings(names, where)
    if len(names) > MOST_SITES:
        raise InputError(
            f"{len(names)} sites, and at most {MOST_SITES} can be held out one by one",
            where=where,
            fix="join small sites (by region or vendor) in a column of their own, and name it with --by",
        )
    fold = np.full(len(named), -1, dtype=np.int64)
    fold[pool] = number
    _refuse_shared(fold, pool, groups, names, patients, column, where)
    _refuse_lost(fold, pool, y, task, groups, names, classes, where)
    return Sites(column, tuple(str(name) for name in names), tuple(int(count) for count in counts), fold)


def plan_sites(sites: Sites) -> ValidationPlan:
    """Return the part of the plan that holds out site after site."""
    order = ", ".join(f"{name} ({count})" for name, count in zip(sites.names, sites.counts, strict=True))
    return ValidationPlan(
        scheme="folds",
        folds=len(sites.names),
        by=sites.column,
        why={
            "scheme": f"leave-one-{sites.column}-out ({len(sites.names)} folds), internal-external validation: every "
            "case is held out once, with all cases of its site",
            "by": "asked for with --by",
            "folds": f"one a value of {sites.column}, in this order (cases): {order}",
            "inner_share": "early stopping, calibration and threshold of a fold use patients of the other sites alone",
        },
    )


def _refuse_two_spellings(names: npt.NDArray[np.str_], where: str) -> None:
    """Refuse one site under two names: it would be learned from while it is held out."""
    written: dict[str, list[str]] = {}
    for name in names:
        written.setdefault(plain_site(str(name)), []).append(str(name))
    twice = [each for each in written.values() if len(each) > 1]
    if twice:
        raise InputError(
            "names that differ in case, blanks, signs or leading zeros alone would be held out as different sites",
            where=where,
            fix="write each site in one way, or give names that differ in more",
            details=[" and ".join(repr(name) for name in each) for each in twice[:_MOST_NAMED]],
        )


def _refuse_shared(
    fold: Index,
    pool: Index,
    groups: Index,
    names: npt.NDArray[np.str_],
    patients: Sequence[Any],
    column: str,
    where: str,
) -> None:
    """Refuse patients, or groups of copies, with cases at several sites: one would be on both sides."""
    pairs = np.unique(np.column_stack([groups[pool], fold[pool]]), axis=0)
    group, many = np.unique(pairs[:, 0], return_counts=True)
    shared = group[many > 1]
    if not len(shared):
        return
    details = []
    for one in shared[:_MOST_NAMED]:
        rows = pool[groups[pool] == one]
        who = sorted({str(patients[row]) for row in rows}) if len(patients) else [f"group {one}"]
        at = ", ".join(str(names[k]) for k in np.unique(fold[rows]))
        details.append(f"{' and '.join(who)}: at {at}")
    raise InputError(
        f"{len(shared)} patients (or groups of identical images) have cases at several values of {column}, and would "
        "be learned from and held out at once",
        where=where,
        fix="correct the ids or sites, give such patients one site, or leave their cases at the others out",
        details=details,
    )


def _refuse_lost(
    fold: Index,
    pool: Index,
    y: npt.NDArray[np.float64],
    task: str,
    groups: Index,
    names: npt.NDArray[np.str_],
    classes: Sequence[str],
    where: str,
) -> None:
    """Refuse sites without which too little is left of some class, or of everything."""
    kinds = strata(y[pool], task) if task in ("binary", "multiclass", "ordinal") else np.zeros(len(pool), np.int64)
    for number, name in enumerate(names):
        rest = fold[pool] != number
        for kind in np.unique(kinds):
            left = len(np.unique(groups[pool][rest & (kinds == kind)]))
            if left < FEWEST_LEFT:
                of = f" of class {classes[kind]!r}" if task in ("binary", "multiclass", "ordinal") and classes else ""
                raise InputError(
                    f"without {str(name)!r} there are {left} patients or groups{of} left, and learning and validating "
                    f"need at least {FEWEST_LEFT}",
                    where=where,
                    fix="bring such patients of other sites, join sites in a column of their own, or leave --by out",
                )
