"""Every volume of a cohort read once: where its voxels are, what they hold, and whether its mask lies on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from semeion.cohort.body_parts import regions_of, side_of
from semeion.cohort.roles import image_references, mask_references
from semeion.cohort.volume import Volume
from semeion.cohort.volumes.read import read_volume
from semeion.errors import ImageError, SemeionError, too_large
from semeion.parallel import ordered_map, usable_cores
from semeion.prepare.geometry import orientation_code
from semeion.prepare.levels import quantiles
from semeion.prepare.register import doubts
from semeion.prepare.thumb import mask_thumbnail, volume_thumbnail
from semeion.prepare.volume import each_plane, require_same_grid, whole_labels
from semeion.progress import Progress, Silent

if TYPE_CHECKING:
    import pandas as pd

    from semeion.cohort.cohort import Cohort

_SIZES = ("size_i", "size_j", "size_k", "planes")
_LEVELS = ("minimum", "p005", "mean", "std", "p995", "maximum")
_FOREGROUND = ("fg_p005", "fg_p995", "fg_mean", "fg_std")
_SPACINGS = ("spacing_i", "spacing_j", "spacing_k")
_PICTURES = ("thumb", "mask_thumb")
_TEXTS = (
    "orientation",
    "unit",
    "modality",
    "body_part",
    "laterality",
    "source_format",
    "pixel_hash",
    "mask_labels",
    "mask_voxels",
    "channels",
)
COLUMNS = (
    *("case_id", "status", "problem", "size_i", "size_j", "size_k", *_SPACINGS, "orientation", "planes", "unit"),
    *(
        "modality",
        "body_part",
        "laterality",
        "source_format",
        *_LEVELS,
        *_FOREGROUND,
        "pixel_hash",
        "mask_labels",
        "mask_voxels",
        "aligned",
    ),
    *("channels", "notes", *_PICTURES),
)
"""Columns of the table, in order."""
_ENDS = (0.005, 0.995)


def scan_volumes(cohort: Cohort, *, jobs: int | None = None, progress: Progress | None = None) -> pd.DataFrame:
    """Read every image and mask of a cohort of volumes.

    Parameters
    ----------
    cohort
        The cases; masks of a segmentation target may hold its declared labels only.
    jobs
        Threads; all cores by default. Memory holds one case a thread, whatever the size of the cohort.
    progress
        Told of every case.

    Returns
    -------
    pandas.DataFrame
        One row a case, in cohort order, with the columns `COLUMNS`. ``status`` is ``ok``, ``missing`` or
        ``unreadable``, then ``problem`` says why, numbers are missing and texts empty. Geometry is that of the first
        image as stored. Values are in the image's own unit: of all voxels, and (``fg_``) of those in the mask, or of
        those that are not 0 where there is no mask; of the first plane, and in ``channels`` as a JSON list of every
        plane's own. ``pixel_hash`` is of shape, type and voxels of all images. ``mask_voxels`` is a JSON object from
        label to number of voxels. ``aligned`` says whether all images of the case are on one grid. ``notes`` are coded,
        ``;`` between: ``empty-mask``, ``constant``, ``misaligned: ...`` and those of reading. ``thumb`` and
        ``mask_thumb`` are the three middle slices of the first image's first plane and of its mask, 32 x 32 bytes each.
    """
    import pandas as pd

    progress = progress or Silent()
    case_ids = cohort.table["case_id"].astype(str).tolist()
    images, masks = image_references(cohort), mask_references(cohort)
    role = cohort.images
    several: Literal["channel", "time"] | None = None
    if role.names and all(len(one) == 1 for one in images):
        several = "time" if role.role == "frames" else "channel"
    allowed = set(cohort.target.values) if cohort.target.task == "segmentation" and cohort.target.values else None

    def facts(row: int) -> dict[str, Any]:
        return _facts_of(images[row], masks[row], several, role.role == "channels", allowed, len(role.names))

    found: list[dict[str, Any]] = []
    progress.start("reading volumes", max(len(case_ids), 1))
    try:
        step = jobs or usable_cores()
        for start in range(0, len(case_ids), step):
            for one in ordered_map(facts, range(start, min(start + step, len(case_ids))), jobs=step):
                found.append(one)
                progress.advance()
    finally:
        progress.finish()
    _refuse_single_slices(found)
    values: dict[str, list[Any]] = {name: [one.get(name) for one in found] for name in COLUMNS}
    values["case_id"] = case_ids
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        if name in _SIZES:
            columns[name] = pd.array(values[name], dtype="Int64")
        elif name in (*_SPACINGS, *_LEVELS, *_FOREGROUND):
            columns[name] = np.array([np.nan if value is None else value for value in values[name]], dtype=np.float64)
        elif name == "aligned":
            columns[name] = np.array([bool(value) for value in values[name]], dtype=np.bool_)
        elif name in _PICTURES:
            columns[name] = np.array([value or b"" for value in values[name]], dtype=object)
        else:
            columns[name] = pd.array([value or "" for value in values[name]], dtype="str")
    return pd.DataFrame(columns)


def _facts_of(
    images: tuple[str, ...],
    masks: tuple[str | None, ...],
    several: Literal["channel", "time"] | None,
    channels: bool,
    allowed: set[int] | None,
    planes: int,
) -> dict[str, Any]:
    """Return the facts of one case, whatever happens to its files."""
    missing = [ref for ref in (*images, *masks) if ref is not None and not _there(ref)]
    try:
        volumes = [read_volume(reference, several=several) for reference in images]
        _refuse_other_planes(volumes, several, planes)
        drawn = [read_volume(reference) if reference is not None else None for reference in masks]
        facts = describe(volumes, drawn, masks, channels=channels, allowed=allowed)
    except MemoryError as error:  # the machine's fault, which must not leave the case out
        raise too_large(images[0]) from error
    except Exception as error:  # one bad file, whatever a decoder makes of it, must not end the reading of the others
        problem = f"{type(error).__name__}: {error}"
        if isinstance(error, SemeionError):
            named = Path(error.where).name if error.where else ""
            problem = f"{named}: {error.what}" if named and len(images) + len(masks) > 1 else error.what
        return {"status": "missing" if missing else "unreadable", "problem": problem}
    return facts | {"status": "ok", "problem": ""}


def _refuse_other_planes(volumes: Sequence[Volume], several: Literal["channel", "time"] | None, planes: int) -> None:
    """Refuse a file with other planes than the cohort's role names, and a film where one volume is meant."""
    if several is not None:
        found = len(volumes[0].voxels)
        if found != planes:
            word = "frames" if several == "time" else "channels"
            raise ImageError(f"holds {found} {word}, and --{word} names {planes}", fix="leave the case out")
        return
    for volume in volumes:
        if volume.axis == "time" and len(volume.voxels) > 1:
            raise ImageError(f"holds {len(volume.voxels)} frames where one volume is meant", fix="say --frames")


