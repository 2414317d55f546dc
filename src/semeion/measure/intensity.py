"""First-order statistics of the intensities in a region, by the IBSI reference manual, chapters 3.3 and 3.4."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def intensity_measurements(values: npt.ArrayLike) -> dict[str, float]:
    """Return the statistics of intensities that need no bins.

    Parameters
    ----------
    values
        Intensities of the region's voxels, finite, at least one.

    Returns
    -------
    dict
        Values by the names of :data:`semeion.measure.definitions.DEFINITIONS`. Percentiles are interpolated linearly
        between ranks. Skewness and kurtosis are 0 without variance, as the manual says; ratios whose denominator is 0
        are NaN, and so is the robust deviation when no intensity lies between the percentiles.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    mean = float(x.mean())
    away = x - mean
    variance = float((away**2).mean())
    least, p10, p25, median, p75, p90, most = (float(p) for p in np.percentile(x, [0, 10, 25, 50, 75, 90, 100]))
    # Rounding of the mean must not make a constant region vary.
    varies = most > least and variance > 0
    scaled = away / variance**0.5 if varies else np.zeros_like(away)
    middle = x[(x >= p10) & (x <= p90)]
    return {
        "intensity_mean": mean,
        "intensity_variance": variance if varies else 0.0,
        "intensity_skewness": float((scaled**3).mean()),
        "intensity_kurtosis": float((scaled**4).mean()) - 3 if varies else 0.0,
        "intensity_median": median,
        "intensity_minimum": least,
        "intensity_p10": p10,
        "intensity_p90": p90,
        "intensity_maximum": most,
        "intensity_interquartile_range": p75 - p25,
        "intensity_range": most - least,
        "intensity_mean_absolute_deviation": float(np.abs(away).mean()),
        "intensity_robust_mean_absolute_deviation": _spread(middle),
        "intensity_median_absolute_deviation": float(np.abs(x - median).mean()),
        "intensity_coefficient_of_variation": _ratio(variance**0.5 if varies else 0.0, mean),
        "intensity_quartile_dispersion": _ratio(p75 - p25, p75 + p25),
        "intensity_energy": float((x**2).sum()),
        "intensity_root_mean_square": float(np.sqrt((x**2).mean())),
    }


def histogram_measurements(levels: npt.NDArray[np.integer]) -> dict[str, float]:
    """Return entropy in bits and uniformity of the grey levels of a region, whole numbers from 1."""
    share = np.bincount(np.asarray(levels).ravel())[1:] / np.size(levels)
    share = share[share > 0]
    return {
        # Not minus zero for a single level.
        "histogram_entropy": float(np.abs((share * np.log2(share)).sum())),
        "histogram_uniformity": float((share**2).sum()),
    }


def _spread(values: Floats) -> float:
    """Return the mean distance from the mean; of no values, as when two voxels have no 10th to 90th percentile, NaN."""
    return float(np.abs(values - values.mean()).mean()) if len(values) else float("nan")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole != 0 else float("nan")
