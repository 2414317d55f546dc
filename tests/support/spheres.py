"""Cohorts of small volumes with a sphere, written as NIfTI: what can be learned is its size or its brightness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import SimpleITK as sitk

BENIGN, MALIGNANT = "benign", "malignant"
PATIENT = "MRN-8800"


def sphere(
    rng: np.random.Generator, brightness: float, shape: tuple[int, int, int] = (10, 16, 14)
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Return noise with a sphere of a brightness from 0 to 1, and the mask of it."""
    grid = np.mgrid[: shape[0], : shape[1], : shape[2]].astype(float)
    middle = np.array(shape) / 2 + rng.uniform(-1, 1, 3)
    inside = sum((axis - place) ** 2 for axis, place in zip(grid, middle, strict=True)) < (min(shape) / 3.2) ** 2
    voxels = rng.normal(300, 40, shape) + inside * (100 + 500 * brightness)
    return np.clip(voxels, 1, 2000).astype(np.int16), np.asarray(inside, dtype=np.uint8)


def write_volume(path: Path, voxels: npt.NDArray[Any], spacing: tuple[float, float, float] = (1.0, 1.0, 1.5)) -> Path:
    """Write an array (slices, rows, columns), axes along LPS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    image.SetOrigin((-10.0, 5.0, 30.0))
    sitk.WriteImage(image, str(path))
    return path


def make_spheres(
    folder: Path,
    *,
    n: int = 40,
    images: tuple[str, ...] = ("",),
    shapes: dict[str, tuple[int, int, int]] | None = None,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.5),
    split: bool = True,
    masks: bool = False,
    seed: int = 0,
) -> Path:
    """Write `n` cases of ``n / 2`` patients with a volume for each of `images` and return their table.

    The target ``finding`` is told by the brightness of the sphere, in every image.
    """
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.linspace(0, 1, n))
    rows: dict[str, list[Any]] = {"case_id": [f"case-{row:03d}" for row in range(n)]}
    for row in range(n):
        for name in images:
            end = f".{name}" if name else ""
            shape = (shapes or {}).get(name, (10, 16, 14))
            voxels, mask = sphere(rng, float(truth[row]), shape)
            file = Path("volumes") / f"{row:03d}{end}.nii.gz"
            write_volume(folder / file, voxels, spacing)
            rows.setdefault(f"image{end}", []).append(str(file))
            if masks:
                file = Path("masks") / f"{row:03d}{end}.nii.gz"
                write_volume(folder / file, mask, spacing)
                rows.setdefault(f"mask{end}", []).append(str(file))
    table = pd.DataFrame(rows)
    table["patient_id"] = [f"{PATIENT}{row // 2:03d}" for row in range(n)]
    table["finding"] = np.where(truth > 0.5, MALIGNANT, BENIGN)
    table["lightness"] = np.round(truth, 4)
    if split:
        table["split"] = np.array(["train", "test", "train", "val"])[np.arange(n) // 2 % 4]
    table.to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"
