"""The classic network: exactly the textbook's layers and training, the images it sees, and its graph."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from learn.tiny import CLASSES, pictures, store_of
from semeion.errors import Interrupted
from semeion.learn.classic import (
    BATCH,
    SIDE,
    Classic,
    ClassicLearned,
    classic_onnx,
    classic_step_seconds,
    resizing,
    train_classic,
)
from semeion.learn.export import TOLERANCE, refuse_disagreement
from semeion.learn.network import outputs_of
from semeion.model.combine import from_logits

SHAPES = [(1, 12, 12), (3, 80, 100), (2, 20, 30), (5, 16, 16), (2, 7, 16, 24), (1, 1, 16, 16)]


def network_of(task: str = "binary", shape: tuple[int, ...] = (1, 12, 12), seed: int = 0) -> Classic:
    torch.manual_seed(seed)
    target = (500.0, 12.0) if task == "regression" else (0.0, 1.0)
    return Classic(shape, task, outputs_of(task, CLASSES[task]), target)


def images(shape: tuple[int, ...], n: int = 9) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def learned(folder: Path, task: str = "binary", **choices: object) -> ClassicLearned:
    pixels, y = pictures(task)
    store = store_of(pixels, folder)
    settings = {"epochs": 2, "seed": 7, "threads": 1, **choices}
    return train_classic(store, y, np.arange(100), task, CLASSES[task], **settings)  # type: ignore[arg-type]


# What it is


def test_its_layers_are_those_of_the_textbook() -> None:
    shapes = {name: tuple(each.shape) for name, each in network_of().named_parameters()}
    assert shapes == {
        "convolution.weight": (32, 3, 3, 3),
        "convolution.bias": (32,),
        "hidden.weight": (128, 31 * 31 * 32),
        "hidden.bias": (128,),
        "output.weight": (1, 128),
        "output.bias": (1,),
    }
    assert sum(math.prod(shape) for shape in shapes.values()) == 3_937_409


@pytest.mark.parametrize(("task", "outputs"), [("multiclass", 3), ("ordinal", 3), ("multilabel", 2), ("regression", 1)])
def test_its_last_layer_suits_the_task(task: str, outputs: int) -> None:
    assert network_of(task).output.out_features == outputs


def test_its_weights_begin_as_those_of_keras() -> None:
    """Glorot's uniform limit is the root of 6 over inputs and outputs, of a convolution times its 3 x 3."""
    network = network_of("multiclass")
    for layer, ends in ((network.convolution, 9 * (3 + 32)), (network.hidden, 30752 + 128), (network.output, 128 + 3)):
        limit = math.sqrt(6 / ends)
        weight = layer.weight.detach()
        assert 0.97 * limit < float(weight.abs().max()) <= limit
        assert float(weight.std()) == pytest.approx(limit / math.sqrt(3), rel=0.1)
        assert not layer.bias.detach().any()


def test_a_sigmoid_of_one_output_is_the_probability_of_the_second_class() -> None:
    network, seen = network_of(), torch.from_numpy(images((1, 12, 12)))
    with torch.no_grad():
        assert torch.allclose(network(seen).softmax(1)[:, 1], torch.sigmoid(network.raw(seen)[:, 0]), atol=1e-7)


def test_pooling_before_the_relu_changes_nothing() -> None:
    network, seen = network_of(), torch.from_numpy(images((1, 12, 12)))
    with torch.no_grad():
        maps = F.max_pool2d(F.relu(network.convolution(network.seen(seen))), 2)
        assert torch.equal(network.output(F.relu(network.hidden(maps.flatten(1)))), network.raw(seen))


# What it sees


