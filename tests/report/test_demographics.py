"""Who the patients of each split were, against plain counting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.report.demographics import columns_of, demographics
from semeion.report.page import write_report
from semeion.report.people import People
from support.told import told_run


def people(table: pd.DataFrame, named: bool = True) -> People:
    sides = pd.DataFrame({"patient_id": [], "side": []})
    return People(table, "cohort.parquet", named, sides)


def test_every_cell_is_that_of_the_table(tmp_path: Path) -> None:
    told_run(tmp_path)
    write_report(tmp_path)
    found = json.loads((tmp_path / "report.json").read_text())["demographics"]
    cohort = pd.read_parquet(tmp_path / "cohort.parquet")
    one_each = {split: part.drop_duplicates("patient_id") for split, part in cohort.groupby("split")}
    assert found["unit"] == "patients"
    assert [(one["split"], one["n"]) for one in found["splits"]] == [
        (split, len(one_each[split])) for split in ("train", "val", "test")
    ]
    for row in found["rows"]:
        for one, cell in zip(found["splits"], row["cells"], strict=True):
            values = one_each[one["split"]][row["column"]]
            if row["level"] is not None:
                assert cell == {"n": int((values == row["level"]).sum()), "of": len(values)}
                continue
            kept = values.dropna().to_numpy()
            wanted = [*np.quantile(kept, [0.5, 0.25, 0.75]), kept.min(), kept.max()]
            shown = [cell[name] for name in ("median", "low", "high", "least", "most")]
            assert shown == pytest.approx(wanted, abs=1e-9)
            assert (cell["n"], cell["missing"]) == (len(kept), int(values.isna().sum()))
    assert {row["key"] for row in found["rows"]} == {"age", "sex", "site"}
    assert found["absent"] == ["Ethnicity"]
    page = (tmp_path / "report.html").read_text()
    assert "Who they were" in page and "Ethnicity: the table has no such column." in page


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["image", "stage", "page_count", "average"], {}),
        (["PatientAge", "PatientSex"], {"age": "PatientAge", "sex": "PatientSex"}),
        (["age_band", "age", "gender"], {"age": "age", "sex": "gender"}),
        (["hospital", "site"], {"site": "site"}),
        (["race", "institution"], {"ethnicity": "race", "site": "institution"}),
    ],
)
def test_columns_are_known_by_whole_words(names: list[str], found: dict[str, str]) -> None:
    assert columns_of(names, "finding") == found


def test_the_target_describes_nobody() -> None:
    assert columns_of(["age", "sex"], "age") == {"sex": "sex"}


def test_ages_as_dicom_writes_them_are_years() -> None:
    table = pd.DataFrame({"case_id": list("abcd"), "patient_id": list("abcd"), "age": ["045Y", "006M", "?", "060Y"]})
    found = demographics(people(table.assign(split="test")), "y")
    [row] = found["rows"]
    assert (row["cells"][0]["median"], row["cells"][0]["least"], row["cells"][0]["missing"]) == (45, 0.5, 1)
    assert found["notes"] == ["1 values of age are no age and count as missing."]


def test_age_groups_are_levels_and_missing_values_a_row() -> None:
    table = pd.DataFrame(
        {"case_id": list("abcd"), "patient_id": list("abcd"), "age_group": ["40-49", "50-59", None, "40-49"]}
    )
    rows = demographics(people(table.assign(split="test")), "y")["rows"]
    assert [(row["level"], row["cells"][0]["n"]) for row in rows] == [("40-49", 2), ("50-59", 1), ("not recorded", 1)]


def test_many_levels_are_cut_and_still_add_up() -> None:
    table = pd.DataFrame({"case_id": range(60), "patient_id": range(60), "site": [f"s{k % 20}" for k in range(60)]})
    rows = demographics(people(table.assign(split="test")), "y")["rows"]
    assert rows[-1]["level"] == "8 others" and sum(row["cells"][0]["n"] for row in rows) == 60


def test_a_patient_counts_once_and_cases_where_nobody_is_named() -> None:
    table: Any = pd.DataFrame(
        {"case_id": list("abc"), "patient_id": ["1", "1", "2"], "sex": ["F", "F", "M"], "split": "test"}
    )
    assert demographics(people(table), "y")["splits"] == [{"split": "test", "n": 2}]
    found = demographics(people(table, named=False), "y")
    assert (found["unit"], found["splits"]) == ("cases", [{"split": "test", "n": 3}])


def test_without_a_split_all_cases_are_one_column() -> None:
    table = pd.DataFrame({"case_id": list("ab"), "patient_id": list("ab"), "sex": ["F", "M"], "split": [None, None]})
    assert demographics(people(table), "y")["splits"] == [{"split": "all", "n": 2}]
