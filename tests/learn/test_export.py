from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from semeion.errors import TrainingFailed
from semeion.learn.export import OPSET, TOLERANCE, refuse_disagreement, to_onnx
from semeion.learn.network import Network, Scales, ShippedNetwork
from semeion.model.combine import from_logits
from semeion.plan.recipes import NetworkPlan

TASKS = [("binary", 2), ("multiclass", 3), ("ordinal", 4), ("multilabel", 2), ("regression", 1)]


def shipped_of(task, outputs, channels=1, seed=0):
    """Return a network as after training: random weights, and batch statistics that are not the first ones."""
    torch.manual_seed(seed)
    network = Network(NetworkPlan(widths=[4, 8]), channels, task, outputs)
    network.train()
    for _ in range(5):
        network(torch.randn(8, channels, 12, 16) * 1.3)
    weights = [0.7, 1.9, 1.2, 3.0][:outputs] if task != "regression" else []
    scales = Scales(
        (110.0, 90.0, 70.0)[:channels], (45.0, 50.0, 40.0)[:channels], *((300.0, 20.0) if not weights else ())
    )
    return ShippedNetwork(network, scales, weights, task)


def runs(graph, task):
    """Return what runs a graph as it ships."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda images: from_logits(session.run(["logits"], {"image": images})[0], task)


def images(n=20, channels=1):
    return np.random.default_rng(0).integers(0, 256, (n, channels, 12, 16), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("task", "outputs"), TASKS)
def test_graph_and_network_agree_on_every_task(task, outputs, channels):
    shipped = shipped_of(task, outputs, channels)
    graph = to_onnx(shipped, (channels, 12, 16))
    assert refuse_disagreement(shipped, runs(graph, task), images(20, channels), "seed0") <= TOLERANCE == 1e-4
    # Any number of images, one at a time as well.
    run = runs(graph, task)
    together = run(images(7, channels))
    assert together.shape == (7, outputs)
    assert np.allclose(together, np.concatenate([run(one[None]) for one in images(7, channels)]), atol=1e-5, rtol=1e-5)


def test_the_graph_keeps_its_contract():
    graph = onnx.load_from_string(to_onnx(shipped_of("binary", 2, 3), (3, 12, 16)))
    onnx.checker.check_model(graph)
    (image,), (logits, *further) = graph.graph.input, graph.graph.output
    assert (image.name, logits.name) == ("image", "logits")
    shapes = {one.name: [d.dim_value for d in one.type.tensor_type.shape.dim] for one in further}
    assert shapes == {"features": [0, 8], "maps": [0, 2, 12, 16]}
    assert all(one.type.tensor_type.shape.dim[0].dim_param for one in further)
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert logits.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert [d.dim_value for d in image.type.tensor_type.shape.dim][1:] == [3, 12, 16]
    assert image.type.tensor_type.shape.dim[0].dim_param
    assert [entry.version for entry in graph.opset_import if entry.domain == ""] == [OPSET]
    # Nothing is stored elsewhere, and no operator is left that only belongs to training.
    assert not any(tensor.external_data for tensor in graph.graph.initializer)
    assert "Dropout" not in {node.op_type for node in graph.graph.node}


def test_nothing_of_the_machine_is_in_the_graph():
    graph = to_onnx(shipped_of("binary", 2), (1, 12, 16))
    assert b"site-packages" not in graph
    assert b"/src/semeion" not in graph


def test_exporting_changes_nothing():
    shipped = shipped_of("binary", 2)
    before = {name: value.clone() for name, value in shipped.state_dict().items()}
    first = to_onnx(shipped, (1, 12, 16))
    assert all(torch.equal(value, before[name]) for name, value in shipped.state_dict().items())
    assert to_onnx(shipped, (1, 12, 16)) == first
    assert not shipped.training


@pytest.mark.parametrize(("task", "outputs"), TASKS)
def test_a_graph_that_was_changed_is_refused(task, outputs):
    shipped = shipped_of(task, outputs)
    graph = onnx.load_from_string(to_onnx(shipped, (1, 12, 16)))
    changed = next(tensor for tensor in graph.graph.initializer if tensor.name.endswith(("head.bias", "score.bias")))
    values = numpy_helper.to_array(changed).copy()
    values[0] += 0.02
    changed.CopyFrom(numpy_helper.from_array(values, changed.name))
    with pytest.raises(TrainingFailed) as caught:
        refuse_disagreement(shipped, runs(graph.SerializeToString(), task), images(), "fold1-seed0")
    assert caught.value.where == "member fold1-seed0"
    assert caught.value.what.startswith("the exported graph differs from the trained network by ")
    of = "of the values' spread" if task == "regression" else "in probability"
    assert caught.value.what.endswith(f"{of}; at most 0.0001 is allowed")
    assert caught.value.fix == "report this with the plan and the versions of torch and onnxruntime"


def test_a_graph_that_gives_no_number_is_refused():
    shipped = shipped_of("binary", 2)
    with pytest.raises(TrainingFailed, match="differs from the trained network by nan"):
        refuse_disagreement(shipped, lambda x: np.full((len(x), 2), np.nan), images(), "seed0")


def test_a_measured_value_is_compared_by_its_spread():
    shipped = shipped_of("regression", 1)
    run = runs(to_onnx(shipped, (1, 12, 16)), "regression")
    # The target's deviation is 20: a thousandth of its unit is 5e-5 of that, a hundredth 5e-4.
    assert refuse_disagreement(shipped, lambda x: run(x) + 1e-3, images(), "seed0") == pytest.approx(5e-5, rel=0.5)
    with pytest.raises(TrainingFailed, match=r"of the values' spread; at most 0\.0001 is allowed"):
        refuse_disagreement(shipped, lambda x: run(x) + 1e-2, images(), "seed0")