@pytest.mark.parametrize(("inputs", "outputs"), [(224, 64), (100, 64), (65, 64), (28, 64), (64, 64), (1, 64)])
def test_it_resizes_as_a_library_does(inputs: int, outputs: int) -> None:
    row = torch.rand((1, 1, 1, inputs), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = F.interpolate(row, size=(1, outputs), mode="bilinear", align_corners=False, antialias=True)
    assert np.allclose(row[0, 0, 0].numpy() @ resizing(inputs, outputs).T, wanted[0, 0, 0].numpy(), atol=1e-12)


@given(st.integers(1, 600), st.integers(1, 100))
@settings(max_examples=60, deadline=None)
def test_resizing_keeps_the_mean_of_what_it_sees_within_its_range(inputs: int, outputs: int) -> None:
    matrix = resizing(inputs, outputs)
    assert matrix.shape == (outputs, inputs)
    assert matrix.min() >= 0
    assert np.allclose(matrix.sum(axis=1), 1)
    assert np.allclose(matrix, matrix[::-1, ::-1])


def test_planes_become_three() -> None:
    def seen(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        pixels = images(shape, 2)
        return pixels / 255, Classic(shape, "binary", 2).seen(torch.from_numpy(pixels)).numpy()

    whole = (SIDE, SIDE)  # nothing is resized, so that planes can be told apart
    pixels, found = seen((1, *whole))
    assert np.allclose(found, np.repeat(pixels, 3, axis=1), atol=1e-6)
    pixels, found = seen((3, *whole))
    assert np.allclose(found, pixels, atol=1e-6)
    pixels, found = seen((2, *whole))
    assert np.allclose(found[:, :2], pixels, atol=1e-6)
    assert np.allclose(found[:, 2], pixels.mean(axis=1), atol=1e-6)
    pixels, found = seen((5, *whole))
    assert np.allclose(found, pixels[:, :3], atol=1e-6)


@pytest.mark.parametrize(("depth", "slices"), [(1, [0, 0, 0]), (2, [0, 1, 1]), (8, [2, 4, 6]), (9, [2, 4, 6])])
def test_of_a_volume_it_sees_three_slices_of_the_first_image(depth: int, slices: list[int]) -> None:
    pixels = images((2, depth, SIDE, SIDE), 2)
    found = Classic(pixels.shape[1:], "binary", 2).seen(torch.from_numpy(pixels)).numpy()
    assert np.allclose(found, pixels[:, 0, slices] / 255, atol=1e-6)


# Its graph


@pytest.mark.parametrize("shape", SHAPES)
def test_graph_and_network_agree_on_every_shape(shape: tuple[int, ...]) -> None:
    agree("binary", shape)


@pytest.mark.parametrize("task", [task for task in CLASSES if task != "binary"])
def test_graph_and_network_agree_on_every_task(task: str) -> None:
    agree(task, (1, 12, 12))


def agree(task: str, shape: tuple[int, ...]) -> None:
    network = network_of(task, shape)
    graph = classic_onnx(network, shape)
    onnx.checker.check_model(onnx.load_from_string(graph))
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])

    def run(seen: np.ndarray) -> np.ndarray:
        return from_logits(session.run(["logits"], {"image": seen})[0], task)  # type: ignore[arg-type]

    assert refuse_disagreement(network, run, images(shape), "classic") <= TOLERANCE
    assert run(images(shape, 1)).shape == (1, outputs_of(task, CLASSES[task]))


# How it learns


@pytest.mark.parametrize("task", list(CLASSES))
def test_it_learns_every_task(task: str, tmp_path: Path) -> None:
    found = learned(tmp_path, task, epochs=3)
    assert found.network is not None
    assert found.facts["steps"] == 3 * math.ceil(100 / BATCH) == 12
    assert found.facts["cases"] == 100
    assert len(found.facts["losses"]) == 3
    assert found.facts["losses"][-1] < 0.9 * found.facts["losses"][0]


def test_the_seed_alone_decides_the_weights(tmp_path: Path) -> None:
    one, same, other = (learned(tmp_path, seed=seed).network for seed in (7, 7, 8))
    assert one is not None and same is not None and other is not None
    pairs = list(zip(one.parameters(), same.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not any(torch.equal(a, c) for a, _, c in pairs)


def test_the_loss_is_the_mean_cross_entropy(tmp_path: Path) -> None:
    pixels, y = pictures("multiclass")
    network = network_of("multiclass")
    with torch.no_grad():
        value = float(network.loss(torch.from_numpy(pixels), torch.from_numpy(y).float()))
        p = network(torch.from_numpy(pixels)).double().softmax(1).numpy()
    assert value == pytest.approx(log_loss(y, p), rel=1e-5)


def test_unknown_labels_do_not_count() -> None:
    pixels, y = pictures("multilabel")
    network, seen = network_of("multilabel"), torch.from_numpy(pixels)
    assert np.isnan(y).any()
    with torch.no_grad():
        value = float(network.loss(seen, torch.from_numpy(y).float()))
        p = torch.sigmoid(network(seen).double()).numpy()
    known = ~np.isnan(y)
    assert value == pytest.approx(log_loss(y[known], p[known]), rel=1e-5)
    nothing = network.loss(seen, torch.full(y.shape, torch.nan)).detach()
    assert float(nothing) == 0


def test_a_measured_value_is_learned_standardised_and_answered_in_its_unit(tmp_path: Path) -> None:
    found = learned(tmp_path, "regression", epochs=4).network
    pixels, y = pictures("regression")
    assert found is not None
    assert np.allclose(found.target.numpy(), [y[:100].mean(), y[:100].std()])
    with torch.no_grad():
        values = found(torch.from_numpy(pixels))[:, 0].numpy()
    assert abs(values[100:].mean() - y[100:].mean()) < y.std()


def test_it_is_given_up_where_the_pace_is_too_slow_or_the_loss_no_number(tmp_path: Path) -> None:
    slow = learned(tmp_path, epochs=10, allowed=0.0)
    assert slow.network is None
    assert slow.reason.startswith("it would have taken about ")
    assert slow.reason.endswith("and 0 s were to spare for it")
    pixels, y = pictures("regression")
    broken = train_classic(
        store_of(pixels, tmp_path), y * np.nan, np.arange(100), "regression", [], epochs=1, seed=0, threads=1
    )
    assert broken.network is None
    assert broken.reason == "its loss was not a finite number at step 0"


def test_it_stops_when_asked(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match=r"stopped by the user.*semeion resume"):
        learned(tmp_path, stop=lambda: True)


def test_a_step_is_timed() -> None:
    assert 0 < classic_step_seconds((1, 12, 12), 1) < 60
