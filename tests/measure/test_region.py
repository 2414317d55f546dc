from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measure.ibsi import PHANTOM, SHAPE, STATISTICS, TEXTURE, agrees
from measure.test_surface import MASKS
from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError
from semeion.measure.definitions import DEFINITIONS
from semeion.measure.discretise import Discretisation
from semeion.measure.region import (
    Measurement,
    diameters_of,
    find_region,
    measure_labels,
    measure_region,
    measurement_names,
)
from semeion.measure.texture import TextureSettings

CUBES = Grid((5, 4, 4), (2.0, 2.0, 2.0))
PHANTOM_MASK = Volume((PHANTOM > 0).astype(np.uint8)[None], CUBES)
PHANTOM_IMAGE = Volume(PHANTOM.astype(np.float32)[None], CUBES, unit="HU")
BY_ONE = TextureSettings(Discretisation("size", 1, minimum=1))


def mask_of(array: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Volume:
    k, j, i = array.shape
    return Volume(array[None], Grid((i, j, k), spacing))


def test_the_phantom_whole() -> None:
    found = measure_region(PHANTOM_MASK, 1, PHANTOM_IMAGE, texture=BY_ONE)
    assert tuple(found) == measurement_names(image=True, texture=True) == tuple(DEFINITIONS)
    for name, (published, tolerance) in SHAPE.items():
        assert found[name].value == pytest.approx(published, abs=tolerance), name
    for name, published in {**STATISTICS, **TEXTURE["3d-merge"]}.items():
        assert agrees(found[name].value, published), name
    assert found["intensity_mean"] == Measurement("intensity_mean", pytest.approx(2.1486486), "HU")
    assert found["sphericity"].definition.title == "Sphericity"


def test_without_an_image_only_shape_is_measured() -> None:
    found = measure_region(PHANTOM_MASK, 1)
    assert tuple(found) == measurement_names(image=False, texture=False)
    assert {"volume_ml", "recist_long_mm", "recist_short_mm"} <= set(found)
    assert not [name for name in found if name.startswith(("intensity_", "glcm_"))]


def test_thick_slices_count_in_the_right_direction() -> None:
    mask = mask_of(np.pad(np.ones((1, 1, 10), dtype=np.uint8), 2), spacing=(0.5, 1.0, 8.0))
    found = measure_region(mask, 1)
    assert found["volume_ml"].value == pytest.approx(10 * 0.5 * 1 * 8 / 1000)
    assert found["recist_long_mm"].value == pytest.approx(5)
    assert found["recist_short_mm"].value == pytest.approx(1)
    assert found["recist_slice"].value == 2


def test_other_labels_and_the_place_in_the_volume_do_not_matter() -> None:
    alone = measure_region(mask_of((PHANTOM > 0).astype(np.int16)), 1)
    among = np.pad((PHANTOM > 0).astype(np.int16) * 7, ((3, 2), (1, 4), (2, 2)), constant_values=3)
    found = measure_region(mask_of(among), 7)
    for name, value in alone.items():
        if name == "recist_slice":
            assert found[name].value == value.value + 3
        else:
            assert found[name].value == pytest.approx(value.value), name


def test_diameters_are_placed_in_the_whole_mask() -> None:
    array = np.zeros((3, 9, 20), dtype=np.uint8)
    array[2, 5, 8:15] = 4
    line = diameters_of(find_region(mask_of(array), 4))
    assert line.slice_index == 2
    assert sorted(line.long_ends) == [(7.5, 5.0), (14.5, 5.0)]


@settings(max_examples=30, deadline=None)
@given(MASKS, st.permutations(range(3)))
def test_a_turned_grid_measures_the_same(inside: np.ndarray, order: list[int]) -> None:
    """The direction of a grid says where voxels are in the patient, not how large the region is."""
    k, j, i = inside.shape
    turned = tuple(np.eye(3)[:, order].ravel() * -1)
    here = Volume(inside.astype(np.uint8)[None], Grid((i, j, k), (1.0, 2.0, 3.0)))
    there = Volume(inside.astype(np.uint8)[None], Grid((i, j, k), (1.0, 2.0, 3.0), (5.0, -3.0, 9.0), turned))
    one, other = measure_region(here, 1), measure_region(there, 1)
    assert {n: m.value for n, m in one.items()} == pytest.approx({n: m.value for n, m in other.items()}, nan_ok=True)


def test_several_labels_by_name() -> None:
    array = np.zeros((2, 4, 6), dtype=np.uint8)
    array[:, :, :2], array[:, :, 4:] = 1, 2
    found = measure_labels(mask_of(array), {"anterior": 1, "posterior": 2})
    assert found["anterior_volume_ml"].value == found["posterior_volume_ml"].value == pytest.approx(0.016)
    assert found["anterior_volume_ml"].unit == "ml"


def test_an_absent_label_is_refused_or_nothing_as_asked() -> None:
    mask = mask_of(np.ones((2, 2, 2), dtype=np.uint8))
    with pytest.raises(InputError, match="case 7: label 2 is not in the mask, which holds 1; name one of those"):
        measure_labels(mask, {"core": 1, "edema": 2}, where="case 7")
    found = measure_labels(mask, {"core": 1, "edema": 2}, absent="nothing")
    assert found["edema_volume_ml"].value == 0
    assert np.isnan(found["edema_sphericity"].value)
    assert [n.removeprefix("edema_") for n in found if n.startswith("edema_")] == list(measure_region(mask, 1))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Volume(np.zeros((1, 4, 4, 6)), Grid((6, 4, 4), (2.0, 2.0, 2.0))), r"\(5, 4, 4\) and \(6, 4, 4\) voxels"),
        (Volume(np.zeros((1, 4, 4, 5)), Grid((5, 4, 4), (2.0, 2.0, 2.5))), r"different grids \(1.5 mm apart\)"),
        (Volume(np.zeros((1, 4, 4, 5)), Grid((5, 4, 4), (2.0, 2.0, 2.0), (0.0, 0.0, 7.0))), r"grids \(7 mm apart\)"),
        (
            Volume(np.zeros((2, 4, 4, 5)), CUBES, names=("T1", "FLAIR")),
            r"measured in one plane and the image has 2 \(T1, FLAIR\); give one plane at a time",
        ),
        (Volume(np.full((1, 4, 4, 5), np.nan), CUBES), "74 of 74 intensities in the region are not finite"),
    ],
)
def test_images_that_do_not_fit_are_refused(image: Volume, said: str) -> None:
    with pytest.raises(InputError, match=said):
        measure_region(PHANTOM_MASK, 1, image)


