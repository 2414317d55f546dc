"""What every measurement from a mask begins with: a checked mask, one structure of it, its pieces, and a definition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from semeion.cohort.volume import Volume, knows_spacing
from semeion.errors import InputError

Bits = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

TOUCHING = np.ones((3, 3, 3), dtype=bool)
"""Voxels that share a face, an edge or a corner belong to one piece (26 neighbours)."""


@dataclass(frozen=True)
class Definition:
    """What a measurement is, so that a reader can check it by hand.

    Attributes
    ----------
    name
        Column name; its last word is the unit when there is one (``lv_edv_ml``).
    title
        In words.
    unit
        ``ml``, ``mm``, ``g``, ``%`` or an empty string for a ratio.
    definition
        How it is computed, and when it is not a number.
    source
        Publication or standard that defines it.
    """

    name: str
    title: str
    unit: str
    definition: str
    source: str


def labelled(mask: Volume, where: str) -> npt.NDArray[Any]:
    """Return the array ``(slices, rows, columns)`` of a mask.

    Raises
    ------
    InputError
        When the volume has several planes or holds values that are no whole numbers of zero or more.
    """
    if len(mask.voxels) != 1:
        raise InputError(
            f"a mask has one plane and this has {len(mask.voxels)}", where=where, fix="give one mask at a time"
        )
    plane = mask.plane
    if plane.dtype == np.bool_:
        return plane.astype(np.uint8)
    if not np.issubdtype(plane.dtype, np.integer):
        whole = np.isfinite(plane).all() and (plane == np.round(plane)).all()
        if not whole:
            raise InputError(
                "the mask holds values that are not whole numbers", where=where, fix="give labels, not probabilities"
            )
        plane = plane.astype(np.int64)
    if plane.size and int(plane.min()) < 0:
        raise InputError(f"the mask holds the label {int(plane.min())}", where=where, fix="use labels from 0 upwards")
    return plane


def structure(mask: Volume, labels: int | Iterable[int], where: str) -> Bits:
    """Return where a mask has one of `labels`: bool ``(slices, rows, columns)``, which may be empty.

    Raises
    ------
    InputError
        When the mask is none, or a label is 0 or negative.
    """
    wanted = [labels] if isinstance(labels, int) else list(labels)
    if not wanted or min(wanted) < 1:
        raise InputError(f"labels {wanted} name no structure", where=where, fix="name labels of 1 or more")
    return np.isin(labelled(mask, where), wanted)


def check_scale(mask: Volume, where: str) -> None:
    """Refuse a mask whose voxels have no known size: its grid of 1 mm is a stand-in.

    Raises
    ------
    InputError
        When a note of the volume says ``no-spacing``, or ``one-slice`` (of unknown thickness).
    """
    if not knows_spacing(mask.notes):
        raise InputError(
            "the size of a voxel is not known, so that nothing can be measured in mm or ml",
            where=where,
            fix="give a file that states its spacing",
        )


def pieces(bits: Bits) -> tuple[npt.NDArray[np.int32], Whole]:
    """Return numbered connected pieces, from 1, and the voxels of each; pieces touch by faces, edges or corners."""
    numbered, n = ndimage.label(bits, structure=TOUCHING)
    return numbered, np.bincount(numbered.ravel(), minlength=n + 1)[1:]


def check_roles(labels: Mapping[str, int], roles: tuple[str, ...], where: str) -> None:
    """Refuse a mapping from roles to labels that does not name each of `roles` with a label of its own.

    Raises
    ------
    InputError
        When a role is missing or unknown, a label below 1, or two roles share a label.
    """
    if set(labels) != set(roles):
        raise InputError(
            f"labels are given for {', '.join(sorted(labels)) or 'nothing'}",
            where=where,
            fix=f"name exactly {', '.join(roles)}",
        )
    if min(labels.values()) < 1 or len(set(labels.values())) != len(roles):
        raise InputError(
            f"the labels {dict(labels)} are not distinct numbers of 1 or more",
            where=where,
            fix="give each structure a label of its own",
        )
