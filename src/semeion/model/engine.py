"""The engine that runs a graph, behind one function: ONNX Runtime on the processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from semeion.errors import ModelRefused
from semeion.model.graph import external_tensors
from semeion.model.manifest import MAX_FILE, MAX_SIDE

INPUT = "image"
OUTPUT = "logits"
_AGAIN = "get the model from its source again, or export it with `semeion train`"


class Engine(Protocol):
    """What runs one member's graph. Another engine (OpenVINO, a GPU) has the same three attributes and one method."""

    @property
    def channels(self) -> int:
        """Channels of the input."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input in pixels."""

    @property
    def n_outputs(self) -> int:
        """Width K of the output."""

    def run(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the output (N, K) for a batch uint8 (N, C, H, W). May be called from several threads."""


class OnnxRuntimeEngine:
    """ONNX Runtime with the processor as its only provider."""

    def __init__(self, session: Any, shape: tuple[int, int, int], n_outputs: int) -> None:
        self._session = session
        self._shape = shape
        self._n_outputs = n_outputs

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self._shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input in pixels."""
        return self._shape[1], self._shape[2]

    @property
    def n_outputs(self) -> int:
        """Width K of the output."""
        return self._n_outputs

    def run(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the output (N, K) for a batch uint8 (N, C, H, W).

        Raises
        ------
        ValueError
            When the batch has another type or shape.
        ModelRefused
            When the graph fails while it runs.
        """
        if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[1:] != self._shape:
            channels, height, width = self._shape
            raise ValueError(
                f"a batch must be uint8 (N, {channels}, {height}, {width}), got {batch.dtype} {batch.shape}"
            )
        if len(batch) == 0:
            return np.zeros((0, self._n_outputs), np.float32)
        try:
            output = self._session.run([OUTPUT], {INPUT: np.ascontiguousarray(batch)})[0]
        except _refusals() as error:
            raise ModelRefused(f"the graph fails when it runs ({_first_line(error)})", fix=_AGAIN) from error
        if output.shape != (len(batch), self._n_outputs):
            raise ModelRefused(f"the graph answers {output.shape} to {len(batch)} images", fix=_AGAIN)
        return np.asarray(output, dtype=np.float32)


def open_engine(graph: bytes | Path, threads: int | None = None, *, where: str = "graph") -> Engine:
    """Open one member's graph.

    Parameters
    ----------
    graph
        The bytes of an ONNX file, or its path. Input ``image`` uint8 (N, C, H, W) with N free; output ``logits``
        float32 (N, K).
    threads
        Threads for one run; None: all usable cores.
    where
        The file's name for messages when bytes are given.

    Raises
    ------
    ModelRefused
        When it is no ONNX graph, refers to other files, or has other inputs and outputs.
    """
    if isinstance(graph, Path):
        where = str(graph)
        graph = _read(graph)
    try:
        external = external_tensors(graph)
    except ValueError as error:
        raise ModelRefused(f"not an ONNX graph: {error}", where=where, fix=_AGAIN) from error
    if external:
        raise ModelRefused(
            f"{external} of the graph's tensors are kept in another file",
            where=where,
            fix="export the graph as one file",
        )
    try:
        session = _session(graph, threads)
    except _refusals() as error:
        raise ModelRefused(
            f"ONNX Runtime cannot open the graph ({_first_line(error)})", where=where, fix=_AGAIN
        ) from error
    shape, n_outputs = _signature(session, where)
    return OnnxRuntimeEngine(session, shape, n_outputs)


def _refusals() -> tuple[type[Exception], ...]:
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
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE:
            raise ModelRefused(f"the graph is larger than {MAX_FILE >> 20} MiB", where=str(path), fix=_AGAIN)
        return path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"the graph cannot be read ({error.strerror})", where=str(path), fix=_AGAIN) from error


def _session(graph: bytes, threads: int | None) -> Any:
    import onnxruntime as ort

    from semeion.parallel import usable_cores

    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    # Without the arena a batch of five networks at 224 pixels peaks at half the memory, at the same speed (measured).
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4  # what goes wrong is raised; warnings would land in the user's terminal
    # Idle engine threads that spin take the cores from the threads that decode the next images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    # The Python wrapper keeps the file's bytes to open them again on other providers; there are none here.
    if hasattr(session, "_model_bytes"):
        session._model_bytes = None
    return session


def _signature(session: Any, where: str) -> tuple[tuple[int, int, int], int]:
    """Return (C, H, W) and K after checking the names, types and shapes that every shipped graph has."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = f"found {_describe(inputs)} -> {_describe(outputs)}"
    wanted = f"a graph must take {INPUT} uint8 (N, C, H, W) and give {OUTPUT} float32 (N, K)"
    problem = ModelRefused(f"{wanted}; {found}", where=where, fix=_AGAIN)
    if [node.name for node in inputs] != [INPUT] or inputs[0].type != "tensor(uint8)":
        raise problem
    if [node.name for node in outputs] != [OUTPUT] or outputs[0].type != "tensor(float)":
        raise problem
    shape, answer = list(inputs[0].shape or ()), list(outputs[0].shape or ())
    if len(shape) != 4 or len(answer) != 2 or isinstance(shape[0], int):
        raise problem
    if not all(isinstance(side, int) and 0 < side <= MAX_SIDE for side in shape[1:]) or shape[1] not in (1, 3):
        raise problem
    if not isinstance(answer[1], int) or answer[1] < 1:
        raise problem
    return (shape[1], shape[2], shape[3]), answer[1]


def _describe(nodes: list[Any]) -> str:
    parts = [f"{node.name} {node.type.removeprefix('tensor(').rstrip(')')} {node.shape}" for node in nodes[:4]]
    return ", ".join(parts)[:300] or "nothing"
