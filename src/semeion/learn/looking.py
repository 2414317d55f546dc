"""Features of frozen networks for what ships nothing: straight from the network, without a graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from semeion.learn.pretrained import frozen_of
from semeion.plan.recipes import FrozenRecipe
from semeion.prepare.store import Store

TOGETHER = 32
"""Pictures that go through the network at a time, or those of one case."""


def look(
    recipe: FrozenRecipe, store: Store, groups: int, seen: Callable[[int], None] = lambda _cases: None
) -> npt.NDArray[np.float32]:
    """Return the features of every case of a store, float32 ``(cases, features)``.

    Parameters
    ----------
    recipe
        Backbone, side and layers.
    store, groups
        Prepared images, and the frames or views among the planes of a case.
    seen
        Told how many cases were just looked at.

    Raises
    ------
    InputError
        When the backbone is not installed.
    """
    network = frozen_of(recipe, store.shape, groups)
    found = np.empty((store.n, network.width), dtype=np.float32)
    done, together = 0, store.at_once(max(1, TOGETHER // network.parts))
    with torch.inference_mode():
        for pixels in store.batches(np.arange(store.n, dtype=np.int64), together):
            found[done : done + len(pixels)] = network(torch.from_numpy(np.ascontiguousarray(pixels))).numpy()
            done += len(pixels)
            seen(len(pixels))
    return found
