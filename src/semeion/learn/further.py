"""Images beside the cases, and what a teacher says of each: a part of every batch, in an order that the seed gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from semeion.learn.ahead import Ahead
from semeion.learn.batches import Batch
from semeion.prepare.joined import Joined, joined
from semeion.prepare.store import Store

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
_CASES, _FURTHER = 1, 5
"""Tell the orders of the two parts, and the other uses of a member's seed, from one another."""


@dataclass(frozen=True)
class Further:
    """Images without labels with soft targets.

    Attributes
    ----------
    store
        Prepared as the cases are, one image a case.
    said
        What is taught of each: probabilities of the classes, of each label, or a value, ``(images, outputs)``.
    share
        Of the images of a batch, above 0 and below 1.
    weight
        What their mean loss counts, above 0 and below 1; that of the cases counts the rest.
    """

    store: Store
    said: Floats
    share: float = 0.5
    weight: float = 0.5

    @property
    def rows(self) -> Rows:
        """Return all rows of the store."""
        return np.arange(self.store.n, dtype=np.int64)

    def cases_of(self, batch: int) -> int:
        """Return how many of the images of a batch are cases: at least one, and not all."""
        return min(batch - 1, max(1, batch - round(self.share * batch)))

    def with_cases(self, store: Store, rows: Rows) -> Joined:
        """Return these images with cases as one store: all that is learned from."""
        return joined([(store, rows), (self.store, self.rows)])

    def batches(self, store: Store, lesson: Floats, rows: Rows, batch: int, seed: int, first: int) -> Ahead[Batch]:
        """Return batches from step `first` on, read ahead by one thread: cases first, then images without labels.

        Parameters
        ----------
        store, lesson, rows
            Cases, what is taught of each (:func:`semeion.learn.objective.lesson_of`), and which are learned from.
        batch, seed, first
            Images a step, the member's seed, and the step.

        Notes
        -----
        Each part passes through its own order again and again, so a case comes several times into one batch where
        there are few.
        """
        cases = self.cases_of(batch)
        taught = np.column_stack([np.ones(len(self.said)), self.said])

        def read(step: int) -> Batch:
            mine = passing(rows, [seed, _CASES], step * cases, cases)
            others = passing(self.rows, [seed, _FURTHER], step * (batch - cases), batch - cases)
            pixels = np.concatenate([store.take(mine), self.store.take(others)])
            return pixels, np.concatenate([lesson[mine], taught[others]])

        return Ahead(read, first, 4)

    def loss(self, of: Callable[[npt.NDArray[np.bool_], bool], Tensor], cases: npt.NDArray[np.bool_]) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        of
            The mean loss of some of its images, and whether they have labels.
        cases
            Which of its images have, ``(batch,)``.
        """
        return (1 - self.weight) * of(cases, True) + self.weight * of(~cases, False)


def passing(rows: Rows, seed: list[int], start: int, count: int) -> Rows:
    """Return `count` places from `start` on of `rows` shuffled again and again.

    A pure function, so that a resumed run needs no saved position.

    Parameters
    ----------
    rows
        At least one.
    seed
        With the number of the pass it decides the order of the pass.
    start, count
        The first place, and how many.
    """
    found: list[Rows] = []
    while count > 0:
        number, place = divmod(start, len(rows))
        order = rows[np.random.default_rng([*seed, number]).permutation(len(rows))]
        found.append(order[place : place + count])
        start, count = start + len(found[-1]), count - len(found[-1])
    return np.concatenate(found)
