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


def voxel_graph(channels: int, labels: int, patch: tuple[int, ...], offset: float = 0.0) -> bytes:
    """Return a network of single voxels: the more a voxel's mean over the channels exceeds a step, the later the label.

    Logit l is ``8 * l * mean - 4 * l ** 2 + offset``, so that label l is the most probable for a mean near l.
    """
    steps = np.arange(labels + 1, dtype=np.float32)
    weights = np.repeat(8 * steps[:, None] / channels, channels, axis=1)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", channels, *patch])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", labels + 1, *patch])
    constants = [
        numpy_helper.from_array(weights.reshape(labels + 1, channels, *[1] * len(patch)).astype(np.float32), "w"),
        numpy_helper.from_array((-4 * steps**2 + offset * steps).astype(np.float32), "b"),
    ]
    nodes = [helper.make_node("Conv", ["image", "w", "b"], ["logits"])]
    graph = helper.make_graph(nodes, "voxels", [image], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def segmentation_parts(channels: tuple[str, ...] = (), **steps: Any) -> dict[str, Any]:
    names = list(channels) or ["image"]
    fixed = {"kind": "fixed", "low": -10.0, "high": 10.0, "mean": 0.0, "std": 1.0}
    inputs: dict[str, Any] = {"modality": [], "images": len(names)}
    if channels:
        inputs |= {"names": names, "role": "channels"}
    return {
        "task": "segmentation",
        "target": "mask",
        "classes": ["rim", "core"],
        "inputs": inputs,
        "preparation": {"channels": names, "intensity": [fixed], **steps},
        "segmentation": {"values": [3, 7]},
    }


@pytest.fixture
def make_segmenter(tmp_path: Path) -> Callable[..., Path]:
    """Write a model whose voxels are background, rim or core where the channels' mean is near 0, 1 or 2."""

    def make(
        patches: tuple[tuple[int, ...], ...] = ((8, 8, 8),),
        channels: tuple[str, ...] = (),
        name: str = "segmenter",
        steps: dict[str, Any] | None = None,
        mirror: dict[str, tuple[int, ...]] | None = None,
        offset: float = 0.0,
        **changes: Any,
    ) -> Path:
        graphs = {f"m{k}": voxel_graph(len(channels) or 1, 2, patch, offset) for k, patch in enumerate(patches)}
        folder = tmp_path / name
        parts = segmentation_parts(channels, **(steps or {})) | changes
        write_model(folder, parts, graphs, "# card\n", mirror=mirror)
        return folder

    return make


@pytest.fixture
def make_volume(tmp_path: Path) -> Callable[..., tuple[Path, Any]]:
    """Write a ball of value 2 in a shell of value 1 as NIfTI, turned in space, and return path and SimpleITK image."""
    import SimpleITK as sitk

    def make(
        name: str = "case.nii.gz",
        size: tuple[int, int, int] = (20, 18, 14),
        spacing: tuple[float, float, float] = (1.0, 1.2, 2.5),
        scale: float = 1.0,
        turn: float = 0.2,
    ) -> tuple[Path, Any]:
        k, j, i = np.indices(size[::-1])
        places = np.stack([i, j, k], -1) * np.array(spacing)
        middle = (np.array(size) - 1) / 2 * np.array(spacing)
        away = np.linalg.norm(places - middle, axis=-1)
        values = np.where(away < 5, 2.0, np.where(away < 8, 1.0, 0.0)) * scale
        image = sitk.GetImageFromArray(values.astype(np.float32))
        image.SetSpacing(spacing)
        image.SetOrigin((-20.0, 30.5, 7.25))
        c, s = np.cos(turn), np.sin(turn)
        image.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(path))
        return path, image

    return make
