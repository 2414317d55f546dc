"""What is done to a label map after the network, the same in training and in use: parts are dropped, holes filled.

A rule is a word: ``largest:<label>`` keeps the largest connected part of a label, ``largest:union`` that of all labels
taken together, ``fill:<label>`` gives a label the background that it encloses, ``fill:union`` gives holes of all labels
together to the nearest label. Labels are class indices, from 1 in the order of the classes. Rules are applied in order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]

RULE = re.compile(r"(largest|fill):(union|[1-9][0-9]{0,2})")


def check_rule(rule: str, n_labels: int) -> str:
    """Return `rule` when it can be applied to label maps with `n_labels` foreground labels.

    Raises
    ------
    ValueError
        When it is no rule, or names a label that does not exist.
    """
    found = RULE.fullmatch(rule)
    if not found or (found[2] != "union" and int(found[2]) > n_labels):
        last = f" to {n_labels}" if n_labels > 1 else ""
        raise ValueError(
            f"{rule[:40]!r} is no rule of post-processing; write largest:<label>, fill:<label> (labels 1{last}) or "
            "'union' for the label"
        )
    return rule


def postprocess(labels: Labels, rules: Sequence[str]) -> Labels:
    """Return a label map after `rules`.

    Parameters
    ----------
    labels
        uint8 ``(D, H, W)``, 0 background; not changed.
    rules
        In order. Parts are connected over faces (6 neighbours); of two equally large parts the first in the order of
        the array is kept. A hole is background that does not reach the border of the array over faces, where in a
        single slice the border is that of the slice.

    Returns
    -------
    numpy.ndarray
        A new array; rules for an absent label change nothing.

    Raises
    ------
    ValueError
        When a rule is none.
    """
    for rule in rules:
        check_rule(rule, 255)
    result = labels.copy()
    for rule in rules:
        what, name = rule.split(":")
        mask = result > 0 if name == "union" else result == int(name)
        box = _box(mask)
        if box is None:
            continue
        part = result[box]  # a view: what is written here is written to the result
        if what == "largest":
            part[mask[box] & ~largest_part(mask[box])] = 0
        else:
            _fill(part, mask[box], name)
    return result


def largest_part(mask: Mask) -> Mask:
    """Return the largest part of a mask that is connected over faces."""
    from scipy import ndimage

    parts, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def _fill(part: Labels, mask: Mask, name: str) -> None:
    from scipy import ndimage

    flat = mask.shape[0] == 1
    filled = ndimage.binary_fill_holes(mask[0])[None] if flat else ndimage.binary_fill_holes(mask)
    holes = filled & ~mask & (part == 0)
    if not holes.any():
        return
    if name != "union":
        part[holes] = int(name)
        return
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    part[holes] = part[tuple(index[holes] for index in nearest)]


def _box(mask: Mask) -> Box | None:
    """Return the box of a mask with a voxel around it where the array allows; None when it is empty."""
    found: list[slice] = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(mask.any(axis=others))
        if not len(places):
            return None
        # The voxel around lets what is outside the mask within its box meet; along an axis of one voxel there is none.
        found.append(slice(max(int(places[0]) - 1, 0), min(int(places[-1]) + 2, mask.shape[axis])))
    return found[0], found[1], found[2]
