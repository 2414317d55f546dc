"""Degree of stenosis along a vessel, from the mask of its lumen.

Percentages follow NASCET (N Engl J Med 325:445, 1991): the loss of diameter at the narrowest place against the normal
vessel beyond it. The diameter is that of the circle with the area of the cross-section, which is cut perpendicular to
the centre line below the size of a voxel, so that a lumen that is not round counts by what is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError
from semeion.measure.centreline import Sections, cut
from semeion.measure.pattern import Bits, Definition, Whole, check_scale, pieces, structure

SPECK = 0.02
"""Pieces with less than this share of the largest one's volume are specks and set aside; a larger one is refused."""
MOST_VOXELS = 3_000_000
"""Voxels of a lumen beyond which its graph would need more than about 2 GiB."""
SHORTEST = 5.0
"""Shortest line in median diameters: one at each end is not measured, and each side of a narrowing needs one."""
NORMAL = 0.9
"""Share of the normal diameter from which a place belongs to the normal vessel."""
WIDE = 1.25
"""Voxels farther from the line than this many local radii are outside the tube."""

_NASCET = "NASCET Collaborators, N Engl J Med 325:445 (1991)"
_QUANTITATIVE = "Fox, Radiology 186:316 (1993)"
_REFERENCE = (
    "Normal: the median beyond the narrowing (from where the diameter is back to 90 %) on the distal side when the "
    "direction of flow is given, else the mean of both sides; without a narrowing of 10 % the median of the whole line."
)
_ENDS = " One diameter at each end of the line is not measured."

DEFINITIONS = (
    Definition(
        "stenosis_percent",
        "Degree of stenosis",
        "%",
        "1 less the smallest over the normal diameter of a circle with the section's area. " + _REFERENCE + _ENDS,
        _NASCET,
    ),
    Definition(
        "stenosis_area_percent",
        "Degree of stenosis by area",
        "%",
        "1 less the smallest over the normal area of the section. " + _REFERENCE + _ENDS,
        _QUANTITATIVE,
    ),
    Definition(
        "stenosis_minor_percent",
        "Degree of stenosis by the shorter diameter",
        "%",
        "1 less the smallest over the normal shorter axis of the section, both where the degree of stenosis is taken.",
        _NASCET,
    ),
    Definition(
        "vessel_smallest_diameter_mm",
        "Smallest diameter",
        "mm",
        "Diameter of a circle with the area of the smallest section." + _ENDS,
        _NASCET,
    ),
    Definition("vessel_normal_diameter_mm", "Normal diameter", "mm", _REFERENCE, _NASCET),
    Definition(
        "vessel_narrowing_at_mm",
        "Place of the narrowing",
        "mm",
        "Millimetres along the centre line from its proximal end (the lower one when no flow is given).",
        _NASCET,
    ),
    Definition("vessel_length_mm", "Length of the vessel", "mm", "Length of the centre line.", _NASCET),
)


@dataclass(frozen=True)
class Stenosis:
    """The narrowest place of a vessel and what it was compared with.

    Attributes
    ----------
    percent, area_percent, minor_percent
        Degree of stenosis by the diameter of equal area, by area, and by the shorter axis of the section.
    smallest_mm, normal_mm
        The two diameters of `percent`.
    at_mm
        Place along the line, from its first point.
    place
        The same place, LPS millimetres.
    reference
        Where the normal diameter is from: ``distal``, ``both``, ``one`` (the other side is too short or not normal)
        or ``whole`` (no narrowing of 10 %).
    sections
        The whole line with its sections, proximal end first.
    first, last
        Range of points that were measured.
    ignored_ml
        Volume of specks that were set aside.
    """

    percent: float
    area_percent: float
    minor_percent: float
    smallest_mm: float
    normal_mm: float
    at_mm: float
    place: tuple[float, float, float]
    reference: Literal["distal", "both", "one", "whole"]
    sections: Sections
    first: int
    last: int
    ignored_ml: float

    def measurements(self) -> dict[str, float]:
        """Return the values of :data:`DEFINITIONS` by name."""
        return {
            "stenosis_percent": self.percent,
            "stenosis_area_percent": self.area_percent,
            "stenosis_minor_percent": self.minor_percent,
            "vessel_smallest_diameter_mm": self.smallest_mm,
            "vessel_normal_diameter_mm": self.normal_mm,
            "vessel_narrowing_at_mm": self.at_mm,
            "vessel_length_mm": float(self.sections.along[-1]),
        }


