"""How a network outlines whole volumes while it learns: window beside window, quick enough to look often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from semeion.learn.patches import Volumes, class_indices
from semeion.learn.segment_objective import label_dice, mean_dice
from semeion.plan.segment_schema import ArmPlan


def tiles(size: int, side: int) -> list[int]:
    """Return where windows of `side` begin that cover `size` with the least overlap; negative when it is smaller."""
    if size <= side:
        return [-((side - size) // 2)]
    return [round(float(at)) for at in np.linspace(0, size - side, math.ceil(size / side))]


def outline(
    shipped: torch.nn.Module,
    image: npt.NDArray[Any],
    arm: ArmPlan,
    device: torch.device,
) -> npt.NDArray[np.uint8]:
    """Return the classes of a prepared volume ``(D, H, W)``, window beside window, without overlap or mirroring.

    Quick enough to validate often; what ships is predicted with overlapping windows.
    """
    patch = arm.network.patch
    flat = len(patch) == 2
    sides = (1, *patch) if flat else tuple(patch)
    size = image.shape[1:]
    out = np.zeros(size, dtype=np.uint8)
    places = [
        (k, j, i) for k in tiles(size[0], sides[0]) for j in tiles(size[1], sides[1]) for i in tiles(size[2], sides[2])
    ]
    for first in range(0, len(places), arm.batch):
        group = places[first : first + arm.batch]
        windows = np.zeros((len(group), image.shape[0], *sides), dtype=np.float32)
        cuts = []
        for window, place in zip(windows, group, strict=True):
            inside = tuple(slice(max(at, 0), min(at + side, n)) for at, side, n in zip(place, sides, size, strict=True))
            own = tuple(slice(part.start - at, part.stop - at) for part, at in zip(inside, place, strict=True))
            window[(slice(None), *own)] = image[(slice(None), *inside)]
            cuts.append((inside, own))
        given = torch.from_numpy(windows[:, :, 0] if flat else windows).to(device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=arm.precision == "bfloat16"):
            classes = shipped(laid_out(given, arm)).argmax(1).to(torch.uint8).cpu().numpy()
        for one, (inside, own) in zip(classes[:, None] if flat else classes, cuts, strict=True):
            out[inside] = one[own]
    return out


def laid_out(images: Tensor, arm: ArmPlan) -> Tensor:
    """Return images in the layout in memory that the arm asks for."""
    if not arm.channels_last:
        return images
    layout = torch.channels_last if len(arm.network.patch) == 2 else torch.channels_last_3d
    return images.contiguous(memory_format=layout)


def validation_dice(
    shipped: torch.nn.Module,
    store: Volumes,
    rows: Sequence[int] | npt.NDArray[np.int64],
    values: tuple[int, ...],
    arm: ArmPlan,
    device: torch.device,
) -> float:
    """Return the mean Dice of `rows` as :func:`outline` finds them."""
    return mean_dice(dice_of_cases(shipped, store, rows, values, arm, device))


def dice_of_cases(
    shipped: torch.nn.Module,
    store: Volumes,
    rows: Sequence[int] | npt.NDArray[np.int64],
    values: tuple[int, ...],
    arm: ArmPlan,
    device: torch.device,
) -> npt.NDArray[np.float64]:
    """Return the Dice ``(cases, labels)`` of `rows` as :func:`outline` finds them; NaN where both lack the label."""
    shipped.eval()
    figures = []
    for row in rows:
        mask = store.mask(int(row))
        if mask is None:
            raise ValueError(f"case {row} has no mask to validate on")
        found = outline(shipped, np.asarray(store.image(int(row)), dtype=np.float32), arm, device)
        figures.append(label_dice(found, class_indices(mask, values), len(values)))
    return np.array(figures)
