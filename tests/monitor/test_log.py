"""The log of `predict`: what is in it, that nobody is, and that it is never half written."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from semeion.cli.app import run
from semeion.errors import InputError
from semeion.model.runtime import load_model
from semeion.monitor.facts import looks, modality, scanner
from semeion.monitor.key import read_key
from semeion.monitor.log import Logger, entry_of, logging
from semeion.monitor.logfile import KEY, LOG, held, read_log

CANARY = "ZQXPERSON"
FIELDS = (
    *("PatientName", "PatientID", "OtherPatientIDs", "InstitutionName", "InstitutionAddress", "StationName"),
    *("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "ProtocolName"),
    *("StudyDescription", "SeriesDescription", "AccessionNumber", "ReferringPhysicianName", "OperatorsName"),
    *("PatientComments", "ImageComments"),
)


def predict(model: Path, images: Path, log: Path, *more: str) -> int:
    output = log.parent / f"{log.name}.csv"
    return run(["predict", str(model), str(images), "-o", str(output), "--log", str(log), "--quiet", *more], 0.0)


def test_a_line_holds_what_the_findings_say(make_model: Callable[..., Path], make_table: Any, tmp_path: Path) -> None:
    model, table = make_model(), make_table("new", 12)
    assert predict(model, table, tmp_path / "log") == 0
    log = read_log(tmp_path / "log")
    findings = pd.read_csv(tmp_path / "log.csv")
    key = read_key(tmp_path / "log")
    place = {entry: row for row, entry in enumerate(log.texts["entry"])}
    for finding in findings.itertuples():
        row = place[entry_of(key, finding.case_id)]
        assert log.texts["status"][row] == finding.status
        assert log.texts["call"][row] == finding.call
        assert log.numbers["p_bright"][row] == finding.p_bright
        image = cv2.imread(str(table.parent / Path(finding.image).name), cv2.IMREAD_GRAYSCALE)
        assert log.numbers["mean"][row] == pytest.approx(image.mean())
        assert log.numbers["sd"][row] == pytest.approx(image.std())
    assert set(log.texts["site"]) == {"north"}
    assert set(log.numbers["size_i"]) == {16.0}
    assert log.model == load_model(model).hash
    assert stat.S_IMODE((tmp_path / "log" / KEY).stat().st_mode) == 0o600


def test_lines_are_added_and_old_ones_kept(make_model: Callable[..., Path], make_table: Any, tmp_path: Path) -> None:
    model = make_model()
    assert predict(model, make_table("a", 4), tmp_path / "log") == 0
    before = read_log(tmp_path / "log")
    assert predict(model, make_table("b", 3, prefix="d", site=""), tmp_path / "log", "--site", "south  wing") == 0
    after = read_log(tmp_path / "log")
    assert len(after) == 7
    assert set(before.texts["entry"]) < set(after.texts["entry"])
    assert sorted(after.texts["site"]) == ["north"] * 4 + ["south wing"] * 3


def test_a_failed_case_has_its_code_and_no_numbers(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path
) -> None:
    table = make_table("a", 3)
    (table.parent / "1.png").write_bytes(b"no picture at all, nor anything else")
    assert predict(make_model(), table, tmp_path / "log") == 1
    log = read_log(tmp_path / "log")
    row = list(log.texts["status"]).index("failed")
    assert log.texts["reasons"][row] == "not-an-image"
    assert np.isnan([log.numbers[name][row] for name in ("mean", "size_i", "p_bright")]).all()


def test_loose_pictures_have_entries_by_chance(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path
) -> None:
    model, folder = make_model(), make_table("a", 3).parent
    pictures = [str(folder / f"{number}.png") for number in range(3)]
    for _ in range(2):
        found = ["predict", str(model), *pictures, "-o", str(tmp_path / "f.csv"), "--log", str(tmp_path / "log")]
        assert run([*found, "--quiet"], 0.0) == 0
    assert len(set(read_log(tmp_path / "log").texts["entry"])) == 6


def test_an_interrupted_reading_leaves_the_log_as_it_was(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path
) -> None:
    model, table = make_model(), make_table("a", 5)
    assert predict(model, table, tmp_path / "log") == 0
    before = (tmp_path / "log" / LOG).read_bytes()
    loaded = load_model(model)
    with pytest.raises(KeyboardInterrupt), logging(loaded, tmp_path / "log") as loggers:
        for _ in loaded.findings(str(table), observers=loggers["finding"]):
            raise KeyboardInterrupt
    assert (tmp_path / "log" / LOG).read_bytes() == before
    assert len(read_log(tmp_path / "log")) == 5


def test_a_full_disk_leaves_the_log_as_it_was(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, table = make_model(), make_table("a", 5)
    assert predict(model, table, tmp_path / "log") == 0
    before = (tmp_path / "log" / LOG).read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    assert predict(model, table, tmp_path / "log") == 4
    assert (tmp_path / "log" / LOG).read_bytes() == before
    assert not list((tmp_path / "log").glob("*.part"))


def test_two_processes_at_once(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with held(tmp_path / "log"):
        assert predict(make_model(), make_table("a", 2), tmp_path / "log") == 2
    assert "another process is writing this log" in capsys.readouterr().err
    assert not (tmp_path / "log.csv").exists()


def test_the_log_of_another_model_is_refused_before_anything_is_read(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make_table("a", 2)
    assert predict(make_model(), table, tmp_path / "log") == 0
    (tmp_path / "log.csv").unlink()
    other = make_model(name="other", positive="dark")
    assert predict(other, table, tmp_path / "log") == 2
    assert "is the log of another model" in capsys.readouterr().err
    assert not (tmp_path / "log.csv").exists()


def test_a_lost_key_is_refused(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, table = make_model(), make_table("a", 2)
    assert predict(model, table, tmp_path / "log") == 0
    (tmp_path / "log" / KEY).unlink()
    assert predict(model, table, tmp_path / "log") == 2
    assert "the key of this log is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [(("--no-abstain",), "--no-abstain is for studies"), (("--site", "x"), "a site is noted in a log")],
)
def test_options_that_do_not_fit(
    make_model: Callable[..., Path],
    make_table: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    said: str,
) -> None:
    words = ["predict", str(make_model()), str(make_table("a", 2)), "-o", str(tmp_path / "f.csv"), *more]
    assert run(words if "--site" in more else [*words, "--log", str(tmp_path / "log")], 0.0) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "f.csv").exists()


# Nobody is in it.


def dicom(path: Path, image: np.ndarray) -> None:
    """Write a picture with a canary in every text of its header, manufacturer, model and modality among them."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.7"
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.8"
    for name in FIELDS:
        setattr(dataset, name, f"{CANARY}{name}"[:16])
    dataset.Modality, dataset.PatientBirthDate = f"{CANARY}", "19011231"
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = image.tobytes()
    dataset.save_as(path, enforce_file_format=True)


