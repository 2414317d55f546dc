"""The input gate's looks at pixels: blurred, grainy, cut off, written over, against what the training images look like.

Looks are taken of the prepared image, which is what the networks see: in training and in use by the same code, of
pictures and of volumes (their middle slices). What a look of one image is ships nowhere; the limits do, each shared by
at least five patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Image
from semeion.model.manifest_inputs import Looks

Floats = npt.NDArray[np.float64]

FEWEST_PATIENTS = 40
"""Training patients below whom no limit of a look or of a distance is stated: a tail of a few is luck."""
BEYOND = 1.0
"""A limit lies as far beyond the usual end of the training images as that end from their middle, times this."""
TAIL = 0.01
"""Share of the training patients beyond each usual end."""
CALM = 0.35
"""Margins are calm when the outermost lines of nearly all training images differ by less than this share of the whole
image's standard deviation; only then does content at a margin mean that an image is cut off."""
RARE_TEXT = 0.05
"""Writing is worth a word when fewer training pictures than this have any."""
_SLICES = (0.35, 0.5, 0.65)
_STRIP = 2


def looks_of(prepared: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Return the detail and the content at the margins of one prepared image.

    Parameters
    ----------
    prepared
        uint8 ``(C, H, W)`` or ``(C, D, H, W)``.

    Returns
    -------
    tuple
        ``detail``: the decimal logarithm of the mean square of the Laplacian (4 neighbours) over the variance of the
        image, as in Pertuz et al., Analysis of focus measure operators, Pattern Recognition 46(5):1415 (2013), LAP1
        and GLV; low when an image is blurred, high when it is noise. ``edge``: the largest standard deviation of the
        outermost lines of a side, over that of the whole image. NaN of an image of one value.
    """
    found = [one for plane in planes_of(prepared) if (one := _of_plane(plane)) is not None]
    if not found:
        return float("nan"), float("nan")
    detail, edge = np.mean(found, axis=0)
    return float(detail), float(edge)


def pictures_of(prepared: npt.NDArray[np.uint8], images: int) -> list[npt.NDArray[np.uint8]]:
    """Return what is looked at of one prepared case: of several pictures (views, frames, channels) each for itself, as
    in use; a volume, which is looked at whole, as it is.
    """
    return np.split(prepared, images) if prepared.ndim == 3 and images > 1 else [prepared]


def training_looks(
    prepared: Sequence[npt.NDArray[np.uint8]], patients: Sequence[Any], text: float | None
) -> Looks | None:
    """Return the limits of the looks of training images; None of fewer than `FEWEST_PATIENTS` patients.

    Parameters
    ----------
    prepared
        Training images, each as for :func:`looks_of`.
    patients
        Whose each is. Of several images a patient the most extreme counts.
    text
        Share of the training pictures with burned-in writing; None: not looked for.
    """
    from semeion.prepare.covariate_fit import shared_quantile

    values = np.array([looks_of(one) for one in prepared], dtype=np.float64).reshape(-1, 2)
    known = np.isfinite(values).all(axis=1)
    values, whose = (
        values[known],
        np.unique(np.asarray(patients, dtype=object).astype(str)[known], return_inverse=True)[1],
    )
    if len(values) == 0 or int(whose.max()) + 1 < FEWEST_PATIENTS:
        return None
    low, high = _extremes(values[:, 0], whose)
    _, edges = _extremes(values[:, 1], whose)
    middle = shared_quantile(np.sort(np.concatenate([low, high])), 0.5)
    first, last = shared_quantile(low, TAIL), shared_quantile(high, 1 - TAIL)
    usual = shared_quantile(edges, 1 - TAIL)
    edge = None if usual >= CALM else usual + BEYOND * max(usual - shared_quantile(edges, 0.5), 0.1)
    return Looks(
        detail=(first - BEYOND * max(middle - first, 0.1), last + BEYOND * max(last - middle, 0.1)),
        edge=edge,
        text=text,
    )


def array_remarks(prepared: npt.NDArray[np.uint8], looks: Looks | None) -> list[str]:
    """Return the coded reasons that a prepared image gives by its looks, each ``code: text``."""
    if looks is None:
        return []
    detail, edge = looks_of(prepared)
    found = []
    if detail < looks.detail[0]:
        found.append(f"blurred: fine detail {_share(detail)}, trained on {_share(looks.detail[0])} and more")
    elif detail > looks.detail[1]:
        found.append(f"grainy: fine detail {_share(detail)}, trained on {_share(looks.detail[1])} and less")
    if looks.edge is not None and edge > looks.edge:
        found.append(f"cropped: content at the margin {edge:.2g}, trained on {looks.edge:.2g} and less")
    return found


def text_remarks(image: Image, looks: Looks | None) -> list[str]:
    """Return the coded warning that a picture is written over, where training pictures hardly ever are."""
    if looks is None or looks.text is None or looks.text >= RARE_TEXT:
        return []
    from semeion.prepare.levels import finite_pixels
    from semeion.prepare.text import find_text

    share = float(find_text(finite_pixels(image.pixels)).mean())
    return [f"burned-in-text: {share:.1%} of the picture, and training pictures have none"] if share > 0 else []


def _share(detail: float) -> str:
    return f"{10**detail:.2g}"


def planes_of(prepared: npt.NDArray[np.uint8]) -> list[Floats]:
    """Return the planes that are looked at: the mean of the channels, of volumes of a few slices about the middle."""
    if prepared.ndim == 3:
        return [prepared.mean(axis=0, dtype=np.float64)]
    depth = prepared.shape[1]
    places = sorted({min(int(share * depth), depth - 1) for share in _SLICES})
    return [prepared[:, place].mean(axis=0, dtype=np.float64) for place in places]


def _of_plane(plane: Floats) -> tuple[float, float] | None:
    variance = float(plane.var())
    if variance == 0 or min(plane.shape) < 2 * _STRIP:
        return None
    inner = plane[1:-1, 1:-1]
    laplacian = plane[:-2, 1:-1] + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:] - 4 * inner
    # One grey level of rounding a pixel keeps the logarithm of a ramp finite.
    detail = np.log10((float((laplacian**2).mean()) + 1 / 12) / variance)
    sides = (plane[:_STRIP], plane[-_STRIP:], plane[:, :_STRIP], plane[:, -_STRIP:])
    return float(detail), max(float(side.std()) for side in sides) / float(np.sqrt(variance))


def _extremes(values: Floats, whose: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the smallest and the largest value of each patient, each sorted."""
    low, high = np.full(whose.max() + 1, np.inf), np.full(whose.max() + 1, -np.inf)
    np.minimum.at(low, whose, values)
    np.maximum.at(high, whose, values)
    return np.sort(low), np.sort(high)
