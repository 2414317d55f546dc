"""What an ONNX graph is made of: operators that are known, functions without a circle, names that clash with none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from typing import Any

from semeion.errors import ModelRefused
from semeion.model.operators import MOST_NODES, RecursiveFunction, written_out

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Whose operators ONNX Runtime brings along; every other domain needs a library of operators, which is code."""
PREFIX = "given/"
_SHOWN = 5


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield every operator of a graph or function, those of graphs within it too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from nodes_of(inner)


def refuse_unknown(model: Any, where: str) -> None:
    """Refuse operators that are not in the standard and that the file does not define.

    Parameters
    ----------
    model
        ``onnx.ModelProto``.
    where
        The file, for messages.

    Raises
    ------
    ModelRefused
        Naming each operator, or saying that functions call one another in a circle or grow without bound.
    """
    from onnx import defs

    own = {(function.domain, function.name): function for function in model.functions}
    versions = {opset.domain: opset.version for opset in model.opset_import}
    _refuse_growth(model, own, where)
    foreign, missing = set(), set()
    for graph in (model.graph, *model.functions):
        for node in nodes_of(graph):
            if (node.domain, node.op_type) in own:
                continue
            if node.domain not in DOMAINS:
                foreign.add(f"{node.domain}.{node.op_type}")
            elif node.domain in ("", "ai.onnx") and not defs.has(node.op_type, versions.get("", 1), ""):
                missing.add(node.op_type)
    if foreign:
        raise ModelRefused(
            f"the operator {_named(foreign)} is not one that ONNX Runtime brings along",
            where=where,
            fix="export the model with standard operators alone; an operator of one's own is code, and none is run",
        )
    if missing:
        raise ModelRefused(
            f"the operator {_named(missing)} is not in ONNX opset {versions.get('', 1)}",
            where=where,
            fix="export the model with the opset that has it",
        )


def _refuse_growth(model: Any, own: dict[tuple[str, str], Any], where: str) -> None:
    called = {name: _called(function, own) for name, function in own.items()}
    try:
        count = written_out(called, _called(model.graph, own))
    except RecursiveFunction as error:
        raise ModelRefused(
            f"the function {error.args[0][1]!r} of the graph calls itself",
            where=where,
            fix="export the model without it",
        ) from error
    if count > MOST_NODES:
        much = str(count) if count < 10**12 else "more than 10^12"
        raise ModelRefused(
            f"the graph has {much} operators, and {MOST_NODES} is the limit", where=where, fix="export a smaller model"
        )


def _called(graph: Any, own: Container[tuple[str, str]]) -> tuple[int, Counter[tuple[str, str]]]:
    """Return how many operators a graph or function has that are no functions, and how often it calls each function."""
    calls = Counter((node.domain, node.op_type) for node in nodes_of(graph))
    return sum(times for name, times in calls.items() if name not in own), Counter(
        {name: times for name, times in calls.items() if name in own}
    )


def _named(names: set[str]) -> str:
    shown = "".join(letter if letter.isprintable() else "?" for letter in ", ".join(sorted(names)[:_SHOWN]))[:200]
    return shown + (f" (and {len(names) - _SHOWN} more)" if len(names) > _SHOWN else "")


def renamed(graph: Any) -> Any:
    """Return a copy of a graph in which every name of a value begins with :data:`PREFIX`.

    The same prefix at every depth, so that a graph within another still finds the values around it. What a person
    wrote into the graph (its documentation, traces of the program that exported it) is left out.
    """
    made = type(graph)()
    made.CopyFrom(graph)
    _rename(made)
    return made


def _rename(graph: Any) -> None:
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = _new(value.name)
        value.doc_string = ""
    for sparse in graph.sparse_initializer:
        sparse.values.name, sparse.indices.name = _new(sparse.values.name), _new(sparse.indices.name)
    for node in graph.node:
        node.name, node.doc_string = _new(node.name), ""
        node.ClearField("metadata_props")
        node.input[:] = [_new(name) for name in node.input]
        node.output[:] = [_new(name) for name in node.output]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g)
            for inner in attribute.graphs:
                _rename(inner)
    for field in ("value_info", "quantization_annotation", "metadata_props", "doc_string"):
        graph.ClearField(field)


def _new(name: str) -> str:
    return f"{PREFIX}{name}" if name else name
