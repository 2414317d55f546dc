"""Thresholds of trees that are nobody's: drawn between the learning cases, and the same wherever they may be.

A tree is grown with thresholds in the middle between two patients' values, so that of whole numbers, and wherever one
of both values is known, a threshold gives the other away. Any number between the two parts the learning cases alike.
Of all questions about a feature as few different numbers as serve them all are taken, each drawn at random where these
questions agree: it says that somebody is below and somebody above, and not where.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Gap = tuple[float, float]
"""Largest value of the learning cases that go left, smallest of those that go right."""

_DIGITS, _MOST_DIGITS = 4, 17
_INSIDE = (0.1, 0.9)
"""Where in the gap numbers are drawn: at its ends are patients."""


def drawn_thresholds(nodes: Mapping[str, Sequence[Any]], x: npt.ArrayLike, seed: int) -> dict[str, Any]:
    """Return trees whose thresholds are drawn anew, so that every learning case takes the way that it took before.

    Parameters
    ----------
    nodes
        Fields of :class:`semeion.model.trees.Trees`.
    x
        What the trees were grown on ``(N, F)``, without missing values.
    seed
        What is drawn depends on it and on all of `x`: nobody who knows the seed can draw it again, and whoever has the
        cases can.
    """
    table = np.ascontiguousarray(x, dtype=np.float32)
    asked: dict[int, dict[int, Gap]] = defaultdict(dict)
    for node, gap in _gaps(nodes, table).items():
        asked[int(nodes["feature"][node])][node] = gap
    digest = hashlib.sha256(table.tobytes()).digest()
    random = np.random.default_rng([seed, *np.frombuffer(digest, dtype=np.uint32).tolist()])
    found = [float(one) for one in nodes["threshold"]]
    for feature in sorted(asked):
        for node, value in _fewest(asked[feature], random).items():
            found[node] = value
    return {**nodes, "threshold": found}


def _gaps(nodes: Mapping[str, Sequence[Any]], table: npt.NDArray[np.float32]) -> dict[int, Gap]:
    """Return the gap of the learning cases at every question."""
    found: dict[int, Gap] = {}
    rows: dict[int, Rows] = {int(root): np.arange(len(table), dtype=np.int64) for root in nodes["roots"]}
    # Children stand after their parent.
    for node, feature in enumerate(nodes["feature"]):
        if feature < 0:
            continue
        own = rows.pop(node)
        # scikit-learn compares values as float32 with thresholds as float64.
        values = table[own, feature].astype(np.float64)
        left = values <= nodes["threshold"][node]
        rows[nodes["left"][node]], rows[nodes["right"][node]] = own[left], own[~left]
        if left.any() and not left.all():
            found[node] = float(values[left].max()), float(values[~left].min())
    return found


def _fewest(gaps: Mapping[int, Gap], random: np.random.Generator) -> dict[int, float]:
    """Return a number inside each gap, with as few different ones as there can be."""
    found: dict[int, float] = {}
    together: list[int] = []
    low = high = 0.0
    for node in sorted(gaps, key=lambda one: (gaps[one][1], gaps[one][0])):
        if together and gaps[node][0] < high:
            low = max(low, gaps[node][0])
        else:
            found |= dict.fromkeys(together, _between(low, high, random))
            together, (low, high) = [], gaps[node]
        together.append(node)
    return found | dict.fromkeys(together, _between(low, high, random))


def _between(low: float, high: float, random: np.random.Generator) -> float:
    """Return a number drawn between two, with as few digits from four on as tell it from both."""
    drawn = low + (high - low) * random.uniform(*_INSIDE)
    rounded = (float(f"{drawn:.{digits}g}") for digits in range(_DIGITS, _MOST_DIGITS + 1))
    return next((one for one in rounded if low < one < high), low)
