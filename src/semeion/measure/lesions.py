"""Count, load and a table of lesions from their mask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError
from semeion.measure.pattern import Bits, Definition, Floats, check_scale, pieces, structure

SMALLEST_ML = 0.003
"""Pieces below 3 cubic millimetres are not counted as lesions, as in the MSSEG challenge (Commowick et al. 2018)."""

DEFINITIONS = (
    Definition(
        "lesion_count",
        "Number of lesions",
        "",
        "Connected pieces (voxels that share a face, edge or corner) of at least the smallest volume; 0 when none.",
        "Commowick et al., Sci Rep 8:13650 (2018)",
    ),
    Definition(
        "lesion_load_ml",
        "Lesion load",
        "ml",
        "Volume of all counted lesions; 0 when none.",
        "Commowick et al., Sci Rep 8:13650 (2018)",
    ),
    Definition(
        "lesion_largest_ml",
        "Volume of the largest lesion",
        "ml",
        "Largest volume among counted lesions; not a number when none.",
        "Commowick et al., Sci Rep 8:13650 (2018)",
    ),
    Definition(
        "lesion_largest_diameter_mm",
        "Largest diameter of any lesion",
        "mm",
        "Largest distance between two voxel-face centres on the surface of one counted lesion, in three dimensions; "
        "not a number when none.",
        "Maximum 3D diameter, Zwanenburg et al., Radiology 295:328 (2020), on voxel faces instead of a mesh",
    ),
    Definition(
        "lesion_ignored_ml",
        "Volume of pieces too small to count",
        "ml",
        "Volume of connected pieces below the smallest volume; 0 when none.",
        "Commowick et al., Sci Rep 8:13650 (2018)",
    ),
)


@dataclass(frozen=True)
class Lesion:
    """One lesion.

    Attributes
    ----------
    number
        From 1, the largest first.
    voxels
        How many.
    volume_ml
        Their volume in millilitres.
    centre
        Centre of gravity, LPS millimetres.
    diameter_mm
        Largest distance between two points of its surface.
    """

    number: int
    voxels: int
    volume_ml: float
    centre: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True)
class Lesions:
    """The lesions of one mask, the largest first, and what was too small to be one."""

    table: tuple[Lesion, ...]
    ignored: int
    ignored_ml: float

    @property
    def load_ml(self) -> float:
        """Volume of all counted lesions in millilitres."""
        return float(sum(lesion.volume_ml for lesion in self.table))

    def measurements(self) -> dict[str, float]:
        """Return the values of :data:`DEFINITIONS` by name."""
        return {
            "lesion_count": float(len(self.table)),
            "lesion_load_ml": self.load_ml,
            "lesion_largest_ml": self.table[0].volume_ml if self.table else float("nan"),
            "lesion_largest_diameter_mm": max((one.diameter_mm for one in self.table), default=float("nan")),
            "lesion_ignored_ml": self.ignored_ml,
        }


def find_lesions(
    mask: Volume, labels: int | Iterable[int] = 1, *, smallest_ml: float = SMALLEST_ML, where: str = "mask"
) -> Lesions:
    """Separate, count and measure the lesions of a mask.

    Parameters
    ----------
    mask
        One plane of labels.
    labels
        The label of a lesion, or several that together are one.
    smallest_ml
        Connected pieces with a smaller volume are not counted; 0 counts every piece.
    where
        Name of the mask in messages.

    Raises
    ------
    InputError
        When the mask is no mask, a label is below 1, or `smallest_ml` is negative or not finite.
    """
    if not 0 <= smallest_ml < float("inf"):
        raise InputError(f"a smallest volume of {smallest_ml} ml", where=where, fix="give 0 ml or more")
    check_scale(mask, where)
    grid = mask.grid
    numbered, sizes = pieces(structure(mask, labels, where))
    # A piece of exactly the smallest volume counts, whatever the last digit of its product of spacings.
    counted = sizes * grid.voxel_ml >= smallest_ml * (1 - 1e-9)
    boxes = ndimage.find_objects(numbered)
    table = []
    for rank, piece in enumerate((i for i in np.argsort(-sizes, kind="stable") if counted[i]), start=1):
        box = boxes[piece]
        bits = numbered[box] == piece + 1
        corner = np.array([part.start for part in box], dtype=np.float64)
        centre = grid.place((np.argwhere(bits).mean(axis=0) + corner)[::-1])
        x, y, z = (float(value) for value in centre)
        volume = float(sizes[piece] * grid.voxel_ml)
        table.append(Lesion(rank, int(sizes[piece]), volume, (x, y, z), largest_diameter(bits, grid)))
    small = sizes[~counted]
    return Lesions(tuple(table), len(small), float(small.sum() * grid.voxel_ml))


def largest_diameter(bits: Bits, grid: Grid) -> float:
    """Return the largest distance in mm between centres of voxel faces on the surface of one structure.

    Parameters
    ----------
    bits
        Bool ``(slices, rows, columns)``, not empty; any part of the grid.
    grid
        For its spacing.
    """
    inside = ndimage.binary_erosion(bits)
    shell = np.argwhere(bits & ~inside).astype(np.float64)
    spacing_kji = np.array(grid.spacing[::-1])
    halves = np.concatenate([np.eye(3), -np.eye(3)]) / 2
    points: Floats = ((shell[:, None, :] + halves) * spacing_kji).reshape(-1, 3)
    # Faces of one voxel already span three dimensions, so that a hull always exists.
    return float(pdist(points[ConvexHull(points).vertices]).max())
