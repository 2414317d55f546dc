"""A graph that never ends, or asks for more memory than there is, is refused and does not take the machine along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from adopt.graphs import graph_of, pixels, saved
from semeion.adopt import bounds
from semeion.adopt.answer import answers
from semeion.adopt.given import read_given
from semeion.adopt.look import look_of
from semeion.errors import ModelRefused


def refused(folder: Path, model: Any) -> str:
    given = read_given(saved(model, folder))
    with pytest.raises(ModelRefused) as caught:
        answers(given.session(1), given, look_of(given, scale="0..1"), pixels(channels=1)[:1], single=True)
    return str(caught.value)


def test_a_loop_without_an_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LONGEST", 0.2)
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["again"]), helper.make_node("Identity", ["held"], ["kept"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("held", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("kept", TensorProto.FLOAT, None),
        ],
    )
    model = graph_of(extra=[helper.make_node("Loop", ["turns", "yes", "x"], ["seen"], body=body)])
    model.graph.initializer.append(numpy_helper.from_array(np.array(2**62), "turns"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    assert "the graph did not answer within 0.2 s; export it without loops" in refused(tmp_path, model)


def test_more_memory_than_there_is_is_an_error_and_nothing_is_killed(tmp_path: Path) -> None:
    if bounds.available_bytes() is None:
        pytest.skip("the system does not tell how much memory is free")
    extra = [
        helper.make_node("Shape", ["x"], ["sides"]),
        helper.make_node("Mul", ["sides", "many"], ["large"]),
        helper.make_node("ConstantOfShape", ["large"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["none"]),
        helper.make_node("Add", ["x", "none"], ["seen"]),
    ]
    model = graph_of(extra=extra)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 1 << 20, 1 << 20]), "many"))
    assert "the graph fails when it runs on images" in refused(tmp_path, model)


def test_the_bound_of_memory_is_taken_back() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ValueError, match="inside"), bounds.bounded_memory():
        raise ValueError("inside")
    assert resource.getrlimit(resource.RLIMIT_AS) == before
