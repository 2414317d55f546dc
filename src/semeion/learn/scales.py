"""A member's constants, taken from its learning cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from semeion.learn.network import Scales
from semeion.plan.recipes import AnyNetwork, PretrainedPlan
from semeion.prepare.store import Store

IMAGENET = 127.5
"""Mean and standard deviation with which the pretrained networks saw their images, in units of 0..255."""


def measure_scales(store: Store, rows: npt.NDArray[np.int64], y: npt.NDArray[np.float64], task: str) -> Scales:
    """Take a member's constants from its learning cases (at most 2,000 of them, evenly spaced, for the pixels)."""
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), 2000)).astype(np.int64)]
    total = np.zeros((2, store.shape[0]))
    count = 0
    for pixels in store.batches(chosen, store.at_once(64)):
        values = pixels.astype(np.float64)
        rest = (0, *range(2, values.ndim))
        total += np.stack([values.sum(rest), (values**2).sum(rest)])
        count += values.size // store.shape[0]
    mean = total[0] / count
    std = np.sqrt(np.maximum(total[1] / count - mean**2, 1.0))
    if task != "regression":
        return Scales(tuple(mean.tolist()), tuple(std.tolist()))
    wanted = y[rows]
    return Scales(tuple(mean.tolist()), tuple(std.tolist()), float(wanted.mean()), float(max(wanted.std(), 1e-9)))


def scales_of(
    network: AnyNetwork, store: Store, rows: npt.NDArray[np.int64], y: npt.NDArray[np.float64], task: str
) -> Scales:
    """Return a member's constants; a pretrained network keeps those of the images that it first learned from."""
    scales = measure_scales(store, rows, y, task)
    if not isinstance(network, PretrainedPlan):
        return scales
    fixed = (IMAGENET,) * len(scales.mean)
    return replace(scales, mean=fixed, std=fixed)
