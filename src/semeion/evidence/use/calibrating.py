"""The cases that calibrate sets and intervals, and those that they are made for, out of a table of predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semeion.errors import InputError
from semeion.evidence.question import Question
from semeion.evidence.table import OUTSIDE, SHARE, Cases, probability_columns, split_cases, validate_predictions

_AGREE = 1e-6
"""How far an out-of-fold probability may be from the mean of its fold's members."""


def levels_of(cases: Cases, strata: pd.DataFrame | None) -> dict[str, NDArray[np.object_]]:
    """Return the level of each case in each column; None where unknown."""
    if strata is None:
        return {}
    keyed = strata.assign(case_id=strata["case_id"].astype(str)).set_index("case_id").reindex(cases.case_id)
    columns = {str(name): keyed[name].astype(object) for name in keyed}
    return {name: column.where(column.notna(), None).to_numpy(object) for name, column in columns.items()}


def folds_refused(out: Cases) -> str:
    """Return why out-of-fold cases cannot calibrate, or nothing."""
    pairs = np.unique(np.column_stack([out.patient, out.fold]), axis=0)
    if len(np.unique(out.fold)) < 2:
        return "All out-of-fold cases are of one fold, so there are no others to calibrate sets."
    if len(pairs) > patients_of(out):
        return "A patient is in two folds, so out-of-fold cases cannot calibrate sets."
    return ""


def of_folds(
    raw: pd.DataFrame | None, out: Cases, cases: Cases, columns: list[str]
) -> dict[int, NDArray[np.float64]] | str:
    """Return what the members of each fold say of new cases, ``{fold: (new cases, columns)}``, or why nobody knows."""
    if raw is None:
        return "the table has no probabilities before calibration"
    rows = raw[~raw["member"].isin(OUTSIDE) & (raw["target"] == cases.target)]
    held, asked = rows[rows["split"] == "oof"], rows[rows["split"] == cases.split]
    folds = held.groupby("member")["fold"].agg(["nunique", "first"])
    if (folds["nunique"] > 1).any() or set(folds["first"]) != set(out.fold.tolist()):
        return "the table does not tell which members left out which fold"
    of = folds["first"].to_dict()
    own = _mean_of(held, columns).reindex(out.case_id).to_numpy(np.float64)
    # NaN is far as well.
    if not np.abs(own - out.p.reshape(own.shape)).max() <= _AGREE:
        return "an out-of-fold prediction is not the mean of the members of its fold"
    new = {}
    for number, part in asked.groupby(asked["member"].map(of)):
        if SHARE in part and not part[SHARE].sum() > 0:
            return "no member of one of them has a share in the ensemble"
        sure = _mean_of(part, columns).reindex(cases.case_id).to_numpy(np.float64)
        whole = part.groupby("case_id")["member"].nunique().reindex(cases.case_id)
        if np.isnan(sure).any() or (whole != sum(fold == number for fold in of.values())).any():
            return "not every member has read these cases"
        new[int(number)] = sure
    return new if set(new) == set(of.values()) else "not every member has read these cases"


def _mean_of(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the mean over the members of each case, weighted by the column ``share`` where there is one."""
    if SHARE not in rows:
        return rows.groupby("case_id")[columns].mean()
    weighted = rows[columns].mul(rows[SHARE], axis=0).groupby(rows["case_id"]).sum()
    return weighted.div(rows.groupby("case_id")[SHARE].sum(), axis=0)


def sorted_table(predictions: pd.DataFrame, question: Question) -> pd.DataFrame:
    """Return checked predictions in an order of their own, so that no figure depends on that of the rows."""
    return validate_predictions(predictions, question).sort_values(["patient_id", "case_id"], kind="stable")


def by_split(table: pd.DataFrame, question: Question) -> dict[str, dict[str, Cases]]:
    """Return the ensemble's cases by split and target."""
    return {cases[0].split: {each.target: each for each in cases} for cases in split_cases(table, question) if cases}


def raw_table(predictions: pd.DataFrame, question: Question) -> pd.DataFrame | None:
    """Return the predictions with probabilities before calibration, None where not every case has any."""
    names = {name: f"raw_{name.removeprefix('p_')}" for name in probability_columns(question)}
    if not set(names.values()) <= set(predictions.columns):
        return None
    try:
        table = sorted_table(predictions.assign(**{p: predictions[raw] for p, raw in names.items()}), question)
        if SHARE not in predictions:
            return table
        # Checked rows are numbered from 0, whatever the numbers of the given ones.
        return table.join(predictions[SHARE].reset_index(drop=True).astype(np.float64))
    except InputError:  # what is called raw there is something else
        return None


def taken(cases: Cases, kept: NDArray[np.bool_]) -> Cases:
    """Return the cases that are kept, ``(cases,)`` of bool."""
    return replace(
        cases,
        case_id=cases.case_id[kept],
        patient=cases.patient[kept],
        fold=cases.fold[kept],
        y=cases.y[kept],
        p=cases.p[kept],
    )


def patients_of(cases: Cases, index: int | None = None) -> int:
    """Return how many patients there are, or are of one class."""
    return len(np.unique(cases.patient if index is None else cases.patient[cases.y == index]))
