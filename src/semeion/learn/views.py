"""Maps of the stages that a pretrained network keeps, computed once of several views of every picture.

Where the first stages of a network keep their weights, what they give of a picture is always the same, and most of a
training step is spent on it. Their maps are computed of the picture as it is and of a few views of it, changed at
random as in learning; the stages that learn see these in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from semeion.errors import InputError, Interrupted
from semeion.learn import augment
from semeion.learn.ahead import Ahead
from semeion.learn.batches import epoch_order
from semeion.learn.network import ShippedNetwork
from semeion.learn.objective import to_values
from semeion.plan.networks import VIEWS_BYTES
from semeion.plan.recipes import PretrainedPlan, TrainingPlan
from semeion.prepare.store import Store

TOGETHER = 32
_DRAW = 5
"""Tells this use of a member's seed from the others."""

Rows = npt.NDArray[np.int64]
Halves = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Views:
    """What the stages that learn see.

    Attributes
    ----------
    learn, validate
        Rows of the store, in cohort order.
    changed
        Of the views of the rows to learn from, float16 ``(views, rows, groups x width, rows, columns)``.
    plain
        Of the pictures to validate on as they are, float16 ``(rows, groups x width, rows, columns)``.
    """

    learn: Rows
    validate: Rows
    changed: Halves
    plain: Halves

    def batches_ahead(
        self, y: npt.NDArray[np.float64], batch: int, seed: int, first: int, depth: int = 4
    ) -> Ahead[tuple[Halves, npt.NDArray[np.float64]]]:
        """Return batches of maps and of what `y`, in cohort order, says of their cases, from step `first` on.

        Cases come as :func:`semeion.learn.batches.batches_ahead` has them. Every case begins with a view of its own and
        passes through all of them.
        """
        per_epoch = max(1, len(self.learn) // batch)
        begins = np.random.default_rng([seed, _DRAW]).integers(0, len(self.changed), len(self.learn))

        def read(step: int) -> tuple[Halves, npt.NDArray[np.float64]]:
            epoch, place = divmod(step, per_epoch)
            order = epoch_order(np.arange(len(self.learn), dtype=np.int64), seed, epoch)
            chosen = order[place * batch : (place + 1) * batch]
            return self.changed[(begins[chosen] + epoch) % len(self.changed), chosen], y[self.learn[chosen]]

        return Ahead(read, first, depth)

    def said(self, shipped: ShippedNetwork, device: torch.device) -> npt.NDArray[np.float64]:
        """Return what a network says of the rows to validate on, as it ships, ``(rows, outputs)``."""
        shipped.eval()
        found = []
        with torch.inference_mode():
            for first in range(0, len(self.plain), TOGETHER):
                maps = torch.from_numpy(self.plain[first : first + TOGETHER]).to(device).float()
                found.append(to_values(shipped.answer(shipped.network.ended(maps)), shipped.task))
        return np.concatenate(found)


def views_of(
    network: Any,
    plan: PretrainedPlan,
    settings: TrainingPlan,
    store: Store,
    learn: Rows,
    validate: Rows,
    standardised: Callable[[Tensor], Tensor],
    seed: int,
    stop: Callable[[], bool] = lambda: False,
) -> Views:
    """Compute the maps of views of the rows to learn from, and of the rows to validate on as they are.

    Parameters
    ----------
    network
        A :class:`semeion.learn.network3d.PartsNetwork` whose body keeps stages.
    plan, settings
        How many views, how they are changed, in which precision their maps are computed; those to validate on are
        computed in float32, as by the graph that ships.
    store
        Prepared pictures in cohort order.
    standardised
        What the network sees of float pictures in units of 0..255.
    seed
        Of the changes.
    stop
        Whether the user asked to stop.

    Raises
    ------
    InputError
        When the maps would take more than :data:`semeion.plan.networks.VIEWS_BYTES`.
    Interrupted
        When the user asked to stop.
    """
    device = next(network.parameters()).device
    network.eval()
    with torch.no_grad():
        shape = tuple(network.begun(torch.zeros((1, *store.shape), device=device)).shape[1:])
    if (size := 2 * math.prod(shape) * (plan.views * len(learn) + len(validate))) > VIEWS_BYTES:
        raise InputError(
            f"the maps of {plan.views} views of {len(learn)} cases would take {size / 2**30:.1f} GiB of memory, and at "
            f"most {VIEWS_BYTES / 2**30:.0f} are taken",
            where="network.views",
            fix="ask for fewer views, or keep no stages: `kept: 0`",
        )
    changed = np.empty((plan.views, len(learn), *shape), np.float16)
    plain = np.empty((len(validate), *shape), np.float16)
    bfloat16 = settings.precision == "bfloat16"
    with torch.no_grad():
        for first, pixels in _parts(store, validate, stop):
            maps = network.begun(standardised(torch.from_numpy(pixels).to(device).float()))
            plain[first : first + len(pixels)] = maps.cpu().half().numpy()
        for view in range(plan.views):
            for first, pixels in _parts(store, learn, stop):
                rng = np.random.default_rng([seed, _DRAW, view, first])
                images = torch.from_numpy(pixels).to(device).float()
                images = augment.apply(images, augment.draw_for(settings.augmentation, images.shape, rng, solid=False))
                with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                    maps = network.begun(standardised(images))
                changed[view, first : first + len(pixels)] = maps.float().cpu().half().numpy()
    return Views(learn, validate, changed, plain)


def _parts(store: Store, rows: Rows, stop: Callable[[], bool]) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    first = 0
    for pixels in store.batches(rows, store.at_once(TOGETHER)):
        if stop():
            raise Interrupted("stopped by the user", fix="continue with `semeion resume`")
        yield first, np.ascontiguousarray(pixels)
        first += len(pixels)
