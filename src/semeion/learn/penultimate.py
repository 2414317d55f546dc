"""A trained network's features: its graph, cut before the last layer."""

from __future__ import annotations

from typing import Any

_LINEAR = ("Gemm", "MatMul")


def penultimate_graph(graph: bytes) -> bytes | None:
    """Return the graph that gives what the last linear layer of a classifier's graph takes.

    Cut from the graph that ships, so that any member has features that has a graph, however it was learned.

    Parameters
    ----------
    graph
        Bytes of an ONNX file: input ``image``, output ``logits``.

    Returns
    -------
    bytes or None
        The same with the features ``(N, width)`` as its output, still called ``logits``; None where no linear layer
        stands between image and output.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_from_string(graph)
    nodes = list(model.graph.node)
    seen = {model.graph.input[0].name}  # what follows from the image; the rest are constants
    for node in nodes:
        if seen & set(node.input):
            seen |= set(node.output)
    # Further outputs may end in products of their own.
    wanted = {model.graph.output[0].name}
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
    widths = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for place in range(len(nodes) - 1, -1, -1):
        node = nodes[place]
        if not wanted & set(node.output):
            continue
        if node.op_type in _LINEAR and node.input[0] in seen and len(widths.get(node.input[1], ())) == 2:
            features, width = node.input[0], _width(node, widths[node.input[1]])
            break
    else:
        return None
    needed, kept = {features}, []
    for node in reversed(nodes[:place]):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    output = model.graph.output[0].name
    kept = [*reversed(kept), helper.make_node("Identity", [features], [output])]
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    shape = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width])
    for repeated, values in (
        (model.graph.node, kept),
        (model.graph.initializer, tensors),
        (model.graph.value_info, []),
        (model.graph.output, [shape]),
    ):
        del repeated[:]
        repeated.extend(values)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _width(node: Any, shape: tuple[int, ...]) -> int:
    """Return how many numbers a linear layer takes."""
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return int(shape[1] if transposed else shape[0])
