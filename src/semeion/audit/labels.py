"""How many cases each class has, and what the table does not say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semeion.audit.audit import Audit, Verdict, counted
from semeion.cohort.cohort import SPLITS, Cohort
from semeion.cohort.problems import listed

FEW = 10
"""A class with fewer cases cannot be learned or measured in any useful way."""
VERY_FEW = 5
"""A class with fewer cases cannot even be divided into five folds."""
MOST_RARE = 6
"""Rare labels of masks that are told one by one; more of them often are an image that was named as a mask."""
IMBALANCE = 10.0
"""The largest class having this many times the cases of the smallest is noted."""


def class_members(cohort: Cohort) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Return, for each class (multi-label: each label present), which rows belong to it; none for a measured value and
    for masks.
    """
    target, table = cohort.target, cohort.table
    if target.task in ("regression", "segmentation"):
        return {}
    if target.task == "multilabel":
        return {name: (table[f"y.{name}"] == 1).to_numpy() for name in target.classes}
    return {name: (table["y"] == index).to_numpy() for index, name in enumerate(target.classes)}


def class_counts(cohort: Cohort, folds: int = 5) -> Audit:
    """Count cases and patients of every class, overall and in every split.

    Parameters
    ----------
    cohort
        The cases.
    folds
        Folds that will be drawn when no split is given.
    """
    if cohort.target.task == "regression":
        return _value_counts(cohort)
    table, members = cohort.table, class_members(cohort)
    counts = {name: int(rows.sum()) for name, rows in members.items()}
    patients = {name: int(table.loc[rows, "patient_id"].nunique()) for name, rows in members.items()}
    figures: dict[str, Any] = {"cases": len(table), **{f"cases_{name}": count for name, count in counts.items()}}
    problems, notes, missing_in = [], [], []
    if cohort.has_split:
        for split in [name for name in SPLITS if (table["split"] == name).any()]:
            inside = (table["split"] == split).to_numpy()
            for name, rows in members.items():
                figures[f"{split}_{name}"] = int((rows & inside).sum())
                if counts[name] and not (rows & inside).any():
                    missing_in.append(f"class {name!r} has no case in {split}")
    for name, count in counts.items():
        if count == 0:
            problems.append(f"class {name!r} has no case")
        elif count < FEW:
            how = "far too few" if count < VERY_FEW else "too few"
            problems.append(f"class {name!r} has {counted(count, 'case')}, {how} to learn or to measure")
        if not cohort.has_split and 0 < patients[name] < folds:
            whose = "patients" if cohort.has_patients else "cases"
            problems.append(f"class {name!r} has fewer {whose} ({patients[name]}) than folds ({folds})")
    problems += missing_in
    if sum(count > 0 for count in counts.values()) < 2 and cohort.target.task != "multilabel":
        problems.append("only one class has cases")
    filled = [count for count in counts.values() if count]
    ratio = max(filled) / min(filled) if filled else 0.0
    figures |= {"smallest_class": min(counts.values(), default=0), "imbalance": round(ratio, 3)}
    if ratio >= IMBALANCE and cohort.target.task != "multilabel":
        notes.append(f"the largest class has {ratio:.0f} times the cases of the smallest; accuracy alone would mislead")
    if problems:
        advice = (
            f"{_sentence(problems + notes)} Bring more such cases, merge classes, or correct the labels or the split."
        )
        return Audit("class-counts", "warn", figures=figures, advice=advice)
    if notes:
        advice = f"{_sentence(notes)} Training weighs the classes; read AUPRC and precision as well."
        return Audit("class-counts", "note", figures=figures, advice=advice)
    return Audit("class-counts", "clear", figures=figures, advice="Every class has cases enough on every side.")