def describe(
    volumes: Sequence[Volume],
    masks: Sequence[Volume | None] = (),
    mask_names: Sequence[str | None] = (),
    *,
    channels: bool = False,
    allowed: set[int] | None = None,
) -> dict[str, Any]:
    """Return the facts of one case, a dictionary of the columns of :func:`scan_volumes` that do not concern files.

    Parameters
    ----------
    volumes
        Its images.
    masks
        One for the first image, or one an image; None where there is none.
    mask_names
        References to name in messages.
    channels
        The images are contrasts of one anatomy, so that a note says when they fit better shifted.
    allowed
        Labels that a mask may hold beside 0; None: any.

    Raises
    ------
    ImageError
        A mask on another grid than its image, with fractions, or with a label that was not declared.
    """
    first = volumes[0]
    notes = [note for volume in volumes for note in volume.notes]
    digest = hashlib.sha256()
    for volume in volumes:
        data = np.ascontiguousarray(volume.voxels, dtype=volume.voxels.dtype.newbyteorder("<"))
        digest.update(f"{data.shape} {data.dtype.str}".encode())
        digest.update(data.data)
    counts: dict[int, int] = {}
    inside: list[npt.NDArray[np.bool_] | None] = [None] * len(volumes)
    for number, mask in enumerate(masks):
        if mask is None:
            continue
        name = mask_names[number] if number < len(mask_names) else None
        require_same_grid(mask.grid, volumes[number].grid, where=name)
        labels = whole_labels(mask, where=name)
        held = np.bincount(labels.ravel(), minlength=2)
        unknown = [
            int(label) for label in np.flatnonzero(held) if label and allowed is not None and label not in allowed
        ]
        if unknown:
            raise ImageError(
                f"the mask holds label {', '.join(map(str, unknown))}, which --labels does not name "
                f"({', '.join(map(str, sorted(allowed or ())))})",
                where=name,
                fix="name it with --labels, or correct the mask",
            )
        if not held[1:].any():
            notes.append("empty-mask")
        for label in np.flatnonzero(held[1:]) + 1:
            counts[int(label)] = counts.get(int(label), 0) + int(held[label])
        inside[number] = labels != 0 if held[1:].any() else None
    if len(masks) == 1 and all(volume.grid.same_as(first.grid) for volume in volumes):
        inside = [inside[0]] * len(volumes)
    planes = [_levels(plane, chosen) for volume, chosen in zip(volumes, inside, strict=True) for plane in volume.voxels]
    if any(plane["minimum"] == plane["maximum"] for plane in planes):
        notes.append("constant")
    aligned = all(volume.grid.same_as(first.grid) for volume in volumes[1:])
    if channels and aligned:
        singles = [single for volume in volumes for single in each_plane(volume)]
        for number, single in enumerate(singles[1:], 2):
            notes += doubts(singles[0], single, f"channel {number}")
    grid = first.grid
    return planes[0] | {
        **{f"size_{axis}": n for axis, n in zip("ijk", grid.size, strict=True)},
        **{f"spacing_{axis}": s for axis, s in zip("ijk", grid.spacing, strict=True)},
        "orientation": orientation_code(grid),
        "planes": sum(len(volume.voxels) for volume in volumes),
        "unit": first.unit,
        "modality": first.modality,
        "body_part": " ".join(sorted(regions_of(first.body_part))),
        "laterality": side_of(first.laterality),
        "source_format": first.source_format,
        "pixel_hash": digest.hexdigest(),
        "mask_labels": ";".join(str(label) for label in sorted(counts)),
        "mask_voxels": json.dumps({str(label): counts[label] for label in sorted(counts)}) if any(masks) else "",
        "aligned": aligned,
        "channels": json.dumps(planes),
        "notes": ";".join(dict.fromkeys(notes)),
        "thumb": volume_thumbnail(first, planes[0]["p005"], planes[0]["p995"]),
        "mask_thumb": mask_thumbnail(masks[0]) if masks and masks[0] is not None else b"",
    }


