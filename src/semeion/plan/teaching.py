"""What members learn from where cases count differently, or several raters gave shares of votes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Teaching:
    """How much each case counts while members learn, and what they are taught in the place of one class.

    Nothing else reads it: whoever validates, calibrates or weighs takes the reference standard, and every case once.

    Attributes
    ----------
    weight
        Of each case in cohort order, above 0, ``(cases,)``.
    shares
        Of the votes of raters for each class, ``(cases, classes)``; a case without a vote has its class. Of a student
        what it is taught by an ensemble: shares of classes, of each label how likely it is (NaN: nothing is taught), or
        a value ``(cases, 1)``. None: the reference standard is taught.
    """

    weight: Floats
    shares: Floats | None = None

    def relative(self, rows: Rows) -> Floats:
        """Return the weights of the whole cohort on a scale on which those of `rows` are 1 on average."""
        return np.asarray(self.weight / self.weight[rows].mean())

    def copies(self, rows: Rows, y: Floats) -> tuple[Rows, Floats, Floats]:
        """Return cases as learners of one class a case take them: a case of divided votes stands there once a class.

        The sum over its copies of weight times log loss is the log loss against its shares, so that nothing is lost.

        Parameters
        ----------
        rows
            Cases to learn from.
        y
            Reference standard in cohort order.

        Returns
        -------
        tuple
            Places within `rows`, what is taught there, and the weights, 1 on average over `rows`. The first copy of
            each case comes in the order of `rows`, before all second ones.
        """
        count = self.relative(rows)[rows]
        if self.shares is None:
            return np.arange(len(rows), dtype=np.int64), y[rows], count
        shares = self.shares[rows]
        order = np.argsort(-shares, axis=1, kind="stable")
        places, taught, counts = [], [], []
        for rank in range(shares.shape[1]):
            own = np.take_along_axis(shares, order[:, [rank]], axis=1)[:, 0]
            there = np.flatnonzero(own > 0)
            places.append(there)
            taught.append(order[there, rank].astype(np.float64))
            counts.append(count[there] * own[there])
        return np.concatenate(places).astype(np.int64), np.concatenate(taught), np.concatenate(counts)
