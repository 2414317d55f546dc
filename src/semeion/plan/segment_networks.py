"""U-Nets that suit the geometry of the training volumes, widest first: pure arithmetic on sizes and spacings.

The rules follow Isensee et al., Nature Methods 18:203, 2021, with patches small enough for a processor: an axis is
halved while its spacing is below twice the finest and enough voxels are left, and a kernel does not reach across an
axis that is more than twice as coarse as the finest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from semeion.plan.networks import volume_axes
from semeion.plan.segment_schema import ArmPlan, UNetPlan

VOXELS_3D = 110_000
"""Voxels of a patch, at most."""
PIXELS_2D = 36_864
"""Pixels of a patch of one slice, at most: 192 x 192."""
STEP_3D = 360_000
"""Voxels of all patches of a step, about: four of 40 x 56 x 40."""
STEP_2D = 442_368
"""Pixels of all patches of a step, about: twelve of 192 x 192."""
WIDTHS = (32, 24, 16, 8)
"""Channels of the first level, tried in this order; every further level has twice as many, up to the cap."""
WIDEST_2D, WIDEST_3D = 12, 16
"""Widest level, in multiples of the first."""
RATES = {"3d": 5e-3, "2d": 3e-3}
"""Peak learning rates."""
SMALLEST_MAP = 4
"""Voxels along an axis below which it is not halved again."""
MOST_LEVELS_2D, MOST_LEVELS_3D = 6, 5
COARSE = 2.0
"""Spacing relative to the finest above which an axis counts as coarse: not halved, and no kernel reaches across."""


def levels(size: Sequence[float], spacing: Sequence[float], most: int) -> tuple[list[list[int]], list[list[int]]]:
    """Return kernels and strides of every level for a patch of about `size` voxels at `spacing` mm.

    Parameters
    ----------
    size, spacing
        Along the axes of the array.
    most
        Levels, at most.
    """
    left, at = [float(side) for side in size], [float(step) for step in spacing]
    kernels: list[list[int]] = []
    strides = [[1] * len(left)]
    while True:
        finest = min(at)
        kernels.append([1 if step > COARSE * finest else 3 for step in at])
        halved = [
            2 if side / 2 >= SMALLEST_MAP and step <= COARSE * finest else 1
            for side, step in zip(left, at, strict=True)
        ]
        if len(kernels) == most or max(halved) == 1:
            break
        strides.append(halved)
        left = [side / stride for side, stride in zip(left, halved, strict=True)]
        at = [step * stride for step, stride in zip(at, halved, strict=True)]
    return kernels, strides


def fit_patch(size: Sequence[float], spacing: Sequence[float], most: int, voxels: int) -> UNetPlan | None:
    """Return a U-Net (of the smallest width) whose patch holds the median volume, or as much of it as is affordable.

    None where the volume is too small to be halved at all.

    Parameters
    ----------
    size
        Median voxels along the axes of the array, at the planned spacing.
    spacing
        Planned spacing along them, mm.
    most
        Levels, at most.
    voxels
        Of the patch, at most (up to rounding of the smallest patch).
    """
    wanted = [max(float(side), 2.0) for side in size]
    while True:
        kernels, strides = levels(wanted, spacing, most)
        if len(strides) < 2:
            return None
        totals = [math.prod(stride[axis] for stride in strides) for axis in range(len(wanted))]
        patch = [max(2, math.ceil(side / total - 1e-9)) * total for side, total in zip(wanted, totals, strict=True)]
        if math.prod(patch) <= voxels:
            break
        # The longest in mm gives way first, so that what is seen becomes a cube of anatomy and not a bar.
        longest = max(range(len(patch)), key=lambda axis: (patch[axis] > 2 * totals[axis], patch[axis] * spacing[axis]))
        if patch[longest] <= 2 * totals[longest]:
            break
        wanted[longest] = float(patch[longest] - totals[longest])
    return UNetPlan(
        dims=3 if len(patch) == 3 else 2,
        patch=patch,
        widths=[8] * len(strides),
        kernels=kernels,
        strides=strides,
        norm="batch",
        deep_supervision=max(0, min(2, len(strides) - 2)),
    )


def unets(size_kji: Sequence[float], spacing_kji: Sequence[float]) -> list[ArmPlan]:
    """Return networks worth measuring: in three dimensions and slice by slice, each in several widths, widest first.

    Parameters
    ----------
    size_kji
        Median slices, rows and columns of the training volumes at the planned spacing.
    spacing_kji
        That spacing, mm.
    """
    found: list[ArmPlan] = []
    for name, size, spacing, most, voxels, step, widest in (
        ("3d", size_kji, spacing_kji, MOST_LEVELS_3D, VOXELS_3D, STEP_3D, WIDEST_3D),
        ("2d", size_kji[1:], spacing_kji[1:], MOST_LEVELS_2D, PIXELS_2D, STEP_2D, WIDEST_2D),
    ):
        shape = fit_patch(size, spacing, most, voxels)
        if shape is None:
            continue
        batch = max(2, min(64, round(step / math.prod(shape.patch))))
        for width in WIDTHS:
            widths = [min(width * 2**level, width * widest) for level in range(len(shape.strides))]
            network = shape.model_copy(update={"widths": widths})
            found.append(ArmPlan(name=name, network=network, batch=batch, learning_rate=RATES[name]))
    return found


def segment_candidates(facts: dict[str, Any]) -> list[ArmPlan]:
    """Return the networks worth measuring for a fingerprint (:func:`semeion.plan.fingerprint.fingerprint`)."""
    volume = facts["training"]["volume"][volume_axes(facts["training"]["volume"])]
    planned = planned_spacing(facts)
    size = [volume["extent_mm"][axis]["median"] / mm for axis, mm in zip("ijk", planned, strict=True)]
    return unets(size[::-1], planned[::-1])


def target_spacing(facts: dict[str, Any]) -> tuple[float | None, float | None, float | None]:
    """Return the spacing along i, j and k: the median; None along thick slices, which keep their own."""
    volume = facts["training"]["volume"]
    axes = volume[volume_axes(volume)]["spacing"]
    median = [float(axes[axis]["median"]) for axis in "ijk"]
    return (median[0], median[1], None) if volume["anisotropic"] else (median[0], median[1], median[2])


def planned_spacing(facts: dict[str, Any]) -> tuple[float, float, float]:
    """Return :func:`target_spacing` with the median along an axis that keeps its own."""
    volume = facts["training"]["volume"]
    axes = volume[volume_axes(volume)]["spacing"]
    i, j, k = (
        float(axes[axis]["median"]) if wanted is None else wanted
        for axis, wanted in zip("ijk", target_spacing(facts), strict=True)
    )
    return i, j, k
