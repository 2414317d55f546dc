"""Dates of a table, read without a guess: what could mean two days is refused."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.words import is_missing

FIRST_YEAR, LAST_YEAR = 1850, 2300
"""Dates moved to protect patients may lie in the future, but not further."""

_TIME = r"(?:[T ]+\d{1,2}:\d{2}.*)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})(?:([-/.])(\d{{1,2}})(?:\2(\d{{1,2}}){_TIME})?)?")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\d{4,6}(?:\.\d+)?)?")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/. ])(\d{{1,2}})\2(\d{{4}}){_TIME}")
_DAY_MONTH = re.compile(rf"(\d{{1,2}})[-/. ]*([a-z]{{3,9}})[-/.,\s]*(\d{{4}}){_TIME}")
_MONTH_DAY = re.compile(rf"([a-z]{{3,9}})[-/. ]*(?:(\d{{1,2}})[-/, ]+)?(\d{{4}}){_TIME}")
_SHORT_YEAR = re.compile(rf"\d{{1,2}}[-/. ]*(?:\d{{1,2}}|[a-z]{{3,9}})[-/., ]+\d{{2}}{_TIME}", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ENDINGS = ("uary", "ruary", "ch", "il", "", "e", "y", "ust", "tember", "ober", "ember", "ember")
_ISO = "write dates as YYYY-MM-DD"


@dataclass(frozen=True)
class Dates:
    """The dates of a column.

    Attributes
    ----------
    first, last
        The earliest and the latest day that each may mean (a month or a year alone means any of its days), in days
        since 1 January of the year 1, ``(cases,)``; NaN where missing.
    problem
        Why the column is not read, a clause without its name; empty when it is.
    fix
        What to do about it.
    """

    first: npt.NDArray[np.float64]
    last: npt.NDArray[np.float64]
    problem: str = ""
    fix: str = ""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which cases have a date."""
        return np.isfinite(self.first)


def read_dates(column: pd.Series[Any]) -> Dates:
    """Read a column of dates.

    Understood are years first (``2021-03-04``, ``20210304``, ``2021-03``, ``2021``), months by their English name
    (``4 Mar 2021``, ``March 4, 2021``), and days or months first with a year of four digits when some value of the
    column leaves no doubt which of the two it is (``31/12/2021``) and none speaks against it. A time of day is ignored.

    Refused, as a whole, is a column with years of two digits, with several ways of writing, without a clue whether the
    day or the month comes first, with numbers of a spreadsheet, or with anything else.
    """
    texts = _texts(column)
    nothing = np.full(len(texts), np.nan)
    spans: dict[str, tuple[str, tuple[int, int | None, int | None]]] = {}
    for text in dict.fromkeys(text for text in texts if text is not None):
        parsed = _parts(text)
        if parsed is None:
            return Dates(nothing, nothing, *_refusal(text))
        spans[text] = parsed
    ways = {way for way, _ in spans.values()}
    if len(ways) > 1:
        return Dates(nothing, nothing, "holds dates written in several ways", _ISO)
    if ways == {"year last"}:
        one = max((parts[1] or 0 for _, parts in spans.values()), default=0)
        two = max((parts[2] or 0 for _, parts in spans.values()), default=0)
        if one > 12 and two > 12:
            return Dates(nothing, nothing, "holds dates with the day first and dates with the month first", _ISO)
        if one <= 12 and two <= 12:
            return Dates(nothing, nothing, "does not tell whether the day or the month comes first", _ISO)
        if one > 12:
            spans = {text: (way, (year, b, a)) for text, (way, (year, a, b)) in spans.items()}
    first, last = nothing.copy(), nothing.copy()
    ends: dict[str, tuple[int, int]] = {}
    for text, (_, parts) in spans.items():
        span = _days(*parts)
        if span is None:
            return Dates(nothing, nothing, "holds a day that no calendar has", f"correct it and {_ISO}")
        ends[text] = span
    for row, written in enumerate(texts):
        if written is not None:
            first[row], last[row] = ends[written]
    return Dates(first, last)


def _texts(column: pd.Series[Any]) -> list[str | None]:
    """Return what stands in the column, None where nothing does; whole numbers without a fraction."""
    texts: list[str | None] = []
    for value in column.astype(object):
        if value is None or value is pd.NaT or value is pd.NA or value != value:
            texts.append(None)
        elif isinstance(value, (int, float, np.integer, np.floating)):
            texts.append(f"{value:.0f}" if value == np.rint(value) else str(float(value)))
        else:
            text = str(value.isoformat() if hasattr(value, "isoformat") else value)
            texts.append(None if is_missing(text) else " ".join(text.split()))
    return texts


def _parts(text: str) -> tuple[str, tuple[int, int | None, int | None]] | None:
    """Return the way of writing, and year, month and day (of a year that comes last: the two numbers as they stand)."""
    match = _YEAR_FIRST.fullmatch(text)
    if match:
        return "year first", (int(match[1]), _whole(match[3]), _whole(match[4]))
    match = _COMPACT.fullmatch(text)
    if match:
        return "year first", (int(match[1]), int(match[2]), int(match[3]))
    match = _YEAR_LAST.fullmatch(text)
    if match:
        return "year last", (int(match[4]), int(match[1]), int(match[3]))
    lower = text.lower()
    match = _DAY_MONTH.fullmatch(lower)
    if match and (month := _month(match[2])):
        return "month by name", (int(match[3]), month, int(match[1]))
    match = _MONTH_DAY.fullmatch(lower)
    if match and (month := _month(match[1])):
        return "month by name", (int(match[3]), month, _whole(match[2]))
    return None


def _refusal(text: str) -> tuple[str, str]:
    """Return what is wrong with a value that is no date, without saying it, and what to do."""
    if _SHORT_YEAR.fullmatch(text):
        return "holds years of two digits", f"{_ISO}, with the century"
    if re.fullmatch(r"\d{5}(\.\d+)?", text):
        return "holds numbers as spreadsheets keep dates", f"format the column as dates and {_ISO}"
    shape = re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text[:20]))
    return f"holds what is no date (of the form {shape!r})", f"correct it, leave it empty where unknown, and {_ISO}"


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)


def _month(name: str) -> int:
    """Return the number of an English month, whole or by its first three letters (or ``sept``); 0 when it is none."""
    for number, (start, ending) in enumerate(zip(_MONTHS, _ENDINGS, strict=True), 1):
        if name in (start, start + ending) or (name == "sept" and start == "sep"):
            return number
    return 0


def _days(year: int, month: int | None, day: int | None) -> tuple[int, int] | None:
    """Return the first and last day that are meant, None when there is no such day."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        first = datetime.date(year, month or 1, day or 1)
        if day is not None:
            last = first
        elif month is not None:
            last = datetime.date(year + month // 12, month % 12 + 1, 1) - datetime.timedelta(days=1)
        else:
            last = datetime.date(year, 12, 31)
    except ValueError:
        return None
    return first.toordinal(), last.toordinal()
