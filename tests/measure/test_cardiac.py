from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError
from semeion.measure.cardiac import DEFINITIONS, ROLES, TRUE_BY_VOLUME, measure_heart

LABELS = {"rv": 1, "myocardium": 2, "lv": 3}
RADIUS, WALL = 20.0, 8.0


def heart(
    radius=RADIUS, wall=WALL, *, slices=8, spacing=(1.5, 1.5, 10.0), thin=0.0, rv=18.0, size=92, turn=0.0
) -> Volume:
    """A cylinder: cavity, wall around it (`thin` mm less on the side away from the right ventricle), and a disc."""
    y, x = np.mgrid[:size, :size].astype(float)
    x, y = (x - size / 2 + 0.5) * spacing[0], (y - size / 2 + 0.5) * spacing[1]
    away = np.hypot(x, y)
    outer = radius + wall - thin * (np.abs(np.angle(np.exp(1j * (np.arctan2(y, x) - turn - np.pi)))) < np.pi / 6)
    far = radius + wall + rv
    right = np.hypot(x - far * np.cos(turn), y - far * np.sin(turn)) < rv
    plane = np.select([away < radius, away < outer, right], [3, 2, 1], 0).astype(np.uint8)
    return Volume(np.repeat(plane[None], slices, axis=0)[None], Grid((size, size, slices), spacing))


def measure(ed: Volume, es: Volume) -> dict[str, float]:
    return measure_heart(ed, es, LABELS)


def test_volumes_fractions_and_mass_of_cylinders():
    values = measure(heart(20, 8), heart(10, 12))
    edv, esv = (np.pi * r**2 * 80 / 1000 for r in (20, 10))
    assert values["lv_edv_ml"] == pytest.approx(edv, rel=0.01)
    assert values["lv_esv_ml"] == pytest.approx(esv, rel=0.02)
    assert values["lv_sv_ml"] == pytest.approx(edv - esv, rel=0.02)
    assert values["lv_ef_percent"] == pytest.approx(75, abs=0.5)
    assert values["rv_ef_percent"] == pytest.approx(0, abs=1)
    mass = 1.05 * np.pi * (28**2 - 20**2) * 80 / 1000
    assert values["lv_mass_g"] == pytest.approx(mass, rel=0.01)
    assert values["lv_mass_volume_g_per_ml"] == pytest.approx(mass / edv, rel=0.02)
    assert list(values) == [one.name for one in DEFINITIONS]
    assert np.isfinite(list(values.values())).all()


def test_wall_thickness_is_found_below_the_size_of_a_pixel():
    for wall in (6.0, 7.3, 8.6, 11.2):
        values = measure(heart(20, wall), heart(14, wall * 1.4))
        assert values["wall_ed_mean_mm"] == pytest.approx(wall, abs=0.2)
        assert values["wall_ed_max_mm"] == pytest.approx(wall, abs=0.2)
        assert values["wall_ed_sd_mm"] == pytest.approx(0, abs=1e-9)
        assert values["wall_ed_sector_variation_percent"] < 6
        assert values["wall_ed_cavity_ratio"] == pytest.approx(wall / 20, abs=0.02)
        assert values["thickening_mean_percent"] == pytest.approx(40, abs=5)
        assert values["area_change_mean_percent"] == pytest.approx(51, abs=2)
        assert values["lv_roundness_ed"] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("turn", [0.0, 1.0, 2.5, 4.0])
def test_a_thin_free_wall_is_found_wherever_the_heart_points(turn: float):
    values = measure(heart(20, 10, thin=6, turn=turn), heart(16, 12, thin=8, turn=turn))
    assert values["wall_ed_sector_max_mm"] == pytest.approx(10, abs=0.4)
    assert values["wall_ed_sector_min_mm"] == pytest.approx(4, abs=0.6)
    # The thin part is 60 of the free wall's 90 degrees.
    assert values["septal_free_wall"] == pytest.approx(10 / (10 - 6 * 2 / 3), rel=0.06)
    assert values["thickening_worst_percent"] < values["thickening_best_percent"]


def test_pixels_that_are_not_square_change_nothing():
    wide = heart(20, 8, spacing=(2.0, 1.0, 10.0), size=130)
    values = measure(wide, wide)
    assert values["wall_ed_mean_mm"] == pytest.approx(8, abs=0.2)
    assert values["lv_roundness_ed"] == pytest.approx(1, abs=0.02)


def test_each_phase_is_measured_on_its_own_grid():
    values = measure(heart(20, 8), heart(10, 12, spacing=(1.0, 1.0, 5.0), slices=16, size=140))
    assert values["lv_ef_percent"] == pytest.approx(75, abs=0.5)
    assert values["wall_es_mean_mm"] == pytest.approx(12, abs=0.15)
    assert values["thickening_mean_percent"] == pytest.approx(50, abs=4)


