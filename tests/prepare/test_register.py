"""Alignment of channels: trusted on one grid, resampled on others, moved when asked, doubted when shifted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semeion.cohort.volume import Grid, Volume
from semeion.errors import ImageError
from semeion.prepare.geometry import cut, grid_with
from semeion.prepare.register import (
    Rigid,
    align,
    doubts,
    mutual_information,
    overlap,
    register_rigid,
    registered,
)
from support.volumes import blob

GRID = Grid((40, 36, 32), (1.0, 1.1, 1.2), (-20, 5, 30))


def anatomy() -> np.ndarray:
    """Return a body with waves inside, which no turn or shift maps to itself."""
    rng = np.random.default_rng(7)
    body = blob((32, 36, 40))
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n) for n in body.shape], indexing="ij")
    for _ in range(12):
        a, b, c = rng.uniform(-5, 5, 3)
        body += (body > 0) * 15 * np.cos(a * k + b * j + c * i + rng.uniform(0, 6)).astype(np.float32)
    return body


FIXED = Volume(anatomy()[np.newaxis], GRID)
OTHER = replace(FIXED, voxels=np.exp(-FIXED.voxels / 60).astype(np.float32))
"""Another contrast of the same anatomy."""


def displaced(volume: Volume, degrees: float, shift: tuple[float, float, float]) -> Volume:
    """Return the volume with a header that turns it about its centre and shifts it."""
    grid, angle = volume.grid, np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    centre = grid.place([(n - 1) / 2 for n in grid.size])
    origin = turn @ (np.array(grid.origin) - centre) + centre + shift
    return replace(volume, grid=grid_with(grid.size, grid.spacing, origin, turn @ grid.matrix))


def test_one_grid_is_trusted() -> None:
    [first, second], notes = align([FIXED, OTHER], ["T1", "T2"], "check")
    assert first is FIXED
    assert second.voxels is OTHER.voxels
    assert notes == []


def test_another_grid_is_resampled_in_the_patients_coordinates() -> None:
    part = cut(OTHER, (2, 3, 1), (36, 30, 29))
    [_, second], notes = align([FIXED, part], ["T1", "T2"], "check")
    assert second.grid == GRID
    inside = np.s_[:, 1:30, 3:33, 2:38]
    np.testing.assert_allclose(second.voxels[inside], OTHER.voxels[inside], atol=1e-5)
    assert notes == ["resampled: T2 onto T1"]


def test_channels_of_different_places_are_refused() -> None:
    far = replace(OTHER, grid=Grid(GRID.size, GRID.spacing, (500, 5, 30)))
    assert overlap(GRID, far.grid) == 0
    with pytest.raises(ImageError, match=r"channel 'T2' covers 0% of the extent of channel 'T1'; give channels of one"):
        align([FIXED, far], ["T1", "T2"], "check")


def test_overlap_is_a_share_of_the_first() -> None:
    assert overlap(GRID, GRID) == 1
    half = cut(FIXED, (0, 0, 0), (20, 36, 32)).grid
    assert overlap(GRID, half) == pytest.approx(0.5, abs=0.06)
    assert overlap(half, GRID) == 1


def test_mutual_information_knows_a_function_from_noise() -> None:
    rng = np.random.default_rng(0)
    assert mutual_information(FIXED.plane, OTHER.plane) > 0.5
    assert mutual_information(FIXED.plane, rng.permutation(OTHER.plane.ravel())) < 0.05
    assert mutual_information(FIXED.plane, np.zeros(FIXED.plane.shape)) == pytest.approx(0, abs=1e-9)


def test_a_shifted_channel_on_the_same_grid_is_doubted_with_numbers() -> None:
    assert doubts(FIXED, OTHER, "T2") == []
    rolled = replace(OTHER, voxels=np.roll(OTHER.voxels, 3, axis=3))
    [note] = doubts(FIXED, rolled, "T2")
    assert note.startswith("misaligned: T2 fits better shifted by 3.0 mm along i (mutual information")
    _, notes = align([FIXED, rolled], ["T1", "T2"], "check")
    assert notes == [note]


def test_thin_stacks_are_doubted_in_the_plane_only() -> None:
    thin = Volume(FIXED.voxels[:, 10:12], Grid((40, 36, 2), (1.0, 1.1, 1.2)))
    assert doubts(thin, thin, "T2") == []


def test_a_displaced_channel_is_found_again_and_the_result_repeats() -> None:
    moved = displaced(OTHER, 5.0, (3.0, -2.0, 1.5))
    made, found = register_rigid(FIXED, moved)
    assert made.grid == GRID
    assert found.rotation_deg == pytest.approx(5.0, abs=1.0)
    np.testing.assert_allclose(found.translation_mm, (-3.0, 2.0, -1.5), atol=0.7)
    assert found.after > found.before
    inner = np.s_[:, 6:-6, 6:-6, 6:-6]
    assert np.corrcoef(made.voxels[inner].ravel(), OTHER.voxels[inner].ravel())[0, 1] > 0.97
    again, same = register_rigid(FIXED, moved)
    assert same == found
    np.testing.assert_array_equal(again.voxels, made.voxels)
    _, notes = align([FIXED, moved], ["T1", "T2"], "rigid")
    assert notes[0].startswith("registered: T2 by ")
    assert "degrees, mutual information" in notes[0]


def test_what_cannot_become_better_is_left_where_the_header_puts_it() -> None:
    rng = np.random.default_rng(0)
    noise = replace(FIXED, voxels=np.zeros_like(FIXED.voxels) + rng.normal(size=1).astype(np.float32))
    made, found = register_rigid(FIXED, noise)
    assert found.rotation_deg == 0
    assert found.translation_mm == (0, 0, 0)
    np.testing.assert_array_equal(made.voxels, noise.voxels)


def test_registrations_are_summed_up_from_the_notes_of_their_cases() -> None:
    still = Rigid((0.0, 0.0, 0.0), 0.0, 0.5, 0.5).note("T1 by night")
    moved = Rigid((3.0, 4.0, 0.0), 1.25, 0.25, 0.75).note("T1 by night")
    other = Rigid((0.0, 0.0, 1.0), 0.0, 0.1, 0.2).note("T2")
    assert registered([("read-note", still), (moved, other), (still,)]) == [
        {
            "channel": "T1 by night",
            "cases": 3,
            "aligned": 2,
            "moved": 1,
            "largest_mm": 5.0,
            "largest_degrees": 1.25,
            "information_before": 0.5,
            "information_after": 0.5,
        },
        {
            "channel": "T2",
            "cases": 1,
            "aligned": 0,
            "moved": 1,
            "largest_mm": 1.0,
            "largest_degrees": 0.0,
            "information_before": 0.1,
            "information_after": 0.2,
        },
    ]
    assert registered([("resampled: T2 onto T1",), ()]) == []
