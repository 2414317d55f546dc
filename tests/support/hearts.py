"""Cohorts of small hearts, written as NIfTI: two groups that differ in how far the left ventricle empties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import CohortOptions
from semeion.plan.files import write_plan
from semeion.plan.measure_schema import MeasuredPlan
from semeion.progress import Silent
from semeion.study.options import RunOptions
from semeion.study.road import start_run
from support.spheres import write_volume

FAILING, HEALTHY = "failing", "healthy"
STRUCTURES = {"1": "rv", "2": "myocardium", "3": "lv"}
SHAPE = (4, 24, 24)
SPACING = (1.5, 1.5, 8.0)
PATIENT = "MRN-7700"
FEATURES = ["lv_ef_percent", "lv_edv_ml", "lv_esv_ml", "rv_ef_percent", "lv_mass_g"]


def heart(
    rng: np.random.Generator, radius: float, wall: float = 2.2
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Return noise with a heart whose left ventricle has a radius in pixels, and its mask."""
    _, j, i = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]].astype(float)
    j, i = j - 11.5 - rng.uniform(-1, 1), i - 12.5 - rng.uniform(-1, 1)
    away = np.hypot(i, j)
    mask = np.zeros(SHAPE, np.uint8)
    mask[(np.hypot(i + radius + wall, j) < radius) & (i < 0)] = 1
    mask[away < radius + wall] = 2
    mask[away < radius] = 3
    bright = np.array([100.0, 900.0, 400.0, 1400.0])[mask]
    return np.clip(bright + rng.normal(0, 30, SHAPE), 1, 3000).astype(np.int16), mask


def make_hearts(folder: Path, *, patients: int = 18, test: int = 6, seed: int = 0) -> Path:
    """Write a case a patient with the frames ED and ES and their masks, and return the table.

    The target ``group`` is told by the ejection fraction alone: both groups have hearts of the same sizes at ED. The
    last `test` patients are the split ``test``.
    """
    rng = np.random.default_rng(seed)
    n = patients + test
    rows: dict[str, list[Any]] = {"case_id": [f"heart-{row:02d}" for row in range(n)]}
    for row in range(n):
        large = rng.uniform(5.0, 6.0)
        small = large * (0.85 if row % 2 else 0.55)
        for name, radius in (("ED", large), ("ES", small)):
            voxels, mask = heart(rng, radius)
            for column, array in (("image", voxels), ("mask", mask)):
                file = Path(column) / f"{row:02d}.{name}.nii.gz"
                write_volume(folder / file, array, SPACING)
                rows.setdefault(f"{column}.{name}", []).append(str(file))
    table = pd.DataFrame(rows)
    table["patient_id"] = [f"{PATIENT}{row:02d}" for row in range(n)]
    table["group"] = [FAILING if row % 2 else HEALTHY for row in range(n)]
    table["split"] = ["train"] * patients + ["test"] * test
    table.to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


def with_another_patient(table: Path, row: int, folder: Path) -> Path:
    """Write a table into `folder` in which other images, masks and the other label stand for one patient's own."""
    rows = pd.read_csv(table)
    for column in [name for name in rows if name.startswith(("image", "mask"))]:
        rows[column] = [str(table.parent / file) for file in rows[column]]
    rng = np.random.default_rng(9)
    for frame, radius in (("ED", 4.0), ("ES", 3.9)):
        for column, array in zip(("image", "mask"), heart(rng, radius, wall=4.0), strict=True):
            rows.loc[row, f"{column}.{frame}"] = str(write_volume(folder / f"{column}{frame}.nii.gz", array))
    rows.loc[row, "group"] = FAILING if rows.loc[row, "group"] == HEALTHY else HEALTHY
    rows.to_csv(folder / "changed.csv", index=False)
    return folder / "changed.csv"


def train_hearts(table: Path, plan: MeasuredPlan, run: Path, structures: dict[str, str] | None = None) -> Path:
    """Train on `table` by `plan` and return the run folder."""
    write_plan(plan, run.with_suffix(".yaml"))
    cohort = CohortOptions(target="group", structures=structures or STRUCTURES)
    return start_run(table, RunOptions(cohort, plan=str(run.with_suffix(".yaml")), jobs=1), run, Silent())


