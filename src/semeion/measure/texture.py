"""Texture of a region: figures of pairs, runs and zones of grey levels, brought together over directions and slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError, nearest
from semeion.measure.discretise import Discretisation, Levels, discretise
from semeion.measure.intensity import histogram_measurements
from semeion.measure.surface import DIRECTIONS
from semeion.measure.texture_features import pair_features, run_features, zone_features
from semeion.measure.texture_matrices import Cells, Floats, Ints, co_occurrence, merge, runs, zones

Aggregation = Literal["3d-merge", "3d-average", "2.5d-merge", "2.5d-average", "2d-merge", "2d-average"]
"""How directions and slices come together (IBSI reference manual, chapter 3.6).

``merge`` adds the matrices of all directions before figures are taken, ``average`` averages the figures of each
direction. ``3d`` looks along 13 directions in space; ``2.5d`` along 4 in each slice and adds the matrices of all
slices; ``2d`` averages the figures of slices. In the manual's codes: 3d-merge IAZD, 3d-average ITBB, 2.5d-merge ZW7Z,
2.5d-average JJUI, 2d-merge SUJT, 2d-average BTW3.
"""

_T = TypeVar("_T", Floats, Cells)
_IN_PLANE = tuple(step for step in DIRECTIONS if step[0] == 0)


@dataclass(frozen=True)
class TextureSettings:
    """How texture is measured; figures by different settings must not be compared.

    Attributes
    ----------
    discretisation
        How intensities become grey levels.
    aggregation
        How directions and slices come together. Directions in space mean the same distance only when voxels are about
        as long as wide and high: resample to equal spacing first, or take ``2.5d``.

    Raises
    ------
    InputError
        When the aggregation is unknown.
    """

    discretisation: Discretisation = field(default_factory=Discretisation)
    aggregation: Aggregation = "3d-merge"

    def __post_init__(self) -> None:
        known = get_args(Aggregation)
        if self.aggregation not in known:
            raise InputError(
                f"{self.aggregation!r} is no way to bring textures together{nearest(str(self.aggregation), known)}",
                fix=f"take one of {', '.join(known)}",
            )


def texture_measurements(
    inside: npt.NDArray[np.bool_], values: npt.ArrayLike, settings: TextureSettings
) -> dict[str, float]:
    """Measure histogram and texture of a region.

    Parameters
    ----------
    inside
        Boolean array ``(slices, rows, columns)`` with at least one voxel set.
    values
        Intensities of those voxels in array order, finite.
    settings
        Bins and aggregation.

    Returns
    -------
    dict
        Values by the names of :data:`semeion.measure.definitions.DEFINITIONS`. NaN where undefined: figures of pairs
        when no two voxels are neighbours, correlations when all voxels have one level. A direction or slice without
        pairs, or with an undefined figure, is left out of that figure's average.

    Raises
    ------
    InputError
        When the bins do not fit the intensities.
    """
    found = discretise(values, settings.discretisation)
    levels = np.zeros(inside.shape, dtype=np.int64)
    levels[inside] = found.levels
    return histogram_measurements(found.levels) | texture_of_levels(levels, found, settings.aggregation)


def texture_of_levels(levels: Ints, found: Levels, aggregation: Aggregation) -> dict[str, float]:
    """Return the figures of pairs, runs and zones of an array ``(slices, rows, columns)`` of levels, 0 outside."""
    space, _, how = aggregation.partition("-")
    flat = [levels[k : k + 1] for k in range(len(levels)) if levels[k].any()]
    blocks, steps = ([levels], DIRECTIONS) if space == "3d" else (flat, _IN_PLANE)
    number = found.number
    pairs = [[co_occurrence(block, step, number) for step in steps] for block in blocks]
    lines = [[runs(block, step) for step in steps] for block in blocks]
    areas = [[zones(block)] for block in blocks]
    averaged, joined = how == "average", space == "2.5d"
    pair_groups = [sum(group[1:], start=group[0]) for group in _groups(pairs, averaged=averaged, joined=joined)]
    measured = [
        _mean([pair_features(matrix) for matrix in pair_groups if matrix.any()] or [_no_pairs()]),
        _mean([run_features(merge(group)) for group in _groups(lines, averaged=averaged, joined=joined)]),
        _mean([zone_features(merge(group)) for group in _groups(areas, averaged=averaged, joined=joined)]),
    ]
    return {name: value for part in measured for name, value in part.items()}


def _groups(table: list[list[_T]], *, averaged: bool, joined: bool) -> list[list[_T]]:
    """Return which matrices of a table, blocks by directions, are added before figures are taken."""
    if averaged and joined:
        return [list(column) for column in zip(*table, strict=True)]
    if averaged:
        return [[matrix] for row in table for matrix in row]
    return [[matrix for row in table for matrix in row]] if joined else table


def _no_pairs() -> dict[str, float]:
    return dict.fromkeys(pair_features(np.ones((1, 1))), float("nan"))


def _mean(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    table = np.array([list(part.values()) for part in parts])
    known = ~np.isnan(table)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, table, 0).sum(axis=0) / known.sum(axis=0)
    return dict(zip(parts[0], (float(value) for value in mean), strict=True))