@settings(max_examples=12, deadline=None)
@given(scale=st.floats(0.5, 2.0), thin=st.floats(0, 5))
def test_ratios_do_not_depend_on_the_assumed_pixel_size(scale: float, thin: float):
    def assumed(mask: Volume) -> Volume:
        a, b, c = mask.grid.spacing
        return Volume(mask.voxels, Grid(mask.grid.size, (a * scale, b * scale, c / scale**2)))

    ed, es = heart(20, 10, thin=thin), heart(14, 13, thin=thin)
    plain, other = measure(ed, es), measure(assumed(ed), assumed(es))
    for name, value in plain.items():
        if name in TRUE_BY_VOLUME:
            assert other[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name
        if name.endswith("_mm"):
            assert other[name] == pytest.approx(value * scale, rel=1e-6, abs=1e-9), name


def tapered(radii: list[float], walls: list[float]) -> Volume:
    slices = [heart(r, w, slices=1).voxels[0, 0] for r, w in zip(radii, walls, strict=True)]
    return Volume(np.stack(slices)[None], Grid((92, 92, len(radii)), (1.5, 1.5, 10.0)))


def test_the_order_of_the_slices_does_not_matter():
    ed = tapered([22, 21, 19, 17, 14, 10], [8, 8, 8, 7, 7, 6])
    es = tapered([16, 15, 12, 11, 12, 9], [11, 11, 10, 9, 7, 6])
    plain = measure(ed, es)
    both = measure(*(Volume(one.voxels[:, ::-1], one.grid) for one in (ed, es)))
    assert both == pytest.approx(plain)
    assert plain["area_change_base_percent"] > plain["area_change_apex_percent"]
    assert plain["lv_taper_ed"] < 1
    # One phase stored from the other end, and its direction says so.
    turned = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0)
    other = Volume(es.voxels[:, ::-1, ::-1], Grid(es.grid.size, es.grid.spacing, direction=turned))
    assert measure(ed, other) == pytest.approx(plain)


def test_a_missing_structure_is_not_a_number():
    ed, es = heart(20, 8), heart(10, 12)
    without = Volume(np.where(ed.voxels == 1, 0, ed.voxels), ed.grid)
    values = measure(without, es)
    assert np.isnan([values[name] for name in ("rv_edv_ml", "rv_ef_percent", "rv_lv_ed", "rv_lv_ef")]).all()
    assert values["lv_ef_percent"] == pytest.approx(75, abs=0.5)
    assert values["wall_ed_mean_mm"] == pytest.approx(8, abs=0.15)
    bare = measure(Volume(np.where(ed.voxels == 2, 0, ed.voxels), ed.grid), es)
    assert np.isnan([bare[name] for name in ("lv_mass_g", "wall_ed_max_mm", "thickening_mean_percent")]).all()
    assert bare["lv_ef_percent"] == pytest.approx(75, abs=0.5)
    gone = measure(ed, Volume(np.where(es.voxels == 3, 0, es.voxels), es.grid))
    assert np.isnan([gone[name] for name in ("lv_esv_ml", "lv_ef_percent", "wall_es_max_mm")]).all()


def test_a_wall_with_a_wide_gap_is_not_measured():
    ed = heart(20, 8)
    open_ = ed.voxels.copy()
    open_[..., :40][open_[..., :40] == 2] = 0
    assert np.isnan(measure(Volume(open_, ed.grid), ed)["wall_ed_mean_mm"])


def test_bad_input_is_refused():
    ed, es = heart(), heart(12, 11)
    with pytest.raises(InputError, match=r"labels are given for lv, rv; name exactly rv, myocardium, lv"):
        measure_heart(ed, es, {"rv": 1, "lv": 3})
    with pytest.raises(InputError, match="not distinct numbers of 1 or more; give each structure a label of its own"):
        measure_heart(ed, es, {"rv": 1, "myocardium": 3, "lv": 3})
    empty = Volume(np.zeros_like(ed.voxels), ed.grid)
    with pytest.raises(InputError, match=r"case7: the left ventricular cavity \(label 3\) is empty at end-diastole"):
        measure_heart(empty, es, LABELS, ed_where="case7")
    with pytest.raises(InputError, match="ES mask: the size of a voxel is not known"):
        measure_heart(ed, Volume(es.voxels, es.grid, notes=("no-spacing",)), LABELS)
    with pytest.raises(InputError, match="ES mask: the mask holds values that are not whole numbers"):
        measure_heart(ed, Volume(es.voxels * 0.5, es.grid), LABELS)


def test_every_definition_is_complete():
    assert len({one.name for one in DEFINITIONS}) == len(DEFINITIONS)
    units = {"_ml": "ml", "_mm": "mm", "_percent": "%", "_g": "g", "_g_per_ml": "g/ml"}
    for one in DEFINITIONS:
        assert one.title, one.name
        assert one.definition.endswith("."), one.name
        assert one.source, one.name
        fits = [unit for suffix, unit in units.items() if one.name.endswith(suffix)]
        assert one.unit == (fits[-1] if fits else ""), one.name
    assert set(ROLES) == set(LABELS)


@pytest.mark.real_data
def test_real_hearts_have_the_published_volumes_and_fractions(data: Path):
    import SimpleITK as sitk

    def mask(patient: str, phase: str) -> Volume:
        image = sitk.ReadImage(str(data / "acdc" / "masks" / f"{patient}_{phase}.nii.gz"))
        grid = Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
        return Volume(sitk.GetArrayFromImage(image)[None], grid)

    truth = pd.read_csv(data / "acdc" / "cases.csv").set_index("patient_id").iloc[::3]
    rows = {name: measure(mask(name, "ED"), mask(name, "ES")) for name in truth.index}
    found = pd.DataFrame.from_dict(rows, orient="index")
    assert len(found) == 24
    assert found["lv_edv_ml"].to_numpy() == pytest.approx(truth["lv_edv_ml"].to_numpy(), abs=0.01)
    assert found["lv_esv_ml"].to_numpy() == pytest.approx(truth["lv_esv_ml"].to_numpy(), abs=0.01)
    assert found["lv_ef_percent"].to_numpy() == pytest.approx(100 * truth["lv_ef"].to_numpy(), abs=0.02)
    assert np.isfinite(found.to_numpy()).all()
    means = found.groupby(truth["group"]).mean()
    # What defines the groups (Bernard et al. 2018) is seen in what was measured.
    assert means["lv_ef_percent"].idxmin() == "DCM"
    assert means["rv_lv_ed"].idxmax() == "RV"
    assert means["wall_ed_sector_max_mm"].idxmax() == "HCM"
    assert means["wall_es_sector_variation_percent"].idxmax() == "MINF"
