from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.made import fingerprint_of
from semeion.plan.networks import SIZES, candidates


def ladder(rows, cols, other=None):
    """Return the candidates for pictures of one size, or half of them of another."""
    if other is None:
        return candidates(fingerprint_of(4, rows=rows, cols=cols))
    return candidates(fingerprint_of(4, rows=[rows, rows, other[0], other[0]], cols=[cols, cols, other[1], other[1]]))


def cost(candidate):
    """Return the multiplications of the stem's map, which order networks of one body."""
    return candidate.size[0] * candidate.size[1] * candidate.widths[0] ** 2 / candidate.stem_stride**2


sides = st.integers(12, 3000)


@given(sides, sides)
@settings(max_examples=60, deadline=None)
def test_sizes_are_legal_and_never_larger_than_the_pictures(rows, cols):
    for candidate in ladder(rows, cols):
        height, width = candidate.size
        assert 8 <= height <= 1024
        assert 8 <= width <= 1024
        assert height % 4 == width % 4 == 0
        # Nothing is enlarged, but for rounding to the next four pixels and the least that is legal.
        assert height <= max(8, rows + 4)
        assert width <= max(8, cols + 4)
        assert max(candidate.size) <= max(SIZES)


@given(sides, sides)
@settings(max_examples=60, deadline=None)
def test_the_ladder_goes_down(rows, cols):
    steps = ladder(rows, cols)
    assert len(steps) >= 2
    assert len(set(steps)) == len(steps)
    longest = [max(candidate.size) for candidate in steps]
    assert longest == sorted(longest, reverse=True)
    assert [c.wants_members for c in steps] == sorted((c.wants_members for c in steps), reverse=True)
    for larger, smaller in pairwise(steps):
        if larger.size == smaller.size:
            assert larger.widths[0] > smaller.widths[0]
    assert min(steps, key=cost) == steps[-1]


@given(sides, sides)
@settings(max_examples=60, deadline=None)
def test_networks_are_ones_that_the_schema_takes(rows, cols):
    for candidate in ladder(rows, cols):
        assert 1 <= len(candidate.widths) <= 6
        assert max(candidate.widths) <= 256
        assert all(a <= b for a, b in pairwise(candidate.widths))
        assert 2 <= candidate.batch <= 4096


@pytest.mark.parametrize("side", [12, 20, 28, 32, 48, 64])
def test_small_pictures_keep_their_size(side):
    assert {candidate.size for candidate in ladder(side, side)} == {(side, side)}


def test_large_pictures_are_tried_at_fixed_sizes():
    assert sorted({candidate.size[0] for candidate in ladder(512, 512)}) == sorted(SIZES)
    assert {candidate.size[0] for candidate in ladder(130, 130)} == {128, 96, 64}


def test_one_proportion_is_kept():
    for candidate in ladder(400, 600):
        assert candidate.fit == "stretch"
        assert candidate.size[0] / candidate.size[1] == pytest.approx(400 / 600, rel=0.06)
        assert candidate.size[1] > candidate.size[0]
    for candidate in ladder(600, 400):
        assert candidate.size[0] > candidate.size[1]
    assert {candidate.size for candidate in ladder(30, 60)} == {(32, 60)}


def test_different_proportions_are_padded_to_a_square():
    steps = ladder(400, 600, (600, 400))
    assert {candidate.fit for candidate in steps} == {"pad"}
    assert all(height == width for height, width in (candidate.size for candidate in steps))


def test_proportions_that_nearly_agree_count_as_one():
    assert {c.fit for c in ladder(400, 600, (404, 600))} == {"stretch"}
    assert {c.fit for c in ladder(400, 600, (440, 600))} == {"pad"}


def test_the_last_map_is_small_and_not_gone():
    for candidate in [*ladder(28, 28), *ladder(64, 64), *ladder(512, 512)]:
        side = max(candidate.size) / candidate.stem_stride / 2 ** (len(candidate.widths) - 1)
        assert 2 <= side <= 8


def test_a_phrase_for_people():
    assert ladder(28, 28)[1].describe() == "28 x 28 pixels, widths 24-48-96"