def _levels(plane: npt.NDArray[Any], inside: npt.NDArray[np.bool_] | None) -> dict[str, float]:
    """Return the statistics of one plane, and of its foreground."""
    chosen = plane[inside if inside is not None else plane != 0]
    if not chosen.size:
        chosen = plane.ravel()
    low, high = quantiles(plane, _ENDS)
    inner = quantiles(chosen, _ENDS)
    return {
        "minimum": float(plane.min()),
        "p005": low,
        "mean": float(plane.mean(dtype=np.float64)),
        "std": _deviation(plane),
        "p995": high,
        "maximum": float(plane.max()),
        "fg_p005": inner[0],
        "fg_p995": inner[1],
        "fg_mean": float(chosen.mean(dtype=np.float64)),
        "fg_std": _deviation(chosen),
    }


def _deviation(values: npt.NDArray[Any]) -> float:
    """Return the standard deviation, computed a slab at a time about a first mean so that memory stays flat."""
    mean = float(values.mean(dtype=np.float64))
    flat, step = values.reshape(-1), 1 << 20
    total = sum(
        float(((flat[at : at + step].astype(np.float64) - mean) ** 2).sum()) for at in range(0, flat.size, step)
    )
    return float(np.sqrt(total / flat.size))


def _refuse_single_slices(found: list[dict[str, Any]]) -> None:
    """Mark single slices in a cohort of volumes: most other cases have more than one."""
    whole = [one for one in found if one["status"] == "ok"]
    flat = [one for one in whole if one["size_k"] == 1]
    if not flat or 2 * len(flat) >= len(whole):
        return
    for one in flat:
        size = f"{one['size_i']} x {one['size_j']}"
        one.clear()
        one |= {"status": "unreadable", "problem": f"holds one slice of {size}, and the other cases are volumes"}


def _there(reference: str) -> bool:
    """Tell whether the file, folder or archive of a reference exists."""
    try:
        return Path(reference).exists() or ("#" in reference and Path(reference.rsplit("#", 1)[0]).exists())
    except (OSError, ValueError):
        return False
