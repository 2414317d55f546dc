"""The facts of volumes that shape a plan: sizes, spacings and extents, as stored and by anatomy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

AXES = ("i", "j", "k")
_ANATOMY = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}
"""Which axis of LPS a letter of an orientation belongs to."""
ANISOTROPIC = 2.5
"""Slices this many times as far apart as pixels are thick: their order along the body is no third dimension."""


def volume_facts(seen: pd.DataFrame) -> dict[str, Any]:
    """Summarise the geometry of readable volumes.

    Parameters
    ----------
    seen
        Rows of :func:`semeion.prepare.volume_scan.scan_volumes`.

    Returns
    -------
    dict
        ``stored`` and ``lps``: for each axis of the array as stored, or turned to LPS, the spread of size (voxels),
        spacing and extent (mm). ``thickness``: spread of the slice distance over the larger in-plane spacing.
        ``anisotropic``: whether its median is :data:`ANISOTROPIC` or more. ``orientations`` and ``planes``: counts.
    """
    from semeion.plan.fingerprint import counts, spread

    size = seen[[f"size_{axis}" for axis in AXES]].to_numpy(dtype=np.float64)
    spacing = seen[[f"spacing_{axis}" for axis in AXES]].to_numpy(dtype=np.float64)
    orders = [lps_order(text) for text in seen["orientation"].astype("str")]
    order = np.array(orders, dtype=np.int64).reshape(-1, 3)

    def described(sizes: npt.NDArray[np.float64], spacings: npt.NDArray[np.float64]) -> dict[str, Any]:
        parts = {"size": sizes, "spacing": spacings, "extent_mm": sizes * spacings}
        return {
            name: {axis: spread(pd.Series(values[:, n])) for n, axis in enumerate(AXES)}
            for name, values in parts.items()
        }

    thickness = pd.Series(spacing[:, 2] / spacing[:, :2].max(axis=1, initial=1e-9))
    found = spread(thickness)
    return {
        "stored": described(size, spacing),
        "lps": described(np.take_along_axis(size, order, 1), np.take_along_axis(spacing, order, 1)),
        "thickness": found,
        "anisotropic": bool(found and found["median"] >= ANISOTROPIC),
        "orientations": counts(seen["orientation"]),
        "planes": counts(seen["planes"]),
    }


def lps_order(orientation: str) -> tuple[int, int, int]:
    """Return which stored axis becomes i, j and k after turning to LPS, of letters such as ``LPS`` or ``PIR``."""
    axes = [_ANATOMY.get(letter) for letter in orientation.strip().upper()]
    if sorted(axes, key=str) != [0, 1, 2]:
        return 0, 1, 2
    return axes.index(0), axes.index(1), axes.index(2)
