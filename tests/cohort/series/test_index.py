"""The index of a tree: its rows, all that is left out, copies, interruptions, and any number of processes."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from semeion.cohort.series import index as indexing
from semeion.cohort.series.files import read_file
from semeion.cohort.series.index import Index, index_folder
from semeion.cohort.series.table import COLUMNS, files_path, load_series
from semeion.errors import InputError, MachineError

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


def slice_(series: str, number: int, **values: Any) -> bytes:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = f"{series}.{number}"
    made.SeriesInstanceUID, made.StudyInstanceUID = series, "1.2"
    made.PatientID, made.Modality, made.ImageType = "SECRET", "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.SeriesDescription, made.SeriesDate, made.SeriesNumber, made.InstanceNumber = "Head", "20240131", 2, number
    made.Rows, made.Columns, made.BitsAllocated, made.BitsStored, made.HighBit = 8, 6, 16, 16, 15
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, 2.5 * number], [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.SliceThickness = [0.5, 0.25], 2.5
    made.PixelData = np.full(48, number, dtype=np.uint16).tobytes()
    for name, value in values.items():
        setattr(made, name, value)
    out = io.BytesIO()
    pydicom.dcmwrite(out, made, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    home = tmp_path / "tree"
    (home / "x" / "y").mkdir(parents=True)
    for number in range(6):
        (home / "x" / f"{5 - number}").write_bytes(slice_("1.2.3", number))
    for number in range(4):
        (home / "x" / "y" / f"IM_{number}.jpg").write_bytes(slice_("1.2.4", number, SeriesNumber=3))
    (home / "notes.dcm").write_text("not DICOM at all")
    return home


def rows(found: Index) -> list[dict[str, Any]]:
    return pd.read_parquet(found.table).to_dict("records")


def test_a_tree_becomes_a_row_a_volume(tree: Path, tmp_path: Path) -> None:
    found = index_folder(tree, tmp_path / "out" / "series.parquet")
    table = pd.read_parquet(found.table)
    assert tuple(table.columns) == COLUMNS
    assert table.to_dict("records")[0] == {
        "patient_id": "SECRET",
        "study_uid": "1.2",
        "series_uid": "1.2.3",
        "volume": 1,
        "modality": "CT",
        "description": "Head",
        "date": "2024-01-31",
        "rows": 8,
        "cols": 6,
        "slices": 6,
        "frames": 1,
        "spacing": "0.25 x 0.5 x 2.5",
        "orientation": "LPS",
        "n_files": 6,
        "status": "ok",
        "problems": "",
        "first_file": str(tree / "x" / "5"),
    }
    assert list(table.series_uid) == ["1.2.3", "1.2.4"]
    assert found.kinds == {"image": 10, "foreign": 1}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["series.files.parquet", "series.parquet"]


def test_the_files_of_a_volume_are_kept_in_order(tree: Path, tmp_path: Path) -> None:
    found = index_folder(tree, tmp_path / "series.parquet")
    volume = load_series(found.table, "1.2.3")
    assert [Path(header.path).name for header in volume.headers] == ["5", "4", "3", "2", "1", "0"]
    assert volume == found.volumes[0]
    files = pd.read_parquet(files_path(found.table))
    assert list(files.kind) == ["image"] * 10 + ["foreign"]
    with pytest.raises(InputError, match=r"holds no series '1.2.33', did you mean '1.2.3'\?; correct the series UID"):
        load_series(found.table, "1.2.33")
    with pytest.raises(InputError, match=r"holds no volume 4; name one of them\n  1\.2\.3: CT, 8 x 6 x 6, ok"):
        load_series(found.table, "1.2.3/4")
    os.utime(tree / "x" / "5", ns=(1, 1))
    with pytest.raises(InputError, match=r"5: has changed since it was indexed; index the folder again"):
        load_series(found.table, "1.2.3")
    (tree / "x" / "5").unlink()
    with pytest.raises(InputError, match=r"5: cannot be read any more \(No such file or directory\)"):
        load_series(found.table, "1.2.3")


def test_a_series_of_several_volumes_is_named_with_a_number(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for echo in (1, 2):
        for number in range(3):
            data = slice_("1.2.3", 10 * echo + number, EchoTime=echo, ImagePositionPatient=[0, 0, number])
            (tree / f"{echo}{number}").write_bytes(data)
    found = index_folder(tree, tmp_path / "series.parquet")
    assert [volume.reference for volume in found.volumes] == ["1.2.3/1", "1.2.3/2"]
    assert {header.echo_time for header in load_series(found.table, "1.2.3/2").headers} == {2.0}
    with pytest.raises(
        InputError, match=r"holds several volumes; name one of them\n  1\.2\.3/1: CT, 8 x 6 x 3, ok"
    ) as e:
        load_series(found.table, "1.2.3")
    assert "SECRET" not in str(e.value)
    assert found.volumes[0].problems[0] == "overlapping-slices: 1.00 mm apart and 2.50 mm thick"


def test_copies_count_once_and_one_uid_with_two_contents_is_told(tree: Path, tmp_path: Path) -> None:
    (tree / "again").mkdir()
    for number in range(6):
        shutil.copy(tree / "x" / str(number), tree / "again" / str(number))
    found = index_folder(tree, tmp_path / "series.parquet")
    assert found.copies == 6 and found.volumes[0].status == "ok" and len(found.volumes[0].headers) == 6
    files = pd.read_parquet(files_path(found.table))
    repeats = files[files.kind == "copy"]
    assert repeats.problem.iloc[0] == f"repeats {tree / 'again' / '0'}" and len(repeats) == 6
    (tree / "again" / "0").write_bytes(slice_("1.2.3", 5, SliceThickness=3.5))
    found = index_folder(tree, tmp_path / "series.parquet")
    assert found.volumes[0].status == "flawed"
    assert "sop-uid-reused: 1 SOP Instance UIDs name files with different content" in found.volumes[0].problems


def test_archives_are_read_wherever_they_are(tree: Path, tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("1", b"x")
    with zipfile.ZipFile(tree / "x" / "packed", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"../../escape/{number}", slice_("1.2.5", number, SeriesNumber=9))
        archive.writestr("inner", inner.getvalue())
        archive.writestr("readme", "text")
    found = index_folder(tree, tmp_path / "series.parquet")
    volume = load_series(found.table, "1.2.5")
    assert volume.slices == 3 and volume.headers[0].path == f"{tree / 'x' / 'packed'}!../../escape/0"
    assert read_file(volume.headers[0].path) == slice_("1.2.5", 0, SeriesNumber=9)
    assert (f"{tree / 'x' / 'packed'}!inner", "is an archive within an archive and was not opened") in found.unread
    assert not (tmp_path / "escape").exists()
    alone = index_folder(tree / "x" / "packed", tmp_path / "alone.parquet")
    assert [v.series_uid for v in alone.volumes] == ["1.2.5"]


def test_a_dicomdir_is_no_image_and_stands_for_its_folder(tmp_path: Path) -> None:
    found = index_folder(SHIPPED / "dicomdirtests" / "DICOMDIR", tmp_path / "series.parquet")
    folder = index_folder(SHIPPED / "dicomdirtests", tmp_path / "folder.parquet")
    assert found.volumes == folder.volumes and len(found.volumes) > 10
    assert found.kinds["directory"] >= 1


def test_truncated_files_are_flagged_at_any_length(tree: Path, tmp_path: Path) -> None:
    whole = (tree / "x" / "2").read_bytes()
    for length in (0, 60, 131, 140, 300, 500, len(whole) - 97, len(whole) - 50, len(whole) - 1):
        (tree / "x" / "2").write_bytes(whole[:length])
        found = index_folder(tree, tmp_path / "series.parquet")
        told = " ".join((*found.volumes[0].problems, *(text for _, text in found.unread)))
        assert found.volumes[0].status == "flawed", length
        assert "truncated: 1 of 6 files" in told or "missing-slices: 1 missing" in told, (length, told)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_files_are_told_one_by_one(tree: Path, tmp_path: Path) -> None:
    (tree / "x" / "5").chmod(0)
    found = index_folder(tree, tmp_path / "series.parquet")
    assert found.unread == ((str(tree / "x" / "5"), "permission denied"),)
    assert found.volumes[0].slices == 5


def test_a_file_that_cannot_be_opened_is_told_with_its_reason(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = os.open

    def refuse(path: Any, *arguments: Any, **named: Any) -> int:
        if str(path).endswith("x/5"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return opens(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refuse)
    found = index_folder(tree, tmp_path / "series.parquet", jobs=1)
    assert found.unread == ((str(tree / "x" / "5"), "permission denied"),) and found.kinds["unreadable"] == 1
    assert found.volumes[0].slices == 5


def test_names_of_any_bytes_survive(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(2):
        Path(os.fsdecode(bytes(tree) + b"/\xff%d" % number)).write_bytes(slice_("1.2.3", number))
    found = index_folder(tree, tmp_path / "series.parquet")
    assert [os.fsencode(header.path)[-2:] for header in load_series(found.table, "1.2.3").headers] == [
        b"\xff0",
        b"\xff1",
    ]
    assert rows(found)[0]["first_file"].endswith("\\udcff0")


def test_processes_and_one_thread_find_the_same(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "ALONE", 2)
    monkeypatch.setattr(indexing, "BATCH", 3)
    several = index_folder(tree, tmp_path / "several.parquet", jobs=2)
    alone = index_folder(tree, tmp_path / "alone.parquet", jobs=1)
    assert several.volumes == alone.volumes and several.kinds == alone.kinds


class Stops:
    """A progress that interrupts after one batch, as Ctrl-C does."""

    def start(self, work: str, total: float) -> None: ...

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        raise KeyboardInterrupt

    def finish(self) -> None: ...

    def say(self, line: str) -> None: ...


def test_an_interrupted_run_goes_on(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BATCH", 4)
    output = tmp_path / "series.parquet"
    with pytest.raises(KeyboardInterrupt):
        index_folder(tree, output, jobs=1, progress=Stops())
    assert not output.exists()
    journal = tmp_path / "series.parquet.partial"
    assert journal.stat().st_mode & 0o077 == 0, "it names patients"
    with journal.open("a") as file:
        file.write('{"path": "cut in the mid')
    changed = tree / "x" / "0"
    changed.write_bytes(slice_("1.2.3", 5, SeriesDescription="later"))
    found = index_folder(tree, output, jobs=1)
    assert found.reused == 3, "four were read and one has changed"
    assert not journal.exists() and len(found.volumes) == 2
    assert {header.description for header in found.volumes[0].headers} == {"Head", "later"}


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    tree, output = tmp_path / "tree", tmp_path / "series.parquet"
    tree.mkdir()
    data = slice_("1.2.3", 1)
    for number in range(3000):
        (tree / f"{number:04d}").write_bytes(data.replace(b"1.2.3.1\x00", b"9.%05d\x00" % number))
    code = f"from semeion.cohort.series.index import index_folder; index_folder({str(tree)!r}, {str(output)!r}, jobs=2)"
    process = subprocess.Popen([sys.executable, "-c", code])
    journal = tmp_path / "series.parquet.partial"
    until = time.monotonic() + 60
    while not (journal.exists() and journal.stat().st_size > 50_000) and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if output.exists():
        pytest.skip("the machine was faster than the signal")
    kept = journal.read_text().count("\n")
    found = index_folder(tree, output, jobs=2)
    assert 100 < kept - 10 <= found.reused < 3000 and found.kinds == {"image": 3000}


def test_a_tree_without_images_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with pytest.raises(
        InputError, match=r"tree: holds no DICOM image \(no files\); give the folder that holds the DICOM"
    ):
        index_folder(tree, tmp_path / "series.parquet")
    (tree / "1").write_text("text")
    with pytest.raises(InputError, match=r"holds no DICOM image \(1 files that are no DICOM\)"):
        index_folder(tree, tmp_path / "series.parquet")
    with pytest.raises(InputError, match=r"series.csv: does not end in .parquet"):
        index_folder(tree, tmp_path / "series.csv")
    assert not (tmp_path / "series.parquet").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_that_cannot_be_written_is_an_error_of_the_machine(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(MachineError, match="no permission to write here"):
        index_folder(tree, tmp_path / "closed" / "series.parquet")


def test_the_table_of_files_holds_open_json(tree: Path, tmp_path: Path) -> None:
    found = index_folder(tree, tmp_path / "series.parquet")
    header = json.loads(pd.read_parquet(files_path(found.table)).header.iloc[0])
    assert header["position"] == [0.0, 0.0, 0.0] and header["sop_uid"] == "1.2.3.0"


@pytest.mark.real_data
def test_real_folders_renamed_zipped_and_copied_give_the_same_volumes(data: Path, tmp_path: Path) -> None:
    source = data / "dicom" / "mr_brain_study"
    plain = index_folder(source, tmp_path / "plain.parquet")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, path in enumerate(sorted(path for path in source.rglob("*") if path.is_file())):
            shutil.copy(path, mixed / f"{number * 7919 % 1009:05d}")
            archive.write(path, f"{number}")
    expected = [(v.series_uid, v.slices, v.status, v.problems, len(v.headers)) for v in plain.volumes]
    for other in (mixed, tmp_path / "study.zip"):
        found = index_folder(other, tmp_path / "other.parquet")
        assert [(v.series_uid, v.slices, v.status, v.problems, len(v.headers)) for v in found.volumes] == expected
        for ours, theirs in zip(found.volumes, plain.volumes, strict=True):
            assert [h.sop_uid for h in ours.headers] == [h.sop_uid for h in theirs.headers]
