"""Series become volumes with the geometry that outside references give them."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.cohort.limits import ReadLimits
from semeion.cohort.series import records
from semeion.cohort.series.assemble import read_files, read_folder, read_indexed, read_series
from semeion.cohort.series.index import index_folder
from semeion.cohort.volume import Grid
from semeion.errors import ImageError, InputError
from support.series import ct_slices, datasets_in, headers_in, save, stored

REFERENCES = {
    "20180918GE/mr_0004": "DCM2NIIX_regression_test_4",
    "20180918GE/mr_0005": "DCM2NIIX_regression_test_5",
    "20180918GE/mr_0006": "DCM2NIIX_regression_test_6",
    "20180918GE/mr_0007": "DCM2NIIX_regression_test_7",
    "20180918Si/mr_0003": "EPI_PE=AP_3",
    "20180918Si/mr_0004": "EPI_PE=PA_4",
    "20180918Si/mr_0005": "EPI_PE=RL_5",
    "20180918Si/mr_0006": "EPI_PE=LR_6",
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REFERENCES)
def test_affine_and_voxels_are_those_of_dcm2niix(data: Path, name: str) -> None:
    volume = read_folder(data / "dicom/qa_nih/In" / name)
    path = data / "dicom/qa_nih/Ref" / f"{REFERENCES[name]}.nii"
    reference = sitk.ReadImage(str(path))
    frames = sitk.GetArrayFromImage(reference)
    assert frames.shape[0] == len(volume.voxels)
    # ITK holds NIfTI in LPS; dcm2niix turns rows round, so that j and the origin are flipped back here.
    direction = np.array(reference.GetDirection()).reshape(4, 4)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(reference.GetSpacing()[:3])
    affine[:3, 3] = reference.GetOrigin()[:3]
    flip = np.diag([1.0, -1.0, 1.0, 1.0])
    flip[1, 3] = reference.GetSize()[1] - 1
    affine = affine @ flip
    assert np.abs(volume.grid.affine - affine).max() < 1e-3
    assert np.array_equal(volume.voxels, frames[:, :, ::-1])
    assert volume.axis == "time"


@pytest.mark.real_data
def test_the_hippocampus_crop_lies_where_its_header_says(data: Path) -> None:
    folder = data / "dicom/mr_brain_study/11_HCropVolume"
    volume = read_folder(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    reference = reader.Execute()
    assert np.allclose(volume.grid.spacing, reference.GetSpacing(), atol=1e-6)
    assert np.allclose(volume.grid.origin, reference.GetOrigin(), atol=1e-6)
    assert np.allclose(volume.grid.direction, reference.GetDirection(), atol=1e-6)
    assert np.array_equal(volume.plane, sitk.GetArrayFromImage(reference))


@pytest.mark.real_data
def test_registered_series_of_a_study_share_one_grid(data: Path) -> None:
    folders = [path for path in (data / "dicom/mr_brain_study").iterdir() if "HCrop" not in path.name]
    grids = [read_folder(folder).grid for folder in folders]
    assert len(grids) == 4
    assert all(grid.same_as(grids[0], 0.05) for grid in grids)


@pytest.mark.real_data
def test_a_cine_keeps_its_time_axis(data: Path) -> None:
    volume = read_folder(data / "dicom/cine_mr/dicom")
    assert volume.voxels.shape == (20, 12, 256, 256)
    assert volume.axis == "time"
    assert len(volume.times) == 20
    assert volume.times[0] == 0
    assert 30 < volume.times[1] < 45
    assert volume.grid.spacing == pytest.approx((1.367188, 1.367188, 10.0), abs=1e-3)
    assert volume.notes[0] == "frames: 20 by trigger time"
    # Each slice of each phase is the file with that position and that rank of trigger time.
    dataset = pydicom.dcmread(data / "dicom/cine_mr/dicom/22.dcm")
    k = volume.grid.index(np.array(dataset.ImagePositionPatient, dtype=float))[2]
    assert np.array_equal(volume.voxels[1, round(k)], dataset.pixel_array)


@pytest.mark.real_data
def test_a_cine_that_is_half_copied_is_refused(data: Path, tmp_path: Path) -> None:
    for path in sorted((data / "dicom/cine_mr/dicom").iterdir())[:100]:
        shutil.copy(path, tmp_path)
    with pytest.raises(ImageError, match=r"is no whole series of frames: \d+ positions hold 20,.*half copied"):
        read_series(headers_in(tmp_path))


def test_names_and_instance_numbers_do_not_order_slices(tmp_path: Path) -> None:
    slices = ct_slices(6)
    volume = read_folder(save(slices, tmp_path))
    assert volume.grid == Grid((128, 128, 6), (0.75, 0.5, 2.0), (-10.0, 5.0, 100.0))
    assert np.array_equal(volume.plane, stored(slices))
    assert volume.voxels.dtype == np.int16
    assert volume.unit == "HU"
    assert volume.modality == "CT"
    assert volume.source_format == "dicom"


@settings(max_examples=12, deadline=None)
@given(angles=st.tuples(*[st.floats(-3, 3)] * 3), order=st.permutations(range(5)), step=st.floats(0.4, 9))
def test_any_orientation_and_order_places_every_voxel_where_its_file_says(
    tmp_path_factory: pytest.TempPathFactory, angles: tuple[float, ...], order: list[int], step: float
) -> None:
    turn = np.array(sitk.Euler3DTransform((0, 0, 0), *angles).GetMatrix()).reshape(3, 3)
    slices = ct_slices(5)
    for n, dataset in enumerate(slices):
        dataset.ImageOrientationPatient = [f"{value:.7f}" for value in (*turn[:, 0], *turn[:, 1])]
        dataset.ImagePositionPatient = [f"{value:.5f}" for value in np.array([3.0, -7.0, 11.0]) + turn[:, 2] * n * step]
    volume = read_folder(save([slices[n] for n in order], tmp_path_factory.mktemp("turned")))
    for k, dataset in enumerate(slices):
        cosines = np.array(dataset.ImageOrientationPatient, dtype=float)
        corner = np.array(dataset.ImagePositionPatient, dtype=float)
        place = corner + cosines[:3] * 0.75 * 127 + cosines[3:] * 0.5 * 60
        assert np.linalg.norm(volume.grid.place((127, 60, k)) - place) < 1e-2
    assert np.array_equal(volume.plane, stored(slices))


def test_a_folder_with_several_volumes_is_refused_with_a_list_and_no_patient(tmp_path: Path) -> None:
    for name, description in (("a", "thin lung"), ("b", "soft tissue")):
        slices = ct_slices(3)
        for dataset in slices:
            dataset.SeriesDescription, dataset.PatientID, dataset.PatientName = description, "SECRET", "Secret^Name"
        save(slices, tmp_path / name)
    with pytest.raises(ImageError, match="holds 2 volumes where one is meant") as caught:
        read_folder(tmp_path)
    text = str(caught.value)
    uid = headers_in(tmp_path / "b")[0].series_uid
    assert f"#{uid}: CT, 128 x 128 x 3, ok" in text
    # A description is free text, in which people write names.
    assert not any(secret in text for secret in ("SECRET", "Secret", "thin lung", "soft tissue"))
    assert read_folder(tmp_path, uid).voxels.shape == (1, 3, 128, 128)
    with pytest.raises(ImageError, match=r"holds no series 1\.2\.3; correct the reference"):
        read_folder(tmp_path, "1.2.3")


def test_a_series_is_named_by_an_index_or_read_from_an_archive(tmp_path: Path) -> None:
    slices = ct_slices(3)
    save(slices, tmp_path / "in")
    index_folder(tmp_path / "in", tmp_path / "series.parquet")
    uid = str(slices[0].SeriesInstanceUID)
    assert np.array_equal(read_indexed(tmp_path / "series.parquet", uid).plane, stored(slices))
    with pytest.raises(InputError, match="holds no series"):
        read_indexed(tmp_path / "series.parquet", "1.2.3")
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (tmp_path / "in").iterdir():
            archive.write(path, path.name)
    assert np.array_equal(read_files([tmp_path / "in.zip"]).plane, stored(slices))


def test_empty_folders_and_declared_sizes_are_refused_before_pixels_are_read(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="holds no DICOM image"):
        read_folder(tmp_path)
    save(ct_slices(3), tmp_path)
    with pytest.raises(ImageError, match="declares 49152 voxels, more than the 40,000 that are read"):
        read_folder(tmp_path, limits=ReadLimits(max_voxels=40_000))


def test_slices_of_different_rescale_share_one_type(tmp_path: Path) -> None:
    slices = ct_slices(3)
    for n, dataset in enumerate(slices):
        dataset.RescaleSlope = f"{1 + n * 0.5}"
    volume = read_folder(save(slices, tmp_path))
    assert volume.voxels.dtype == np.float32
    assert np.allclose(volume.plane, stored(slices))


def test_values_beyond_sixteen_bits_are_kept(tmp_path: Path) -> None:
    slices = ct_slices(2)
    slices[1].PixelData = np.full((128, 128), -32768, np.int16).tobytes()
    volume = read_folder(save(slices, tmp_path))
    assert volume.voxels.dtype == np.int32
    assert volume.plane[1].min() == -32768 - 1024


def test_padding_becomes_the_lowest_real_value_of_the_series(tmp_path: Path) -> None:
    slices = ct_slices(3)
    expected = stored(slices)
    for n, dataset in enumerate(slices):
        dataset.PixelPaddingValue = -2000
        if n:
            pixels = dataset.pixel_array.copy()
            pixels[:10] = -2000
            dataset.PixelData = pixels.tobytes()
            expected[n, :10] = np.inf
    expected[np.isinf(expected)] = expected.min()
    volume = read_folder(save(slices, tmp_path))
    assert np.array_equal(volume.plane, expected)
    assert f"padding-replaced: {2 * 1280} voxels" in volume.notes


@pytest.mark.real_data
def test_every_cut_of_a_slice_is_refused(data: Path, tmp_path: Path) -> None:
    source = data / "dicom/mr_brain_study/11_HCropVolume"
    paths = sorted(source.iterdir())[:4]
    for path in paths:
        shutil.copy(path, tmp_path)
    whole = paths[1].read_bytes()
    victim = tmp_path / paths[1].name
    lengths = {0, 1, 100, 131, 140, 500, 1000, len(whole) // 2, len(whole) - 100, len(whole) - 2, len(whole) - 1}
    for length in sorted(lengths):
        victim.write_bytes(whole[:length])
        try:
            volume = read_folder(tmp_path)
        except ImageError:
            continue
        # A file cut to nothing that could be DICOM leaves a gap, which is told.
        assert length <= 140, length
        assert any(note.startswith("missing-slices: 1") for note in volume.notes)


def test_a_file_that_changed_under_the_reader_is_refused(tmp_path: Path) -> None:
    save(ct_slices(3), tmp_path)
    headers = headers_in(tmp_path)
    Path(headers[1].path).write_bytes(Path(headers[1].path).read_bytes()[:-3000])
    with pytest.raises(ImageError, match="the file is cut short: 32,768 bytes of pixels are declared and"):
        read_series(headers)
    Path(headers[1].path).unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        read_series(headers)


def test_mixed_files_are_refused_when_handed_over_as_one(tmp_path: Path) -> None:
    slices = ct_slices(3)
    slices[1].RescaleType = "MGML"
    save(slices, tmp_path)
    with pytest.raises(ImageError, match=r"differ in unit \(0028,1054\): 2 with HU, 1 with MGML"):
        read_series(headers_in(tmp_path))


def test_datasets_in_orders_by_position(tmp_path: Path) -> None:
    slices = ct_slices(3)
    save(slices, tmp_path)
    assert [d.SOPInstanceUID for d in datasets_in(tmp_path)] == [d.SOPInstanceUID for d in slices]


def test_a_folder_of_many_series_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = [ct_slices(5, seed=seed) for seed in (1, 2)]
    uids = []
    for number, datasets in enumerate(series):
        uid = pydicom.uid.generate_uid()
        for one in datasets:
            one.SeriesInstanceUID = uid
        save(datasets, tmp_path / str(number))
        uids.append(uid)
    opened: list[str] = []
    make = records.make_record
    monkeypatch.setattr(records, "make_record", lambda entry, limits: opened.append(entry.path) or make(entry, limits))
    for uid, datasets in zip(uids, series, strict=True):
        assert np.array_equal(read_folder(tmp_path, uid).plane, stored(datasets))
    assert len(opened) == len(set(opened)) == 10
    gone = next((tmp_path / "0").iterdir())
    gone.unlink()
    assert np.array_equal(read_folder(tmp_path, uids[1]).plane, stored(series[1]))
    assert len(opened) == 19  # what is there now, not what was


def test_a_file_that_could_not_be_read_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = ct_slices(4)
    save(datasets, tmp_path)
    uid = str(datasets[0].SeriesInstanceUID)
    make, busy = records.make_record, {"kind": "unreadable", "problem": "the share is busy"}
    monkeypatch.setattr(records, "make_record", lambda entry, limits: {**make(entry, limits), **busy})
    with pytest.raises(ImageError, match="the share is busy"):
        read_folder(tmp_path, uid)
    monkeypatch.setattr(records, "make_record", make)
    assert np.array_equal(read_folder(tmp_path, uid).plane, stored(datasets))
