"""Random changes of training images, a whole batch at once, drawn from a generator that the step decides.

Parameters are drawn apart from being applied (as torchio does), so that any augmented batch can be made again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from semeion.plan.recipes import AugmentationPlan


@dataclass(frozen=True)
class Draw:
    """What one batch is changed by.

    Attributes
    ----------
    affine
        Float32 ``(batch, 2, 3)``, or ``(batch, 3, 4)`` to move volumes: output to input coordinates, in the -1..1 units
        of ``grid_sample``.
    gain, contrast
        Float32 ``(batch,)``: factor of brightness, factor of the distance to the image's mean.
    noise
        Float32 ``(batch,)``: standard deviation of Gaussian noise in units of the image's own.
    noise_seed
        Seed of that noise.
    """

    affine: npt.NDArray[np.float32]
    gain: npt.NDArray[np.float32]
    contrast: npt.NDArray[np.float32]
    noise: npt.NDArray[np.float32]
    noise_seed: int


def draw(plan: AugmentationPlan, batch: int, aspect: float, rng: np.random.Generator) -> Draw:
    """Draw the changes of `batch` images whose height over width is `aspect`."""

    def uniform(limit: float) -> npt.NDArray[np.float64]:
        return rng.uniform(-limit, limit, batch) if limit else np.zeros(batch)

    angle = np.deg2rad(uniform(plan.rotation))
    size = np.exp(uniform(math.log1p(plan.scale)))
    flip_x = np.where(rng.random(batch) < 0.5, -1.0, 1.0) if plan.flip_horizontal else np.ones(batch)
    flip_y = np.where(rng.random(batch) < 0.5, -1.0, 1.0) if plan.flip_vertical else np.ones(batch)
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    # Coordinates run from -1 to 1 on both sides whatever the lengths, so a rotation carries the aspect.
    affine = np.zeros((batch, 2, 3), dtype=np.float32)
    affine[:, 0, 0], affine[:, 0, 1] = cos * flip_x, -sin * aspect * flip_y
    affine[:, 1, 0], affine[:, 1, 1] = sin / aspect * flip_x, cos * flip_y
    affine[:, 0, 2], affine[:, 1, 2] = 2 * uniform(plan.shift), 2 * uniform(plan.shift)
    gain, contrast = 1 + uniform(plan.brightness), 1 + uniform(plan.contrast)
    noise = rng.uniform(0, plan.noise, batch) if plan.noise else np.zeros(batch)
    return Draw(
        affine, gain.astype(np.float32), contrast.astype(np.float32), noise.astype(np.float32), int(rng.integers(2**31))
    )


def draw_volumes(plan: AugmentationPlan, batch: int, size: tuple[int, int, int], rng: np.random.Generator) -> Draw:
    """Draw the changes of `batch` volumes of `size` (slices, rows, columns): as :func:`draw`, and moved between slices.

    Rotations are drawn about each axis, `plan.tilt` about those within the slices, in units of voxels.
    """
    flat = draw(plan, batch, size[1] / size[2], rng)

    def uniform(limit: float) -> npt.NDArray[np.float64]:
        return rng.uniform(-limit, limit, batch) if limit else np.zeros(batch)

    affine = np.tile(np.eye(4, dtype=np.float64)[None], (batch, 1, 1))
    affine[:, :2, :2], affine[:, :2, 3] = flat.affine[:, :, :2], flat.affine[:, :, 2]
    # Axes of grid_sample are x, y, z. Each tilt turns z against y, then z against x, in voxels.
    depth, height, width = size
    for other, length in ((1, height), (0, width)):
        angle, ratio = np.deg2rad(uniform(plan.tilt)), depth / length
        turn = np.tile(np.eye(4, dtype=np.float64)[None], (batch, 1, 1))
        turn[:, 2, 2] = turn[:, other, other] = np.cos(angle)
        turn[:, other, 2], turn[:, 2, other] = -np.sin(angle) * ratio, np.sin(angle) / ratio
        affine = turn @ affine
    thickness = np.exp(uniform(math.log1p(plan.scale))) * np.where(
        rng.random(batch) < 0.5, -1.0 if plan.flip_slices else 1.0, 1.0
    )
    affine[:, :, 2] *= thickness[:, None]
    affine[:, 2, 3] += 2 * uniform(plan.shift)
    return replace(flat, affine=affine[:, :3].astype(np.float32))


def draw_for(plan: AugmentationPlan, shape: Sequence[int], rng: np.random.Generator, *, solid: bool) -> Draw:
    """Draw the changes of a batch of `shape`; `solid`: volumes are turned about every axis, not slice by slice."""
    batch, size = shape[0], shape[2:]
    if len(size) == 3 and solid:
        return draw_volumes(plan, batch, (size[0], size[1], size[2]), rng)
    return draw(plan, batch, size[-2] / size[-1], rng)


def apply(images: Tensor, drawn: Draw) -> Tensor:
    """Return the changed images, float32 ``(batch, planes, (slices,) height, width)`` in units of 0..255.

    A draw for pictures moves every slice of a volume alike.
    """
    theta = torch.from_numpy(drawn.affine).to(images.device)
    moved = images.flatten(1, 2) if images.ndim == 5 and theta.shape[1] == 2 else images
    grid = F.affine_grid(theta, list(moved.shape), align_corners=False)
    moved = F.grid_sample(moved, grid, mode="bilinear", padding_mode="border", align_corners=False)
    images = moved.reshape(images.shape)
    ones, inner = (1,) * (images.ndim - 1), tuple(range(1, images.ndim))
    gain = torch.from_numpy(drawn.gain).to(images.device).view(-1, *ones)
    contrast = torch.from_numpy(drawn.contrast).to(images.device).view(-1, *ones)
    mean = images.mean(inner, keepdim=True)
    images = ((images - mean) * contrast + mean) * gain
    if drawn.noise.any():
        generator = torch.Generator().manual_seed(drawn.noise_seed)
        unit = torch.randn(images.shape, generator=generator).to(images.device)
        amount = torch.from_numpy(drawn.noise).to(images.device).view(-1, *ones)
        images = images + unit * amount * images.std(inner, keepdim=True)
    return images.clamp_(0, 255)
