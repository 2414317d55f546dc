from __future__ import annotations

import numpy as np
import pytest

from semeion.evidence.intervals.sizes import mean_absolute, quantile, root_mean_square, size_interval


def test_sizes_are_what_they_say() -> None:
    rows, weight = np.array([[1.0, -2.0, 0.5], [0.0, 0.0, -4.0]]), np.array([1.0, 1.0, 2.0])
    assert mean_absolute(weight)(rows) == pytest.approx([1, 2])
    assert root_mean_square(weight)(rows) == pytest.approx(np.sqrt([5.5 / 4, 8]))
    assert quantile(weight, 0.5)(rows).tolist() == [0.5, 0]
    assert quantile(weight, 0.9)(rows).tolist() == [2, 4]


@pytest.mark.parametrize("size", [mean_absolute(np.ones(10)), root_mean_square(np.ones(10))])
@pytest.mark.parametrize("true", [0.0, 0.05, 1.0])
def test_the_true_size_is_rarely_missed(size: object, true: float) -> None:
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(200):
        seen = true + rng.normal(scale=0.1, size=10)
        low, high = size_interval(seen, seen + rng.normal(scale=0.1, size=(300, 10)), size)  # type: ignore[arg-type]
        assert 0 <= low <= size(seen[None, :])[0] <= high  # type: ignore[operator]
        missed += not low <= true <= high
    assert missed <= 0.08 * 200


def test_a_part_that_a_resample_lost_stays_where_it_is() -> None:
    seen = np.array([0.2, -0.4])
    drawn = np.tile([np.nan, -0.4], (50, 1))
    assert size_interval(seen, drawn, mean_absolute(np.ones(2))) == pytest.approx((0.3, 0.3))
