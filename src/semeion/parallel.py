"""Ordered work on several threads with a bounded number of results in flight."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(work: Callable[[Item], Result], items: Iterable[Item], *, jobs: int | None = None) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in the order of `items`, computed on `jobs` threads.

    Threads and not processes: decoding, resizing and hashing release the interpreter lock, memory stays that of one
    process, and a user's script needs no main guard. At most four results a thread wait to be taken, so memory does not
    grow with the number of items. An exception in `work` is raised here at that item's turn.
    """
    jobs = jobs or usable_cores()
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(jobs)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= 4 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
