"""Patches of volumes for learning: where they are taken, and how they are read and turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from semeion.learn.batches import epoch_order
from semeion.learn.volume_augment import change, draw
from semeion.plan.segment_schema import ArmPlan, SegmentTrainingPlan

Index = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Volumes(Protocol):
    """What is read of a store of prepared volumes (:class:`semeion.prepare.volume_store.VolumeStore`)."""

    def image(self, row: int) -> npt.NDArray[Any]:
        """Return ``(C, D, H, W)``; only what is indexed is read."""

    def mask(self, row: int) -> npt.NDArray[np.uint8] | None:
        """Return the labels ``(D, H, W)``, 0 background."""

    def foreground(self, row: int) -> npt.NDArray[np.int32]:
        """Return ``(n, 4)``: label, k, j, i of some labelled voxels of every label."""


@dataclass(frozen=True)
class Sampling:
    """What decides the patches of a member.

    Attributes
    ----------
    rows
        Cases that are learned from.
    values
        Labels in the masks, in the order of the classes.
    spacing_kji
        Of the prepared volumes, in mm.
    arm, training
        Patch, batch, share of the foreground, augmentation.
    seed
        Of the member.
    """

    rows: Index
    values: tuple[int, ...]
    spacing_kji: tuple[float, float, float]
    arm: ArmPlan
    training: SegmentTrainingPlan
    seed: int

    @property
    def thick(self) -> bool:
        """Whether slices are so thick that they are never tilted."""
        return self.training.augmentation.tilt == 0


def class_indices(mask: npt.NDArray[Any], values: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Return the classes of mask values: 0 background, n for the n-th of `values`; others are background."""
    table = np.zeros(256, dtype=np.uint8)
    table[list(values)] = np.arange(1, len(values) + 1)
    return np.asarray(table[mask], dtype=np.uint8)


def make_batch(store: Volumes, sampling: Sampling, step: int) -> tuple[Tensor, Tensor]:
    """Return the patches of one step: a pure function of the seed and the step, so that a resumed run needs no state.

    Returns
    -------
    tuple
        Images float32 ``(N, C, ...)`` and classes int64 ``(N, ...)``.
    """
    arm, batch = sampling.arm, sampling.arm.batch
    patch = arm.network.patch
    rng = np.random.default_rng([sampling.seed, 2, step])
    drawn = draw(sampling.training.augmentation, batch, sampling.spacing_kji, patch, rng)
    images, wanted = [], []
    forced = round(sampling.training.foreground * batch + float(rng.random()) - 0.5)
    for number in range(batch):
        row = _row(sampling, step * batch + number)
        mask = store.mask(row)
        if mask is None:
            raise ValueError(f"case {row} has no mask to learn from")
        image = store.image(row)
        centre = _centre(store, row, mask.shape, sampling, number < forced, rng)
        elastic = None if drawn.elastic is None else drawn.elastic[number]
        x, y = read_patch(image, mask, centre, drawn.matrix[number], patch, elastic)
        images.append(x)
        wanted.append(torch.from_numpy(class_indices(y, sampling.values).astype(np.int64)))
    return change(torch.stack(images), drawn, thick=sampling.thick), torch.stack(wanted)


def _row(sampling: Sampling, number: int) -> int:
    epoch, place = divmod(number, len(sampling.rows))
    return int(epoch_order(sampling.rows, sampling.seed, epoch)[place])


def _centre(
    store: Volumes,
    row: int,
    shape: Sequence[int],
    sampling: Sampling,
    forced: bool,
    rng: np.random.Generator,
) -> Floats:
    """Return where a patch is centred, in voxels (k, j, i)."""
    patch = sampling.arm.network.patch
    sides = np.array((1, *patch) if len(patch) == 2 else patch, dtype=np.float64)
    size = np.asarray(shape, dtype=np.float64)
    # Where the volume is smaller than the patch, the patch holds all of it, in the middle give or take a little.
    low, high = (sides - 1) / 2, size - 1 - (sides - 1) / 2
    middle = (size - 1) / 2
    low, high = np.where(size < sides, middle - sides / 16, low), np.where(size < sides, middle + sides / 16, high)
    anywhere = low + rng.random(3) * (high - low)
    jitter = rng.uniform(-0.25, 0.25, 3) * sides
    if forced:
        voxels = store.foreground(row)
        voxels = voxels[np.isin(voxels[:, 0], sampling.values)]
        if len(voxels):
            label = rng.choice(np.unique(voxels[:, 0]))
            candidates = voxels[voxels[:, 0] == label]
            voxel = candidates[rng.integers(len(candidates)), 1:]
            anywhere = np.clip(voxel + jitter, low, high)
            if len(patch) == 2:
                anywhere[0] = voxel[0]
    if len(patch) == 2:
        anywhere[0] = np.clip(np.round(anywhere[0]), 0, size[0] - 1)
    return anywhere


def read_patch(
    image: npt.NDArray[Any],
    mask: npt.NDArray[np.uint8],
    centre: Floats,
    matrix: Floats,
    patch: Sequence[int],
    elastic: npt.NDArray[np.float32] | None = None,
) -> tuple[Tensor, npt.NDArray[np.uint8]]:
    """Read a turned patch: image by linear interpolation, 0 outside; mask by the nearest voxel, background outside.

    Parameters
    ----------
    image, mask
        ``(C, D, H, W)`` and ``(D, H, W)``; only the part that the patch needs is read.
    centre
        In voxels (k, j, i).
    matrix
        ``(3, 3)`` of :class:`semeion.learn.volume_augment.Draw`.
    patch
        ``(D, H, W)``, or ``(H, W)`` for one slice.
    elastic
        Displacements at knots ``(3, ...)``.

    Returns
    -------
    tuple
        float32 ``(C, *patch)`` and uint8 ``patch``.
    """
    flat = len(patch) == 2
    sides = (1, *patch) if flat else tuple(patch)
    axes = [torch.arange(side, dtype=torch.float32) - (side - 1) / 2 for side in sides]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    place = offsets @ torch.from_numpy(matrix.T.astype(np.float32)) + torch.from_numpy(centre.astype(np.float32))
    if elastic is not None:
        moved = F.interpolate(torch.from_numpy(elastic)[None], size=sides, mode="trilinear", align_corners=True)
        place = place + moved[0].permute(1, 2, 3, 0)
    lowest, highest = place.amin((0, 1, 2)).numpy(), place.amax((0, 1, 2)).numpy()
    size = np.array(mask.shape)
    start = np.clip(np.floor(lowest).astype(int) - 1, 0, size - 1)
    stop = np.clip(np.ceil(highest).astype(int) + 2, start + 1, size)
    if flat:
        start[0] = int(np.clip(round(float(centre[0])), 0, size[0] - 1))
        stop[0] = start[0] + 1
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    pixels = torch.from_numpy(np.asarray(image[(slice(None), *box)], dtype=np.float32))
    labels = torch.from_numpy(np.asarray(mask[box], dtype=np.float32))
    # grid_sample wants (i, j, k), from -1 to 1 between the outer faces of the outer voxels.
    extent = torch.tensor((stop - start).astype(np.float32))
    grid = ((2 * (place - torch.tensor(start.astype(np.float32))) + 1) / extent - 1).flip(-1)
    if flat:
        pixels, labels, grid = pixels[:, 0], labels[0], grid[0, ..., :2]
    x = F.grid_sample(pixels[None], grid[None], "bilinear", "zeros", align_corners=False)[0]
    y = F.grid_sample(labels[None, None], grid[None], "nearest", "zeros", align_corners=False)[0, 0]
    return x, y.numpy().astype(np.uint8)
