from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from semeion.audit.metadata import as_category, as_number, columns_of, metadata, questions, with_origins
from semeion.cohort.cohort import Target


def names(found):
    return {factor.name for factor in found.factors}


def test_which_columns_count_and_which_do_not(make_cohort, make_facts):
    n = 40
    two, many = ["a", "b"] * 20, np.linspace(0, 1, n)
    columns = {"hospital": two, "kvp": many, "age": many, "sex": two, "lesion_size": many, "scanner": two}
    cohort = make_cohort(
        n, site=two, unused=("hospital", "kvp", "age", "sex", "lesion_size"), covariates=("scanner",), **columns
    )
    found = metadata(cohort, make_facts(cohort))
    assert names(found) == {"site", "hospital", "kvp", "scanner"}
    assert found.unread == ()


def test_what_the_scan_tells_counts_where_it_varies(make_cohort, make_facts):
    cohort = make_cohort(60)
    rows = np.arange(60) + 100
    facts = make_facts(
        cohort,
        rows=pd.array(rows, dtype="Int64"),
        cols=pd.array([200] * 60, dtype="Int64"),
        file_bytes=pd.array(rows * 200 + np.arange(60) * 100, dtype="Int64"),
        source_format=["png", "jpeg"] * 30,
        bits=pd.array([8] * 60, dtype="Int64"),
        notes=["exif-rotated;other", "other"] * 30,
        acquired=[f"{2000 + k // 3}0101" for k in range(60)],
    )
    found = metadata(cohort, facts)
    assert names(found) == {
        *("image_rows", "aspect", "bytes_per_pixel", "file_type", "how_it_was_read", "acquired"),
    }
    by_name = {factor.name: factor for factor in found.factors}
    assert by_name["aspect"].numbers[0] == 2
    assert by_name["file_type"].codes.tolist() == [0, 1] * 30


def test_unreadable_images_tell_nothing(make_cohort, make_facts):
    cohort = make_cohort(40)
    facts = make_facts(cohort, source_format=["png"] * 30 + [""] * 10, status=["ok"] * 30 + ["missing"] * 10)
    facts["rows"] = pd.array([10] * 30 + [None] * 10, dtype="Int64")
    facts["cols"] = pd.array([10] * 30 + [None] * 10, dtype="Int64")
    found = metadata(cohort, facts)
    assert all(factor.codes is not None for factor in found.factors)  # missing or not, which is a fact too
    assert names(found) == {"file_type", "image_rows", "image_columns", "aspect"}


def test_dates_are_numbers_and_ambiguous_ones_are_named(make_cohort, make_facts):
    n = 40
    cohort = make_cohort(
        n,
        unused=("scan_date", "study_date", "diagnosis_date"),
        scan_date=[f"20{k // 2 + 10}-01-01" for k in range(n)],
        study_date=["1/2/2020"] * n,
        diagnosis_date=[f"20{k // 2 + 10}-01-01" for k in range(n)],
    )
    found = metadata(cohort, make_facts(cohort))
    assert names(found) == {"scan_date"}
    assert "column 'study_date' does not tell whether the day or the month comes first" in found.unread[0]


def test_rare_levels_are_one_and_case_and_blanks_do_not_matter():
    factor = as_category("x", pd.Series(["GE "] * 6 + ["ge"] * 6 + ["Siemens"] * 7 + list("abc") + [None] * 2))
    assert len(np.unique(factor.codes)) == 3
    assert (factor.codes[:12] == factor.codes[0]).all()
    assert (factor.codes[19:] == factor.codes[19]).all()
    assert as_category("x", pd.Series(["a"] * 9)) is None


def test_few_different_numbers_are_categories():
    assert as_number("x", np.array([8.0, 16.0] * 10)).codes is not None
    assert as_number("x", np.arange(40.0)).numbers is not None
    assert as_number("x", np.full(9, 3.0)) is None
    assert as_number("x", np.full(9, np.nan)) is None


def test_features_find_what_lies_in_the_middle():
    factor = as_number("x", np.append(np.arange(40.0), np.nan))
    columns = columns_of((factor, as_category("k", pd.Series(["a"] * 20 + ["b"] * 21))))
    assert columns.shape == (41, 5)
    assert columns[-1].tolist() == [0, 0, 1, 0, 1]
    assert columns[0, 1] == pytest.approx(columns[39, 1])


def test_questions_of_every_task(make_cohort):
    binary = questions(make_cohort(4))
    assert [(one.about, one.y.tolist()) for one in binary] == [("", [0, 1, 0, 1])]
    columns = {"y.a": [1.0, np.nan, 0.0], "y.b": [0.0, 1.0, 1.0]}
    several = questions(make_cohort(3, target=Target("a,b", "multilabel", ("a", "b")), **columns))
    assert [(one.about, one.known.tolist()) for one in several] == [("a", [True, False, True]), ("b", [True] * 3)]
    measured = questions(make_cohort(4, target=Target("v", "regression"), y=[1.0, 5.0, 2.0, 9.0]))
    assert measured[0].y.tolist() == [0, 1, 0, 1]
    assert questions(make_cohort(4, target=Target("mask", "segmentation", ("a",), values=(1,)))) == []


def test_files_that_do_not_exist_say_nothing_and_known_facts_are_kept(make_cohort, make_facts):
    cohort = make_cohort(3)
    facts = with_origins(cohort, make_facts(cohort, manufacturer=["a", "b", "c"]))
    assert facts["manufacturer"].tolist() == ["a", "b", "c"]
    assert facts["encoding"].tolist() == ["", "", ""]
