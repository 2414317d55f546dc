"""Tiny models made by hand: the mean of each channel goes through one linear layer, so numpy knows every answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from semeion.model.package import write_model

CLASSES = {
    "binary": ["normal or benign", "malignant"],
    "multiclass": ["a", "b", "c"],
    "ordinal": ["grade 1", "grade 2", "grade 3"],
    "multilabel": ["effusion", "nodule"],
    "regression": [],
}


def linear_graph(weights: np.ndarray, bias: np.ndarray, size: tuple[int, int] = (8, 8), **change: Any) -> bytes:
    """Return ONNX bytes: uint8 (N, C, H, W) -> cast -> mean over the pixels -> / 255 -> linear."""
    channels, outputs = weights.shape
    kind = change.get("kind", TensorProto.UINT8)
    image = helper.make_tensor_value_info(
        change.get("input", "image"), kind, change.get("shape", ["N", channels, *size])
    )
    logits = helper.make_tensor_value_info(change.get("output", "logits"), TensorProto.FLOAT, ["N", outputs])
    nodes = [
        helper.make_node("Cast", [image.name], ["x"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "w", "b"], [logits.name]),
    ]
    constants = [
        numpy_helper.from_array((weights / 255).astype(np.float32), "w"),
        numpy_helper.from_array(np.asarray(bias, np.float32), "b"),
    ]
    graph = helper.make_graph(nodes, "tiny", [image], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def member_weights(task: str, member: int, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and bias that prefer later classes for brighter images, a little different for each member."""
    outputs = max(len(CLASSES[task]), 1)
    random = np.random.default_rng(member + 1)
    centres = np.linspace(0, 1, outputs) if outputs > 1 else np.ones(1)
    weights = np.repeat(20 * centres[None], channels, axis=0) / channels
    return weights + random.normal(0, 0.5, weights.shape), -10 * centres**2 + random.normal(0, 0.2, outputs)


def manifest_parts(task: str = "binary", size: tuple[int, int] = (8, 8), channels: int = 1) -> dict[str, Any]:
    classes = CLASSES[task]
    parts: dict[str, Any] = {
        "task": task,
        "target": "finding",
        "classes": classes,
        "inputs": {"photometry": "grey" if channels == 1 else "colour"},
        "preparation": {"channels": channels, "size": size, "fit": "stretch"},
    }
    if task == "binary":
        parts |= {"positive": "malignant", "operating_point": {"rule": "youden", "value": 0.4}}
        parts["calibration"] = {"value": 1.5}
    elif task == "multilabel":
        parts["operating_point"] = {"rule": "youden", "by_target": {"effusion": 0.3, "nodule": 0.6}}
        parts["calibration"] = {"by_target": {"effusion": 2.0, "nodule": 0.5}}
    elif task != "regression":
        parts |= {"operating_point": {"rule": "argmax"}, "calibration": {"value": 0.8}}
    else:
        parts["unit"] = "years"
    return parts


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a tiny model folder and return its path."""

    def make(
        task: str = "binary",
        members: int = 2,
        size: tuple[int, int] = (8, 8),
        channels: int = 1,
        name: str = "model",
        **changes: Any,
    ) -> Path:
        graphs = {f"m{k}": linear_graph(*member_weights(task, k, channels), size) for k in range(members)}
        folder = tmp_path / name
        write_model(folder, manifest_parts(task, size, channels) | changes, graphs, "# card\n")
        return folder

    return make


@pytest.fixture
def tiny_graph() -> Callable[..., bytes]:
    """Make the graph of one binary member; keyword arguments break its signature."""

    def make(task: str = "binary", size: tuple[int, int] = (8, 8), channels: int = 1, **change: Any) -> bytes:
        return linear_graph(*member_weights(task, 0, channels), size, **change)

    return make


@pytest.fixture
def parts() -> Callable[..., dict[str, Any]]:
    return manifest_parts


@pytest.fixture
def reference() -> Callable[[str, np.ndarray, int], np.ndarray]:
    """Compute the members' logits (M, N, K) in numpy from images uint8 (N, C, H, W)."""

    def logits(task: str, images: np.ndarray, members: int = 2) -> np.ndarray:
        means = images.mean(axis=(2, 3)) / 255
        layers = [member_weights(task, k, images.shape[1]) for k in range(members)]
        return np.stack([means @ weights + bias for weights, bias in layers])

    return logits


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., list[str]]:
    """Write n grey pictures of 8 x 8 noise, from dark to bright, and return their paths."""

    def write(n: int = 5, folder: str = "pictures", colour: bool = False) -> list[str]:
        random = np.random.default_rng(7)
        (tmp_path / folder).mkdir(exist_ok=True)
        paths = []
        for k in range(n):
            shape = (8, 8, 3) if colour else (8, 8)
            pixels = random.integers(0, 40, shape) + round(200 * k / max(n - 1, 1))
            path = tmp_path / folder / f"{k:03d}.png"
            assert cv2.imwrite(str(path), pixels.astype(np.uint8))
            paths.append(str(path))
        return paths

    return write


@pytest.fixture
def external_graph() -> bytes:
    """A graph whose weights are in another file."""
    model = onnx.load_from_string(linear_graph(*member_weights("binary", 0)))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return bytes(model.SerializeToString())
