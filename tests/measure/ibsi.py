"""The digital phantom of the image biomarker standardisation initiative and the values published for it.

Zwanenburg et al., Radiology 295:328 (2020) and the reference manual (arXiv:1612.07003), chapters 3 and 5.
"""

from __future__ import annotations

import numpy as np

PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)
"""Grey levels ``(slices, rows, columns)``; 0 is outside the region. Voxels are cubes of 2 mm."""

SHAPE = {
    "volume_ml": (0.592, 0.004),
    "mesh_volume_ml": (0.556, 0.004),
    "surface_mm2": (388, 3),
    "sphericity": (0.843, 0.005),
    "major_axis_mm": (11.4, 0.1),
    "minor_axis_mm": (9.31, 0.06),
    "least_axis_mm": (8.54, 0.05),
    "elongation": (0.816, 0.005),
    "flatness": (0.749, 0.005),
    "solidity": (0.961, 0.006),
    "border_irregularity": (1.03, 0.01),
    "diameter_3d_mm": (13.1, 0.1),
}
"""Value and tolerance; volumes are published in mm3."""

STATISTICS = {
    "intensity_mean": 2.15,
    "intensity_variance": 3.05,
    "intensity_skewness": 1.08,
    "intensity_kurtosis": -0.355,
    "intensity_median": 1,
    "intensity_minimum": 1,
    "intensity_p10": 1,
    "intensity_p90": 4,
    "intensity_maximum": 6,
    "intensity_interquartile_range": 3,
    "intensity_range": 5,
    "intensity_mean_absolute_deviation": 1.55,
    "intensity_robust_mean_absolute_deviation": 1.11,
    "intensity_median_absolute_deviation": 1.15,
    "intensity_coefficient_of_variation": 0.812,
    "intensity_quartile_dispersion": 0.6,
    "intensity_energy": 567,
    "intensity_root_mean_square": 2.77,
    "histogram_entropy": 1.27,
    "histogram_uniformity": 0.512,
}
"""Three significant digits, without tolerance."""

_PAIRS = """
    joint_maximum joint_average joint_variance joint_entropy difference_average difference_variance difference_entropy
    sum_average sum_variance sum_entropy angular_second_moment contrast dissimilarity inverse_difference
    normalised_inverse_difference inverse_difference_moment normalised_inverse_difference_moment inverse_variance
    correlation autocorrelation cluster_tendency cluster_shade cluster_prominence information_correlation_1
    information_correlation_2
"""
_RUNS = """
    short_run_emphasis long_run_emphasis low_grey_level_run_emphasis high_grey_level_run_emphasis
    short_run_low_grey_level_emphasis short_run_high_grey_level_emphasis long_run_low_grey_level_emphasis
    long_run_high_grey_level_emphasis grey_level_non_uniformity normalised_grey_level_non_uniformity
    run_length_non_uniformity normalised_run_length_non_uniformity run_percentage grey_level_variance
    run_length_variance run_entropy
"""
_ZONES = """
    small_zone_emphasis large_zone_emphasis low_grey_level_zone_emphasis high_grey_level_zone_emphasis
    small_zone_low_grey_level_emphasis small_zone_high_grey_level_emphasis large_zone_low_grey_level_emphasis
    large_zone_high_grey_level_emphasis grey_level_non_uniformity normalised_grey_level_non_uniformity
    zone_size_non_uniformity normalised_zone_size_non_uniformity zone_percentage grey_level_variance zone_size_variance
    zone_size_entropy
"""
_PAIR_VALUES = {
    "2d-average": """
        0.519 2.14 2.69 2.05 1.42 2.9 1.4 4.28 5.47 1.6 0.368 5.28 1.42 0.678 0.851 0.619 0.899 0.0567 -0.0121 5.09 5.47
        7 79.1 -0.155 0.487""",
    "2d-merge": """
        0.512 2.14 2.71 2.24 1.4 3.06 1.49 4.29 5.66 1.79 0.352 5.19 1.4 0.683 0.854 0.625 0.901 0.0553 0.0173 5.14 5.66
        6.98 80.4 -0.0341 0.263""",
    "2.5d-average": """
        0.489 2.2 3.22 2.48 1.46 3.11 1.61 4.41 7.48 2.01 0.286 5.39 1.46 0.668 0.847 0.606 0.897 0.0597 0.178 5.4 7.48
        16.6 147 -0.124 0.487""",
    "2.5d-merge": """
        0.492 2.2 3.24 2.61 1.44 3.23 1.67 4.41 7.65 2.14 0.277 5.29 1.44 0.673 0.85 0.613 0.899 0.0582 0.182 5.45 7.65
        16.4 142 -0.0334 0.291""",
    "3d-average": """
        0.503 2.14 3.1 2.4 1.43 3.06 1.56 4.29 7.07 1.92 0.303 5.32 1.43 0.677 0.851 0.618 0.898 0.0604 0.157 5.06 7.07
        16.6 145 -0.157 0.52""",
    "3d-merge": """
        0.509 2.15 3.13 2.57 1.38 3.21 1.64 4.3 7.41 2.11 0.291 5.12 1.38 0.688 0.856 0.631 0.902 0.0574 0.183 5.19 7.41
        17.4 147 -0.0288 0.269""",
}
_RUN_VALUES = {
    "2d-average": "0.641 3.78 0.604 9.82 0.294 8.57 3.14 17.4 5.2 0.46 6.12 0.492 0.627 3.35 0.761 2.17",
    "2d-merge": "0.661 3.51 0.609 9.74 0.311 8.67 2.92 16.1 20.5 0.456 21.6 0.441 0.627 3.37 0.778 2.57",
    "2.5d-average": "0.665 3.46 0.58 10.3 0.296 9.03 2.79 17.9 19.5 0.413 22.3 0.461 0.632 3.58 0.758 2.52",
    "2.5d-merge": "0.68 3.27 0.585 10.2 0.312 9.05 2.63 17 77.1 0.412 83.2 0.445 0.632 3.59 0.767 2.76",
    "3d-average": "0.705 3.06 0.603 9.7 0.352 8.54 2.39 17.6 21.8 0.43 26.9 0.513 0.68 3.46 0.574 2.43",
    "3d-merge": "0.729 2.76 0.607 9.64 0.372 8.67 2.16 15.6 281 0.43 328 0.501 0.68 3.48 0.598 2.62",
}
_ZONE_VALUES = {
    "2d": "0.363 43.9 0.371 16.4 0.0259 10.3 40.4 113 1.41 0.323 1.49 0.333 0.24 3.97 21 1.93",
    "2.5d": "0.368 34.2 0.368 16.2 0.0295 9.87 30.6 107 5.44 0.302 3.44 0.191 0.243 3.92 17.3 3.08",
    "3d": "0.255 550 0.253 15.6 0.0256 2.76 503 1490 1.4 0.28 1 0.2 0.0676 2.64 331 2.32",
}


def _column(family: str, names: str, values: str) -> dict[str, float]:
    pairs = zip(names.split(), values.split(), strict=True)
    return {f"{family}_{name}": float(value) for name, value in pairs}


TEXTURE = {
    way: _column("glcm", _PAIRS, _PAIR_VALUES[way])
    | _column("glrlm", _RUNS, _RUN_VALUES[way])
    | _column("glszm", _ZONES, _ZONE_VALUES[way.split("-")[0]])
    for way in _PAIR_VALUES
}
"""Values by aggregation and name, three significant digits, without tolerance."""


def agrees(value: float, published: float) -> bool:
    """Say whether a value rounds to a published one of three significant digits."""
    return float(f"{value:.3g}") == published
