"""Name, unit, definition and source of every cardiac measurement, in the order in which they are reported."""

from __future__ import annotations

from semeion.measure.pattern import Definition

MYOCARDIUM_G_PER_ML = 1.05
"""Density of myocardium (Schulz-Menger et al., J Cardiovasc Magn Reson 22:19, 2020)."""

_VOLUMES = "Schulz-Menger et al., J Cardiovasc Magn Reson 22:19 (2020)"
_ISENSEE = "Isensee et al., STACOM 2017, LNCS 10663:120 (2018)"
_KHENED = "Khened et al., Med Image Anal 51:21 (2019)"
_SEGMENTS = "Sectors after Cerqueira et al., Circulation 105:539 (2002), without the apex"
_CHAMBERS = "Lang et al., J Am Soc Echocardiogr 28:1 (2015)"
_ACDC = "Criteria of the ACDC groups, Bernard et al., IEEE Trans Med Imaging 37:2514 (2018)"

_EMPTY = "Not a number when the mask holds no such structure."
_WALLED = (
    "Slices count whose cavity has 4 pixels or more and of whose 72 rays from the cavity's centre 75 % or more meet "
    "myocardium; not a number when there is none."
)
_THICKNESS = "Thickness is the length of a ray inside the myocardium. " + _WALLED
_SECTORS = (
    "Sixteen sectors: the walled slices in three equal parts from base to apex, 6, 6 and 4 sectors counted from the "
    "direction of the right ventricle. "
)
_PAIR = _SECTORS + "A sector at end-systole is set against the same one at end-diastole. " + _WALLED
_SPLIT = " In-plane millimetres are as true as the spacing of the mask."


def _chamber(short: str, title: str) -> list[Definition]:
    return [
        Definition(
            f"{short}_edv_ml", f"{title} end-diastolic volume", "ml", f"Voxels times volume of one. {_EMPTY}", _VOLUMES
        ),
        Definition(
            f"{short}_esv_ml", f"{title} end-systolic volume", "ml", f"Voxels times volume of one. {_EMPTY}", _VOLUMES
        ),
        Definition(
            f"{short}_sv_ml",
            f"{title} stroke volume",
            "ml",
            f"End-diastolic less end-systolic volume. {_EMPTY}",
            _VOLUMES,
        ),
        Definition(
            f"{short}_ef_percent",
            f"{title} ejection fraction",
            "%",
            f"Stroke volume over end-diastolic volume; below 0 when the frames are exchanged. {_EMPTY}",
            _VOLUMES,
        ),
    ]


def _wall(short: str, phase: str) -> list[Definition]:
    def of(name: str, title: str, unit: str, definition: str, source: str) -> Definition:
        return Definition(f"wall_{short}_{name}", f"{title} at {phase}", unit, definition, source)

    slices = "over the slices of the slice's mean. " + _THICKNESS + _SPLIT
    within = "over the slices of the standard deviation along a slice's rays. " + _THICKNESS + _SPLIT
    sectors = "mean thickness of a sector. " + _SECTORS + _THICKNESS
    outer = "over the mean outer radius (cavity and wall) of all rays. " + _SECTORS + _THICKNESS
    return [
        of("mean_mm", "Mean wall thickness", "mm", "Mean " + slices, _KHENED),
        of("max_mm", "Wall thickness of the thickest slice", "mm", "Largest " + slices, _KHENED),
        of("sd_mm", "Variation of wall thickness between slices", "mm", "Standard deviation " + slices, _KHENED),
        of("within_mean_mm", "Variation of wall thickness around a slice", "mm", "Mean " + within, _KHENED),
        of("within_max_mm", "Variation around the most uneven slice", "mm", "Largest " + within, _KHENED),
        of("within_sd_mm", "Difference of slices in their unevenness", "mm", "Standard deviation " + within, _KHENED),
        of("sector_max_mm", "Thickest sector", "mm", "Largest " + sectors + _SPLIT, _SEGMENTS),
        of("sector_min_mm", "Thinnest sector", "mm", "Smallest " + sectors + _SPLIT, _SEGMENTS),
        of(
            "sector_variation_percent",
            "Variation of thickness across sectors",
            "%",
            "Standard deviation over mean of the " + sectors,
            _SEGMENTS,
        ),
        of(
            "relative_max", "Thickest sector, relative to the heart", "", "Largest mean of a sector " + outer, _SEGMENTS
        ),
        of(
            "relative_min",
            "Thinnest sector, relative to the heart",
            "",
            "Smallest mean of a sector " + outer,
            _SEGMENTS,
        ),
        of(
            "cavity_ratio",
            "Wall thickness over cavity radius",
            "",
            "Mean over the slices of mean thickness over mean inner radius. " + _WALLED,
            f"Relative wall thickness, {_CHAMBERS}",
        ),
    ]


