"""Pasting a part of another image into each image, and blending of their losses by the area that it takes.

Source: Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features, ICCV 2019,
equations 1 and 2. What a network must tell by then is in a part of the image, so that it does not rest on one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from semeion.learn import mixup
from semeion.learn.mixup import Blend


@dataclass(frozen=True)
class Paste:
    """Image i of a batch has the part in `box` of image ``other[i]``, and keeps `share` of its area."""

    box: tuple[slice, ...]
    share: float
    other: npt.NDArray[np.int64]

    @property
    def blend(self) -> Blend:
        """How the losses of both images are blended."""
        return Blend(self.share, self.other)


def draw(probability: float, batch: int, size: Sequence[int], rng: np.random.Generator) -> Paste | None:
    """Return what is pasted in a batch, None where nothing is.

    Parameters
    ----------
    probability
        The share of batches in which something is.
    batch
        Images of the batch.
    size
        Of an image: rows and columns, of a volume slices before them.
    rng
        Of the step.

    Notes
    -----
    The share that an image should keep is uniform from 0 to 1, the box has the image's proportions and its middle is
    anywhere; what lies beyond the edge is cut off, and the losses go by the area that is left of it.
    """
    if probability == 0.0 or rng.random() >= probability:
        return None
    part = (1 - rng.random()) ** (1 / len(size))
    box = []
    for side in size:
        middle, half = int(rng.integers(side)), int(side * part) / 2
        box.append(slice(max(0, round(middle - half)), min(side, round(middle + half))))
    area = float(np.prod([(one.stop - one.start) / side for one, side in zip(box, size, strict=True)]))
    return Paste(tuple(box), 1 - area, rng.permutation(batch))


def pasted(images: Tensor, paste: Paste | None) -> Tensor:
    """Return `images` ``(batch, planes, (slices,) rows, columns)`` with what is pasted into them."""
    if paste is None:
        return images
    place = (slice(None), slice(None), *paste.box)
    out = images.clone()
    out[place] = images[place][paste.other]
    return out


def mixed(images: Tensor, cutmix: float, mixup_share: float, rng: np.random.Generator) -> tuple[Tensor, Blend | None]:
    """Return a batch in which, with the probability `cutmix`, parts are pasted, else with `mixup_share` images blended.

    A batch is mixed in one way: of two, nobody could say whose label a part belongs to. The second value says how the
    losses are blended; None where nothing is mixed.
    """
    paste = draw(cutmix, len(images), images.shape[2:], rng)
    if paste is not None:
        return pasted(images, paste), paste.blend
    blend = mixup.draw(mixup_share, len(images), rng)
    return mixup.blended(images, blend), blend
