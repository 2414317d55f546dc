from __future__ import annotations

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from semeion.errors import InputError, ModelRefused
from semeion.model.engine import open_engine, open_session, runtime_errors
from semeion.model.graph import external_tensors


def test_it_runs_what_it_opened(tiny_graph, reference, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_graph())
    for source in (tiny_graph(), path):
        engine = open_engine(source, 1)
        assert (engine.channels, engine.size, engine.n_outputs) == (1, (8, 8), 2)
        output = engine.run(images)
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, reference("binary", images, 1)[0], atol=1e-5)
    assert engine.run(images[:0]).shape == (0, 2)
    np.testing.assert_array_equal(engine.run(images[:, :, ::-1][:, :, ::-1]), output)  # not contiguous


def test_a_batch_of_another_kind_is_refused(tiny_graph):
    engine = open_engine(tiny_graph(), 1)
    for batch in (np.zeros((1, 1, 8, 8), np.float32), np.zeros((1, 1, 9, 8), np.uint8), np.zeros((1, 8, 8), np.uint8)):
        with pytest.raises(ValueError, match=r"a batch must be uint8 \(N, 1, 8, 8\), got"):
            engine.run(batch)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"input": "picture"}, "picture uint8"),
        ({"output": "y"}, "y float"),
        ({"kind": TensorProto.FLOAT}, "image float"),
        ({"shape": ["N", 1, "H", "W"]}, "'H', 'W'"),
        ({"shape": [1, 1, 8, 8]}, "image uint8 [1, 1, 8, 8]"),
        ({"shape": ["N", 1, 8, 4096]}, "4096"),
    ],
)
def test_a_graph_with_another_signature_is_refused(tiny_graph, change, found):
    with pytest.raises(ModelRefused) as caught:
        open_engine(tiny_graph(**change), 1, where="members/a.onnx")
    message = str(caught.value)
    assert message.startswith(
        "members/a.onnx: a graph must take image uint8 (N, C, H, W) and give logits float32 (N, K)"
    )
    assert found in message


def test_a_second_input_is_refused(tiny_graph):
    model = onnx.load_from_string(tiny_graph())
    model.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, ["N"]))
    with pytest.raises(ModelRefused, match="age float"):
        open_engine(model.SerializeToString(), 1)


def dense_graph(shape=("N", 2, 4, 6, 8), labels=3, answer=None, kind=TensorProto.FLOAT, cast=False):
    """Return the bytes of a network of single voxels: a 1 x 1 x 1 convolution."""
    random = np.random.default_rng(0)
    sides = len(shape) - 2
    weights = random.normal(size=(labels, shape[1], *[1] * sides)).astype(np.float32)
    image = helper.make_tensor_value_info("image", kind, list(shape))
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, list(answer or ("N", labels, *shape[2:])))
    nodes = [helper.make_node("Conv", ["x" if cast else "image", "w"], ["logits"])]
    if cast:
        nodes.insert(0, helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT))
    graph = helper.make_graph(nodes, "dense", [image], [logits], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString()), weights