def test_masks_without_the_region_are_refused() -> None:
    empty = mask_of(np.zeros((2, 2, 2), dtype=np.uint8))
    with pytest.raises(InputError, match="case 9: the mask is empty: no voxel is labelled; leave the case out"):
        measure_region(empty, 1, where="case 9")
    with pytest.raises(InputError, match="label 0 names no region: 0 is the background; take 1 or more"):
        measure_region(PHANTOM_MASK, 0)
    with pytest.raises(InputError, match="values that are not whole numbers; give labels, not probabilities"):
        measure_region(mask_of(np.full((2, 2, 2), 0.4)), 1)
    with pytest.raises(InputError, match="a mask has one plane and this has 2"):
        measure_region(Volume(np.ones((2, 2, 2, 2), dtype=np.uint8), Grid((2, 2, 2), (1.0, 1.0, 1.0)), ("a", "b")), 1)


def test_texture_without_an_image_is_refused() -> None:
    with pytest.raises(InputError, match="texture is asked for without an image; give the image of the mask"):
        measure_region(PHANTOM_MASK, 1, texture=True)


FASTRAD = {
    "shape:voxel_volume": ("volume_ml", 1e-3, 1e-9),
    # Both draw marching cubes, with other triangles where a polygon is not flat: volume within 0.5 %, area within 3 %.
    "shape:mesh_volume": ("mesh_volume_ml", 1e-3, 0.005),
    "shape:surface_area": ("surface_mm2", 1, 0.03),
    "shape:sphericity": ("sphericity", 1, 0.03),
    "shape:maximum_3d_diameter": ("diameter_3d_mm", 1, 1e-9),
    "shape:elongation": ("elongation", 1, 1e-9),
    "shape:flatness": ("flatness", 1, 1e-9),
    "firstorder:energy": ("intensity_energy", 1, 1e-6),
    "firstorder:entropy": ("histogram_entropy", 1, 1e-9),
    "firstorder:uniformity": ("histogram_uniformity", 1, 1e-9),
    "firstorder:10th_percentile": ("intensity_p10", 1, 1e-6),
    "firstorder:90th_percentile": ("intensity_p90", 1, 1e-6),
    "firstorder:interquartile_range": ("intensity_interquartile_range", 1, 1e-5),
    "firstorder:mean": ("intensity_mean", 1, 1e-9),
    "firstorder:mean_absolute_deviation": ("intensity_mean_absolute_deviation", 1, 1e-9),
    "firstorder:root_mean_squared": ("intensity_root_mean_square", 1, 1e-9),
    "firstorder:skewness": ("intensity_skewness", 1, 1e-6),
    "firstorder:variance": ("intensity_variance", 1, 1e-9),
    "glcm:autocorrelation": ("glcm_autocorrelation", 1, 1e-9),
    "glcm:cluster_prominence": ("glcm_cluster_prominence", 1, 1e-9),
    "glcm:cluster_shade": ("glcm_cluster_shade", 1, 1e-9),
    "glcm:cluster_tendency": ("glcm_cluster_tendency", 1, 1e-9),
    "glcm:contrast": ("glcm_contrast", 1, 1e-9),
    "glcm:correlation": ("glcm_correlation", 1, 1e-9),
    "glcm:difference_average": ("glcm_difference_average", 1, 1e-9),
    "glcm:difference_entropy": ("glcm_difference_entropy", 1, 1e-9),
    "glcm:difference_variance": ("glcm_difference_variance", 1, 1e-9),
    "glcm:id": ("glcm_inverse_difference", 1, 1e-9),
    "glcm:idm": ("glcm_inverse_difference_moment", 1, 1e-9),
    "glcm:idmn": ("glcm_normalised_inverse_difference_moment", 1, 1e-9),
    "glcm:idn": ("glcm_normalised_inverse_difference", 1, 1e-9),
    "glcm:imc1": ("glcm_information_correlation_1", 1, 1e-9),
    "glcm:imc2": ("glcm_information_correlation_2", 1, 1e-9),
    "glcm:inverse_variance": ("glcm_inverse_variance", 1, 1e-9),
    "glcm:joint_average": ("glcm_joint_average", 1, 1e-9),
    "glcm:joint_energy": ("glcm_angular_second_moment", 1, 1e-9),
    "glcm:joint_entropy": ("glcm_joint_entropy", 1, 1e-9),
    "glcm:maximum_probability": ("glcm_joint_maximum", 1, 1e-9),
    "glcm:sum_average": ("glcm_sum_average", 1, 1e-9),
    "glcm:sum_entropy": ("glcm_sum_entropy", 1, 1e-9),
    "glcm:sum_squares": ("glcm_joint_variance", 1, 1e-9),
    "glrlm:gray_level_non_uniformity": ("glrlm_grey_level_non_uniformity", 1, 1e-9),
    "glrlm:long_run_high_gray_level_emphasis": ("glrlm_long_run_high_grey_level_emphasis", 1, 1e-9),
    "glrlm:long_run_low_gray_level_emphasis": ("glrlm_long_run_low_grey_level_emphasis", 1, 1e-9),
    "glrlm:run_entropy": ("glrlm_run_entropy", 1, 1e-9),
    "glrlm:run_length_non_uniformity": ("glrlm_run_length_non_uniformity", 1, 1e-9),
    "glrlm:run_percentage": ("glrlm_run_percentage", 1, 1e-9),
    "glrlm:run_variance": ("glrlm_run_length_variance", 1, 1e-9),
    "glrlm:short_run_emphasis": ("glrlm_short_run_emphasis", 1, 1e-9),
    "glszm:gray_level_variance": ("glszm_grey_level_variance", 1, 1e-9),
    "glszm:large_area_high_gray_level_emphasis": ("glszm_large_zone_high_grey_level_emphasis", 1, 1e-9),
    "glszm:low_gray_level_zone_emphasis": ("glszm_low_grey_level_zone_emphasis", 1, 1e-9),
    "glszm:size_zone_non_uniformity": ("glszm_zone_size_non_uniformity", 1, 1e-9),
    "glszm:small_area_emphasis": ("glszm_small_zone_emphasis", 1, 1e-9),
    "glszm:zone_entropy": ("glszm_zone_size_entropy", 1, 1e-9),
    "glszm:zone_percentage": ("glszm_zone_percentage", 1, 1e-9),
}
"""Name of the independent implementation to ours, the factor from its unit to ours, and the tolerance."""


