"""Geometry: whatever is done to a volume, each voxel stays where it lies in the patient."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError
from semeion.prepare.geometry import (
    box_of,
    centred,
    crop_to,
    cut,
    exchange,
    orientation_code,
    resample,
    sized_grid,
    spaced_grid,
    to_lps,
    whole_shift,
)
from support.volumes import blob, oblique

QUICK = settings(max_examples=40, deadline=None)
SIZES = st.tuples(*[st.integers(1, 7)] * 3)
SPACINGS = st.tuples(*[st.floats(0.3, 8)] * 3)
SEEDS = st.integers(0, 10_000)


def placed(grid: Grid) -> Volume:
    """Return a volume of three planes that hold each voxel's own LPS coordinates, float64."""
    k, j, i = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")
    places = grid.place(np.stack([i, j, k], axis=-1))
    return Volume(np.ascontiguousarray(np.moveaxis(places, -1, 0)), grid, ("x", "y", "z"))


def axis_aligned(size: tuple[int, int, int], spacing: tuple[float, float, float], order: Any, flips: Any) -> Grid:
    matrix = np.eye(3)[:, list(order)] * np.where(flips, -1.0, 1.0)
    return Grid(size, spacing, (5.0, -7.0, 11.0), tuple(matrix.ravel()))


def true_to_itself(volume: Volume, atol: float = 1e-9) -> None:
    """Hold every voxel of a volume of coordinates to where the grid puts it."""
    np.testing.assert_allclose(volume.voxels, placed(volume.grid).voxels, atol=atol)


@QUICK
@given(SIZES, SPACINGS, SEEDS)
def test_turning_to_lps_moves_no_voxel(size: Any, spacing: Any, seed: int) -> None:
    volume = placed(oblique(size, spacing, seed))
    turned = to_lps(volume)
    true_to_itself(turned)
    assert orientation_code(turned.grid) == "LPS"
    assert to_lps(turned).grid == turned.grid
    assert sorted(turned.grid.size) == sorted(size)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product([False, True], repeat=3)))
def test_every_axis_aligned_volume_is_turned_and_back(order: Any, flips: Any) -> None:
    volume = placed(axis_aligned((3, 4, 5), (1.0, 2.0, 3.0), order, flips))
    turned = to_lps(volume)
    np.testing.assert_allclose(turned.grid.matrix, np.eye(3), atol=1e-12)
    true_to_itself(turned)


@pytest.mark.parametrize(
    ("direction", "code"),
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), "LPS"),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), "RAS"),
        ((0, 0, 1, 1, 0, 0, 0, 1, 0), "PSL"),
    ],
)
def test_letters_name_where_the_axes_run_to(direction: Any, code: str) -> None:
    assert orientation_code(Grid((2, 2, 2), (1, 1, 1), direction=direction)) == code


