"""Small volumes with two nested balls in memory, and plans of tiny U-Nets that learn them in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from semeion.cohort.volume import Grid
from semeion.learn.segment import Outlined, train_segmenter
from semeion.learn.standing import Hooks
from semeion.plan.segment_schema import (
    ArmPlan,
    ChoicePlan,
    SegmentationPlan,
    SegmentMemberPlan,
    SegmentTargetPlan,
    SegmentTrainingPlan,
    SegmentValidationPlan,
    UNetPlan,
    VolumeAugmentationPlan,
    VolumePreparationPlan,
)
from semeion.plan.splits import Sides

SPACING = (2.0, 1.0, 1.0)
VALUES = (3, 7)


class Balls:
    """A store in memory: `n` cases with an outer ball (3 in the mask) around an inner one (7), brighter inside."""

    def __init__(self, n: int = 10, shape: tuple[int, int, int] = (8, 16, 14), seed: int = 0, channels: int = 1):
        rng = np.random.default_rng(seed)
        self.n = n
        self.images, self.masks = [], []
        for _ in range(n):
            k, j, i = np.mgrid[: shape[0], : shape[1], : shape[2]]
            middle = np.array(shape) / 2 + rng.uniform(-1, 1, 3)
            distance = np.sqrt((2 * (k - middle[0])) ** 2 + (j - middle[1]) ** 2 + (i - middle[2]) ** 2)
            mask = np.where(distance < 3, 7, np.where(distance < 6, 3, 0)).astype(np.uint8)
            image = rng.normal(0, 0.3, (channels, *shape)) + np.select([mask == 7, mask == 3], [2.0, 1.0], -0.5)
            self.images.append(image.astype(np.float16))
            self.masks.append(mask)

    def image(self, row: int) -> np.ndarray:
        return self.images[row]

    def mask(self, row: int) -> np.ndarray | None:
        return self.masks[row]

    def shape(self, row: int) -> tuple[int, ...]:
        return self.images[row].shape

    def grid(self, row: int) -> Grid:
        return Grid(self.images[row].shape[:0:-1], SPACING[::-1])

    def foreground(self, row: int) -> np.ndarray:
        mask = self.masks[row]
        found = [np.c_[np.full((mask == v).sum(), v), np.argwhere(mask == v)] for v in VALUES if (mask == v).any()]
        return np.concatenate(found).astype(np.int32) if found else np.zeros((0, 4), np.int32)


def network_of(dims: int = 3, **changed: Any) -> UNetPlan:
    """Return a tiny U-Net: two levels, the slices left whole."""
    if dims == 3:
        shape: dict[str, Any] = {
            "patch": [8, 16, 16],
            "kernels": [[1, 3, 3], [3, 3, 3]],
            "strides": [[1, 1, 1], [1, 2, 2]],
        }
    else:
        shape = {"patch": [16, 16], "kernels": [[3, 3], [3, 3]], "strides": [[1, 1], [2, 2]]}
    return UNetPlan(**{"dims": dims, "widths": [8, 12], "norm": "instance", "deep_supervision": 0, **shape, **changed})


def plan_of(
    *,
    steps: int = 30,
    dims: int = 3,
    seed: int = 5,
    network: dict[str, Any] | None = None,
    arm: dict[str, Any] | None = None,
    **training: Any,
) -> SegmentationPlan:
    """Return a plan for one member; `training` replaces settings."""
    name = f"{dims}d"
    augmentation = VolumeAugmentationPlan(rotation=10, tilt=0, scale=0.1, flip=[2])
    settings = {"threads": 1, "averaging": 0.9, "evaluations": 3, "augmentation": augmentation, **training}
    chosen = {"batch": 2 if dims == 3 else 8, "learning_rate": 2e-2, "channels_last": False, **(arm or {})}
    return SegmentationPlan(
        schema=1,
        seed=seed,
        target=SegmentTargetPlan(name="mask", classes=["outer", "inner"], values=list(VALUES)),
        preparation=VolumePreparationPlan(),
        arms=[ArmPlan(name=name, network=network_of(dims, **(network or {})), **chosen)],
        training=SegmentTrainingPlan(**settings),
        validation=SegmentValidationPlan(scheme="given"),
        members=[SegmentMemberPlan(name="seed0", seed=seed, steps=steps, arm=name)],
        choice=ChoicePlan(arm=name),
    )


def sides_of(n: int = 10) -> Sides:
    """Return the first cases to learn from and the last three to validate on."""
    rows = np.arange(n, dtype=np.int64)
    return Sides(-1, rows[:-3], rows[-3:], rows[:0])


def train(
    plan: SegmentationPlan, folder: Path, hooks: Hooks | None = None, store: Any = None, **named: Any
) -> Outlined:
    """Train the plan's member on balls."""
    folder.mkdir(parents=True, exist_ok=True)
    store = store or Balls()
    return train_segmenter(plan, plan.members[0], store, SPACING, sides_of(store.n), folder, hooks or Hooks(), **named)


def same(one: Outlined, other: Outlined) -> bool:
    """Tell whether two members have the same weights, bit for bit."""
    pairs = zip(one.shipped.state_dict().values(), other.shipped.state_dict().values(), strict=True)
    return all(bool((a == b).all()) for a, b in pairs)
