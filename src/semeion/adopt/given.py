"""An ONNX file from elsewhere, read as hostile input: what it takes, what it gives, and why it is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import Any

from semeion.adopt.bounds import bounded_memory
from semeion.adopt.operators import refuse_unknown
from semeion.errors import InputError, MachineError, ModelRefused, nearest
from semeion.model.engine import first_line, open_session, runtime_errors
from semeion.model.graph import external_tensors

LARGEST = 1 << 30
"""Bytes of a file that is read at all."""
OLDEST = 9
"""Opset from which on the operators exist that are put around a graph (2018)."""
TYPES = {1: "float32", 2: "uint8", 10: "float16", 11: "float64"}
"""Element types of ONNX that pixels can become."""
CLASS_KEYS = ("classes", "class_names", "labels", "names")
"""Where exporters write the names of the classes into a file's metadata."""
_THROUGH = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
_EMBED = (
    "save it as one file: onnx.save_model(onnx.load('model.onnx'), 'one.onnx', save_as_external_data=False), or export "
    "with torch.onnx.export(..., external_data=False)"
)
_TORCH = "export it first: torch.onnx.export(model.eval(), example, 'model.onnx')"
_KERAS = "export it first: model.export('model.onnx', format='onnx')"
OTHERS = {
    ".pt": ("a PyTorch file, whose pickle can run any code", _TORCH),
    ".pth": ("a PyTorch file, whose pickle can run any code", _TORCH),
    ".ckpt": ("a checkpoint, whose pickle can run any code", _TORCH),
    ".pkl": ("a pickle, which can run any code", "export the model to ONNX"),
    ".keras": ("a Keras file, not an ONNX graph", _KERAS),
    ".h5": ("a Keras file, not an ONNX graph", _KERAS),
    ".hdf5": ("a Keras file, not an ONNX graph", _KERAS),
    ".pb": ("a TensorFlow graph, not an ONNX graph", "convert it with tf2onnx"),
    ".tflite": ("a TensorFlow Lite file, not an ONNX graph", "convert it with tf2onnx"),
}


@dataclass(frozen=True)
class Given:
    """A graph from elsewhere that passed every check that needs no image.

    Attributes
    ----------
    model
        ``onnx.ModelProto``, its own functions written out.
    name, sha256
        Of the file.
    producer
        What wrote the file, for example ``pytorch 2.13.0``; empty when it does not say.
    opset
        Of the standard operators.
    input, takes, batch, sides
        Name and type of the input, its first axis (None: free), and the other three.
    output, gives
        Name of the output that is read, and its shape (None: free).
    last
        The last operator that changes values: ``Sigmoid`` or ``Softmax`` say what they give.
    classes
        Names of the outputs, where the file says them.
    """

    model: Any
    name: str
    sha256: str
    producer: str
    opset: int
    input: str
    takes: str
    batch: int | None
    sides: tuple[int, int, int]
    output: str
    gives: tuple[int | None, ...] | None
    last: str
    classes: tuple[str, ...]

    def session(self, threads: int | None) -> Any:
        """Open the graph as it was given.

        Raises
        ------
        ModelRefused
            When ONNX Runtime cannot, which names the operator that it lacks.
        """
        return _open(self.model.SerializeToString(), threads, self.name)


def refuse_no_onnx() -> None:
    """Stop where the package that reads ONNX files is not installed.

    Raises
    ------
    InputError
        Saying how to install it.
    """
    if find_spec("onnx") is None:
        raise InputError(
            "adopting needs a package that is not installed", where="onnx", fix="pip install 'semeion[train]'"
        )


