from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError
from semeion.measure.lesions import DEFINITIONS, find_lesions


def volume(voxels: np.ndarray, spacing=(1.0, 1.0, 1.0), **geometry) -> Volume:
    size = voxels.shape[::-1]
    return Volume(voxels[None], Grid(size, spacing, **geometry))


def test_boxes_are_counted_measured_and_placed():
    voxels = np.zeros((12, 14, 16), np.uint8)
    voxels[1:3, 2:5, 3:7] = 1  # 2 x 3 x 4 voxels
    voxels[8, 8, 8] = 1
    voxels[9, 9, 9] = 1  # touches by a corner: the same lesion
    found = find_lesions(volume(voxels, (0.5, 1.0, 2.0), origin=(10.0, 20.0, 30.0)), smallest_ml=0)
    first, second = found.table
    assert (first.voxels, second.voxels) == (24, 2)
    assert first.volume_ml == pytest.approx(0.024)
    assert first.centre == pytest.approx((10 + 4.5 * 0.5, 20 + 3.0, 30 + 1.5 * 2))
    assert found.load_ml == pytest.approx(0.026)
    # Between the centres of faces: the whole of the longest axis, centre to centre along the others.
    assert first.diameter_mm == pytest.approx(np.sqrt(4.0**2 + 1.5**2 + 2.0**2))


def test_a_line_of_voxels_is_as_long_as_its_voxels():
    voxels = np.zeros((5, 5, 12), np.uint8)
    voxels[2, 2, 1:11] = 1
    assert find_lesions(volume(voxels, (0.7, 1, 1))).table[0].diameter_mm == pytest.approx(7.0)


def test_a_sphere_has_its_diameter_on_an_anisotropic_grid():
    k, j, i = np.mgrid[:21, :41, :41]
    voxels = ((k - 10) * 2.0) ** 2 + (j - 20.0) ** 2 + (i - 20.0) ** 2 <= 15**2
    found = find_lesions(volume(voxels, (1.0, 1.0, 2.0)))
    assert found.table[0].diameter_mm == pytest.approx(30, abs=2.0)  # one slice
    assert found.load_ml == pytest.approx(4 / 3 * np.pi * 15**3 / 1000, rel=0.02)


def test_small_pieces_are_set_aside_and_said():
    voxels = np.zeros((6, 6, 20), np.uint8)
    voxels[1, 1, 0:3] = 1
    voxels[1, 1, 5:7] = 1
    found = find_lesions(volume(voxels))
    assert [one.voxels for one in found.table] == [3]
    assert (found.ignored, found.ignored_ml) == (1, pytest.approx(0.002))


def test_no_lesion_is_a_count_of_zero_without_a_largest():
    values = find_lesions(volume(np.zeros((3, 3, 3), np.uint8))).measurements()
    assert (values["lesion_count"], values["lesion_load_ml"]) == (0, 0)
    assert np.isnan(values["lesion_largest_ml"])
    assert np.isnan(values["lesion_largest_diameter_mm"])
    assert set(values) == {one.name for one in DEFINITIONS}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    spacing=st.tuples(*[st.floats(0.3, 4)] * 3),
    axes=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.booleans()] * 3),
)
def test_turning_the_array_with_its_grid_changes_nothing(seed, spacing, axes, flips):
    voxels = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(7, 8, 9)), 1) > 0.1
    plain = find_lesions(volume(voxels, spacing), smallest_ml=0)
    # The array's axes are k, j, i; those of a grid are i, j, k.
    turned = voxels.transpose(axes)
    where = np.flatnonzero(flips)
    turned = np.flip(turned, tuple(where))
    columns = []
    for axis in range(2, -1, -1):
        vector = np.zeros(3)
        vector[2 - axes[axis]] = -1 if flips[axis] else 1
        columns.append(vector)
    size = turned.shape[::-1]
    new_spacing = tuple(spacing[2 - axes[axis]] for axis in range(2, -1, -1))
    matrix = np.stack(columns, axis=1)
    origin = np.zeros(3)
    for axis in where:
        origin[2 - axes[axis]] = (turned.shape[axis] - 1) * spacing[2 - axes[axis]]
    grid = Grid(size, new_spacing, tuple(origin), tuple(matrix.ravel()))
    other = find_lesions(Volume(np.ascontiguousarray(turned)[None], grid), smallest_ml=0)
    key = lambda one: (one.voxels, *np.round(one.centre, 6))  # noqa: E731
    for a, b in zip(sorted(plain.table, key=key), sorted(other.table, key=key), strict=True):
        assert a.centre == pytest.approx(b.centre, abs=1e-6)
        assert a.diameter_mm == pytest.approx(b.diameter_mm)


def test_bad_input_is_refused():
    voxels = np.zeros((3, 3, 3), np.uint8)
    with pytest.raises(InputError, match="smallest volume of -1 ml; give 0 ml or more"):
        find_lesions(volume(voxels), smallest_ml=-1)
    with pytest.raises(InputError, match=r"labels .* name no structure"):
        find_lesions(volume(voxels), 0)
    with pytest.raises(InputError, match="case7: the mask holds values that are not whole numbers; give labels"):
        find_lesions(volume(voxels + 0.5), where="case7")
    with pytest.raises(InputError, match="the mask holds the label -3"):
        find_lesions(volume(voxels.astype(np.int16) - 3))
    with pytest.raises(InputError, match="a mask has one plane and this has 2"):
        find_lesions(Volume(np.zeros((2, 3, 3, 3), np.uint8), Grid((3, 3, 3), (1, 1, 1)), ("a", "b")))
    unknown = Volume(
        voxels[None], Grid((3, 3, 3), (1, 1, 1)), notes=("no-spacing: 1 x 1 mm stands for an unknown pixel",)
    )
    with pytest.raises(InputError, match="the size of a voxel is not known.* give a file that states its spacing"):  # noqa: RUF043
        find_lesions(unknown)


@pytest.mark.real_data
def test_real_lesions(data: Path):
    import SimpleITK as sitk

    files = sorted((data / "ms_lesions").rglob("GOLD_STANDARD*.nii.gz"))
    assert files
    image = sitk.ReadImage(str(files[0]))
    voxels = sitk.GetArrayFromImage(image)
    grid = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    found = find_lesions(Volume(voxels[None], grid))
    assert found.load_ml + found.ignored_ml == pytest.approx((voxels == 1).sum() * grid.voxel_ml)
    # An independent labelling by ITK agrees.
    itk = sitk.LabelShapeStatisticsImageFilter()
    itk.Execute(sitk.ConnectedComponent(image == 1, True))
    largest = max(itk.GetLabels(), key=itk.GetPhysicalSize)
    assert found.table[0].volume_ml == pytest.approx(itk.GetPhysicalSize(largest) / 1000)
    assert found.table[0].centre == pytest.approx(itk.GetCentroid(largest), abs=1e-3)
