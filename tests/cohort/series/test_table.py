"""Tables of an index: words for a volume's geometry, text of any kind, and damaged tables refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from semeion.cohort.series.group import SeriesVolume, group_headers
from semeion.cohort.series.header import Header
from semeion.cohort.series.table import (
    choose_volume,
    files_path,
    load_series,
    orientation_code,
    volume_row,
    write_index,
)
from semeion.errors import InputError


def stack(folder: Path, slices: int = 3, **fields: object) -> list[Header]:
    headers = []
    for place in range(slices):
        path = folder / f"{place}"
        path.write_bytes(b"1234")
        made = Header(
            str(path),
            4,
            path.stat().st_mtime_ns,
            sop_uid=f"1.{place}",
            series_uid="1.2",
            modality="CT",
            date="20240229",
            rows=4,
            cols=6,
            instance_number=place,
            position=(0.0, 0.0, 3.0 * place),
            orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            spacing=(0.5, 0.25),
        )
        headers.append(replace(made, **fields))  # type: ignore[arg-type]
    return headers


def volume(folder: Path, **fields: object) -> SeriesVolume:
    (found,) = group_headers(stack(folder, **fields))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("orientation", "code"),
    [
        ((1, 0, 0, 0, 1, 0), "LPS"),
        ((1, 0, 0, 0, 0, -1), "LIP"),
        ((0, 1, 0, 0, 0, -1), "PIR"),
        ((-1, 0, 0, 0, -1, 0), "RAS"),
        ((0.05, 0.63, -0.77, -0.71, 0.57, 0.42), "IPL"),
        ((1, 0, 0, 1, 0, 0), ""),
        (None, ""),
    ],
)
def test_axes_are_named_by_where_they_point(orientation: tuple[float, ...] | None, code: str) -> None:
    assert orientation_code(Header("a", 1, 1, orientation=orientation)) == code  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stored", "written"),
    [("20240229", "2024-02-29"), ("2024.02.29", "2024-02-29"), ("20120000", "20120000"), ("", "")],
)
def test_dates_are_iso_where_they_are_dates(tmp_path: Path, stored: str, written: str) -> None:
    assert volume_row(volume(tmp_path, date=stored))["date"] == written


def test_spacing_is_of_columns_rows_and_slices(tmp_path: Path) -> None:
    assert volume_row(volume(tmp_path))["spacing"] == "0.25 x 0.5 x 3"
    assert volume_row(volume(tmp_path, slices=1))["spacing"] == "0.25 x 0.5"
    assert volume_row(volume(tmp_path, slices=1, thickness=2.5))["spacing"] == "0.25 x 0.5 x 2.5"


def test_tables_are_whole_and_give_the_volume_back(tmp_path: Path) -> None:
    found = volume(tmp_path)
    table = tmp_path / "series.parquet"
    write_index(table, [found], [{"path": "x", "size": 1, "mtime_ns": 2, "kind": "foreign"}])
    assert load_series(table, "1.2") == found
    assert load_series(table, "1.2/1") == found
    files = pd.read_parquet(files_path(table))
    assert list(files.path) == [*(header.path for header in found.headers), "x"]
    with pytest.raises(InputError, match=r"'first' is no number of a volume; write 1\.2/1"):
        load_series(table, "1.2/first")


def test_tables_that_are_no_index_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "series.parquet"
    with pytest.raises(
        InputError, match=r"series\.files\.parquet: does not exist, and it names the files of each series"
    ):
        load_series(table, "1.2")
    write_index(table, [volume(tmp_path)], [])
    beside = files_path(table)
    whole = beside.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        beside.write_bytes(whole[:cut])
        with pytest.raises(InputError, match="is no table of an index"):
            load_series(table, "1.2")
    shutil.copy(table, beside)
    with pytest.raises(InputError, match="is no table of an index"):
        load_series(table, "1.2")


def test_an_original_is_meant_before_what_was_derived_of_it(tmp_path: Path) -> None:
    original = volume(tmp_path)
    derived, aside = replace(original, status="derived", number=2), replace(original, status="localiser", number=3)
    assert choose_volume([original, derived, aside], None, "x") is original
    assert choose_volume([aside, derived], None, "x") is derived
    assert choose_volume([aside], None, "x") is aside
    assert choose_volume([original, derived, aside], 3, "x") is aside
    with pytest.raises(InputError, match="x: holds several volumes; name one of them") as error:
        choose_volume([original, replace(original, number=2)], None, "x")
    assert len(error.value.details) == 2


def test_headers_of_another_version_are_refused_with_what_to_do(tmp_path: Path) -> None:
    table = tmp_path / "series.parquet"
    write_index(table, [volume(tmp_path)], [])
    beside = files_path(table)
    rows = pd.read_parquet(beside)
    for header in ('{"path": "x", "size": 1, "mtime_ns": 2, "colour": 3}', "[]", "{"):
        rows.assign(header=header).to_parquet(beside)
        with pytest.raises(InputError, match="headers that this version does not understand; run: semeion index"):
            load_series(table, "1.2")
