"""What `semeion index` says: counts, what was left out and why, and nothing of a patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pydicom
import pytest
import typer
from typer.testing import CliRunner

from semeion.cli.index import SHOWN, index, lines_of
from semeion.cohort.series.group import group_headers
from semeion.cohort.series.header import Header
from semeion.cohort.series.index import Index
from semeion.errors import InputError

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture
def command() -> Callable[..., str]:
    """The command by itself."""
    app = typer.Typer()
    app.command()(index)

    def run(*words: str) -> str:
        result = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    return run


def test_a_folder_becomes_a_table_and_a_few_lines(command: Callable[..., str], tmp_path: Path) -> None:
    output = tmp_path / "series.parquet"
    text = command(str(SHIPPED / "dicomdirtests"), "-o", str(output), "--quiet")
    table = pd.read_parquet(output)
    real = int(table.status.isin(["ok", "flawed", "derived"]).sum())
    assert text.startswith(f"{real} volumes of {table.patient_id.nunique()} patients in ")
    assert text.splitlines()[0].endswith(f"image files: {output}")
    assert "2 localiser" in text and "DICOMDIR files" in text and "mixed-orientation (6)" in text
    assert not any(patient and patient in text for patient in table.patient_id)


def test_a_folder_without_dicom_is_refused(command: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "1.dcm").write_text("no")
    with pytest.raises(InputError, match="holds no DICOM image"):
        command(str(tmp_path), "-o", str(tmp_path / "series.parquet"))


def test_what_was_left_out_is_told_with_reasons() -> None:
    header = Header("a", 1, 1, patient_id="SECRET", series_uid="1.2", modality="CT", rows=4, cols=4)
    volumes = tuple(group_headers([header, replace(header, path="b", series_uid="1.3")]))
    unread = tuple((f"x/{n}", "permission denied") for n in range(SHOWN + 5))
    kinds = {"image": 3, "foreign": 7, "other": 2, "unreadable": 25}
    lines = lines_of(Index(Path("s.parquet"), volumes, kinds, 1, 4, unread, 9))
    assert lines[0] == "2 volumes of 1 patients in 3 image files: s.parquet"
    assert lines[1:3] == ["status other than ok: 2 flawed", "remarks: no-orientation (2), no-position (2)"]
    assert lines[3] == (
        "left out: 7 files that are no DICOM, 2 DICOM files without an image, 25 files that cannot be read, "
        "1 copies of other files, 4 hidden files or folders"
    )
    assert lines[4] == "9 headers were kept from an interrupted run"
    assert lines[5] == "  x/0: permission denied" and len(lines) == 5 + SHOWN + 1
    assert lines[-1] == "  and 5 more, in the table of files beside it"
    assert "SECRET" not in "\n".join(lines)
