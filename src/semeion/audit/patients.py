"""One patient on two sides of a split, under one id or under two."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit, Verdict, counted
from semeion.audit.columns import STUDY_UID, joined
from semeion.cohort.cohort import Cohort

PLACEHOLDER = 5
"""A study UID or a picture that more patients than this share is a placeholder or a template, and links nobody."""
_UID = re.compile(r"[0-2](\.\d+){4,}")
"""A DICOM UID with enough components to be of one study (PS3.5 section 9)."""

Groups = list[npt.NDArray[np.int64]]


def patient_overlap(cohort: Cohort, facts: pd.DataFrame | None = None) -> Audit:
    """Look for one patient (or group) on two sides of the given split.

    Patients are told by their ids, and by what gives one patient under two ids away: one DICOM study (the same study
    instance UID), or exactly the same pixels, blank pictures aside.

    ``void``: an id, or one study under two ids, on both sides of the test set. ``warn``: between train and validation;
    the same pixels under two ids on two sides (that these copies void the result from a number on is what the audit of
    near-duplicates says); without a split, a study under two ids, since folds may separate them. ``note``: the same
    pixels under two ids otherwise, which stay together. ``not_run`` without patient ids, unless a study is found on
    both sides of the test set.

    Parameters
    ----------
    cohort
        The cases.
    facts
        Their scan; without it nothing is said of pixels. ``study_uid``, where it is a column, is what the files tell.
    """
    studies = _study_groups(cohort, facts)
    if not cohort.has_patients:
        return _without_patients(cohort, studies)
    studies, pixels = _under_two_ids(cohort, studies), _under_two_ids(cohort, _pixel_groups(facts))
    return (_on_sides if cohort.has_split else _in_folds)(cohort, studies, pixels)


def _in_folds(cohort: Cohort, studies: Groups, pixels: Groups) -> Audit:
    """Judge patients under two ids where folds will be drawn by patient."""
    figures = _counts(cohort, studies, pixels)
    cases = tuple(_ids(cohort, rows) for rows in (*studies, *pixels))
    advice = f"{_told(studies, pixels)}. "
    if studies:
        advice += "Folds are drawn by patient id, so such a patient may be on two sides: give a patient one id."
        return Audit("patient-overlap", "warn", figures=figures, cases=cases, advice=advice)
    if pixels:
        advice += "Such cases stay together when folds are drawn; correct the ids all the same."
        return Audit("patient-overlap", "note", figures=figures, cases=cases, advice=advice)
    advice = "No split was given; folds are drawn by patient, so none is on two sides."
    return Audit("patient-overlap", "clear", figures=figures, advice=advice)


def _on_sides(cohort: Cohort, studies: Groups, pixels: Groups) -> Audit:
    """Look at the sides of the given split."""
    table, splits = cohort.table, cohort.table["split"].to_numpy()
    sides = table.groupby("patient_id", sort=False)["split"].agg(set)
    across_test = set(sides.index[[("test" in found and len(found) > 1) for found in sides]])
    across_val = set(sides.index[[({"train", "val"} <= found) for found in sides]])
    studies_test, studies_val = _across(studies, splits)
    pixels_test, pixels_val = _across(pixels, splits)
    held = np.array(table["patient_id"].isin(across_test), dtype=np.bool_)
    for rows in studies_test:
        held[rows] = True
    held &= splits == "test"
    figures = _counts(cohort, studies, pixels) | {
        "patients_across_test": len(across_test),
        "patients_across_train_and_val": len(across_val),
        "studies_under_two_ids_across_test": len(studies_test),
        "pictures_under_two_ids_across_test": len(pixels_test),
        "test_cases": int((splits == "test").sum()),
        "test_cases_of_such_patients": int(held.sum()),
    }
    chosen = table[table["patient_id"].isin(across_test | across_val)]
    cases = tuple(tuple(ids) for ids in chosen.groupby("patient_id", sort=False)["case_id"].agg(list))
    cases += tuple(_ids(cohort, rows) for rows in (*studies, *pixels))
    also = f" {_told(studies, pixels)}." if studies or pixels else ""
    verdict: Verdict = "clear"
    affected: frozenset[str] = frozenset()
    if across_test or studies_test:
        verdict, affected = "void", frozenset(_ids(cohort, np.flatnonzero(held)))
        if across_test:
            number, todo = counted(len(across_test), "patient is", "patients are"), "Give each patient one split"
            two = ""
        else:
            number, todo = counted(len(studies_test), "study is", "studies are"), "Give a patient one id and one split"
            two = " under two patient ids"
        advice = (
            f"{number} on both sides of the test set{two}: the test measures recognition of patients. {todo}, or "
            f"ignore the split with --no-split.{also}"
        )
    elif across_val or studies_val:
        verdict = "warn"
        advice = (
            f"{counted(len(across_val) + len(studies_val), 'patient is', 'patients are')} both in train and in val: "
            "early stopping, calibration and the operating point are flattered; the test is not touched. Give each "
            f"patient one split.{also}"
        )
    elif pixels_test or pixels_val:
        verdict, advice = "warn", f"{also.strip()} Give a patient one id and one split."
    elif also:
        verdict, advice = "note", f"{also.strip()} They are on one side of the split; correct the ids."
    else:
        advice = "No patient is on two sides of the split."
    return Audit("patient-overlap", verdict, figures=figures, cases=cases, advice=advice, affected=affected)


def _counts(cohort: Cohort, studies: Groups, pixels: Groups) -> dict[str, Any]:
    figures: dict[str, Any] = {"patients": int(cohort.table["patient_id"].nunique())}
    return figures | {"studies_under_two_ids": len(studies), "pictures_under_two_ids": len(pixels)}


def _without_patients(cohort: Cohort, studies: Groups) -> Audit:
    """Look at studies where nobody names patients."""
    figures: dict[str, Any] = {"patients": 0}
    advice = (
        "The table names no patients, so nobody can say whether one is on both sides of a split. Bring a patient_id "
        "column, or name another with --group."
    )
    if not cohort.has_split or not studies:
        return Audit("patient-overlap", "not_run", figures=figures, advice=advice)
    across, _ = _across(studies, cohort.table["split"].to_numpy())
    figures["studies_across_test"] = len(across)
    if not across:
        return Audit("patient-overlap", "not_run", figures=figures, advice=advice)
    found = np.concatenate(across)
    test = cohort.table["split"].to_numpy()[found] == "test"
    return Audit(
        "patient-overlap",
        "void",
        figures=figures,
        cases=tuple(_ids(cohort, rows) for rows in across),
        advice=f"{counted(len(across), 'study is', 'studies are')} on both sides of the test set: the test measures "
        "recognition of patients. Keep a study together, or ignore the split with --no-split; and bring a patient_id "
        "column, since a patient may have several studies.",
        affected=frozenset(_ids(cohort, found[test])),
    )


def _study_groups(cohort: Cohort, facts: pd.DataFrame | None) -> Groups:
    """Return the rows of every study with two cases or more, by the table's column or by what the files tell."""
    named = [name for name in cohort.table.columns if joined(str(name)) in STUDY_UID]
    if named:
        uids = cohort.table[named[0]]
    elif facts is not None and "study_uid" in facts.columns:
        uids = facts["study_uid"]
    else:
        return []
    texts = np.array([str(uid).strip() if isinstance(uid, str) else "" for uid in uids], dtype=object)
    return _groups(texts, np.array([_UID.fullmatch(text) is not None for text in texts], dtype=np.bool_))


