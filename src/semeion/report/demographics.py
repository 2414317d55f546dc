"""Who the patients of each split were: age, sex, ethnicity and site, from the columns of the cohort."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from semeion.report.people import COHORT, People

if TYPE_CHECKING:
    import pandas as pd

_WORDS = {
    "age": {"age", "ages"},
    "sex": {"sex", "gender"},
    "ethnicity": {"ethnicity", "ethnic", "race"},
    "site": {"site", "hospital", "centre", "center", "institution"},
}
_TITLES = {"age": "Age", "sex": "Sex", "ethnicity": "Ethnicity", "site": "Site"}
_MOST_LEVELS = 12
_DICOM_AGE = re.compile(r"^(\d{3})([DWMY])$")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_ORDER = ("train", "val", "calibration", "test", "oof", "external")


def demographics(people: People, target: str) -> dict[str, Any]:
    """Return a table of who is in each split.

    Patients are described by their first case in the table; where patients were not named, cases are. Columns are known
    by their names: `age`, `patient_age`, `sex`, `gender`, `ethnicity`, `race`, `site`, `hospital` and the like. The
    target itself describes nobody.

    Returns
    -------
    dict
        ``unit`` (patients or cases), ``splits``: ``{split, n}``; ``rows``: ``{key, column, level, cells}`` with a cell
        a split: of an age ``{median, low, high, least, most, n, missing}`` (quartiles), of a level ``{n, of}``;
        ``absent``: titles of what no column tells; ``notes``.
    """
    table = people.table
    known = people.source == COHORT and len(table) > 0
    names = columns_of(list(table.columns), target) if known else {}
    splits = _splits(table) if known else []
    groups = {split: _one_each(people, table if split == "all" else people.of(split)) for split in splits}
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for key, column in names.items():
        if not any(group[column].notna().any() for group in groups.values()):
            continue
        years, unread = years_of(table[column]) if key == "age" else (None, 0)
        if years is not None:
            cells = [_spread(years.loc[group.index]) for group in groups.values()]
            rows.append({"key": key, "column": column, "level": None, "cells": cells})
            if unread:
                notes.append(f"{unread} values of {column} are no age and count as missing.")
        else:
            rows += _levels(key, column, groups)
    told = {row["key"] for row in rows}
    return {
        "unit": "patients" if people.named else "cases",
        "splits": [{"split": split, "n": len(group)} for split, group in groups.items()],
        "rows": rows,
        "absent": [title for key, title in _TITLES.items() if key not in told],
        "known": known,
        "notes": notes,
    }


def columns_of(names: list[str], target: str) -> dict[str, str]:
    """Return which column tells each characteristic: the first whose name has the word, shortest names first."""
    found = {}
    for key, words in _WORDS.items():
        fitting = [name for name in names if name != target and words & set(_tokens(name))]
        if key == "site" and "site" in names:
            fitting = ["site"]
        if fitting:
            found[key] = min(fitting, key=len)
    return found


def _tokens(name: str) -> list[str]:
    """Return the words of a column's name: ``PatientAge`` and ``patient_age`` have the word age, ``image`` has not."""
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]


def _splits(table: pd.DataFrame) -> list[str]:
    present = [str(name) for name in table["split"].dropna().unique()] if "split" in table else []
    ordered = [name for name in _ORDER if name in present] + sorted(set(present) - set(_ORDER))
    return ordered or ["all"]


def _one_each(people: People, table: pd.DataFrame) -> pd.DataFrame:
    return table.drop_duplicates("patient_id") if people.named and "patient_id" in table else table


def years_of(values: pd.Series[Any]) -> tuple[pd.Series[Any] | None, int]:
    """Return ages in years and how many values are none, or None where the column holds groups such as ``40-49``."""
    given = int(values.notna().sum())
    parsed = values.map(_age).astype("float64")
    read = int(parsed.notna().sum())
    return (parsed, given - read) if read >= 0.5 * given else (None, 0)


def _age(value: Any) -> float:
    """Return one age in years, NaN for what is none."""
    text = str(value).strip()
    if match := _DICOM_AGE.match(text):
        return int(match[1]) * _YEARS[match[2]]
    try:
        years = float(text)
    except ValueError:
        return math.nan
    return years if 0 <= years <= 130 else math.nan


def _spread(values: pd.Series[Any]) -> dict[str, Any]:
    kept = values.dropna()
    if not len(kept):
        none = dict.fromkeys(("median", "low", "high", "least", "most"))
        return {**none, "n": 0, "missing": len(values)}
    low, median, high = (float(kept.quantile(q)) for q in (0.25, 0.5, 0.75))
    return {
        "median": median,
        "low": low,
        "high": high,
        "least": float(kept.min()),
        "most": float(kept.max()),
        "n": len(kept),
        "missing": len(values) - len(kept),
    }


def _levels(key: str, column: str, groups: dict[str, pd.DataFrame]) -> Iterator[dict[str, Any]]:
    """Yield a row a level, the most frequent first, then others and missing values where there are any."""
    import pandas as pd

    texts = {
        split: group[column].map(lambda value: None if pd.isna(value) or not str(value).strip() else str(value).strip())
        for split, group in groups.items()
    }
    counts = pd.concat(list(texts.values())).value_counts()
    shown = [str(name) for name in counts.index[:_MOST_LEVELS]]
    rows: list[tuple[str, Any]] = [(name, lambda text, name=name: (text == name).sum()) for name in shown]
    if len(counts) > len(shown):
        more = f"{len(counts) - len(shown)} others"
        rows.append((more, lambda text: (text.notna() & ~text.isin(shown)).sum()))
    if any(text.isna().any() for text in texts.values()):
        rows.append(("not recorded", lambda text: text.isna().sum()))
    for level, count in rows:
        cells = [{"n": int(count(text)), "of": len(text)} for text in texts.values()]
        yield {"key": key, "column": column, "level": level, "cells": cells}
