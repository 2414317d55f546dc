from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.evidence.masks.overlap import (
    Lesions,
    common_box,
    count_lesions,
    dice,
    measure_case,
    surface,
    surface_distances,
)


def box(shape, low, high):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def ball(radius_mm, spacing, shape=(40, 60, 60), shift_mm=(0.0, 0.0, 0.0)):
    places = np.stack(np.indices(shape), -1) * np.array(spacing)
    middle = (np.array(shape) - 1) / 2 * np.array(spacing) + np.array(shift_mm)
    return np.linalg.norm(places - middle, axis=-1) <= radius_mm


def test_a_shifted_box_by_hand():
    a, b = box((20, 20, 20), (5, 5, 5), (10, 10, 10)), box((20, 20, 20), (5, 5, 7), (10, 10, 12))
    assert dice(a, b) == pytest.approx(2 * 75 / 250)
    found = surface_distances(a, b, (1, 1, 2.0))
    # Of each surface's 98 voxels the 25 of the far side are 4 mm from the other's, more than 5 of a hundred.
    assert found.hd95_mm == pytest.approx(4.0)
    assert 0 < found.assd_mm < 4


def test_a_plate_moved_by_three_slices_is_three_spacings_away():
    a, b = box((12, 8, 8), (2, 0, 0), (3, 8, 8)), box((12, 8, 8), (5, 0, 0), (6, 8, 8))
    found = surface_distances(a, b, (2.5, 1, 1))
    assert found.hd95_mm == pytest.approx(7.5)
    assert found.assd_mm == pytest.approx(7.5)


def test_balls_of_two_radii_are_their_difference_apart():
    spacing = (1.5, 1.0, 1.0)
    found = surface_distances(ball(20, spacing), ball(15, spacing), spacing)
    assert found.assd_mm == pytest.approx(5, abs=0.3)
    assert found.hd95_mm == pytest.approx(5, abs=1.0)
    row = measure_case(ball(20, spacing).astype(np.uint8), ball(15, spacing).astype(np.uint8), {"organ": 1}, spacing)[0]
    volumes = [4 / 3 * math.pi * r**3 / 1000 for r in (20, 15)]
    assert row["reference_ml"] == pytest.approx(volumes[0], rel=0.02)
    assert row["volume_error_ml"] == pytest.approx(volumes[1] - volumes[0], rel=0.03)
    assert row["dice"] == pytest.approx(2 * volumes[1] / sum(volumes), abs=0.01)


def test_one_empty_is_infinite_and_both_empty_is_nothing():
    some, none = box((5, 5, 5), (1, 1, 1), (3, 3, 3)), np.zeros((5, 5, 5), bool)
    for pair in ((some, none), (none, some)):
        assert dice(*pair) == 0
        assert surface_distances(*pair, (1, 1, 1)).hd95_mm == math.inf
        assert surface_distances(*pair, (1, 1, 1)).assd_mm == math.inf
    assert math.isnan(dice(none, none))
    assert math.isnan(surface_distances(none, none, (1, 1, 1)).assd_mm)


def test_a_voxel_at_the_border_of_the_array_is_surface():
    full = np.ones((3, 3, 3), bool)
    assert surface(full).sum() == 26


masks = st.tuples(st.integers(0, 2**32 - 1), st.floats(0.02, 0.6), st.floats(0.02, 0.6))


@settings(max_examples=40, deadline=None)
@given(given_masks=masks, spacing=st.tuples(*[st.floats(0.3, 5)] * 3))
def test_it_is_symmetric_and_the_same_in_a_larger_array(given_masks, spacing):
    seed, p, q = given_masks
    random = np.random.default_rng(seed)
    a, b = random.random((6, 7, 8)) < p, random.random((6, 7, 8)) < q
    forth, back = surface_distances(a, b, spacing), surface_distances(b, a, spacing)
    np.testing.assert_allclose([forth.hd95_mm, forth.assd_mm], [back.hd95_mm, back.assd_mm])
    assert surface_distances(a, a, spacing).hd95_mm in (0.0,) or not a.any()
    padded = [np.pad(mask, 3) for mask in (a, b)]
    cut = [mask[common_box(*padded)] for mask in padded]
    again = surface_distances(*cut, spacing)
    np.testing.assert_allclose([forth.hd95_mm, forth.assd_mm], [again.hd95_mm, again.assd_mm])