def read_given(path: Path, output: str | None = None) -> Given:
    """Read and check an ONNX file; nothing in it is run but by ONNX Runtime.

    Parameters
    ----------
    path
        The file.
    output
        Name of the output that is read, where there are several.

    Raises
    ------
    InputError
        When no output or another one was named.
    ModelRefused
        When the file is none, or its graph cannot be trusted, run or wrapped; the message says what to do.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import checker, inliner

    data, where = _bytes(path), path.name
    try:
        external = external_tensors(data)
        model = onnx.load_from_string(data)
    except (ValueError, DecodeError) as error:
        raise ModelRefused(
            f"not an ONNX graph: {first_line(error)}", where=where, fix="export the model again"
        ) from error
    if external:
        raise ModelRefused(f"{external} of the graph's tensors are kept in another file", where=where, fix=_EMBED)
    opset = _opset(model, where)
    refuse_unknown(model, where)
    try:
        checker.check_model(model)
        if model.functions:
            model = inliner.inline_local_functions(model)
    except (checker.ValidationError, RuntimeError, ValueError) as error:
        raise ModelRefused(
            f"not a valid ONNX graph ({first_line(error)})", where=where, fix="export the model again"
        ) from error
    # Who opens it first, before its shapes are believed: an operator without a kernel is named here.
    _open(data, 1, where)
    entry, taken = _input(model.graph, where), _output(model.graph, output, where)
    shape = _shape(entry)
    return Given(
        model=model,
        name=where,
        sha256=hashlib.sha256(data).hexdigest(),
        producer=printable(" ".join(f"{model.producer_name} {model.producer_version}".split())),
        opset=opset,
        input=entry.name,
        takes=TYPES[entry.type.tensor_type.elem_type],
        batch=_batch(shape, where),
        sides=_sides(shape, entry.name, where),
        output=taken.name,
        gives=_shape(taken),
        last=_last(model.graph, taken.name),
        classes=_classes(model),
    )


def printable(text: str) -> str:
    """Return what a file of others says without what could steer a terminal, and not too long for a message."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]


def _bytes(path: Path) -> bytes:
    if not path.exists():
        raise InputError("no such file", where=str(path), fix="correct the path")
    if (known := OTHERS.get(path.suffix.lower())) is not None:
        raise ModelRefused(f"this is {known[0]}", where=path.name, fix=known[1])
    if not path.is_file():
        raise ModelRefused("this is not a file", where=path.name, fix="give the .onnx file")
    try:
        if path.stat().st_size > LARGEST:
            raise ModelRefused(
                f"the file has {path.stat().st_size >> 20} MiB, and {LARGEST >> 20} MiB is the limit",
                where=path.name,
                fix="export a smaller model, for example with weights in float16",
            )
        return path.read_bytes()
    except OSError as error:
        raise MachineError(f"the file cannot be read ({error.strerror})", where=str(path), fix="correct it") from error


def _open(data: bytes, threads: int | None, where: str) -> Any:
    try:
        with bounded_memory():
            return open_session(data, threads)
    except runtime_errors() as error:
        raise ModelRefused(
            f"ONNX Runtime cannot run the graph ({first_line(error)})",
            where=where,
            fix="export the model with operators and an opset that ONNX Runtime has",
        ) from error


