"""Stacks: order along the normal and every fault of spacing and tilt, with its numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.cohort.series.stack import cosine_problems, measure_stack, normal_of

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def column(*heights: float) -> list[tuple[float, float, float]]:
    return [(0.0, 0.0, height) for height in heights]


def test_a_regular_stack_has_no_problem_in_any_order() -> None:
    stack = measure_stack(column(10, 0, 5, 15), AXIAL)
    assert (stack.order, stack.distances, stack.spacing) == ((1, 2, 0, 3), (0, 5, 10, 15), 5)
    assert stack.even and stack.problems == () and stack.tilt == 0


def test_missing_slices_are_counted() -> None:
    assert measure_stack(column(0, 5, 10, 20, 25, 30, 45), AXIAL).problems == (
        "missing-slices: 3 missing, first after slice 3 (gap of 10.00 mm where 5.00 is usual)",
    )


def test_uneven_spacing_is_told_by_its_ends() -> None:
    assert measure_stack(column(0, 5, 10, 17.5), AXIAL).problems == ("uneven-spacing: 5.00 to 7.50 mm between slices",)


def test_positions_with_several_images_are_told() -> None:
    assert measure_stack(column(0, 5, 5, 10, 10, 10), AXIAL).problems == (
        "duplicate-position: 2 of 3 positions hold more than one image (up to 3)",
    )
    assert measure_stack(column(0, 0, 5, 5, 10), AXIAL, frames=2).problems == (
        "incomplete-frames: 1 of 3 positions hold fewer than 2 images",
    )


def test_overlap_is_told() -> None:
    assert measure_stack(column(0, 2, 4), AXIAL, thickness=5).problems == (
        "overlapping-slices: 2.00 mm apart and 5.00 mm thick",
    )
    assert measure_stack(column(0, 5, 10), AXIAL, thickness=5).problems == ()


def test_one_slice_out_of_line_is_told() -> None:
    places = column(0, 5, 10, 15, 20)
    places[2] = (9.0, 0.0, 10.0)
    (problem,) = measure_stack(places, AXIAL).problems
    assert problem.startswith("crooked-stack: positions stray up to 7.20 mm")


def test_bent_cosines_are_told() -> None:
    assert cosine_problems((1, 0, 0, 0.02, 1, 0)) == ("not-orthonormal: direction cosines are off by 0.02",)
    assert cosine_problems(AXIAL) == ()
    with pytest.raises(ValueError, match="parallel"):
        normal_of((1, 0, 0, 1, 0, 0))
    with pytest.raises(ValueError, match="no positions"):
        measure_stack([], AXIAL)


@settings(max_examples=60, deadline=None)
@given(
    angles=st.tuples(st.floats(-3, 3), st.floats(-1.4, 1.4), st.floats(-3, 3)),
    spacing=st.floats(0.3, 12),
    tilt=st.floats(0.5, 30),
    count=st.integers(3, 40),
    seed=st.integers(0, 999),
)
def test_order_spacing_and_tilt_hold_in_any_orientation(
    angles: tuple[float, float, float], spacing: float, tilt: float, count: int, seed: int
) -> None:
    a, b, c = angles
    turn = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    turn = turn @ np.array([[1, 0, 0], [0, math.cos(c), -math.sin(c)], [0, math.sin(c), math.cos(c)]])
    cosines = tuple(float(value) for value in (*turn[:, 0], *turn[:, 1]))
    step = turn[:, 2] * spacing + turn[:, 1] * spacing * math.tan(math.radians(tilt))
    order = np.random.default_rng(seed).permutation(count)
    places = [tuple(float(value) for value in np.array([5, -7, 11]) + step * int(index)) for index in order]
    stack = measure_stack(places, cosines)  # type: ignore[arg-type]
    assert [int(order[index]) for index in stack.order] == list(range(count))
    assert stack.spacing == pytest.approx(spacing, rel=1e-6)
    assert stack.tilt == pytest.approx(tilt, abs=1e-4) and stack.even
    assert stack.problems == (f"tilt: {stack.tilt:.2f} degrees",)
