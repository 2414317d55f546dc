"""One case as the array that a classifier sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.cohort.reading import read_image
from semeion.cohort.volume import Grid, Volume
from semeion.errors import ImageError
from semeion.prepare.case import case_shape, planes_of, prepare_case, read_case, to_bytes, value_range
from semeion.prepare.spec import Preparation
from semeion.prepare.transform import prepare_image
from semeion.prepare.volume_spec import Intensity, VolumePreparation
from support.spheres import write_volume
from support.tiny import write_picture

SIZE = (6, 8, 8)
PERCENTILES = Intensity(kind="percentiles", foreground="all", clip=(0.0, 1.0))
SPEC = VolumePreparation(size=SIZE, intensity=[PERCENTILES])
RNG = np.random.default_rng(0)


def volume(planes: int = 1, shape: tuple[int, int, int] = SIZE, seed: int = 0) -> Volume:
    voxels = np.random.default_rng(seed).integers(0, 1000, (planes, *shape)).astype(np.int16)
    grid = Grid((shape[2], shape[1], shape[0]), (1.0, 1.0, 1.0))
    return Volume(voxels, grid, tuple(f"p{n}" for n in range(planes)))


def test_shapes() -> None:
    assert case_shape(Preparation(size=(8, 10), channels=3)) == (3, 8, 10)
    assert case_shape(Preparation(size=(8, 10)), images=4, groups=4) == (4, 8, 10)
    assert case_shape(SPEC, images=2, groups=2) == (2, *SIZE)
    channels = VolumePreparation(size=SIZE, channels=["T1", "T2"])
    assert case_shape(channels, images=2) == (2, *SIZE)
    with pytest.raises(ValueError, match="fixed size"):
        case_shape(VolumePreparation())


def test_a_picture_is_prepared_as_ever(tmp_path: Path) -> None:
    spec = Preparation(size=(8, 8))
    files = [str(write_picture(tmp_path / f"{n}.png", RNG.integers(0, 255, (9, 9), np.uint8))) for n in range(2)]
    wanted = [prepare_image(read_image(file), spec) for file in files]
    np.testing.assert_array_equal(prepare_case(read_case(files[:1], spec), spec), wanted[0])
    np.testing.assert_array_equal(prepare_case(read_case(files, spec), spec, 2), np.concatenate(wanted))


def test_frames_are_prepared_each_for_itself() -> None:
    dark, bright = volume(seed=1), volume(seed=2)
    bright = Volume((bright.voxels * 5).astype(np.int16), bright.grid)
    both = prepare_case([dark, bright], SPEC, 2)
    assert both.shape == (2, *SIZE)
    np.testing.assert_array_equal(both[:1], prepare_case([dark], SPEC))
    np.testing.assert_array_equal(both[1:], prepare_case([bright], SPEC))


def test_a_file_may_hold_all_frames() -> None:
    cine = volume(planes=2)
    both = prepare_case([cine], SPEC, 2)
    for number, frame in enumerate(planes_of(cine, 2)):
        np.testing.assert_array_equal(both[number : number + 1], prepare_case([frame], SPEC))
    with pytest.raises(ImageError, match="holds 2 frames, and 3 are meant"):
        prepare_case([cine], SPEC, 3)


def test_views_may_have_other_grids() -> None:
    assert prepare_case([volume(), volume(shape=(4, 9, 12))], SPEC, 2).shape == (2, *SIZE)


@given(st.floats(-5000, 5000, width=32), st.sampled_from(["zscore", "percentiles", "fixed"]))
def test_values_keep_their_order_in_256_steps(value: float, kind: str) -> None:
    fixed = {"low": -100.0, "high": 300.0, "mean": -100.0, "std": 400.0} if kind == "fixed" else {}
    intensity = Intensity(kind=kind, **fixed)  # type: ignore[arg-type]
    spec = VolumePreparation(size=(1, 8, 8), intensity=[intensity])
    low, high = value_range(intensity)
    array = np.array([low, value, high], dtype=np.float32).reshape(1, 1, 1, 3)
    first, middle, last = to_bytes(array, spec).ravel()
    assert (first, last) == (0, 255)
    assert abs(float(middle) - np.clip((value - low) / (high - low), 0, 1) * 255) <= 0.51


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    good = str(write_volume(tmp_path / "v.nii.gz", np.ones(SIZE, np.int16)))
    flat = str(write_picture(tmp_path / "p.png", np.zeros((8, 8), np.uint8)))
    with pytest.raises(ImageError, match="is a picture, and volumes are meant; give the volume"):
        read_case([flat], SPEC)
    with pytest.raises(ImageError, match="image 'T1' does not exist"):
        read_case([good, str(tmp_path / "gone.nii.gz")], SPEC, names=("FLAIR", "T1"))
    with pytest.raises(ImageError, match="image 2 of 2 is a picture"):
        read_case([good, flat], SPEC)
