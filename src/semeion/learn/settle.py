"""Batch statistics of the weights that ship, taken from the images that they will see."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from semeion.plan.rules import SETTLED
from semeion.prepare.store import Store

BATCH = 64
_DRAW = 4
"""Tells this use of a member's seed from the others."""


def settle(network: nn.Module, batches: Iterator[Tensor]) -> None:
    """Take the mean and variance of every batch normalisation anew, in place, and leave the network in use.

    Parameters
    ----------
    network
        As it ships: it sees uint8 images.
    batches
        Images that it learned from, as they were prepared and not augmented, classes mixed in every batch.

    Notes
    -----
    The statistics that training gathers belong to other weights (those of the steps so far, not their average) and to
    augmented images, which are spread out more than real ones. With them a network trained for a short time says too
    high or too low a probability to everyone. Averaged weights need their own: Izmailov et al., UAI 2018, section 3.2.
    """
    network.eval()
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    if not layers:
        return
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # The plain mean over batches.
        layer.train()
    with torch.no_grad():
        for images in batches:
            network(images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.eval()


def settling_batches(store: Store, rows: npt.NDArray[np.int64], seed: int, device: torch.device) -> Iterator[Tensor]:
    """Yield the images that :func:`settle` looks at: at most `SETTLED` of `rows`, drawn by the seed, in even batches.

    They are drawn, since a table is often sorted by class, and a batch of one class has statistics of its own.
    """
    drawn = np.random.default_rng([seed, _DRAW]).permutation(rows)[:SETTLED]
    together = max(2, store.at_once(BATCH))
    # A single image may have one number a channel, and so no variance.
    batches = max(1, min(round(len(drawn) / together), len(drawn) // 2))
    for chosen in np.array_split(drawn, batches):
        yield torch.from_numpy(store.take(chosen)).to(device)


def average(into: torch.nn.Module, current: torch.nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights and batch statistics towards the current ones; early steps weigh more."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for kept, new in zip(into.state_dict().values(), current.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)
