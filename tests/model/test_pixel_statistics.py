"""Statistics of pixels: what changes them, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from semeion.model.pixel_statistics import BANDS, GRID, LEVELS, WIDTH, statistics_of


def test_grey_levels_and_mean_in_closed_form() -> None:
    half = np.zeros((1, 1, 8, 8), np.uint8)
    half[..., 4:, :] = 255
    [found] = statistics_of(half)
    assert found.shape == (WIDTH,)
    np.testing.assert_allclose(found[[0, LEVELS - 1]], np.sqrt([0.5, 0.5]))
    assert found[LEVELS + BANDS :][:2] == pytest.approx([0.5, 0.5])
    cells = found[LEVELS + BANDS + 2 :][: 2 * GRID**2]
    np.testing.assert_allclose(cells, [0.0] * 8 + [1.0] * 8 + [0.0] * 16)


def test_a_wave_stands_in_one_band_whichever_way_it_runs() -> None:
    rows = np.arange(64)
    fine, slow = ((127 + 100 * np.sin(2 * np.pi * rows * turns / 64)).astype(np.uint8) for turns in (28, 2))
    waves = [np.broadcast_to(one[:, None], (64, 64))[None] for one in (fine, slow)]
    bands = statistics_of(waves)[:, LEVELS : LEVELS + BANDS]
    assert bands[0].argmax() == BANDS - 2 and bands[1].argmax() < BANDS // 2
    turned = statistics_of([np.rot90(one, 1, (1, 2)) for one in waves])
    np.testing.assert_allclose(
        turned[:, : LEVELS + BANDS + 2], statistics_of(waves)[:, : LEVELS + BANDS + 2], atol=1e-9
    )
    # Which way it runs is told by differences to the right and down.
    assert not np.allclose(turned, statistics_of(waves), atol=0.1)


def test_volumes_are_their_middle_slices_and_nothing_is_nothing() -> None:
    plane = np.random.default_rng(0).integers(0, 256, (1, 16, 20), dtype=np.uint8)
    volume = np.repeat(plane[:, None], 9, axis=1)
    np.testing.assert_allclose(statistics_of([volume]), statistics_of([plane]))
    assert statistics_of([]).shape == (0, WIDTH)
    assert np.isfinite(statistics_of(np.zeros((1, 1, 8, 8), np.uint8))).all()


def test_large_planes_are_halved_first() -> None:
    small = np.random.default_rng(3).integers(0, 256, (1, 200, 300), dtype=np.uint8)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    assert statistics_of([large]) == pytest.approx(statistics_of([small]))
