"""Copies of pictures on two sides of a split, or with two labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semeion.audit.audit import Audit, Verdict, counted
from semeion.audit.copy_search import Copies, find_copies, told
from semeion.audit.groups import Rows, duplicate_groups, exact_groups, near_pairs, with_copies
from semeion.cohort.cohort import Cohort

__all__ = [
    "Copies",
    "duplicate_groups",
    "exact_groups",
    "find_copies",
    "label_conflicts",
    "near_duplicates",
    "near_pairs",
    "with_copies",
]

VOID_SHARE = 0.05
"""Verified copies of more than this share of the test cases on the other side void the result..."""
VOID_COUNT = 10
"""...and so do verified copies of this many test cases."""
_UNSEEN = ("pairs_not_read_again", "pairs_left_unchecked")
"""Figures that count pairs of which nothing can be said."""
KEPT_TOGETHER = "copies stay in one group when folds are drawn. Leave them out if they are mistakes."
MOST_TOLD = 50
"""Pairs of which it is written out how they were verified."""


def near_duplicates(cohort: Cohort, facts: pd.DataFrame, copies: Copies | None = None) -> Audit:
    """Look for the same picture in several cases: exact copies by the hash of the pixels, changed ones by registration.

    ``void``: verified copies (exact, or registered and confirmed) of more than 5 % of the test cases, or of 10 or more,
    on the other side. ``warn``: any other verified copy. ``note``: pictures that look alike by a perceptual hash and
    could not be confirmed. The search and what confirms are those of :func:`semeion.audit.copy_search.find_copies`.

    Parameters
    ----------
    cohort, facts
        The cases and their scan.
    copies
        What was found, when it is known; else it is looked for now.
    """
    copies = copies if copies is not None else find_copies(cohort, facts)
    groups, alike = copies.groups, copies.alike
    ids = cohort.table["case_id"].astype(str).to_numpy(dtype=object)
    figures: dict[str, Any] = {
        "groups": len(groups),
        "extra_copies": sum(len(rows) - 1 for rows in groups),
        "cases_with_a_copy": sum(len(rows) for rows in groups),
        "groups_of_exact_copies": len(copies.exact),
        "extra_exact_copies": sum(len(rows) - 1 for rows in copies.exact),
        "groups_with_two_labels": len(conflicting(cohort, groups)),
    }
    across: set[str] = set()
    splits = cohort.table["split"].to_numpy() if cohort.has_split else None
    if splits is not None:
        n_test = int((splits == "test").sum())
        both = [rows for rows in groups if 0 < int((splits[rows] == "test").sum()) < len(rows)]
        across = {str(ids[row]) for rows in both for row in rows if splits[row] == "test"}
        figures |= {
            "test_cases": n_test,
            "test_cases_with_a_copy_elsewhere": len(across),
            "share_of_test_cases": len(across) / n_test if n_test else 0.0,
            "groups_across_test": len(both),
            "groups_across_train_and_val": sum({"train", "val"} <= set(splits[rows]) for rows in groups),
        }
    figures |= {"near_pairs": len(alike), **copies.figures}
    if splits is not None:
        figures["near_pairs_across_test"] = int(((splits[alike] == "test").sum(axis=1) == 1).sum())
    if copies.confirmed:
        figures["verified"] = told(copies.confirmed, ids, MOST_TOLD)
    cases = tuple(tuple(str(ids[row]) for row in rows) for rows in groups)
    verdict: Verdict = "clear"
    advice = "No two readable images have the same pixels"
    unseen = {name: figures.get(name, 0) for name in _UNSEEN if figures.get(name, 0)}
    if not groups and not unseen and figures["pairs_registered"] + figures["pairs_compared_pixel_for_pixel"]:
        advice += ", and no picture was confirmed to be a changed copy of another"
    if groups:
        verdict, advice = _judged(figures, across, splits is None)
    elif len(alike):
        verdict = "note"
        cases = tuple(tuple(str(ids[row]) for row in pair) for pair in alike[:MOST_TOLD])
    elif unseen:
        verdict = "note"
        advice += f"; {counted(sum(unseen.values()), 'pair', 'pairs')} that look alike could not be compared in detail"
    affected = frozenset(across) if verdict == "void" else frozenset()
    return Audit("near-duplicates", verdict, "check", figures, cases, advice + _remarks(figures), affected)


def _judged(figures: dict[str, Any], across: set[str], no_split: bool) -> tuple[Verdict, str]:
    """Return the verdict on verified copies, and what to do."""
    exact, every = figures["extra_exact_copies"], figures["extra_copies"]
    found = f"{counted(exact, 'extra copy', 'extra copies')} of exactly the same pixels" if exact else ""
    if every > exact:
        changed = counted(every - exact, "extra copy", "extra copies")
        found += (" and " if found else "") + (
            f"{changed} of a changed picture (encoded again, resized, cropped, turned or of other grey levels), "
            "confirmed by laying one on the other"
        )
    if no_split:
        return "warn", f"{found}; {KEPT_TOGETHER}"
    if figures["share_of_test_cases"] > VOID_SHARE or len(across) >= VOID_COUNT:
        return "void", (
            f"{found}, and {len(across)} of {figures['test_cases']} test cases are copied outside the test set: the "
            "test measures memory. Move the copies to one side or leave them out."
        )
    if across or figures["groups_across_train_and_val"]:
        return "warn", (
            f"{found}; {counted(len(across), 'test case')} copied outside the test set, "
            f"{counted(figures['groups_across_train_and_val'], 'group')} of copies across train and val. Move the "
            "copies to one side or leave them out."
        )
    return "warn", f"{found}, all on one side of the split. Leave the copies out if they are mistakes."


def _remarks(figures: dict[str, Any]) -> str:
    """Return what else must be said, after a full stop where there is none yet."""
    said = "" if figures["groups"] else "."
    if figures["groups_with_two_labels"]:
        said += f" {counted(figures['groups_with_two_labels'], 'group')} of copies with more than one label."
    if figures["near_pairs"]:
        said += (
            f" {counted(figures['near_pairs'], 'further pair looks', 'further pairs look')} alike by a perceptual "
            "hash; that is no proof of a copy, least of all in small images: compare them by eye."
        )
    if figures["pairs_left_unchecked"]:
        said += f" {counted(figures['pairs_left_unchecked'], 'pair')} less alike were not compared closely."
    return said


def conflicting(cohort: Cohort, groups: list[Rows]) -> list[Rows]:
    """Return the groups whose cases have different labels; an unknown label conflicts with nothing."""
    y = cohort.table[list(cohort.target.columns)].to_numpy(dtype=np.float64)
    found = []
    for rows in groups:
        known = y[rows]
        spread = np.nanmax(known, axis=0, initial=-np.inf) > np.nanmin(known, axis=0, initial=np.inf)
        if spread.any():
            found.append(rows)
    return found


def label_conflicts(cohort: Cohort, facts: pd.DataFrame, copies: Copies | None = None) -> Audit:
    """Look for one picture, exactly the same or a confirmed copy, with different labels.

    Parameters
    ----------
    cohort, facts
        The cases and their scan.
    copies
        As for :func:`near_duplicates`; without it only exactly equal pixels are compared.
    """
    ids = cohort.table["case_id"].astype(str).to_numpy(dtype=object)
    exact = exact_groups(facts) if copies is None else copies.exact
    groups = exact if copies is None else copies.groups
    conflicts = conflicting(cohort, groups)
    same = conflicting(cohort, exact)
    figures = {
        "groups_of_copies": len(groups),
        "groups_in_conflict": len(conflicts),
        "cases_in_conflict": sum(len(rows) for rows in conflicts),
        "groups_of_exact_copies_in_conflict": len(same),
    }
    if not conflicts:
        advice = "No two readable images that show the same picture have different labels."
        return Audit("label-conflicts", "clear", figures=figures, advice=advice)
    what = "exactly the same pixels" if len(same) == len(conflicts) else "copies of one picture"
    advice = (
        f"{counted(len(conflicts), 'group')} of {what} "
        f"{'carries' if len(conflicts) == 1 else 'carry'} different labels; at most one label of each can be "
        "right. Look the reference standard up and correct the table."
    )
    cases = tuple(tuple(str(ids[row]) for row in rows) for rows in conflicts)
    return Audit("label-conflicts", "warn", figures=figures, cases=cases, advice=advice)
