"""The type that carries a volume with its geometry: every operation on it must keep the geometry true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ORTHONORMAL = 1e-4
"""Largest deviation of a product of direction vectors from 0 or 1: headers hold six digits."""
SAME_PLACE_MM = 1e-2
"""Two grids are the same when every corner lies within this distance, a hundredth of a usual voxel."""


@dataclass(frozen=True)
class Grid:
    """Where voxels are in the patient, by the conventions of DICOM and ITK (LPS: left, posterior, superior).

    The centre of voxel ``(i, j, k)`` lies at ``origin + direction @ (spacing * (i, j, k))`` (PS3.3 C.7.6.2.1.1).

    Attributes
    ----------
    size
        Voxels along i (columns), j (rows) and k (slices). The array of a volume has the reverse order ``(k, j, i)``.
    spacing
        Millimetres between voxel centres along i, j and k; positive.
    origin
        Centre of the first voxel, LPS millimetres.
    direction
        Nine numbers, row by row, of the 3 x 3 matrix whose columns are the unit vectors of i, j and k in LPS.

    Raises
    ------
    ValueError
        When a number is not finite, a size or spacing not positive, or the direction not orthonormal. Readers turn it
        into an error that names the file and the header's element.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if len(self.size) != 3 or min(self.size) < 1:
            raise ValueError(f"a grid of {self.size} voxels is empty")
        numbers = (*self.spacing, *self.origin, *self.direction)
        if len(numbers) != 15 or not np.isfinite(numbers).all():
            raise ValueError(f"spacing {self.spacing}, origin {self.origin} or direction is not finite")
        if min(self.spacing) <= 0:
            raise ValueError(f"spacing {self.spacing} mm is not positive")
        matrix = self.matrix
        worst = float(np.abs(matrix.T @ matrix - np.eye(3)).max())
        if worst > ORTHONORMAL:
            raise ValueError(f"the axes are not perpendicular unit vectors (off by {worst:.3g})")

    @property
    def matrix(self) -> Floats:
        """The direction as a float64 array ``(3, 3)``; its columns are the axes i, j, k."""
        return np.array(self.direction, dtype=np.float64).reshape(3, 3)

    @property
    def affine(self) -> Floats:
        """The float64 array ``(4, 4)`` from voxel indices ``(i, j, k, 1)`` to LPS millimetres."""
        affine = np.eye(4)
        affine[:3, :3] = self.matrix * np.array(self.spacing)
        affine[:3, 3] = self.origin
        return affine

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the array: slices, rows, columns."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing)) / 1000.0

    def place(self, index: npt.ArrayLike) -> Floats:
        """Return LPS millimetres of voxel indices ``(..., 3)`` in the order i, j, k."""
        scaled = np.asarray(index, dtype=np.float64) * np.array(self.spacing)
        return np.asarray(scaled @ self.matrix.T + np.array(self.origin))

    def index(self, place: npt.ArrayLike) -> Floats:
        """Return continuous voxel indices ``(..., 3)`` of LPS millimetres."""
        away = np.asarray(place, dtype=np.float64) - np.array(self.origin)
        return np.asarray(away @ self.matrix / np.array(self.spacing))

    def distance(self, other: Grid) -> float:
        """Return the largest distance in mm between equal corners of two grids; infinite when the sizes differ."""
        if self.size != other.size:
            return float("inf")
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.size], indexing="ij")).reshape(3, -1).T
        return float(np.linalg.norm(self.place(corners) - other.place(corners), axis=1).max())

    def same_as(self, other: Grid, tolerance_mm: float = SAME_PLACE_MM) -> bool:
        """Tell whether every voxel of two grids lies at the same place within `tolerance_mm`."""
        return self.distance(other) <= tolerance_mm

    @staticmethod
    def from_affine(affine: npt.ArrayLike, size: tuple[int, int, int]) -> Grid:
        """Make a grid of a ``(4, 4)`` affine from ``(i, j, k, 1)`` to LPS millimetres.

        Raises
        ------
        ValueError
            When the affine is sheared, singular or not finite.
        """
        matrix = np.asarray(affine, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise ValueError("the affine is not a finite 4 x 4 matrix")
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        if (spacing <= 0).any():
            raise ValueError("the affine is singular")
        direction = (matrix[:3, :3] / spacing).ravel()
        a, b, c = (float(value) for value in spacing)
        x, y, z = (float(value) for value in matrix[:3, 3])
        return Grid(size, (a, b, c), (x, y, z), tuple(float(value) for value in direction))


UNSIZED = frozenset({"no-spacing", "one-slice"})
"""Codes of notes that a stand-in was put for the size of a pixel, or for the thickness of a single slice."""


@dataclass(frozen=True)
class Volume:
    """One or several volumes on one grid: the channels of a case, or the frames of a cine.

    Attributes
    ----------
    voxels
        Array ``(planes, slices, rows, columns)``; planes are channels or frames. Integer or floating, native byte
        order. Physical values where the modality has units. Colour is three channels. A mask has one plane of whole
        numbers, 0 the background.
    grid
        Where the voxels are.
    names
        Of the planes, for example ``("FLAIR", "T1")``; one a plane.
    axis
        What the planes are.
    times
        Milliseconds of each frame from the first, when `axis` is ``time`` and the file says; else empty.
    unit
        ``HU``, ``SUVbw``, ... when the values are physical; else None.
    modality, body_part, laterality
        As DICOM writes them, when known.
    source_format
        Lower-case name by content: dicom, nifti, nrrd, metaimage, npy, npz.
    notes
        Coded remarks on what reading did, with numbers: ``tilt-corrected: 18.5 degrees``.

    Raises
    ------
    ValueError
        When array, grid, names and times do not fit one another.
    """

    voxels: npt.NDArray[Any]
    grid: Grid
    names: tuple[str, ...] = ("",)
    axis: Literal["channel", "time"] = "channel"
    times: tuple[float, ...] = ()
    unit: str | None = None
    modality: str | None = None
    source_format: str = ""
    notes: tuple[str, ...] = field(default=())
    body_part: str | None = None
    laterality: str | None = None

    def __post_init__(self) -> None:
        if self.voxels.ndim != 4 or self.voxels.shape[1:] != self.grid.shape:
            raise ValueError(f"an array {self.voxels.shape} does not fit a grid of {self.grid.shape}")
        if len(self.names) != len(self.voxels):
            raise ValueError(f"{len(self.names)} names for {len(self.voxels)} planes")
        if self.times and len(self.times) != len(self.voxels):
            raise ValueError(f"{len(self.times)} times for {len(self.voxels)} frames")

    @property
    def plane(self) -> npt.NDArray[Any]:
        """The array ``(slices, rows, columns)`` of a volume with one plane.

        Raises
        ------
        ValueError
            When there are several.
        """
        if len(self.voxels) != 1:
            raise ValueError(f"one plane is wanted and there are {len(self.voxels)}")
        only: npt.NDArray[Any] = self.voxels[0]
        return only


def knows_spacing(notes: Sequence[str]) -> bool:
    """Tell from the notes of a volume or mask whether the size of its voxels is known; see ``docs/volumes.md``."""
    return not UNSIZED & {note.split(":")[0].strip() for note in notes}
