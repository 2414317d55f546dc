"""From a graph elsewhere to the house's: ``image`` uint8 (N, C, H, W) in, ``logits`` float32 (N, K) out.

The graph itself is not changed. Before it stand operators that turn bytes into its numbers, behind it those that turn
its answers into logits in the order of the classes. A graph that takes one image alone is run over a batch by ``Scan``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.adopt.answer import ROUGH, SMALLEST, Answer, answers, probabilities
from semeion.adopt.given import Given
from semeion.adopt.look import Look
from semeion.adopt.operators import PREFIX, renamed
from semeion.errors import ModelRefused
from semeion.model.combine import from_logits
from semeion.model.engine import INPUT, OUTPUT, open_engine
from semeion.model.limited import TOGETHER
from semeion.model.manifest import Task
from semeion.model.manifest_file import semeion_version

TOLERANCE = 1e-4
"""Largest difference in probability (for measured values: relative to their spread) between given and wrapped graph."""
_ELEMENT = {"float32": 1, "uint8": 2, "float16": 10, "float64": 11}


class _Chain:
    """Operators one after the other, each on what the last one gave, with the constants that they need."""

    def __init__(self, prefix: str, begin: str) -> None:
        self.prefix, self.value = prefix, begin
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def constant(self, value: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"{self.prefix}{len(self.weights)}_value"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def then(
        self, kind: str, *others: str, output: str | None = None, first: str | None = None, **settings: Any
    ) -> str:
        """Add an operator on ``first`` (the value so far when None) and `others`; its output is the value now."""
        from onnx import helper

        name = output or f"{self.prefix}{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(kind, [first or self.value, *others], [name], name=f"{name}_node", **settings)
        )
        self.value = name
        return name

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, dtype=np.float32))


def wrap(given: Given, look: Look, answer: Answer, task: Task) -> bytes:
    """Return the bytes of the house's graph around a given one.

    Parameters
    ----------
    given, look, answer
        The graph, what it sees, and what it answers.
    task
        Of the target.
    """
    from onnx import TensorProto, helper

    graph = renamed(given.model.graph)
    before = _before(look, given, output=None if answer.single else f"{PREFIX}{given.input}")
    nodes, weights, answered = list(graph.node), list(graph.initializer), f"{PREFIX}{given.output}"
    sparse = list(graph.sparse_initializer)
    if answer.single:
        nodes, answered = [_scan(given, graph, answer, before.value)], "semeion/answers"
        weights, sparse = [], []
    after = _after(answer, answered, task)
    height, width = look.size
    columns = max(1, len(answer.order))
    made = helper.make_graph(
        [*before.nodes, *nodes, *after.nodes],
        "adopted",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", look.channels, height, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", columns])],
        [*before.weights, *weights, *after.weights],
    )
    made.sparse_initializer.extend(sparse)
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid(entry.domain, entry.version) for entry in given.model.opset_import],
        ir_version=max(4, given.model.ir_version),
        producer_name="semeion adopt",
        producer_version=semeion_version(),
    )
    return bytes(model.SerializeToString())


def _before(look: Look, given: Given, output: str | None) -> _Chain:
    """From bytes to the numbers that the graph takes, in its layout and type."""
    chain = _Chain("semeion/in", INPUT)
    if look.blue_first:
        chain.then("Gather", chain.constant(np.array([2, 1, 0], dtype=np.int64)), axis=1)
    if given.takes != "uint8":
        by_channel = (1, look.channels, 1, 1)
        chain.then("Cast", to=_ELEMENT["float32"])
        chain.then("Mul", chain.constant(look.factor.astype(np.float32).reshape(by_channel)))
        chain.then("Add", chain.constant(look.offset.astype(np.float32).reshape(by_channel)))
    if look.layout == "nhwc":
        chain.then("Transpose", perm=[0, 2, 3, 1])
    chain.then("Cast", to=_ELEMENT[given.takes], output=output)
    return chain


def _scan(given: Given, graph: Any, answer: Answer, numbers: str) -> Any:
    """Return the operator that runs the graph over the images of a batch, one at a time."""
    from onnx import TensorProto, helper

    one = _Chain("semeion/one", "semeion/single")
    shape = np.array([1, *given.sides], dtype=np.int64)
    one.then("Reshape", one.constant(shape), output=f"{PREFIX}{given.input}")
    back = _Chain("semeion/back", f"{PREFIX}{given.output}")
    back.then("Reshape", back.constant(np.array([answer.outputs], dtype=np.int64)))
    back.then("Cast", to=_ELEMENT["float32"])
    body = helper.make_graph(
        [*one.nodes, *graph.node, *back.nodes],
        "one",
        [helper.make_tensor_value_info("semeion/single", _ELEMENT[given.takes], list(given.sides))],
        [helper.make_tensor_value_info(back.value, TensorProto.FLOAT, [answer.outputs])],
        [*one.weights, *graph.initializer, *back.weights],
    )
    body.sparse_initializer.extend(graph.sparse_initializer)
    return helper.make_node("Scan", [numbers], ["semeion/answers"], name="semeion/scan", body=body, num_scan_inputs=1)


def _after(answer: Answer, answered: str, task: Task) -> _Chain:
    """From answers to logits in the order of the classes."""
    chain = _Chain("semeion/out", answered)
    chain.then("Reshape", chain.constant(np.array([-1, answer.outputs], dtype=np.int64)))
    if task == "regression":
        chain.then("Cast", to=_ELEMENT["float32"], output=OUTPUT)
        return chain
    chain.then("Cast", to=_ELEMENT["float32"])
    each = task == "multilabel" or answer.outputs == 1
    unsound = ""
    if answer.kind == "probabilities":
        unsound = _unsound(chain, answer.outputs, shares=not each)
        chain.then("Max", chain.scalar(SMALLEST))
        p = chain.then("Min", chain.scalar(1 - SMALLEST if each else 1.0))
        logarithm = chain.then("Log")
        if each:
            # The logit of p. Of two classes with one number, that of the other class is 0.
            no = chain.then("Sub", p, first=chain.scalar(1.0))
            chain.then("Log", first=no)
            chain.then("Sub", chain.value, first=logarithm)
        chain.then("Add", unsound)
    if task != "multilabel" and answer.outputs == 1:
        yes = chain.value
        chain.then("Mul", chain.scalar(0.0))
        chain.then("Concat", yes, axis=1)
    chain.then("Gather", chain.constant(np.array(answer.order, dtype=np.int64)), axis=1, output=OUTPUT)
    return chain


def _unsound(chain: _Chain, outputs: int, *, shares: bool) -> str:
    """Add operators that give NaN for a case whose answers are no probabilities, else 0, and return their output.

    Clipped they would look like a sure finding. Every operator here is as old as :data:`semeion.adopt.given.OLDEST`.
    """
    p = chain.value
    ones = chain.constant(np.ones((outputs, 1), dtype=np.float32))

    def near(value: str, middle: float, most: float) -> str:
        """Give 1 where a value is near, else 0; also where it is no number."""
        chain.then("Sub", chain.scalar(middle), first=value)
        chain.then("Abs")
        chain.then("Less", chain.scalar(most))
        return chain.then("Cast", to=_ELEMENT["float32"])

    near(p, 0.5, 0.5 + ROUGH)
    sound, wanted = chain.then("MatMul", ones), outputs
    if shares:
        summed = chain.then("MatMul", ones, first=p)
        sound, wanted = chain.then("Add", sound, first=near(summed, 1.0, ROUGH)), outputs + 1
    enough = chain.then("Greater", chain.scalar(wanted - 0.5), first=sound)
    found = chain.then("Where", chain.scalar(0.0), chain.scalar(np.nan), first=enough)
    chain.value = p
    return found


def refuse_difference(
    graph: bytes, session: Any, given: Given, look: Look, answer: Answer, task: Task, pixels: npt.NDArray[np.uint8]
) -> float:
    """Compare the wrapped graph with the given one on real images and return the largest difference.

    Parameters
    ----------
    graph
        Of :func:`wrap`.
    session, given, look, answer, task
        The graph as given, opened, and how it was understood.
    pixels
        Prepared images, uint8 ``(N, channels, height, width)``.

    Raises
    ------
    ModelRefused
        When they differ by more than :data:`TOLERANCE`.
    """
    wanted = probabilities(answers(session, given, look, pixels, single=answer.single), answer, task)
    engine = open_engine(graph, where=given.name, bounded=True)
    parts = [engine.run(pixels[start : start + TOGETHER]) for start in range(0, len(pixels), TOGETHER)]
    got = from_logits(np.concatenate(parts), task)
    scale = max(float(np.std(wanted)), 1e-9) if task == "regression" else 1.0
    if not np.array_equal(np.isnan(wanted), np.isnan(got)):
        raise ModelRefused(
            "the graph that would ship finds other answers to be no numbers than the given one",
            where=given.name,
            fix="report this with the model",
        )
    difference = float(np.abs(wanted - got).max() / scale)
    if not difference <= TOLERANCE:
        raise ModelRefused(
            f"the graph that would ship differs from the given one by {difference:.2g} in probability; at most "
            f"{TOLERANCE:g} is allowed",
            where=given.name,
            fix="report this with the model",
        )
    return difference
