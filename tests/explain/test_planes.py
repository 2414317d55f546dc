"""Maps in volumes as pictures: the patient's sides where radiologists look for them, and the slices that count."""

from __future__ import annotations

import numpy as np
import pytest

from semeion.cohort.volume import Grid, Volume
from semeion.explain.overlay import BAR, Scale
from semeion.explain.planes import (
    LONG,
    OUTLINES,
    mask_picture,
    slice_shares,
    strongest,
    turned,
    volume_picture,
)

SIZE, SPACING = (30, 24, 12), (1.0, 1.0, 2.5)
RAS = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
SAGITTAL = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Columns run to posterior, rows to superior, slices to left."""


def volume(direction: tuple[float, ...] = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0), notes: tuple[str, ...] = ()) -> Volume:
    grid = Grid(SIZE, SPACING, direction=direction)
    voxels = np.random.default_rng(0).integers(0, 50, grid.shape).astype(np.int16)
    return Volume(voxels[None], grid, notes=notes)


@pytest.mark.parametrize("direction", [(1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0), RAS, SAGITTAL])
def test_a_place_of_the_patient_is_turned_to_the_same_side_however_the_volume_is_stored(
    direction: tuple[float, ...],
) -> None:
    given = volume(direction)
    values = np.zeros(given.grid.shape, np.float32)
    places = given.grid.place(np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1)).transpose(2, 1, 0, 3)
    left_front_low = places @ np.array([1.0, -1.0, -1.0])
    at = np.unravel_index(left_front_low.argmax(), values.shape)
    values[at] = 1.0
    seen = turned(given, values)
    k, j, i = np.unravel_index(seen.values.argmax(), seen.values.shape)
    assert (k, j, i) == (0, 0, seen.values.shape[2] - 1), "low, in front, left"
    assert seen.grid.matrix == pytest.approx(np.eye(3))
    axis, backwards = seen.acquired
    stored = at[0]
    place = SIZE[2] - 1 - stored if backwards else stored
    assert (i, j, k)[axis] == place


def test_slices_are_chosen_by_what_they_add_and_not_next_to_one_another() -> None:
    sums = np.zeros(64)
    sums[[10, 11, 30, 50]] = [5.0, 4.9, 3.0, 1.0]
    assert strongest(sums) == [10, 30, 50]
    assert strongest([1.0, 2.0]) == [1, 0]
    assert len(strongest(-np.arange(40.0))) == 3
    values = np.zeros((3, 4, 4))
    values[1, 2, 2], values[2] = 2.0, -1.0
    assert slice_shares(values).tolist() == [0.0, 2.0, -16.0]


def redness(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0].astype(int) - picture[..., 2].astype(int)


def test_the_picture_shows_the_strongest_place_in_slices_and_all_three_planes() -> None:
    given = volume()
    values = np.zeros(given.grid.shape, np.float32)
    values[3:5, 4:9, 20:27] = 1.0
    picture = volume_picture(given, values, Scale(1.0, "logit", signed=False))
    left = picture[:, : picture.shape[1] - BAR]
    assert redness(left).max() > 80
    # LONG pixels are the longest side, 30 mm, so the axial slices are 24 mm high.
    high, wide = round(LONG * 24 / 30), LONG
    first = redness(left[:high, :wide]) > 60
    rows, columns = np.nonzero(first)
    assert rows.mean() / high == pytest.approx(6.5 / 24, abs=0.04)
    assert columns.mean() / wide == pytest.approx(23.5 / 30, abs=0.04)
    below = redness(left[high + 18 + 6 :]) > 60
    wide_with_gap = wide + 6
    for plane, place in enumerate([(6.5 / 24, 23.5 / 30), (1 - 4.0 / 12, 23.5 / 30), (1 - 4.0 / 12, 6.5 / 24)]):
        start = plane * wide_with_gap
        rows, columns = np.nonzero(below[:, start : start + (wide if plane < 2 else round(LONG * 24 / 30))])
        sides = (high, LONG) if plane == 0 else (LONG, LONG) if plane == 1 else (LONG, round(LONG * 24 / 30))
        assert rows.mean() / sides[0] == pytest.approx(place[0], abs=0.05)
        assert columns.mean() / sides[1] == pytest.approx(place[1], abs=0.05)


def test_letters_stand_only_where_the_file_says_the_sides() -> None:
    values = np.zeros(volume().grid.shape, np.float32)
    known = volume_picture(volume(), values, Scale(1.0, "logit"))
    unknown = volume_picture(volume(notes=("no-orientation",)), values, Scale(1.0, "logit"))
    high = round(LONG * 24 / 30)
    edge = (slice(high // 2 - 10, high // 2 + 10), slice(0, 16))
    assert known[edge].max() > 240
    assert (known != unknown).any()
    assert not (known[edge] == unknown[edge]).all()
    inside = (slice(high // 3, high // 3 + 20), slice(40, 80))
    assert (known[inside] == unknown[inside]).all()


def test_outlines_have_a_colour_each_and_a_legend() -> None:
    given = volume()
    labels = np.zeros(given.grid.shape, np.uint8)
    labels[4:8, 4:12, 4:12] = 3
    labels[4:8, 14:20, 18:26] = 7
    picture = mask_picture(given, Volume(labels[None], given.grid), {3: "rim", 7: "core"})
    for colour in OUTLINES[:2]:
        assert (picture == np.array(colour, np.uint8)).all(axis=-1).sum() > 100
    assert not (picture == np.array(OUTLINES[2], np.uint8)).all(axis=-1).any()


def test_a_map_on_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="a map of"):
        volume_picture(volume(), np.zeros((2, 2, 2)), Scale(1.0, "logit"))