@pytest.mark.parametrize("kind", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("shape", [("N", 2, 4, 6, 8), ("N", 1, 6, 8)])
def test_a_network_of_voxels_answers_for_every_voxel(kind, shape):
    if kind == "openvino":
        pytest.importorskip("openvino")
    data, weights = dense_graph(shape)
    engine = open_engine(data, 1, kind=kind, takes="float32")
    assert (engine.channels, engine.size, engine.n_outputs, engine.dense) == (shape[1], shape[2:], 3, True)
    for n in (2, 1, 3):
        images = np.random.default_rng(n).normal(size=(n, *shape[1:])).astype(np.float32)
        wanted = np.einsum("nc...,lc->nl...", images, weights.reshape(3, -1))
        first = engine.run(images)
        np.testing.assert_allclose(first, wanted, atol=1e-5)
    kept = first.copy()
    engine.run(np.zeros_like(images))
    np.testing.assert_array_equal(first, kept)  # an answer does not change when the engine runs again


def test_volumes_in_256_steps_are_classified():
    pixels = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 2, 4, 6, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x", "axes"], ["logits"], keepdims=0),
    ]
    axes = numpy_helper.from_array(np.array([2, 3, 4], np.int64), "axes")
    graph = helper.make_graph(nodes, "two", [pixels], [logits], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    engine = open_engine(model.SerializeToString(), 1)
    assert (engine.channels, engine.size, engine.dense) == (2, (4, 6, 8), False)
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 4, 6, 8), dtype=np.uint8)
    np.testing.assert_allclose(engine.run(images), images.mean(axis=(2, 3, 4)), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"kind": TensorProto.UINT8, "cast": True}, "image uint8"),
        ({"shape": (1, 2, 4, 6, 8)}, "image float [1, 2"),
        ({"shape": ("N", 2, 4, 6, "W")}, "'W'"),
        ({"shape": ("N", 2, 1024, 1024, 1024)}, "1024, 1024, 1024"),
        ({"shape": ("N", 257, 4, 6, 8)}, "257"),
    ],
)
def test_a_network_of_voxels_with_another_signature_is_refused(change, found):
    with pytest.raises(ModelRefused) as caught:
        open_engine(dense_graph(**change)[0], 1, takes="float32")
    message = str(caught.value)
    assert "a graph must take image float32 (N, C, H, W) or (N, C, D, H, W)" in message
    assert found in message


def test_openvino_is_named_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError) as caught:
        open_engine(dense_graph()[0], 1, kind="openvino", takes="float32")
    assert str(caught.value) == "engine: OpenVINO is not installed; pip install 'semeion[fast]', or use onnxruntime"


@pytest.mark.parametrize("data", [b"", b"not onnx at all", b"\x80\x04K\x01.", b"PK\x03\x04" + bytes(100)])
def test_bytes_that_are_no_graph_are_refused(data):
    with pytest.raises(ModelRefused, match="not an ONNX graph"):
        open_engine(data, 1)


def test_an_unknown_operator_is_refused(tiny_graph):
    model = onnx.load_from_string(tiny_graph())
    model.graph.node[0].op_type = "RunCommand"
    with pytest.raises(ModelRefused, match="operators that no model may use: RunCommand; export the network with"):
        open_engine(model.SerializeToString(), 1)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelRefused, match="the graph cannot be read"):
        open_engine(tmp_path / "nowhere.onnx", 1)


def test_external_data_is_refused(external_graph):
    with pytest.raises(ModelRefused, match="1 of the graph's tensors are kept in another file"):
        open_engine(external_graph, 1)


def test_external_data_is_found_wherever_a_tensor_can_be(tiny_graph):
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1])
    tensor.external_data.add(key="location", value="weights.bin")
    inner = helper.make_graph([], "inner", [], [], [tensor])
    sparse = onnx.SparseTensorProto(values=tensor)
    places = {
        "attribute": lambda m: m.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor)),
        "subgraph": lambda m: m.graph.node.append(helper.make_node("If", ["q"], ["c"], then_branch=inner)),
        "subgraphs": lambda m: m.graph.node.append(helper.make_node("X", ["q"], ["c"], branches=[inner])),
        "sparse": lambda m: m.graph.sparse_initializer.append(sparse),
        "function": lambda m: m.functions.append(
            helper.make_function(
                "d",
                "F",
                [],
                ["c"],
                [helper.make_node("Constant", [], ["c"], value=tensor)],
                [helper.make_opsetid("", 18)],
            )
        ),
        "training": lambda m: m.training_info.append(onnx.TrainingInfoProto(initialization=inner)),
    }
    assert external_tensors(tiny_graph()) == 0
    for place, put in places.items():
        model = onnx.load_from_string(tiny_graph())
        put(model)
        assert external_tensors(model.SerializeToString()) == 1, place


