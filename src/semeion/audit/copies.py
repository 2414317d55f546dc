"""Copies of pixels and patients on two sides of a split."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit, Verdict, counted
from semeion.cohort.cohort import Cohort

VOID_SHARE = 0.05
"""Verified copies of more than this share of the test cases on the other side void the result..."""
VOID_COUNT = 10
"""...and so do verified copies of this many test cases."""
NEAR_BITS = 3
"""Perceptual hashes that differ in at most this many of 64 bits make a pair look like copies."""
MOST_COMPARED = 40_000
"""Distinct perceptual hashes that are compared with one another (a few seconds); beyond, only equal ones are."""


def exact_groups(facts: pd.DataFrame) -> list[npt.NDArray[np.int64]]:
    """Return the row numbers of every group of two or more readable cases with exactly the same pixels."""
    seen = np.flatnonzero((facts["status"] == "ok").to_numpy())
    codes, _ = pd.factorize(facts["pixel_hash"].to_numpy()[seen])
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return [seen[rows] for rows in np.split(order, starts[1:]) if len(rows) > 1]


def duplicate_groups(cohort: Cohort, facts: pd.DataFrame) -> pd.Series:
    """Return which cases must stay on one side of a split.

    Cases of one patient belong together, and so do cases with exactly the same pixels; both relations are followed
    through (union-find), so two patients who share one picture become one group.

    Returns
    -------
    pandas.Series
        A group number a row (int64, from 0 in order of appearance), with the index of the cohort's table.
    """
    patients, _ = pd.factorize(cohort.table["patient_id"], use_na_sentinel=False)
    if not cohort.has_patients:
        patients = np.arange(len(cohort.table))
    parent = np.arange(int(patients.max(initial=-1)) + 1)

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = int(parent[node])
        return node

    for rows in exact_groups(facts):
        first = root(int(patients[rows[0]]))
        for row in rows[1:]:
            parent[root(int(patients[row]))] = first
    roots = np.array([root(node) for node in range(len(parent))], dtype=np.int64)
    labels, _ = pd.factorize(roots[patients])
    return pd.Series(labels.astype(np.int64), index=cohort.table.index, name="group")


def near_duplicates(cohort: Cohort, facts: pd.DataFrame) -> Audit:
    """Look for copies: exact ones by the hash of the pixels, likely ones by a perceptual hash."""
    groups = exact_groups(facts)
    ids = cohort.table["case_id"].to_numpy()
    figures: dict[str, Any] = {
        "groups": len(groups),
        "extra_copies": sum(len(rows) - 1 for rows in groups),
        "cases_with_a_copy": sum(len(rows) for rows in groups),
    }
    splits = cohort.table["split"].to_numpy() if cohort.has_split else None
    across: set[str] = set()
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
    near, compared = near_pairs(facts)
    figures |= {"near_pairs": len(near), "near_compared": compared}
    if splits is not None:
        figures["near_pairs_across_test"] = int(((splits[near] == "test").sum(axis=1) == 1).sum())
    cases = tuple(tuple(str(ids[row]) for row in rows) for rows in groups)
    caution = (
        f" {counted(len(near), 'further pair looks', 'further pairs look')} alike by a perceptual hash; that is no "
        "proof of a copy, least of all in small images: compare them by eye."
        if len(near)
        else ""
    )
    verdict: Verdict = "clear"
    advice = "No two readable images have the same pixels."
    if groups:
        verdict = "warn"
        advice = f"{counted(figures['extra_copies'], 'extra copy', 'extra copies')} of exactly the same pixels"
        if splits is None:
            advice += "; copies stay in one group when folds are drawn. Leave the copies out if they are mistakes."
        elif figures["share_of_test_cases"] > VOID_SHARE or len(across) >= VOID_COUNT:
            verdict = "void"
            advice += (
                f", and {len(across)} of {n_test} test cases are copied outside the test set: the test measures "
                "memory. Move the copies to one side or leave them out."
            )
        elif across or figures["groups_across_train_and_val"]:
            advice += (
                f"; {counted(len(across), 'test case')} copied outside the test set, "
                f"{counted(figures['groups_across_train_and_val'], 'group')} of copies across train and val. Move the "
                "copies to one side or leave them out."
            )
        else:
            advice += ", all on one side of the split. Leave the copies out if they are mistakes."
    elif len(near):
        verdict = "note"
        cases = tuple(tuple(str(ids[row]) for row in pair) for pair in near[:50])
    affected = frozenset(across) if verdict == "void" else frozenset()
    return Audit("near-duplicates", verdict, "check", figures, cases, advice + caution, affected)


def near_pairs(facts: pd.DataFrame) -> tuple[npt.NDArray[np.int64], str]:
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
    found: list[npt.NDArray[np.int64]] = []
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
        if total >= 10_000:
            break
    pairs = np.concatenate(found)[:10_000] if found else np.empty((0, 2), dtype=np.int64)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))] if len(pairs) else pairs.reshape(0, 2)
    return pairs, ("all" if everything else "equal hashes only") if len(rows) else "none"


def patient_overlap(cohort: Cohort) -> Audit:
    """Look for one patient (or group) on two sides of the given split."""
    if not cohort.has_patients:
        return Audit(
            "patient-overlap",
            "not_run",
            figures={"patients": 0},
            advice="The table names no patients, so nobody can say whether one is on both sides of a split. Bring a "
            "patient_id column, or name another with --group.",
        )
    table = cohort.table
    figures: dict[str, Any] = {"patients": int(table["patient_id"].nunique())}
    if not cohort.has_split:
        advice = "No split was given; folds are drawn by patient, so none is on two sides."
        return Audit("patient-overlap", "clear", figures=figures, advice=advice)
    sides = table.groupby("patient_id", sort=False)["split"].agg(set)
    across_test = set(sides.index[[("test" in found and len(found) > 1) for found in sides]])
    across_val = set(sides.index[[({"train", "val"} <= found) for found in sides]])
    is_test = table["split"] == "test"
    held = table["patient_id"].isin(across_test)
    figures |= {
        "patients_across_test": len(across_test),
        "patients_across_train_and_val": len(across_val),
        "test_cases": int(is_test.sum()),
        "test_cases_of_such_patients": int((held & is_test).sum()),
    }
    chosen = table[table["patient_id"].isin(across_test | across_val)]
    cases = tuple(tuple(ids) for ids in chosen.groupby("patient_id", sort=False)["case_id"].agg(list))
    if across_test:
        return Audit(
            "patient-overlap",
            "void",
            figures=figures,
            cases=cases,
            advice=f"{counted(len(across_test), 'patient is', 'patients are')} on both sides of the test set: the test "
            "measures recognition of patients. Give each patient one split, or ignore the split with --no-split.",
            affected=frozenset(table.loc[held & is_test, "case_id"].astype(str)),
        )
    if across_val:
        return Audit(
            "patient-overlap",
            "warn",
            figures=figures,
            cases=cases,
            advice=f"{counted(len(across_val), 'patient is', 'patients are')} both in train and in val: early "
            "stopping, calibration and the operating point are flattered; the test is not touched. Give each patient "
            "one split.",
        )
    return Audit("patient-overlap", "clear", figures=figures, advice="No patient is on two sides of the split.")


def label_conflicts(cohort: Cohort, facts: pd.DataFrame) -> Audit:
    """Look for exactly the same pixels with different labels."""
    y = cohort.table[list(cohort.target.columns)].to_numpy(dtype=np.float64)
    ids = cohort.table["case_id"].to_numpy()
    groups = exact_groups(facts)
    conflicts = []
    for rows in groups:
        known = y[rows]
        spread = np.nanmax(known, axis=0, initial=-np.inf) > np.nanmin(known, axis=0, initial=np.inf)
        if spread.any():
            conflicts.append(tuple(str(ids[row]) for row in rows))
    figures = {
        "groups_of_copies": len(groups),
        "groups_in_conflict": len(conflicts),
        "cases_in_conflict": sum(len(group) for group in conflicts),
    }
    if not conflicts:
        advice = "No two readable images with the same pixels have different labels."
        return Audit("label-conflicts", "clear", figures=figures, advice=advice)
    advice = (
        f"{counted(len(conflicts), 'group')} of exactly the same pixels "
        f"{'carries' if len(conflicts) == 1 else 'carry'} different labels; at most one label of each can be "
        "right. Look the reference standard up and correct the table."
    )
    return Audit("label-conflicts", "warn", figures=figures, cases=tuple(conflicts), advice=advice)
