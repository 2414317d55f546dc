"""Random changes of patches of volumes, drawn from a generator that the step decides.

Parameters are drawn apart from being applied (as torchio does), so that any augmented batch can be made again. The
changes of place are one affine map a patch, applied while the patch is read (:mod:`semeion.learn.patches`), so that
nothing is interpolated twice and no corner is empty; the changes of intensity are applied here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from semeion.plan.segment_schema import VolumeAugmentationPlan

KNOT = 12
"""Voxels between the knots of elastic displacements."""


@dataclass(frozen=True)
class Draw:
    """What one batch is changed by.

    Attributes
    ----------
    matrix
        float64 ``(N, 3, 3)``: offsets from the centre of the patch in voxels (k, j, i) to those in the volume.
    elastic
        float32 ``(N, 3, knots_k, knots_j, knots_i)``: displacements in voxels along (k, j, i), or None.
    brightness, contrast, gamma, noise, resolution
        float32 ``(N,)``: shift; factor of the distance to the mean; exponent on the patch's own range; standard
        deviation of Gaussian noise; share of the resolution that is kept. 0, 1, 1, 0 and 1 change nothing.
    noise_seed
        Seed of that noise.
    """

    matrix: npt.NDArray[np.float64]
    elastic: npt.NDArray[np.float32] | None
    brightness: npt.NDArray[np.float32]
    contrast: npt.NDArray[np.float32]
    gamma: npt.NDArray[np.float32]
    noise: npt.NDArray[np.float32]
    resolution: npt.NDArray[np.float32]
    noise_seed: int


def draw(
    plan: VolumeAugmentationPlan,
    batch: int,
    spacing_kji: Sequence[float],
    patch: Sequence[int],
    rng: np.random.Generator,
) -> Draw:
    """Draw the changes of `batch` patches.

    Parameters
    ----------
    plan
        Sizes of the changes.
    batch
        Patches.
    spacing_kji
        Millimetres between slices, rows and columns: rotations are of the anatomy, not of the array.
    patch
        Sides (D, H, W), or (H, W) for a network of slices, which is never tilted.
    rng
        Decides all.
    """
    flat = len(patch) == 2
    tilt = 0.0 if flat else plan.tilt

    def uniform(limit: float) -> npt.NDArray[np.float64]:
        return rng.uniform(-limit, limit, batch)

    # About the axes k, j and i in turn.
    angles = np.deg2rad(np.stack([uniform(plan.rotation), uniform(tilt), uniform(tilt)], 1))
    matrix = np.tile(np.eye(3), (batch, 1, 1))
    for about, (first, second) in enumerate(((1, 2), (0, 2), (0, 1))):
        turn = np.tile(np.eye(3), (batch, 1, 1))
        cos, sin = np.cos(angles[:, about]), np.sin(angles[:, about])
        turn[:, first, first], turn[:, second, second] = cos, cos
        turn[:, first, second], turn[:, second, first] = -sin, sin
        matrix = matrix @ turn
    size = np.exp(uniform(np.log1p(plan.scale)))[:, None].repeat(3, 1)
    for axis in range(3):
        size[:, axis] *= np.exp(uniform(np.log1p(plan.stretch)))
    if tilt == 0:
        size[:, 0] = 1
    for axis in range(3):
        mirrored = np.where(rng.random(batch) < 0.5, -1.0, 1.0)
        if axis in plan.flip and not (flat and axis == 0):
            size[:, axis] *= mirrored
    spacing = np.asarray(spacing_kji, dtype=np.float64)
    matrix = matrix * spacing[None, None, :] / spacing[None, :, None] / size[:, None, :]
    elastic = None
    if plan.elastic:
        sides = (1, *patch) if flat else tuple(patch)
        knots = [max(2, round(side / KNOT) + 1) if side > 1 else 1 for side in sides]
        elastic = (rng.normal(0, 1, (batch, 3, *knots)) * rng.uniform(0, plan.elastic, (batch, 1, 1, 1, 1))).astype(
            np.float32
        )
        elastic *= (rng.random((batch, 1, 1, 1, 1)) < plan.share).astype(np.float32)
        if tilt == 0:
            elastic[:, 0] = 0

    def sometimes(values: npt.NDArray[np.float64], else_: float) -> npt.NDArray[np.float32]:
        return np.where(rng.random(batch) < plan.share, values, else_).astype(np.float32)

    return Draw(
        matrix,
        elastic,
        sometimes(uniform(plan.brightness), 0.0),
        sometimes(1 + uniform(plan.contrast), 1.0),
        sometimes(np.exp(uniform(np.log1p(plan.gamma))), 1.0),
        sometimes(rng.uniform(0, max(plan.noise, 1e-12), batch), 0.0),
        sometimes(rng.uniform(1 - plan.coarse, 1, batch), 1.0),
        int(rng.integers(2**31)),
    )


def change(images: Tensor, drawn: Draw, *, thick: bool) -> Tensor:
    """Apply the changes of intensity, float32 ``(N, C, ...)`` about 0.

    Parameters
    ----------
    images
        Patches.
    drawn
        One entry a patch.
    thick
        Whether slices are thick, so that only their own plane is coarsened.
    """
    images = torch.cat(
        [_coarsen(image[None], float(kept), thick) for image, kept in zip(images, drawn.resolution, strict=True)]
    )
    shape = (-1, *(1,) * (images.ndim - 1))
    axes = tuple(range(1, images.ndim))
    if (drawn.gamma != 1).any():
        low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
        span = (high - low).clamp_min(1e-6)
        images = ((images - low) / span) ** torch.from_numpy(drawn.gamma).view(shape) * span + low
    mean = images.mean(axes, keepdim=True)
    images = (images - mean) * torch.from_numpy(drawn.contrast).view(shape) + mean
    images = images + torch.from_numpy(drawn.brightness).view(shape)
    if drawn.noise.any():
        generator = torch.Generator().manual_seed(drawn.noise_seed)
        unit = torch.randn(images.shape, generator=generator)
        images = images + unit * torch.from_numpy(drawn.noise).view(shape)
    return images


def _coarsen(image: Tensor, kept: float, thick: bool) -> Tensor:
    """Return one patch ``(1, C, ...)`` at a share of its resolution, brought back to its size."""
    if kept >= 1:
        return image
    sides = image.shape[2:]
    small = [
        side if thick and len(sides) == 3 and axis == 0 else max(2, round(side * kept))
        for axis, side in enumerate(sides)
    ]
    mode = "bilinear" if len(sides) == 2 else "trilinear"
    return F.interpolate(F.interpolate(image, size=small, mode="nearest-exact"), size=sides, mode=mode)
