"""A shipped graph with weights drawn anew, from the last layer towards the first.

Cascading randomisation of Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018, section 3: what is said of a
network must change when what it learned is taken from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "GRU", "LSTM", "BatchNormalization", "InstanceNormalization")
"""Operators that hold learned weights, among their inputs from the second on."""
_FIRST = ("Conv", "ConvTranspose", "Gemm")
"""A product of matrices before any of these resizes pictures, and has learned nothing."""


@dataclass(frozen=True)
class Weights:
    """The learned tensors of one layer: where each is kept in the graph."""

    names: tuple[str, ...]


def layers_of(graph: bytes) -> int:
    """Return how many layers with weights a graph has."""
    return len(_layers(_opened(graph)))


def randomised(graph: bytes, last: int, seed: int) -> bytes:
    """Return a graph whose `last` layers with weights, counted from its end, have weights drawn anew.

    Each tensor is drawn from a normal distribution about 0 of its own root mean square, as fresh weights of that size
    would be, from a stream of its own: a layer has the same new weights however many others have. A tensor that several
    layers share counts with the last of them.

    Parameters
    ----------
    graph
        Bytes of an ONNX file.
    last
        Layers; more than there are: all.
    seed
        Of the streams.
    """
    import onnx
    from onnx import numpy_helper

    model = _opened(graph)
    layers = _layers(model)
    stored = _stored(model)
    done: set[str] = set()
    for place, layer in enumerate(layers[:last]):
        for number, name in enumerate(layer.names):
            if name in done:
                continue
            done.add(name)
            rng = np.random.default_rng([seed, place, number])
            before = numpy_helper.to_array(stored[name])
            stored[name].CopyFrom(numpy_helper.from_array(drawn_anew(before, rng), stored[name].name))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def randomised_rows(coefficients: Sequence[Sequence[float]], seed: int) -> list[list[float]]:
    """Return the coefficients of a linear head drawn anew, as :func:`randomised` draws weights."""
    rng = np.random.default_rng([seed, 1 << 20])
    rows: list[list[float]] = drawn_anew(np.array(coefficients, dtype=np.float64), rng).tolist()
    return rows


def drawn_anew(values: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[Any]:
    """Return normal values about 0 of the root mean square, shape and type of `values`."""
    size = float(np.sqrt(np.mean(np.square(values.astype(np.float64))))) if values.size else 0.0
    return np.asarray(rng.normal(0.0, 1.0, values.shape) * size).astype(values.dtype)


def _opened(graph: bytes) -> onnx.ModelProto:
    import onnx

    return onnx.load_model_from_string(graph)


def _stored(model: onnx.ModelProto, *, constants: bool = True) -> dict[str, onnx.TensorProto]:
    """Return the tensors of floating numbers that a graph keeps, by the name under which nodes take them."""
    import onnx

    floating = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
    found = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        if constants and node.op_type == "Constant":
            for own in node.attribute:
                if own.name == "value":
                    found[node.output[0]] = own.t
    return {name: tensor for name, tensor in found.items() if tensor.data_type in floating}


def _layers(model: onnx.ModelProto) -> list[Weights]:
    """Return the layers with weights, the last one first; of layers that share all their tensors the last one."""
    stored, kept = _stored(model), _stored(model, constants=False)
    # Exporters hand one tensor on to several layers under other names.
    same = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Identity"}
    found: list[Weights] = []
    begun = False
    for node in model.graph.node:
        begun = begun or node.op_type in _FIRST
        if node.op_type not in LAYERS or not begun:
            continue
        product = node.op_type == "MatMul"
        # A weight may stand on either side of a product. A constant there spreads or resizes, and was not learned.
        names = tuple(_known_by(node.input if product else node.input[1:], same))
        found.append(Weights(tuple(name for name in names if name in (kept if product else stored))))
    seen: set[str] = set()
    layers = []
    for layer in found[::-1]:
        if set(layer.names) - seen:
            layers.append(layer)
        seen |= set(layer.names)
    return layers


def _known_by(names: Any, same: dict[str, str]) -> Iterator[str]:
    for name in names:
        while name in same:
            name = same[name]
        yield name
