"""Pictures for the report of a segmentation: best, median and worst case, three planes, both outlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.artefacts import write_bytes, write_json
from semeion.cohort.cohort import Cohort
from semeion.cohort.roles import image_references, mask_references
from semeion.cohort.volume import Volume
from semeion.cohort.volumes.read import read_volume
from semeion.evidence.masks.segmentation import case_dice
from semeion.prepare.volume import turned_back, whole_labels
from semeion.study.folder import RunFolder

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]

ORDER = ("test", "oof", "val", "external")
SIDE = 300
"""Pixels of the longer side of one plane's picture."""
ROOM, ROOM_MM = 0.4, 10.0
REFERENCE, PREDICTION = (230, 159, 0), (86, 180, 233)
"""Orange and sky blue (Okabe and Ito 2008), told apart by colour-blind readers; RGB."""
KINDS = ("best", "median", "worst")


def write_segment_gallery(
    run: RunFolder, table: pd.DataFrame, ranking: Mapping[str, Mapping[str, str]], cohort: Cohort
) -> None:
    """Write ``gallery/gallery.json`` and one PNG a case, for the best, the median and the worst mean Dice.

    Parameters
    ----------
    run
        The run; predicted masks are in its folder ``masks``.
    table
        Measurements, one row a case and label, with the column ``mask`` that names the file in ``masks``.
    ranking
        ``evidence.json``'s ``ranking``: split -> kind -> case id. The split shown is test, else out of fold, else
        validation.
    cohort
        The cases.

    Raises
    ------
    InputError
        When an image or mask that was read before cannot be read now.
    """
    split = next((name for name in ORDER if ranking.get(name)), None)
    if split is None:
        return
    rows = table[table["split"] == split]
    dice = case_dice(rows)
    row_of = {case: row for row, case in enumerate(cohort.table["case_id"].astype(str))}
    images, masks = image_references(cohort), mask_references(cohort)
    entries = []
    for kind in KINDS:
        case = ranking[split].get(kind)
        if case is None:
            continue
        row, own = row_of[case], rows[rows["case_id"].astype(str) == case]
        # A file that holds all channels is read whole; its first plane is shown.
        image = read_volume(images[row][0], several="channel" if cohort.images.role == "channels" else None)
        found = read_volume(str(run / "masks" / Path(str(own["mask"].iloc[0])).name))
        reference = whole_labels(read_volume(str(masks[row][0])))
        name = f"{kind}.png"
        write_bytes(run / "gallery" / name, overlay_png(image, reference, found.plane.astype(np.uint8)))
        entries.append(
            {
                "kind": kind,
                "case_id": case,
                "file": name,
                "split": split,
                "dice": float(dice[case]),
                "labels": [
                    {"label": one["label"], **{key: _number(one[key]) for key in ("dice", "hd95_mm")}}
                    for one in own.to_dict("records")
                ],
            }
        )
    write_json(run / "gallery" / "gallery.json", {"cases": entries})


def _number(value: Any) -> float | str | None:
    number = float(value)
    if np.isinf(number):
        return "infinite"
    return None if np.isnan(number) else number


def overlay_png(image: Volume, reference: Labels, prediction: Labels) -> bytes:
    """Return a PNG of three planes side by side through the largest cut of the reference, with both outlines.

    Parameters
    ----------
    image
        Its first plane is shown, from the 1st to the 99th percentile of what is around the structure.
    reference, prediction
        Label maps on the image's grid ``(slices, rows, columns)``. Orange is the reference, blue the prediction; where
        both agree the blue line lies on the orange one, which is thicker.
    """
    turned = _facing(image, reference, prediction)
    parts = [_plane(turned, axis) for axis in range(3)]
    height = max(part.shape[0] for part in parts)
    padded = [np.pad(part, ((0, height - part.shape[0]), (0, 6), (0, 0))) for part in parts]
    done, data = cv2.imencode(".png", np.concatenate(padded, axis=1)[..., ::-1])
    if not done:
        raise RuntimeError("OpenCV could not encode a PNG")
    return data.tobytes()


_Three = tuple[npt.NDArray[np.float32], Labels, Labels, tuple[float, float, float]]


def _facing(image: Volume, reference: Labels, prediction: Labels) -> _Three:
    """Return image and masks with axes turned nearest to LPS, and the spacing in array order."""
    from semeion.prepare.geometry import to_lps

    first = Volume(image.voxels[:1].astype(np.float32), image.grid)
    turned = to_lps(first)
    masks = [
        turned_back(Volume(mask[np.newaxis], image.grid), turned.grid).plane.astype(np.uint8)
        for mask in (reference, prediction)
    ]
    a, b, c = turned.grid.spacing
    near = _near(masks[0] | masks[1], (c, b, a))
    return turned.plane[near], masks[0][near], masks[1][near], (c, b, a)


def _near(chosen: Labels, spacing: tuple[float, float, float]) -> tuple[slice, slice, slice]:
    """Return the box of what is chosen with room around it: of `ROOM` of its extent, at least `ROOM_MM`."""
    parts = []
    for axis in range(3):
        places = np.flatnonzero(chosen.any(axis=tuple(other for other in range(3) if other != axis)))
        if not len(places):
            return slice(None), slice(None), slice(None)
        first, last = int(places[0]), int(places[-1])
        room = round(max(ROOM * (last - first + 1), ROOM_MM / spacing[axis]))
        parts.append(slice(max(first - room, 0), last + room + 1))
    return parts[0], parts[1], parts[2]


def _plane(case: _Three, axis: int) -> Pixels:
    """Return one plane as RGB: axis 0 axial, 1 coronal, 2 sagittal; head up in the latter two."""
    image, reference, prediction, spacing = case
    seen = reference if reference.any() else prediction
    areas = (seen > 0).sum(axis=tuple(other for other in range(3) if other != axis))
    at = int(areas.argmax()) if areas.any() else image.shape[axis] // 2
    cut = [np.take(part, at, axis=axis) for part in (image, reference, prediction)]
    sides = [spacing[other] for other in range(3) if other != axis]
    if axis != 0:
        cut = [part[::-1] for part in cut]
    low, high = np.percentile(cut[0], [1, 99])
    grey = np.clip((cut[0] - low) / max(float(high - low), 1e-6) * 255, 0, 255).astype(np.uint8)
    extent = [size * side for size, side in zip(grey.shape, sides, strict=True)]
    scale = SIDE / max(extent)
    size = max(1, round(extent[1] * scale)), max(1, round(extent[0] * scale))
    shown: Pixels = cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    colour = np.ascontiguousarray(np.repeat(shown[..., None], 3, axis=2))
    for labels, tint, width in ((cut[1], REFERENCE, 2), (cut[2], PREDICTION, 1)):
        _outline(colour, labels, tint, width, size)
    return colour


def _outline(colour: Pixels, labels: Labels, tint: Sequence[int], width: int, size: tuple[int, int]) -> None:
    for value in np.unique(labels):
        if value == 0:
            continue
        mask = np.ascontiguousarray(labels == value, dtype=np.uint8)
        larger = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        lines, _ = cv2.findContours(larger, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(colour, lines, -1, tuple(int(part) for part in tint), width)
