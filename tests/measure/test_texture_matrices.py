from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from measure.ibsi import PHANTOM
from semeion.measure.surface import DIRECTIONS
from semeion.measure.texture_matrices import Cells, co_occurrence, merge, runs, zones

LEVELS = arrays.arrays(np.int64, arrays.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(0, 3))
STEPS = st.sampled_from(DIRECTIONS)


def as_counts(cells: Cells) -> Counter[tuple[int, int]]:
    rows = zip(cells.levels.tolist(), cells.sizes.tolist(), cells.counts.tolist(), strict=True)
    return Counter({(level, size): count for level, size, count in rows})


def naive_runs(levels: np.ndarray, step: tuple[int, int, int]) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    at = {place: int(levels[place]) for place in np.ndindex(levels.shape)}
    for place, level in at.items():
        before = tuple(p - d for p, d in zip(place, step, strict=True))
        if level == 0 or at.get(before) == level:
            continue
        length, ahead = 1, tuple(p + d for p, d in zip(place, step, strict=True))
        while at.get(ahead) == level:
            length, ahead = length + 1, tuple(p + d for p, d in zip(ahead, step, strict=True))
        found[level, length] += 1
    return found


def naive_zones(levels: np.ndarray) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    left = {place: int(levels[place]) for place in np.ndindex(levels.shape) if levels[place]}
    while left:
        start, level = left.popitem()
        queue, size = [start], 0
        while queue:
            k, j, i = queue.pop()
            size += 1
            for dk, dj, di in np.ndindex(3, 3, 3):
                near = (k + dk - 1, j + dj - 1, i + di - 1)
                if left.get(near) == level:
                    del left[near]
                    queue.append(near)
        found[level, size] += 1
    return found


def test_the_published_matrix_of_the_phantoms_first_slice() -> None:
    steps = [step for step in DIRECTIONS if step[0] == 0]
    matrix = sum(co_occurrence(PHANTOM[:1], step, 6) for step in steps)
    published = {(1, 1): 22, (1, 4): 17, (1, 6): 6, (4, 4): 16, (4, 6): 11, (6, 6): 4}
    for (i, j), count in published.items():
        assert matrix[i - 1, j - 1] == matrix[j - 1, i - 1] == count
    assert matrix.sum() == 22 + 2 * 17 + 2 * 6 + 16 + 2 * 11 + 4


@settings(max_examples=60, deadline=None)
@given(LEVELS, STEPS)
def test_pairs_are_those_counted_one_by_one(levels: np.ndarray, step: tuple[int, int, int]) -> None:
    expected = np.zeros((3, 3))
    at = {place: int(levels[place]) for place in np.ndindex(levels.shape)}
    for place, level in at.items():
        other = at.get(tuple(p + d for p, d in zip(place, step, strict=True)), 0)
        if level and other:
            expected[level - 1, other - 1] += 1
            expected[other - 1, level - 1] += 1
    assert np.array_equal(co_occurrence(levels, step, 3), expected)


@settings(max_examples=60, deadline=None)
@given(LEVELS.filter(np.any), STEPS)
def test_runs_are_those_walked_one_by_one(levels: np.ndarray, step: tuple[int, int, int]) -> None:
    assert as_counts(runs(levels, step)) == naive_runs(levels, step)


@settings(max_examples=60, deadline=None)
@given(LEVELS.filter(np.any))
def test_zones_are_those_flooded_one_by_one(levels: np.ndarray) -> None:
    found = zones(levels)
    assert as_counts(found) == naive_zones(levels)
    assert int(found.sizes @ found.counts) == found.voxels == np.count_nonzero(levels)


@settings(max_examples=60, deadline=None)
@given(LEVELS.filter(np.any))
def test_every_voxel_is_in_one_run_of_each_direction(levels: np.ndarray) -> None:
    parts = [runs(levels, step) for step in DIRECTIONS]
    for part in parts:
        assert int(part.sizes @ part.counts) == np.count_nonzero(levels)
    whole = merge(parts)
    assert whole.voxels == 13 * np.count_nonzero(levels)
    assert as_counts(whole) == sum((as_counts(part) for part in parts), start=Counter())


def test_a_direction_backward_in_the_array_is_refused() -> None:
    with pytest.raises(ValueError, match="must point onward"):
        runs(np.ones((2, 2, 2), dtype=np.int64), (-1, 0, 0))
