"""The graph of frozen features, refused unless it gives what the network gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from semeion.errors import TrainingFailed
from semeion.learn.export import traced
from semeion.learn.pretrained import frozen_of
from semeion.plan.recipes import FrozenRecipe

TOLERANCE = 1e-3
"""Largest difference between features of network and graph, relative to the spread of all of them."""


def features_to_onnx(
    recipe: FrozenRecipe,
    shape: tuple[int, ...],
    groups: int,
    sample: npt.NDArray[np.uint8],
    run: Callable[[bytes, npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
) -> tuple[bytes, list[npt.NDArray[np.int64]]]:
    """Return the graph of a recipe and the columns of each layer's features.

    The input is ``image``, uint8 ``(N, planes, (slices,) height, width)``, the output the features.

    Parameters
    ----------
    recipe
        Backbone, side and layers.
    shape, groups
        Of a case, and the frames or views among its planes.
    sample
        Prepared cases on which graph and network are compared.
    run
        Runs a graph as it ships.

    Raises
    ------
    TrainingFailed
        When they differ by more than :data:`TOLERANCE`.
    """
    network = frozen_of(recipe, shape, groups)
    graph = traced(network, torch.zeros((2, *shape), dtype=torch.uint8))
    with torch.inference_mode():
        wanted = network(torch.from_numpy(sample)).numpy()
    got = run(graph, sample)
    difference = float(np.abs(got - wanted).max() / max(float(wanted.std()), 1e-12))
    if not difference <= TOLERANCE:
        raise TrainingFailed(
            f"the exported graph of the features differs from the network by {difference:.2g} of their spread",
            where=f"EfficientNet-{recipe.backbone.title()} at {recipe.side} pixels",
            fix="leave the recipe out of the plan",
        )
    return graph, network.columns()
