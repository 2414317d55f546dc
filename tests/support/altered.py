"""Pictures with detail of every size, and the ways in which a copy of one may differ from it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

WAYS = ("jpeg", "resized", "cropped", "mirrored", "turned", "gamma", "bright", "several")


@cache
def texture(rows: int, cols: int, seed: int) -> Picture:
    """Return tissue-like texture, uint8 ``(rows, cols)``."""
    rng = np.random.default_rng(seed)
    total = np.zeros((rows, cols), dtype=np.float64)
    for size in (1.5, 3, 7, 18, 40):
        noise = cv2.GaussianBlur(rng.normal(size=(rows, cols)), (0, 0), size)
        total += noise / noise.std()
    total = (total - total.min()) / (total.max() - total.min())
    picture = (25 + 205 * total).astype(np.uint8)
    picture.setflags(write=False)
    return picture


def altered(picture: Picture, how: str, seed: int = 0) -> Picture:
    """Return a copy that differs as one of `WAYS` says."""
    rng = np.random.default_rng(seed)
    rows, cols = picture.shape
    if how == "jpeg":
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    if how == "resized":
        size = (round(cols * 0.7), round(rows * 0.7))
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if how == "cropped":
        top, left = rng.integers(0, round(0.12 * rows) + 1), rng.integers(0, round(0.12 * cols) + 1)
        return picture[top : top + round(0.88 * rows), left : left + round(0.88 * cols)].copy()
    if how == "mirrored":
        return picture[:, ::-1].copy()
    if how == "turned":
        return np.ascontiguousarray(np.rot90(picture))
    if how == "gamma":
        return (255 * (picture / 255.0) ** 1.5).astype(np.uint8)
    if how == "bright":
        return np.clip(picture * 0.7 + 40, 0, 255).astype(np.uint8)
    for one in ("cropped", "mirrored", "bright"):
        picture = altered(picture, one, seed)
    return picture


def save(path: Path, picture: Picture) -> Path:
    """Write a PNG and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", picture)
    assert done
    path.write_bytes(data.tobytes())
    return path
