"""Bounds of time and memory for what a graph of others does while it is opened and tried."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from semeion.errors import ModelRefused
from semeion.model.engine import first_line, runtime_errors
from semeion.model.segment import available_bytes
from semeion.parallel import usable_cores

LONGEST = 300.0
"""Seconds that one run of a few images may take; a loop in a graph may have no end."""
A_THREAD = 192 << 20
"""Bytes of addresses that a thread of the engine reserves and hardly uses: its stack, and an arena of the allocator."""


def run_bounded(session: Any, output: str, given: Mapping[str, Any], where: str, seconds: float | None = None) -> Any:
    """Run a graph once and return one output, or stop it.

    Parameters
    ----------
    session
        Of ONNX Runtime.
    output, given
        Name of the output, and the inputs by their names.
    where
        The file, for messages.
    seconds
        That the run may take; :data:`LONGEST` when None.

    Raises
    ------
    ModelRefused
        When the graph fails, asks for more memory than there is, or takes longer.
    """
    import onnxruntime as ort

    allowed = LONGEST if seconds is None else seconds
    options, late = ort.RunOptions(), threading.Event()

    def stop() -> None:
        late.set()
        options.terminate = True

    timer = threading.Timer(allowed, stop)
    timer.daemon = True
    timer.start()
    try:
        with bounded_memory():
            return session.run([output], dict(given), options)[0]
    except runtime_errors() as error:
        if late.is_set():
            raise ModelRefused(
                f"the graph did not answer within {allowed:g} s",
                where=where,
                fix="export it without loops that have no end, or give a smaller network",
            ) from error
        raise ModelRefused(
            f"the graph fails when it runs on images ({first_line(error)})", where=where, fix="export it again"
        ) from error
    finally:
        timer.cancel()


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Let the process take no more memory than is free meanwhile, so that a request for more is an error.

    Linux else grants it and kills some process, not always this one, once the memory is used. Where the system tells
    or limits nothing, nothing is bounded.
    """
    free, held = available_bytes(), _held_bytes()
    try:
        import resource
    except ImportError:  # Windows
        yield
        return
    if free is None or held is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = held + free + A_THREAD * usable_cores()
    most = min([wanted, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _held_bytes() -> int | None:
    """Return the size of the process's address space; None where the system does not tell."""
    try:
        import resource

        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return None
