"""Batches in an order that the seed alone decides, read ahead on one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Empty, Full, Queue
from time import perf_counter

import numpy as np
import numpy.typing as npt

from semeion.prepare.store import Store

Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]


def epoch_order(rows: npt.NDArray[np.int64], seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return `rows` in the order of one epoch: a pure function, so that a resumed run needs no saved position."""
    return rows[np.random.default_rng([seed, 1, epoch]).permutation(len(rows))]


class Ahead:
    """Iterate over the batches from `first` on, read ahead by one thread; `waited` is the time spent waiting for it."""

    def __init__(
        self,
        store: Store,
        y: npt.NDArray[np.float64],
        rows: npt.NDArray[np.int64],
        batch: int,
        seed: int,
        first: int,
        depth: int = 4,
    ) -> None:
        self.waited = 0.0
        self._queue: Queue[Batch | Exception] = Queue(depth)
        self._stop = threading.Event()
        self._arguments = (store, y, rows, batch, seed, first)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        store, y, rows, batch, seed, step = self._arguments
        per_epoch = max(1, len(rows) // batch)
        order = rows
        last_epoch = -1
        item: Batch | Exception
        while not self._stop.is_set():
            try:
                epoch, place = divmod(step, per_epoch)
                if epoch != last_epoch:
                    order = epoch_order(rows, seed, epoch)
                    last_epoch = epoch
                chosen = order[place * batch : (place + 1) * batch]
                item = (store.take(chosen), y[chosen])
            except Exception as error:
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

    def __iter__(self) -> Iterator[Batch]:
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
