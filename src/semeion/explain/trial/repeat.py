"""The same picture read again, hardly changed: its map should hardly change either."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

LEVELS = 2
"""Grey levels by which noise changes a pixel at most: less than the noise of any detector shows at 256 levels."""


def noisy(pictures: Bytes, seed: int) -> Bytes:
    """Return pictures uint8 with every value moved by -2 to 2 levels, each as likely, within 0 to 255."""
    moved = np.random.default_rng(seed).integers(-LEVELS, LEVELS, pictures.shape, dtype=np.int16, endpoint=True)
    return np.asarray(np.clip(pictures.astype(np.int16) + moved, 0, 255), dtype=np.uint8)


def mirrored(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return pictures, or maps of mirrored pictures, with the ends of their last axis exchanged."""
    return np.ascontiguousarray(values[..., ::-1])
