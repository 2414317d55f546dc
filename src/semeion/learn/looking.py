"""Features of frozen networks for what ships nothing: straight from the network, without a graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from semeion.learn.pretrained import FrozenFeatures
from semeion.plan.recipes import FrozenRecipe
from semeion.prepare.store import Store

TOGETHER = 32
"""Cases that go through the network at a time."""


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
    network = FrozenFeatures(recipe.backbone, store.shape, groups=groups, side=recipe.side, layers=tuple(recipe.layers))
    found = np.empty((store.n, network.width), dtype=np.float32)
    done = 0
    with torch.inference_mode():
        for pixels in store.batches(np.arange(store.n, dtype=np.int64), store.at_once(TOGETHER)):
            found[done : done + len(pixels)] = network(torch.from_numpy(np.ascontiguousarray(pixels))).numpy()
            done += len(pixels)
            seen(len(pixels))
    return found
