"""Headers: the same values as pydicom, and no file that is cut, bent or hostile goes unnoticed or costs too much."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from semeion.cohort.series import elements
from semeion.cohort.series.parse import Parsed, parse, parse_header
from semeion.errors import ImageError

FIELDS = {
    "sop_class": "SOPClassUID",
    "sop_uid": "SOPInstanceUID",
    "modality": "Modality",
    "description": "SeriesDescription",
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "frame_of_reference": "FrameOfReferenceUID",
    "photometric": "PhotometricInterpretation",
    "series_number": "SeriesNumber",
    "acquisition_number": "AcquisitionNumber",
    "instance_number": "InstanceNumber",
    "temporal_position": "TemporalPositionIdentifier",
    "trigger_time": "TriggerTime",
    "echo_time": "EchoTime",
    "rows": "Rows",
    "cols": "Columns",
    "bits_allocated": "BitsAllocated",
    "frames": "NumberOfFrames",
    "samples": "SamplesPerPixel",
    "image_type": "ImageType",
    "position": "ImagePositionPatient",
    "orientation": "ImageOrientationPatient",
    "spacing": "PixelSpacing",
    "thickness": "SliceThickness",
}
FROM_GROUPS = ("position", "orientation", "spacing", "thickness")
SHIPPED = [Path(name) for name in get_testdata_files() if Path(name).is_file()]


def of(data: bytes) -> Parsed:
    return parse(lambda at, count: data[at : at + count], len(data))


def expected(dataset: Dataset, name: str) -> Any:
    """What pydicom says, in the form that a header has."""
    value = dataset.get(FIELDS[name])
    if name == "frames" and str(value) == "1A":
        return 1  # unreadable, and remarked
    if value is None or value == "" or value == []:
        return 1 if name in ("frames", "samples") else None
    if name == "image_type":
        return [str(part).strip() for part in ([value] if isinstance(value, str) else value)]
    if name in ("position", "orientation", "spacing"):
        return [float(part) for part in value]
    if isinstance(value, MultiValue):
        return "\\".join(value)
    return value.strip() if isinstance(value, str) else float(value)


def compare(path: Path) -> bool:
    """Compare every field of one file; False when pydicom does not take it for DICOM either."""
    found = of(path.read_bytes())
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        if found.kind == "foreign":
            return False
        dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    if dataset.file_meta.get("MediaStorageSOPClassUID") == "1.2.840.10008.1.3.10":
        assert found.kind == "directory", path.name
        return True
    assert found.kind == ("image" if "Rows" in dataset or found.values.get("pixel_bytes") else "other"), (
        path.name,
        found,
    )
    for name in FIELDS:
        value = found.values.get(name, 1 if name in ("frames", "samples") else None) or None
        wanted = expected(dataset, name)
        if not (wanted is None and found.values.get("enhanced") and name in FROM_GROUPS):
            assert value == (wanted or None), (path.name, name)
    assert found.values["transfer_syntax"] == str(dataset.file_meta.get("TransferSyntaxUID", "")), path.name
    return True


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_file_that_pydicom_ships_is_read_as_pydicom_reads_it() -> None:
    assert sum(compare(path) for path in SHIPPED) > 150


@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_real_file_is_read_as_pydicom_reads_it(data: Path) -> None:
    files = sorted(path for path in (data / "dicom").rglob("*") if path.is_file())
    assert sum(compare(path) for path in files[::5]) > 150


def slice_(**values: Any) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.SeriesInstanceUID, made.StudyInstanceUID = generate_uid(), generate_uid()
    made.PatientID, made.Modality, made.ImageType = "P1", "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.Rows, made.Columns, made.BitsAllocated, made.BitsStored, made.HighBit = 8, 6, 16, 16, 15
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, 1.5], [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.SliceThickness = [0.5, 0.25], 2
    made.PixelData = np.arange(48, dtype=np.uint16).tobytes()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def packed(made: Dataset, syntax: Any = ExplicitVRLittleEndian) -> bytes:
    made.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    if syntax == ExplicitVRBigEndian:
        # pydicom writes numbers in the new order but not the bytes of pixels.
        made.PixelData = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
    pydicom.dcmwrite(out, made, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_every_uncompressed_encoding_gives_the_same_header(syntax: Any) -> None:
    nested = Dataset()
    nested.PatientID, nested.Rows = "of another", 999
    nested.is_undefined_length_sequence_item = True
    made = slice_(ReferencedStudySequence=Sequence([nested, nested]), InstanceNumber=7, EchoTime=2.5)
    made["ReferencedStudySequence"].is_undefined_length = True
    found = of(packed(made, syntax))
    assert found.kind == "image" and found.values["problems"] == []
    values = {name: found.values[name] for name in ("patient_id", "rows", "cols", "instance_number", "echo_time")}
    assert values == {"patient_id": "P1", "rows": 8, "cols": 6, "instance_number": 7, "echo_time": 2.5}
    assert found.values["position"] == [0.0, 0.0, 1.5] and found.values["spacing"] == [0.5, 0.25]
    assert found.values["pixel_bytes"] == 96


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("ISO_IR 100", "Schädel Übersicht"),
        ("ISO_IR 192", "脳 MRI"),
        (["", "ISO 2022 IR 87"], "頭部"),
        ("GB18030", "头颅"),
    ],
)
def test_text_is_read_in_the_character_set_of_the_file(charset: Any, text: str) -> None:
    found = of(packed(slice_(SpecificCharacterSet=charset, SeriesDescription=text)))
    assert found.values["description"] == text


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_a_file_cut_anywhere_is_never_taken_for_whole(syntax: Any) -> None:
    whole = packed(slice_(), syntax)
    padding = int(syntax == DeflatedExplicitVRLittleEndian and whole[-1] == 0)
    for length in range(len(whole) - padding):
        found = of(whole[:length])
        assert found.kind != "image" or found.values["problems"], length
        assert found.kind in ("image", "damaged", "foreign", "other"), length
        if found.kind == "other":
            assert found.values["problems"] or "rows" not in found.values, length
    assert of(whole).values["problems"] == []


def test_a_cut_of_pixels_is_told_with_numbers() -> None:
    whole = packed(slice_())
    assert of(whole[:-40]).values["problems"] == ["truncated: 40 of 96 bytes of pixels are missing"]
    short = of(packed(slice_(PixelData=bytes(50)))).values["problems"]
    assert short == ["truncated: 96 bytes of pixels are declared by the size and 50 stored"]


def test_compressed_pixels_that_do_not_end_are_told() -> None:
    made = slice_(PixelData=encapsulate([bytes(40), bytes(60)]))
    made["PixelData"].is_undefined_length = True
    whole = packed(made, RLELossless)
    assert of(whole).values["problems"] == []
    assert "pixel_bytes" not in of(whole).values
    for cut in range(1, 140):
        problems = of(whole[:-cut]).values["problems"]
        # The last four bytes of the end marker are its length, zero.
        assert problems == ["truncated: the compressed pixels do not end"] or cut < 5, cut
    followed = whole + b"\xfc\xff\xfc\xffOB\x00\x00\x02\x00\x00\x00\x00\x00"
    assert of(followed).values["problems"] == []


def test_an_image_without_pixels_is_told() -> None:
    made = slice_()
    del made.PixelData
    assert of(packed(made)).values["problems"] == ["no-pixels: the file ends without pixel data"]


def test_values_of_the_wrong_kind_are_absent_and_told() -> None:
    data = packed(slice_(InstanceNumber=7)).replace(b"IS\x02\x007 ", b"IS\x02\x00x ")
    data = data.replace(b"0.5\\0.25", b"nan\\0.25")
    found = of(data)
    assert "instance_number" not in found.values and "spacing" not in found.values
    assert found.values["problems"] == ["unreadable-value: instance_number", "unreadable-value: spacing"]


def test_diffusion_of_classic_files_is_read_under_its_makers_name_only() -> None:
    made = slice_()
    made.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "800")
    assert of(packed(made)).values["b_value"] == 800
    other = slice_()
    other.private_block(0x0019, "SOMEONE ELSE", create=True).add_new(0x0C, "IS", "800")
    assert "b_value" not in of(packed(other)).values
    general = slice_()
    general.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [1000000700, 8, 0, 0])
    assert of(packed(general)).values["b_value"] == 700


def test_an_enhanced_file_tells_the_place_of_each_frame() -> None:
    made = slice_(NumberOfFrames=3, PixelData=bytes(96 * 3))
    del made.ImagePositionPatient, made.ImageOrientationPatient, made.PixelSpacing, made.SliceThickness
    plane, shared, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.25], 3
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([plane]), Sequence([measures])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for place in range(3):
        where, frame = Dataset(), Dataset()
        where.ImagePositionPatient = [0, 0, place * 3]
        frame.PlanePositionSequence = Sequence([where])
        frames.append(frame)
    made.PerFrameFunctionalGroupsSequence = Sequence(frames)
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian):
        values = of(packed(made, syntax)).values
        assert values["enhanced"] and values["frame_positions"] == [[0, 0, 0], [0, 0, 3], [0, 0, 6]]
        assert values["frame_orientations"] == [[1, 0, 0, 0, 1, 0]]
        assert (values["spacing"], values["thickness"]) == ([0.5, 0.25], 3.0)


def explicit(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    head = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, 0 if vr in (b"SQ", b"UN", b"OB") else size)
    return head + (struct.pack("<L", size) if vr in (b"SQ", b"UN", b"OB") else b"") + value


HEAD = bytes(128) + b"DICM" + explicit(0x00020010, b"UI", b"1.2.840.10008.1.2.1\x00")


def test_a_declared_length_beyond_the_file_reads_nothing() -> None:
    asked: list[int] = []
    data = HEAD + explicit(0x00080016, b"UN", b"", 0xFFFFFFF0)

    def read(at: int, count: int) -> bytes:
        asked.append(count)
        return data[at : at + count]

    found = parse(read, len(data))
    assert found.kind in ("damaged", "other") and max(asked) <= 1 << 20


def test_sequences_without_end_or_bottom_are_refused_at_a_bound() -> None:
    nest = explicit(0x00400275, b"SQ", b"\xfe\xff\x00\xe0\xff\xff\xff\xff", 0xFFFFFFFF) * 5000
    assert of(HEAD + nest).problem == "the header nests sequences more than 16 deep"


def test_elements_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "MAX_ELEMENTS", 1000)
    assert of(HEAD + explicit(0x00090001, b"LO", b"") * 2000).problem == "the header holds more than 1,000 elements"
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 2000
    assert "more than 1,000" in of(HEAD + explicit(0x00400275, b"SQ", items, 0xFFFFFFFF)).problem


def test_a_deflated_bomb_is_refused() -> None:
    head = HEAD.replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.1.99").replace(b"UI\x14", b"UI\x16")
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = machine.compress(packed(slice_())[132:]) + machine.compress(bytes(40 << 20)) + machine.flush()
    found = of(head + body)
    assert found.kind == "damaged" and "inflates to more than" in found.problem


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_after_the_mark_give_an_answer(data: bytes) -> None:
    assert of(HEAD + data).kind in ("image", "other", "damaged")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_to_a_real_header_gives_an_answer(draw: st.DataObject) -> None:
    data = bytearray(SHIPPED_SLICE)
    for _ in range(draw.draw(st.integers(1, 8))):
        data[draw.draw(st.integers(132, len(data) - 1))] = draw.draw(st.integers(0, 255))
    assert of(bytes(data)).kind in ("image", "other", "damaged", "foreign", "directory")


SHIPPED_SLICE = next(path for path in SHIPPED if path.name == "MR_small.dcm").read_bytes()


def test_a_header_of_a_damaged_file_is_an_error_that_names_it() -> None:
    nest = HEAD + explicit(0x00400275, b"SQ", b"\xfe\xff\x00\xe0\xff\xff\xff\xff", 0xFFFFFFFF) * 50
    with pytest.raises(ImageError, match=r"^a/1: the header nests sequences more than 16 deep; copy or export"):
        parse_header(lambda at, count: nest[at : at + count], len(nest), "a/1", 0)
    assert parse_header(lambda at, count: b"text"[at : at + count], 4, "a/2", 0) is None
