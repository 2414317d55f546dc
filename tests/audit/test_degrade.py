"""Images made worse: what stays, what changes, and by how much."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.audit.degrade import (
    NAMES,
    Degradation,
    Key,
    Seen,
    as_stored,
    degradations,
    degrade_picture,
    noise_level,
    turned,
)
from semeion.audit.degrade_volume import degrade_volume
from semeion.cohort.image import Image
from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError

PICTURES = Seen(False, frozenset({""}), frozenset({""}), frozenset({8}))
X_RAYS = Seen(False, frozenset({""}), frozenset({"DX"}), frozenset({8}))
CT = Seen(True, frozenset({"HU"}), frozenset({"CT"}))
MR = Seen(True, frozenset({""}), frozenset({"MR"}))
KEY = Key(0, "case-1")
SIZE = (20, 24, True)


def named(seen: Seen) -> dict[str, Degradation]:
    return {one.name: one for one in degradations(seen)[0]}


def smooth(shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    """Return bright blobs on a slope, 40 to 200, with a little noise."""
    rng = np.random.default_rng(seed)
    grids = np.meshgrid(*[np.linspace(0, 3, n) for n in shape], indexing="ij")
    waves = sum(np.sin(2 * grid + 3 * rng.uniform()) for grid in grids)
    return np.clip(120 + 25 * waves + rng.normal(0, 2, shape), 0, 255)


def picture(dtype: str = "uint8", channels: int = 1, seed: int = 0, **known: Any) -> Image:
    values = smooth((40, 48, channels), seed)
    scaled = values if dtype == "uint8" else values * 100
    high = 255.0 if dtype == "uint8" else 30000.0
    photometry = "grey" if channels == 1 else "colour"
    return Image(scaled.astype(dtype), photometry, 0.0, high, 8, "png", **known)  # type: ignore[arg-type]


def volume(dtype: str = "int16", planes: int = 1) -> Volume:
    voxels = np.stack([smooth((6, 20, 24), n) for n in range(planes)]).astype(dtype)
    grid = Grid((24, 20, 6), (1.0, 1.2, 3.0), (5.0, -3.0, 2.0))
    return Volume(voxels, grid, tuple(map(str, range(planes))), notes=("kept",))


def far(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


@settings(deadline=None, max_examples=25)
@given(
    name=st.sampled_from([name for name in NAMES if name != "jpeg"]),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 5),
)
def test_a_picture_keeps_its_form_and_goes_farther_with_strength(
    name: str, dtype: str, channels: int, seed: int
) -> None:
    image, how = picture(dtype, channels, seed, unit=None, modality="DX", notes=("kept",)), named(X_RAYS)[name]
    assert degrade_picture(image, how, how.identity or 0, KEY, SIZE) is image
    away = 0.0
    for strength in how.strengths:
        worse = degrade_picture(image, how, strength, KEY, SIZE)
        assert worse.pixels.dtype == image.pixels.dtype
        assert worse.pixels.shape == image.pixels.shape
        assert (worse.low, worse.high, worse.modality, worse.notes) == (0.0, image.high, "DX", ("kept",))
        assert np.isfinite(worse.pixels.astype(float)).all()
        if np.dtype(dtype).kind != "f":
            assert worse.pixels.min() >= image.low
            assert worse.pixels.max() <= image.high
        again = degrade_picture(image, how, strength, KEY, SIZE)
        np.testing.assert_array_equal(worse.pixels, again.pixels)
        assert far(worse.pixels, image.pixels) >= away * 0.98
        away = far(worse.pixels, image.pixels)
    assert away > 0


@settings(deadline=None, max_examples=15)
@given(
    name=st.sampled_from(["noise", "blur", "contrast", "rotation"]),
    dtype=st.sampled_from(["uint8", "int16", "int32", "float32", "float64"]),
    planes=st.sampled_from([1, 2]),
)
def test_a_volume_keeps_its_geometry_and_goes_farther_with_strength(name: str, dtype: str, planes: int) -> None:
    given_volume, how = volume(dtype, planes), named(MR)[name]
    assert degrade_volume(given_volume, how, how.identity or 0, KEY, given_volume.grid) is given_volume
    away = 0.0
    for strength in how.strengths:
        worse = degrade_volume(given_volume, how, strength, KEY, given_volume.grid)
        assert worse.grid == given_volume.grid
        assert (worse.names, worse.notes) == (given_volume.names, ("kept",))
        assert worse.voxels.dtype == given_volume.voxels.dtype
        again = degrade_volume(given_volume, how, strength, KEY, given_volume.grid)
        np.testing.assert_array_equal(worse.voxels, again.voxels)
        assert far(worse.voxels, given_volume.voxels) >= away * 0.98
        away = far(worse.voxels, given_volume.voxels)
    assert away > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_goes_farther_with_less_quality_and_keeps_colours_in_order(channels: int) -> None:
    image, how = picture(channels=channels), named(PICTURES)["jpeg"]
    distances = [far(degrade_picture(image, how, quality, KEY, SIZE).pixels, image.pixels) for quality in how.strengths]
    assert distances == sorted(distances)
    assert 0 < distances[0] < 10
    with pytest.raises(InputError, match=r"JPEG of 16 bits; use it on pictures of 8 bits"):
        degrade_picture(replace(picture("uint16"), bits=16), how, 70, KEY, SIZE)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "bits"), [("int16", -1024, 1526, 8), ("float32", 0, 127.5, 8), ("uint8", 0, 1, 1)]
)
def test_jpeg_of_eight_bits_or_fewer_that_are_kept_as_other_values(
    dtype: str, low: float, high: float, bits: int
) -> None:
    levels = smooth((40, 48, 1)) / 255
    if bits == 1:
        levels = np.rint(levels)
    image = Image((low + levels * (high - low)).astype(dtype), "grey", low, high, bits, "dicom")
    assert "jpeg" in named(replace(PICTURES, bits=frozenset({1, 8})))
    worse = degrade_picture(image, named(PICTURES)["jpeg"], 70, KEY, SIZE).pixels
    assert worse.dtype == image.pixels.dtype
    assert far(worse, image.pixels) < 0.05 * (high - low)
    assert np.corrcoef(worse.ravel(), image.pixels.ravel())[0, 1] > 0.95


def test_noise_has_the_share_of_the_images_own_range_or_the_hounsfield_units() -> None:
    image = picture("float32")
    values = image.pixels.astype(float)
    low, high = np.quantile(values, [0.005, 0.995])
    worse = degrade_picture(image, named(PICTURES)["noise"], 10, KEY, SIZE)
    assert (worse.pixels - image.pixels).std() == pytest.approx(0.1 * (high - low), rel=0.06)
    ct = volume("float64")
    noisy = degrade_volume(ct, named(CT)["noise"], 40, KEY, ct.grid)
    assert (noisy.voxels - ct.voxels).std() == pytest.approx(40, rel=0.05)


def test_noise_is_each_images_own_and_another_cases_is_another() -> None:
    image, how = picture(), named(PICTURES)["noise"]
    made = [
        degrade_picture(image, how, 10, Key(*key), SIZE).pixels for key in ((0, "a"), (0, "a", 1), (0, "b"), (1, "a"))
    ]
    assert all(far(one, other) > 1 for n, one in enumerate(made) for other in made[:n])


def test_all_images_of_a_case_turn_the_same_way_and_cases_either_way() -> None:
    image, how = picture(), named(PICTURES)["rotation"]
    first, second = (degrade_picture(image, how, 20, Key(0, "a", number), SIZE) for number in (0, 1))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    turns = [degrade_picture(image, how, 20, Key(0, str(case)), SIZE).pixels for case in range(12)]
    assert len(np.unique([one.sum() for one in turns])) == 2


def test_a_quarter_turn_is_exact_and_counts_millimetres() -> None:
    pixels = smooth((21, 21))
    np.testing.assert_allclose(turned(pixels, 90, (1, 1)), np.rot90(pixels), atol=1e-3)
    # A bar three pixels up, of rows twice as far apart, lies six pixels to the left afterwards.
    bar = np.zeros((21, 21))
    bar[7, 10] = 1
    assert turned(bar, 90, (2, 1))[10, 4] == pytest.approx(1, abs=1e-3)


def test_channels_on_other_grids_turn_about_the_same_place() -> None:
    first = volume("float64")
    wide = np.pad(first.voxels, [(0, 0), (0, 0), (0, 0), (0, 10)], mode="edge")
    other = Volume(wide, Grid((34, 20, 6), first.grid.spacing, first.grid.origin))
    how = named(MR)["rotation"]
    alone = degrade_volume(first, how, 10, KEY, first.grid)
    beside = degrade_volume(other, how, 10, Key(0, "case-1", 1), first.grid)
    np.testing.assert_allclose(beside.voxels[..., 6:14, 8:16], alone.voxels[..., 6:14, 8:16], atol=1e-2)


def test_a_blur_is_of_the_networks_pixels_or_of_millimetres() -> None:
    point = np.zeros((64, 64, 1), np.float32)
    point[32, 32] = 1
    image = Image(point, "grey", 0, 1, 32, "npy")
    blurred = degrade_picture(image, named(PICTURES)["blur"], 1, KEY, (16, 32, True)).pixels[..., 0]
    down, across = ((np.arange(64) - 32.0) ** 2 @ blurred.sum(axis) for axis in (1, 0))
    assert down == pytest.approx(16, rel=0.02)
    assert across == pytest.approx(4, rel=0.02)
    even = degrade_picture(image, named(PICTURES)["blur"], 1, KEY, (16, 32, False)).pixels[..., 0]
    assert (np.arange(64) - 32.0) ** 2 @ even.sum(0) == pytest.approx(16, rel=0.02)
    voxels = np.zeros((1, 21, 21, 21))
    voxels[0, 10, 10, 10] = 1
    cube = Volume(voxels, Grid((21, 21, 21), (1.0, 1.0, 2.0)))
    soft = degrade_volume(cube, named(MR)["blur"], 2, KEY, cube.grid).voxels[0]
    assert (np.arange(21) - 10.0) ** 2 @ soft.sum((0, 1)) == pytest.approx(4, rel=0.02)
    assert (np.arange(21) - 10.0) ** 2 @ soft.sum((1, 2)) == pytest.approx(1, rel=0.02)


def test_the_noise_of_an_image_is_found_and_a_quarter_of_the_dose_doubles_it() -> None:
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 500, 80)[:, None] + np.zeros((80, 90))
    ramp[30:50, 30:60] += 300
    pixels = (ramp + rng.normal(0, 12, ramp.shape)).astype(np.float32)[..., None]
    assert noise_level(pixels.astype(float).transpose(2, 0, 1)) == pytest.approx(12, rel=0.1)
    image = Image(pixels, "grey", 0, 1000, 12, "dicom", modality="CT")
    worse = degrade_picture(image, named(X_RAYS)["low_dose"], 25, KEY, SIZE)
    assert noise_level(worse.pixels.astype(float).transpose(2, 0, 1)) == pytest.approx(24, rel=0.1)
    assert noise_level(np.zeros((1, 2, 2))) == 0
    # Volumes are worked on in single precision.
    single = noise_level(pixels.transpose(2, 0, 1))
    assert single == pytest.approx(noise_level(pixels.astype(float).transpose(2, 0, 1)), rel=1e-6)
    flat = rng.normal(0, 30, (1, 3, 40, 40)).astype(np.int16)
    scan = Volume(flat, Grid((40, 40, 3), (1.0, 1.0, 1.0)))
    lower = degrade_volume(scan, named(CT)["low_dose"], 25, KEY, scan.grid)
    assert lower.voxels.std() == pytest.approx(60, rel=0.1)
    # A background without noise does not hide that of the rest.
    half = np.where(np.arange(90) < 50, 0, pixels[..., 0]).astype(float)
    assert noise_level(half[None]) == pytest.approx(12, rel=0.15)


def test_what_means_nothing_is_left_out_with_its_reason() -> None:
    for seen in (PICTURES, X_RAYS, CT, MR):
        found, reasons = degradations(seen)
        assert [one.name for one in found] == [name for name in NAMES if name not in reasons]
        assert {*reasons, *(one.name for one in found)} == set(NAMES)
        assert all(len(one.strengths) in (4, 5) and one.unit and one.how for one in found)
    assert set(degradations(PICTURES)[1]) == {"low_dose"}
    assert "do not say that they are X-rays" in degradations(PICTURES)[1]["low_dose"]
    assert "MR" in degradations(MR)[1]["low_dose"]
    assert set(degradations(X_RAYS)[1]) == set()
    assert set(degradations(CT)[1]) == {"contrast", "crop", "jpeg"}
    deep = Seen(False, frozenset({""}), frozenset({"DX", "CR"}), frozenset({8, 12}))
    assert "8 bits" in degradations(deep)[1]["jpeg"]
    assert {one.unit for one in degradations(CT)[0] if one.name == "noise"} == {"HU"}
    unsized = Seen(True, frozenset({""}), frozenset({""}), sized=False)
    assert {one.unit for one in degradations(unsized)[0] if one.name == "blur"} == {"voxels"}


def test_volumes_are_not_cropped_and_nothing_else_adds() -> None:
    with pytest.raises(InputError, match="'crop' is not done to volumes"):
        degrade_volume(volume(), named(PICTURES)["crop"], 10, KEY, volume().grid)


def test_values_are_kept_within_what_the_type_and_the_format_hold() -> None:
    values = np.array([-5.4, 3.5, 300.0])
    np.testing.assert_array_equal(as_stored(values, np.dtype(np.uint8)), [0, 4, 255])
    np.testing.assert_array_equal(as_stored(values, np.dtype(np.int16), (-1024, 200)), [-5, 4, 200])
    np.testing.assert_array_equal(as_stored(values, np.dtype(np.float32), (0, 1)), values.astype(np.float32))


def test_a_picture_with_nan_is_read_as_preparation_reads_it() -> None:
    pixels = smooth((12, 12, 1)).astype(np.float32)
    pixels[0, 0] = np.nan
    image = Image(pixels, "grey", 0, 255, 32, "npy")
    for how in degradations(Seen(False, frozenset({""}), frozenset({"CT"}), frozenset({32})))[0]:
        assert np.isfinite(degrade_picture(image, how, how.strengths[-1], KEY, SIZE).pixels).all()
