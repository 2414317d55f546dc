from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from pydicom.data import get_testdata_file

from semeion.cohort.origin import COLUMNS, NUMBERS, TEXTS, read_origin, read_origins

PICTURE = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)


def jpeg(*options):
    return cv2.imencode(".jpg", PICTURE, list(options))[1].tobytes()


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def exif(make, model):
    """Return an Exif block with two texts, little-endian."""
    texts = [text.encode() + b"\x00" for text in (make, model)]
    start = 8 + 2 + 2 * 12 + 4
    entries, data = b"", b""
    for tag, text in zip((0x010F, 0x0110), texts, strict=True):
        entries += struct.pack("<HHII", tag, 2, len(text), start + len(data))
        data += text
    return b"Exif\x00\x00II*\x00" + struct.pack("<IH", 8, 2) + entries + b"\x00" * 4 + data


@pytest.fixture
def write(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return read_origin(str(path))

    return write


@pytest.mark.parametrize("quality", [10, 35, 50, 75, 90, 100])
def test_the_quality_of_a_jpeg_is_that_it_was_written_with(write, quality):
    found = write("a.jpg", jpeg(cv2.IMWRITE_JPEG_QUALITY, quality))
    assert found["jpeg_quality"] == pytest.approx(quality, abs=1)
    assert found["encoding"].startswith("jpeg baseline ")


def test_how_a_jpeg_is_coded(write):
    plain, other = write("a.jpg", jpeg()), write("b.jpg", jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1))
    assert other["encoding"].startswith("jpeg progressive ")
    full = write("c.jpg", jpeg(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444))
    assert full["encoding"] != plain["encoding"]


def test_maker_and_software_of_a_jpeg(write):
    data = jpeg()
    block = segment(0xE1, exif("ACME", "Scope 3")) + segment(0xFE, b"made by  hand\x00")
    found = write("a.jpg", data[:2] + block + data[2:])
    assert (found["manufacturer"], found["scanner_model"], found["software"]) == ("ACME", "Scope 3", "made by hand")


def test_how_a_png_is_stored(write):
    colour, grey = (cv2.imencode(".png", picture)[1].tobytes() for picture in (PICTURE, PICTURE[..., 0]))
    assert write("a.png", colour)["encoding"] == "png colour 8 bit"
    assert write("b.png", grey)["encoding"] == "png grey 8 bit"
    chunk = struct.pack(">I", 13) + b"tEXtSoftware\x00Xyz1" + b"\x00" * 4
    assert write("c.png", grey[:33] + chunk + grey[33:])["software"] == "Xyz1"


def test_what_a_dicom_file_says():
    found = read_origin(get_testdata_file("CT_small.dcm"))
    assert found["manufacturer"] == "GE MEDICAL SYSTEMS"
    assert found["scanner_model"] == "RHAPSODE"
    assert found["kvp"] == 120
    assert found["study_uid"].startswith("1.3.6.1.4.1")
    assert found["acquired"] == "19970430"
    assert found["encoding"] == "1.2.840.10008.1.2.1"
    assert set(found) <= set(COLUMNS)
    assert "patient" not in " ".join(COLUMNS)


def test_a_folder_speaks_by_its_first_file(tmp_path):
    assert read_origin(str(tmp_path)) == {}
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "1.jpg").write_bytes(jpeg())
    assert read_origin(str(tmp_path))["encoding"].startswith("jpeg")


@pytest.mark.parametrize("cut", [0, 1, 3, 20, 60, 160, 400])
def test_cut_and_foreign_files_say_little_and_break_nothing(write, cut):
    block = segment(0xE1, exif("ACME", "Scope 3"))
    data = jpeg()
    for number, whole in enumerate(
        (data[:2] + block + data[2:], cv2.imencode(".png", PICTURE)[1].tobytes(), b"\x1f\x8b" * 300)
    ):
        assert set(write(str(number), whole[:cut])) <= set(COLUMNS)


def test_a_table_of_all(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(cv2.IMWRITE_JPEG_QUALITY, 60))
    table = read_origins([str(tmp_path / "a.jpg"), "/nowhere/b.png", "/nowhere/c.npz#images[3]"])
    assert tuple(table.columns) == COLUMNS
    assert table["jpeg_quality"].round().tolist()[0] == pytest.approx(60, abs=1)
    assert table["jpeg_quality"].isna().tolist() == [False, True, True]
    assert table.loc[1, list(TEXTS)].tolist() == [""] * len(TEXTS)
    assert (table[list(NUMBERS)].dtypes == np.float64).all()


def test_real_nifti_and_dicom_say_something(data):
    volume = sorted((data / "hippocampus" / "imagesTr").glob("*.nii.gz"))[0]
    assert set(read_origin(str(volume))) <= {"software"}
    series = next((data / "dicom" / "ct_head_tilted").rglob("*.dcm"), None)
    if series is not None:
        assert read_origin(str(series))["manufacturer"].upper().startswith("GE")
