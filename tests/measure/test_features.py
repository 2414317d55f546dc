import numpy as np
import pytest
from pydantic import ValidationError

from semeion.cohort.volume import Grid, Volume
from semeion.measure.features import feature_definitions, measure_case
from semeion.measure.spec import Measurements, infer_measurements

GRID = Grid((24, 24, 6), (1.5, 1.5, 8.0))
HEART = {"rv": 1, "myocardium": 2, "lv": 3}


def heart(radius, wall=3):
    """A cavity of `radius` pixels in a wall, with a right ventricle at its side."""
    j, i = np.mgrid[:24, :24] - 11.5
    away = np.hypot(i, j)
    plane = np.zeros((24, 24), np.uint8)
    plane[(away <= radius + wall)] = 2
    plane[away <= radius] = 3
    plane[(i > radius + wall) & (abs(j) < 4)] = 1
    return Volume(np.broadcast_to(plane, (1, 6, 24, 24)).copy(), GRID)


def test_a_heart_by_hand():
    spec = infer_measurements(("ED", "ES"), {"RV": 1, "Myocardium": 2, "LV": 3})
    assert spec.kind == "heart"
    ed, es = heart(6), heart(4)
    found = measure_case([ed, es], spec, where="case 1")
    edv, esv = ((m.plane == 3).sum() * 1.5 * 1.5 * 8 / 1000 for m in (ed, es))
    assert found["lv_edv_ml"] == pytest.approx(edv)
    assert found["lv_ef_percent"] == pytest.approx(100 * (edv - esv) / edv)
    assert list(found) == list(feature_definitions(spec))


def test_regions_are_named_by_image_and_structure():
    spec = infer_measurements((), {"anterior": 1, "posterior": 2})
    mask = np.zeros((1, 6, 24, 24), np.uint8)
    mask[0, 1:4, 5:9, 5:9] = 1
    found = measure_case([Volume(mask, GRID)], spec, where="case 1")
    assert found["anterior_volume_ml"] == pytest.approx(3 * 16 * 18 / 1000)
    # A structure that a predicted mask lacks has no volume and no shape.
    assert found["posterior_volume_ml"] == 0
    assert np.isnan(found["posterior_sphericity"])
    assert list(found) == list(feature_definitions(spec))
    assert not [name for name in found if name.endswith("recist_slice")]
    two = infer_measurements(("before", "after"), {"lesion": 1})
    assert set(measure_case([Volume(mask, GRID)] * 2, two, where="c")) == set(feature_definitions(two))
    assert feature_definitions(two)["after_lesion_volume_ml"].title.startswith("lesion at after: ")


def test_intensity_and_texture_are_measured_in_every_channel():
    spec = Measurements(
        kind="regions",
        images=[""],
        structures={"anterior": 1, "posterior": 2},
        intensity=True,
        texture=True,
        channels=["t1", "t2"],
    )
    mask = np.zeros((1, 6, 24, 24), np.uint8)
    mask[0, 1:4, 5:9, 5:9] = 1
    values = np.random.default_rng(0).normal(100, 10, (1, 6, 24, 24))
    planes = [Volume(values, GRID), Volume(values + 50, GRID)]
    found = measure_case([Volume(mask, GRID)], spec, [planes], where="case 1")
    assert list(found) == list(feature_definitions(spec))
    inside = values[mask > 0]
    assert found["t1_anterior_intensity_mean"] == pytest.approx(inside.mean())
    assert found["t2_anterior_intensity_mean"] == pytest.approx(inside.mean() + 50)
    # Bins follow the region's own range, so a shift of all intensities changes no texture.
    assert found["t1_anterior_glcm_contrast"] == pytest.approx(found["t2_anterior_glcm_contrast"])
    assert np.isnan(found["t1_posterior_intensity_mean"])
    assert feature_definitions(spec)["t1_anterior_intensity_mean"].title.startswith("anterior in t1: ")
    alone = spec.model_copy(update={"channels": [], "texture": False})
    single = measure_case([Volume(mask, GRID)], alone, [planes[:1]], where="case 1")
    assert single["anterior_intensity_mean"] == pytest.approx(inside.mean())
    assert list(single) == list(feature_definitions(alone))
    with pytest.raises(ValueError, match="an image has not the channels t1, t2"):
        measure_case([Volume(mask, GRID)], spec, [planes[:1]], where="case 1")


def test_intensities_have_the_unit_of_their_channel():
    spec = Measurements(kind="regions", images=[""], structures={"lesion": 1}, intensity=True, channels=["CT", "PET"])
    known = feature_definitions(spec, ["HU", "SUVbw"])
    kinds = ("CT_lesion_intensity_mean", "PET_lesion_intensity_mean", "CT_lesion_intensity_variance")
    assert [known[name].unit for name in kinds] == ["HU", "SUVbw", "HU2"]
    assert known["lesion_volume_ml"].unit == "ml"
    assert feature_definitions(spec)["CT_lesion_intensity_mean"].unit == ""


def test_a_structure_that_a_channel_did_not_wholly_see_has_no_intensity_there():
    spec = Measurements(
        kind="regions", images=[""], structures={"a": 1, "b": 2}, intensity=True, texture=True, channels=["t1", "t2"]
    )
    mask = np.zeros((1, 6, 24, 24), np.uint8)
    mask[0, 1:3, 5:9, 5:9], mask[0, 1:3, 15:19, 5:9] = 1, 2
    values = np.random.default_rng(0).normal(100, 10, (1, 6, 24, 24))
    part = values.copy()
    part[:, :, 18:] = np.nan
    found = measure_case([Volume(mask, GRID)], spec, [[Volume(values, GRID), Volume(part, GRID)]], where="c")
    assert found["t2_a_intensity_mean"] == pytest.approx(found["t1_a_intensity_mean"])
    assert np.isfinite(found["t1_b_glcm_contrast"])
    assert np.isnan(found["t2_b_intensity_mean"])
    assert np.isnan(found["t2_b_glcm_contrast"])


def test_names_that_would_mean_two_things_are_refused():
    with pytest.raises(ValidationError, match="two measurements would be called t1_ce_core_"):
        Measurements(
            kind="regions",
            images=[""],
            structures={"core": 1, "ce_core": 2},
            intensity=True,
            channels=["t1", "t1_ce"],
        )


def test_intensity_needs_the_images():
    spec = Measurements(kind="regions", images=[""], structures={"lesion": 1}, intensity=True)
    with pytest.raises(ValueError, match="1 masks and 0 images for 1 names"):
        measure_case([heart(5)], spec, where="case 1")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"structures": {"rv": 1, "lv": 3}}, "a heart has the structures rv, myocardium, lv"),
        ({"images": ["ES", "ED"]}, "ED and ES, in this order"),
        ({"structures": {"rv": 1, "myocardium": 1, "lv": 3}}, "two structures have one number"),
        ({"intensity": True}, "by its masks alone"),
    ],
)
def test_impossible_settings_are_refused(changes, says):
    with pytest.raises(ValidationError, match=says):
        Measurements(**{"kind": "heart", "images": ["ED", "ES"], "structures": HEART, **changes})