def _pixel_groups(facts: pd.DataFrame | None) -> Groups:
    """Return the rows of every picture that stands in two cases or more."""
    if facts is None:
        return []
    usable = (facts["status"] == "ok").to_numpy() & ~facts["blank"].to_numpy(dtype=np.bool_)
    return _groups(facts["pixel_hash"].to_numpy(), usable)


def _groups(values: npt.NDArray[Any], usable: npt.NDArray[np.bool_]) -> Groups:
    """Return the rows of every value that occurs twice or more among the usable rows."""
    seen = np.flatnonzero(usable)
    codes, _ = pd.factorize(values[seen])
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return [seen[rows] for rows in np.split(order, starts[1:]) if len(rows) > 1]


def _under_two_ids(cohort: Cohort, groups: Groups) -> Groups:
    """Return the groups whose cases are of two patients by their ids, but of no more than a placeholder would link."""
    patient, _ = pd.factorize(cohort.table["patient_id"], use_na_sentinel=False)
    return [rows for rows in groups if 1 < len(np.unique(patient[rows])) <= PLACEHOLDER]


def _across(groups: Groups, splits: npt.NDArray[Any]) -> tuple[Groups, Groups]:
    """Return the groups on both sides of test, and those both in train and in val."""
    test = [rows for rows in groups if 0 < int((splits[rows] == "test").sum()) < len(rows)]
    return test, [rows for rows in groups if {"train", "val"} <= set(splits[rows])]


def _ids(cohort: Cohort, rows: npt.NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(str(one) for one in cohort.table["case_id"].to_numpy()[rows])


def _told(studies: Groups, pixels: Groups) -> str:
    """Say which patients have two ids."""
    parts: list[str] = []
    if studies:
        parts.append(f"{counted(len(studies), 'study stands', 'studies stand')} under two patient ids")
    if pixels:
        number = counted(len(pixels), "picture stands", "pictures stand")
        parts.append(f"{number} under two patient ids with exactly the same pixels")
    return " and ".join(parts)
