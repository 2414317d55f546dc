"""Whether a map lies where the lesion is, against the best place that needs no map at all.

Lesions lie in the middle of most pictures, so a map that points to the middle hits often and has seen nothing: every
figure stands beside that of one fixed point.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Masks = npt.NDArray[np.bool_]

_SAME = 1e-6
"""Part of a map's range within which places are equally high: enlarging a coarse map makes plateaus."""


def highest(values: npt.ArrayLike) -> tuple[int, ...]:
    """Return the index of a map's highest place.

    Of several equally high ones, the one nearest to their middle: the highest field of a coarse map that was enlarged
    is a plateau, and its corner is not meant. A constant map points to its middle.
    """
    table = np.asarray(values, dtype=np.float64)
    top, low = float(table.max()), float(table.min())
    places = np.argwhere(table >= top - _SAME * (top - low))
    away = ((places - places.mean(axis=0)) ** 2).sum(axis=1)
    return tuple(int(side) for side in places[int(np.argmin(away))])


def hits(maps: npt.ArrayLike, masks: npt.ArrayLike) -> Masks:
    """Play the pointing game: whether each map's highest place lies inside its mask, bool ``(N,)``.

    Zhang et al., Top-down neural attention by excitation backprop, Int J Comput Vis 126:1084 (2018), section 4.2, here
    without their tolerance of 15 pixels.

    Parameters
    ----------
    maps
        ``(N, *sides)``; high where the finding is said to be.
    masks
        bool ``(N, *sides)``, none of them empty.
    """
    table, inside = _paired(maps, masks)
    return np.array([own[highest(one)] for one, own in zip(table, inside, strict=True)], dtype=np.bool_)


def best_fixed_point(masks: npt.ArrayLike) -> tuple[tuple[int, ...], float]:
    """Return the place that lies inside most masks ``(N, *sides)``, and the share of the masks that it lies inside."""
    share = np.asarray(np.asarray(masks, dtype=np.bool_).mean(axis=0), dtype=np.float64)
    point = highest(share)
    return point, float(share[point])


def energy_inside(maps: npt.ArrayLike, masks: npt.ArrayLike) -> Floats:
    """Return the share of each map's positive part that lies inside its mask, float64 ``(N,)``.

    The energy-based pointing game of Wang et al., Score-CAM, CVPR Workshops 2020, section 4.3. NaN where a map is
    nowhere positive. A map that is the same everywhere has the mask's share of the picture.
    """
    table, inside = _paired(maps, masks)
    positive = np.maximum(table, 0.0)
    rest = tuple(range(1, positive.ndim))
    whole, own = positive.sum(axis=rest), (positive * inside).sum(axis=rest)
    return np.asarray(np.divide(own, whole, out=np.full(len(whole), np.nan), where=whole > 0), dtype=np.float64)


def covered(masks: npt.ArrayLike) -> Floats:
    """Return the share of the picture that each mask covers, ``(N,)``: what :func:`energy_inside` is by chance."""
    inside = np.asarray(masks, dtype=np.bool_)
    return np.asarray(inside.mean(axis=tuple(range(1, inside.ndim))), dtype=np.float64)


def dice_at_equal_area(maps: npt.ArrayLike, masks: npt.ArrayLike) -> Floats:
    """Return Dice's overlap of each mask with as many of the map's highest places as it has, float64 ``(N,)``.

    With equal areas ``Dice = share of the mask that is among the highest places``, and no level is chosen. Of equally
    high places those that come first are taken.
    """
    table, inside = _paired(maps, masks)
    found = np.zeros(len(table))
    for row, (one, own) in enumerate(zip(table, inside, strict=True)):
        area = int(own.sum())
        taken = np.argsort(-one.reshape(-1), kind="stable")[:area]
        found[row] = float(own.reshape(-1)[taken].mean()) if area else np.nan
    return found


def _paired(maps: npt.ArrayLike, masks: npt.ArrayLike) -> tuple[Floats, Masks]:
    table, inside = np.asarray(maps, dtype=np.float64), np.asarray(masks, dtype=np.bool_)
    if table.shape != inside.shape or table.ndim < 2:
        raise ValueError(f"maps of shape {table.shape} do not lie on masks of {inside.shape}")
    return table, inside
