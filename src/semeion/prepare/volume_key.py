"""What a prepared case depends on, as one key: a store keeps what has the same, and makes the rest again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from semeion.cohort.volumes.read import read_grid
from semeion.errors import ImageError
from semeion.prepare.volume_spec import VolumePreparation

STEPS_VERSION = 1
"""Raised whenever :func:`semeion.prepare.volume.prepare_volume` gives other values for the same settings."""
SAMPLES = 2000
"""Voxels of each label whose places are kept, for sampling patches."""


def case_key(images: tuple[str, ...], mask: str | None, spec: VolumePreparation, pixel_hash: str | None) -> str:
    """Return what a prepared case depends on, hashed: the steps, voxels and place of its images, the mask's file.

    Parameters
    ----------
    images, mask
        References of the case.
    spec
        The steps.
    pixel_hash
        Of its voxels, where they were read before; without, size and time of its files stand for them.
    """
    digest = hashlib.sha256(f"{STEPS_VERSION} {SAMPLES} {spec.model_dump_json()}".encode())
    if pixel_hash:
        digest.update(f"\n{pixel_hash}".encode())
    for one in images:
        digest.update(f"\n{_place(one) if pixel_hash else _stamp(one)}".encode())
    digest.update(f"\n{_stamp(mask) if mask is not None else ''}".encode())
    return digest.hexdigest()


def _place(reference: str) -> str:
    """Return where the voxels of an image are, which their hash does not say; of what is dear to ask, its stamp."""
    try:
        grid = read_grid(reference)
    except ImageError:
        grid = None  # told with the case's name when its turn comes
    return repr(grid) if grid is not None else _stamp(reference)


def _stamp(reference: str) -> str:
    """Return a reference with size and time of its file, or of the files of its folder."""
    path = Path(reference)
    if not path.exists():
        path = Path(reference.rsplit("#", 1)[0])
    try:
        files = sorted(os.scandir(path), key=lambda one: one.name) if path.is_dir() else [path]
        stats = [one.stat() for one in files]
    except OSError:
        stats = []
    return f"{reference} " + " ".join(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)
