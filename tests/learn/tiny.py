"""A tiny store, tiny plans and tiny pictures that a tiny network learns in a second."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semeion.learn import standing
from semeion.learn.member import Learned, train_member
from semeion.learn.standing import Hooks
from semeion.plan.schema import Plan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store

SIDE = 12
CLASSES = {
    "binary": ["no", "yes"],
    "multiclass": ["left", "right", "none"],
    "ordinal": ["low", "mid", "high"],
    "multilabel": ["left", "right"],
    "regression": [],
}


class Clock:
    """Stands for the time: every look at it is a second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def store_of(pixels: np.ndarray, folder: Path, per_shard: int = 50) -> Store:
    """Write uint8 pictures (n, channels, height, width) as a store."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(pixels), per_shard)):
        (folder / f"shard-{number:04d}.bin").write_bytes(pixels[start : start + per_shard].tobytes())
    return Store(folder, len(pixels), pixels.shape[1:], per_shard)


def pictures(task: str, n: int = 160, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return noise with blobs that tell the answer: uint8 (n, 1, 12, 12) and the reference standard."""
    rng = np.random.default_rng(seed)
    images = rng.normal(90, 22, (n, 1, SIDE, SIDE))
    left, right = np.zeros((2, SIDE, SIDE))
    left[3:9, 1:5], right[3:9, 7:11] = 60, 60
    if task == "multilabel":
        y = rng.integers(0, 2, (n, 2)).astype(float)
        images += (y[:, :1, None, None] * left + y[:, 1:, None, None] * right)[:, :, :, :]
        y[rng.random((n, 2)) < 0.1] = np.nan
    elif task == "multiclass":
        y = rng.integers(0, 3, n).astype(float)
        images[y == 0] += left
        images[y == 1] += right
    else:
        grade = rng.uniform(0, 1, n) if task == "regression" else rng.integers(0, len(CLASSES[task]), n).astype(float)
        images += (grade / (1 if task == "regression" else len(CLASSES[task]) - 1))[:, None, None, None] * (
            left + right
        )
        y = 500 + 40 * grade if task == "regression" else grade
    return np.clip(images, 0, 255).astype(np.uint8), y


def plan_of(task: str = "binary", *, steps: int = 60, seed: int = 5, **training: Any) -> Plan:
    """Return a plan for one member; `training` replaces settings."""
    settings = {
        "batch": 16,
        "learning_rate": 0.01,
        "threads": 1,
        "evaluations": 6,
        "label_smoothing": 0.0,
        "averaging": 0.9,
        "augmentation": {"rotation": 5, "scale": 0.05, "shift": 0.03, "noise": 0.05},
        **training,
    }
    return Plan.model_validate(
        {
            "schema": 1,
            "target": {"name": "finding", "task": task, "classes": CLASSES[task]},
            "preparation": {"size": [SIDE, SIDE]},
            "network": {"widths": [4, 8], "dropout": 0.1},
            "training": settings,
            "validation": {"scheme": "given"},
            "members": [{"name": "seed0", "seed": seed, "steps": steps}],
        }
    )


def sides_of(n: int = 160) -> Sides:
    """Return the first 100 rows to learn from, the next 30 to validate on, the rest held out."""
    rows = np.arange(n)
    return Sides(-1, rows[:100], rows[100:130], rows[130:])


def train(plan: Plan, folder: Path, hooks: Hooks | None = None) -> Learned:
    """Train the plan's member on its pictures, in `folder`."""
    images, y = pictures(plan.target.task)
    store = store_of(images, folder / "store")
    return train_member(plan, plan.members[0], store, y, sides_of(), folder, hooks or Hooks())


def weights(learned: Learned) -> dict[str, torch.Tensor]:
    """Return what ships."""
    return learned.shipped.state_dict()


def same(one: Learned, other: Learned) -> bool:
    """Return whether two members are equal bit for bit."""
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def die_while_writing(folder: Path, checkpoints: int) -> None:
    """Train with a checkpoint a step, and be killed in the middle of writing one more than `checkpoints` of them."""
    import os
    import signal

    import safetensors.torch

    real = safetensors.torch.save_file
    written = 0

    def save_file(tensors: Any, filename: Path, metadata: Any = None) -> None:
        nonlocal written
        real(tensors, filename, metadata=metadata)
        if written == checkpoints:
            with Path(filename).open("r+b") as file:
                file.truncate(Path(filename).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        written += 1

    safetensors.torch.save_file = save_file
    standing.CHECKPOINT_SECONDS = -1.0
    train(plan_of(), folder)


if __name__ == "__main__":
    die_while_writing(Path(sys.argv[1]), int(sys.argv[2]))
