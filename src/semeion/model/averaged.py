"""Networks that see the images themselves, beside measurements: the verdicts of both are averaged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semeion.model.combine import Floats
from semeion.model.manifest import Manifest, OperatingPoint


def image_manifest(manifest: Manifest) -> Manifest | None:
    """Return the manifest of the image networks alone, as of a model that classifies volumes; None without any.

    Everything that such a model does with a case is done by the same code. Its call means nothing here: only its
    calibrated probabilities are averaged.
    """
    images = None if manifest.measured is None else manifest.measured.images
    if images is None:
        return None
    return manifest.model_copy(
        update={
            "segmentation": None,
            "measured": None,
            "preparation": images.preparation,
            "members": images.members,
            "calibration": images.calibration,
            "operating_point": OperatingPoint(rule="argmax"),
            "reference": None,
            "sets": None,
        }
    )


def average(measured: npt.ArrayLike, seen: npt.ArrayLike) -> Floats:
    """Return the mean, with equal weights, of what measurements and images say; the same in training and in use."""
    return np.asarray(
        (np.asarray(measured, dtype=np.float64) + np.asarray(seen, dtype=np.float64)) / 2, dtype=np.float64
    )
