"""Tables: what stands in a cell comes out as it went in."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semeion.cohort.table import read_table
from semeion.errors import InputError

ROWS = [["007", "a/1.png", "123456789012345678"], ["1e5", "a/2.png", "0"], ["NA", "a/3.png", "1.50"]]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def message(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_table(path)
    return str(caught.value)


def workbook(path: Path, *sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"s{number}")
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".csv", ";"), (".csv", "\t"), (".tsv", "\t")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_tables(tmp_path: Path, suffix: str, mark: str, encoding: str) -> None:
    text = "\r\n".join(mark.join(row) for row in [["case_id", "image", "n"], *ROWS])
    table, notes = read_table(write(tmp_path / f"t{suffix}", text, encoding))
    assert table.to_numpy().tolist() == ROWS
    assert list(table.index) == [2, 3, 4]
    said = " ".join(notes)
    assert ("delimited by" in said) == (suffix == ".csv" and mark != ",")
    assert ("UTF-16" in said) == (encoding == "utf-16")


def test_another_encoding_is_detected_and_named(tmp_path: Path) -> None:
    names = ["Müller", "Straße", "Jérôme", "Größe über Köln", "façade déjà vu"]
    text = "image,site\n" + "".join(f"{n}.png,Universitätsklinikum {name}\n" for n, name in enumerate(names * 5))
    table, notes = read_table(write(tmp_path / "t.csv", text, "cp1252"))
    assert table["site"].iloc[0] == "Universitätsklinikum Müller"
    assert "t.csv is not UTF-8; it is read as cp125" in notes[0]
    assert "check letters with accents" in notes[0]


def test_quotes_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    text = 'image,report\n"a,1.png","two\nlines"\n\n"b ""2"".png",x\n'
    table, _ = read_table(write(tmp_path / "t.csv", text))
    assert table["image"].tolist() == ["a,1.png", 'b "2".png']
    assert table["report"].iloc[0] == "two\nlines"
    assert list(table.index) == [2, 4]


def test_empty_cells_are_missing_and_other_text_is_not(tmp_path: Path) -> None:
    table, _ = read_table(write(tmp_path / "t.csv", "image,x\na.png,\nb.png,NA\nc.png,None\n"))
    assert table["x"].isna().tolist() == [True, False, False]


def test_the_row_numbers_that_pandas_writes_are_left_out(tmp_path: Path) -> None:
    pd.DataFrame({"image": ["a.png", "b.png"]}).to_csv(tmp_path / "t.csv")
    table, notes = read_table(tmp_path / "t.csv")
    assert list(table.columns) == ["image"]
    assert notes == ("t.csv: the first column has no name and is left out.",)


def test_trailing_empty_columns_do_not_matter(tmp_path: Path) -> None:
    table, _ = read_table(write(tmp_path / "t.csv", "image,y,,\na.png,1,,\nb.png,0\n"))
    assert list(table.columns) == ["image", "y"]


def test_very_long_cells_are_read(tmp_path: Path) -> None:
    table, _ = read_table(write(tmp_path / "t.csv", f"image,report\na.png,{'x' * 120_000}\n"))
    assert len(table["report"].iloc[0]) == 120_000


def test_workbooks_show_what_a_person_sees(tmp_path: Path) -> None:
    rows = [["case_id", "image", "age", "when", "flag"], [7, "a.png", 63.5, pd.Timestamp("2020-02-03"), True]]
    path = workbook(tmp_path / "t.xlsx", [*rows, ["007", "b.png", 7.0, None, False]])
    book = openpyxl.load_workbook(path)
    book["s0"]["A2"].number_format = "000"
    book.save(path)
    table, notes = read_table(path)
    assert table["case_id"].tolist() == ["007", "007"]
    assert table["age"].tolist() == ["63.5", "7"]
    assert table["when"].iloc[0] == "2020-02-03T00:00:00"
    assert table["flag"].tolist() == ["true", "false"]
    assert list(table.index) == [2, 3]
    assert notes == ()


def test_the_first_filled_sheet_is_read_and_named(tmp_path: Path) -> None:
    table, notes = read_table(workbook(tmp_path / "t.xlsx", [], [["image"], ["a.png"]], [["other"], [1]]))
    assert table["image"].tolist() == ["a.png"]
    assert notes == ("t.xlsx: sheet 's1' is read, not s2.",)


def test_parquet_integers_and_their_missing_values_stay_text(tmp_path: Path) -> None:
    frame = pa.table(
        {
            "image": ["a.png", "b.png"],
            "big": pa.array([9007199254740993, None], pa.int64()),
            "code": pa.array([1.0, None]),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "boxes": pa.array([[1], [2]]),
        }
    )
    pq.write_table(frame, tmp_path / "t.parquet")
    table, notes = read_table(tmp_path / "t.parquet")
    assert table["big"].tolist()[0] == "9007199254740993"
    assert table["big"].isna().tolist() == [False, True]
    assert table["code"].iloc[0] == "1"
    assert table["kind"].tolist() == ["x", "y"]
    assert notes == ("t.parquet: column boxes of nested or binary values left out.",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "t.csv: is empty; write a header row and one row a case"),
        ("  \n\n", "t.csv: is empty"),
        ("image,y\n", "t.csv: has a header and no rows; write one row a case"),
        ("a/1.png,0\na/2.png,1\n", "t.csv: has no header: its first row holds values ('a/1.png'"),
        ("1,2\n3,4\n", "t.csv: has no header: its first row holds values ('1', '2')"),
        ("image,y,y\na.png,1,2\n", "t.csv: the header repeats column 'y'; give every column its own name"),
        ("image,,y\na.png,1,2\n", "t.csv: column 2 of the header has no name; name it"),
        ("image,y\na.png,1\nb.png\nc.png,1,2\n", "and not every row does: rows 3 (1), 4 (3)"),
        ('image,y\n"a.png,1\n', "row 2 cannot be parsed (unexpected end of data); check its quotation marks"),
    ],
)
def test_broken_tables(tmp_path: Path, text: str, words: str) -> None:
    assert words in message(write(tmp_path / "t.csv", text))


def test_many_ragged_rows_are_counted(tmp_path: Path) -> None:
    text = "image,y\n" + "a.png\n" * 50
    assert "21 (1) and 30 more (50 in all)" in message(write(tmp_path / "t.csv", text))


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    assert "suffix '.doc'); give .csv, .tsv, .xlsx or .parquet" in message(write(tmp_path / "t.doc", "x"))
    assert "is no text table: it looks like a zip archive" in message(write(tmp_path / "t.csv", "PK\x03\x04"))
    assert "is no XLSX: it looks like text" in message(write(tmp_path / "t.xlsx", "a,b\n1,2\n"))
    assert "the workbook is damaged" in message(write(tmp_path / "u.xlsx", "PK\x03\x04" + "x" * 99))
    assert "is no Parquet that can be read" in message(write(tmp_path / "t.parquet", "a,b\n"))
    assert "is empty" in message(workbook(tmp_path / "v.xlsx", []))


def test_a_missing_table_suggests_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "cohort.csv", "image\na.png\n")
    assert "cohrt.csv: does not exist, did you mean 'cohort.csv'?; correct the path" in message(tmp_path / "cohrt.csv")


IDENTIFIER = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=20
).filter(lambda text: bool(text.strip()))
NUMBERS = st.from_regex(r"\A0{0,3}[0-9]{1,20}(\.[0-9]{1,3})?\Z")


@given(st.lists(st.tuples(st.one_of(NUMBERS, IDENTIFIER), st.one_of(NUMBERS, IDENTIFIER)), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_identifiers_come_out_of_every_format_as_they_went_in(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("case_id", "patient_id"), *rows])
    write(tmp_path / "t.csv", out.getvalue())
    pd.DataFrame(rows, columns=["case_id", "patient_id"]).to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        table, _ = read_table(tmp_path / name)
        assert [tuple(row) for row in table.to_numpy().tolist()] == rows


@given(st.lists(NUMBERS, min_size=1, max_size=6))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_identifiers_come_out_of_workbooks_as_they_went_in(tmp_path: Path, ids: list[str]) -> None:
    table, _ = read_table(workbook(tmp_path / "t.xlsx", [["case_id"], *[[text] for text in ids]]))
    assert table["case_id"].tolist() == ids