def measure_stenosis(
    mask: Volume,
    labels: int | Iterable[int] = 1,
    *,
    flow: Sequence[float] | None = None,
    open_ends: bool = False,
    where: str = "lumen mask",
) -> Stenosis:
    """Measure the degree of stenosis of one unbranched vessel.

    Parameters
    ----------
    mask
        One plane of labels.
    labels
        The label of the lumen, or several that together are it.
    flow
        Direction in which blood flows, LPS, for example ``(0, 0, 1)`` in a carotid artery: the end farther along it is
        distal. None: unknown, and both sides of the narrowing count.
    open_ends
        Whether the vessel may leave the volume at its two ends, as in a crop; anywhere else it never may.
    where
        Name of the mask in messages.

    Raises
    ------
    InputError
        When the mask is none, empty or without a known spacing, the lumen is in several pieces, branched, a loop, cut
        by the border, too short, too large, or has no normal part to compare with.
    """
    check_scale(mask, where)
    lumen, ignored = _one_piece(structure(mask, labels, where), mask.grid, where)
    edge = _border(lumen)
    if edge.any() and not open_ends:
        raise InputError(
            f"the lumen touches the border of the volume with {int(edge.sum())} voxels",
            where=where,
            fix="segment a larger volume, or allow open ends when only the ends of the vessel leave it",
        )
    sections = _ordered(cut(lumen, mask.grid), flow, where)
    diameter, along = sections.diameter, sections.along
    usual = float(np.median(diameter))
    if along[-1] < SHORTEST * usual:
        raise InputError(
            f"the vessel is {along[-1]:.1f} mm long and {usual:.1f} mm wide",
            where=where,
            fix=f"give at least {SHORTEST:g} diameters of its length",
        )
    measured = np.flatnonzero((along >= usual) & (along <= along[-1] - usual))
    _check_tube(lumen, mask.grid, sections, usual, where)
    if edge.any():
        _check_ends(edge, mask.grid, sections, usual, where)
    first, last = int(measured[0]), int(measured[-1])
    at = first + int(np.argmin(diameter[first : last + 1]))
    kind, normal = _normal(sections, first, last, at, flow is not None, where)
    area, minor = (
        float(np.mean([np.median(values[part]) for part in normal])) for values in (sections.area, sections.minor)
    )
    reference = float(np.mean([np.median(diameter[part]) for part in normal]))
    x, y, z = (float(value) for value in sections.points[at])
    return Stenosis(
        percent=100 * (1 - float(diameter[at]) / reference),
        area_percent=100 * (1 - float(sections.area[at]) / area),
        minor_percent=100 * (1 - float(sections.minor[at]) / minor),
        smallest_mm=float(diameter[at]),
        normal_mm=reference,
        at_mm=float(along[at]),
        place=(x, y, z),
        reference=kind,
        sections=sections,
        first=first,
        last=last,
        ignored_ml=ignored,
    )


def _one_piece(bits: Bits, grid: Grid, where: str) -> tuple[Bits, float]:
    """Return the largest piece without inner holes, and the millilitres of specks that were set aside."""
    numbered, sizes = pieces(bits)
    if not len(sizes):
        raise InputError("the lumen is empty", where=where, fix="check the mask and its label")
    largest = int(np.argmax(sizes))
    others = np.delete(sizes, largest)
    if (others >= SPECK * sizes[largest]).any():
        n = 1 + int((others >= SPECK * sizes[largest]).sum())
        raise InputError(
            f"the lumen is in {n} pieces: several vessels, or one that is closed",
            where=where,
            fix="give one vessel at a time; a closed vessel has no degree of stenosis to measure",
        )
    if sizes[largest] > MOST_VOXELS:
        raise InputError(
            f"the lumen has {int(sizes[largest])} voxels", where=where, fix=f"resample it to at most {MOST_VOXELS}"
        )
    return ndimage.binary_fill_holes(numbered == largest + 1), float(others.sum()) * grid.voxel_ml


def _border(bits: Bits) -> Bits:
    """Return the voxels of `bits` on the outermost layer of the array."""
    inner = np.zeros_like(bits)
    inner[1:-1, 1:-1, 1:-1] = True
    return bits & ~inner


