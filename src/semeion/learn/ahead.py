"""Items made ahead of their use on one thread, in an order that the step alone decides."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, Full, Queue
from time import perf_counter
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Iterate over ``make(first), make(first + 1), ...``; `waited` is the time spent waiting for the thread.

    Parameters
    ----------
    make
        What belongs to a step; an error in it is raised at that step's turn and ends the thread.
    first
        The first step.
    depth
        Items that may wait to be taken.
    started
        Called once on the thread, before anything is made.
    """

    def __init__(
        self, make: Callable[[int], T], first: int, depth: int = 3, started: Callable[[], object] | None = None
    ) -> None:
        self.waited = 0.0
        self._queue: Queue[T | Exception] = Queue(depth)
        self._stop = threading.Event()
        self._make, self._first, self._started = make, first, started
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        if self._started is not None:
            self._started()
        step = self._first
        item: T | Exception
        while not self._stop.is_set():
            try:
                item = self._make(step)
            except Exception as error:  # raised where the step's turn comes
                item = error
            while not self._stop.is_set():
                try:
                    self._queue.put(item, timeout=0.2)
                    break
                except Full:
                    continue
            if isinstance(item, Exception):
                return
            step += 1

    def __iter__(self) -> Iterator[T]:
        while True:
            began = perf_counter()
            item = self._queue.get()
            self.waited += perf_counter() - began
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        while True:
            try:
                self._queue.get_nowait()
            except Empty:
                break
        self._thread.join()