@pytest.mark.real_data
def test_a_real_hippocampus_agrees_with_an_independent_implementation(data: Path) -> None:
    import SimpleITK as sitk
    from scipy import ndimage

    extraction, torch = pytest.importorskip("fastrad.extractor"), pytest.importorskip("torch")
    from fastrad.image import Mask, MedicalImage
    from fastrad.settings import FeatureSettings

    files = sorted((data / "hippocampus" / "labelsTr").glob("*.nii.gz"))[:2]
    assert len(files) == 2
    for file in files:
        mask, image = sitk.ReadImage(file), sitk.ReadImage(data / "hippocampus" / "imagesTr" / file.name)
        grid = Grid(mask.GetSize(), mask.GetSpacing(), mask.GetOrigin(), mask.GetDirection())
        labels, values = sitk.GetArrayFromImage(mask), sitk.GetArrayFromImage(image).astype(np.float64)
        for label in (1, 2):
            inside = values[labels == label]
            # A power of two keeps bin borders the same in single precision, which the other one computes in.
            width = 2.0 ** np.ceil(np.log2(np.ptp(inside) / 24))
            ways = Discretisation("size", width, minimum=float(np.floor(inside.min() / width) * width))
            ours = measure_region(
                Volume(labels[None], grid),
                label,
                Volume(values[None], grid),
                texture=TextureSettings(ways, "3d-average"),
            )
            wanted = FeatureSettings(["firstorder", "shape", "glcm", "glrlm", "glszm"], bin_width=width, device="cpu")
            spacing_kji = grid.spacing[::-1]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = extraction.FeatureExtractor(wanted).extract(
                    MedicalImage(torch.tensor(values), spacing_kji), Mask(torch.tensor(labels == label), spacing_kji)
                )
            for their_name, (name, factor, tolerance) in FASTRAD.items():
                assert ours[name].value == pytest.approx(theirs[their_name] * factor, rel=tolerance), (file.name, name)
            assert ours["intensity_kurtosis"].value == pytest.approx(theirs["firstorder:kurtosis"] - 3)
            # The other one also measures across gaps and from slice to slice: slices of one piece, one at a time.
            for number, plane in enumerate(labels == label):
                if ndimage.label(plane, np.ones((3, 3)))[1] == 1:
                    alone = np.zeros_like(labels)
                    alone[number] = plane
                    shape = extraction.FeatureExtractor(FeatureSettings(["shape"], device="cpu")).extract(
                        MedicalImage(torch.tensor(values), spacing_kji), Mask(torch.tensor(alone), spacing_kji)
                    )
                    line = diameters_of(find_region(Volume(alone[None], grid), 1))
                    assert line.long_mm == pytest.approx(shape["shape:maximum_2d_diameter_slice"])


@pytest.mark.parametrize(
    "note", ["no-spacing: 1 x 1 mm stands for an unknown pixel", "one-slice: 1 mm stands for an unknown thickness"]
)
def test_nothing_is_measured_without_a_scale(note: str) -> None:
    voxels = np.zeros((1, 4, 4, 4), np.uint8)
    voxels[0, 1:3, 1:3, 1:3] = 1
    mask = Volume(voxels, Grid((4, 4, 4), (1, 1, 1)), notes=(note,))
    for measure in (
        lambda: measure_region(mask, 1, where="case 7"),
        lambda: measure_labels(mask, {"lesion": 1}, where="case 7"),
        lambda: measure_labels(mask, {"other": 2}, absent="nothing", where="case 7"),
    ):
        with pytest.raises(InputError, match="case 7: the size of a voxel is not known"):
            measure()