def test_no_word_of_a_header_or_table_is_in_the_log(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path
) -> None:
    table = make_table("a", 6, prefix=f"{CANARY}case")
    rows = pd.read_csv(table)
    for number in range(6):
        image = cv2.imread(str(table.parent / f"{number}.png"), cv2.IMREAD_GRAYSCALE)
        dicom(table.parent / f"{CANARY}{number}.dcm", image)
    rows["image"] = [f"{CANARY}{number}.dcm" for number in range(6)]
    rows.loc[5, "image"] = f"{CANARY}missing.dcm"
    for name in ("patient_id", "name", "remark", "institution"):
        rows[name] = f"{CANARY}{name}"
    rows.to_csv(table, index=False)
    assert predict(make_model(), table, tmp_path / "log") == 1
    for file in (tmp_path / "log").iterdir():
        assert CANARY.lower().encode() not in file.read_bytes().lower()
        assert b"3680043" not in file.read_bytes()
    text = pd.read_parquet(tmp_path / "log" / LOG).to_csv()
    assert CANARY.lower() not in text.lower()
    log = read_log(tmp_path / "log")
    assert set(log.texts["modality"]) == {"other", ""}
    assert all(re.fullmatch("other [0-9a-f]{8}|", name) for name in log.texts["scanner"])
    assert set(log.texts["reasons"][log.texts["status"] == "failed"]) == {"missing-file"}


def test_an_entry_says_nothing_without_the_key() -> None:
    one, other = (entry_of(os.urandom(32), "case-7") for _ in range(2))
    assert one != other
    assert re.fullmatch("[0-9a-f]{32}", one)


def test_scanners_are_named_by_a_list_and_told_apart() -> None:
    key = b"k" * 32
    names = [
        scanner({"manufacturer": "SIEMENS Healthineers", "scanner_model": model}, key) for model in ("A", "B", "A")
    ]
    assert names[0] == names[2] != names[1]
    assert all(name.startswith("Siemens ") for name in names)
    assert scanner({"manufacturer": "GE MEDICAL SYSTEMS"}, key).startswith("GE ")
    assert scanner({}, key) == ""
    assert (modality("CT"), modality("DOE^JANE"), modality(None)) == ("CT", "other", "")


def test_looks_of_an_image_by_hand() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    found = looks(image)
    assert found["mean"] == pytest.approx(127.5)
    assert found["sd"] == pytest.approx(image.std())
    assert found["p50"] == pytest.approx(127.5)
    assert found["sharpness"] == pytest.approx(0)
    assert looks(np.stack([image, image], axis=1)) == pytest.approx(found), "a volume of two like slices"


# What is read back.


def write(path: Path, meta: dict[str, Any] | None, names: list[str], rows: int = 1) -> Path:
    columns = {"time": pa.array([0] * rows, pa.timestamp("s", tz="UTC"))}
    for name in names:
        value: Any = {"status": "called", "model": "a" * 64}.get(name, "")
        columns[name] = pa.array([value] * rows, pa.string())
    table = pa.table(columns)
    table = table.replace_schema_metadata({b"semeion_log": json.dumps(meta).encode()} if meta is not None else None)
    pq.write_table(table, path)
    return path


TEXTS = ["entry", "group", "model", "site", "scanner", "modality", "status", "call", "reasons"]
OWN = {"schema": 1, "model": "a" * 64}