def test_graphs_nested_too_deeply_are_refused():
    inner = helper.make_graph([], "inner", [], [])
    for _ in range(20):
        inner = helper.make_graph([helper.make_node("If", ["q"], ["c"], then_branch=inner)], "g", [], [])
    with pytest.raises(ValueError, match="nested too deeply"):
        external_tensors(helper.make_model(inner).SerializeToString())


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    try:
        external_tensors(data)
    except ValueError as error:
        assert str(error)


def test_a_graph_cut_anywhere_is_read_or_refused(tiny_graph):
    data = tiny_graph()
    for stop in range(len(data)):
        try:
            open_engine(data[:stop], 1)
        except ModelRefused as error:
            assert "graph" in str(error)


def test_the_own_format_of_the_runtime_is_not_opened(tiny_graph, tmp_path):
    """Nobody looked into it: bytes could be a good ONNX file to who looks, and this format to the runtime."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "saved.ort")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(tiny_graph(), options, providers=["CPUExecutionProvider"])
    saved = (tmp_path / "saved.ort").read_bytes()
    assert saved[4:8] == b"ORTM"
    assert onnxruntime.InferenceSession(saved, providers=["CPUExecutionProvider"]).get_inputs()
    with pytest.raises(runtime_errors(), match="INVALID_PROTOBUF"):
        open_session(saved, 1)


def telling_graph(further=(("features", ("N", 3), TensorProto.FLOAT),), answer=None):
    """Return a graph of the means of three channels whose further outputs are as declared, or made by `answer`."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 3, 4, 4])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x", "axes"], ["logits"], keepdims=0),
    ]
    axes = [numpy_helper.from_array(np.array([2, 3], np.int64), "axes")]
    outputs = []
    for number, (name, shape, kind) in enumerate(further):
        outputs.append(helper.make_tensor_value_info(name, kind, shape))
        if answer is not None:
            nodes.append(answer(name))
            continue
        if not all(isinstance(side, int) for side in shape[1:]):
            # Nothing but a run tells the shape.
            axes.append(numpy_helper.from_array(np.array([-1], np.int64), "flat"))
            nodes += [
                helper.make_node("Cast", ["logits"], ["whole"], to=TensorProto.INT64),
                helper.make_node("Reshape", ["whole", "flat"], ["shape"]),
                helper.make_node("ConstantOfShape", ["shape"], [name]),
            ]
            continue
        # What is declared: the first mean of each case, as often as it says.
        sides = [side if isinstance(side, int) else 1 for side in shape[1:]]
        axes.append(numpy_helper.from_array(np.array([-1, *[1] * (len(shape) - 1)], np.int64), f"to{number}"))
        axes.append(numpy_helper.from_array(np.array([1, *sides], np.int64), f"as{number}"))
        axes.append(numpy_helper.from_array(np.array([0], np.int64), f"at{number}"))
        nodes += [
            helper.make_node("Gather", ["logits", f"at{number}"], [f"one{number}"], axis=1),
            helper.make_node("Reshape", [f"one{number}", f"to{number}"], [f"shaped{number}"]),
            helper.make_node("Cast", [f"shaped{number}"], [f"cast{number}"], to=kind),
            helper.make_node("Expand", [f"cast{number}", f"as{number}"], [name]),
        ]
    graph = helper.make_graph(nodes, "telling", [image], [logits, *outputs], axes)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


FLOAT = TensorProto.FLOAT
TOLD = (
    ("features", ("N", 3), FLOAT),
    ("maps", ("N", 3, 2, 2), FLOAT),
    ("map_stride8rows", ("N", 1, 2, 5, 2, 2), FLOAT),
    ("weights", ("N", 7), FLOAT),
)


