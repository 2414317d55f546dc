"""Small models whose graphs say where: the score of a class is a sum over places, so that numpy knows every map."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from semeion.model.package import write_model

SIZE = (16, 16)
GAIN = 12.0
"""What a whole white picture adds to the score of the last class."""
CLASSES = {
    "binary": ["benign", "malignant"],
    "multiclass": ["a", "b", "c"],
    "ordinal": ["grade 1", "grade 2", "grade 3"],
    "multilabel": ["effusion", "nodule"],
    "regression": [],
}


def pictured_graph(
    weights: np.ndarray, bias: np.ndarray, size: tuple[int, ...] = SIZE, *, maps: bool = True, channels: int = 1
) -> bytes:
    """Return ONNX bytes: the score of class s is ``bias[s]`` and the mean of the picture (0 to 1) times ``weights[s]``.

    With `maps` there is a further output of that name, each pixel's part of the score, at half the resolution.
    """
    outputs, places = len(weights), math.prod(size) / 2 ** len(size)
    kernel = np.zeros((outputs, channels, *[2] * len(size)), np.float32)
    kernel[:] = np.asarray(weights, np.float32).reshape(-1, 1, *[1] * len(size)) / (
        255 * channels * places * 2 ** len(size)
    )
    half = [side // 2 for side in size]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", channels, *size])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", outputs])
    further = helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["N", outputs, *half])
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "kernel"], ["maps"], strides=[2] * len(size)),
        helper.make_node("GlobalAveragePool", ["maps"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"], axis=1),
        helper.make_node("Mul", ["flat", "places"], ["total"]),
        helper.make_node("Add", ["total", "bias"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(kernel, "kernel"),
        numpy_helper.from_array(np.array(math.prod(half), np.float32), "places"),
        numpy_helper.from_array(np.asarray(bias, np.float32), "bias"),
    ]
    outs = [logits, further] if maps else [logits]
    graph = helper.make_graph(nodes, "mapped", [image], outs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def pictured_model(
    folder: Path,
    task: str = "binary",
    *,
    maps: bool = True,
    members: int = 2,
    size: tuple[int, ...] = SIZE,
    **changes: Any,
) -> Path:
    """Write a model folder whose brightest places speak for the later classes; return the folder."""
    outputs = max(len(CLASSES[task]), 1)
    steps = np.linspace(0, 1, outputs) if outputs > 1 else np.ones(1)
    graphs = {
        f"m{k}": pictured_graph(steps * GAIN * (1 + 0.1 * k), -2.0 * steps, size, maps=maps) for k in range(members)
    }
    preparation: dict[str, Any] = {"channels": 1, "size": size, "fit": "stretch"}
    inputs: dict[str, Any] = {"photometry": "grey"}
    if len(size) == 3:
        fixed = {"kind": "fixed", "low": 0.0, "high": 255.0, "mean": 0.0, "std": 255.0}
        preparation = {"channels": ["image"], "size": size, "size_mode": "stretch", "intensity": [fixed]}
        inputs = {"modality": []}
    parts: dict[str, Any] = {
        "task": task,
        "target": "finding",
        "classes": CLASSES[task],
        "inputs": inputs,
        "preparation": preparation,
    }
    if task == "binary":
        parts |= {"positive": "malignant", "operating_point": {"rule": "youden", "value": 0.5}}
    elif task == "multilabel":
        parts["operating_point"] = {"rule": "youden", "by_target": {"effusion": 0.5, "nodule": 0.5}}
    elif task != "regression":
        parts["operating_point"] = {"rule": "argmax"}
    else:
        parts["unit"] = "years"
    write_model(folder, parts | changes, graphs, "# card\n")
    return folder


def spotted(path: Path, spot: tuple[int, int] = (24, 70), shape: tuple[int, int] = (64, 96), bright: int = 255) -> Path:
    """Write a dark picture of faint noise with one bright spot of 8 by 8 pixels and return its path."""
    picture = np.random.default_rng(0).integers(10, 31, shape).astype(np.uint8)
    picture[spot[0] - 4 : spot[0] + 4, spot[1] - 4 : spot[1] + 4] = bright
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path
