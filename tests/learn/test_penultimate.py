"""Features are what the last layer of the trained network takes, whatever the network."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from semeion.learn.export import to_onnx
from semeion.learn.network import Network, Scales, ShippedNetwork
from semeion.learn.network3d import make_network
from semeion.learn.penultimate import penultimate_graph
from semeion.model.engine import open_engine
from semeion.plan.recipes import NetworkPlan

TASKS = [("binary", 2), ("multiclass", 3), ("ordinal", 4), ("multilabel", 2), ("regression", 1)]


def shipped_of(network, channels, task, outputs):
    weights = [1.5] * outputs if task != "regression" else []
    return ShippedNetwork(network, Scales((100.0,) * channels, (40.0,) * channels), weights, task).eval()


def head_takes(shipped, images):
    """Return what the network's own last layer is given."""
    taken = []
    hook = shipped.network.head.register_forward_pre_hook(lambda _, given: taken.append(given[0]))
    with torch.inference_mode():
        shipped(torch.from_numpy(images))
    hook.remove()
    return taken[0].numpy()


def images_of(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(("task", "outputs"), TASKS)
def test_features_are_what_the_head_takes(task, outputs):
    torch.manual_seed(0)
    shipped = shipped_of(Network(NetworkPlan(widths=[4, 8]), 1, task, outputs), 1, task, outputs)
    images = images_of(7, 1, 12, 16)
    graph = penultimate_graph(to_onnx(shipped, (1, 12, 16)))
    engine = open_engine(graph, 1)
    assert engine.n_outputs == 8 and not engine.dense
    found = engine.run(images)
    assert np.allclose(found, head_takes(shipped, images), atol=1e-5)
    assert np.allclose(engine.run(images[:1]), found[:1], atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_features_of_several_views_are_those_after_pooling(pooling):
    torch.manual_seed(0)
    plan = NetworkPlan(widths=[4, 8], group_pooling=pooling)
    network = make_network(plan, (2, 16, 12), 2, "binary", 2)
    shipped = shipped_of(network, 2, "binary", 2)
    images = images_of(5, 2, 16, 12)
    graph = penultimate_graph(to_onnx(shipped, (2, 16, 12)))
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"image": images})[0], head_takes(shipped, images), atol=1e-5)


def test_nothing_after_the_features_is_left():
    shipped = shipped_of(Network(NetworkPlan(widths=[4, 8]), 1, "ordinal", 4), 1, "ordinal", 4)
    whole = to_onnx(shipped, (1, 12, 16))
    cut = onnx.load_from_string(penultimate_graph(whole))
    assert "Gemm" not in {node.op_type for node in cut.graph.node}
    assert not any("head" in tensor.name for tensor in cut.graph.initializer)
    assert [value.name for value in cut.graph.output] == ["logits"]
    assert penultimate_graph(whole) == penultimate_graph(whole)


def test_a_graph_without_a_linear_layer_has_no_features():
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 1, 4, 4])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1, 4, 4])
    node = helper.make_node("Cast", ["image"], ["logits"], to=TensorProto.FLOAT)
    graph = helper.make_graph([node], "g", [image], [logits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert penultimate_graph(model.SerializeToString()) is None


def test_a_matrix_product_counts_as_a_linear_layer_and_one_of_constants_does_not():
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 1, 2, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])
    weight = np.arange(12, dtype=np.float32).reshape(6, 2)
    tensors = [
        onnx.numpy_helper.from_array(value, name)
        for name, value in {"w": weight, "a": weight.T.copy(), "b": weight}.items()
    ]
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Cast", ["flat"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["float", "w"], ["product"]),
        helper.make_node("MatMul", ["a", "b"], ["constant"]),
        helper.make_node("Add", ["product", "constant"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "g", [image], [logits], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    images = images_of(3, 1, 2, 3)
    session = onnxruntime.InferenceSession(
        penultimate_graph(model.SerializeToString()), providers=["CPUExecutionProvider"]
    )
    assert np.array_equal(session.run(None, {"image": images})[0], images.reshape(3, 6).astype(np.float32))
