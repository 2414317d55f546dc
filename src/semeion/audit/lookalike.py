"""Pictures that look alike, found among many by small descriptors: candidates for a closer look, never proof.

A thumbnail's edges are counted by direction in 4 x 4 overlapping cells (after Dalal and Triggs, Histograms of oriented
gradients, CVPR 2005). Such counts bear changes of brightness and small shifts, and turning or mirroring the picture
only exchanges them, so that all eight orientations cost one computation. A picture is compared whole in all
orientations, and cropped in six ways as it is and mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from semeion.prepare.levels import Bytes

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

CELLS = 4
DIRECTIONS = 8
KEPT = 64
"""Principal components of the descriptors that are compared."""
NEIGHBOURS = 4
"""Nearest pictures of each that become candidates."""
LEAST_LIKENESS = 0.65
"""Cosine of two centred descriptors below which pictures are not looked at again: cropped copies reach 0.7."""
MOST_SEARCHED = 30_000
"""Pictures among which likeness is looked for (a minute on one core); beyond, only equal perceptual hashes are."""
BOXES = (
    (0.0, 0.0, 1.0),
    (0.05, 0.05, 0.9),
    (0.075, 0.075, 0.85),
    (0.0, 0.0, 0.85),
    (0.0, 0.15, 0.85),
    (0.15, 0.0, 0.85),
    (0.15, 0.15, 0.85),
)
"""Crops: top, left and side in units of the picture; the first is the whole."""
_WAYS = (*((0, turn) for turn in range(8)), *((box, turn) for box in range(1, len(BOXES)) for turn in (0, 4)))
"""Crop and orientation in which a picture is compared: whole in all, cropped as it is and mirrored."""
_BLOCK = 512
_CHUNK = 128


@dataclass(frozen=True)
class Candidates:
    """Pairs of pictures to look at closely, the likeliest first.

    Attributes
    ----------
    pairs
        Row numbers ``(pairs, 2)``, in no order within a pair.
    likeness
        Cosine of the descriptors, ``(pairs,)``.
    turn
        Orientation in which the second picture of a pair resembles the first, ``(pairs,)``, as in
        :func:`semeion.audit.confirm.turned`.
    start
        Affine ``(pairs, 3, 3)`` from places in the first to places in the turned second one.
    """

    pairs: Rows
    likeness: npt.NDArray[np.float64]
    turn: Rows
    start: npt.NDArray[np.float64]

    @staticmethod
    def none() -> Candidates:
        """Return no pairs."""
        empty = np.empty(0, dtype=np.int64)
        return Candidates(np.empty((0, 2), dtype=np.int64), np.empty(0), empty, np.empty((0, 3, 3)))

    def at(self, places: Rows) -> Candidates:
        """Return the pairs at `places`, in that order."""
        return Candidates(self.pairs[places], self.likeness[places], self.turn[places], self.start[places])


def find_candidates(thumbnails: Bytes, rows: Rows) -> Candidates:
    """Return each picture's nearest others.

    Parameters
    ----------
    thumbnails
        uint8 ``(pictures, side, side)``.
    rows
        Row number of each picture, by which pairs are named.
    """
    n = len(thumbnails)
    if n < 2:
        return Candidates.none()
    base = _descriptors(thumbnails, BOXES[0])
    mean = base.mean(axis=0)
    axes = _principal(base - mean)

    def placed(values: Floats) -> Floats:
        inner = (values - mean) @ axes
        return np.asarray(inner / np.maximum(np.linalg.norm(inner, axis=1, keepdims=True), 1e-9), dtype=np.float32)

    goal = placed(base).T.copy()
    cropped = [base, *(_descriptors(thumbnails, box) for box in BOXES[1:])]
    ways = list(_WAYS)
    moves = [turned_descriptor(turn) for turn in range(8)]
    near = min(NEIGHBOURS, n - 1)
    query, other, best, how = [], [], [], []
    for first in range(0, n, _BLOCK):
        last = min(first + _BLOCK, n)
        asked = [placed(cropped[box][first:last][:, moves[turn]]) for box, turn in ways]
        likeness = np.full((last - first, n), -1.0, dtype=np.float32)
        for one in asked:
            np.maximum(likeness, one @ goal, out=likeness)
        likeness[np.arange(last - first), np.arange(first, last)] = -1.0
        found = np.argpartition(-likeness, near - 1, axis=1)[:, :near]
        values = np.take_along_axis(likeness, found, axis=1)
        row, place = np.nonzero(values >= LEAST_LIKENESS)
        column = found[row, place]
        each = np.stack([np.einsum("id,id->i", one[row], goal[:, column].T) for one in asked])
        query.append(first + row)
        other.append(column)
        best.append(values[row, place])
        how.append(each.argmax(axis=0))
    return _pairs(np.concatenate(query), np.concatenate(other), np.concatenate(best), np.concatenate(how), ways, rows)


def laid(thumbnails: Bytes, pairs: Rows, likeness: npt.NDArray[np.float64]) -> Candidates:
    """Return given pairs as candidates, each in the orientation and crop in which its thumbnails agree best.

    Parameters
    ----------
    thumbnails
        uint8 ``(pictures, side, side)``, of all pictures that pairs name by row.
    pairs
        Rows ``(pairs, 2)``.
    likeness
        Of each pair, whatever it was found by; it is kept.
    """
    if not len(pairs):
        return Candidates.none()
    named, places = np.unique(pairs, return_inverse=True)
    first, second = places.reshape(-1, 2).T
    shown = thumbnails[named]
    base = _descriptors(shown, BOXES[0])
    mean = base.mean(axis=0)

    def centred(values: Floats) -> Floats:
        inner = values - mean
        return np.asarray(inner / np.maximum(np.linalg.norm(inner, axis=1, keepdims=True), 1e-9), dtype=np.float32)

    goal = centred(base)
    cropped = [base, *(_descriptors(shown, box) for box in BOXES[1:])]
    moved = [centred(cropped[box][:, turned_descriptor(turn)]) for box, turn in _WAYS]
    # Either picture may be a part of the other: the one that is turned and cropped is the second of a candidate.
    ways = [
        np.stack([np.einsum("id,id->i", goal[a], one[b]) for one in moved])
        for a, b in ((first, second), (second, first))
    ]
    swapped = ways[1].max(axis=0) > ways[0].max(axis=0)
    how = np.where(swapped, ways[1].argmax(axis=0), ways[0].argmax(axis=0))
    ordered = np.where(swapped[:, None], pairs[:, ::-1], pairs)
    turns = np.array([turn for _, turn in _WAYS], dtype=np.int64)
    starts = np.array([_start(box, turn) for box, turn in _WAYS])
    return Candidates(ordered.astype(np.int64), likeness.astype(np.float64), turns[how], starts[how])


def turned_descriptor(turn: int) -> Rows:
    """Return the order in which a descriptor's numbers stand when the picture is turned as `turn` says."""
    order = np.arange(DIRECTIONS * CELLS * CELLS).reshape(DIRECTIONS, CELLS, CELLS)
    if turn >= 4:
        # Mirrored left to right a direction of angle t becomes half a circle less t.
        order = order[(DIRECTIONS // 2 - np.arange(DIRECTIONS)) % DIRECTIONS][:, :, ::-1]
    for _ in range(turn % 4):
        order = np.rot90(order, axes=(1, 2))[(np.arange(DIRECTIONS) + DIRECTIONS // 4) % DIRECTIONS]
    return np.ascontiguousarray(order).ravel()


def _descriptors(thumbnails: Bytes, box: tuple[float, float, float]) -> Floats:
    """Return the descriptors of the part `box` of every thumbnail, ``(pictures, 128)``, each of length one."""
    side = thumbnails.shape[1]
    pooled = _pooling(side)
    parts = []
    for first in range(0, len(thumbnails), _CHUNK):
        evened = np.stack([_evened(picture, box) for picture in thumbnails[first : first + _CHUNK]])
        right, down = np.zeros_like(evened), np.zeros_like(evened)
        right[:, :, 1:-1] = evened[:, :, 2:] - evened[:, :, :-2]
        down[:, 1:-1] = evened[:, 2:] - evened[:, :-2]
        strength = np.hypot(right, down)
        angle = np.arctan2(down, right) * np.float32(DIRECTIONS / (2 * np.pi)) % DIRECTIONS
        counts = np.empty((len(evened), DIRECTIONS, CELLS, CELLS), dtype=np.float32)
        for direction in range(DIRECTIONS):
            # Each pixel counts for the two directions nearest to its own, by how near they are.
            away = np.abs(angle - np.float32(direction))
            np.minimum(away, DIRECTIONS - away, out=away)
            np.subtract(1, away, out=away)
            np.maximum(away, 0, out=away)
            away *= strength
            counts[:, direction] = pooled @ away @ pooled.T
        flat = np.sqrt(counts.reshape(len(evened), -1))
        parts.append(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))
    return np.concatenate(parts).astype(np.float32)


def _evened(picture: Bytes, box: tuple[float, float, float]) -> Floats:
    """Return the part `box` of a thumbnail at its full size, with light and contrast evened out."""
    values = picture.astype(np.float32)
    side = len(values)
    if box != BOXES[0]:
        top, left, size = box
        shift = (size - 1) / 2
        warp = np.array([[size, 0, left * side + shift], [0, size, top * side + shift]], dtype=np.float32)
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        values = np.asarray(cv2.warpAffine(values, warp, (side, side), flags=how, borderMode=cv2.BORDER_REPLICATE))
    smooth = cv2.GaussianBlur(values, (0, 0), 0.8)
    rest = smooth - cv2.GaussianBlur(smooth, (0, 0), 5.0)
    return np.asarray(rest / (np.sqrt(cv2.GaussianBlur(rest * rest, (0, 0), 5.0)) + 4.0), dtype=np.float32)


def _pooling(side: int) -> Floats:
    """Return weights ``(cells, side)`` of overlapping triangles, so that a small shift moves little."""
    width = side / CELLS
    centres = (np.arange(CELLS) + 0.5) * width
    away = np.abs(np.arange(side)[None, :] + 0.5 - centres[:, None]) / width
    return np.maximum(0, 1 - away).astype(np.float32)


def _principal(centred: Floats) -> Floats:
    """Return the directions of largest variance, ``(numbers, kept)``."""
    wide = centred.astype(np.float64)
    vectors = np.linalg.eigh(wide.T @ wide)[1]
    return np.asarray(vectors[:, ::-1][:, :KEPT], dtype=np.float32)


def _pairs(query: Rows, other: Rows, best: Floats, how: Rows, ways: list[tuple[int, int]], rows: Rows) -> Candidates:
    """Return each pair once, by its best way, the likeliest first; a query is the second of its pair."""
    low, high = np.minimum(query, other), np.maximum(query, other)
    order = np.lexsort((-best, high, low))
    fresh = np.ones(len(order), dtype=np.bool_)
    fresh[1:] = (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)
    kept = order[fresh]
    kept = kept[np.lexsort((high[kept], low[kept], -best[kept]))]
    starts = np.array([_start(box, turn) for box, turn in ways])
    chosen = how[kept]
    turns = np.array([turn for _, turn in ways], dtype=np.int64)
    return Candidates(
        np.stack([rows[other[kept]], rows[query[kept]]], axis=1).astype(np.int64),
        best[kept].astype(np.float64),
        turns[chosen],
        starts[chosen],
    )


def _start(box: int, turn: int) -> npt.NDArray[np.float64]:
    """Return the affine from places in a picture to those in the turned one of which it resembles the part `box`."""
    top, left, size = BOXES[box]
    if turn >= 4:
        left = 1 - left - size
    for _ in range(turn % 4):
        top, left = 1 - left - size, top
    return np.array([[size, 0, left + size / 2 - 0.5], [0, size, top + size / 2 - 0.5], [0, 0, 1]])
