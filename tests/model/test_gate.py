from __future__ import annotations

import numpy as np
import pytest

from semeion.cohort.image import Image
from semeion.cohort.volume import Grid, Volume
from semeion.model.codes import CODES, effect_of
from semeion.model.gate import brightness, remarks, volume_remarks
from semeion.model.manifest import Inputs, Intensity, SizeSeen
from semeion.prepare.spec import Preparation
from semeion.prepare.volume import unstated_units
from semeion.prepare.volume_spec import VolumePreparation

SEEN = Inputs(
    photometry="grey",
    modality=["US"],
    intensity=Intensity(low=0.0, high=1.0, mean_low=0.3, mean_high=0.5),
    size_seen=SizeSeen(rows=(200, 400), cols=(300, 600)),
)


def picture(level: int = 100, rows: int = 300, cols: int = 400, **change) -> Image:
    pixels = np.full((rows, cols, 1), level, np.uint8)
    pixels[: rows // 2] = 0
    return Image(pixels, **({"photometry": "grey", "low": 0, "high": 255, "bits": 8, "source_format": "png"} | change))


def prepared(level: int = 100) -> np.ndarray:
    return np.full((1, 8, 8), level, np.uint8)


def codes(*args) -> list[str]:
    found = remarks(*args)
    names = [text.split(":")[0] for text in found]
    assert set(names) <= set(CODES)
    assert all(";" not in text for text in found)
    return names


def test_an_image_like_the_training_images_has_no_remark():
    assert codes(picture(), prepared(), SEEN) == []
    assert codes(picture(modality="US"), prepared(), SEEN) == []


def test_each_difference_has_its_code():
    assert codes(picture(photometry="colour"), prepared(), SEEN) == ["colour-into-grey"]
    assert codes(picture(), prepared(), SEEN.model_copy(update={"photometry": "colour"})) == ["grey-into-colour"]
    assert codes(picture(modality="CT"), prepared(), SEEN) == ["modality-differs"]
    assert codes(picture(), prepared(), SEEN.model_copy(update={"unit": "HU"})) == ["unit-differs"]
    assert codes(picture(), prepared(250), SEEN) == ["intensity-far"]
    assert codes(picture(rows=99), prepared(), SEEN) == ["size-far"]
    assert codes(picture(cols=1201), prepared(), SEEN) == ["size-far"]
    assert codes(picture(rows=1, cols=1), prepared(0), SEEN) == ["blank-image", "size-far"]
    assert codes(picture(modality="OT"), prepared(), SEEN) == ["modality-unstated"]
    parts = SEEN.model_copy(update={"body_part": ["breast"], "laterality": ["left"], "bits": (8, 8)})
    assert codes(picture(body_part="BREAST", laterality="L"), prepared(), parts) == []
    assert codes(picture(body_part="CHEST"), prepared(), parts) == ["body-part-differs"]
    assert codes(picture(laterality="R"), prepared(), parts) == ["laterality-differs"]
    assert codes(picture(bits=12), prepared(), parts) == ["bits-differ"]


def test_kinds_of_radiograph_are_one_modality():
    seen = SEEN.model_copy(update={"modality": ["DX"]})
    assert codes(picture(modality="CR"), prepared(), seen) == []
    assert codes(picture(modality="MG"), prepared(), seen) == ["modality-differs"]


def test_another_unit_forbids_a_call_where_the_window_is_fixed():
    seen = SEEN.model_copy(update={"unit": "HU"})
    steps = Preparation(intensity="window", window=(-100.0, 300.0))
    assert codes(picture(), prepared(), seen, steps) == ["unit-unusable"]
    assert effect_of("unit-unusable") == "not_applicable"
    assert codes(picture(), prepared(), seen, Preparation(intensity="percentiles")) == ["unit-differs"]
    # What a bit means depends on the preparation too.
    deep = SEEN.model_copy(update={"bits": (8, 8)})
    assert codes(picture(bits=12), prepared(), deep, Preparation(intensity="percentiles")) == []


def test_names_of_people_in_a_header_stay_there():
    seen = SEEN.model_copy(update={"body_part": ["breast"]})
    said = remarks(picture(modality="DOE^JANE", body_part="DOE^JANE", laterality="DOE"), prepared(), seen)
    assert said == ("modality-unstated: no modality that is known, trained on US",)


def test_an_image_that_shows_next_to_nothing_is_blank():
    almost = np.zeros((300, 400, 1), np.uint8)
    almost[:10, :10] = 200
    assert codes(Image(almost, "grey", 0, 255, 8, "png"), prepared(), SEEN) == ["blank-image"]
    almost[:60, :60] = 200
    assert codes(Image(almost, "grey", 0, 255, 8, "png"), prepared(), SEEN) == []


def test_a_volume_is_held_against_its_orientation_where_it_is_taken_as_stored():
    volume = Volume(np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2), Grid((2, 2, 2), (1, 1, 1)))
    seen = Inputs(modality=["MR"], orientation=["RAS"], body_part=["head"])
    assert volume_remarks([volume], (), seen) == ("orientation-differs: LPS, trained on RAS",)
    assert volume_remarks([volume], (), seen.model_copy(update={"orientation": ["LPS"]})) == ()
    other = Volume(volume.voxels, volume.grid, modality="CT", body_part="ABDOMEN")
    assert [text.split(":")[0] for text in volume_remarks([other], (), seen)[:2]] == [
        "modality-differs",
        "body-part-differs",
    ]


