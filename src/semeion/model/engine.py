"""The engine that runs a graph, behind one function: ONNX Runtime on the processor, or OpenVINO on request."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError, ModelRefused
from semeion.model.graph import GraphFacts, look_into
from semeion.model.limited import limited_session, memory_allowed, run_in_pieces
from semeion.model.manifest import MAX_FILE, MAX_SIDE, MAX_VOXELS
from semeion.model.operators import MOST_NODES, forbidden
from semeion.parallel import usable_cores

Kind = Literal["onnxruntime", "openvino"]
Takes = Literal["uint8", "float32"]

MAX_CHANNELS = 256
MAX_EXTRAS = 16
MAX_EXTRA = 1 << 26
"""Most numbers a case in one further output of a graph."""
MAX_ALONG = 4096
"""Most places along an axis of maps and weights, which a matrix of places by cells spreads over the input."""
EXTRA = re.compile(r"features|maps|map_[a-z0-9]{1,20}|weights")
"""Names of further outputs: pooled features, class activation maps, maps of a layer's features, weights of parts."""
_TYPES = {"uint8": "uint8", "float32": "float"}

INPUT = "image"
OUTPUT = "logits"
_AGAIN = "get the model from its source again, or export it with `semeion train`"


class Engine(Protocol):
    """What runs one member's graph. Every engine has the same four attributes and one method."""

    @property
    def channels(self) -> int:
        """Channels of the input."""

    @property
    def size(self) -> tuple[int, ...]:
        """Height and width of the input in pixels, or depth, height and width in voxels."""

    @property
    def n_outputs(self) -> int:
        """Width K of the output: of each case, or of each voxel when the output is dense."""

    @property
    def dense(self) -> bool:
        """Whether the output is (N, K, *size) and not (N, K)."""

    @property
    def extras(self) -> tuple[str, ...]:
        """Names of the graph's further outputs, which :meth:`look` gives."""

    def run(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the output for a batch (N, C, *size) of the graph's type. May be called from several threads."""

    def look(self, batch: npt.NDArray[Any], names: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        """Return ``logits`` and the further outputs `names` of one run on a batch, by their names."""


@dataclass(frozen=True)
class Signature:
    """What a graph takes and gives: type and shape of one input, width and kind of the output, further outputs."""

    takes: Takes
    shape: tuple[int, ...]
    n_outputs: int
    dense: bool
    extras: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Further outputs: the name, and the shape of one case."""

    def check(self, batch: npt.NDArray[Any]) -> None:
        """Raise ValueError when a batch has another type or shape."""
        if batch.dtype != np.dtype(self.takes) or batch.shape[1:] != self.shape:
            shape = ", ".join(map(str, self.shape))
            raise ValueError(f"a batch must be {self.takes} (N, {shape}), got {batch.dtype} {batch.shape}")

    def answer(self, n: int, name: str = OUTPUT) -> tuple[int, ...]:
        """Return the shape of an output for `n` inputs."""
        if name != OUTPUT:
            return (n, *dict(self.extras)[name])
        return (n, self.n_outputs, *self.shape[1:]) if self.dense else (n, self.n_outputs)


Call = Callable[[Sequence[str], npt.NDArray[Any]], Sequence[npt.NDArray[np.float32]]]
"""Runs a graph on a batch and returns the outputs of the names that are asked for."""


class GraphEngine:
    """A checked graph behind a function from a batch to the outputs of an engine."""

    def __init__(self, call: Call, signature: Signature) -> None:
        self._call = call
        self._signature = signature

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self._signature.shape[0]

    @property
    def size(self) -> tuple[int, ...]:
        """Height and width of the input in pixels, or depth, height and width in voxels."""
        return self._signature.shape[1:]

    @property
    def n_outputs(self) -> int:
        """Width K of the output."""
        return self._signature.n_outputs

    @property
    def dense(self) -> bool:
        """Whether the output is (N, K, *size) and not (N, K)."""
        return self._signature.dense

    @property
    def extras(self) -> tuple[str, ...]:
        """Names of the graph's further outputs."""
        return tuple(name for name, _ in self._signature.extras)

    def run(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the output for a batch (N, C, *size).

        Raises
        ------
        ValueError
            When the batch has another type or shape.
        ModelRefused
            When the graph fails while it runs.
        """
        return self.look(batch, ())[OUTPUT]

    def look(self, batch: npt.NDArray[Any], names: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        """Return ``logits`` and the further outputs `names` of one run on a batch (N, C, *size).

        Raises
        ------
        KeyError
            When the graph has no such output.
        ValueError, ModelRefused
            As :meth:`run`.
        """
        self._signature.check(batch)
        asked = (OUTPUT, *names)
        wanted = [self._signature.answer(len(batch), name) for name in asked]
        if len(batch) == 0:
            return {name: np.zeros(shape, np.float32) for name, shape in zip(asked, wanted, strict=True)}
        found = self._call(asked, np.ascontiguousarray(batch))
        for name, output, shape in zip(asked, found, wanted, strict=True):
            if output.shape != shape:
                what = "" if name == OUTPUT else f" in {name}"
                raise ModelRefused(f"the graph answers {output.shape}{what} to {len(batch)} images", fix=_AGAIN)
        return {name: np.asarray(output, dtype=np.float32) for name, output in zip(asked, found, strict=True)}


def open_engine(
    graph: bytes | Path,
    threads: int | None = None,
    *,
    where: str = "graph",
    kind: Kind = "onnxruntime",
    takes: Takes = "uint8",
    bounded: bool = False,
) -> Engine:
    """Open one member's graph.

    Parameters
    ----------
    graph
        The bytes of an ONNX file, or its path. Input ``image`` of the type `takes`, (N, C, H, W) or (N, C, D, H, W)
        with N free and all else fixed; output ``logits`` float32 (N, K), or (N, K, ...) for every voxel of the input.
    threads
        Threads for one run; None: all usable cores.
    where
        The file's name for messages when bytes are given.
    kind
        ``onnxruntime``, or ``openvino``, which must be installed. Whatever runs it, ONNX Runtime has first opened and
        checked the graph.
    takes
        ``uint8`` for images in 256 steps, ``float32`` for prepared values.
    bounded
        Whether each run is bounded in memory and time (:mod:`semeion.model.limited`), as for graphs of others; OpenVINO
        has no such bounds.

    Raises
    ------
    InputError
        When OpenVINO is asked for and not installed.
    ModelRefused
        When it is no ONNX graph, refers to other files, or has other inputs and outputs.
    """
    if isinstance(graph, Path):
        where = str(graph)
        graph = _read(graph)
    try:
        facts = look_into(graph)
    except ValueError as error:
        raise ModelRefused(f"not an ONNX graph: {error}", where=where, fix=_AGAIN) from error
    if facts.external:
        raise ModelRefused(
            f"{facts.external} of the graph's tensors are kept in another file",
            where=where,
            fix="export the graph as one file",
        )
    _refuse_operators(facts, where)
    try:
        most = memory_allowed() if bounded else None
        session = limited_session(lambda more: open_session(graph, threads, more), most)
        signature = _signature(session, where, takes)
    except runtime_errors() as error:
        raise ModelRefused(
            f"ONNX Runtime cannot open the graph ({first_line(error)})", where=where, fix=_AGAIN
        ) from error
    if kind == "openvino":
        del session
        return GraphEngine(_openvino_call(graph, threads, where), signature)
    if bounded:
        return GraphEngine(
            lambda names, batch: run_in_pieces(session, names, INPUT, batch, signature.answer, where), signature
        )

    def call(names: Sequence[str], batch: npt.NDArray[Any]) -> Sequence[npt.NDArray[np.float32]]:
        try:
            outputs: list[npt.NDArray[np.float32]] = session.run(list(names), {INPUT: batch})
        except runtime_errors() as error:
            raise ModelRefused(f"the graph fails when it runs ({first_line(error)})", fix=_AGAIN) from error
        return outputs

    return GraphEngine(call, signature)


def _refuse_operators(facts: GraphFacts, where: str) -> None:
    """Refuse a graph of operators that are not allowed, or of too many."""
    if unknown := forbidden(facts.operators):
        names = printable(", ".join(unknown[:5]))[:200]
        more = f" (and {len(unknown) - 5} more)" if len(unknown) > 5 else ""
        raise ModelRefused(
            f"the graph uses operators that no model may use: {names}{more}",
            where=where,
            fix="export the network with the standard's operators for numbers, without loops and chance",
        )
    if facts.nodes > MOST_NODES:
        raise ModelRefused(
            f"the graph has more than {MOST_NODES} operators", where=where, fix="export a smaller network"
        )


def _openvino_call(graph: bytes, threads: int | None, where: str) -> Call:
    """Compile a graph for OpenVINO, in float32: its own choice on some processors is half precision."""
    try:
        import openvino
    except ImportError as error:
        raise InputError(
            "OpenVINO is not installed", where="engine", fix="pip install 'semeion[fast]', or use onnxruntime"
        ) from error
    core = openvino.Core()
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads or usable_cores(),
    }
    try:
        compiled = core.compile_model(core.read_model(graph), "CPU", options)
    except RuntimeError as error:
        raise ModelRefused(f"OpenVINO cannot open the graph ({first_line(error)})", where=where, fix=_AGAIN) from error
    requests = threading.local()

    def call(names: Sequence[str], batch: npt.NDArray[Any]) -> Sequence[npt.NDArray[np.float32]]:
        # A request belongs to one thread; its output lies in memory that the next run writes again.
        request = getattr(requests, "own", None)
        if request is None:
            request = requests.own = compiled.create_infer_request()
        try:
            request.infer({INPUT: batch}, share_inputs=True)
        except RuntimeError as error:
            raise ModelRefused(f"the graph fails when it runs ({first_line(error)})", fix=_AGAIN) from error
        return [np.array(request.get_tensor(name).data, dtype=np.float32) for name in names]

    return call


def runtime_errors() -> tuple[type[Exception], ...]:
    """Return the errors of ONNX Runtime, which have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoModel,
        state.NotImplemented,
        state.RuntimeException,
        UnicodeDecodeError,  # a name in the graph that is no text
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, cut to a length that a message can hold."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return printable(line)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE:
            raise ModelRefused(f"the graph is larger than {MAX_FILE >> 20} MiB", where=str(path), fix=_AGAIN)
        return path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"the graph cannot be read ({error.strerror})", where=str(path), fix=_AGAIN) from error


def open_session(graph: bytes, threads: int | None, more: Mapping[str, str] | None = None) -> Any:
    """Open a graph in ONNX Runtime on the processor, whatever its inputs and outputs; it raises what it raises.

    `more` are further entries of the session's configuration.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    # Without the arena a batch of five networks at 224 pixels peaks at half the memory, at the same speed (measured).
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4  # what goes wrong is raised; warnings would land in the user's terminal
    # Idle engine threads that spin take the cores from the threads that decode the next images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Else bytes that are both ONNX and ONNX Runtime's own format would be opened as what nobody looked into.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    for name, value in (more or {}).items():
        options.add_session_config_entry(name, value)
    # Without a fallback: it would print to the user's output and try the same again.
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    # The Python wrapper keeps the file's bytes to open them again on other providers; there are none here.
    if hasattr(session, "_model_bytes"):
        session._model_bytes = None
    return session


def _signature(session: Any, where: str, takes: Takes) -> Signature:
    """Return what the graph takes and gives after checking the names, types and shapes that every shipped graph has."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = f"found {_describe(inputs)} -> {_describe(outputs)}"
    given = "(N, C, H, W)" if takes == "uint8" else "(N, C, H, W) or (N, C, D, H, W)"
    wanted = f"a graph must take {INPUT} {takes} {given} and give {OUTPUT} float32 (N, K)"
    if takes == "float32":
        wanted += " or (N, K) for every voxel"
    problem = ModelRefused(f"{wanted}; {found}", where=where, fix=_AGAIN)
    if [node.name for node in inputs] != [INPUT] or inputs[0].type != f"tensor({_TYPES[takes]})":
        raise problem
    if [node.name for node in outputs[:1]] != [OUTPUT] or outputs[0].type != "tensor(float)":
        raise problem
    shape, answer = list(inputs[0].shape or ()), list(outputs[0].shape or ())
    if len(shape) not in (4, 5) or len(answer) < 2 or isinstance(shape[0], int):
        raise problem
    if not all(isinstance(side, int) and 0 < side <= MAX_SIDE for side in shape[1:]):
        raise problem
    if shape[1] > MAX_CHANNELS or math.prod(shape[2:]) > MAX_VOXELS:
        raise problem
    if not isinstance(answer[1], int) or answer[1] < 1:
        raise problem
    # Exporters cannot always tell the sides of a dense output, which then have names; a run tells them.
    dense = len(answer) > 2
    if dense and (len(answer) != len(shape) or any(side not in (own, None) for side, own in _sides(answer, shape))):
        raise problem
    return Signature(takes, tuple(shape[1:]), answer[1], dense, _extras(outputs[1:], problem))


def _extras(outputs: list[Any], problem: ModelRefused) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the names and shapes of further outputs, which are bounded: features, and maps of them."""
    if len(outputs) > MAX_EXTRAS:
        raise problem
    found = []
    for node in outputs:
        shape = list(node.shape or ())
        if not EXTRA.fullmatch(node.name) or node.type != "tensor(float)" or not 2 <= len(shape) <= 6:
            raise problem
        if isinstance(shape[0], int) or not all(isinstance(side, int) and side > 0 for side in shape[1:]):
            raise problem
        if math.prod(shape[1:]) > MAX_EXTRA:
            raise problem
        if node.name != "features" and max(shape[1:]) > MAX_ALONG:
            raise problem
        found.append((node.name, tuple(shape[1:])))
    return tuple(found)


def _sides(answer: list[Any], shape: list[Any]) -> list[tuple[int | None, int]]:
    return [(side if isinstance(side, int) else None, own) for side, own in zip(answer[2:], shape[2:], strict=False)]


def _describe(nodes: list[Any]) -> str:
    parts = [f"{node.name} {node.type.removeprefix('tensor(').rstrip(')')} {node.shape}" for node in nodes[:4]]
    return printable(", ".join(parts)[:300]) or "nothing"


def printable(text: str) -> str:
    """Return text whose letters cannot steer a terminal, as names in a file of others could."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
