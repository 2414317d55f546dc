"""Blending of images and of their losses.

Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018, equation 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

ALPHA = 0.2
"""Of the beta distribution that the share is drawn from (the paper's choice for ImageNet)."""


@dataclass(frozen=True)
class Blend:
    """Image i of a batch keeps `share` of itself and takes the rest of image ``other[i]``."""

    share: float
    other: npt.NDArray[np.int64]


def draw(probability: float, batch: int, rng: np.random.Generator) -> Blend | None:
    """Return how a batch is blended, None for one that is not; `probability` is the share of batches that are."""
    if probability == 0.0 or rng.random() >= probability:
        return None
    share = float(rng.beta(ALPHA, ALPHA))
    return Blend(max(share, 1 - share), rng.permutation(batch))


def blended(images: Tensor, blend: Blend | None) -> Tensor:
    """Return `images` ``(batch, ...)`` blended."""
    return images if blend is None else images.lerp(images[blend.other], 1 - blend.share)