@pytest.mark.parametrize(
    ("meta", "names", "rows", "said"),
    [
        (None, TEXTS, 1, "its footer does not say that it is one"),
        ({**OWN, "schema": 7}, TEXTS, 1, "is a log of schema 7, newer than 1"),
        ({**OWN, "schema": "x"}, TEXTS, 1, "its footer states no schema"),
        ({**OWN, "model": "no hash"}, TEXTS, 1, "its footer names no model"),
        ({**OWN, "model": "b" * 64}, TEXTS, 1, "its rows and its footer name different models"),
        (OWN, TEXTS[:-1], 1, "its columns are not those of a log"),
        (OWN, [*TEXTS, "mean"], 1, "its column 'mean' is of another type"),
        (OWN, TEXTS, 0, "the log has no rows"),
    ],
)
def test_what_is_no_log_is_refused(
    tmp_path: Path, meta: dict[str, Any] | None, names: list[str], rows: int, said: str
) -> None:
    path = write(tmp_path / "l.parquet", meta, names, rows)
    with pytest.raises(InputError, match=re.escape(said)):
        read_log(path)


def test_no_file_and_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_log(tmp_path)
    (tmp_path / LOG).write_bytes(b"PAR1 this is none PAR1")
    with pytest.raises(InputError, match="is no log of a model in service"):
        read_log(tmp_path)


def test_a_logger_that_saw_nothing_writes_nothing(make_model: Callable[..., Path], tmp_path: Path) -> None:
    model = load_model(make_model())
    with Logger(tmp_path / "log", model.manifest, model.hash) as logger:
        assert logger.write() == 0
    assert not (tmp_path / "log" / LOG).exists()


# What a killed process leaves, and what would fill the memory.


def test_what_a_killed_process_left_is_in_nobodys_way(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    for name in (f".{LOG}.x7.part", f".{KEY}.part"):
        (folder / name).write_bytes(b"half")
    assert predict(make_model(), make_table("a", 3), folder) == 0
    assert {file.name for file in folder.iterdir()} == {LOG, KEY, ".lock"}
    assert (folder / KEY).stat().st_mode & 0o077 == 0
    assert len(read_log(folder)) == 3


def test_a_full_log_is_refused_before_any_work(
    make_model: Callable[..., Path],
    make_table: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, table = make_model(), make_table("a", 3)
    assert predict(model, table, tmp_path / "log") == 0
    monkeypatch.setattr("semeion.monitor.logfile.MOST_LINES", 3)
    assert predict(model, table, tmp_path / "log") == 2
    assert "the log is full: it has 3 lines" in capsys.readouterr().err


def test_nothing_is_written_into_the_model(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, table = make_model(), make_table("a", 3)
    assert predict(model, table, model / "log") == 2
    assert "--log: lies in the model's folder, which must stay as it is" in capsys.readouterr().err
    assert predict(model, table, tmp_path / "log") == 0
    assert run(["monitor", str(model), str(tmp_path / "log"), "-o", str(model)], 0.0) == 2
    assert "--output: lies in the model's folder" in capsys.readouterr().err
    load_model(model)


def test_a_log_without_a_baseline_to_compare_with_is_told_at_once(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(make_model(None), make_table("a", 3), tmp_path / "log") == 0
    assert "the model ships no baseline, so `semeion monitor` will refuse this log" in capsys.readouterr().out


def _hostile(path: Path, rows: int, more: dict[str, Any], site: str = "") -> Path:
    def repeated(text: str) -> Any:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))

    columns: dict[str, Any] = {"time": pa.array(np.zeros(rows, np.int64)).cast(pa.timestamp("ms", tz="UTC"))}
    for name in TEXTS:
        columns[name] = repeated({"status": "called", "model": "a" * 64, "site": site}.get(name, ""))
    table = pa.table(columns | more)
    pq.write_table(table.replace_schema_metadata({b"semeion_log": json.dumps(OWN).encode()}), path)
    return path


@pytest.mark.parametrize(
    ("rows", "more", "site", "said"),
    [
        (400_000, {f"c{k}": pa.array(np.zeros(400_000)) for k in range(300)}, "", "it holds more than a log may hold"),
        (60_000, {}, "x" * 19_000, "its texts are too long"),
        (1, {}, "x" * 1_000_000, "a text is too long"),
        (1, {"time": pa.array([10**15]).cast(pa.timestamp("ms", tz="UTC"))}, "", "a time is before 1970 or after 9998"),
        (1, {"p_a": pa.array([1e300])}, "", "a value of 'p_a' is no probability"),
        (1, {"mean": pa.array([[1.0]])}, "", "its column 'mean' is of another type"),
    ],
)
def test_a_hostile_log_is_refused_before_it_fills_the_memory(
    tmp_path: Path, rows: int, more: dict[str, Any], site: str, said: str
) -> None:
    path = _hostile(tmp_path / "l.parquet", rows, more, site)
    assert path.stat().st_size < 2_000_000
    with pytest.raises(InputError, match=re.escape(said)):
        read_log(path)
