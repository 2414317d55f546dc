from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.audit.dates import read_dates

DAY = datetime.date(2021, 3, 4).toordinal()


def read(*values):
    return read_dates(pd.Series(list(values), dtype=object))


@pytest.mark.parametrize(
    "text",
    [
        *("2021-03-04", "2021/3/4", "2021.03.04", "20210304", "20210304101500.000", "2021-03-04T10:15:00Z"),
        *("2021-03-04 10:15", "4 Mar 2021", "04-MAR-2021", "March 4, 2021", "4 march 2021", "Mar 4 2021"),
    ],
)
def test_what_can_mean_one_day_alone_is_read(text):
    dates = read(text, None)
    assert dates.problem == ""
    assert (dates.first[0], dates.last[0]) == (DAY, DAY)
    assert np.isnan(dates.first[1])
    assert dates.known.tolist() == [True, False]


def test_months_and_years_are_any_of_their_days():
    dates = read("2020-02", "2020", "Feb 2020")
    assert dates.problem == "holds dates written in several ways"
    month, year = read("2020-02", "2020").first, read("2020-02", "2020").last
    assert month.tolist() == [datetime.date(2020, 2, 1).toordinal(), datetime.date(2020, 1, 1).toordinal()]
    assert year.tolist() == [datetime.date(2020, 2, 29).toordinal(), datetime.date(2020, 12, 31).toordinal()]
    assert read("Feb 2020").last[0] == datetime.date(2020, 2, 29).toordinal()
    assert read("2020-12").last[0] == datetime.date(2020, 12, 31).toordinal()


def test_columns_of_numbers_and_of_timestamps():
    assert read_dates(pd.Series([20210304, 20201231])).first[0] == DAY
    assert read_dates(pd.Series([20210304.0, np.nan])).first[0] == DAY
    assert read_dates(pd.Series([2021, 2020])).last[0] == datetime.date(2021, 12, 31).toordinal()
    assert read_dates(pd.Series(pd.to_datetime(["2021-03-04", None]))).first[0] == DAY


def test_a_day_beyond_12_says_which_comes_first():
    assert read("04/03/2021", "31/12/2020").first[0] == DAY
    assert read("03/04/2021", "12/31/2020").first[0] == DAY
    assert read("04.03.2021", "31.12.2020").first[0] == DAY


@pytest.mark.parametrize(
    ("values", "problem", "fix"),
    [
        (["04/03/2021", "05/06/2021"], "does not tell whether the day or the month comes first", "YYYY-MM-DD"),
        (["31/12/2020", "12/31/2020"], "the day first and dates with the month first", "YYYY-MM-DD"),
        (["04/03/21"], "holds years of two digits", "with the century"),
        (["4-Mar-21"], "holds years of two digits", "with the century"),
        (["2021-03-04", "31/12/2020"], "holds dates written in several ways", "YYYY-MM-DD"),
        (["2021-02-30"], "holds a day that no calendar has", "correct it"),
        (["2021-13-01"], "holds a day that no calendar has", "correct it"),
        (["0021-03-04"], "holds a day that no calendar has", "correct it"),
        ([44259.0], "holds numbers as spreadsheets keep dates", "format the column as dates"),
        (["soon"], "holds what is no date (of the form 'aaaa')", "leave it empty where unknown"),
        (["202103"], "holds what is no date (of the form '999999')", "YYYY-MM-DD"),
        ([3.5], "holds what is no date", "YYYY-MM-DD"),
    ],
)
def test_what_would_be_a_guess_is_refused_without_telling_the_value(values, problem, fix):
    dates = read(*values)
    assert problem in dates.problem
    assert fix in dates.fix
    assert not dates.known.any()
    assert "2020" not in dates.problem


def test_empty_columns_have_no_dates_and_no_problem():
    dates = read(None, "", "NA")
    assert (dates.problem, dates.known.any()) == ("", False)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.dates(datetime.date(1900, 1, 1), datetime.date(2200, 1, 1)), min_size=1, max_size=10))
def test_every_way_of_writing_gives_the_same_days(days):
    days.append(datetime.date(2001, 1, 31))  # no doubt about days and months
    wanted = [day.toordinal() for day in days]
    for way in ("%Y-%m-%d", "%Y%m%d", "%d/%m/%Y", "%m-%d-%Y", "%d.%m.%Y", "%d %b %Y", "%B %d, %Y"):
        dates = read(*(day.strftime(way) for day in days))
        if dates.problem:  # both orders may be possible of days that all lie before the 13th but one
            assert "comes first" in dates.problem or "month first" in dates.problem
            continue
        assert dates.first.tolist() == dates.last.tolist() == wanted
