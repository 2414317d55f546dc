"""A bound of memory for what a graph of others does while it is opened and run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semeion.model.segment import available_bytes
from semeion.parallel import usable_cores

__all__ = ["available_bytes", "bounded_memory"]

A_THREAD = 192 << 20
"""Bytes of addresses that a thread of the engine reserves and hardly uses: its stack, and an arena of the allocator."""
_ONE_AT_A_TIME = threading.RLock()


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
    with _ONE_AT_A_TIME:  # of two threads the second would take the first one's bound for the one to restore
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
