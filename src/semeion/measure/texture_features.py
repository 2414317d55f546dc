"""Figures of one texture matrix, by the IBSI reference manual, chapters 3.6 to 3.8."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semeion.measure.texture_matrices import Cells

Floats = npt.NDArray[np.float64]


def pair_features(counts: Floats) -> dict[str, float]:
    """Return the 25 figures of a symmetric co-occurrence matrix ``(levels, levels)`` with at least one pair.

    Correlation and the first information correlation are NaN when all pairs are of one level.
    """
    p = counts / counts.sum()
    number = len(p)
    level = np.arange(1, number + 1, dtype=np.float64)
    i, j = level[:, None], level[None, :]
    row = p.sum(axis=1)
    mean = float(level @ row)
    variance = float((level - mean) ** 2 @ row)
    # Of the difference from 0 and of the sum from 2, the two diagonal distributions.
    k = np.arange(number)
    difference: Floats = np.bincount(np.abs(k[:, None] - k).ravel(), weights=p.ravel()).astype(np.float64)
    total: Floats = np.bincount((k[:, None] + k).ravel(), weights=p.ravel()).astype(np.float64)
    steps, sums = np.arange(len(difference)), np.arange(len(total)) + 2.0
    difference_mean, sum_mean = float(steps @ difference), float(sums @ total)
    independent = row[:, None] * row
    joint_entropy, row_entropy = _entropy(p), _entropy(row)
    seen = independent > 0
    cross = -float((p[seen] * np.log2(independent[seen])).sum())
    gap = max(_entropy(independent) - joint_entropy, 0.0)
    one_level = np.count_nonzero(row) == 1
    centred = i + j - 2 * mean
    values = {
        "joint_maximum": p.max(),
        "joint_average": mean,
        "joint_variance": variance,
        "joint_entropy": joint_entropy,
        "difference_average": difference_mean,
        "difference_variance": (steps - difference_mean) ** 2 @ difference,
        "difference_entropy": _entropy(difference),
        "sum_average": sum_mean,
        "sum_variance": (sums - sum_mean) ** 2 @ total,
        "sum_entropy": _entropy(total),
        "angular_second_moment": (p**2).sum(),
        "contrast": steps**2 @ difference,
        "dissimilarity": difference_mean,
        "inverse_difference": (difference / (1 + steps)).sum(),
        "normalised_inverse_difference": (difference / (1 + steps / number)).sum(),
        "inverse_difference_moment": (difference / (1 + steps**2)).sum(),
        "normalised_inverse_difference_moment": (difference / (1 + (steps / number) ** 2)).sum(),
        "inverse_variance": (difference[1:] / steps[1:] ** 2).sum(),
        "correlation": np.nan if one_level else ((i * j * p).sum() - mean**2) / variance,
        "autocorrelation": (i * j * p).sum(),
        "cluster_tendency": (centred**2 * p).sum(),
        "cluster_shade": (centred**3 * p).sum(),
        "cluster_prominence": (centred**4 * p).sum(),
        "information_correlation_1": np.nan if one_level else (joint_entropy - cross) / row_entropy,
        "information_correlation_2": np.sqrt(1 - np.exp(-2 * gap)),
    }
    return {f"glcm_{name}": float(value) for name, value in values.items()}


def run_features(cells: Cells) -> dict[str, float]:
    """Return the 16 figures of a run-length matrix."""
    return _sized(cells, "glrlm", "run", "run_length", "run_percentage", "run_entropy")


def zone_features(cells: Cells) -> dict[str, float]:
    """Return the 16 figures of a size-zone matrix."""
    return _sized(cells, "glszm", "zone", "zone_size", "zone_percentage", "zone_size_entropy")


def _sized(cells: Cells, family: str, what: str, size_name: str, percentage: str, entropy: str) -> dict[str, float]:
    short, long = ("short", "long") if what == "run" else ("small", "large")
    g, s = cells.levels.astype(np.float64), cells.sizes.astype(np.float64)
    total = float(cells.counts.sum())
    p = cells.counts / total
    by_level = np.bincount(cells.levels, weights=p)
    by_size = np.bincount(np.unique(cells.sizes, return_inverse=True)[1], weights=p)
    values = {
        f"{short}_{what}_emphasis": (p / s**2).sum(),
        f"{long}_{what}_emphasis": (p * s**2).sum(),
        f"low_grey_level_{what}_emphasis": (p / g**2).sum(),
        f"high_grey_level_{what}_emphasis": (p * g**2).sum(),
        f"{short}_{what}_low_grey_level_emphasis": (p / (s * g) ** 2).sum(),
        f"{short}_{what}_high_grey_level_emphasis": (p * (g / s) ** 2).sum(),
        f"{long}_{what}_low_grey_level_emphasis": (p * (s / g) ** 2).sum(),
        f"{long}_{what}_high_grey_level_emphasis": (p * (s * g) ** 2).sum(),
        "grey_level_non_uniformity": (by_level**2).sum() * total,
        "normalised_grey_level_non_uniformity": (by_level**2).sum(),
        f"{size_name}_non_uniformity": (by_size**2).sum() * total,
        f"normalised_{size_name}_non_uniformity": (by_size**2).sum(),
        percentage: total / cells.voxels,
        "grey_level_variance": p @ (g - p @ g) ** 2,
        f"{size_name}_variance": p @ (s - p @ s) ** 2,
        entropy: _entropy(p),
    }
    return {f"{family}_{name}": float(value) for name, value in values.items()}


def _entropy(p: Floats) -> float:
    """Return the entropy in bits of shares that add to one."""
    some = p[p > 0]
    # Not minus zero for a single share.
    return abs(float((some * np.log2(some)).sum()))
