"""Memory of a batch is bounded, whatever a graph looks at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from semeion.model.classifier import look_bounded


class Counting:
    """An engine that remembers how many cases it saw at a time."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def look(self, batch: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        self.seen.append(len(batch))
        flat = batch.reshape(len(batch), -1).astype(np.float32)
        return {"logits": flat[:, :2], **dict.fromkeys(names, flat[:, 2:5])}


@pytest.mark.parametrize(
    ("shape", "features", "seen"),
    [
        ((3, 1, 4, 5, 6), True, [1, 1, 1]),
        ((3, 1, 4, 5, 6), False, [3]),
        ((3, 1, 5, 6), True, [3]),
        ((1, 1, 4, 5, 6), True, [1]),
    ],
)
def test_features_of_volumes_are_taken_one_by_one(shape: tuple[int, ...], features: bool, seen: list[int]) -> None:
    engine, batch = Counting(), np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = look_bounded(engine, batch, ["features"], features=features)
    assert engine.seen == seen
    flat = batch.reshape(len(batch), -1)
    np.testing.assert_array_equal(found["logits"], flat[:, :2])
    np.testing.assert_array_equal(found["features"], flat[:, 2:5])