@settings(max_examples=15, deadline=None)
@given(given_masks=masks, spacing=st.tuples(*[st.floats(0.5, 4)] * 3))
def test_it_agrees_with_monai(given_masks, spacing):
    seed, p, q = given_masks
    random = np.random.default_rng(seed)
    a, b = random.random((6, 9, 8)) < p, random.random((6, 9, 8)) < q
    if a.any() and b.any():
        against_monai(a, b, spacing)


def against_monai(a, b, spacing):
    torch = pytest.importorskip("torch")
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    one, two = (torch.from_numpy(mask[None, None]) for mask in (b, a))
    found = surface_distances(a, b, spacing)
    options = {"include_background": True, "spacing": list(spacing)}
    hd95 = float(compute_hausdorff_distance(one, two, percentile=95, **options))
    assd = float(compute_average_surface_distance(one, two, symmetric=True, **options))
    assert found.hd95_mm == pytest.approx(hd95, rel=1e-5)
    assert found.assd_mm == pytest.approx(assd, rel=1e-5)
    assert dice(a, b) == pytest.approx(float(compute_dice(one, two)), rel=1e-6)


@pytest.mark.real_data
def test_it_agrees_with_monai_on_hippocampi(data: Path):
    import SimpleITK as sitk

    for path in sorted((data / "hippocampus" / "labelsTr").glob("*.nii.gz"))[:3]:
        read = sitk.ReadImage(str(path))
        labels = sitk.GetArrayFromImage(read)
        spacing = read.GetSpacing()[::-1]
        for value in (1, 2):
            mask = labels == value
            against_monai(mask, np.roll(mask, (1, -2, 1), (0, 1, 2)), spacing)


def test_lesions_are_counted_by_any_shared_voxel():
    reference, prediction = np.zeros((10, 10, 10), bool), np.zeros((10, 10, 10), bool)
    reference[1, 1, 1] = reference[2, 2, 2] = True  # one lesion, over a corner
    reference[5:7, 5:7, 5:7] = True
    reference[9, 9, 9] = True
    prediction[2, 2, 2] = True
    prediction[5, 5, 5] = prediction[6, 8, 6] = prediction[0, 9, 0] = True
    found = count_lesions(reference, prediction)
    assert found == Lesions(reference=3, found=2, predicted=4, true=2)
    assert found.sensitivity == pytest.approx(2 / 3)
    assert found.precision == pytest.approx(0.5)
    assert found.f1 == pytest.approx(4 / 7)


def test_lesions_of_one_side_only():
    assert Lesions(2, 0, 0, 0).f1 == 0
    assert Lesions(0, 0, 3, 0).f1 == 0
    assert math.isnan(Lesions(0, 0, 0, 0).f1)


def test_every_label_has_a_row_and_only_lesions_are_counted():
    reference = np.zeros((4, 4, 4), np.uint8)
    reference[0], reference[3] = 1, 7
    rows = measure_case(reference, reference, {"a": 1, "b": 7, "c": 9}, (1, 1, 1), lesions=["b"])
    assert [row["label"] for row in rows] == ["a", "b", "c"]
    assert [row["dice"] for row in rows[:2]] == [1, 1]
    assert math.isnan(rows[2]["dice"])
    assert rows[1]["lesions_found"] == 1
    assert "lesions_found" not in rows[0]
    assert rows[0]["reference_ml"] == pytest.approx(0.016)


@pytest.mark.parametrize(
    ("shape", "spacing", "message"),
    [((4, 4, 5), (1, 1, 1), "the reference has shape"), ((4, 4, 4), (1, 0, 1), "not three positive numbers")],
)
def test_what_cannot_be_measured_is_refused(shape, spacing, message):
    with pytest.raises(ValueError, match=message):
        measure_case(np.zeros((4, 4, 4), np.uint8), np.zeros(shape, np.uint8), {"a": 1}, spacing)