def _opset(model: Any, where: str) -> int:
    versions = {entry.domain: int(entry.version) for entry in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    if opset < OLDEST:
        raise ModelRefused(
            f"the graph is of ONNX opset {opset}, and {OLDEST} is the oldest that is wrapped",
            where=where,
            fix="export it with opset 17 or later, or convert it with onnx.version_converter",
        )
    return opset


def _input(graph: Any, where: str) -> Any:
    weights = {tensor.name for tensor in graph.initializer}
    entries = [entry for entry in graph.input if entry.name not in weights]
    if len(entries) != 1:
        names = printable(", ".join(entry.name for entry in entries)) or "none"
        raise ModelRefused(
            f"the graph has {len(entries)} inputs ({names}), and one image is all that a case brings",
            where=where,
            fix="export a model that takes one image",
        )
    found = entries[0].type.tensor_type.elem_type if entries[0].type.HasField("tensor_type") else 0
    if found not in TYPES:
        raise ModelRefused(
            f"the input {entries[0].name!r} is {_type_name(found)}, and pixels are {', '.join(TYPES.values())}",
            where=where,
            fix="export a model that takes pixels as float32 or uint8",
        )
    return entries[0]


def _type_name(found: int) -> str:
    from onnx import TensorProto

    return TensorProto.DataType.Name(found).lower() if found in TensorProto.DataType.values() and found else "no tensor"


def _output(graph: Any, asked: str | None, where: str) -> Any:
    by_name = {entry.name: entry for entry in graph.output}
    names = printable(", ".join(by_name)) or "none"
    if asked is not None and asked not in by_name:
        raise InputError(
            f"the graph has no output {asked!r}{nearest(asked, by_name)}",
            where="--output-name",
            fix=f"name one of {names}",
        )
    if asked is None and len(by_name) != 1:
        raise InputError(
            f"the graph has {len(by_name)} outputs, and one answers",
            where=where,
            fix=f"name it with --output-name: {names}",
        )
    entry = by_name[asked] if asked is not None else graph.output[0]
    found = entry.type.tensor_type.elem_type if entry.type.HasField("tensor_type") else 0
    if TYPES.get(found) not in ("float32", "float16", "float64"):
        raise ModelRefused(
            f"the output {entry.name!r} is {_type_name(found)}: the number of a class is no probability, and cannot be "
            "weighed",
            where=where,
            fix="export the layer before it, which gives probabilities or logits",
        )
    return entry


def _shape(entry: Any) -> tuple[int | None, ...] | None:
    """Return the sides of a value, None where a side is free, or where nothing is said at all."""
    tensor = entry.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(side.dim_value if side.dim_value > 0 else None for side in tensor.shape.dim)


def _batch(shape: tuple[int | None, ...] | None, where: str) -> int | None:
    first = shape[0] if shape else None
    if first not in (None, 1):
        raise ModelRefused(
            f"the graph takes {first} images at a time, no more and no fewer",
            where=where,
            fix="export it with a free first axis, or for one image",
        )
    return first


def _sides(shape: tuple[int | None, ...] | None, name: str, where: str) -> tuple[int, int, int]:
    if shape is not None and len(shape) != 4:
        kinds = {5: "volumes, which are not adopted yet", 2: "a row of numbers"}
        raise ModelRefused(
            f"the input {name!r} has {len(shape)} axes: {kinds.get(len(shape), 'not a picture')}",
            where=where,
            fix="give a model of pictures, whose input is images x channels x rows x columns, or channels last",
        )
    sides = [side for side in shape[1:] if side is not None] if shape is not None else []
    if shape is None or len(sides) < 3:
        told = (
            "of no stated shape" if shape is None else f"({', '.join('free' if s is None else str(s) for s in shape)})"
        )
        raise ModelRefused(
            f"the input {name!r} is {told}: rows, columns and channels must be fixed",
            where=where,
            # The name is the file's, and the line is made to be copied into a shell.
            fix="export the model for one size, or write it into the file: python -m "
            f"onnxruntime.tools.make_dynamic_shape_fixed --input_name {quote(printable(name))} "
            "--input_shape 1,3,224,224 model.onnx fixed.onnx",
        )
    return sides[0], sides[1], sides[2]


def _last(graph: Any, output: str) -> str:
    made_by = {name: node for node in graph.node for name in node.output}
    name = output
    for _ in range(len(graph.node)):
        node = made_by.get(name)
        if node is None:
            return ""
        if node.op_type not in _THROUGH or not node.input:
            return str(node.op_type)
        name = node.input[0]
    return ""


def _classes(model: Any) -> tuple[str, ...]:
    """Return the names of the outputs that the file's metadata holds as a JSON list, or as a list with commas."""
    kept = {entry.key.strip().lower(): entry.value for entry in model.metadata_props}
    for key in CLASS_KEYS:
        text = kept.get(key, "").strip()
        if not text or len(text) > 20_000:
            continue
        try:
            names: Any = json.loads(text)
        except (ValueError, RecursionError):
            names = None if text[0] in "[{(" else text.split(",")
        if isinstance(names, list) and len(names) > 1 and all(isinstance(name, str) and name.strip() for name in names):
            return tuple(printable(name.strip()) for name in names)
    return ()
