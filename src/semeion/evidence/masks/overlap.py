"""How well a mask agrees with a reference: overlap, distance between surfaces, volume, lesion by lesion.

Definitions follow Maier-Hein et al., Metrics reloaded, Nature Methods 21:195 (2024), and Taha and Hanbury, BMC Medical
Imaging 15:29 (2015). Arrays are in the order slices, rows, columns, and so are spacings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

PERCENTILE = 95.0
_FACES = ndimage.generate_binary_structure(3, 1)
_CORNERS = ndimage.generate_binary_structure(3, 3)


@dataclass(frozen=True)
class Distances:
    """Distances between two surfaces in mm; both infinite when one mask is empty, NaN when both are."""

    hd95_mm: float
    assd_mm: float


@dataclass(frozen=True)
class Lesions:
    """Lesions of one case.

    Attributes
    ----------
    reference, found
        Lesions of the reference, and how many of them the prediction overlaps.
    predicted, true
        Lesions of the prediction, and how many of them overlap the reference.
    """

    reference: int
    found: int
    predicted: int
    true: int

    @property
    def sensitivity(self) -> float:
        """Found over reference; NaN without any."""
        return self.found / self.reference if self.reference else math.nan

    @property
    def precision(self) -> float:
        """True over predicted; NaN without any."""
        return self.true / self.predicted if self.predicted else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 when only one side has lesions, NaN when neither has."""
        if not self.reference and not self.predicted:
            return math.nan
        if not self.reference or not self.predicted or not self.found:
            return 0.0
        return 2 * self.sensitivity * self.precision / (self.sensitivity + self.precision)


def dice(reference: Mask, prediction: Mask) -> float:
    """Return twice the common voxels over the sum of both; NaN when both are empty, 0 when one is."""
    total = int(np.count_nonzero(reference)) + int(np.count_nonzero(prediction))
    return 2 * int(np.count_nonzero(reference & prediction)) / total if total else math.nan


def surface(mask: Mask) -> Mask:
    """Return the voxels of a mask with at least one of six neighbours outside it; beyond the array is outside."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask, _FACES))


def surface_distances(reference: Mask, prediction: Mask, spacing_kji: Sequence[float]) -> Distances:
    """Return the 95 % Hausdorff distance and the average symmetric surface distance.

    Surfaces are the voxels of :func:`surface`, at their centres, and each voxel's distance to the nearest voxel of the
    other surface is Euclidean and exact. ``hd95_mm`` is the larger of the two directed 95th percentiles (linear
    interpolation), ``assd_mm`` the mean over the voxels of both surfaces: the definitions of MONAI's
    ``compute_hausdorff_distance(percentile=95)`` and ``compute_average_surface_distance(symmetric=True)``.
    """
    some = bool(reference.any()), bool(prediction.any())
    if not all(some):
        value = math.inf if any(some) else math.nan
        return Distances(value, value)
    scale = np.asarray(spacing_kji, dtype=np.float64)
    a, b = (np.argwhere(surface(mask)) * scale for mask in (reference, prediction))
    forth, back = (np.asarray(cKDTree(to).query(at)[0], dtype=np.float64) for at, to in ((b, a), (a, b)))
    worst = max(float(np.percentile(each, PERCENTILE)) for each in (forth, back))
    return Distances(worst, float(np.concatenate([forth, back]).mean()))


def count_lesions(reference: Mask, prediction: Mask) -> Lesions:
    """Count lesions, connected over faces, edges and corners; two overlap when they share at least one voxel."""
    first, n_reference = ndimage.label(reference, _CORNERS)
    second, n_predicted = ndimage.label(prediction, _CORNERS)
    both = reference & prediction
    return Lesions(int(n_reference), len(np.unique(first[both])), int(n_predicted), len(np.unique(second[both])))


def common_box(*masks: Mask) -> tuple[slice, slice, slice]:
    """Return the smallest box with every voxel of the masks and one voxel around; the whole array when all are empty.

    Nothing measured here changes by cutting to it, since a border of the array and the voxel around count the same.
    """
    union = np.logical_or.reduce(masks)
    found = ndimage.find_objects(union.astype(np.uint8))
    if not found:
        return (slice(0, None),) * 3
    box = [
        slice(max(part.start - 1, 0), min(part.stop + 1, size))
        for part, size in zip(found[0], union.shape, strict=True)
    ]
    return box[0], box[1], box[2]


def measure_case(
    reference: Labels,
    prediction: Labels,
    labels: Mapping[str, int],
    spacing_kji: Sequence[float],
    *,
    lesions: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Measure one case, label by label.

    Parameters
    ----------
    reference, prediction
        Label maps ``(D, H, W)`` on one grid, 0 the background.
    labels
        Name of each foreground label and its number in both maps.
    spacing_kji
        Millimetres between voxels along the axes of the arrays.
    lesions
        Labels whose connected parts are lesions.

    Returns
    -------
    list of dict
        One a label: ``label, dice, hd95_mm, assd_mm, reference_ml, predicted_ml, volume_error_ml`` (prediction minus
        reference) and, for lesions, ``lesions_reference, lesions_found, lesions_predicted, lesions_true``. The rows of
        :func:`semeion.evidence.segmentation.weigh_segmentation`, without the case.

    Raises
    ------
    ValueError
        When the shapes differ, are not three-dimensional, or a spacing is not positive.
    """
    if reference.shape != prediction.shape or reference.ndim != 3:
        raise ValueError(f"the reference has shape {reference.shape} and the prediction {prediction.shape}")
    if len(spacing_kji) != 3 or not min(spacing_kji) > 0:
        raise ValueError(f"the spacing {tuple(spacing_kji)} is not three positive numbers")
    millilitres = float(np.prod(np.asarray(spacing_kji, dtype=np.float64))) / 1000
    rows = []
    for name, value in labels.items():
        whole = reference == value, prediction == value
        box = common_box(*whole)
        a, b = (np.ascontiguousarray(mask[box]) for mask in whole)
        volumes = [int(np.count_nonzero(mask)) * millilitres for mask in (a, b)]
        row: dict[str, Any] = {"label": name, "dice": dice(a, b), **asdict(surface_distances(a, b, spacing_kji))}
        row |= {"reference_ml": volumes[0], "predicted_ml": volumes[1], "volume_error_ml": volumes[1] - volumes[0]}
        if name in lesions:
            row |= {f"lesions_{key}": count for key, count in asdict(count_lesions(a, b)).items()}
        rows.append(row)
    return rows
