"""Siemens mosaics: one picture that tiles the slices of a volume, whose place stands in a private header.

The position in the header is that of a picture as wide as the mosaic around the same centre; it is moved to that of one
tile. Distance and direction of the slices are SpacingBetweenSlices (0018,0088) and SliceNormalVector of the CSA header
(0029,1010). Sources: the layout of CSA2 as described by the NiBabel project; agreement with dcm2niix is tested.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from semeion.cohort.series.geometry import Plane
from semeion.cohort.series.header import Header
from semeion.errors import ImageError

_MOST_TAGS, _MOST_ITEMS = 1000, 10_000


def is_mosaic(header: Header) -> bool:
    """Tell whether a file tiles the slices of a volume in one picture."""
    return "MOSAIC" in header.image_type and header.frames == 1


def mosaic_planes(
    header: Header, dataset: Any, source: int, name: str, moment: tuple[tuple[str, float], ...]
) -> list[Plane]:
    """Return a plane for each tile that holds a slice.

    Raises
    ------
    ImageError
        When the header does not say how many slices there are, where they lie, or contradicts itself.
    """
    csa = csa_elements(_private(dataset, 0x0029, "SIEMENS CSA HEADER", 0x10) or b"")
    count = _count(dataset, csa, name)
    side = math.ceil(math.sqrt(count))
    if header.rows % side or header.cols % side:
        raise ImageError(
            f"is a mosaic of {header.rows} x {header.cols} pixels, which {side} x {side} tiles do not fill",
            where=name,
            fix="export it from the scanner as single slices",
        )
    spacing = dataset.get("SpacingBetweenSlices")
    normal = np.array([float(text) for text in csa.get("SliceNormalVector", []) if text][:3])
    if header.position is None or header.orientation is None or header.spacing is None:
        raise ImageError("is a mosaic without position (0020,0032), orientation (0020,0037) or spacing", where=name)
    axes = np.array(header.orientation, dtype=np.float64).reshape(2, 3)
    across = np.cross(axes[0], axes[1])
    if spacing in (None, "") or len(normal) != 3 or abs(abs(float(normal @ across)) - 1) > 1e-2:
        raise ImageError(
            "is a mosaic without SpacingBetweenSlices (0018,0088) or SliceNormalVector of the CSA header (0029,1010)",
            where=name,
            fix="export it with private elements, or as single slices",
        )
    rows, cols = header.rows // side, header.cols // side
    row_mm, col_mm = header.spacing
    corner = np.array(header.position) + axes[0] * (header.cols - cols) / 2 * col_mm
    corner += axes[1] * (header.rows - rows) / 2 * row_mm
    step = across * float(spacing) * (1 if normal @ across > 0 else -1)
    planes = []
    for n in range(count):
        x, y, z = (float(value) for value in corner + n * step)
        planes.append(
            Plane(
                name=f"{name} tile {n + 1}",
                source=source,
                frame=0,
                rows=rows,
                cols=cols,
                position=(x, y, z),
                orientation=header.orientation,
                spacing=header.spacing,
                thickness=header.thickness,
                moment=moment,
                tile=(n // side * rows, n % side * cols),
            )
        )
    return planes


def _private(dataset: Any, group: int, creator: str, element: int) -> Any:
    try:
        return dataset.private_block(group, creator)[element].value
    except KeyError:
        return None


def _count(dataset: Any, csa: dict[str, list[str]], name: str) -> int:
    value = _private(dataset, 0x0019, "SIEMENS MR HEADER", 0x0A)
    if value is None:
        value = next(iter(csa.get("NumberOfImagesInMosaic", [])), None)
    try:
        count = int(str(value).strip())
    except ValueError:
        count = 0
    if not 0 < count <= _MOST_ITEMS:
        raise ImageError(
            "is a mosaic and does not say of how many slices, NumberOfImagesInMosaic (0019,100A)",
            where=name,
            fix="export it with private elements, or as single slices",
        )
    return count


def csa_elements(data: bytes) -> dict[str, list[str]]:
    """Return the elements of a Siemens CSA2 header as text; empty when it is none or damaged."""
    if data[:4] != b"SV10" or len(data) < 16:
        return {}
    elements: dict[str, list[str]] = {}
    at = 16
    try:
        for _ in range(min(struct.unpack_from("<I", data, 8)[0], _MOST_TAGS)):
            name = data[at : at + 64].split(b"\0")[0].decode("latin-1")
            items = struct.unpack_from("<i", data, at + 76)[0]
            at += 84
            values = []
            for _ in range(min(max(items, 0), _MOST_ITEMS)):
                length = max(struct.unpack_from("<4i", data, at)[1], 0)
                at += 16
                values.append(data[at : at + length].split(b"\0")[0].decode("latin-1").strip())
                at += -(-length // 4) * 4
            elements[name] = values
    except struct.error:
        return {}
    return elements
