"""Every fault of geometry, made from a real series: told with numbers, then corrected and noted, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.cohort.series.assemble import read_folder, read_series
from semeion.errors import ImageError
from support.series import datasets_in, headers_in, save, stored

pytestmark = pytest.mark.real_data


@pytest.fixture
def slices(data: Path) -> list[Any]:
    """Ten slices of 34 x 50 pixels, 1 mm apart, of the hippocampus crop series."""
    return datasets_in(data / "dicom/mr_brain_study/11_HCropVolume")[:10]


def read(slices: list[Any], folder: Path, **choices: Any) -> Any:
    return read_series(headers_in(save(slices, folder)), **choices)


def move(dataset: Any, *by: float) -> None:
    dataset.ImagePositionPatient = [float(a) + b for a, b in zip(dataset.ImagePositionPatient, by, strict=True)]


def test_a_missing_slice_is_interpolated_and_told(slices: list[Any], tmp_path: Path) -> None:
    whole = stored(slices)
    gone = slices.pop(4)
    volume = read(slices, tmp_path)
    assert volume.grid.size == (34, 50, 10)
    assert volume.grid.spacing == (1.0, 1.0, 1.0)
    assert "missing-slices: 1, interpolated at 4.00 mm along the normal, every 1.00 mm" in volume.notes
    assert np.array_equal(np.delete(volume.plane, 4, 0), np.delete(whole, 4, 0))
    assert np.abs(volume.plane[4] - (whole[3] + whole[5]) / 2).max() <= 0.5
    assert float(gone.ImagePositionPatient[2]) == pytest.approx(volume.grid.place((0, 0, 4))[2])
    with pytest.raises(ImageError, match=r'slices are 1.00 to 2.00 mm apart \(0020,0032\).*uneven="correct"'):
        read(slices, tmp_path, uneven="refuse")


def test_two_missing_slices_side_by_side_are_refused(slices: list[Any], tmp_path: Path) -> None:
    del slices[4:6]
    with pytest.raises(
        ImageError,
        match=r"a gap of 3.00 mm at 3.00 mm along the normal, where slices are 1.00 mm apart \(0020,0032\): about 2 "
        r"missing, and gaps are filled up to 2.20 mm; export the whole series again",
    ):
        read(slices, tmp_path)


def test_a_missing_thick_slice_is_refused(data: Path, tmp_path: Path) -> None:
    thick = datasets_in(data / "dicom/mr_brain_study/11-T1post-18670")
    del thick[4]
    with pytest.raises(ImageError, match=r"a gap of 13.00 mm at .* filled up to 10.00 mm"):
        read(thick, tmp_path)


def test_a_duplicate_with_equal_pixels_is_dropped_and_told(slices: list[Any], tmp_path: Path) -> None:
    whole = stored(slices)
    save(slices, tmp_path)
    slices[3].SOPInstanceUID = slices[3].file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    slices[3].save_as(tmp_path / "again.dcm")
    volume = read_series(headers_in(tmp_path))
    assert np.array_equal(volume.plane, whole)
    assert "duplicates-dropped: 1 slices repeat another at their position" in volume.notes
    assert np.array_equal(read_folder(tmp_path).plane, whole)


def test_a_duplicate_position_with_other_pixels_is_refused(slices: list[Any], tmp_path: Path) -> None:
    slices[3].ImagePositionPatient = slices[4].ImagePositionPatient
    with pytest.raises(
        ImageError, match=r"2 slices lie at one position, 4.00 mm along the normal \(0020,0032\): .*\.dcm, .*leave out"
    ):
        read(slices, tmp_path)


def test_a_flipped_slice_is_refused(slices: list[Any], tmp_path: Path) -> None:
    slices[5].ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    with pytest.raises(ImageError, match=r"slice .*\.dcm is turned by 180.00 degrees against the first \(0020,0037\)"):
        read(slices, tmp_path)


def test_a_slightly_turned_slice_is_refused(slices: list[Any], tmp_path: Path) -> None:
    turn = np.radians(0.4)
    slices[5].ImageOrientationPatient = [1, 0, 0, 0, f"{np.cos(turn):.8f}", f"{np.sin(turn):.8f}"]
    with pytest.raises(ImageError, match=r"turned by 0.40 degrees"):
        read(slices, tmp_path)


def test_uneven_spacing_is_resampled_and_told(slices: list[Any], tmp_path: Path) -> None:
    whole = stored(slices)
    for dataset in slices[6:]:
        move(dataset, 0, 0, 0.5)
    volume = read(slices, tmp_path)
    assert "uneven-spacing: gaps 1.00 to 1.50 mm, resampled every 1.00 mm" in volume.notes
    assert volume.grid.spacing[2] == 1.0
    assert np.array_equal(volume.plane[:6], whole[:6])
    expected = whole[5] + (whole[6] - whole[5]) / 1.5
    assert np.abs(volume.plane[6] - expected).max() <= 0.5
    assert np.abs(volume.plane[7] - (whole[6] + whole[7]) / 2).max() <= 0.5


def test_a_ramp_along_the_normal_survives_uneven_spacing(slices: list[Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for dataset in slices:
        move(dataset, 0, 0, float(np.round(rng.uniform(-0.2, 0.2), 3)))
        level = round(float(dataset.ImagePositionPatient[2]) * 1000)
        dataset.PixelData = np.full((dataset.Rows, dataset.Columns), level, np.int16).tobytes()
    volume = read(slices, tmp_path)
    levels = volume.plane[:, 20, 20]
    places = np.array([volume.grid.place((20, 20, k))[2] for k in range(len(levels))])
    last = float(slices[-1].ImagePositionPatient[2])
    assert np.abs(levels - np.minimum(places, last) * 1000).max() <= 12


def test_jitter_below_a_fiftieth_of_a_step_is_an_even_grid(slices: list[Any], tmp_path: Path) -> None:
    for n, dataset in enumerate(slices):
        move(dataset, 0, 0, 0.01 * (-1) ** n)
    volume = read(slices, tmp_path)
    assert np.array_equal(volume.plane, stored(slices))
    assert not any(note.startswith(("uneven", "missing")) for note in volume.notes)


def test_overlapping_slices_and_gaps_between_them_are_told(slices: list[Any], tmp_path: Path) -> None:
    for dataset in slices:
        dataset.SliceThickness = 2.5
    assert "overlapping-slices: 2.50 mm thick, 1.00 mm apart" in read(slices, tmp_path).notes
    for dataset in slices:
        dataset.SliceThickness = 0.5
    assert "gaps-between-slices: 0.50 mm thick, 1.00 mm apart" in read(slices, tmp_path).notes


def test_spacing_comes_from_positions_and_not_from_thickness(slices: list[Any], tmp_path: Path) -> None:
    for dataset in slices:
        dataset.SliceThickness, dataset.SpacingBetweenSlices, dataset.SliceLocation = 5, 7, 0
    assert read(slices, tmp_path).grid.spacing == (1.0, 1.0, 1.0)


def test_a_single_shifted_slice_is_refused(slices: list[Any], tmp_path: Path) -> None:
    move(slices[6], 2.0, 0, 0)
    with pytest.raises(ImageError, match=r"slice .*\.dcm lies \d\.\d+ mm beside the line through the other slices"):
        read(slices, tmp_path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda d: setattr(d, "ImagePositionPatient", None),
            r"1 of 10 .* no ImagePositionPatient \(0020,0032\)",
        ),
        (lambda d: setattr(d, "ImageOrientationPatient", None), r"have no ImageOrientationPatient \(0020,0037\)"),
        (lambda d: setattr(d, "PixelSpacing", None), r"have no PixelSpacing \(0028,0030\)"),
        (lambda d: setattr(d, "PixelSpacing", [0, 1]), r"have no usable PixelSpacing \(0028,0030\)"),
        (
            lambda d: setattr(d, "PixelSpacing", [1, 1.1]),
            r"differ in pixel spacing \(0028,0030\): 9 with 1.0000",
        ),
        (
            lambda d: setattr(d, "ImageOrientationPatient", [1, 0.02, 0, 0, 1, 0]),
            r"cosines \(0020,0037\) of .* are not perpendicular unit vectors \(off by 0.0200\)",
        ),
        (
            lambda d: setattr(d, "ImageOrientationPatient", [0, 0, 0, 0, 1, 0]),
            r"are not perpendicular unit vectors \(off by 1.0000\)",
        ),
    ],
)
def test_missing_or_broken_geometry_is_refused(
    slices: list[Any], tmp_path: Path, change: Callable[[Any], None], text: str
) -> None:
    change(slices[3])
    with pytest.raises(ImageError, match=text):
        read(slices, tmp_path)


def test_cosines_of_few_digits_are_repaired_and_told(slices: list[Any], tmp_path: Path) -> None:
    for dataset in slices:
        dataset.ImageOrientationPatient = [1, 0.0008, 0, 0, 1, 0]
    volume = read(slices, tmp_path)
    assert volume.notes[0] == "cosines-corrected: off by 0.0008"
    assert np.abs(volume.grid.matrix.T @ volume.grid.matrix - np.eye(3)).max() < 1e-12


def test_mixed_sizes_are_refused(slices: list[Any], tmp_path: Path) -> None:
    slices[2].PixelData = slices[2].pixel_array[:40].tobytes()
    slices[2].Rows = 40
    with pytest.raises(ImageError, match=r"differ in rows and columns \(0028,0010\): 9 with 50 x 34, 1 with 40 x 34"):
        read(slices, tmp_path)


def test_one_slice_needs_a_thickness(slices: list[Any], tmp_path: Path) -> None:
    assert read(slices[:1], tmp_path).grid.spacing == (1.0, 1.0, 1.0)
    slices[0].SliceThickness = None
    with pytest.raises(ImageError, match=r"is one slice without SliceThickness \(0018,0050\)"):
        read(slices[:1], tmp_path)


def test_the_tilt_of_a_real_head_is_computed_and_corrected(data: Path) -> None:
    folder = data / "dicom/ct_head_tilted"
    volume = read_folder(folder)
    assert "tilt-corrected: 18.5 degrees" in volume.notes
    assert "uneven-spacing: gaps 1.08 to 7.00 mm, resampled every 4.00 mm" in volume.notes
    assert volume.unit == "HU"
    files = datasets_in(folder)
    values = stored(files)
    padding = values == -1500
    # A bright pixel of a slice lies in the volume where its own header puts it in the patient.
    checked = 0
    for k in range(14):
        cosines = np.array(files[k].ImageOrientationPatient, dtype=float)
        corner = np.array(files[k].ImagePositionPatient, dtype=float)
        step = np.array(files[k].PixelSpacing, dtype=float)
        for row, col in ((200, 200), (256, 256), (300, 240)):
            around = values[k, row - 3 : row + 4, col - 3 : col + 4]
            if np.ptp(around) > 60 or padding[k, row, col]:
                continue
            place = corner + cosines[:3] * col * step[1] + cosines[3:] * row * step[0]
            i, j, depth = volume.grid.index(place)
            if abs(depth - round(depth)) < 0.02:
                assert abs(float(volume.plane[round(depth), round(j), round(i)]) - around.mean()) < 30
                checked += 1
    assert checked > 15
    with pytest.raises(ImageError, match=r"slices are tilted by 18.5 degrees \(0020,0032\).*tilt=.correct."):
        read_folder(folder, tilt="refuse")
    with pytest.raises(ImageError, match=r"slices are 1.08 to 7.00 mm apart"):
        read_folder(folder, uneven="refuse")


@pytest.mark.parametrize("degrees", [-20.0, 5.0, 30.0])
def test_a_sheared_ramp_is_the_same_ramp_after_correction(slices: list[Any], tmp_path: Path, degrees: float) -> None:
    """Intensity that is linear in the patient's coordinates stays so wherever the corrected volume holds data."""
    slope = np.array([3.0, 5.0, 40.0])
    j, i = np.mgrid[:50, :34]
    for n, dataset in enumerate(slices):
        move(dataset, 0, n * np.tan(np.radians(degrees)), 0)
        corner = np.array(dataset.ImagePositionPatient, dtype=float)
        level = slope @ corner + slope[0] * i + slope[1] * j
        dataset.PixelData = np.round(level).astype(np.int16).tobytes()
    volume = read(slices, tmp_path)
    assert f"tilt-corrected: {abs(degrees):.1f} degrees" in volume.notes
    for k, dataset in enumerate(slices):
        corner = np.array(dataset.ImagePositionPatient, dtype=float)
        for row, col in ((5, 5), (20, 10), (44, 30)):
            near = np.round(volume.grid.index(corner + np.array([col, row, 0]))).astype(int)
            place = volume.grid.place(near)
            assert abs(float(volume.plane[near[2], near[1], near[0]]) - slope @ place) <= 1.5, (k, row, col)


def test_slices_that_slide_too_far_are_refused(slices: list[Any], tmp_path: Path) -> None:
    for n, dataset in enumerate(slices):
        move(dataset, 0, n * 2.0, 0)
    with pytest.raises(ImageError, match=r"stacked at 63.4 degrees .* up to 45 are corrected"):
        read(slices, tmp_path)
