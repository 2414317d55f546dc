"""Small ONNX graphs such as users bring: the mean brightness of an image decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 24


def graph_of(
    *,
    outputs: int = 1,
    end: str = "Sigmoid",
    layout: str = "nchw",
    channels: int = 1,
    side: int | str = SIDE,
    batch: int | str = "batch",
    takes: int = TensorProto.FLOAT,
    gives: int = TensorProto.FLOAT,
    opset: int = 17,
    baked: int = 0,
    weights: Any = None,
    bias: Any = None,
    extra: list[Any] | None = None,
    metadata: dict[str, str] | None = None,
) -> Any:
    """Return a model: bytes to numbers, mean over the pixels, a linear layer, `end`.

    Parameters
    ----------
    outputs, end
        Numbers an image; ``Sigmoid``, ``Softmax``, or empty for logits.
    layout, channels, side, batch, takes, gives, opset
        Of the input and the output; a text is a free side.
    baked
        A number of images that a Reshape inside holds, whatever the first axis says.
    weights, bias
        Of the linear layer, (channels, outputs) and (outputs,).
    extra
        Operators put before all others; they read ``x`` and give ``seen``.
    metadata
        Of the file.
    """
    sides = [channels, side, side] if layout == "nchw" else [side, side, channels]
    rng = np.random.default_rng(3)
    w = np.asarray(rng.normal(0, 4, (channels, outputs)) if weights is None else weights, dtype=np.float32)
    b = np.asarray(rng.normal(0, 0.1, outputs) if bias is None else bias, dtype=np.float32)
    nodes, name = list(extra or []), "seen" if extra else "x"
    if takes != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [name], ["cast"], to=TensorProto.FLOAT))
        name = "cast"
    axes = [2, 3] if layout == "nchw" else [1, 2]
    nodes.append(helper.make_node("ReduceMean", [name], ["means"], axes=axes, keepdims=0))
    nodes.append(helper.make_node("Reshape", ["means", "shape"], ["rows"]))
    nodes.append(helper.make_node("Gemm", ["rows", "w", "b"], ["logits"]))
    last = "logits"
    if end:
        nodes.append(helper.make_node(end, [last], ["image"], **({"axis": 1} if end == "Softmax" else {})))
        last = "image"
    if gives != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [last], ["out"], to=gives))
        last = "out"
    constants = {"w": w, "b": b, "shape": np.array([baked or -1, channels], dtype=np.int64)}
    made = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("x", takes, [batch, *sides])],
        [helper.make_tensor_value_info(last, gives, [batch, outputs])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
        producer_name="elsewhere",
        producer_version="1",
    )
    if metadata:
        helper.set_model_props(model, metadata)
    return model


def saved(model: Any, folder: Path, name: str = "model.onnx") -> Path:
    """Write a model."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def pixels(n: int = 24, channels: int = 1, seed: int = 0, side: int = SIDE) -> Any:
    """Return images of different brightness, uint8 (n, channels, side, side)."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(0, 200, (n, channels, 1, 1))
    return (level + rng.uniform(0, 55, (n, channels, side, side))).astype(np.uint8)


def loaded(path: Path) -> Any:
    """Read a model that was written."""
    return onnx.load(str(path))