@pytest.mark.parametrize("kind", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("bounded", [False, True])
def test_further_outputs_are_given_when_they_are_asked_for(kind, bounded):
    if kind == "openvino":
        pytest.importorskip("openvino")
    engine = open_engine(telling_graph(TOLD), 1, kind=kind, bounded=bounded)
    assert engine.extras == ("features", "maps", "map_stride8rows", "weights")
    assert engine.n_outputs == 3 and not engine.dense
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4), dtype=np.uint8)
    means = images.mean((2, 3), dtype=np.float32)
    assert engine.look(images, ()).keys() == {"logits"}
    given = engine.look(images, ["maps", "weights"])
    assert list(given) == ["logits", "maps", "weights"]
    np.testing.assert_allclose(given["logits"], means, rtol=1e-5)
    assert given["maps"].shape == (20, 3, 2, 2) and given["maps"].dtype == np.float32
    np.testing.assert_allclose(given["maps"], np.broadcast_to(means[:, :1, None, None], (20, 3, 2, 2)), rtol=1e-5)
    assert engine.look(images, ["map_stride8rows"])["map_stride8rows"].shape == (20, 1, 2, 5, 2, 2)
    np.testing.assert_array_equal(engine.run(images), given["logits"])
    assert engine.look(images[:0], ["maps"])["maps"].shape == (0, 3, 2, 2)
    with pytest.raises(KeyError):
        engine.look(images, ["map_head"])


@pytest.mark.parametrize(
    "further",
    [
        ("secret", ("N", 3), FLOAT),
        ("Maps", ("N", 3, 2, 2), FLOAT),
        ("map_", ("N", 3, 2, 2), FLOAT),
        ("map_STRIDE8", ("N", 3, 2, 2), FLOAT),
        ("map_" + "a" * 21, ("N", 3, 2, 2), FLOAT),
        ("maps\n", ("N", 3, 2, 2), FLOAT),
        ("../maps", ("N", 3, 2, 2), FLOAT),
        ("features", ("N", 3), TensorProto.DOUBLE),
        ("features", ("N", 3), TensorProto.INT64),
        ("features", ("N", "W"), FLOAT),
        ("features", (20, 3), FLOAT),
        ("features", ("N",), FLOAT),
        ("maps", ("N", 3, 0, 2), FLOAT),
        ("maps", ("N", 3, 2, "W"), FLOAT),
        ("maps", ("N", 1, 1, 1, 1, 1, 1), FLOAT),
        ("maps", ("N", 3, 8192, 8192), FLOAT),
        ("maps", ("N", 1, 1, 5000), FLOAT),
        ("weights", ("N", 1 << 20), FLOAT),
    ],
)
def test_a_further_output_that_no_model_has_is_refused(further):
    with pytest.raises(ModelRefused) as caught:
        open_engine(telling_graph([further]), 1)
    assert "a graph must take image uint8 (N, C, H, W) and give logits float32 (N, K)" in str(caught.value)
    assert "\n" not in str(caught.value.what)


def test_more_further_outputs_than_any_model_has_are_refused():
    names = [f"map_layer{letter}" for letter in "abcdefghijklmnopq"]
    for count in (16, 17):
        graph = telling_graph([(name, ("N", 1), FLOAT) for name in names[:count]])
        if count == 16:
            assert len(open_engine(graph, 1).extras) == 16
            continue
        with pytest.raises(ModelRefused, match="a graph must take image"):
            open_engine(graph, 1)


@pytest.mark.parametrize("bounded", [False, True])
def test_a_further_output_of_another_shape_than_declared_is_refused(bounded):
    # Flattened pixels: 48 numbers a case, or as many cases as there are channels, and 6 are declared.
    answer = lambda name: helper.make_node("Flatten", ["x"], [name], axis=1)  # noqa: E731
    images = np.zeros((2, 3, 4, 4), np.uint8)
    with pytest.raises(ModelRefused, match=r"a graph must take image .*, features float \['N', None\]"):
        open_engine(telling_graph([("features", ("N", 6), FLOAT)], answer), 1, bounded=bounded).look(
            images, ["features"]
        )
    channels = lambda name: helper.make_node("Flatten", ["x"], [name], axis=2)  # noqa: E731
    engine = open_engine(telling_graph([("features", ("N", 16), FLOAT)], channels), 1, bounded=bounded)
    with pytest.raises(ModelRefused, match=r"the graph answers \(6, 16\)"):
        engine.look(images, ["features"])
    np.testing.assert_array_equal(engine.run(images), np.zeros((2, 3)))
