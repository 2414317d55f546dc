"""The graph of frozen features, refused unless it gives what the network gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from semeion.errors import TrainingFailed
from semeion.learn.export import traced
from semeion.learn.places import MOST
from semeion.learn.pretrained import FrozenFeatures, frozen_of
from semeion.plan.recipes import FrozenRecipe

TOLERANCE = 1e-3
"""Largest difference between features of network and graph, relative to the spread of all of them."""


class TellingFeatures(nn.Module):
    """Frozen features with the maps that they are pooled of, where those are few enough to be given."""

    def __init__(self, network: FrozenFeatures, example: Tensor) -> None:
        super().__init__()
        self.network = network
        with torch.inference_mode():
            maps = network.told(example[:1])[1]
        few = sum(one.numel() for one in maps.values()) <= MOST
        self.shapes = {name: tuple(int(side) for side in one.shape[1:]) for name, one in maps.items()} if few else {}

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the features, and the maps in the order of the names."""
        features, maps = self.network.told(image)
        return (features, *(maps[name] for name in self.shapes))


def features_to_onnx(
    recipe: FrozenRecipe,
    shape: tuple[int, ...],
    groups: int,
    sample: npt.NDArray[np.uint8],
    look: Callable[[bytes, npt.NDArray[np.uint8]], Mapping[str, npt.NDArray[np.float32]]],
) -> tuple[bytes, list[npt.NDArray[np.int64]]]:
    """Return the graph of a recipe and the columns of each layer's features.

    The input is ``image``, uint8 ``(N, planes, (slices,) height, width)``, the first output, ``logits``, the features.
    The maps that they are pooled of are further outputs (:meth:`semeion.learn.pretrained.FrozenFeatures.told`), where
    those of a case have at most :data:`semeion.learn.places.MOST` numbers together.

    Parameters
    ----------
    recipe
        Backbone, side and layers.
    shape, groups
        Of a case, and the frames or views among its planes.
    sample
        Prepared cases on which graph and network are compared.
    look
        Runs a graph as it ships, and gives all of its outputs by their names.

    Raises
    ------
    TrainingFailed
        When the features differ by more than :data:`TOLERANCE`; where the maps do, the graph has none.
    """
    network = frozen_of(recipe, shape, groups)
    example = torch.zeros((2, *shape), dtype=torch.uint8)
    telling = TellingFeatures(network, example)
    graph = traced(telling, example, telling.shapes) if telling.shapes else traced(network, example)
    with torch.inference_mode():
        features, maps = network.told(torch.from_numpy(sample))
    given = look(graph, sample)
    difference = _apart(given["logits"], features)
    if telling.shapes and not np.max([_apart(given[name], maps[name]) for name in telling.shapes]) <= TOLERANCE:
        # A member can do without maps, and those would say what is not so.
        graph = traced(network, example)
        difference = _apart(look(graph, sample)["logits"], features)
    if not difference <= TOLERANCE:
        raise TrainingFailed(
            f"the exported graph of the features differs from the network by {difference:.2g} of their spread",
            where=f"EfficientNet-{recipe.backbone.title()} at {recipe.side} pixels",
            fix="leave the recipe out of the plan",
        )
    return graph, network.columns()


def _apart(given: npt.NDArray[np.float32], wanted: Tensor) -> float:
    """Return the largest difference relative to the spread of all that is wanted."""
    value = wanted.numpy()
    return float(np.abs(given - value).max() / max(float(value.std()), 1e-12))