def _spread(short: str, title: str, definition: str) -> list[Definition]:
    text = f"{definition} {_PAIR}"
    return [
        Definition(f"{short}_mean_percent", f"{title}, mean of sectors", "%", f"Mean of: {text}", _SEGMENTS),
        Definition(f"{short}_sd_percent", f"{title}, spread of sectors", "%", f"Deviation of: {text}", _SEGMENTS),
        Definition(
            f"{short}_worst_percent",
            f"{title}, four worst sectors",
            "%",
            f"Mean of the four smallest (infarction: {_ACDC}) of: {text}",
            _SEGMENTS,
        ),
        Definition(
            f"{short}_best_percent",
            f"{title}, four best sectors",
            "%",
            f"Mean of the four largest of: {text}",
            _SEGMENTS,
        ),
    ]


def _ratio(name: str, title: str, definition: str, source: str) -> Definition:
    return Definition(name, title, "", definition, source)


_SECTION = "Largest section of the right over the largest of the left cavity, by area. "
_ROUND = "of shorter over longer axis of the ellipse with the second moments of the cavity's section. "

DEFINITIONS: tuple[Definition, ...] = (
    *_chamber("lv", "Left ventricular"),
    *_chamber("rv", "Right ventricular"),
    Definition(
        "myocardium_ed_ml", "Myocardium at end-diastole", "ml", f"Voxels times volume of one. {_EMPTY}", _VOLUMES
    ),
    Definition(
        "myocardium_es_ml", "Myocardium at end-systole", "ml", f"Voxels times volume of one. {_EMPTY}", _VOLUMES
    ),
    Definition(
        "lv_mass_g",
        "Left ventricular mass",
        "g",
        f"Myocardium at end-diastole times {MYOCARDIUM_G_PER_ML} g/ml. {_EMPTY}",
        _VOLUMES,
    ),
    Definition(
        "lv_mass_volume_g_per_ml",
        "Left ventricular mass over volume",
        "g/ml",
        f"Mass over end-diastolic volume. {_EMPTY}",
        _ISENSEE,
    ),
    _ratio("myocardium_lv_es", "Myocardium over left cavity at end-systole", f"Ratio of volumes. {_EMPTY}", _ISENSEE),
    _ratio("rv_lv_ed", "Right over left cavity at end-diastole", f"Ratio of volumes. {_EMPTY}", _ISENSEE),
    _ratio("rv_lv_es", "Right over left cavity at end-systole", f"Ratio of volumes. {_EMPTY}", _ISENSEE),
    _ratio(
        "rv_lv_ef",
        "Right over left ejection fraction",
        f"Ratio of ejection fractions. {_EMPTY} Not a number when the left one is 0 or less.",
        _ISENSEE,
    ),
    _ratio("rv_lv_area_ed", "Right over left largest section at end-diastole", _SECTION + _EMPTY, _ISENSEE),
    _ratio("rv_lv_area_es", "Right over left largest section at end-systole", _SECTION + _EMPTY, _ISENSEE),
    *_wall("ed", "end-diastole"),
    *_wall("es", "end-systole"),
    _ratio(
        "septal_free_wall",
        "Septal over free wall thickness at end-diastole",
        "Mean thickness of the 18 rays around the direction of the right ventricle over that of the 18 opposite, all "
        "walled slices. " + _THICKNESS,
        "Asymmetry of hypertrophy, Henry et al., Circulation 47:225 (1973)",
    ),
    *_spread("thickening", "Systolic wall thickening", "Gain in thickness over thickness at end-diastole."),
    *_spread("area_change", "Fractional area change", "Loss of cavity area in a sector over its area at end-diastole."),
    Definition(
        "area_change_base_percent",
        "Fractional area change, base",
        "%",
        "As above, all sectors of the basal third. " + _WALLED,
        _SEGMENTS,
    ),
    Definition(
        "area_change_mid_percent",
        "Fractional area change, middle",
        "%",
        "As above, all sectors of the middle third. " + _WALLED,
        _SEGMENTS,
    ),
    Definition(
        "area_change_apex_percent",
        "Fractional area change, apex",
        "%",
        "As above, all sectors of the apical third. " + _WALLED,
        _SEGMENTS,
    ),
    _ratio("lv_roundness_ed", "Roundness of the left cavity at end-diastole", f"Mean {_ROUND}{_WALLED}", _ISENSEE),
    _ratio("lv_roundness_es", "Roundness of the left cavity at end-systole", f"Mean {_ROUND}{_WALLED}", _ISENSEE),
    _ratio(
        "lv_sphericity",
        "Sphericity of the left cavity at end-diastole",
        "Diameter of a circle with the area of the largest section, over the length of the cavity (slices it is seen "
        "in times their distance)." + _SPLIT,
        f"Sphericity index, {_CHAMBERS}",
    ),
    _ratio(
        "lv_taper_ed",
        "Apical over basal radius at end-diastole",
        "Mean inner radius of the apical over that of the basal third. " + _WALLED,
        _SEGMENTS,
    ),
    _ratio(
        "lv_taper_es",
        "Apical over basal radius at end-systole",
        "Mean inner radius of the apical over that of the basal third. " + _WALLED,
        _SEGMENTS,
    ),
)
"""Every measurement of :func:`semeion.measure.cardiac.measure_heart`."""

TRUE_BY_VOLUME: tuple[str, ...] = tuple(
    one.name for one in DEFINITIONS if one.unit != "mm" and one.name != "lv_sphericity"
)
"""Names that stay the same when a voxel's volume is true and its split over in-plane spacing and slices is not."""