def _ordered(sections: Sections, flow: Sequence[float] | None, where: str) -> Sections:
    """Return the line with its proximal end first: against the flow, else the lower (inferior) end."""
    towards = np.array([0.0, 0.0, 1.0] if flow is None else flow, dtype=np.float64)
    if towards.shape != (3,) or not np.isfinite(towards).all() or not towards.any():
        raise InputError(f"a flow of {flow}", where=where, fix="give a direction of three numbers, LPS")
    gain = float((sections.points[-1] - sections.points[0]) @ towards) / float(np.linalg.norm(towards))
    if flow is not None and abs(gain) < 0.25 * float(np.linalg.norm(sections.points[-1] - sections.points[0])):
        raise InputError(
            "the vessel runs across the given direction of flow",
            where=where,
            fix="give the direction from its proximal to its distal end, or none",
        )
    if gain >= 0:
        return sections
    along = sections.along[-1] - sections.along[::-1]
    return Sections(sections.points[::-1], along, sections.area[::-1], sections.minor[::-1])


def _check_tube(lumen: Bits, grid: Grid, sections: Sections, usual: float, where: str) -> None:
    """Refuse a lumen of which a part longer than a diameter lies beside its line."""
    places = grid.place(np.argwhere(lumen)[:, ::-1])
    away, nearest = cKDTree(sections.points).query(places)
    radius = ndimage.median_filter(sections.diameter, size=5)[nearest] / 2
    beside = float(np.max(away - WIDE * radius))
    if beside <= usual:
        return
    share = float((away > WIDE * radius).mean())
    holes = 1 - euler_number(lumen)
    kind = "forms a loop" if holes > 0 else "has a branch"
    raise InputError(
        f"the lumen {kind}: {100 * share:.0f} % of it lies beside its centre line, up to {beside:.1f} mm from the wall",
        where=where,
        fix="give one unbranched vessel",
    )


def _check_ends(edge: Bits, grid: Grid, sections: Sections, usual: float, where: str) -> None:
    """Refuse a lumen that touches the border of the volume anywhere but at the ends of its line."""
    places = grid.place(np.argwhere(edge)[:, ::-1])
    _, nearest = cKDTree(sections.points).query(places)
    along = sections.along[nearest]
    inner = (along > usual) & (along < sections.along[-1] - usual)
    if inner.any():
        raise InputError(
            f"the lumen is cut by the border of the volume {float(along[inner][0]):.1f} mm along its line",
            where=where,
            fix="segment a larger volume: only the ends may leave it",
        )


def _normal(
    sections: Sections, first: int, last: int, at: int, directed: bool, where: str
) -> tuple[Literal["distal", "both", "one", "whole"], list[Whole]]:
    """Return the rule and the points of the normal vessel, one array a side."""
    diameter = sections.diameter
    if diameter[at] >= NORMAL * np.median(diameter[first : last + 1]):
        return "whole", [np.arange(first, last + 1)]
    distal = _beyond(sections, np.arange(at, last + 1))
    if directed:
        if distal is None:
            raise InputError(
                f"no normal vessel is seen beyond the narrowing {sections.along[at]:.1f} mm along the line",
                where=where,
                fix="give more of the vessel's distal part, or no direction of flow to use the proximal one",
            )
        return "distal", [distal]
    sides = [side for side in (_beyond(sections, np.arange(at, first - 1, -1)), distal) if side is not None]
    if not sides:
        raise InputError("no normal vessel is seen beside the narrowing", where=where, fix="give more of the vessel")
    return ("both" if len(sides) == 2 else "one"), sides


def _beyond(sections: Sections, walk: Whole) -> Whole | None:
    """Return the points of a walk away from the narrowing that are normal, None when less than a diameter long."""
    diameter = sections.diameter[walk]
    start, usual = 0, float(np.percentile(diameter, 75))
    for _ in range(3):
        wide = np.flatnonzero(diameter >= NORMAL * usual)
        if not len(wide):
            return None
        start = int(wide[0])
        usual = float(np.median(diameter[start:]))
    kept = walk[start:]
    length = abs(float(sections.along[kept[-1]] - sections.along[kept[0]]))
    return kept if length >= usual else None


def euler_number(bits: Bits) -> int:
    """Return pieces less tunnels plus cavities of a mask whose voxels touch by faces, edges or corners.

    It is the number of corners less edges plus faces less cubes of the union of its closed voxels.
    """
    padded = np.pad(bits, 1)
    total = 0
    for axes in np.ndindex(2, 2, 2):
        cells = padded
        for axis in range(3):
            if axes[axis]:
                low = np.take(cells, range(cells.shape[axis] - 1), axis=axis)
                high = np.take(cells, range(1, cells.shape[axis]), axis=axis)
                cells = low | high
        total += (-1) ** (3 - sum(axes)) * int(cells.sum())
    return total
