from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.plan.segment_networks import PIXELS_2D, VOXELS_3D, fit_patch, levels, unets

sizes = st.tuples(st.integers(3, 400), st.integers(16, 600), st.integers(16, 600))
spacings = st.tuples(st.floats(0.5, 12), st.floats(0.3, 3), st.floats(0.3, 3))


@given(sizes, spacings)
@settings(max_examples=60, deadline=None)
def test_every_plan_is_consistent_and_affordable(size, spacing):
    for arm in unets(size, spacing):
        network = arm.network
        again = type(network).model_validate(network.model_dump())  # all rules of the schema hold
        assert again == network
        totals = [math.prod(stride[axis] for stride in network.strides) for axis in range(network.dims)]
        smallest = math.prod(2 * total for total in totals)
        assert math.prod(network.patch) <= max(VOXELS_3D if network.dims == 3 else PIXELS_2D, smallest)
        assert 2 <= arm.batch <= 64
        assert network.widths == sorted(network.widths)


def test_small_cubic_volumes_fit_whole_into_a_cubic_patch():
    arm = unets((35, 50, 35), (1.0, 1.0, 1.0))[0]
    assert arm.name == "3d"
    assert arm.network.patch == [40, 56, 40]
    assert arm.network.strides == [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
    assert {tuple(kernel) for kernel in arm.network.kernels} == {(3, 3, 3)}
    assert [each.network.widths[0] for each in unets((35, 50, 35), (1.0, 1.0, 1.0)) if each.name == "3d"] == [
        32,
        24,
        16,
        8,
    ]


def test_thick_slices_are_neither_halved_nor_mixed_before_the_plane_is_as_coarse():
    arm = unets((10, 256, 216), (10.0, 1.48, 1.48))[0]
    assert arm.network.kernels[:2] == [[1, 3, 3], [1, 3, 3]]
    assert arm.network.strides[1:3] == [[1, 2, 2], [1, 2, 2]]
    assert arm.network.kernels[2] == [3, 3, 3]
    flat = next(arm for arm in unets((10, 256, 216), (10.0, 1.48, 1.48)) if arm.name == "2d")
    assert flat.network.patch == [192, 192]
    assert flat.batch == 12


def test_levels_stop_where_little_is_left():
    kernels, strides = levels((7, 7), (1, 1), 6)
    assert strides == [[1, 1]]
    assert kernels == [[3, 3]]
    assert len(levels((512, 512), (1, 1), 6)[1]) == 6


@pytest.mark.parametrize("size", [(4, 4, 4), (1, 6, 6)])
def test_volumes_of_a_few_voxels_have_no_network(size):
    assert unets(size, (1.0, 1.0, 1.0)) == []


def test_a_long_bar_of_anatomy_is_cut_along_its_length():
    network = fit_patch((1000, 64, 64), (1.0, 1.0, 1.0), 5, VOXELS_3D)
    assert network is not None
    assert network.patch[1] == network.patch[2]
    assert network.patch[0] < 100