def test_the_text_says_what_was_seen_and_what_was_expected():
    text = remarks(picture(rows=28, cols=28, modality="CT"), prepared(250), SEEN)
    assert text == (
        "modality-differs: CT, trained on US",
        "intensity-far: mean 0.98 of the grey scale, trained on 0.30 to 0.50",
        "size-far: 28 x 28 pixels, trained on 200 x 300 to 400 x 600",
    )


@pytest.mark.parametrize(("level", "far"), [(51, False), (50, True), (153, False), (154, True)])
def test_the_margin_is_wide(level, far):
    assert bool(codes(picture(), prepared(level), SEEN)) == far


def test_without_facts_there_is_nothing_to_compare():
    assert codes(picture(rows=28, cols=5000), prepared(255), Inputs(photometry="grey")) == []


def test_brightness_is_the_mean_as_a_share_of_the_grey_scale():
    images = np.random.default_rng(0).integers(0, 200, (50, 1, 16, 16), dtype=np.uint8)
    assert brightness(images).shape == (50,)
    assert brightness(images[0]) == pytest.approx(images[0].mean() / 255)


@pytest.mark.parametrize(
    ("trained", "said"),
    [
        # Training volumes of which some stated no unit, and a plan that takes all as HU.
        (None, ("unit-differs: image states no unit, read as HU", "corrected: gantry-tilt: 12 degrees")),
        ("HU", ("unit-differs: no unit, trained on HU", "corrected: gantry-tilt: 12 degrees")),
    ],
)
def test_a_volume_without_the_unit_that_the_plan_demands_is_said_once(trained, said):
    volume = Volume(np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2), Grid((2, 2, 2), (1, 1, 1)))
    inputs = SEEN.model_copy(update={"unit": trained, "modality": []})
    notes = [*unstated_units([volume], VolumePreparation(units=["HU"])), "gantry-tilt: 12 degrees"]
    assert volume_remarks([volume], notes, inputs) == said
    bare = SEEN.model_copy(update={"unit": None, "modality": []})
    assert volume_remarks([volume], unstated_units([volume], VolumePreparation()), bare) == ()


@pytest.mark.parametrize("trained", [["OT"], ["SC", "XC"]])
def test_training_images_that_do_not_say_how_they_were_acquired_refuse_no_modality(trained: list[str]):
    seen = SEEN.model_copy(update={"modality": trained})
    assert codes(picture(modality="US"), prepared(), seen) == []
    assert codes(picture(modality="OT"), prepared(), seen) == []
    mixed = SEEN.model_copy(update={"modality": ["OT", "US"]})
    assert codes(picture(modality="CT"), prepared(), mixed) == ["modality-differs"]


def test_a_nearly_empty_picture_is_blank_only_where_training_pictures_are_not():
    dot = picture()
    dot.pixels[:] = 0
    dot.pixels[:5, :5] = 200
    assert codes(dot, prepared(), SEEN) == ["blank-image"]
    assert codes(dot, prepared(), SEEN.model_copy(update={"blank": 0.01})) == ["blank-image"]
    assert codes(dot, prepared(), SEEN.model_copy(update={"blank": 0.2})) == []
    dot.pixels[:] = 0
    assert codes(dot, prepared(), SEEN.model_copy(update={"blank": 0.2})) == ["blank-image"]
