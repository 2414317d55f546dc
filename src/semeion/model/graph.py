"""Looks into an ONNX file before any engine does: a small reader of the protobuf format (onnx.proto3), numpy-free.

ONNX Runtime resolves external data against the file system while it opens a graph. A model folder must never make it
read another file, so the bytes are searched for such references first. The ``onnx`` package is not needed at use.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_DEPTH = 16
MAX_FIELDS = 2_000_000

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
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def external_tensors(data: bytes) -> int:
    """Return how many tensors of an ONNX model keep their values in another file.

    Parameters
    ----------
    data
        The bytes of the ``.onnx`` file.

    Raises
    ------
    ValueError
        When the bytes are no protobuf message, are nested too deeply, or hold no graph.
    """
    found, graphs, fields = 0, 0, 0
    todo = [("model", 0, len(data), 0)]
    view = memoryview(data)
    while todo:
        kind, start, stop, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise ValueError("graphs are nested too deeply")
        graphs += kind == "graph"
        external = False
        children = _CHILDREN[kind]
        for number, wire, low, high in _fields(view, start, stop):
            fields += 1
            if fields > MAX_FIELDS:
                raise ValueError("the graph is too large")
            if wire == _BYTES and number in children:
                todo.append((children[number], low, high, depth + 1))
            elif kind == "tensor" and number == _EXTERNAL_DATA:
                external = True
            elif kind == "tensor" and number == _DATA_LOCATION and wire == _VARINT:
                external = external or _varint(view, low, stop)[0] != 0
        found += external
    if not graphs:
        raise ValueError("it holds no graph")
    return found


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
