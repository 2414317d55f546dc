"""Several stores read as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from learn.tiny import store_of
from semeion.prepare.joined import joined


def test_rows_of_several_stores_follow_one_another(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, (n, 1, 3, 4), dtype=np.uint8) for n in (5, 7))
    parts = [
        (store_of(first, tmp_path / "a", per_shard=2), np.array([4, 0])),
        (store_of(second, tmp_path / "b"), np.array([6, 1, 1])),
    ]
    both = joined(parts)
    expected = np.concatenate([first[[4, 0]], second[[6, 1, 1]]])
    assert (both.n, both.shape) == (5, (1, 3, 4))
    np.testing.assert_array_equal(both.take(np.array([3, 0, 4, 1, 2, 0])), expected[[3, 0, 4, 1, 2, 0]])
    np.testing.assert_array_equal(np.concatenate(list(both.batches(np.arange(5), 2))), expected)


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    stores = [store_of(np.zeros((2, 1, 3, side), np.uint8), tmp_path / str(side)) for side in (3, 4)]
    with pytest.raises(ValueError, match="several shapes"):
        joined([(store, np.arange(2)) for store in stores])
