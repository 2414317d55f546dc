"""The levels of columns beside the predictions: which rows are weighed by themselves."""

from __future__ import annotations

import pandas as pd

from semeion.errors import InputError

MOST_LEVELS = 20
"""Levels of a stratum that are weighed, the largest first."""
FEWEST_CASES = 10
"""A level with fewer cases has no figures."""


def parted(rows: pd.DataFrame, strata: pd.DataFrame) -> tuple[dict[str, dict[str, pd.DataFrame]], list[str]]:
    """Return the rows of every level of every column, the largest level first, and notes for the reader.

    Parameters
    ----------
    rows
        With ``case_id``, several a case where there are several labels.
    strata
        ``case_id`` and the columns. Cases not listed, or without a value, are in no level.

    Raises
    ------
    InputError
        When `strata` has no ``case_id`` or a case twice.
    """
    if "case_id" not in strata.columns:
        raise InputError("no column 'case_id'", where="strata", fix="say which case each row is")
    keyed = strata.assign(case_id=strata["case_id"].astype(str))
    if keyed["case_id"].duplicated().any():
        twice = keyed.loc[keyed["case_id"].duplicated(), "case_id"].iloc[0]
        raise InputError(f"case {twice!r} stands twice", where="strata", fix="keep one row a case")
    keyed = keyed.set_index("case_id")
    found: dict[str, dict[str, pd.DataFrame]] = {}
    notes: list[str] = []
    each = rows.drop_duplicates("case_id")["case_id"]
    for column in keyed.columns:
        levels = keyed[column].astype(object).where(keyed[column].notna()).map(str, na_action="ignore")
        ranked = each.map(levels).dropna().value_counts().sort_index()
        largest = ranked.sort_values(ascending=False, kind="stable").index.tolist()
        if len(largest) > MOST_LEVELS:
            notes.append(f"{column}: the {MOST_LEVELS} largest of {len(largest)} levels are weighed one by one.")
        of_row = rows["case_id"].map(levels)
        found[str(column)] = {level: rows[of_row == level] for level in largest[:MOST_LEVELS]}
    return found, notes
