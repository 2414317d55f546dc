"""Looks into an ONNX file before any engine does: a small reader of the protobuf format (onnx.proto3), numpy-free.

ONNX Runtime resolves external data against the file system while it opens a graph. A model folder must never make it
read another file, so the bytes are searched for such references first, and for operators that no model needs. The
``onnx`` package is not needed at use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from semeion.model.operators import Operator, RecursiveFunction, written_out

MAX_DEPTH = 16
MAX_FIELDS = 2_000_000
MAX_SIDES = 32
MAX_SPARSE = 1 << 26
"""Most values of a sparse tensor, which is written out when the graph is opened."""

# Field numbers of onnx.proto3; a message that is not on a path to a tensor is skipped.
_MODEL = {7: "graph", 25: "function", 20: "training"}
_TRAINING = {1: "graph", 2: "graph"}
_GRAPH = {1: "node", 5: "tensor", 15: "sparse"}
_FUNCTION = {7: "node", 11: "attribute"}
_NODE = {5: "attribute"}
_ATTRIBUTE = {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"}
_SPARSE = {1: "tensor", 2: "tensor"}
_CHILDREN: dict[str, dict[int, str]] = {
    "model": _MODEL,
    "training": _TRAINING,
    "graph": _GRAPH,
    "function": _FUNCTION,
    "node": _NODE,
    "attribute": _ATTRIBUTE,
    "sparse": _SPARSE,
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_HUGE = 1 << 80
_DIMS = {"tensor": 1, "sparse": 3}
_NAMES = {"node": (4, 7), "function": (1, 10)}
"""Fields that hold the name and the domain of an operator."""
_ENGINES = ("ai.onnx", "com.microsoft", "com.ms.", "org.pytorch")
"""How domains begin whose operators ONNX Runtime has itself, besides the empty one."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class GraphFacts:
    """What an ONNX file is made of.

    Attributes
    ----------
    external
        Tensors that keep their values in another file.
    operators
        Domain and name of every operator that the file does not define itself, and of those that it does define under
        the name of a domain that engines know.
    nodes
        Operators when the functions that the file defines are written out.
    """

    external: int
    operators: frozenset[Operator]
    nodes: int


def external_tensors(data: bytes) -> int:
    """Return how many tensors of an ONNX model keep their values in another file; see :func:`look_into`."""
    return look_into(data).external


def look_into(data: bytes) -> GraphFacts:
    """Look through every graph, function, operator and tensor of an ONNX file.

    Parameters
    ----------
    data
        The bytes of the ``.onnx`` file.

    Raises
    ------
    ValueError
        When the bytes are no protobuf message, are nested too deeply, or hold no graph; when a tensor declares more
        values than it holds; when functions call one another in a circle.
    """
    view = memoryview(data)
    found, graphs, fields = 0, 0, 0
    names: dict[int, Operator] = {}
    operators: dict[int, Counter[Operator]] = {0: Counter()}
    todo = [("model", 0, len(data), 0, 0)]
    while todo:
        kind, start, stop, depth, owner = todo.pop()
        if depth > MAX_DEPTH:
            raise ValueError("graphs are nested too deeply")
        graphs += kind == "graph"
        if kind == "function":
            owner = len(operators)
            operators[owner] = Counter()
        children = _CHILDREN[kind]
        texts: dict[int, str] = {}
        external, count = False, 1
        for number, wire, low, high in _fields(view, start, stop):
            fields += 1
            if fields > MAX_FIELDS:
                raise ValueError("the graph is too large")
            if wire == _BYTES and number in children:
                todo.append((children[number], low, high, depth + 1, owner))
            elif kind == "tensor" and number == _EXTERNAL_DATA:
                external = True
            elif kind == "tensor" and number == _DATA_LOCATION and wire == _VARINT:
                external = external or _varint(view, low, stop)[0] != 0
            elif number == _DIMS.get(kind):
                count = min(count * _product(view, wire, low, high), _HUGE)
            elif wire == _BYTES and number in _NAMES.get(kind, ()):
                texts[number] = bytes(view[low : min(high, low + 200)]).decode("utf-8", "replace")
        if kind == "tensor":
            found += external
            # The smallest type has four values a byte, and no other form of a tensor is as dense.
            if not external and count > 4 * (stop - start):
                raise ValueError("a tensor declares more values than it holds")
        elif kind == "sparse" and count > MAX_SPARSE:
            raise ValueError("a sparse tensor would fill the memory")
        elif kind == "function":
            names[owner] = (_domain(texts.get(10, "")), texts.get(1, ""))
        elif kind == "node":
            operators[owner][_domain(texts.get(7, "")), texts.get(4, "")] += 1
    if not graphs:
        raise ValueError("it holds no graph")
    return GraphFacts(found, *_made_of(operators, names))


def _made_of(operators: dict[int, Counter[Operator]], names: dict[int, Operator]) -> tuple[frozenset[Operator], int]:
    """Return the operators that the file does not define, and how many there are when functions are written out."""
    own = set(names.values())
    calls: dict[Operator, Counter[Operator]] = {name: Counter() for name in own}
    for number, name in names.items():  # of two functions with one name nobody knows which is meant: both count
        calls[name] += operators[number]

    def split(called: Counter[Operator]) -> tuple[int, Counter[Operator]]:
        inner = Counter({name: times for name, times in called.items() if name in own})
        return called.total() - inner.total(), inner

    try:
        nodes = written_out({name: split(called) for name, called in calls.items()}, split(operators[0]))
    except RecursiveFunction as error:
        raise ValueError("a function of the graph calls itself") from error
    used = {name for called in operators.values() for name in called}
    # Of a function and an operator of its own by one name, ONNX Runtime runs its own.
    return frozenset(name for name in used if name not in own or _is_engines(name[0])), nodes


def _is_engines(domain: str) -> bool:
    return not domain or domain.startswith(_ENGINES)


def _domain(text: str) -> str:
    return "" if text == "ai.onnx" else text


def _product(view: memoryview, wire: int, low: int, high: int) -> int:
    """Return the product of declared sides, one number or packed ones; what is negative counts as huge."""
    if wire == _VARINT:
        return _varint(view, low, high)[0]
    product, sides = 1, 0
    while wire == _BYTES and low < high:
        side, low = _varint(view, low, high)
        product, sides = min(product * side, _HUGE), sides + 1
        if sides > MAX_SIDES:
            raise ValueError("a tensor has too many sides")
    return product


def _varint(view: memoryview, at: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while at < stop and shift < 70:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("it ends inside a number")


def _fields(view: memoryview, at: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield field number, wire type, and the start and end of the value, of one message."""
    while at < stop:
        key, at = _varint(view, at, stop)
        number, wire = key >> 3, key & 7
        low = at
        if wire == _VARINT:
            _, at = _varint(view, at, stop)
        elif wire == _BYTES:
            length, low = _varint(view, at, stop)
            at = low + length
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("it is not an ONNX file")
        if at > stop or number == 0:
            raise ValueError("it is cut short or not an ONNX file")
        yield number, wire, low, at
