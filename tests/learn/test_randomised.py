"""Graphs with weights drawn anew: the last layers first, the others as they were."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from semeion.learn.export import to_onnx
from semeion.learn.network import Network, Scales, ShippedNetwork
from semeion.learn.randomised import drawn_anew, layers_of, randomised, randomised_rows
from semeion.model.engine import open_engine
from semeion.plan.recipes import NetworkPlan

# Stem, two residual blocks of two convolutions, one shortcut, and the head.
LAYERS = 7


@pytest.fixture(scope="module")
def graph() -> bytes:
    torch.manual_seed(0)
    network = Network(NetworkPlan(widths=[4, 8]), 1, "binary", 2)
    return to_onnx(ShippedNetwork(network, Scales((100.0,), (50.0,)), [1.0, 2.0], "binary"), (1, 16, 24))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 1, 16, 24)).astype(np.uint8)


def tensors(graph: bytes) -> dict[str, np.ndarray]:
    model = onnx.load_model_from_string(graph)
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


def test_every_layer_with_weights_is_found(graph: bytes) -> None:
    assert layers_of(graph) == LAYERS


def test_the_last_layer_alone_changes_maps_and_not_what_comes_before(graph: bytes, pictures: np.ndarray) -> None:
    before = open_engine(graph, 1).look(pictures, ["features", "maps"])
    after = open_engine(randomised(graph, 1, 3), 1).look(pictures, ["features", "maps"])
    np.testing.assert_array_equal(after["features"], before["features"])
    assert np.abs(after["maps"] - before["maps"]).max() > 1e-4
    assert np.abs(after["logits"] - before["logits"]).max() > 1e-4


def test_a_cascade_keeps_what_it_drew_and_ends_with_every_weight(graph: bytes) -> None:
    before = tensors(graph)
    changed: list[set[str]] = []
    held: dict[str, np.ndarray] = {}
    for last in range(LAYERS + 1):
        now = tensors(randomised(graph, last, 5))
        assert now.keys() == before.keys()
        own = {name for name, value in now.items() if not np.array_equal(value, before[name])}
        for name in own & set(held):
            np.testing.assert_array_equal(now[name], held[name])
        held |= {name: now[name] for name in own}
        changed.append(own)
    assert not changed[0]
    assert all(one < other for one, other in pairwise(changed))
    # What standardises the picture and corrects for class weights was not learned by a layer; zero biases stay zero.
    assert changed[-1] == {name for name, value in before.items() if ("Conv" in name or "head" in name) and value.any()}
    assert tensors(randomised(graph, 99, 5)).keys() == before.keys()


def test_weights_keep_their_size_and_other_seeds_give_others(graph: bytes) -> None:
    before, one, other = tensors(graph), *(tensors(randomised(graph, LAYERS, seed)) for seed in (1, 2))
    wide = [name for name, value in before.items() if value.size > 200]
    assert wide
    for name in wide:
        size = np.sqrt(np.mean(before[name] ** 2))
        assert np.sqrt(np.mean(one[name] ** 2)) == pytest.approx(size, rel=0.2)
        assert abs(np.corrcoef(one[name].ravel(), other[name].ravel())[0, 1]) < 0.3
    assert randomised(graph, LAYERS, 1) == randomised(graph, LAYERS, 1)


def test_nothing_stays_nothing_and_types_stay() -> None:
    rng = np.random.default_rng(0)
    assert not drawn_anew(np.zeros((3, 3), np.float32), rng).any()
    assert drawn_anew(np.ones(4, np.float16), rng).dtype == np.float16


def test_a_product_that_resizes_pictures_is_no_layer() -> None:
    class Resized(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(1, 2, 3)
            self.head = torch.nn.Linear(2, 2)
            self.resizing = torch.nn.Parameter(torch.rand(8, 16))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen: torch.Tensor = self.layer(self.resizing @ image.to(torch.float32))
            logits: torch.Tensor = self.head(seen.mean((2, 3)))
            return logits

    from semeion.learn.export import traced

    made = traced(Resized(), torch.zeros((2, 1, 16, 16), dtype=torch.uint8))
    assert layers_of(made) == 2
    before, after = tensors(made), tensors(randomised(made, 9, 0))
    np.testing.assert_array_equal(after["resizing"], before["resizing"])


def test_a_head_is_drawn_anew_in_its_own_size() -> None:
    rows = np.random.default_rng(0).normal(0, 3, (2, 400)).tolist()
    other = randomised_rows(rows, 1)
    assert np.shape(other) == (2, 400)
    assert np.std(other) == pytest.approx(3, rel=0.1)
    assert abs(np.corrcoef(np.ravel(rows), np.ravel(other))[0, 1]) < 0.15
    assert randomised_rows(rows, 1) == other
