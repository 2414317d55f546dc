"""The classic network is the one that Keras trains: from one start, on the same batches, both say the same."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from benchmarks.classic_keras import seen, shared_start

pytestmark = pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed")


def test_both_networks_learn_alike_from_the_same_start() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 160).astype(np.float64)
    pixels = np.clip(rng.normal(90, 30, (160, 1, 28, 28)) + 40 * y[:, None, None, None], 0, 255).astype(np.uint8)
    found = shared_start(pixels, y, steps=5)
    assert len(found["losses"]) == 5
    assert found["largest_difference_in_probability"] < 1e-4
    # Keras cuts probabilities off at 1e-7, so that the loss of a case that is called wrongly for sure is less by a bit.
    assert found["largest_difference_in_loss"] < 1e-3 * max(found["losses"])


def test_both_see_the_same_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, 64, 64), dtype=np.uint8)
    assert np.allclose(seen(pixels), np.repeat(pixels[:, 0, :, :, None], 3, axis=3) / 255, atol=1e-6)