@QUICK
@given(SIZES, SEEDS, st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
def test_exchanged_axes_go_back(size: Any, seed: int, order: Any, flips: Any) -> None:
    volume = placed(oblique(size, (1.0, 2.0, 3.0), seed))
    there = exchange(volume, tuple(order), flips)
    true_to_itself(there)
    back_order = tuple(order.index(axis) for axis in range(3))
    back = exchange(there, back_order, tuple(flips[order.index(axis)] for axis in range(3)))
    assert back.grid.same_as(volume.grid, 1e-9)
    np.testing.assert_array_equal(back.voxels, volume.voxels)


@QUICK
@given(SIZES, SEEDS, st.tuples(*[st.integers(-4, 6)] * 3), st.tuples(*[st.integers(1, 9)] * 3))
def test_cutting_and_padding_move_no_voxel(size: Any, seed: int, start: Any, new: Any) -> None:
    volume = placed(oblique(size, (1.0, 2.0, 0.5), seed))
    made = cut(volume, start, new, fill=np.nan)
    assert made.grid.size == new
    kept = np.isfinite(made.voxels)
    np.testing.assert_allclose(made.voxels[kept], placed(made.grid).voxels[kept], atol=1e-9)
    inside = [max(0, min(s + n, whole) - max(s, 0)) for s, n, whole in zip(start, new, size, strict=True)]
    assert kept.sum() == 3 * np.prod(inside)


def test_padding_takes_one_value_a_plane() -> None:
    volume = placed(Grid((2, 2, 2), (1, 1, 1)))
    made = centred(volume, (4, 2, 1), fill=[1.0, 2.0, 3.0])
    assert made.voxels[:, 0, 0, 0].tolist() == [1.0, 2.0, 3.0]
    true_to_itself(cut(made, (1, 0, 0), (2, 2, 1)))


@QUICK
@given(st.tuples(*[st.integers(1, 6)] * 3), SEEDS, st.floats(0, 5))
def test_a_crop_is_the_box_and_its_margin(size: Any, seed: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    volume = placed(oblique(size, (1.0, 2.0, 0.5), seed))
    chosen = rng.random(volume.grid.shape) < 0.2
    made = crop_to(volume, chosen, margin)
    true_to_itself(made)
    wanted = volume.voxels[:, chosen].reshape(3, -1).T
    held = {tuple(row) for row in made.voxels.reshape(3, -1).T}
    assert all(tuple(row) in held for row in wanted)
    if chosen.any() and margin == 0:
        k, j, i = np.nonzero(chosen)
        assert made.grid.size == (np.ptp(i) + 1, np.ptp(j) + 1, np.ptp(k) + 1)


def test_a_region_of_another_shape_is_refused_and_an_empty_one_changes_nothing() -> None:
    volume = placed(Grid((2, 3, 4), (1, 1, 1)))
    with pytest.raises(InputError, match=r"a region of \(2, 2, 2\) for a volume of \(4, 3, 2\)"):
        crop_to(volume, np.ones((2, 2, 2), bool))
    assert crop_to(volume, np.zeros((4, 3, 2), bool)) is volume
    assert box_of(np.zeros((4, 3, 2), bool)) is None


@QUICK
@given(SIZES, SPACINGS, SPACINGS, SEEDS)
def test_another_spacing_covers_the_extent_from_both_sides(size: Any, spacing: Any, new: Any, seed: int) -> None:
    grid = oblique(size, spacing, seed)
    made = spaced_grid(grid, new)
    assert made.spacing == tuple(map(float, new))
    middles = [g.place([(n - 1) / 2 for n in g.size]) for g in (grid, made)]
    np.testing.assert_allclose(*middles, atol=1e-9)
    for n, s, m, t in zip(grid.size, grid.spacing, made.size, made.spacing, strict=True):
        assert m * t >= n * s - 2e-3 * t  # every old centre inside the new extent
        assert (m - 1) * t < n * s  # every new centre inside the old extent
    sized = sized_grid(grid, (4, 3, 2))
    np.testing.assert_allclose(np.multiply(sized.size, sized.spacing), np.multiply(size, spacing))
    assert spaced_grid(grid, (None, None, None)) == grid


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(6, 14)] * 3), SPACINGS, SPACINGS, SEEDS, st.sampled_from(["linear", "bspline"]))
def test_a_ramp_in_the_patient_stays_that_ramp(size: Any, spacing: Any, new: Any, seed: int, how: Any) -> None:
    """Away from the border, where nothing but the border is known, interpolation and smoothing keep a linear ramp."""
    volume = placed(oblique(size, spacing, seed))
    made = resample(volume, spaced_grid(volume.grid, new), how)
    wanted = placed(made.grid)
    # The reach of the smoothing and of the cubic from each border, in voxels of the old grid.
    reach = [3 * max(0.0, n / s) / 2.35 + (6 if how == "bspline" else 1.5) for s, n in zip(spacing, new, strict=True)]
    index = made.grid.place(np.stack(np.meshgrid(*[np.arange(n) for n in made.grid.shape], indexing="ij")[::-1], -1))
    old = volume.grid.index(index)
    inner = ((old >= reach) & (old <= np.array(size) - 1 - np.array(reach))).all(axis=-1)
    scale = max(np.multiply(size, spacing))
    np.testing.assert_allclose(made.voxels[:, inner], wanted.voxels[:, inner], atol=2e-3 * scale)


