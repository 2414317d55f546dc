"""Insertion and deletion: whether the model's answer hangs on the places that a map names, more than on others.

Petsiuk et al., RISE: randomized input sampling for explanation of black-box models, BMVC 2018, section 4.2. Deletion
blurs away the highest places first and the answer should fall soon; insertion brings them back first into a blurred
picture and the answer should rise soon. Both are compared with a random order: the same map moved to a random place, so
that as much is taken away in pieces as large. Single places strewn at random would change the picture's texture, and a
map that is merely smooth would look good or bad beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semeion.explain.trial.similarity import block_of, coarse

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Score = Callable[[Bytes, npt.NDArray[np.int64]], Floats]
"""What the model says of the explained score: pictures ``(N, planes, *sides)`` and the case of each, to ``(N,)``."""

SHARES = (0.1, 0.25, 0.5, 0.75)
"""Of the picture that is taken away or brought back, between nothing and all of it."""
CELLS = {2: 16, 3: 8}
"""Most places along a side that a picture or a volume is divided into."""
BLUR = 1 / 8
"""Width of the blur (its standard deviation) as a share of the longest side: no lesion keeps its outline."""
READINGS = 4 * len(SHARES) + 1
"""How often each case is read besides as it is."""


@dataclass(frozen=True)
class Curves:
    """What the model says while places are taken away and brought back, at 0, :data:`SHARES` and 1.

    Attributes
    ----------
    deletion, insertion
        In the order of the map, float64 ``(N, shares)``.
    deletion_by_chance, insertion_by_chance
        In the order of the map moved to a random place.
    """

    deletion: Floats
    insertion: Floats
    deletion_by_chance: Floats
    insertion_by_chance: Floats

    @property
    def deletion_gain(self) -> Floats:
        """By how much the area under the deletion curve is smaller than by chance, ``(N,)``; above 0 is better."""
        return area(self.deletion_by_chance) - area(self.deletion)

    @property
    def insertion_gain(self) -> Floats:
        """By how much the area under the insertion curve is larger than by chance, ``(N,)``; above 0 is better."""
        return area(self.insertion) - area(self.insertion_by_chance)


def removal_curves(
    pictures: Bytes, maps: npt.ArrayLike, score: Score, as_they_are: npt.ArrayLike, *, seed: int
) -> Curves:
    """Return the curves of each case.

    Parameters
    ----------
    pictures
        The networks' input, uint8 ``(N, planes, *sides)``; the planes of a group stand together.
    maps
        ``(N, groups, *places)`` over the same pictures, high where the score is said to come from; looked at in at most
        :data:`CELLS` places a side.
    score
        The model.
    as_they_are
        What it says of the pictures themselves, ``(N,)``.
    seed
        Draws where each map is moved.

    Raises
    ------
    ValueError
        When the maps do not lie on the pictures.
    """
    table = np.asarray(maps, dtype=np.float64)
    planes, sides = pictures.shape[1], pictures.shape[2:]
    if table.ndim != pictures.ndim or len(table) != len(pictures) or planes % table.shape[1]:
        raise ValueError(f"maps of shape {table.shape} do not lie on pictures of {pictures.shape}")
    most = CELLS[len(sides)]
    cells = np.stack([coarse(one, most) for one in table])
    rows = np.arange(len(pictures), dtype=np.int64)
    blurred = np.stack([blurry(one) for one in pictures]) if len(pictures) else pictures
    group = np.arange(planes) // (planes // table.shape[1])
    places = np.ix_(group, *(block_of(side, cell) for side, cell in zip(sides, cells.shape[2:], strict=True)))
    start, nothing = np.asarray(as_they_are, dtype=np.float64), score(blurred, rows)
    orders = [_first(one) for one in cells], [_first(moved(one, seed, row)) for row, one in enumerate(cells)]
    found = []
    for order in orders:
        taken, back = [start], [nothing]
        for share in SHARES:
            chosen = np.stack([(one < share)[places] for one in order])
            taken.append(score(np.where(chosen, blurred, pictures), rows))
            back.append(score(np.where(chosen, pictures, blurred), rows))
        found += [np.stack([*taken, nothing], axis=1), np.stack([*back, start], axis=1)]
    return Curves(*found[:2], *found[2:])


def area(curves: npt.ArrayLike) -> Floats:
    """Return the area under each curve ``(N, shares)`` over the share of the picture from 0 to 1, ``(N,)``."""
    values = np.asarray(curves, dtype=np.float64)
    at = np.array([0.0, *SHARES, 1.0])
    return np.asarray(((values[:, 1:] + values[:, :-1]) / 2) @ np.diff(at), dtype=np.float64)


def moved(cells: npt.ArrayLike, seed: int, row: int) -> Floats:
    """Return a map ``(groups, *places)`` moved by a random step along each side, round its edges; never by none."""
    table = np.asarray(cells, dtype=np.float64)
    rng = np.random.default_rng([seed, row])
    sides = table.shape[1:]
    whole = int(np.prod(sides))
    step = int(rng.integers(1, whole)) if whole > 1 else 0
    steps = np.unravel_index(step, sides)
    return np.roll(table, [int(one) for one in steps], axis=tuple(range(1, table.ndim)))


def blurry(picture: Bytes) -> Bytes:
    """Return planes ``(planes, *sides)`` blurred along every side, uint8; edges are carried on.

    Three running means in a row are near a Gaussian (Wells, IEEE Trans Pattern Anal Mach Intell 8:234, 1986); of a
    standard deviation s each is over ``sqrt(4 s^2 + 1)`` places.
    """
    spread = BLUR * max(picture.shape[1:])
    reach = int(np.sqrt(4 * spread**2 + 1)) // 2
    found = picture.astype(np.float64)
    for axis in range(1, picture.ndim):
        for _ in range(3):
            found = _running_mean(found, axis, reach)
    return np.clip(np.rint(found), 0, 255).astype(np.uint8)


def _running_mean(values: Floats, axis: int, reach: int) -> Floats:
    padding = [(0, 0)] * values.ndim
    padding[axis] = (reach + 1, reach)
    sums = np.cumsum(np.pad(values, padding, mode="edge"), axis=axis)
    width = 2 * reach + 1
    high = np.take(sums, np.arange(width, sums.shape[axis]), axis=axis)
    low = np.take(sums, np.arange(sums.shape[axis] - width), axis=axis)
    return np.asarray((high - low) / width, dtype=np.float64)


def _first(cells: Floats) -> Floats:
    """Return the share of the places that come before each one, highest first; equal ones in their order."""
    order = np.argsort(-cells.reshape(-1), kind="stable")
    before = np.empty(order.size)
    before[order] = np.arange(order.size) / order.size
    return before.reshape(cells.shape)
