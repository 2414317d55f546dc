from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from semeion.measure.surface import DIRECTIONS, crofton_area, find_cubes, mesh_area, mesh_vertices, mesh_volume

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=3, max_dims=3, max_side=6)).filter(np.any)
SPACINGS = st.tuples(*[st.floats(0.3, 5)] * 3).map(np.array)


def ellipsoid(axes_mm: tuple[float, float, float], spacing_kji: tuple[float, float, float]) -> np.ndarray:
    """A solid ellipsoid centred in its array."""
    ticks = [np.arange(-int(a / s) - 2, int(a / s) + 3) * s for a, s in zip(axes_mm, spacing_kji, strict=True)]
    z, y, x = np.meshgrid(*ticks, indexing="ij")
    return (z / axes_mm[0]) ** 2 + (y / axes_mm[1]) ** 2 + (x / axes_mm[2]) ** 2 <= 1


def spheroid_area(polar: float, equatorial: float) -> float:
    """Closed form of a prolate spheroid's surface."""
    e = np.sqrt(1 - (equatorial / polar) ** 2)
    return float(2 * np.pi * equatorial**2 * (1 + polar / (equatorial * e) * np.arcsin(e)))


def test_one_voxel_is_an_octahedron_with_half_a_voxel_to_each_corner() -> None:
    cubes = find_cubes(np.ones((1, 1, 1), dtype=bool))
    spacing = np.array([1.0, 1.0, 1.0])
    assert mesh_volume(cubes, spacing) == pytest.approx(4 / 3 * 0.5**3)
    assert mesh_area(cubes, spacing) == pytest.approx(8 * np.sqrt(3) / 4 * 0.5)
    assert len(mesh_vertices(np.ones((1, 1, 1), dtype=bool), spacing)) == 6


def test_a_box_loses_only_its_cut_edges() -> None:
    a, b, c = 7, 9, 11
    cubes = find_cubes(np.ones((a, b, c), dtype=bool))
    spacing = np.ones(3)
    # Along an edge a prism of area 1/8 is cut off; at a corner three prisms end and a pyramid remains.
    edges, corners = 4 * ((a - 1) + (b - 1) + (c - 1)) / 8, 8 * (1 / 8 - 1 / 48)
    assert mesh_volume(cubes, spacing) == pytest.approx(a * b * c - edges - corners)
    faces = 2 * ((a - 1) * (b - 1) + (a - 1) * (c - 1) + (b - 1) * (c - 1))
    slanted = 4 * ((a - 1) + (b - 1) + (c - 1)) * np.sqrt(0.5) + 8 * np.sqrt(3) / 8
    assert mesh_area(cubes, spacing) == pytest.approx(faces + slanted)


@pytest.mark.parametrize("radius", [8, 15, 30])
def test_the_mesh_of_a_ball_is_too_large_by_its_steps_and_crofton_is_not(radius: float) -> None:
    cubes = find_cubes(ellipsoid((radius, radius, radius), (1, 1, 1)))
    truth = 4 * np.pi * radius**2
    assert 1.05 < mesh_area(cubes, np.ones(3)) / truth < 1.09
    assert crofton_area(cubes, np.ones(3)) == pytest.approx(truth, rel=0.02)
    assert mesh_volume(cubes, np.ones(3)) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.03)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2, 1, 0.7), (0.5, 1.5, 1)])
def test_crofton_measures_a_spheroid_at_any_spacing(spacing: tuple[float, float, float]) -> None:
    cubes = find_cubes(ellipsoid((15, 15, 30), spacing))
    assert crofton_area(cubes, np.array(spacing)) == pytest.approx(spheroid_area(30, 15), rel=0.03)


@settings(max_examples=60, deadline=None)
@given(MASKS, SPACINGS, st.permutations(range(3)), st.sets(st.integers(0, 2)))
def test_neither_order_nor_direction_of_the_axes_matters(
    inside: np.ndarray, spacing: np.ndarray, order: list[int], flipped: set[int]
) -> None:
    turned = np.flip(inside.transpose(order), axis=tuple(flipped))
    one, other = find_cubes(inside), find_cubes(turned)
    for measure in (mesh_volume, mesh_area, crofton_area):
        assert measure(other, spacing[order]) == pytest.approx(measure(one, spacing))


@settings(max_examples=60, deadline=None)
@given(MASKS, SPACINGS, st.integers(0, 2))
def test_the_mesh_is_closed(inside: np.ndarray, spacing: np.ndarray, axis: int) -> None:
    """Moving a closed surface does not change the volume inside; with a hole its flux would change."""
    moved = np.pad(inside, [(5 if a == axis else 0, 0) for a in range(3)])
    assert mesh_volume(find_cubes(moved), spacing) == pytest.approx(mesh_volume(find_cubes(inside), spacing))


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_crossings_are_those_counted_voxel_by_voxel(inside: np.ndarray) -> None:
    padded = np.pad(inside, 1)
    total = 0.0
    spacing = np.array([1.0, 1.0, 1.0])
    # With one direction at a time crofton_area would weigh; so the sum is rebuilt from plain loops here.
    from scipy.spatial import SphericalVoronoi

    unit = np.array(DIRECTIONS) / np.linalg.norm(DIRECTIONS, axis=1)[:, None]
    share = SphericalVoronoi(np.concatenate([unit, -unit])).calculate_areas() / (4 * np.pi)
    for column, step in enumerate(DIRECTIONS):
        shifted = np.roll(padded, [-d for d in step], axis=(0, 1, 2))
        changes = np.count_nonzero(padded != shifted)
        total += 2 * (share[column] + share[column + 13]) * changes / float(np.linalg.norm(step))
    assert crofton_area(find_cubes(inside), spacing) == pytest.approx(total)
