"""No identifier of a patient in any shipped file, log or finding: canaries are planted in every field that has room.

DICOM headers and columns of the table are searched for here, NIfTI headers in ``model/test_canaries.py``.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from semeion.cli.app import run
from support.tiny import Tiny, TinyRun, contents_of, make_cohort, save_plan, train_tiny

CANARY = "ZQXPERSON"
"""In every field that names a person; what follows it says which field."""
CASE = "zqxcase"
"""In the ids of the cases: they may be told to the user, and never ship."""

TEXTS = {
    "LO": "OtherPatientIDs PatientID InstitutionalDepartmentName ManufacturerModelName StudyDescription AdmissionID "
    "SeriesDescription IssuerOfPatientID ProtocolName DeviceSerialNumber MedicalRecordLocator MilitaryRank "
    "BranchOfService PatientReligiousPreference CountryOfResidence RegionOfResidence InstitutionName",
    "PN": "PatientName OtherPatientNames PatientBirthName PatientMotherBirthName ReferringPhysicianName OperatorsName "
    "PerformingPhysicianName NameOfPhysiciansReadingStudy PhysiciansOfRecord RequestingPhysician ResponsiblePerson",
    "SH": "AccessionNumber StudyID StationName EthnicGroup PatientTelephoneNumbers Occupation",
    "LT": "PatientComments AdditionalPatientHistory ImageComments",
    "ST": "InstitutionAddress DerivationDescription",
}


def dicom(path: Path, pixels: Any, row: int) -> None:
    """Write a grey picture with a canary in every text of its header."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{row + 1}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", f"1.2.3.{row}"
    for kind, names in TEXTS.items():
        for number, name in enumerate(names.split()):
            setattr(dataset, name, f"{CANARY}{kind}{number}")
    dataset.PatientBirthDate, dataset.PatientSex, dataset.Modality = "19011231", "F", "US"
    dataset.add_new((0x0011, 0x0010), "LO", f"{CANARY}CREATOR")
    dataset.add_new((0x0011, 0x1001), "LT", f"{CANARY}PRIVATE")
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path, enforce_file_format=True)


def planted(folder: Path) -> Tiny:
    """Return a cohort of DICOM files whose table says who everybody is."""
    tiny = make_cohort(folder, n=48, split="test", prefix=CASE)
    rows = tiny.rows.copy()
    for row, name in enumerate(rows["image"]):
        pixels = cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE)
        dicom(folder / f"images/{CASE}{row}.dcm", pixels, row)
        (folder / name).unlink()
    rows["image"] = [f"images/{CASE}{row}.dcm" for row in range(len(rows))]
    rows["patient_id"] = [f"{CANARY}ID{row // 2}" for row in range(len(rows))]
    rows["name"] = [f"{CANARY}NAME{row}" for row in range(len(rows))]
    rows["birth date"] = "1901-12-31"
    rows["remark"] = [f"seen by {CANARY}DOCTOR{row % 3}" for row in range(len(rows))]
    rows.to_csv(tiny.table, index=False)
    return Tiny(tiny.table, rows)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    home = tmp_path_factory.mktemp("canaries")
    return train_tiny(planted(home / "source"), save_plan(home), home / "run")


def found_in(files: dict[str, bytes], *words: str) -> list[str]:
    """Return the names of files that hold a word in any of the encodings that texts have."""
    spoken = [word.encode(code) for word in words for code in ("utf-8", "utf-16-le", "utf-16-be")]
    return [name for name, data in files.items() if any(word.lower() in data.lower() for word in spoken)]


def test_the_canaries_are_where_they_are_looked_for(trained: TinyRun) -> None:
    source = contents_of(trained.cohort.table.parent)
    assert len(found_in(source, CANARY)) == len(source)
    assert found_in(contents_of(trained.path), CANARY), "the run folder is the user's own and holds patient data"


def test_the_model_folder_and_the_packed_model_name_nobody(trained: TinyRun, tmp_path: Path) -> None:
    shipped = contents_of(trained.model)
    assert {"model.json", "CARD.md", "golden.json"} <= set(shipped)
    assert "neighbours.json" not in shipped
    assert found_in(shipped, CANARY, CASE, "1901", "1.2.826.0.1.3680043") == []
    assert run(["pack", str(trained.model), "-o", str(tmp_path / "m.semeion")], 0.0) == 0
    assert run(["keygen", "-o", str(tmp_path / "key")], 0.0) == 0
    assert run(["sign", str(tmp_path / "m.semeion"), "--key", str(tmp_path / "key")], 0.0) == 0
    assert run(["sbom", str(tmp_path / "m.semeion"), "-o", str(tmp_path / "sbom.cdx.json")], 0.0) == 0
    assert found_in(contents_of(tmp_path), CANARY, CASE) == []
    with zipfile.ZipFile(tmp_path / "m.semeion") as archive:
        assert found_in({name: archive.read(name) for name in archive.namelist()}, CANARY, CASE) == []


def test_logs_and_messages_name_no_person(trained: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = {name: data for name, data in contents_of(trained.path).items() if name.endswith((".jsonl", ".log"))}
    assert logs
    assert found_in(logs, CANARY) == []
    table, rows = trained.cohort.table, trained.cohort.rows
    assert run(["predict", str(trained.model), str(table), "-o", str(tmp_path / "f.csv")], 0.0) == 0
    broken = tmp_path / "broken"
    broken.mkdir()
    whole = (table.parent / str(rows["image"][0])).read_bytes()
    (broken / "half.dcm").write_bytes(whole[: len(whole) // 2])
    assert run(["predict", str(trained.model), str(broken), "-o", str(tmp_path / "g.csv"), "--debug"], 0.0) == 1
    said = capsys.readouterr()
    assert found_in({"out": said.out.encode(), "err": said.err.encode()}, CANARY) == []
    assert found_in({name: (tmp_path / name).read_bytes() for name in ("f.csv", "g.csv")}, CANARY) == []
    assert len(pd.read_csv(tmp_path / "f.csv")) == len(rows)


def test_hashes_in_the_manifest_are_of_the_run(trained: TinyRun) -> None:
    """Whoever keeps the run can show that the model is of it."""
    import hashlib

    from semeion.artefacts import read_json
    from semeion.model.opening import open_files
    from semeion.provenance import code_hash
    from semeion.study.lineage import data_hash, evidence_hash

    stated = open_files(trained.model).manifest.provenance
    assert stated is not None
    assert stated.code == code_hash()
    assert stated.plan == hashlib.sha256((trained.path / "plan.executed.yaml").read_bytes()).hexdigest()
    assert stated.predictions == hashlib.sha256((trained.path / "predictions.parquet").read_bytes()).hexdigest()
    assert stated.evidence == evidence_hash(read_json(trained.path / "evidence.json"))
    facts = pd.read_parquet(trained.path / "scan.parquet")
    assert stated.data is not None
    assert data_hash(facts) == data_hash(facts.sample(frac=1, random_state=0)) != stated.data, (
        "test cases are not in it"
    )
