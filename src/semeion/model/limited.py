"""Bounds of memory and time for every run of a graph that was trained elsewhere, in use as when it was tried.

They hold within this process: the engine's own allocator refuses what is beyond them, and a timer ends a run. What they
cannot hold is memory that kernels take besides it, and an operator that never comes back to be ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.errors import ModelRefused

LONGEST = 300.0
"""Seconds that one run of a few images may take; a loop in a graph may have no end."""
TOGETHER = 16
"""Images of one run: as many as were run together when the graph was tried."""
SHARE = 0.8
"""Of the memory that is free when the graph is opened, what its runs may take."""
_REGISTERING = threading.Lock()
_AGAIN = "use a machine with more memory, or adopt a smaller network"


def limited_session(make: Callable[[Any], Any], most: int | None) -> Any:
    """Return a session whose tensors may take at most `most` bytes together; no bound where None.

    Parameters
    ----------
    make
        Opens the session with options that it is given to add to: :func:`semeion.model.engine.open_session`.
    most
        In bytes.
    """
    import onnxruntime as ort

    if most is None:
        return make({})
    arena = ort.OrtArenaCfg(most, 1, -1, -1)  # it grows by what is asked for, and not by doubling
    info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    # An allocator belongs to the process and takes the place of the one before; who has that one keeps it.
    with _REGISTERING:
        ort.create_and_register_allocator(info, arena)
        return make({"session.use_env_allocators": "1"})


def memory_allowed() -> int | None:
    """Return the bytes that a graph which is opened now may take; None where the system does not tell what is free."""
    from semeion.model.bounds import available_bytes

    free = available_bytes()
    return None if free is None else int(SHARE * free)


def run_in_pieces(
    session: Any,
    names: Sequence[str],
    given: str,
    batch: npt.NDArray[Any],
    shape: Callable[[int, str], tuple[int, ...]],
    where: str,
) -> list[npt.NDArray[np.float32]]:
    """Run a graph on a batch, a few images at a time, each run within :data:`LONGEST`.

    Parameters
    ----------
    session, names, given
        Of ONNX Runtime, and the names of its outputs and its input.
    batch
        ``(N, ...)``.
    shape
        What an output of so many images must be.
    where
        The graph, for messages.

    Raises
    ------
    ModelRefused
        When a run takes longer, asks for more memory than is allowed, fails, or answers in another shape.
    """
    parts: list[list[npt.NDArray[np.float32]]] = [[] for _ in names]
    for first in range(0, len(batch), TOGETHER):
        piece = batch[first : first + TOGETHER]
        for name, part, said in zip(names, parts, _timed(session, names, {given: piece}, where), strict=True):
            found = np.asarray(said)
            if found.shape != shape(len(piece), name):
                raise ModelRefused(
                    f"the graph answers {found.shape} to {len(piece)} images",
                    where=where,
                    fix="adopt the network again",
                )
            part.append(found.astype(np.float32, copy=False))
    return [np.concatenate(part) for part in parts]


@contextmanager
def ended_after(seconds: float) -> Iterator[tuple[Any, threading.Event]]:
    """Give options of ONNX Runtime whose run is ended after `seconds`, and an event that tells whether it was."""
    import onnxruntime as ort

    options, late = ort.RunOptions(), threading.Event()

    def stop() -> None:
        late.set()
        options.terminate = True

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield options, late
    finally:
        timer.cancel()


def _timed(session: Any, names: Sequence[str], given: dict[str, Any], where: str) -> Any:
    from semeion.model.engine import first_line, runtime_errors

    allowed = LONGEST
    with ended_after(allowed) as (options, late):
        try:
            return session.run(list(names), given, options)
        except runtime_errors() as error:
            if late.is_set():
                raise ModelRefused(
                    f"the graph did not answer within {allowed:g} s", where=where, fix="use a faster machine"
                ) from error
            raise ModelRefused(
                f"the graph fails when it runs ({first_line(error)})", where=where, fix=_AGAIN
            ) from error
