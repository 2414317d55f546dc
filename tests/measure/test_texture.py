from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from measure.ibsi import PHANTOM, TEXTURE, agrees
from semeion.errors import InputError
from semeion.measure.discretise import Discretisation
from semeion.measure.texture import TextureSettings, texture_measurements

ONE = Discretisation("size", 1, minimum=1)
LEVELS = arrays.arrays(np.int64, arrays.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(0, 4))


def of_levels(levels: np.ndarray, way: str) -> dict[str, float]:
    return texture_measurements(levels > 0, levels[levels > 0], TextureSettings(ONE, way))  # type: ignore[arg-type]


@pytest.mark.parametrize("way", TEXTURE)
def test_published_values_of_the_phantom(way: str) -> None:
    found = of_levels(PHANTOM, way)
    differing = {name: (found[name], value) for name, value in TEXTURE[way].items() if not agrees(found[name], value)}
    assert differing == {}
    assert len(TEXTURE[way]) == 57
    assert set(found) == {*TEXTURE[way], "histogram_entropy", "histogram_uniformity"}


def test_a_checkerboard_by_hand() -> None:
    levels = np.indices((1, 6, 6)).sum(axis=0) % 2 + 1
    found = of_levels(levels, "2d-merge")
    # 60 unlike pairs along rows and columns and 50 like ones along diagonals, each counted both ways.
    assert found["glcm_contrast"] == pytest.approx(60 / 110)
    assert found["glcm_joint_maximum"] == pytest.approx(60 / 220)
    # Runs: 36 of one voxel along each axis; along each diagonal direction the 11 diagonals.
    assert found["glrlm_run_percentage"] == pytest.approx((36 + 36 + 11 + 11) / (4 * 36))
    # Each colour touches by corners and is one zone.
    assert found["glszm_zone_percentage"] == pytest.approx(2 / 36)


def test_one_level_has_no_correlation_and_one_voxel_no_pairs() -> None:
    flat = of_levels(np.ones((3, 3, 3), dtype=np.int64), "3d-merge")
    assert {name for name, value in flat.items() if np.isnan(value)} == {
        "glcm_correlation",
        "glcm_information_correlation_1",
    }
    assert flat["glcm_joint_entropy"] == 0
    single = of_levels(np.ones((1, 1, 1), dtype=np.int64), "3d-average")
    assert all(np.isnan(value) == name.startswith("glcm_") for name, value in single.items())


def test_an_unknown_aggregation_is_refused() -> None:
    with pytest.raises(InputError, match=r"'3d_merge' is no way .*, did you mean '3d-merge'\?; take one of 3d-merge, "):
        TextureSettings(ONE, "3d_merge")  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(LEVELS.filter(np.any), st.sampled_from(["3d-merge", "3d-average"]), st.permutations(range(3)))
def test_neither_order_nor_direction_of_the_axes_matters(levels: np.ndarray, way: str, order: list[int]) -> None:
    here, there = of_levels(levels, way), of_levels(np.flip(levels.transpose(order), axis=order[0]), way)
    for name, value in here.items():
        assert there[name] == pytest.approx(value, nan_ok=True, abs=1e-9), name


@settings(max_examples=40, deadline=None)
@given(LEVELS.filter(np.any), st.sampled_from(sorted(TEXTURE)))
def test_what_lies_around_the_region_does_not_matter(levels: np.ndarray, way: str) -> None:
    here, there = of_levels(levels, way), of_levels(np.pad(levels, ((2, 1), (0, 3), (1, 0))), way)
    for name, value in here.items():
        assert there[name] == pytest.approx(value, nan_ok=True), name