def mask_counts(cohort: Cohort, facts: pd.DataFrame) -> Audit:
    """Count the cases whose mask holds each label of a segmentation, overall and in every split."""
    held = [set(text.split(";")) - {"", "0"} for text in facts["mask_labels"].astype("str")]
    ok = (facts["status"] == "ok").to_numpy()
    figures: dict[str, Any] = {"cases": int(ok.sum())}
    figures["empty_masks"] = int(sum(not labels for labels, usable in zip(held, ok, strict=True) if usable))
    problems: list[str] = []
    rare: dict[str, int] = {}
    for name, value in zip(cohort.target.classes, cohort.target.values, strict=True):
        rows = np.array([str(value) in labels for labels in held], dtype=np.bool_) & ok
        figures[f"cases_{name}"] = int(rows.sum())
        if rows.sum() < FEW:
            rare[name] = int(rows.sum())
        for split in SPLITS if cohort.has_split else ():
            inside = (cohort.table["split"] == split).to_numpy(dtype=np.bool_)
            figures[f"{split}_{name}"] = int((rows & inside).sum())
            if rows.any() and inside.any() and not (rows & inside).any():
                problems.append(f"no mask in {split} holds label {name!r}")
    if len(rare) > MOST_RARE:
        shown = listed(map(repr, rare))
        problems.insert(0, f"{len(rare)} labels are in the masks of fewer than {FEW} cases ({shown}): are these masks?")
    else:
        told = [f"label {name!r} is in the masks of {counted(count, 'case')}" for name, count in rare.items()]
        problems = [*told, *problems]
    if figures["empty_masks"]:
        problems.append(f"{counted(figures['empty_masks'], 'mask is', 'masks are')} empty")
    if problems:
        advice = f"{_sentence(problems)} Bring more such cases, or correct the masks, the labels or the split."
        return Audit("class-counts", "warn", figures=figures, advice=advice)
    return Audit("class-counts", "clear", figures=figures, advice="Every label is in masks enough on every side.")


def missing_values(cohort: Cohort) -> Audit:
    """Count what the table leaves out: a site, a patient, a covariate, a label of several, any other column."""
    table, target = cohort.table, cohort.target
    known = {"case_id", "image", "split", *target.columns}
    named = [name for name in table.columns if name not in known]
    missing = {str(name): int(_absent(table[name]).sum()) for name in named}
    labels = {name: int(table[name].isna().sum()) for name in target.columns}
    figures: dict[str, Any] = {"cases": len(table)}
    figures |= {f"missing_{name}": count for name, count in {**missing, **labels}.items() if count}
    problems, notes = [], []
    n = len(table)
    problems += [
        f"the covariate {name!r} is missing in {missing[name]} of {n} cases"
        for name in cohort.covariates
        if missing.get(name)
    ]
    problems += [
        f"{name} is missing in {missing[name]} of {n} cases and given in the others"
        for name in ("patient_id", "site")
        if 0 < missing.get(name, 0) < n
    ]
    if any(labels.values()):
        some = ", ".join(f"{name.removeprefix('y.')} ({count})" for name, count in labels.items() if count)
        notes.append(
            f"labels are unknown for some cases: {some}; those are left out of that label's training and figures"
        )
    others = [name for name in cohort.unused if missing.get(name, 0) > 0]
    if others:
        notes.append(f"{counted(len(others), 'column not used has', 'columns not used have')} missing values")
    verdict: Verdict = "warn" if problems else "note" if notes else "clear"
    if verdict == "clear":
        advice = "No value that is used is missing."
    else:
        advice = _sentence(problems + notes)
        if problems:
            advice += " Complete the column, or do without it."
    return Audit("missing-values", verdict, figures=figures, advice=advice)


def _value_counts(cohort: Cohort) -> Audit:
    """Look at the spread of a measured value."""
    y = cohort.table["y"].to_numpy(dtype=np.float64)
    y = y[np.isfinite(y)]
    figures: dict[str, Any] = {"cases": len(y), "distinct_values": len(np.unique(y))}
    if len(y):
        figures |= {"minimum": float(y.min()), "median": float(np.median(y)), "maximum": float(y.max())}
    if cohort.has_split:
        figures |= {name: int((cohort.table["split"] == name).sum()) for name in SPLITS}
    if figures["distinct_values"] < 2:
        advice = "The target has one value only: there is nothing to learn. Check the column."
        return Audit("class-counts", "warn", figures=figures, advice=advice)
    if len(y) < 5 * FEW:
        advice = f"{counted(len(y), 'case')} are few for a measured value; expect wide intervals. Bring more cases."
        return Audit("class-counts", "note", figures=figures, advice=advice)
    return Audit("class-counts", "clear", figures=figures, advice="The target has cases and values enough.")


def _absent(column: pd.Series) -> pd.Series:
    """Return which values are missing, blank text included."""
    absent = column.isna()
    if column.dtype.kind in "OUS" or str(column.dtype) in ("str", "string"):
        absent |= column.astype(str).str.strip() == ""
    return absent


def _sentence(parts: list[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
