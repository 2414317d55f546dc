from __future__ import annotations

import csv
import json

import pandas as pd
import pytest

from semeion.errors import InputError
from semeion.model.findings import Finding, columns, frame, reason, write_findings

NAMES = ("normal or benign", "malignant")
FINDINGS = [
    Finding("1", "a.png", "finding", "called", "malignant", (0.1, 0.9), (), "f" * 64),
    Finding(
        "=2",
        "=cmd|' /C calc'!A0",
        "finding",
        "called",
        "normal or benign",
        (0.7000000000000001, 0.3),
        ("size-far",),
        "f",
    ),
    Finding("-3", 'b "quoted",\n.png', "finding", "failed", None, (), ("unreadable: cut short", "size-far"), "f"),
    Finding("@4", "été/ü.png", "finding", "called", "malignant", (1e-12, 1 - 1e-12), (), "f"),
]
FIRST = ["case_id", "image", "target", "status", "call"]
LAST = ["mask", "explanation", "reasons", "model"]
COLUMNS = [*FIRST, "p_normal%20or%20benign", "p_malignant", *LAST]


def test_columns_are_the_documented_ones():
    assert list(columns(NAMES)) == COLUMNS
    assert list(columns(())) == [*FIRST, *LAST]


def read(path) -> list[list]:
    """Read a findings file back to rows of plain values, empty as None."""
    if path.suffix == ".json":
        return [list(row.values()) for row in json.loads(path.read_text(encoding="utf-8"))]
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        return [[None if pd.isna(value) else value for value in row] for row in table.itertuples(index=False)]
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [[None if not c else float(c) if 5 <= k <= 6 else c for k, c in enumerate(row)] for row in rows]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet", ".JSON"])
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"findings{suffix}"
    assert write_findings(iter(FINDINGS), path, NAMES) == {"called": 3, "failed": 1}
    rows = read(path) if suffix != ".JSON" else read(path.rename(tmp_path / "f.json"))
    expected = [list(finding.row(2)) for finding in FINDINGS]
    if suffix == ".csv":
        for row in expected:
            row[:2] = [f"'{text}" if text[0] in "=@" else text for text in row[:2]]
    assert rows == expected
    assert len(list(tmp_path.iterdir())) == 1


def test_csv_text_never_starts_a_formula(tmp_path):
    path = tmp_path / "f.csv"
    hostile = ["=1+1", "+cmd", "-cmd", "@SUM(A1)", "\t=1", "\r=1"]
    write_findings([Finding("-7", text, "+", "called", text, (0.5, 0.5), (), "f") for text in hostile], path, NAMES)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == COLUMNS
    assert [row[1] for row in rows[1:]] == ["'=1+1", "'+cmd", "'-cmd", "'@SUM(A1)", "'\t=1", "'\\r=1"]
    assert {(row[0], row[2]) for row in rows[1:]} == {("-7", "+")}  # a number and a receptor status are no formulas


def test_frame_has_the_columns_and_types():
    table = frame(FINDINGS, NAMES)
    assert list(table.columns) == COLUMNS
    assert table["p_malignant"].dtype == "float64"
    assert table.loc[1, "image"] == "=cmd|' /C calc'!A0"
    assert table["p_malignant"].isna().tolist() == [False, False, True, False]
    assert table["call"].isna().tolist() == [False, False, True, False]
    assert table.loc[2, "reasons"] == "unreadable: cut short;size-far"
    measured = [
        Finding("1", "a", "age", "called", 63.5, (), (), "f"),
        Finding("2", "b", "age", "failed", None, (), (), "f"),
    ]
    assert frame(measured, ())["call"].dtype == "float64"
    assert len(frame([], NAMES)) == 0


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_a_measured_value_and_no_rows(tmp_path, suffix):
    path = tmp_path / f"f{suffix}"
    write_findings([Finding("1", "a", "age", "called", 63.25, (), (), "f")], path, ())
    reader = {".csv": pd.read_csv, ".json": pd.read_json, ".parquet": pd.read_parquet}[suffix]
    assert reader(path)["call"].tolist() == [63.25]
    write_findings([], path, ())
    assert len(reader(path)) == 0


@pytest.mark.parametrize("name", ["findings.xls", "findings", "findings.csv.gz"])
def test_an_unknown_suffix_is_refused_before_any_work(tmp_path, name):
    def work():
        raise AssertionError("nothing may be computed")
        yield

    with pytest.raises(
        InputError, match=r"findings cannot be written as .*; end the name with one of .csv .parquet .json"
    ):
        write_findings(work(), tmp_path / name, NAMES)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_halfway_leaves_what_was_there(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("old")

    def work():
        yield FINDINGS[0]
        raise InputError("stopped")

    with pytest.raises(InputError, match="stopped"):
        write_findings(work(), path, NAMES)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_reason_stays_one_reason():
    assert reason("unreadable", "cut short; copy\nit again") == "unreadable: cut short, copy it again"
    assert reason("not-finite") == "not-finite"
    assert len(reason("unreadable", "x" * 5000)) < 400
    assert reason("unreadable", "a\x1b[31mb") == "unreadable: a?[31mb"
