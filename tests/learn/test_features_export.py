"""The graph of frozen features with the maps that they are pooled of."""

from __future__ import annotations

import numpy as np
import pytest

from semeion.errors import TrainingFailed
from semeion.learn.features_export import features_to_onnx
from semeion.model.engine import open_engine
from semeion.plan.recipes import FrozenRecipe
from support.mapped import looked, noise

RECIPE = FrozenRecipe(side=32, layers=["stride4", "head"], slices=3)


def graph_of(shape, groups=1, look=looked, recipe=RECIPE):
    graph, columns = features_to_onnx(recipe, shape, groups, noise(3, *shape), look)
    return graph, open_engine(graph, 1), sum(len(one) for one in columns)


def test_features_are_pooled_of_the_maps_of_a_picture():
    _, engine, width = graph_of((1, 20, 28))
    images = noise(4, 1, 20, 28, seed=9)
    given = engine.look(images, engine.extras)
    assert list(given) == ["logits", "map_stride4", "map_head"]
    pooled = [pool(given[name], axis=(2, 3)) for name in list(given)[1:] for pool in (np.mean, np.max)]
    np.testing.assert_allclose(np.concatenate(pooled, 1), given["logits"], atol=1e-4)
    assert given["logits"].shape == (4, width) == (4, engine.n_outputs)


def test_every_picture_of_a_case_has_its_maps():
    recipe = RECIPE.model_copy(update={"along": ["slices", "columns"], "colours": "each", "apart": ["axes"]})
    _, engine, _ = graph_of((2, 5, 20, 28), recipe=recipe)
    assert engine.extras == ("map_stride4", "map_head", "map_stride4columns", "map_headcolumns")
    case = noise(1, 2, 5, 20, 28)
    given = engine.look(case, engine.extras)
    assert given["map_head"].shape[:3] == given["map_headcolumns"].shape[:3] == (1, 2, 3)
    # Channels first, then places: each as a picture alone.
    alone = graph_of((1, 20, 28))[1]
    for channel in (0, 1):
        for number, place in enumerate((0, 2, 4)):
            own = alone.look(case[:, channel : channel + 1, place], ["map_stride4"])["map_stride4"]
            np.testing.assert_allclose(given["map_stride4"][:, channel, number], own, atol=1e-4)


def test_the_features_keep_every_bit(monkeypatch):
    told, images = graph_of((1, 20, 28))[1], noise(4, 1, 20, 28)
    monkeypatch.setattr("semeion.learn.features_export.MOST", 10)
    bare = graph_of((1, 20, 28))[1]
    assert bare.extras == ()
    assert np.array_equal(told.run(images), bare.run(images))


@pytest.mark.parametrize("factor", [1.1, np.nan])
def test_maps_that_are_not_the_network_s_are_left_out(factor):
    def look(graph, images):
        return {name: one * (factor if name == "map_head" else 1.0) for name, one in looked(graph, images).items()}

    assert graph_of((1, 20, 28), look=look)[1].extras == ()


def test_features_that_are_not_the_network_s_are_refused():
    def look(graph, images):
        return {name: one * (1.1 if name == "logits" else 1.0) for name, one in looked(graph, images).items()}

    with pytest.raises(TrainingFailed, match="the exported graph of the features differs from the network by 1"):
        graph_of((1, 20, 28), look=look)
