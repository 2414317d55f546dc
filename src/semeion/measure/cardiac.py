"""The heart from masks at end-diastole and end-systole: volumes, ejection fractions, mass, wall and shape.

The measurements are those that won the ACDC challenge (Isensee et al., STACOM 2017, LNCS 10663:120; Khened et al., Med
Image Anal 51:21, 2019) and those of the guidelines. Slices along k are taken as the short-axis slices. A length in mm
is as true as the mask's spacing. In some copies of the ACDC data only the voxel's volume is true and its split over the
axes assumes slices 10 mm apart: there a wall thickness in mm is an assumption too, while what is in ml, g or %, and
every ratio but the sphericity, is not touched by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from semeion.cohort.volume import Volume
from semeion.errors import InputError
from semeion.measure.cardiac_definitions import DEFINITIONS, MYOCARDIUM_G_PER_ML, TRUE_BY_VOLUME
from semeion.measure.pattern import Bits, Floats, check_roles, check_scale, structure
from semeion.measure.wall import RAYS, Wall, base_is_first, find_wall

__all__ = ["DEFINITIONS", "ROLES", "TRUE_BY_VOLUME", "measure_heart"]

ROLES = ("rv", "myocardium", "lv")
NAN = float("nan")
LEAST_MM = 0.5
"""A sector thinner, or a radius shorter, counts as this much where something is divided by it."""


@dataclass(frozen=True)
class _Phase:
    """One phase: volumes in ml, largest sections in square mm, length in mm, the wall, and the mean roundness."""

    rv: float
    myocardium: float
    lv: float
    rv_section: float
    lv_section: float
    lv_length: float
    wall: Wall
    roundness: float


def measure_heart(
    ed: Volume, es: Volume, labels: Mapping[str, int], *, ed_where: str = "ED mask", es_where: str = "ES mask"
) -> dict[str, float]:
    """Measure a heart from its masks at end-diastole and end-systole.

    Parameters
    ----------
    ed, es
        Masks with one plane, slices along the short axis. Each is measured on its own grid; the two may differ.
    labels
        The label of ``rv`` (right cavity), ``myocardium`` (of the left ventricle) and ``lv`` (left cavity).
    ed_where, es_where
        Names of the masks in messages.

    Returns
    -------
    dict
        One value for each of :data:`DEFINITIONS`, in that order. Not a number where a structure it needs is empty or
        no slice has a closed wall, by the rule in its definition.

    Raises
    ------
    InputError
        When a mask is none or without a known spacing, roles are missing or share a label, or the left cavity is empty
        at end-diastole, so that no ejection fraction exists.
    """
    check_roles(labels, ROLES, "cardiac labels")
    check_scale(ed, ed_where)
    check_scale(es, es_where)
    parts = [
        {role: structure(mask, labels[role], where) for role in ROLES}
        for mask, where in ((ed, ed_where), (es, es_where))
    ]
    if not parts[0]["lv"].any():
        raise InputError(
            f"the left ventricular cavity (label {labels['lv']}) is empty at end-diastole",
            where=ed_where,
            fix="check the mask and which frame is end-diastole: no ejection fraction exists without it",
        )
    first = base_is_first(parts[0]["lv"], parts[0]["myocardium"], parts[0]["rv"])
    same_way = float(np.dot(ed.grid.matrix[:, 2], es.grid.matrix[:, 2])) >= 0
    diastole, systole = _phase(parts[0], ed, first), _phase(parts[1], es, first == same_way)
    values = {
        **_volumes(diastole, systole),
        **_walls("ed", diastole.wall),
        **_walls("es", systole.wall),
        **_motion(diastole.wall, systole.wall),
        **_shape(diastole, systole),
    }
    return {one.name: float(values[one.name]) for one in DEFINITIONS}


def _phase(parts: dict[str, Bits], mask: Volume, base_first: bool) -> _Phase:
    grid = mask.grid
    pixel = grid.spacing[0] * grid.spacing[1]
    # An empty structure was not found: it is no volume of 0.
    ml = {role: float(bits.sum()) * grid.voxel_ml or NAN for role, bits in parts.items()}
    section = {role: float(bits.sum(axis=(1, 2)).max()) * pixel or NAN for role, bits in parts.items()}
    wall = find_wall(parts["lv"], parts["myocardium"], parts["rv"], grid, base_first=base_first)
    spacing_ji = np.array(grid.spacing[1::-1])
    roundness = [_roundness(parts["lv"][k], spacing_ji) for k in wall.slices]
    return _Phase(
        rv=ml["rv"],
        myocardium=ml["myocardium"],
        lv=ml["lv"],
        rv_section=section["rv"],
        lv_section=section["lv"],
        lv_length=float(parts["lv"].any(axis=(1, 2)).sum()) * grid.spacing[2],
        wall=wall,
        roundness=float(np.mean(roundness)) if roundness else NAN,
    )


def _roundness(bits: Bits, spacing_ji: Floats) -> float:
    """Return the shorter over the longer axis of the ellipse with the second moments of one section."""
    points = np.argwhere(bits) * spacing_ji
    # A pixel has a variance of its own; without it a row of pixels would have no width.
    moments = np.cov(points.T, bias=True) + np.diag(spacing_ji**2 / 12)
    low, high = np.linalg.eigvalsh(moments)
    return float(np.sqrt(low / high))


def _volumes(diastole: _Phase, systole: _Phase) -> dict[str, float]:
    out = {}
    for short in ("lv", "rv"):
        edv, esv = getattr(diastole, short), getattr(systole, short)
        out[f"{short}_edv_ml"], out[f"{short}_esv_ml"], out[f"{short}_sv_ml"] = edv, esv, edv - esv
        out[f"{short}_ef_percent"] = 100 * (edv - esv) / edv
    mass = diastole.myocardium * MYOCARDIUM_G_PER_ML
    left = out["lv_ef_percent"]
    return {
        **out,
        "myocardium_ed_ml": diastole.myocardium,
        "myocardium_es_ml": systole.myocardium,
        "lv_mass_g": mass,
        "lv_mass_volume_g_per_ml": mass / diastole.lv,
        "myocardium_lv_es": systole.myocardium / systole.lv,
        "rv_lv_ed": diastole.rv / diastole.lv,
        "rv_lv_es": systole.rv / systole.lv,
        "rv_lv_ef": out["rv_ef_percent"] / left if left > 0 else NAN,
        "rv_lv_area_ed": diastole.rv_section / diastole.lv_section,
        "rv_lv_area_es": systole.rv_section / systole.lv_section,
    }


_WALL = (
    *(
        "mean_mm",
        "max_mm",
        "sd_mm",
        "within_mean_mm",
        "within_max_mm",
        "within_sd_mm",
        "sector_max_mm",
        "sector_min_mm",
    ),
    *("sector_variation_percent", "relative_max", "relative_min", "cavity_ratio"),
)


def _walls(short: str, wall: Wall) -> dict[str, float]:
    if not wall.slices:
        return {f"wall_{short}_{name}": NAN for name in _WALL}
    means, within = wall.thickness.mean(axis=1), wall.thickness.std(axis=1)
    sectors = wall.sectors(wall.thickness)
    outer = float((wall.inner + wall.thickness).mean())
    values = (
        *(means.mean(), means.max(), means.std(), within.mean(), within.max(), within.std()),
        *(sectors.max(), sectors.min(), 100 * sectors.std() / sectors.mean()),
        *(sectors.max() / outer, sectors.min() / outer, (means / wall.inner.mean(axis=1)).mean()),
    )
    return {f"wall_{short}_{name}": float(value) for name, value in zip(_WALL, values, strict=True)}


def _motion(diastole: Wall, systole: Wall) -> dict[str, float]:
    kinds, thirds = ("thickening", "area_change"), ("base", "mid", "apex")
    if not diastole.slices or not systole.slices:
        names = [f"{kind}_{what}_percent" for kind in kinds for what in ("mean", "sd", "worst", "best")]
        return dict.fromkeys([*names, *(f"area_change_{third}_percent" for third in thirds)], NAN)
    before, after = diastole.levels(diastole.inner**2), systole.levels(systole.inner**2)
    gains = (
        systole.sectors(systole.thickness) / np.maximum(diastole.sectors(diastole.thickness), LEAST_MM) - 1,
        1 - np.concatenate(after) / np.maximum(np.concatenate(before), LEAST_MM**2),
    )
    out = {}
    for kind, gain in zip(kinds, gains, strict=True):
        ordered = np.sort(100 * gain)
        out[f"{kind}_mean_percent"], out[f"{kind}_sd_percent"] = float(ordered.mean()), float(ordered.std())
        out[f"{kind}_worst_percent"], out[f"{kind}_best_percent"] = (
            float(ordered[:4].mean()),
            float(ordered[-4:].mean()),
        )
    for third, a, b in zip(thirds, before, after, strict=True):
        out[f"area_change_{third}_percent"] = float(100 * (1 - b.mean() / max(a.mean(), LEAST_MM**2)))
    return out


def _shape(diastole: _Phase, systole: _Phase) -> dict[str, float]:
    thickness = diastole.wall.thickness
    eighth = RAYS // 8
    septum = np.roll(thickness, eighth, axis=1)[:, : 2 * eighth].mean() if diastole.wall.slices else NAN
    free = np.roll(thickness, eighth - RAYS // 2, axis=1)[:, : 2 * eighth].mean() if diastole.wall.slices else NAN
    return {
        "septal_free_wall": septum / free if free > 0 else NAN,
        "lv_roundness_ed": diastole.roundness,
        "lv_roundness_es": systole.roundness,
        "lv_sphericity": float(np.sqrt(4 * diastole.lv_section / np.pi)) / diastole.lv_length,
        "lv_taper_ed": _taper(diastole.wall),
        "lv_taper_es": _taper(systole.wall),
    }


def _taper(wall: Wall) -> float:
    if not wall.slices:
        return NAN
    basal, _, apical = wall.levels(wall.inner)
    return float(apical.mean() / basal.mean())
