"""Masks of lesions on the grid of a classifier's input: to see whether what it looks at is what was outlined."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from semeion.cohort.cohort import Cohort
from semeion.cohort.reading import read_image
from semeion.cohort.roles import image_references, mask_columns, mask_references
from semeion.cohort.volumes.read import read_volume
from semeion.errors import InputError
from semeion.parallel import ordered_map
from semeion.prepare.back import Placement, placement
from semeion.prepare.borders import Box
from semeion.prepare.levels import finite_pixels
from semeion.prepare.spec import Preparation
from semeion.prepare.transform import resize
from semeion.prepare.volume import prepare_mask, prepare_volume
from semeion.prepare.volume_spec import VolumePreparation

Mask = npt.NDArray[np.bool_]


class Lesion(NamedTuple):
    """A lesion on the networks' input grid: its mask, bool ``(*sides)``, and what of the grid the picture fills.

    Around `inner` is padding; None: the image fills all of it.
    """

    mask: Mask
    inner: Box | None = None

    def shown(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a map ``(*sides)`` with the padding, which no picture of it shows, below all that is shown."""
        if self.inner is None:
            return values
        found = np.full_like(values, min(float(values.min()), 0.0))
        self.inner.of(found)[...] = self.inner.of(values)
        return found


def has_lesions(cohort: Cohort) -> bool:
    """Tell whether the cases of a cohort have masks beside their target, one a case."""
    single = cohort.images.role in ("single", "channels")
    return single and cohort.target.task != "segmentation" and mask_columns(cohort) == ("mask",)


def lesions(
    cohort: Cohort,
    spec: Preparation | VolumePreparation,
    rows: Sequence[int],
    jobs: int | None,
    until: float | None = None,
) -> dict[int, Lesion]:
    """Return the lesions of `rows` on the networks' input grid, by row.

    Cases without a mask, with an empty one, or with one that cannot be read or lies on another grid are left out, and
    from the time `until` on (:func:`time.monotonic`; None: never) those that were not begun.
    """
    images, masks = image_references(cohort), mask_references(cohort)

    def read(row: int) -> Lesion | None:
        named = masks[row][0] if masks[row] else None
        if named is None or (until is not None and monotonic() > until):
            return None
        inner = None
        try:
            if isinstance(spec, VolumePreparation):
                prepared = prepare_volume([read_volume(one) for one in images[row]], spec)
                found = prepare_mask(read_volume(named), prepared, where=named) > 0
            else:
                image = read_image(images[row][0])
                placed = placement(image, spec)
                found, inner = on_input(read_image(named).pixels, placed, spec.size), placed.inner
        except InputError:  # a mask that cannot be read leaves its case out, which the number of cases shows
            return None
        return Lesion(found, inner) if bool(found.any()) else None

    found = ordered_map(read, (int(row) for row in rows), jobs=jobs)
    return {int(row): mask for row, mask in zip(rows, found, strict=True) if mask is not None}


def on_input(pixels: npt.NDArray[Any], where: Placement, size: tuple[int, int]) -> Mask:
    """Return a picture's mask on the networks' input, bool ``size``: places that it covers by half or more.

    Parameters
    ----------
    pixels
        ``(rows, columns, channels)`` of the picture's own size; lesion where any channel is above 0.
    where, size
        How the picture was placed in the input.

    Raises
    ------
    InputError
        When the mask is not of the picture's size.
    """
    inside = (finite_pixels(pixels) > 0).any(axis=2)
    if inside.shape != where.size:
        raise InputError(
            f"a mask of {inside.shape[0]} x {inside.shape[1]} pixels lies on an image of {where.size[0]} x "
            f"{where.size[1]}",
            where="mask",
            fix="draw the mask on the image's own pixels",
        )
    seen, inner = np.ascontiguousarray(where.box.of(inside.astype(np.float32))), where.inner
    covered = resize(seen[..., np.newaxis], inner.bottom - inner.top, inner.right - inner.left)[..., 0]
    found = np.zeros(size, np.bool_)
    inner.of(found)[...] = covered >= 0.5
    return found
