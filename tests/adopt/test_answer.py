"""What a network's numbers mean: found by running it where that is sure, else asked; and which answers are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from adopt.graphs import graph_of, pixels, saved
from semeion.adopt.answer import Answer, probabilities, try_graph, understand
from semeion.adopt.given import Given, read_given
from semeion.adopt.look import look_of
from semeion.adopt.wrap import wrap
from semeion.errors import InputError, ModelRefused
from semeion.model.combine import from_logits
from semeion.model.engine import open_engine

TWO = ("benign", "malignant")


def tried(folder: Path, model: Any, seen: Any = None, **look: Any) -> tuple[Given, np.ndarray, bool]:
    given = read_given(saved(model, folder))
    scale = None if given.takes == "uint8" else "0..1"
    channels = given.sides[0] if given.sides[0] in (1, 3) else given.sides[2]
    images = pixels(channels=channels) if seen is None else seen
    cases = [f"case-{number}" for number in range(len(images))]
    return given, *try_graph(given.session(1), given, look_of(given, scale=scale, **look), images, cases)


def means(folder: Path, model: Any, task: str = "binary", classes: Any = TWO, **said: Any) -> Answer:
    given, values, single = tried(folder, model)
    return understand(given, values, task, classes, single=single, named=said.pop("named", classes), **said)  # type: ignore[arg-type]


def refused(folder: Path, model: Any, kind: type[Exception] = ModelRefused, **how: Any) -> str:
    with pytest.raises(kind) as caught:
        means(folder, model, **how)
    return str(caught.value)


@pytest.mark.parametrize(
    ("made", "task", "classes", "kind", "why"),
    [
        ({}, "binary", TWO, "probabilities", "the graph ends in a sigmoid"),
        ({"end": ""}, "binary", TWO, "logits", "some answers lie outside 0 to 1"),
        ({"end": "Softmax", "outputs": 2}, "binary", TWO, "probabilities", "its sum is 1"),
        ({"end": "Softmax", "outputs": 3}, "multiclass", ("a", "b", "c"), "probabilities", "its sum is 1"),
        ({"end": "", "outputs": 3}, "ordinal", ("a", "b", "c"), "logits", "outside 0 to 1"),
        ({"end": "LogSoftmax", "outputs": 3}, "multiclass", ("a", "b", "c"), "logits", "outside 0 to 1"),
        ({"outputs": 2}, "multilabel", ("a", "b"), "probabilities", "sigmoid"),
    ],
)
def test_probabilities_and_logits_are_told_apart_where_sure(
    tmp_path: Path, made: dict[str, Any], task: str, classes: Any, kind: str, why: str
) -> None:
    found = means(tmp_path, graph_of(**made), task, classes)
    assert (found.kind, found.single) == (kind, False)
    assert why in found.why["kind"]


def test_a_measured_value_is_taken_as_it_is(tmp_path: Path) -> None:
    found = means(tmp_path, graph_of(end=""), "regression", (), named=())
    assert (found.kind, found.classes, found.order) == ("value", (), ())
    said = refused(tmp_path, graph_of(end=""), InputError, task="regression", classes=(), named=("a",))
    assert "a measured value has no classes" in said


def test_what_is_not_sure_is_asked(tmp_path: Path) -> None:
    # A sigmoid of each of three classes: between 0 and 1, and no sum of 1.
    each = graph_of(outputs=3)
    said = refused(tmp_path, each, InputError, task="multiclass", classes=("a", "b", "c"))
    assert "lie from 0 to 1 and do not sum to 1, so they are no probabilities of classes of which one is true" in said
    assert "say --gives logits where they are logits, or export the network with its softmax" in said
    said = refused(tmp_path, each, InputError, task="multiclass", classes=("a", "b", "c"), stated="probabilities")
    assert "of 24 images do not sum to 1 (one sums to " in said
    # One number between 0 and 1 that no sigmoid gave.
    plain = graph_of(end="", weights=[[0.3]], bias=[0.2])
    assert "lie from 0 to 1 and could be either" in refused(tmp_path, plain, InputError)
    assert means(tmp_path, plain, stated="logits").why["kind"] == "given with --gives"


def test_what_is_stated_against_the_answers_is_refused(tmp_path: Path) -> None:
    assert "--gives: the network gives logits: of 24 images some answers lie outside 0 to 1" in refused(
        tmp_path, graph_of(end=""), InputError, stated="probabilities"
    )
    assert "--gives: the network gives probabilities" in refused(tmp_path, graph_of(), InputError, stated="logits")
    assert "unknown kind 'odds'; write logits or probabilities" in refused(
        tmp_path, graph_of(), InputError, stated="odds"
    )


def test_classes_are_needed_in_the_order_of_the_outputs(tmp_path: Path) -> None:
    said = refused(tmp_path, graph_of(), InputError, named=())
    assert said.startswith("--classes: which class each output stands for is not in the graph")
    assert "of one output first the class of 0 and then that of 1; the table has benign, malignant" in said
    assert "the table has no class 'malign', did you mean 'malignant'?" in refused(
        tmp_path, graph_of(), InputError, named=("benign", "malign")
    )
    for named in (("benign",), ("benign", "benign")):
        assert "are not the 2 classes of the table; name each of benign, malignant once" in refused(
            tmp_path, graph_of(), InputError, named=named
        )
    assert means(tmp_path, graph_of(), named=("malignant", "benign")).order == (1, 0)


def test_classes_in_the_file_are_taken_and_not_overruled(tmp_path: Path) -> None:
    model = graph_of(metadata={"classes": '["malignant", "benign"]'})
    found = means(tmp_path, model, named=())
    assert (found.order, found.why["classes"]) == ((1, 0), "read from the file's metadata")
    said = refused(tmp_path, model, InputError, named=TWO)
    assert "the file says that its outputs are malignant, benign, in this order" in said


@pytest.mark.parametrize(
    ("outputs", "task", "classes", "says"),
    [
        (3, "binary", TWO, "the graph gives 3 numbers an image, and 2 classes of the table need 1 or 2"),
        (2, "multiclass", ("a", "b", "c"), "and 3 classes of the table need 3"),
        (1, "multilabel", ("a", "b"), "and 2 labels of the table need 2"),
        (2, "regression", (), "and a measured value of the table need 1"),
    ],
)
def test_a_wrong_number_of_outputs_is_refused(tmp_path: Path, outputs: int, task: str, classes: Any, says: str) -> None:
    assert says in refused(tmp_path, graph_of(outputs=outputs), task=task, classes=classes)


def test_answers_that_are_no_numbers_are_refused_with_the_case(tmp_path: Path) -> None:
    log = helper.make_node("Log", ["x"], ["seen"])
    dark = np.maximum(pixels(), 1)
    dark[7] = 0
    with pytest.raises(ModelRefused) as caught:
        tried(tmp_path, graph_of(end="", extra=[log]), dark)
    assert "the graph's answer is not a number for 1 of 24 images (first: case case-7)" in str(caught.value)
    assert "check --scale, --mean, --std" in str(caught.value)


def test_the_same_answer_to_every_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="the graph gives the same answer to all of 24 images; check --scale"):
        tried(tmp_path, graph_of(weights=[[1000.0]]))


def test_a_graph_for_training_is_refused(tmp_path: Path) -> None:
    noise = helper.make_node("RandomNormalLike", ["x"], ["noise"])
    added = helper.make_node("Add", ["x", "noise"], ["seen"])
    with pytest.raises(ModelRefused, match=r"answers differently when it is run twice.*model\.eval\(\)"):
        tried(tmp_path, graph_of(extra=[noise, added]))


def test_a_graph_whose_images_look_at_one_another_is_refused(tmp_path: Path) -> None:
    mean = helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1)
    less = helper.make_node("Sub", ["x", "m"], ["seen"])
    with pytest.raises(ModelRefused, match="the answer to an image depends on which other images are run with it"):
        tried(tmp_path, graph_of(extra=[mean, less], end=""))


def test_a_free_axis_that_is_not_free_is_run_one_by_one(tmp_path: Path) -> None:
    assert tried(tmp_path, graph_of(baked=1))[2]
    assert tried(tmp_path, graph_of(batch=1))[2]


def test_a_graph_that_fails_on_images_is_refused(tmp_path: Path) -> None:
    # Five images baked in: neither one nor several others can be run.
    with pytest.raises(ModelRefused, match=r"the graph fails when it runs on images|not a few numbers each"):
        tried(tmp_path, graph_of(baked=5))


def test_answers_for_every_pixel_are_refused(tmp_path: Path) -> None:
    model = graph_of()
    model.graph.output.append(helper.make_tensor_value_info("map", TensorProto.FLOAT, None))
    model.graph.node.append(helper.make_node("Relu", ["x"], ["map"]))
    del model.graph.output[0]
    model.graph.output[0].type.tensor_type.shape.CopyFrom(model.graph.input[0].type.tensor_type.shape)
    with pytest.raises(ModelRefused, match="which is not a few numbers each; export a classifier"):
        tried(tmp_path, model)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(
    ("made", "task", "classes", "named"),
    [
        ({}, "binary", TWO, TWO),
        ({}, "binary", TWO, TWO[::-1]),
        ({"end": ""}, "binary", TWO, TWO[::-1]),
        ({"end": "Softmax", "outputs": 2, "channels": 3}, "binary", TWO, TWO[::-1]),
        ({"end": "Softmax", "outputs": 3, "layout": "nhwc"}, "multiclass", ("a", "b", "c"), ("c", "a", "b")),
        ({"end": "", "outputs": 3, "opset": 9}, "multiclass", ("a", "b", "c"), ("b", "a", "c")),
        ({"outputs": 2}, "multilabel", ("a", "b"), ("b", "a")),
        ({"end": "", "outputs": 2}, "multilabel", ("a", "b"), ("b", "a")),
        ({"takes": TensorProto.UINT8, "end": "", "weights": [[0.01]]}, "regression", (), ()),
        ({"takes": TensorProto.FLOAT16, "gives": TensorProto.FLOAT16}, "binary", TWO, TWO),
        ({"takes": TensorProto.DOUBLE, "gives": TensorProto.DOUBLE}, "binary", TWO, TWO),
    ],
)
def test_the_wrapped_graph_says_what_the_given_one_says(
    tmp_path: Path, made: dict[str, Any], task: Any, classes: Any, named: Any, single: bool
) -> None:
    given = read_given(saved(graph_of(**made, **({"batch": 1} if single else {})), tmp_path))
    channels = made.get("channels", 1)
    seen, blue = pixels(channels=channels), channels == 3
    look = look_of(given, scale=None if given.takes == "uint8" else "0..1", blue_first=blue)
    values, alone = try_graph(given.session(1), given, look, seen, [""] * len(seen))
    answer = understand(given, values, task, classes, single=alone, named=named)
    engine = open_engine(wrap(given, look, answer, task), 1)
    assert (engine.channels, engine.size, engine.n_outputs) == (channels, look.size, max(1, len(classes)))
    got = from_logits(engine.run(seen), task)
    np.testing.assert_allclose(got, probabilities(values, answer, task), atol=2e-6)
    # By another way: each class where the user named it.
    for place, name in enumerate(classes):
        if values.shape[1] == len(classes) and answer.kind == "probabilities":
            np.testing.assert_allclose(got[:, place], values[:, named.index(name)], atol=2e-6)
    if values.shape[1] == 1 and answer.kind == "probabilities":
        np.testing.assert_allclose(got[:, classes.index(named[1])], values[:, 0], atol=2e-6)


def test_what_people_wrote_into_the_file_does_not_ship(tmp_path: Path) -> None:
    model = graph_of(metadata={"author": "MRN-7300"})
    model.doc_string = model.graph.doc_string = model.graph.node[0].doc_string = "MRN-7300"
    model.graph.node[0].metadata_props.add(key="trace", value="MRN-7300")
    given = read_given(saved(model, tmp_path))
    look = look_of(given, scale="0..1")
    values, single = try_graph(given.session(1), given, look, pixels(), [""] * 24)
    graph = wrap(given, look, understand(given, values, "binary", TWO, single=single, named=TWO), "binary")
    assert b"MRN-7300" not in graph
    assert b"semeion adopt" in graph


def test_a_graph_within_the_graph_still_finds_the_values_around_it(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Mul", ["x", "two"], ["image"])],
        "in",
        [],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, None)],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["plain"])],
        "out",
        [],
        [helper.make_tensor_value_info("plain", TensorProto.FLOAT, None)],
    )
    model = graph_of(extra=[helper.make_node("If", ["yes"], ["seen"], then_branch=inner, else_branch=other)])
    model.graph.node[-1].output[0] = model.graph.output[0].name = "answer"
    weights = [numpy_helper.from_array(np.array(True), "yes"), numpy_helper.from_array(np.float32([2]), "two")]
    model.graph.initializer.extend(weights)
    for batch in ("batch", 1):
        model.graph.input[0].type.tensor_type.shape.dim[0].Clear()
        if batch == 1:
            model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        given = read_given(saved(model, tmp_path))
        look = look_of(given, scale="0..1")
        values, single = try_graph(given.session(1), given, look, pixels(), [""] * 24)
        answer = understand(given, values, "binary", TWO, single=single, named=TWO)
        got = from_logits(open_engine(wrap(given, look, answer, "binary"), 1).run(pixels()), "binary")
        np.testing.assert_allclose(got[:, 1], values[:, 0], atol=2e-6)


@drawn(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3), st.floats(-9e-4, 9e-4))
def test_probabilities_of_classes_always_sum_to_one(values: list[float], off: float) -> None:
    answer = Answer("probabilities", 3, ("a", "b", "c"), (2, 0, 1), False, {})
    given = np.array(values) / sum(values) * (1 + off)
    found = probabilities(given[None], answer, "multiclass")
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found[0] * given.sum(), given[[2, 0, 1]], atol=1e-12)


@pytest.mark.parametrize(
    ("task", "classes", "answers", "sound"),
    [
        # Rounding is clipped, or divided by the sum; what lies beyond it, or is no number, is no probability.
        ("binary", TWO, [[0.0], [-0.0005], [1.0005], [0.3], [1.002], [-0.002], [np.nan], [np.inf]], 4),
        ("binary", TWO, [[0.3, 0.7], [0.3, 0.7005], [-0.0005, 1.0], [0.3, 0.72], [-0.1, 1.1], [np.nan, 1.0]], 3),
        ("multiclass", ("a", "b", "c"), [[0.2, 0.3, 0.5], [0.2, 0.3, 0.5008], [0.2, 0.3, 0.6], [1.0, 1.0, -1.0]], 2),
        # Labels have no sum; one that is wrong takes the case's others along.
        ("multilabel", ("a", "b"), [[0.9, 0.9], [1.0005, 0.2], [1.01, 0.2], [0.2, np.nan]], 2),
    ],
)
def test_answers_that_are_no_probabilities_give_none(
    tmp_path: Path, task: Any, classes: Any, answers: list[list[float]], sound: int
) -> None:
    """The graph that ships says of every later case what was refused at the trial."""
    wanted = np.array(answers, dtype=np.float32)
    outputs = wanted.shape[1]
    # The first pixel picks a row: a graph that answers whatever is asked of it.
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["largest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Cast", ["largest"], ["row"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "row"], ["y"], axis=0),
    ]
    model = graph_of(outputs=outputs, end="")
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(numpy_helper.from_array(wanted, "table"))
    model.graph.output[0].name = "y"
    given = read_given(saved(model, tmp_path))
    look = look_of(given, scale="0..255")
    order = tuple(range(len(classes)))
    for single in (False, True):
        answer = Answer("probabilities", outputs, classes, order, single, {})
        seen = np.broadcast_to(np.arange(len(wanted), dtype=np.uint8)[:, None, None, None], (len(wanted), 1, 24, 24))
        got = from_logits(open_engine(wrap(given, look, answer, task), 1).run(np.ascontiguousarray(seen)), task)
        assert np.isfinite(got).all(axis=1).tolist() == [row < sound for row in range(len(wanted))]
        np.testing.assert_allclose(got, probabilities(wanted.astype(np.float64), answer, task), atol=1e-6)
        if task != "multilabel":
            np.testing.assert_allclose(got[:sound].sum(axis=1), 1)
