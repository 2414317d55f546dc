"""What each measurement of a region is called, its unit, how it is computed and whose definition that is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from semeion.measure.pattern import Definition

INTENSITY = "image"
"""Unit of a definition that has the unit of the image, for example HU."""
INTENSITY_SQUARED = "image2"

_IBSI = "IBSI reference manual (arXiv:1612.07003), feature {}"
_RECIST = "RECIST 1.1, Eisenhauer et al., Eur J Cancer 45:228 (2009)"
_CROFTON = "Legland, Kieu and Devaux, Image Anal Stereol 26:83 (2007)"

_SIZE_AND_SHAPE = (
    ("volume_ml", "Volume", "ml", "Number of voxels times the volume of a voxel.", "YEKZ"),
    ("mesh_volume_ml", "Volume inside the mesh", "ml", "Volume inside the marching-cubes surface.", "RNU0"),
    (
        "surface_mm2",
        "Surface",
        "mm2",
        "Area of the marching-cubes surface half way between voxels; a ball's is 7 % too large, more in thick slices.",
        "C0JK",
    ),
    (
        "sphericity",
        "Sphericity",
        "",
        "Surface of a ball of the mesh's volume over that of the mesh: 1 for a ball, about 0.93 for one of voxels.",
        "QCFX",
    ),
    (
        "major_axis_mm",
        "Major axis",
        "mm",
        "Four times the root of the largest principal moment of the voxel centres; not a number for one voxel.",
        "TDIC",
    ),
    ("minor_axis_mm", "Minor axis", "mm", "As the major axis, of the middle principal moment.", "P9VJ"),
    ("least_axis_mm", "Least axis", "mm", "As the major axis, of the smallest principal moment.", "7J51"),
    ("elongation", "Elongation", "", "Minor over major axis: 1 when equal, less the longer the region.", "Q3CK"),
    ("flatness", "Flatness", "", "Least over major axis: 1 when equal, less the flatter the region.", "N17B"),
    ("solidity", "Solidity", "", "Volume inside the mesh over the volume of its convex hull: 1 without dents.", "R3ER"),
    (
        "border_irregularity",
        "Border irregularity",
        "",
        "Surface of the mesh over that of its convex hull: about 1 if smooth and convex; compare at one spacing.",
        "7T7F",
    ),
    ("diameter_3d_mm", "Largest diameter", "mm", "Largest distance between two corners of the mesh.", "L0JK"),
)
_OTHER_SHAPE = (
    Definition(
        "surface_crofton_mm2",
        "Surface without the bias of steps",
        "mm2",
        "Estimated from how often lines in 13 directions cross the border; within 2 % for a ball of 10 voxels across.",
        _CROFTON,
    ),
    Definition(
        "recist_long_mm",
        "Largest diameter in a slice",
        "mm",
        "Longest line between two places of the outline of a connected piece in one slice, over all slices as stored.",
        _RECIST,
    ),
    Definition(
        "recist_short_mm",
        "Short axis",
        "mm",
        "Longest line across the convex outline perpendicular to the largest diameter, in its slice.",
        _RECIST,
    ),
    Definition("recist_slice", "Slice of the largest diameter", "", "Number of the slice, from 0 as stored.", _RECIST),
)
_STATISTICS = (
    ("mean", "Mean", INTENSITY, "Mean of the intensities.", "Q4LE"),
    ("variance", "Variance", INTENSITY_SQUARED, "Mean squared distance from the mean.", "ECT3"),
    ("skewness", "Skewness", "", "Third moment over variance to the power 3/2; 0 without variance.", "KE2A"),
    ("kurtosis", "Excess kurtosis", "", "Fourth moment over squared variance, less 3; 0 without variance.", "IPH6"),
    ("median", "Median", INTENSITY, "Median of the intensities.", "Y12H"),
    ("minimum", "Minimum", INTENSITY, "Least intensity.", "1GSF"),
    ("p10", "10th percentile", INTENSITY, "10th percentile, interpolated between ranks.", "QG58"),
    ("p90", "90th percentile", INTENSITY, "90th percentile, interpolated between ranks.", "8DWT"),
    ("maximum", "Maximum", INTENSITY, "Largest intensity.", "84IY"),
    ("interquartile_range", "Interquartile range", INTENSITY, "75th less 25th percentile.", "SALO"),
    ("range", "Range", INTENSITY, "Maximum less minimum.", "2OJQ"),
    ("mean_absolute_deviation", "Mean absolute deviation", INTENSITY, "Mean distance from the mean.", "4FUA"),
    (
        "robust_mean_absolute_deviation",
        "Robust mean absolute deviation",
        INTENSITY,
        "Mean absolute deviation of the intensities from the 10th to the 90th percentile; not a number if none.",
        "1128",
    ),
    ("median_absolute_deviation", "Median absolute deviation", INTENSITY, "Mean distance from the median.", "N72L"),
    (
        "coefficient_of_variation",
        "Coefficient of variation",
        "",
        "Standard deviation over mean; not a number when the mean is 0.",
        "7TET",
    ),
    (
        "quartile_dispersion",
        "Quartile coefficient of dispersion",
        "",
        "Interquartile range over the sum of both quartiles; not a number when that is 0.",
        "9S40",
    ),
    ("energy", "Energy", INTENSITY_SQUARED, "Sum of squared intensities; grows with the region.", "N8CA"),
    ("root_mean_square", "Root mean square", INTENSITY, "Root of the mean squared intensity.", "5ZWQ"),
)
_HISTOGRAM = (
    ("entropy", "Entropy of the histogram", "bit", "Entropy of the shares of grey levels, base 2.", "TLU2"),
    ("uniformity", "Uniformity of the histogram", "", "Sum of the squared shares of grey levels.", "BJ5W"),
)
_PAIRS = (
    ("joint_maximum", "Joint maximum", "Largest share of a pair of levels.", "GYBY"),
    ("joint_average", "Joint average", "Mean level of the pairs.", "60VM"),
    ("joint_variance", "Joint variance", "Variance of the level of the pairs.", "UR99"),
    ("joint_entropy", "Joint entropy", "Entropy of the shares of pairs, base 2.", "TU9B"),
    ("difference_average", "Difference average", "Mean absolute difference of levels.", "TF7R"),
    ("difference_variance", "Difference variance", "Variance of the absolute difference.", "D3YU"),
    ("difference_entropy", "Difference entropy", "Entropy of the absolute difference, base 2.", "NTRS"),
    ("sum_average", "Sum average", "Mean sum of levels.", "ZGXS"),
    ("sum_variance", "Sum variance", "Variance of the sum of levels.", "OEEB"),
    ("sum_entropy", "Sum entropy", "Entropy of the sum of levels, base 2.", "P6QZ"),
    ("angular_second_moment", "Angular second moment", "Sum of the squared shares of pairs.", "8ZQL"),
    ("contrast", "Contrast", "Mean squared difference of levels.", "ACUI"),
    ("dissimilarity", "Dissimilarity", "Mean absolute difference of levels.", "8S9J"),
    ("inverse_difference", "Inverse difference", "Mean of 1 / (1 + difference).", "IB1Z"),
    (
        "normalised_inverse_difference",
        "Normalised inverse difference",
        "Mean of 1 / (1 + difference / number of levels).",
        "NDRX",
    ),
    ("inverse_difference_moment", "Inverse difference moment", "Mean of 1 / (1 + squared difference).", "WF0Z"),
    (
        "normalised_inverse_difference_moment",
        "Normalised inverse difference moment",
        "Mean of 1 / (1 + squared difference / squared number of levels).",
        "1QCO",
    ),
    ("inverse_variance", "Inverse variance", "Sum of share over squared difference, unlike pairs only.", "E8JP"),
    ("correlation", "Correlation", "Correlation of the levels of pairs; not a number with one level.", "NI2N"),
    ("autocorrelation", "Autocorrelation", "Mean product of levels.", "QWB0"),
    ("cluster_tendency", "Cluster tendency", "Second moment of the sum of levels.", "DG8W"),
    ("cluster_shade", "Cluster shade", "Third moment of the sum of levels.", "7NFM"),
    ("cluster_prominence", "Cluster prominence", "Fourth moment of the sum of levels.", "AE86"),
    (
        "information_correlation_1",
        "First information correlation",
        "Joint entropy less that of independent levels, over the entropy of one level; not a number with one level.",
        "R8DG",
    ),
    (
        "information_correlation_2",
        "Second information correlation",
        "Root of 1 - exp(-2 x entropy lost by dependence of the levels).",
        "JN9H",
    ),
)
_RUN_CODES = "22OV W4KF V3SW G3QZ HTZT GD3A IVPO 3KUM R5YN OVBL W92Y IC23 9ZK5 8CE5 SXLW HJ9O"
_ZONE_CODES = "P001 48P8 XMSY 5GN9 5RAI HW1V YH51 J17V JNSA Y1RO 4JP3 VB3A P30P BYLV 3NSA GU8N"


def _ibsi(name: str, title: str, unit: str, text: str, code: str) -> Definition:
    return Definition(name, title, unit, text, _IBSI.format(code))


def _sized(family: str, title: str, what: str, size: str, codes: str) -> list[Definition]:
    """Return the definitions of the 16 figures of runs (by length) or zones (by size)."""
    column = f"{what}_{size}"
    few, many = ("short", "long") if what == "run" else ("small", "large")
    entropy = f"{what}_entropy" if what == "run" else f"{what}_size_entropy"
    rows = [
        (f"{few}_{what}_emphasis", f"Mean of 1 / squared {size}."),
        (f"{many}_{what}_emphasis", f"Mean squared {size}."),
        (f"low_grey_level_{what}_emphasis", "Mean of 1 / squared level."),
        (f"high_grey_level_{what}_emphasis", "Mean squared level."),
        (f"{few}_{what}_low_grey_level_emphasis", f"Mean of 1 / (squared {size} x squared level)."),
        (f"{few}_{what}_high_grey_level_emphasis", f"Mean of squared level / squared {size}."),
        (f"{many}_{what}_low_grey_level_emphasis", f"Mean of squared {size} / squared level."),
        (f"{many}_{what}_high_grey_level_emphasis", f"Mean of squared {size} x squared level."),
        ("grey_level_non_uniformity", f"Sum of squared numbers of {what}s of a level, over the number of {what}s."),
        ("normalised_grey_level_non_uniformity", f"Sum of squared shares of {what}s of a level."),
        (f"{column}_non_uniformity", f"Sum of squared numbers of {what}s of one {size}, over the number of {what}s."),
        (f"normalised_{column}_non_uniformity", f"Sum of squared shares of {what}s of one {size}."),
        (f"{what}_percentage", f"Number of {what}s over number of voxels, as a share."),
        ("grey_level_variance", f"Variance of the level of {what}s."),
        (f"{column}_variance", f"Variance of the {size}."),
        (entropy, f"Entropy of the shares of {what}s by level and {size}, base 2."),
    ]
    return [
        _ibsi(f"{family}_{name}", f"{title}: {name.replace('_', ' ')}", "", text, code)
        for (name, text), code in zip(rows, codes.split(), strict=True)
    ]


SHAPE = (*(_ibsi(*row) for row in _SIZE_AND_SHAPE), *_OTHER_SHAPE)
"""Of a mask alone."""
STATISTICS = tuple(_ibsi(f"intensity_{name}", f"Intensity: {t.lower()}", u, d, c) for name, t, u, d, c in _STATISTICS)
"""Of mask and image."""
TEXTURE = (
    *(_ibsi(f"histogram_{name}", t, u, d, c) for name, t, u, d, c in _HISTOGRAM),
    *(_ibsi(f"glcm_{name}", f"Neighbours (GLCM): {t.lower()}", "", d, c) for name, t, d, c in _PAIRS),
    *_sized("glrlm", "Runs (GLRLM)", "run", "length", _RUN_CODES),
    *_sized("glszm", "Zones (GLSZM)", "zone", "size", _ZONE_CODES),
)
"""Of mask and image, on grey levels; figures by different settings must not be compared."""
DEFINITIONS: Mapping[str, Definition] = MappingProxyType({d.name: d for d in (*SHAPE, *STATISTICS, *TEXTURE)})
"""Every measurement of a region by its name."""


def unit_of(name: str, image_unit: str | None) -> str:
    """Return the unit of a measurement, with the unit of the image (``HU``) where it has that; empty for a ratio.

    Raises
    ------
    KeyError
        When there is no measurement of that name.
    """
    unit = DEFINITIONS[name].unit
    if unit == INTENSITY_SQUARED:
        return f"{image_unit}2" if image_unit else ""
    return (image_unit or "") if unit == INTENSITY else unit
