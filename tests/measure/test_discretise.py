from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measure.ibsi import PHANTOM
from semeion.errors import InputError
from semeion.measure.discretise import Discretisation, discretise


def test_a_fixed_number_of_bins_by_hand() -> None:
    found = discretise([0, 2.4, 2.5, 5, 9.99, 10], Discretisation("number", 4))
    assert found.levels.tolist() == [1, 1, 2, 3, 4, 4]
    assert found.number == 4


def test_a_fixed_size_of_bins_by_hand() -> None:
    found = discretise([-1000, -975.1, -975, 0, 24.9], Discretisation("size", 25, minimum=-1000))
    assert found.levels.tolist() == [1, 1, 2, 41, 41]
    assert found.number == 41


@pytest.mark.parametrize("how", [Discretisation("size", 1), Discretisation("number", 6)])
def test_the_phantom_stays_what_it_is(how: Discretisation) -> None:
    levels = PHANTOM[PHANTOM > 0]
    found = discretise(levels, how)
    assert found.levels.tolist() == levels.tolist()
    assert found.number == 6


def test_a_constant_region_is_one_level() -> None:
    assert set(discretise([3.0, 3.0], Discretisation("number", 8)).levels) == {1}
    assert set(discretise([3.0, 3.0], Discretisation("size", 8)).levels) == {1}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=50), st.integers(2, 64))
def test_levels_keep_the_order_of_intensities(values: list[float], bins: int) -> None:
    found = discretise(values, Discretisation("number", bins))
    assert found.levels.min() >= 1
    assert found.levels.max() <= bins
    ordered = found.levels[np.argsort(values, kind="stable")]
    assert (np.diff(ordered) >= 0).all()


@pytest.mark.parametrize(
    ("kind", "value", "minimum", "said"),
    [
        ("bins", 3, None, "'bins' is no way to make bins; take 'number' or 'size'"),
        ("number", 1, None, "1 bins cannot be made; take a whole number from 2 to 1024"),
        ("number", 8.5, None, "8.5 bins cannot be made"),
        ("number", 5000, None, "5000 bins cannot be made"),
        ("number", 8, 0.0, "a fixed number of bins has no lower bound of its own"),
        ("size", 0, None, "a bin cannot be 0 wide; take a positive width"),
        ("size", float("nan"), None, "a bin cannot be nan wide"),
    ],
)
def test_bins_that_are_none_are_refused(kind: str, value: float, minimum: float | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Discretisation(kind, value, minimum)  # type: ignore[arg-type]


def test_intensities_below_the_first_bin_are_refused() -> None:
    with pytest.raises(InputError, match="an intensity of -5 lies below the first bin at 0; lower the minimum"):
        discretise([-5, 3], Discretisation("size", 1, minimum=0))


def test_too_many_levels_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"bins of 0.001 from 0 to 3 make 3001 grey levels, more than 1024; take wider"
    ):
        discretise([0, 3], Discretisation("size", 0.001))
