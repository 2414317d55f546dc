"""Several stores of images of one shape, read as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semeion.prepare.store import Pixels, Store


@dataclass(frozen=True)
class Joined(Store):
    """Rows of several stores, in their order; it has no files of its own.

    Attributes
    ----------
    parts
        Stores, and which of their rows.
    """

    parts: tuple[tuple[Store, npt.NDArray[np.int64]], ...] = ()

    def take(self, rows: npt.NDArray[np.int64]) -> Pixels:
        """Return the images of `rows`, uint8 ``(len(rows), *shape)``."""
        out = np.empty((len(rows), *self.shape), dtype=np.uint8)
        begin = 0
        for store, own in self.parts:
            chosen = np.flatnonzero((rows >= begin) & (rows < begin + len(own)))
            if len(chosen):
                out[chosen] = store.take(own[rows[chosen] - begin])
            begin += len(own)
        return out


def joined(parts: Sequence[tuple[Store, npt.NDArray[np.int64]]]) -> Joined:
    """Return the rows of several stores as one.

    Raises
    ------
    ValueError
        When the images have several shapes.
    """
    first = parts[0][0]
    if any(store.shape != first.shape for store, _ in parts):
        raise ValueError("stores of several shapes cannot be joined")
    return Joined(first.folder, sum(len(rows) for _, rows in parts), first.shape, 1, tuple(parts))
