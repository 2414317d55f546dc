"""Batches in an order that the seed alone decides, read ahead on one thread."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semeion.learn.ahead import Ahead
from semeion.prepare.store import Store

Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]


def epoch_order(rows: npt.NDArray[np.int64], seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return `rows` in the order of one epoch: a pure function, so that a resumed run needs no saved position."""
    return rows[np.random.default_rng([seed, 1, epoch]).permutation(len(rows))]


def batches_ahead(
    store: Store,
    y: npt.NDArray[np.float64],
    rows: npt.NDArray[np.int64],
    batch: int,
    seed: int,
    first: int,
    depth: int = 4,
) -> Ahead[Batch]:
    """Return the batches from step `first` on, read ahead by one thread."""
    per_epoch = max(1, len(rows) // batch)
    order, last_epoch = rows, -1

    def read(step: int) -> Batch:
        nonlocal order, last_epoch
        epoch, place = divmod(step, per_epoch)
        if epoch != last_epoch:
            order, last_epoch = epoch_order(rows, seed, epoch), epoch
        chosen = order[place * batch : (place + 1) * batch]
        return store.take(chosen), y[chosen]

    return Ahead(read, first, depth)
