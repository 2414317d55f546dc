"""A graph of others stays within memory and time at every run, and answers as many images as it was asked about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from semeion.errors import ModelRefused
from semeion.model import engine as module
from semeion.model import limited
from semeion.model.engine import open_engine

SIDE = 8


def graph_of(before: list[Any], constants: dict[str, Any], *, rows: str = "image") -> bytes:
    """Return a graph that gives the mean and twice the mean of each image, plus whatever ``more`` is (a number)."""
    nodes = [
        *before,
        helper.make_node("Cast", [rows], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "two"], ["both"]),
        helper.make_node("Add", ["both", "more"], ["logits"]),
    ]
    weights = {"two": np.array([[1, 2]], np.float32), **constants}
    if not any("more" in node.output for node in before):
        weights["more"] = np.array(0, np.float32)
    made = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def large(each: int) -> bytes:
    """Return a graph that fills `each` bytes an image with zeros."""
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Mul", ["shape", "many"], ["sides"]),
        helper.make_node("ConstantOfShape", ["sides"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["more"], keepdims=0),
    ]
    return graph_of(nodes, {"many": np.array([1, each // (4 * SIDE * SIDE), 1, 1])})


def images(n: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, 1, SIDE, SIDE), dtype=np.uint8)


def test_it_says_what_it_says_without_bounds() -> None:
    graph = graph_of([], {})
    for n in (0, 1, limited.TOGETHER, 2 * limited.TOGETHER + 5):
        found = open_engine(graph, 1, bounded=True).run(images(n))
        np.testing.assert_array_equal(found, open_engine(graph, 1).run(images(n)))


def test_more_memory_than_is_allowed_is_refused_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "memory_allowed", lambda: 32 << 20)
    graph = large(8 << 20)
    bounded = open_engine(graph, 1, where="a.onnx", bounded=True)
    assert bounded.run(images(2)).shape == (2, 2)
    with pytest.raises(ModelRefused, match=r"a\.onnx: the graph fails when it runs .*; use a machine with more memory"):
        bounded.run(images(8))
    # The next graph has a bound of its own, and those without one are not bounded.
    monkeypatch.setattr(module, "memory_allowed", lambda: 128 << 20)
    assert open_engine(graph, 1, bounded=True).run(images(8)).shape == (8, 2)
    assert open_engine(graph, 1).run(images(8)).shape == (8, 2)
    with pytest.raises(ModelRefused, match=r"a\.onnx: the graph fails when it runs"):
        bounded.run(images(8))


def test_a_batch_is_run_in_pieces_so_that_memory_does_not_grow_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "memory_allowed", lambda: 64 << 20)
    # Sixteen images take 32 MiB, sixty 120.
    assert open_engine(large(2 << 20), 1, bounded=True).run(images(60)).shape == (60, 2)


def test_where_the_system_tells_nothing_memory_is_not_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semeion.model.bounds.available_bytes", lambda: None)
    assert limited.memory_allowed() is None
    assert open_engine(large(1 << 20), 1, bounded=True).run(images(3)).shape == (3, 2)


def test_a_run_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "LONGEST", 0.2)
    sums = helper.make_graph(
        [helper.make_node("Add", ["so_far", "one"], ["now"]), helper.make_node("Identity", ["one"], ["told"])],
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("so_far", "one")],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("now", "told")],
    )
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("ReduceProd", ["shape"], ["few"], keepdims=1),
        helper.make_node("Mul", ["few", "many"], ["length"]),
        helper.make_node("ConstantOfShape", ["length"], ["zeros"]),
        helper.make_node("Scan", ["none", "zeros"], ["more", "every"], body=sums, num_scan_inputs=1),
    ]
    graph = graph_of(nodes, {"many": np.array([100_000]), "none": np.array(0, np.float32)})
    with pytest.raises(ModelRefused, match=r"a\.onnx: the graph did not answer within 0\.2 s; use a faster machine"):
        open_engine(graph, 1, where="a.onnx", bounded=True).run(images(1))


def test_an_answer_to_other_images_than_were_asked_about_is_refused() -> None:
    nodes = [helper.make_node("Slice", ["image", "zero", "first"], ["fewer"])]
    graph = graph_of(nodes, {"zero": np.array([0]), "first": np.array([1])}, rows="fewer")
    bounded = open_engine(graph, 1, where="a.onnx", bounded=True)
    assert bounded.run(images(1)).shape == (1, 2)
    # One answer for each of three pieces would pass for three answers.
    for n in (3, 2 * limited.TOGETHER + 1):
        with pytest.raises(ModelRefused, match=r"a\.onnx: the graph answers \(1, 2\) to \d+ images"):
            bounded.run(images(n))