@pytest.mark.parametrize("how", ["linear", "bspline"])
@pytest.mark.parametrize("new", [(0.5, 0.5, None), (2.5, 2.5, None), (1.0, 1.0, 3.0), (0.7, 1.9, 6.0)])
def test_a_ramp_across_thick_slices_stays_that_ramp(how: Any, new: Any) -> None:
    """Fixed cases of which much lies away from the border, thick slices among them."""
    volume = placed(oblique((40, 36, 16), (1.0, 1.2, 5.0), 4))
    made = resample(volume, spaced_grid(volume.grid, new), how)
    k, j, i = (slice(n // 4, n - n // 4) for n in made.grid.shape)
    wanted = placed(made.grid).voxels[:, k, j, i]
    np.testing.assert_allclose(made.voxels[:, k, j, i], wanted, atol=0.02)


@pytest.mark.parametrize("how", ["nearest", "linear"])
def test_there_and_back_keeps_a_label_but_for_its_border(how: Any) -> None:
    grid = oblique((30, 28, 20), (1.0, 1.1, 1.3), 1)
    labels = (blob((20, 28, 30)) > 50).astype(np.uint8)
    volume = Volume(labels[np.newaxis], grid)
    there = resample(volume, spaced_grid(grid, (0.7, 0.8, 0.9)), how)
    back = resample(there, grid, how).plane > 0.5
    dice = 2 * (back & (labels > 0)).sum() / (back.sum() + labels.sum())
    assert dice > 0.98
    assert (there.voxels.dtype == np.uint8) == (how == "nearest")


def test_whole_voxels_are_moved_and_not_interpolated() -> None:
    volume = placed(oblique((6, 5, 4), (1.0, 2.0, 3.0), 2))
    part = cut(volume, (1, -1, 2), (3, 4, 5), fill=0)
    assert whole_shift(volume.grid, part.grid) == (1, -1, 2)
    assert whole_shift(volume.grid, spaced_grid(volume.grid, (0.5, 2, 3))) is None
    again = resample(volume, part.grid, "bspline", fill=0)
    np.testing.assert_array_equal(again.voxels, part.voxels.astype(np.float32))
    assert resample(volume, volume.grid, "nearest") is volume


def test_a_coarser_axis_is_smoothed_before() -> None:
    """Alternating voxels average to their mean; without smoothing the coarse grid would meet one kind only."""
    stripes = np.tile(np.array([0.0, 100.0], np.float32), (8, 8, 32))[np.newaxis]
    volume = Volume(stripes, Grid((64, 8, 8), (1.0, 1.0, 1.0)))
    made = resample(volume, spaced_grid(volume.grid, (4.0, None, None)), "linear")
    np.testing.assert_allclose(made.voxels[..., 2:-2], 50, atol=3)


def test_a_cubic_never_leaves_the_range_nor_rings_across_slices() -> None:
    step = np.zeros((1, 6, 40, 40), np.float32)
    step[:, 3:, :, 20:] = 100
    volume = Volume(step, Grid((40, 40, 6), (1.0, 1.0, 6.0)))
    made = resample(volume, spaced_grid(volume.grid, (0.6, 0.6, 2.0)), "bspline")
    assert made.voxels.min() >= 0
    assert made.voxels.max() <= 100
    along = made.plane[:, 33, -3]
    assert (np.diff(along) >= -1e-3).all()


def test_outside_is_the_minimum_unless_asked() -> None:
    volume = Volume(np.full((1, 4, 4, 4), 7.0, np.float32), Grid((4, 4, 4), (1, 1, 1)))
    far = Grid((4, 4, 4), (1.3, 1, 1), (100, 0, 0))
    assert resample(volume, far, "linear").voxels.max() == 7
    assert resample(volume, far, "linear", fill=-1).voxels.max() == -1
    assert resample(volume, far, "nearest").voxels.max() == 0
