"""Preparation of a case and the way back to its own grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from semeion.cohort.volume import Grid, Volume
from semeion.cohort.volumes.read import read_volume
from semeion.errors import ImageError
from semeion.prepare import volume as module
from semeion.prepare.geometry import orientation_code
from semeion.prepare.volume import (
    measured_planes,
    prepare_mask,
    prepare_volume,
    prepared_bytes,
    restore_labels,
    unstated_units,
    whole_labels,
)
from semeion.prepare.volume_spec import Intensity, VolumePreparation
from support.volumes import blob, oblique

GRID = oblique((24, 20, 12), (1.0, 1.2, 2.0), 5)
IMAGE = Volume(blob()[np.newaxis], GRID, notes=("read-note",))
LABELS = np.where(blob() > 130, 2, np.where(blob() > 50, 1, 0)).astype(np.uint8)
MASK = Volume(LABELS[np.newaxis], GRID)
SHORTER = Volume(LABELS[np.newaxis, :-1], replace(GRID, size=(24, 20, 11)))
PLAIN = VolumePreparation()


def one_hot(labels: Any) -> Any:
    return np.stack([labels == label for label in range(3)]).astype(np.float32)


def dice(a: Any, b: Any) -> float:
    return float(np.mean([2 * ((a == n) & (b == n)).sum() / ((a == n).sum() + (b == n).sum()) for n in (1, 2)]))


def message(volumes: Any, spec: VolumePreparation, **more: Any) -> str:
    with pytest.raises(ImageError) as caught:
        prepare_volume(volumes, spec, **more)
    return str(caught.value)


def test_a_volume_becomes_standardised_channels_in_lps() -> None:
    prepared = prepare_volume([IMAGE], PLAIN)
    assert prepared.array.dtype == np.float32
    assert prepared.array.shape == (1, *prepared.grid.shape)
    assert orientation_code(prepared.grid) == "LPS"
    assert prepared.source == GRID
    assert prepared.notes == ("read-note",)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["LPS", "stored"]), st.sampled_from(["none", "foreground"]))
def test_without_resampling_labels_come_back_voxel_for_voxel(seed: int, orientation: Any, crop: Any) -> None:
    grid = oblique((24, 20, 12), (1.0, 1.2, 2.0), seed)
    prepared = prepare_volume([replace(IMAGE, grid=grid)], VolumePreparation(orientation=orientation, crop=crop))
    labels = prepare_mask(replace(MASK, grid=grid), prepared)
    back = restore_labels(one_hot(labels), prepared)
    assert back.grid == grid
    assert back.voxels.dtype == np.uint8
    np.testing.assert_array_equal(back.plane, LABELS)


@pytest.mark.parametrize(
    "spec",
    [
        VolumePreparation(spacing=(0.8, 0.8, 0.8)),
        VolumePreparation(spacing=(1.0, 1.0, None), orientation="stored", crop="body", margin_mm=3),
        VolumePreparation(spacing=(0.6, None, 0.9), interpolation="linear"),
        VolumePreparation(size=(40, 40, 40), size_mode="stretch"),
    ],
)
@pytest.mark.parametrize("slab", [4 << 20, 1])
def test_resampled_labels_come_back_but_for_their_borders(
    spec: VolumePreparation, slab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLAB_VOXELS", slab)
    prepared = prepare_volume([IMAGE], spec)
    labels = prepare_mask(MASK, prepared)
    assert labels.shape == prepared.array.shape[1:]
    assert dice(restore_labels(one_hot(labels), prepared).plane, LABELS) > 0.93


def test_image_and_mask_stay_on_one_another() -> None:
    """The prepared label is where the prepared image is bright, after every step."""
    spec = VolumePreparation(spacing=(0.9, 0.9, 1.5), crop="foreground", margin_mm=2, size=(20, 32, 30))
    prepared = prepare_volume([IMAGE], spec)
    labels = prepare_mask(MASK, prepared)
    assert prepared.array.shape == (1, 20, 32, 30)
    bright = prepared.array[0] > np.quantile(prepared.array[0], 1 - float((labels == 2).mean()))
    assert 2 * (bright & (labels == 2)).sum() / (bright.sum() + (labels == 2).sum()) > 0.85
    assert prepared.array[0][labels == 0].min() == prepared.array.min()


def test_probabilities_outside_the_input_are_background() -> None:
    prepared = prepare_volume([IMAGE], VolumePreparation(size=(6, 8, 8)))
    sure = np.zeros((3, 6, 8, 8), np.float32)
    sure[2] = 1
    back = restore_labels(sure, prepared).plane
    assert set(np.unique(back)) == {0, 2}
    assert (back == 2).sum() == 6 * 8 * 8
    resampled = prepare_volume([IMAGE], VolumePreparation(size=(6, 8, 8), spacing=(1.5, 1.5, 1.5)))
    assert 0 < (restore_labels(sure, resampled).plane == 2).mean() < 0.5
    with pytest.raises(ValueError, match="do not fit a grid"):
        restore_labels(sure[:, :3], prepared)


@pytest.mark.parametrize("spacing", [None, (0.7, 0.7, 0.7)])
def test_a_size_is_kept_whatever_the_volume(spacing: Any) -> None:
    for mode in ("centre", "stretch"):
        spec = VolumePreparation(size=(16, 30, 10), size_mode=mode, spacing=spacing)
        prepared = prepare_volume([IMAGE], spec)
        assert prepared.array.shape == (1, 16, 30, 10)
        assert prepared.grid.shape == (16, 30, 10)
        assert prepared_bytes(GRID, spec, mask=True) >= 16 * 30 * 10 * 3


def test_several_channels_in_files_or_in_one() -> None:
    spec = VolumePreparation(channels=["T1", "T2"], intensity=[Intensity(), Intensity(kind="percentiles")])
    other = replace(IMAGE, voxels=200 - IMAGE.voxels)
    both = replace(IMAGE, voxels=np.concatenate([IMAGE.voxels, other.voxels]), names=("a", "b"))
    apart, together = prepare_volume([IMAGE, other], spec), prepare_volume([both], spec)
    np.testing.assert_array_equal(apart.array, together.array)
    assert apart.array.shape[0] == 2
    assert (apart.array[1].min(), apart.array[1].max()) == (0, 1)
    assert "1 of 2 channels are there; give T2 as well, in this order" in message([IMAGE], spec)
    assert "3 planes are there and the plan has 2 channels; give T1, T2 only" in message([both, IMAGE], spec)


def test_a_unit_that_differs_is_refused_and_one_that_is_silent_taken() -> None:
    spec = VolumePreparation(units=["HU"])
    assert "channel 'image' is in SUVbw and the plan's is in HU" in message([replace(IMAGE, unit="SUVbw")], spec)
    assert prepare_volume([replace(IMAGE, unit="HU")], spec).notes == ("read-note",)
    assert prepare_volume([IMAGE], spec).notes == ("read-note", "unit-assumed: image states no unit, read as HU")
    assert prepare_volume([IMAGE], PLAIN).notes == ("read-note",)
    both = VolumePreparation(channels=["CT", "PET"], units=["HU", "SUVbw"], intensity=[Intensity()] * 2)
    frames = [replace(IMAGE, unit="HU"), IMAGE] * 2
    assert unstated_units(frames, both) == ["unit-assumed: PET states no unit, read as SUVbw"]
    assert prepare_volume([IMAGE], spec).array.shape[0] == 1


def test_a_crop_to_a_mask_needs_the_mask() -> None:
    spec = VolumePreparation(crop="mask", margin_mm=1)
    assert "the plan crops to a mask and none is there; give the mask of the case" in message([IMAGE], spec)
    prepared = prepare_volume([IMAGE], spec, region=MASK)
    assert prepared.array.size < IMAGE.voxels.size
    assert (prepare_mask(MASK, prepared) > 0).sum() == (LABELS > 0).sum()


def test_a_crop_of_nothing_keeps_all() -> None:
    empty = replace(IMAGE, voxels=np.zeros_like(IMAGE.voxels))
    assert prepare_volume([empty], VolumePreparation(crop="foreground")).array.size == IMAGE.voxels.size


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (SHORTER, "has 24 x 20 x 11 voxels and its image has 24 x 20 x 12"),
        (replace(MASK, grid=replace(GRID, origin=(0.0, 0.0, 0.0))), "mm from its image"),
        (replace(MASK, voxels=MASK.voxels * np.float32(0.5)), "the mask holds fractions, and labels are whole numbers"),
        (replace(MASK, voxels=MASK.voxels.astype(np.int16) - 1), "the mask holds labels from -1 to 1"),
        (replace(MASK, voxels=MASK.voxels.astype(np.int16) * 200), "the mask holds labels from 0 to 400"),
        (Volume(np.concatenate([MASK.voxels] * 2), GRID, ("a", "b")), "the mask holds 2 volumes"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(mask: Volume, expected: str) -> None:
    prepared = prepare_volume([IMAGE], PLAIN)
    with pytest.raises(ImageError) as caught:
        prepare_mask(mask, prepared, where="m.nii")
    assert expected in str(caught.value)
    assert str(caught.value).startswith("m.nii: the mask ")


def test_labels_stored_as_floats_are_taken_when_whole() -> None:
    floats = replace(MASK, voxels=MASK.voxels.astype(np.float32))
    np.testing.assert_array_equal(whole_labels(floats), LABELS)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"channels": ["a", "a"]}, "are not distinct"),
        ({"channels": []}, "at least 1 item"),
        ({"channels": ["a", "b", "c"], "intensity": [Intensity(), Intensity()]}, "2 intensities for 3 channels"),
        ({"units": ["HU", "HU"]}, "2 units for 1 channels"),
        ({"spacing": (1, 0, 1)}, "is not positive"),
        ({"size": (0, 4, 4)}, "is empty"),
        ({"margin_mm": -1}, "greater than or equal to 0"),
        ({"register": "rigid"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        VolumePreparation(**fields)


def test_settings_go_through_json_unchanged() -> None:
    spec = VolumePreparation(
        channels=["CT", "PET"],
        units=["HU", "SUVbw"],
        spacing=(1.0, None, 3.0),
        intensity=[Intensity(kind="fixed", low=-100, high=300, mean=50, std=60), Intensity(clip=(0.0, 0.99))],
        size=(8, 9, 10),
    )
    assert VolumePreparation.model_validate_json(spec.model_dump_json()) == spec
    assert [spec.of_channel(n).kind for n in (0, 1)] == ["fixed", "zscore"]
    assert VolumePreparation(channels=["a", "b"]).of_channel(1) == Intensity()


@pytest.mark.real_data
def test_real_labels_survive_the_way_there_and_back(data: Path) -> None:
    image = read_volume(str(data / "acdc/images/patient001_ED.nii.gz"))
    mask = read_volume(str(data / "acdc/masks/patient001_ED.nii.gz"))
    prepared = prepare_volume([image], VolumePreparation(spacing=(1.25, 1.25, None), crop="body", margin_mm=10))
    labels = prepare_mask(mask, prepared)
    back = restore_labels(np.stack([labels == n for n in range(4)]).astype(np.float32), prepared)
    assert back.grid == mask.grid
    for label in (1, 2, 3):
        a, b = back.plane == label, mask.plane == label
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.99


@pytest.mark.parametrize("spacing", [None, (2.0, 2.0, 2.0)])
def test_a_mask_keeps_saying_that_its_spacing_is_not_known(spacing: Any) -> None:
    volume = Volume(np.arange(64.0).reshape(1, 4, 4, 4), Grid((4, 4, 4), (1.0, 1.0, 1.0)), notes=("no-spacing", "x"))
    prepared = prepare_volume([volume], VolumePreparation(spacing=spacing))
    mask = restore_labels(np.ones((2, *prepared.grid.shape), np.float32), prepared)
    assert mask.notes == ("no-spacing",)


def test_intensity_is_measured_in_units_or_scaled_and_never_where_nothing_was_seen() -> None:
    half = replace(IMAGE, voxels=IMAGE.voxels[:, :6], grid=replace(GRID, size=(24, 20, 6)))
    spec = VolumePreparation(
        channels=["ct", "mr", "part"],
        units=["HU", None, None],
        spacing=(2.0, 2.0, 2.0),
        intensity=[Intensity(kind="zscore", foreground="all")] * 3,
    )
    ct, mr, part = measured_planes([replace(IMAGE, unit="HU"), IMAGE, half], spec)
    for plane in (ct, mr, part):
        assert plane.grid == GRID
        assert plane.voxels.shape == IMAGE.voxels.shape
    np.testing.assert_array_equal(ct.plane, IMAGE.plane)
    values = IMAGE.plane.astype(np.float64)
    np.testing.assert_allclose(mr.plane, (values - values.mean()) / values.std(), atol=1e-4)
    assert np.isfinite(part.plane[:6]).all()
    assert np.isnan(part.plane[6:]).all()
