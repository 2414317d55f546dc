"""The one way in: every kind of reference, and what is said of what is no volume."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import SimpleITK as sitk

from semeion.cohort.volumes.read import is_volume, read_grid, read_volume
from semeion.errors import ImageError
from semeion.prepare.itk import to_itk
from support.volumes import oblique, save_nifti

VOXELS = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
GRID = oblique((6, 5, 4), (0.5, 1.25, 3.0), seed=3)


def message(ref: str) -> str:
    with pytest.raises(ImageError) as caught:
        read_volume(ref)
    return str(caught.value)


def test_the_format_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "scan.nrrd", VOXELS)
    assert read_volume(path).source_format == "nifti"
    (tmp_path / "b.nii.gz").write_bytes(Path(path).read_bytes())
    assert read_volume(str(tmp_path / "b.nii.gz")).source_format == "nifti"


@pytest.mark.parametrize(("suffix", "source_format"), [("mha", "metaimage"), ("nrrd", "nrrd")])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_simpleitk_writes_comes_back(
    tmp_path: Path, suffix: str, source_format: str, kind: str, compressed: bool
) -> None:
    path = str(tmp_path / f"a.{suffix}")
    sitk.WriteImage(to_itk(VOXELS.astype(kind), GRID), path, compressed)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.plane, VOXELS.astype(kind))
    assert volume.grid.distance(GRID) < 1e-6
    assert volume.source_format == source_format
    assert is_volume(path)
    assert read_grid(path) == volume.grid


@pytest.mark.parametrize("suffix", ["mha", "nrrd"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_cut_short_is_refused_where_the_library_fills_zeros(
    tmp_path: Path, suffix: str, compressed: bool
) -> None:
    path = tmp_path / f"a.{suffix}"
    sitk.WriteImage(to_itk(VOXELS, GRID), str(path), compressed)
    whole = path.read_bytes()
    for length in (3, 10, 20, 120, 150, 300, len(whole) - 60, len(whole) - 1):
        path.write_bytes(whole[: min(length, len(whole) - 1)])
        assert "cut short" in message(str(path)) or "looks like" in message(str(path)), length
    assert "cut short" in message(str(path))


def test_a_picture_is_no_volume(tmp_path: Path) -> None:
    path = str(tmp_path / "a.png")
    cv2.imwrite(path, VOXELS[0].astype(np.uint8))
    assert "is a 2-D picture (png) where a volume is meant" in message(path)
    assert not is_volume(path)
    assert read_grid(path) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty (zero bytes)"),
        (b"hello", "is no volume that can be read: it looks like text"),
        (b"<!DOCTYPE html>", "an HTML page"),
        (b"\x1f\x8b\x08\x00garbage", "gzip-compressed data that holds no NIfTI volume, or a damaged one"),
        (b"\x5c\x01\x00\x00" + bytes(400), "an Analyze 7.5 header, which does not say where its voxels are"),
        (bytes(4000), "nothing but zero bytes"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(content)
    assert expected in message(str(path))
    assert not is_volume(str(path))


@pytest.mark.parametrize("name", ["absent.nii.gz", "absent.npz#images[0]", "absent#1.2.840.1", "a\0b.nii", "x" * 5000])
def test_what_is_absent_says_so(tmp_path: Path, name: str) -> None:
    text = message(str(tmp_path / name))
    assert any(word in text for word in ("does not exist", "cannot be read"))


def test_absent_files_are_no_volumes_but_a_series_is(tmp_path: Path) -> None:
    assert not is_volume(str(tmp_path / "absent.nii"))
    assert is_volume(str(tmp_path / "series.parquet") + "#1.2.840.10008.1/2")
    assert is_volume(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied_is_told(tmp_path: Path) -> None:
    path = Path(save_nifti(tmp_path / "a.nii", VOXELS))
    path.chmod(0)
    assert "cannot be read (Permission denied)" in message(str(path))


def test_permission_denied_is_told_whoever_runs_the_test(tmp_path: Path, monkeypatch: Any) -> None:
    path = save_nifti(tmp_path / "a.nii", VOXELS)

    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(Path, "open", denied)
    assert "cannot be read (Permission denied); check the path and its permissions" in message(path)


@pytest.mark.real_data
def test_a_folder_of_dicom_files_is_one_volume_or_names_those_it_holds(data: Path) -> None:
    tilted = str(data / "dicom" / "ct_head_tilted")
    assert is_volume(tilted)
    assert read_volume(tilted).unit == "HU"
    study = str(data / "dicom" / "mr_brain_study")
    text = message(study)
    assert "holds 5 volumes where one is meant; name one as FOLDER#UID" in text
    uid = text.split("#1.2.")[1].split(":")[0]
    crop = read_volume(f"{study}#1.2.{uid}")
    assert crop.source_format == "dicom"
    assert crop.grid.size == (34, 50, 40)
    assert is_volume(f"{study}#1.2.{uid}")


def test_a_deflated_bomb_is_not_inflated_to_tell_what_it_is(tmp_path: Path) -> None:
    import pydicom
    from pydicom.dataset import FileMetaDataset

    meta, made = FileMetaDataset(), pydicom.Dataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = "1.2.840.10008.1.2.1.99", "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    made.file_meta, made.Rows, made.Columns, made.NumberOfFrames = meta, 4, 4, 2
    made.BitsAllocated, made.PixelData = 8, bytes(64 << 20)
    made["PixelData"].VR = "OB"
    path = tmp_path / "bomb.dcm"
    made.save_as(path, enforce_file_format=True)
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    assert not is_volume(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20


def test_whatever_is_wrong_with_a_series_is_an_error_of_that_image(tmp_path: Path) -> None:
    (tmp_path / "series.parquet").write_bytes(b"no table")
    assert "series.files.parquet: does not exist" in message(f"{tmp_path}/series.parquet#1.2.3")
