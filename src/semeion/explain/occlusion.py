"""Occlusion: how much the score falls where a patch hides a place; of any model, whatever its networks are.

Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, section 4.2. The patch has
the mean of the case's own image, so that it is neither dark nor bright. Each patch is a run of the whole model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from semeion.explain.target import chosen, score_of
from semeion.explain.view import ModelView, Where
from semeion.model.combine import Floats
from semeion.model.observing import Seen

Bytes = npt.NDArray[np.uint8]
Span = tuple[slice, ...]

MOST_RUNS = 256
"""Patches of a case at most, and with them cases that the model judges; hidden slices or images come on top."""
CELLS = {2: 14, 3: 6}
"""Cells along the longest side, of pictures and of volumes; fewer where that were too many patches."""
MOST_PARTS = 16
"""Parts along the slices of all groups together that are hidden whole."""
PATCH = 2
"""Cells along a side of a patch; patches overlap, and are one cell apart."""
_TOGETHER, _PIXELS = 32, 1 << 19
"""Cases that are judged together, and their pixels, at most."""


def occlusion_map(view: ModelView, seen: Seen, target: str | None = None, *, patch: int = PATCH) -> Where:
    """Return how much the score of a class falls where places are hidden.

    Parameters
    ----------
    view, seen, target
        As for :func:`semeion.explain.where.explain_where`.
    patch
        Cells along a side of a patch.

    Returns
    -------
    Where
        A place has the mean fall over the patches that hide it, of the score before calibration
        (:func:`semeion.explain.target.score_of`; ordered grades: of the mean grade). `parts`: the fall when a slice, a
        frame or a view is hidden whole; slices beyond :data:`MOST_PARTS` are hidden together with their neighbours.

    Raises
    ------
    InputError, ModelRefused
        As ``explain_where``.
    """
    name = chosen(view, seen, target)
    if seen.array is None:
        raise ValueError("a case without an image")
    manifest = view.manifest
    groups, size = view.groups, view.size
    grid = cells_of(size, groups, patch)
    hidden = [(group, span) for group in range(groups) for span in patches(size, grid, patch)]
    parts = _parts(groups, size)
    fallen = _fallen(view, seen, seen.array, name, [*hidden, *parts])
    summed, covered = np.zeros((groups, *size)), np.zeros((groups, *size))
    for (group, span), fall in zip(hidden, fallen, strict=False):
        summed[group][span] += fall
        covered[group][span] += 1
    whole = np.asarray(summed / covered, dtype=np.float32)
    depth = size[0] if len(size) == 3 else 1
    by_part = np.zeros((groups, depth), np.float32)
    for (group, span), fall in zip(parts, fallen[len(hidden) :], strict=True):
        by_part[group, span[0] if len(size) == 3 else slice(None)] = fall
    return Where(
        map=whole if groups > 1 else whole[0],
        method="occlusion",
        target=name,
        unit="grades" if manifest.task == "ordinal" else view.unit,
        members=tuple(member for member, share in view.shares.items() if share),
        parts=by_part if parts else None,
    )


def cells_of(size: Sequence[int], groups: int = 1, patch: int = PATCH) -> tuple[int, ...]:
    """Return the cells along each side of the input: as many as :data:`MOST_RUNS` allows, nearly cubes."""
    longest = max(size)
    for most in range(CELLS[len(size)], 0, -1):
        found = tuple(min(side, max(1, round(most * side / longest))) for side in size)
        if groups * int(np.prod([count + patch - 1 for count in found])) <= MOST_RUNS:
            return found
    return tuple(1 for _ in size)


def patches(size: Sequence[int], cells: Sequence[int], patch: int = PATCH) -> list[Span]:
    """Return the patches of a grid of `size`, each a cell further, also over the borders: all cells lie in as many."""
    each = []
    for side, count in zip(size, cells, strict=True):
        edges = [round(side * number / count) for number in range(count + 1)]
        ends = [(max(0, last - patch), min(count, last)) for last in range(1, count + patch)]
        each.append([slice(edges[first], edges[last]) for first, last in ends])
    return list(itertools.product(*each))


def _parts(groups: int, size: Sequence[int]) -> list[tuple[int, Span]]:
    """Return what is hidden whole: slices of each group; of pictures each of several groups."""
    if len(size) == 2:
        return [(group, ()) for group in range(groups)] if groups > 1 else []
    count = min(size[0], max(1, MOST_PARTS // groups))
    edges = [round(size[0] * number / count) for number in range(count + 1)]
    spans = [slice(first, last) for first, last in itertools.pairwise(edges)]
    return [(group, (span,)) for group in range(groups) for span in spans]


def _fallen(view: ModelView, seen: Seen, array: Bytes, target: str, hidden: Sequence[tuple[int, Span]]) -> Floats:
    """Return by how much the score falls when each place is hidden."""
    planes = len(array) // view.groups
    fill = np.rint(array.reshape(len(array), -1).mean(axis=1)).astype(np.uint8)

    def cases() -> Iterator[Bytes]:
        yield array
        for group, span in hidden:
            changed = array.copy()
            for plane in range(group * planes, (group + 1) * planes):
                changed[plane][span] = fill[plane]
            yield changed

    together = max(1, min(_TOGETHER, _PIXELS // int(np.prod(array.shape[1:]))))
    every, said = cases(), []
    columns = [column.name for column in view.manifest.inputs.covariates]
    while batch := list(itertools.islice(every, together)):
        rows = {name: [seen.case.covariates.get(name)] * len(batch) for name in columns}
        said.append(score_of(view.combined(np.stack(batch), rows), view.manifest.task, view.manifest.classes, target))
    scores = np.concatenate(said)
    return np.asarray(scores[0] - scores[1:], dtype=np.float64)
