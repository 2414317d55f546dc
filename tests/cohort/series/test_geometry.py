"""Planes are arranged by where they lie, whatever their order, and moments by what orders them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.cohort.series.geometry import INSTANCE, Plane, arrange, even_depths
from semeion.errors import ImageError

PLANE = Plane("a", 0, 0, 8, 6, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.5, 0.75), 2.0)


def stack(places: list[float], **changes: object) -> list[Plane]:
    return [
        replace(PLANE, name=f"s{n}", source=n, position=(1.0, 2.0, place), **changes) for n, place in enumerate(places)
    ]


@given(order=st.permutations(range(7)), step=st.floats(0.05, 20), start=st.floats(-500, 500))
def test_planes_are_ordered_along_the_normal(order: list[int], step: float, start: float) -> None:
    layout = arrange(stack([start + n * step for n in order]), "x")
    assert [order[n] for n in layout.order[0]] == list(range(7))
    assert layout.even
    assert layout.tilt == 0
    assert layout.stored.spacing == pytest.approx((0.75, 0.5, step))
    assert layout.stored.origin == pytest.approx((1.0, 2.0, start))


@given(angle=st.floats(1, 44), turn=st.floats(0, 6.28), count=st.integers(3, 12))
def test_the_tilt_is_the_angle_between_stack_and_normal(angle: float, turn: float, count: int) -> None:
    slope = np.tan(np.radians(angle)) * np.array([np.cos(turn), np.sin(turn)])
    planes = [
        replace(PLANE, name=f"s{n}", source=n, position=(float(slope[0]) * n * 3, float(slope[1]) * n * 3, n * 3.0))
        for n in range(count)
    ]
    layout = arrange(planes, "x")
    assert layout.tilt == pytest.approx(angle, abs=1e-6)
    assert np.allclose(layout.shifts, np.outer(np.arange(count) * 3, slope))
    assert f"tilt-corrected: {angle:.1f} degrees" in layout.notes


@given(
    gaps=st.lists(st.floats(1.0, 2.0), min_size=2, max_size=20),
)
def test_an_even_grid_spans_uneven_slices_to_half_a_step(gaps: list[float]) -> None:
    depths = np.concatenate([[0.0], np.cumsum(gaps)])
    step = float(np.quantile(gaps, 0.25, method="lower"))
    even = even_depths(depths, step)
    assert even[0] == 0
    assert np.allclose(np.diff(even), step)
    assert abs(even[-1] - depths[-1]) <= step / 2 + 1e-9


def test_the_step_of_a_scan_of_two_thicknesses_is_the_thinner_one() -> None:
    layout = arrange(stack([*np.arange(0, 20, 4.0), 17.0, *np.arange(24.0, 60, 7.0)]), "x")
    assert layout.stored.spacing[2] == 4.0
    assert not layout.even


@pytest.mark.parametrize(
    ("moments", "key", "order"),
    [
        ([("temporal position", 2.0), ("temporal position", 1.0)], "temporal position", [1, 0]),
        ([("trigger time", 40.0), ("trigger time", 0.0)], "trigger time", [1, 0]),
        ([("acquisition number", 1.0), ("acquisition number", 2.0)], "acquisition number", [0, 1]),
    ],
)
def test_frames_are_ordered_by_what_says_when_they_were(
    moments: list[tuple[str, float]], key: str, order: list[int]
) -> None:
    planes = [
        replace(plane, name=f"t{t}", source=t * 3 + n, moment=(moment,))
        for t, moment in enumerate(moments)
        for n, plane in enumerate(stack([0.0, 2.0, 4.0]))
    ]
    layout = arrange(planes, "x")
    assert layout.notes[0] == f"frames: 2 by {key}"
    assert [layout.order[t][0] // 3 for t in range(2)] == order
    assert layout.times == ((0.0, 40.0) if key == "trigger time" else ())


def test_instance_numbers_order_frames_only_when_they_run_without_overlap() -> None:
    def numbered(numbers: list[list[float]]) -> list[Plane]:
        return [
            replace(plane, name=f"{t}-{n}", moment=((INSTANCE, numbers[t][n]),))
            for t in range(2)
            for n, plane in enumerate(stack([0.0, 2.0, 4.0]))
        ]

    for numbers in ([[1, 2, 3], [4, 5, 6]], [[1, 3, 5], [2, 4, 6]], [[3, 2, 1], [6, 5, 4]]):
        assert len(arrange(numbered([[float(n) for n in row] for row in numbers]), "x").order) == 2
    with pytest.raises(ImageError, match=r"2 slices lie at one position, 0.00 mm along the normal"):
        arrange(numbered([[1.0, 5.0, 2.0], [4.0, 6.0, 3.0]]), "x")


def test_slices_beside_each_other_in_one_plane_are_refused() -> None:
    planes = stack([0.0, 2.0, 4.0, 4.0])
    planes[3] = replace(planes[3], position=(51.0, 2.0, 4.0))
    with pytest.raises(
        ImageError, match=r"slices s2 and s3 lie in one plane, 4.00 mm along the normal, 50.00 mm beside"
    ):
        arrange(planes, "x")


def test_numbers_that_are_none_are_no_position() -> None:
    planes = stack([0.0, 2.0, float("nan")])
    with pytest.raises(ImageError, match=r"1 of 3 slices have no finite ImagePositionPatient \(0020,0032\): s2"):
        arrange(planes, "x")


def test_slices_a_hundredth_of_a_millimetre_apart_are_told_apart_where_pixels_are_small() -> None:
    layout = arrange(stack([0.0, 0.005, 0.01], spacing=(0.005, 0.005)), "x")
    assert layout.stored.spacing == pytest.approx((0.005, 0.005, 0.005))