def measured_plan(
    *,
    steps: int = 40,
    images: tuple[str, ...] = ("ED", "ES"),
    structures: tuple[str, ...] = ("rv", "myocardium", "lv"),
    kind: str = "heart",
    features: list[str] | None = None,
    target: tuple[str, str, str] = ("group", HEALTHY, FAILING),
    channel: str = "image",
    patch: tuple[int, int] = (24, 24),
    seen: dict[str, Any] | None = None,
    **changes: Any,
) -> MeasuredPlan:
    """Return a plan of three folds, so three pairs and networks, with fixed steps of a tiny network of slices.

    `seen` is the section of networks that see the images: :func:`image_networks`.
    """
    numbers = {name: number + 1 for number, name in enumerate(structures)}
    members = [{"name": f"fold{k}-seed0", "fold": k, "seed": 10 + k, "steps": steps, "arm": "2d"} for k in range(3)]
    segmentation = {
        "schema": 1,
        "seed": 5,
        "target": {"name": "mask", "classes": list(structures), "values": list(numbers.values())},
        "preparation": {
            "channels": [channel],
            "orientation": "LPS",
            "intensity": [{"kind": "zscore", "foreground": "all"}],
        },
        "arms": [
            {
                "name": "2d",
                "network": {
                    "dims": 2,
                    "patch": list(patch),
                    "widths": [8, 16],
                    "kernels": [[3, 3], [3, 3]],
                    "strides": [[1, 1], [2, 2]],
                    "deep_supervision": 0,
                },
                "batch": 8,
                "channels_last": False,
                "learning_rate": 0.02,
            }
        ],
        "training": {"threads": 1, "evaluations": 2, "averaging": 0.8, "validation_cases": 2},
        "validation": {"scheme": "folds", "folds": 3, "inner_share": 0.2},
        "members": members,
        "choice": {"arm": "2d"},
    }
    plan = {
        "schema": 1,
        "seed": 5,
        "target": {"name": target[0], "task": "binary", "classes": list(target[1:]), "positive": target[2]},
        "measurements": {
            "take": {"kind": kind, "images": list(images), "structures": numbers},
            "features": FEATURES if features is None else features,
        },
        "classifier": {"kinds": ["extra-trees", "boosting"]},
        "validation": {"folds": 3, "inner_share": 0.2},
        "segmentation": segmentation,
        **({"images": seen} if seen is not None else {}),
        **changes,
    }
    return MeasuredPlan.model_validate(plan)


def image_networks(*, steps: int = 30, widths: tuple[int, ...] = (4, 8), **changes: Any) -> dict[str, Any]:
    """Return the section ``images`` of a plan: one tiny network of slices for each of three folds, fixed steps."""
    networks = {
        "schema": 1,
        "seed": 5,
        "target": {"name": "group", "task": "binary", "classes": [HEALTHY, FAILING], "positive": FAILING},
        "images": {"kind": "volume", "role": "frames", "names": ["ED", "ES"]},
        "preparation": {
            "channels": ["image"],
            "orientation": "LPS",
            "size": [4, 24, 24],
            "interpolation": "linear",
            "intensity": [{"kind": "percentiles", "foreground": "nonzero", "clip": [0.005, 0.995]}],
        },
        "network": {"kind": "slices", "widths": list(widths), "dropout": 0.0, "group_pooling": "gru"},
        "training": {
            "batch": 8,
            "learning_rate": 0.02,
            "threads": 1,
            "evaluations": 2,
            "averaging": 0.5,
            "augmentation": {"brightness": 0.0, "contrast": 0.0},
        },
        "validation": {"scheme": "folds", "folds": 3, "inner_share": 0.2},
        "members": [{"name": f"fold{k}-seed0", "fold": k, "seed": 20 + k, "steps": steps} for k in range(3)],
        **changes,
    }
    return {"networks": networks}
