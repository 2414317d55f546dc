"""Small marks that one class bears at one place: a letter, an arrow, a token, the edge of a collimator.

A linear classifier hardly sees a mark on a third of one class, since it moves the mean little. What gives it away is
that those cases stand far outside all others at one place, and look the same there. Anatomy that differs between
classes moves all of a class a little, and no two pictures alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from semeion.audit.groups import Rows
from semeion.prepare.levels import Bytes

FAR = 4.0
"""Standard deviations (by quartiles) above the median of the other classes beyond which a case stands out..."""
OTHERS = 0.995
"""...and the quantile of the other classes that it must exceed as well."""
CORNER = 8
"""Pixels of 32 from two sides within which a place lies in a corner: there marks are put."""
IN_CORNER = (0.08, 0.87, 0.6)
"""Share of the class that stands out, correlation of its patches with their mean (half of them), and share of their
energy in that mean, from which a place in a corner is a mark..."""
ELSEWHERE = (0.15, 0.96, 0.8)
"""...and elsewhere, where films of one view may have an edge at one place: such edges reach 0.95."""
CLEARLY = 6
"""Grey levels by which half of those that stand out must do so: tails of anatomy go a little beyond."""
FEWEST_BEARERS = 8
"""Patients (groups) that must bear it."""
SURE = 0.01
"""Probability by chance (hypergeometric, times the number of places, signs and classes) below which it is believed."""
MOST_CASES = 5_000
_AROUND = 7
_REACH = 3
_TRIED = 60


@dataclass(frozen=True)
class Mark:
    """A place where some of a class stand out alike.

    Attributes
    ----------
    code
        Of the class.
    view, row, col
        Where, in pixels of the thumbnail.
    bright
        Whether it is brighter or darker than what is around.
    share, elsewhere
        Of the groups of the class and of all others that stand out there.
    likeness
        Correlation of a bearer's patch with the mean of all, the median.
    p
        Probability by chance, adjusted.
    bearers
        Places of the cases that bear it.
    """

    code: int
    view: int
    row: int
    col: int
    bright: bool
    share: float
    elsewhere: float
    likeness: float
    p: float
    bearers: Rows


def find_marks(pixels: Bytes, y: Rows, groups: Rows, seed: int = 0) -> list[Mark]:
    """Return at most one mark a class, the one that most of it bear.

    Parameters
    ----------
    pixels
        Thumbnails, uint8 ``(cases, views, side, side)``.
    y, groups
        Class and group of each case.
    seed
        Of more than 5,000 cases so many are drawn.
    """
    places = np.arange(len(y))
    if len(y) > MOST_CASES:
        places = np.sort(np.random.default_rng(seed).permutation(len(y))[:MOST_CASES])
    raised = np.stack([np.stack([_raised(view) for view in case]) for case in pixels[places]])
    y, groups = y[places], groups[places]
    classes = np.unique(y)
    tests = 2 * len(classes) * raised[0].size
    found = []
    for code in classes:
        ones = [
            one for sign in (1, -1) if (one := _mark(raised, y == code, groups, sign, int(code), tests)) is not None
        ]
        if ones:
            best = max(ones, key=lambda one: one.share)
            found.append(replace(best, bearers=places[best.bearers]))
    return found


def _raised(view: Bytes) -> npt.NDArray[np.int16]:
    """Return by how much each pixel differs from the median of those around it."""
    return view.astype(np.int16) - cv2.medianBlur(np.ascontiguousarray(view), _AROUND).astype(np.int16)


def _mark(
    raised: npt.NDArray[np.int16], mine: npt.NDArray[np.bool_], groups: Rows, sign: int, code: int, tests: int
) -> Mark | None:
    """Return the mark that most of the class `mine` bear, brighter (sign 1) or darker (-1); None without any."""
    shape = raised.shape[1:]
    flat = raised.reshape(len(raised), -1) * np.int16(sign)
    limit = _limits(flat[~mine])
    shares = (flat[mine] > limit).mean(axis=0)
    owners, others = len(np.unique(groups[mine])), len(np.unique(groups[~mine]))
    for place in np.argsort(-shares, kind="stable")[:_TRIED]:
        view, row, col = (int(one) for one in np.unravel_index(int(place), shape))
        least, likeness, common = IN_CORNER if _in_corner(row, col, shape[1]) else ELSEWHERE
        stands = flat[:, place] > limit[place]
        bearing, also = len(np.unique(groups[mine & stands])), len(np.unique(groups[~mine & stands]))
        if bearing < max(FEWEST_BEARERS, least * owners):
            continue
        if np.median(flat[mine & stands, place]) < limit[place] + CLEARLY:
            continue
        p = min(1.0, tests * _by_chance(bearing, also, owners, others))
        alike, energy = _alikeness(raised[mine & stands, view], row, col)
        if p < SURE and alike >= likeness and energy >= common:
            bearers = np.flatnonzero(mine & stands)
            share, beside = bearing / owners, also / max(others, 1)
            return Mark(code, view, row, col, sign > 0, share, beside, alike, p, bearers)
    return None


def _limits(others: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Return, for each place, the value beyond which a case stands out from the other classes."""
    first, middle, third = np.quantile(others, (0.25, 0.5, 0.75), axis=0)
    # Two grey levels are rounding and compression.
    deviation = (third - first) / 1.349 + 2.0
    far = np.quantile(others, OTHERS, axis=0, method="higher")
    return np.asarray(np.maximum(far, middle + FAR * deviation), dtype=np.float64)


def _alikeness(patches: npt.NDArray[np.int16], row: int, col: int) -> tuple[float, float]:
    """Return the correlation of patches about a place with their mean (the median), and their energy's share in it."""
    side = patches.shape[1]
    cut = patches[
        :, max(0, row - _REACH) : min(side, row + _REACH + 1), max(0, col - _REACH) : min(side, col + _REACH + 1)
    ]
    flat = cut.reshape(len(cut), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    centred, middle = flat - flat.mean(axis=1, keepdims=True), mean - mean.mean()
    length = np.linalg.norm(centred, axis=1) * np.linalg.norm(middle)
    correlation = centred @ middle / np.where(length > 0, length, 1.0)
    energy = float((flat**2).sum(axis=1).mean())
    return float(np.median(correlation)), float((mean**2).sum()) / energy if energy > 0 else 0.0


def _by_chance(bearing: int, also: int, owners: int, others: int) -> float:
    """Return the probability that at least `bearing` of all that stand out are of the class, drawn at random."""
    from scipy.stats import hypergeom

    return float(hypergeom.sf(bearing - 1, owners + others, owners, bearing + also))


def _in_corner(row: int, col: int, side: int) -> bool:
    near = CORNER * side / 32
    return min(row, side - 1 - row) < near and min(col, side - 1 - col) < near
