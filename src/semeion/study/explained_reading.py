"""Held-out cases, who reads them, and the maps that come of it: what trials of explanations are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError
from semeion.explain.trial.similarity import coarse
from semeion.explain.view import Method
from semeion.learn.randomised import randomised
from semeion.prepare.store import Store
from semeion.study.lesions import Lesion
from semeion.study.sight import Asked, Maps, Opened, Seeing, Sight

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

TOGETHER = 16
"""Cases that are read at a time, at most."""
PLACES = {2: 64, 3: 24}
"""Most places a side at which maps are kept and compared."""


class TooLittleTime(Exception):
    """Says what it would take."""


@dataclass(frozen=True)
class Side:
    """Held-out cases and who reads them.

    Attributes
    ----------
    rows
        The cases, which `members` learned nothing from.
    members
        Who judges them together.
    learned_from
        Cases that they learned from.
    others
        Other members, which may have learned from `rows`: asked only where `members` is one alone.
    """

    rows: Rows
    members: tuple[Seeing, ...]
    learned_from: Rows
    others: tuple[Seeing, ...] = ()


@dataclass(frozen=True)
class Case:
    """What is kept of a case that was read as it is: its map, coarse, and what is explained."""

    map: Floats
    target: str | None
    score: float


@dataclass(frozen=True)
class Trial:
    """What trials are made of.

    Attributes
    ----------
    asked, store
        The question, and the prepared cases.
    opened
        Graphs by their names.
    graphs
        The bytes of a graph by its name.
    method
        That is tried.
    masks
        Row to its lesion on the input grid, none empty; of cases without a mask nothing.
    seed
        Draws noise and weights.
    fewest
        Cases below which nothing is measured, unless there are no more.
    """

    asked: Asked
    store: Store
    opened: Opened
    graphs: Callable[[str], bytes]
    method: Method
    masks: Mapping[int, Lesion]
    seed: int
    fewest: int

    @property
    def together(self) -> int:
        """Cases that are read at a time, fewer where they are large."""
        return max(1, self.store.at_once(TOGETHER))


def kept(maps: Maps) -> Floats:
    """Return the maps of a case ``(groups, *sides)`` at the places where they are compared."""
    return coarse(maps, PLACES[maps.ndim - 1])


def as_they_are(trial: Trial, sight: Sight, rows: Rows) -> Iterator[tuple[int, Case, Maps]]:
    """Yield the row of each case, what is kept of it, and its whole map ``(groups, *sides)``."""
    for first in range(0, len(rows), trial.together):
        part = rows[first : first + trial.together]
        pictures = trial.store.take(part)
        look = sight.look(pictures)
        said = sight.said(look)
        targets = sight.targets(said)
        scores = sight.scores(said, targets)
        maps = sight.maps(pictures, look, targets, trial.method)
        for row, one, target, score in zip(part, maps, targets, scores, strict=True):
            yield int(row), Case(kept(one), target, float(score)), one


def sight_of(trial: Trial, members: Sequence[Seeing]) -> Sight:
    """Return members that judge together; refuse those that give no map by the method.

    Raises
    ------
    InputError
        When no member gives activation maps and these are tried.
    """
    sight = Sight(trial.asked, members, {one.graph: trial.opened.engine(one.graph) for one in members})
    if trial.method == "activation" and not sight.gives_maps:
        raise InputError("no network of the model gives activation maps", where="method", fix="explain by occlusion")
    return sight


def drawing(graphs: Callable[[str], bytes], opening: Callable[[bytes], Any]) -> Opened:
    """Return what opens graphs by their names, with their last layers drawn anew where asked."""

    def opened(name: str, last: int, seed: int) -> Any:
        graph = graphs(name)
        return opening(randomised(graph, last, seed) if last else graph)

    return Opened(opened)
