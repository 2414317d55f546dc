"""Whether a cohort holds pictures or volumes, told from what its files are."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semeion.cohort.arrays import DAMAGED, array_header
from semeion.cohort.problems import Problems
from semeion.cohort.roles import Kind
from semeion.cohort.sniff import HEAD, image_format
from semeion.errors import ImageError

LOOKED_AT = 48
"""References that are looked at; the scan tells of every case that is of the other kind."""
_NAMED_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_PICTURES = ("png", "jpeg", "bmp", "tiff", "webp", "npy")
_NPZ_ROW = re.compile(r"(?P<path>.+\.npz)#(?P<array>[^#\[\]]+)\[\d{1,15}\]", re.IGNORECASE | re.DOTALL)


def kind_of(reference: str) -> Kind | None:
    """Return what one reference leads to, by content; None when it cannot be looked at."""
    row = _NPZ_ROW.fullmatch(reference)
    try:
        if row is not None:
            with zipfile.ZipFile(row["path"]) as archive, archive.open(f"{row['array']}.npy") as member:
                shape, _, _ = array_header(member, reference)
            # The last axis tells a colour picture (N, H, W, 3) from a volume (N, D, H, W).
            return "volume" if len(shape) == 4 and shape[3] not in (1, 3, 4) else "picture"
        if "#" not in reference and not Path(reference).is_dir():
            with Path(reference).open("rb") as file:
                if image_format(file.read(HEAD)) in _PICTURES:
                    return "picture"
        from semeion.cohort.volumes.read import is_volume

        return "volume" if is_volume(reference) else "picture"
    except (ImageError, *DAMAGED):
        return None


def cohort_kind(references: Sequence[str], problems: Problems) -> Kind:
    """Return the kind of a cohort's images, looking at some of them evenly spaced.

    A single file of the other kind does not decide: it is refused by its case's name when images are read. A cohort
    that is half one and half the other goes to `problems`.
    """
    if not len(references):
        return "picture"
    chosen = np.unique(np.linspace(0, len(references) - 1, min(LOOKED_AT, len(references))).astype(int))
    if all(_NPZ_ROW.fullmatch(references[row]) for row in chosen):
        chosen = chosen[:1]  # the rows of one array are all alike
    kinds = [kind for kind in (kind_of(references[row]) for row in chosen) if kind is not None]
    if not kinds:
        # Nothing can be looked at, so that nothing will be read: the names only keep the messages to the point.
        named = [references[row].lower().endswith(_NAMED_VOLUMES) for row in chosen]
        return "volume" if 2 * sum(named) > len(named) else "picture"
    volumes = kinds.count("volume")
    if 0.2 < volumes / len(kinds) < 0.8:
        problems.add(
            f"of {len(kinds)} images looked at, {volumes} are volumes and {len(kinds) - volumes} are pictures",
            "make a table of volumes alone or of pictures alone",
        )
    return "volume" if 2 * volumes > len(kinds) else "picture"
