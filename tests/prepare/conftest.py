"""Pictures for the tests of preparation."""

from __future__ import annotations

import cv2
import numpy as np
import pytest


def speckle(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    """Return smooth tissue-like texture, uint8 (rows, cols, 1), values from about 40 to 200."""
    noise = np.random.default_rng(seed).normal(size=(rows, cols)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return (40 + 160 * smooth).astype(np.uint8)[..., None]


@pytest.fixture
def tissue():
    return speckle
