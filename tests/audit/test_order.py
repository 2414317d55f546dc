from __future__ import annotations

import json

import pandas as pd
import pytest

from semeion.audit.order import time_order


def dated(make_cohort, make_facts, n=40, **columns):
    cohort = make_cohort(n, unused=tuple(columns), **columns)
    return time_order(cohort, make_facts(cohort))


def days(n, *, late=(), year=2020):
    return [f"{year + (k in late)}-05-01" for k in range(n)]


def test_without_dates_nothing_can_be_said(make_cohort, make_facts):
    audit = dated(make_cohort, make_facts)
    assert audit.verdict == "not_run"
    assert "does not say when the images were taken" in audit.advice
    assert "acquisition_date" in audit.advice
    only = dated(make_cohort, make_facts, scan_date=days(40))
    assert only.verdict == "not_run"
    assert "does not say when the outcome was known or treatment began" in only.advice


def test_images_before_the_outcome_are_clear_and_the_same_day_is_not_later(make_cohort, make_facts):
    audit = dated(make_cohort, make_facts, scan_date=days(40), diagnosis_date=days(40))
    assert (audit.verdict, audit.figures["scan_date_after_diagnosis_date_compared"]) == ("clear", 40)
    assert audit.advice == "No image was taken after 'diagnosis_date'."


@pytest.mark.parametrize(("late", "verdict"), [(1, "note"), (4, "warn"), (5, "warn"), (200, "warn")])
def test_images_taken_afterwards_are_counted_by_class(make_cohort, make_facts, late, verdict):
    n = 100 if late == 1 else 180 if late == 4 else 400
    which = range(0, 2 * late, 2) if late < 200 else range(200)
    audit = dated(make_cohort, make_facts, n, scan_date=days(n, late=which), diagnosis_date=days(n))
    assert audit.verdict == verdict
    assert audit.figures["scan_date_after_diagnosis_date"] == late
    assert audit.figures["images_taken_afterwards"] == len(audit.cases) == late
    if late < 200:
        assert audit.figures["scan_date_after_diagnosis_date_benign"] == late
        assert f"{late} of {n} images were taken after the outcome" in audit.advice
        assert f"{late} benign" in audit.advice
    json.dumps(audit.to_json(), allow_nan=False)


def test_treatment_is_its_own_reason(make_cohort, make_facts):
    started = [None] * 20 + ["2019-01-01"] * 20
    audit = dated(make_cohort, make_facts, AcquisitionDate=days(40), SurgeryDate=started)
    assert audit.verdict == "warn"
    assert "20 of 20 images were taken after treatment began" in audit.advice


def test_coarse_dates_count_only_where_every_reading_is_later(make_cohort, make_facts):
    outcome = ["2020"] * 20 + ["2020-04"] * 20
    audit = dated(make_cohort, make_facts, scan_date=["2020-05-01"] * 40, diagnosis_date=outcome)
    assert audit.figures["scan_date_after_diagnosis_date"] == 20


def test_ambiguous_columns_are_named_and_not_guessed(make_cohort, make_facts):
    audit = dated(make_cohort, make_facts, scan_date=["03/04/2020"] * 40, diagnosis_date=days(40))
    assert audit.verdict == "not_run"
    assert "column 'scan_date' does not tell whether the day or the month comes first" in audit.advice
    assert "write dates as YYYY-MM-DD" in audit.advice
    half = dated(make_cohort, make_facts, scan_date=days(40), diagnosis_date=days(40), surgery_date=["1/2/20"] * 40)
    assert half.verdict == "not_run"
    assert "column 'surgery_date' holds years of two digits" in half.advice
    assert half.figures["columns_not_read"] == 1
    late = dated(
        make_cohort, make_facts, scan_date=days(40, year=2022), diagnosis_date=days(40), surgery_date=["1/2/20"] * 40
    )
    assert late.verdict == "warn"
    assert "Not read: column 'surgery_date'" in late.advice


def test_the_files_own_date_counts(make_cohort, make_facts):
    cohort = make_cohort(10, unused=("diagnosis_date",), diagnosis_date=["2019-01-01"] * 10)
    facts = make_facts(cohort, acquired=pd.array(["20200101"] * 9 + [""], dtype="str"))
    audit = time_order(cohort, facts)
    assert (audit.verdict, audit.figures["acquired_after_diagnosis_date"]) == ("warn", 9)


def test_dates_of_different_cases_are_not_compared(make_cohort, make_facts):
    audit = dated(
        make_cohort, make_facts, 4, scan_date=[None, None, "2020", "2020"], diagnosis_date=["2019", "2019", None, None]
    )
    assert audit.verdict == "not_run"
    assert "No case has both a date" in audit.advice
