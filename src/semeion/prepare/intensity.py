"""Values of one channel as numbers about 0: by the volume's own foreground, or by fixed numbers of the modality."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.volume import Grid
from semeion.prepare.volume_spec import Intensity

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Chosen = npt.NDArray[np.bool_]

PERCENTILES = (0.005, 0.995)
"""Shares that ``percentiles`` clips to when the settings name none."""
_BINS = 256
_FIELD_VOXELS = 48
"""N4 looks at a copy whose axes have at most about this many voxels; the field is as smooth."""


def otsu(values: Array) -> float:
    """Return the threshold that best parts values into two groups (Otsu, IEEE Trans. SMC 9(1):62, 1979).

    On 256 bins between the 0.1 and 99.9 percentiles, so that a few hot voxels do not decide.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    low, high = np.quantile(flat, (0.001, 0.999))
    if not high > low:
        low, high = float(flat.min()), float(flat.max())
    if not high > low:
        return float(low)
    counts, edges = np.histogram(np.clip(flat, low, high), _BINS, (low, high))
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = flat.size - below
    sums = np.cumsum(counts * middle)
    mean_below = sums[:-1] / np.maximum(below, 1)
    mean_above = (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below * above * (mean_below - mean_above) ** 2
    # Between two groups far apart every threshold is as good: the middle of them.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float((edges[1 + best[0]] + edges[1 + best[-1]]) / 2)


def foreground(values: Array, rule: str) -> Chosen:
    """Return which voxels count: ``all``, ``nonzero``, or above Otsu's threshold (``otsu``).

    All, when the rule leaves none.
    """
    if rule == "all":
        return np.ones(values.shape, dtype=np.bool_)
    chosen: Chosen = values != 0 if rule == "nonzero" else values > otsu(values)
    return chosen if chosen.any() else np.ones(values.shape, dtype=np.bool_)


def body(values: Array) -> Chosen:
    """Return the largest connected part above Otsu's threshold: the body, without the table or the air around it."""
    from semeion.prepare.itk import largest_part

    return largest_part(foreground(values, "otsu"))


def normalise(values: Array, grid: Grid, settings: Intensity) -> tuple[Floats, tuple[str, ...]]:
    """Apply the settings to one plane.

    Parameters
    ----------
    values
        ``(slices, rows, columns)``, any number type.
    grid
        Its grid; N4's field has the same physical smoothness along every axis.

    Returns
    -------
    tuple
        float32 of the same shape, and coded notes: ``constant`` when there is nothing to scale.
    """
    out: Floats = values.astype(np.float32)
    notes: list[str] = []
    if settings.n4:
        out, note = correct_bias(out, grid)
        notes.append(note)
    if settings.denoise:
        out = denoised(out, grid, settings.denoise)
    if settings.kind == "fixed":
        if settings.low is None or settings.high is None or settings.mean is None or settings.std is None:
            raise ValueError("kind 'fixed' needs low, high, mean and std")
        np.clip(out, settings.low, settings.high, out=out)
        out -= np.float32(settings.mean)
        out /= np.float32(settings.std)
        return out, tuple(notes)
    chosen = out[foreground(out, settings.foreground)]
    low, high = 0.0, 0.0
    shares = settings.clip or (PERCENTILES if settings.kind == "percentiles" else None)
    if shares is not None:
        ends = np.quantile(chosen, shares)
        low, high = float(ends[0]), float(ends[1])
        np.clip(out, low, high, out=out)
        np.clip(chosen, low, high, out=chosen)
    if settings.kind == "zscore":
        low = float(chosen.mean(dtype=np.float64))
        width = float(chosen.std(dtype=np.float64))
    else:
        width = high - low
    # Rounding leaves a constant of large value a deviation that is not 0.
    if width <= 1e-6 * max(abs(low), 1e-30):
        return np.zeros_like(out), (*notes, "constant")
    out -= np.float32(low)
    out /= np.float32(width)
    return out, tuple(notes)


def correct_bias(values: Floats, grid: Grid) -> tuple[Floats, str]:
    """Divide by the slow field that N4 finds in a shrunken copy inside Otsu's foreground.

    Returns
    -------
    tuple
        The corrected values and a note with the field's range; unchanged when all values are equal.
    """
    from semeion.prepare.itk import from_itk, sitk, to_itk

    least = float(values.min())
    chosen = foreground(values, "otsu")
    if not float(values.max()) > least or min(values.shape) < 2:
        return values, "n4-left-out: nothing to correct"
    # N4 takes logarithms: values must be positive.
    lift = np.float32(1.0 - least) if least < 1 else np.float32(0.0)
    image, mask = to_itk(values + lift, grid), to_itk(chosen.astype(np.uint8), grid)
    shrink = [max(1, round(n / _FIELD_VOXELS)) for n in grid.size]
    small, small_mask = sitk.Shrink(image, shrink), sitk.Shrink(mask, shrink)
    if not from_itk(small_mask).any():
        small, small_mask = image, mask
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations([50, 50, 50])
    corrector.Execute(small, small_mask)
    field = from_itk(sitk.Exp(corrector.GetLogBiasFieldAsImage(image))).astype(np.float32)
    field /= np.float32(np.exp(np.log(field[chosen].astype(np.float64)).mean()))
    ends = float(field[chosen].min()), float(field[chosen].max())
    return (values + lift) / field - lift, f"n4: field from {ends[0]:.2f} to {ends[1]:.2f}"


def denoised(values: Floats, grid: Grid, how: str) -> Floats:
    """Return values after a median of 3 x 3 x 3 voxels or five steps of curvature flow, in voxels of equal size."""
    from semeion.prepare.itk import from_itk, sitk, to_itk

    # A neighbour in the next thick slice is no neighbour: there the median stays within the slice.
    fine = min(grid.spacing)
    radius = [1 if spacing <= 3 * fine else 0 for spacing in grid.spacing]
    image = to_itk(values, grid)
    if how == "median":
        return from_itk(sitk.Median(image, radius)).astype(np.float32, copy=False)
    flow = sitk.CurvatureFlow(image, timeStep=0.0625 * fine**2, numberOfIterations=5)
    return from_itk(flow).astype(np.float32, copy=False)
