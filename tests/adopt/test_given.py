"""What is read of an ONNX file from elsewhere, and what is refused before any image is seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from adopt.graphs import SIDE, graph_of, saved
from semeion.adopt import given as module
from semeion.adopt.given import read_given
from semeion.errors import InputError, ModelRefused, SemeionError


def refused(
    model: Any,
    folder: Path,
    output: str | None = None,
    kind: type[SemeionError] = ModelRefused,
    name: str = "model.onnx",
) -> str:
    path = folder / name
    if isinstance(model, bytes):
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model)
    else:
        saved(model, folder, name)
    with pytest.raises(kind) as caught:
        read_given(path, output)
    assert caught.value.exit_status == (3 if kind is ModelRefused else 2)
    assert str(folder) not in str(caught.value)
    return str(caught.value)


def test_what_a_graph_says_of_itself_is_read(tmp_path: Path) -> None:
    found = read_given(saved(graph_of(layout="nhwc", channels=3, outputs=2, end="Softmax", opset=13), tmp_path))
    assert (found.input, found.takes, found.batch, found.sides) == ("x", "float32", None, (SIDE, SIDE, 3))
    assert (found.output, found.gives, found.last) == ("image", (None, 2), "Softmax")
    assert (found.producer, found.opset, found.classes, len(found.sha256)) == ("elsewhere 1", 13, (), 64)
    one = read_given(saved(graph_of(batch=1, takes=TensorProto.UINT8, end=""), tmp_path))
    assert (one.batch, one.takes, one.last) == (1, "uint8", "Gemm")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('["benign", "malignant"]', ("benign", "malignant")),
        ("benign, malignant", ("benign", "malignant")),
        ("{0: 'benign'}", ()),
        ('["benign", 3]', ()),
        ('{"a": 1}', ()),
        ("", ()),
    ],
)
def test_names_of_classes_are_read_from_metadata_where_they_are_a_list(
    tmp_path: Path, text: str, names: tuple[str, ...]
) -> None:
    assert read_given(saved(graph_of(metadata={"class_names": text}), tmp_path)).classes == names


def test_the_last_operator_is_found_behind_those_that_change_no_value(tmp_path: Path) -> None:
    found = read_given(saved(graph_of(gives=TensorProto.FLOAT16), tmp_path))
    assert found.last == "Sigmoid"


@pytest.mark.parametrize(
    ("name", "says", "fix"),
    [
        ("model.pt", "a PyTorch file, whose pickle can run any code", "torch.onnx.export"),
        ("model.h5", "a Keras file, not an ONNX graph", "model.export('model.onnx', format='onnx')"),
        ("model.keras", "a Keras file", "format='onnx'"),
        ("model.tflite", "a TensorFlow Lite file", "tf2onnx"),
    ],
)
def test_other_kinds_of_files_are_named_with_the_way_out(tmp_path: Path, name: str, says: str, fix: str) -> None:
    said = refused(b"whatever", tmp_path, name=name)
    assert said.startswith(f"{name}: this is {says}")
    assert fix in said


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"\x00" * 100, b"PK\x03\x04 a zip", b"\x80\x04\x95 a pickle", bytes(range(256)) * 20):
        assert "model.onnx: not an ONNX graph" in refused(data, tmp_path)
    whole = graph_of().SerializeToString()
    assert "export the model again" in refused(whole[: len(whole) // 2], tmp_path)


def test_no_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; correct the path"):
        read_given(tmp_path / "none.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelRefused, match=r"this is not a file; give the \.onnx file"):
        read_given(tmp_path / "folder.onnx")


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 1 << 20)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("it was read"))
    with (tmp_path / "model.onnx").open("wb") as file:
        file.truncate(3 << 20)
    with pytest.raises(ModelRefused, match="the file has 3 MiB, and 1 MiB is the limit"):
        read_given(tmp_path / "model.onnx")


def test_external_data_is_refused_with_the_way_to_embed_it(tmp_path: Path) -> None:
    model = graph_of()
    path = tmp_path / "model.onnx"
    onnx.save_model(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(ModelRefused) as caught:
        read_given(path)
    assert "of the graph's tensors are kept in another file" in str(caught.value)
    assert "save_as_external_data=False" in str(caught.value)
    outside = graph_of()
    outside.graph.initializer[0].data_location = TensorProto.EXTERNAL
    outside.graph.initializer[0].external_data.add(key="location", value="../../../etc/passwd")
    assert "kept in another file" in refused(outside, tmp_path)


def test_an_operator_of_an_unknown_domain_is_refused_by_name(tmp_path: Path) -> None:
    own = helper.make_node("Detector", ["x"], ["seen"], domain="org.hospital")
    model = graph_of(extra=[own])
    model.opset_import.append(helper.make_opsetid("org.hospital", 1))
    said = refused(model, tmp_path)
    assert "the operator org.hospital.Detector is not one that ONNX Runtime brings along" in said


def test_an_operator_that_is_not_in_the_opset_is_refused_by_name(tmp_path: Path) -> None:
    said = refused(graph_of(extra=[helper.make_node("Vanish", ["x"], ["seen"])]), tmp_path)
    assert "the operator Vanish is not in ONNX opset 17" in said
    # A graph within the graph is looked through too.
    inner = helper.make_graph(
        [helper.make_node("Vanish", ["x"], ["v"])], "in", [], [helper.make_tensor_value_info("v", 1, None)]
    )
    both = helper.make_node("If", ["yes"], ["seen"], then_branch=inner, else_branch=inner)
    model = graph_of(extra=[both])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    assert "the operator Vanish" in refused(model, tmp_path)


def test_an_operator_that_the_runtime_lacks_is_refused_by_name(tmp_path: Path) -> None:
    # It is of a domain that is known, and no such operator is in it.
    own = helper.make_node("NoSuchFusion", ["x"], ["seen"], domain="com.microsoft")
    model = graph_of(extra=[own])
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    said = refused(model, tmp_path)
    assert "ONNX Runtime cannot run the graph" in said
    assert "NoSuchFusion" in said


def function(name: str, calls: list[str]) -> Any:
    nodes = [
        helper.make_node(call, ["a" if not n else f"b{n - 1}"], [f"b{n}"], domain="own") for n, call in enumerate(calls)
    ]
    nodes = nodes or [helper.make_node("Identity", ["a"], ["b0"])]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["a"], [nodes[-1].output[0]], nodes, opsets)


def test_functions_that_the_file_defines_are_written_out(tmp_path: Path) -> None:
    model = graph_of(extra=[helper.make_node("Twice", ["x"], ["seen"], domain="own")])
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.extend([function("Twice", ["Once", "Once"]), function("Once", [])])
    found = read_given(saved(model, tmp_path))
    assert not found.model.functions
    assert {node.domain for node in found.model.graph.node} == {""}


def test_functions_in_a_circle_and_functions_that_explode_are_refused(tmp_path: Path) -> None:
    model = graph_of(extra=[helper.make_node("A", ["x"], ["seen"], domain="own")])
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.extend([function("A", ["B"]), function("B", ["A"])])
    assert "calls itself" in refused(model, tmp_path)
    del model.functions[:]
    names = [f"F{n}" for n in range(20)]
    model.functions.extend(
        function(name, [after] * 4 if after else []) for name, after in zip(names, [*names[1:], ""], strict=True)
    )
    model.graph.node[0].op_type = "F0"
    assert "operators, and 200000 is the limit" in refused(model, tmp_path)


def test_a_long_chain_of_functions_is_no_error_of_the_program(tmp_path: Path) -> None:
    model = graph_of(extra=[helper.make_node("F0", ["x"], ["seen"], domain="own")])
    model.opset_import.append(helper.make_opsetid("own", 1))
    names = [f"F{n}" for n in range(500)]
    model.functions.extend(
        function(name, [after] if after else []) for name, after in zip(names, [*names[1:], ""], strict=True)
    )
    assert "export the model again" in refused(model, tmp_path)
    # A number of operators beyond all bounds is not written out digit by digit.
    del model.functions[:]
    model.functions.extend(
        function(name, [after] * 4 if after else []) for name, after in zip(names, [*names[1:], ""], strict=True)
    )
    assert "the graph has more than 10^12 operators" in refused(model, tmp_path)


def test_a_name_of_the_file_does_nothing_in_a_command_that_is_copied(tmp_path: Path) -> None:
    model = graph_of()
    del model.graph.input[:]
    name = "x; rm -rf ~ \x1b[2J"
    model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1, "rows", "cols"]))
    model.graph.node[0].input[0] = name
    said = refused(model, tmp_path)
    assert "--input_name 'x; rm -rf ~ ?[2J' --input_shape" in said
    assert "\x1b" not in said


def test_an_old_opset_is_refused(tmp_path: Path) -> None:
    assert "the graph is of ONNX opset 8, and 9 is the oldest" in refused(graph_of(opset=8), tmp_path)


def test_a_graph_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    model = graph_of()
    model.graph.node[0].input[0] = "nothing"
    assert "not a valid ONNX graph" in refused(model, tmp_path)


def test_more_than_one_input_is_refused_with_their_names(tmp_path: Path) -> None:
    model = graph_of()
    model.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, ["batch", 1]))
    said = refused(model, tmp_path)
    assert "the graph has 2 inputs (x, age), and one image is all that a case brings" in said


def test_weights_that_old_files_list_among_the_inputs_are_no_inputs(tmp_path: Path) -> None:
    model = graph_of(opset=9)
    model.ir_version = 3
    model.graph.input.extend(
        helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in model.graph.initializer
    )
    assert read_given(saved(model, tmp_path)).input == "x"


def test_of_several_outputs_one_must_be_named(tmp_path: Path) -> None:
    model = graph_of()
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1]))
    said = refused(model, tmp_path, kind=InputError)
    assert said.endswith("the graph has 2 outputs, and one answers; name it with --output-name: image, logits")
    said = refused(model, tmp_path, "logit", InputError)
    assert said == "--output-name: the graph has no output 'logit', did you mean 'logits'?; name one of image, logits"
    assert read_given(tmp_path / "model.onnx", "logits").last == "Gemm"


def test_inputs_that_pixels_cannot_become_are_refused(tmp_path: Path) -> None:
    assert "the input 'x' is int64, and pixels are float32, uint8" in refused(
        graph_of(takes=TensorProto.INT64), tmp_path
    )


def test_numbers_of_classes_are_no_probabilities(tmp_path: Path) -> None:
    said = refused(graph_of(gives=TensorProto.INT64), tmp_path)
    assert "the output 'out' is int64: the number of a class is no probability" in said
    assert "export the layer before it" in said


@pytest.mark.parametrize("shape", [["batch", 1, "rows", "cols"], ["batch", 1, SIDE, None]])
def test_free_sides_are_refused_with_the_way_to_fix_them(tmp_path: Path, shape: Any) -> None:
    model = graph_of()
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, shape))
    said = refused(model, tmp_path)
    assert "rows, columns and channels must be fixed" in said
    assert "onnxruntime.tools.make_dynamic_shape_fixed --input_name x" in said


@pytest.mark.parametrize(
    ("axes", "says"), [(5, "volumes, which are not adopted yet"), (2, "a row of numbers"), (3, "no")]
)
def test_inputs_that_are_no_pictures_are_refused(tmp_path: Path, axes: int, says: str) -> None:
    shape = ["batch", *[8] * (axes - 1)]
    flat = helper.make_node("Flatten", ["x"], ["flat"])
    wide = int(np.prod([8] * (axes - 1)))
    gemm = helper.make_node("Gemm", ["flat", "w"], ["y"])
    weights = numpy_helper.from_array(np.ones((wide, 1), np.float32), "w")
    graph = helper.make_graph(
        [flat, gemm],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
        [weights],
    )
    said = refused(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path)
    assert f"the input 'x' has {axes} axes: {says}" in said


def test_a_fixed_number_of_images_is_refused_unless_it_is_one(tmp_path: Path) -> None:
    assert "the graph takes 8 images at a time" in refused(graph_of(batch=8), tmp_path)


def test_long_metadata_is_passed_over(tmp_path: Path) -> None:
    names = json.dumps(["a" * 100] * 400)
    assert read_given(saved(graph_of(metadata={"names": names}), tmp_path)).classes == ()


def test_what_could_steer_a_terminal_is_not_passed_on(tmp_path: Path) -> None:
    model = graph_of(metadata={"classes": '["a\\u001b[31m", "b"]'})
    model.producer_name = "\x1b]0;title\x07 tool"
    found = read_given(saved(model, tmp_path))
    assert found.producer == "?]0;title? tool 1"
    assert found.classes == ("a?[31m", "b")
    model.graph.output.append(helper.make_tensor_value_info("\x1b[2J", TensorProto.FLOAT, ["batch", 1]))
    model.graph.node.append(helper.make_node("Relu", ["logits"], ["\x1b[2J"]))
    assert "\x1b" not in refused(model, tmp_path, kind=InputError)
