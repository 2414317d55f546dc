"""What ships of training images: what five patients share, of headers where nearly every case says it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from semeion.cohort.image import Image
from semeion.model.gate import remarks
from semeion.model.manifest_inputs import Inputs
from semeion.study.inputs_seen import header_inputs, seen_sizes, told_share, training_intensity, usual_span


def seen(**columns) -> tuple[pd.DataFrame, pd.Series]:
    n = len(next(iter(columns.values())))
    return pd.DataFrame(columns), pd.Series([f"p{row}" for row in range(n)])


def test_words_of_nearly_every_case_ship():
    facts, patients = seen(
        body_part=["breast"] * 38 + ["chest breast"] + [""],
        laterality=["left"] * 39 + ["right"],
        bits=pd.array([8] * 39 + [12], dtype="Int64"),
        blank=[False] * 38 + [True] * 2,
    )
    # Two pictures of two patients are told as those of five, and the twelve bits of one are nobody's.
    expected = {"modality": [], "body_part": ["breast"], "laterality": ["left"], "bits": (8, 8), "blank": 0.12}
    assert header_inputs(facts, patients) == expected


def test_a_modality_of_fewer_than_five_patients_is_not_named():
    facts, patients = seen(modality=["US"] * 196 + ["DOE^JANE"] * 4)
    assert header_inputs(facts, patients)["modality"] == ["US"]
    # Most pictures say none: those that do are enough, and where they say different things it counts for nothing.
    facts, patients = seen(modality=[None] * 30 + ["US"] * 6)
    assert header_inputs(facts, patients)["modality"] == ["US"]
    facts, patients = seen(modality=["US"] * 6 + ["MG"] * 4)
    assert header_inputs(facts, patients)["modality"] == []


@pytest.mark.parametrize(("marked", "share"), [(0, 0.0), (1, 0.1), (4, 0.1), (5, 0.1), (6, 0.12), (47, 0.9), (50, 1.0)])
def test_shares_do_not_tell_of_fewer_than_five(marked, share):
    flags = np.arange(50) < marked
    assert told_share(flags, np.arange(50).astype(object)) == share
    assert told_share(flags[:4], np.arange(4).astype(object)) is None


def test_headers_that_are_wrong_too_often_are_held_against_nobody():
    wrong = ["abdomen", "abdomen", "hand", "hand", "knee", "knee"]
    facts, patients = seen(body_part=["chest"] * 34 + wrong)
    assert header_inputs(facts, patients)["body_part"] == []
    # Words of several parts count where one of them is known.
    facts, patients = seen(body_part=["chest"] * 34 + ["abdomen chest"] * 3 + ["chest neck"] * 3)
    assert header_inputs(facts, patients)["body_part"] == ["chest"]


def test_what_many_do_not_say_is_not_known():
    facts, patients = seen(body_part=["breast"] * 15 + [""] * 5, laterality=["left"] * 20)
    assert header_inputs(facts, patients)["body_part"] == []
    # Twenty images of four patients are four.
    assert header_inputs(facts, pd.Series([f"p{row % 4}" for row in range(20)]))["laterality"] == []


def test_orientation_counts_where_volumes_are_taken_as_stored():
    facts, patients = seen(orientation=["LPS"] * 10, size_k=[3] * 10, bits=[""] * 10)
    assert header_inputs(facts, patients) == {"modality": [], "body_part": [], "laterality": []}
    assert header_inputs(facts, patients, stored=True)["orientation"] == ["LPS"]
    nothing = {"modality": [], "body_part": [], "laterality": []}
    assert header_inputs(pd.DataFrame(), pd.Series([], dtype=object)) == nothing


def names(n: int) -> list[str]:
    return [f"p{row}" for row in range(n)]


def span_of(values, **more):
    return usual_span(values, names(len(values)), **more)


@pytest.mark.parametrize("sizes", [False, True])
@pytest.mark.parametrize("n", [20, 40, 200, 900])
def test_up_to_four_patients_at_either_end_do_not_move_it(n, sizes):
    values = np.sort(np.random.default_rng(n).lognormal(6, 0.4, n))
    values[:4] /= 50
    values[-4:] *= 50
    told = span_of(values, sizes=sizes)
    assert values[3] < told[0] < told[1] < values[-4]
    for count in (1, 4):
        far = values.copy()
        far[:count] /= np.linspace(50, 60, count)
        far[-count:] *= np.linspace(50, 60, count)
        assert span_of(far, sizes=sizes) == told
    assert not set(told) & set(values.tolist())


@pytest.mark.parametrize("n", [40, 80])
def test_few_patients_of_the_same_kind_lie_outside(n):
    random = np.random.default_rng(1)
    outside = []
    for _ in range(50):
        low, high = span_of(random.lognormal(6, 0.4, n), sizes=True)
        new = random.lognormal(6, 0.4, 2000)
        outside.append(float(((new < low) | (new > high)).mean()))
    # The fifth from each end alone would leave out ten patients of n: a quarter of 40.
    assert np.mean(outside) < 0.08


def test_a_span_of_few_patients_is_told_where_all_are_alike():
    assert span_of([512.0] * 5, sizes=True) == (512.0, 512.0)
    assert span_of([512.0] * 4, sizes=True) is None
    assert span_of([512.0] * 18 + [600.0], sizes=True) is None
    assert span_of([512.0] * 19 + [600.0], sizes=True) == (512.0, 512.0)
    # Two hundred images of four patients are four.
    assert usual_span(np.arange(200.0), [f"p{row % 4}" for row in range(200)]) is None
    assert span_of([np.nan] * 30) is None


def test_sizes_are_whole_and_of_each_axis():
    random = np.random.default_rng(0)
    pictures = pd.DataFrame({"rows": random.integers(300, 600, 100), "cols": [400] * 100})
    told = seen_sizes(pictures, names(100))["size_seen"]
    assert told["cols"] == (400, 400)
    assert 250 < told["rows"][0] < 330 and 580 < told["rows"][1] < 700
    grid = {"size_i": [64] * 5, "size_j": [64] * 5, "size_k": [20] * 5}
    spacing = {"spacing_i": [0.7] * 5, "spacing_j": [0.7] * 5, "spacing_k": [3.0] * 5}
    volumes = pd.DataFrame(grid | spacing)
    expected = {"spacing": ((0.7, 0.7), (0.7, 0.7), (3.0, 3.0)), "size": ((64, 64), (64, 64), (20, 20))}
    assert seen_sizes(volumes, names(5)) == {"volumes_seen": expected}
    assert seen_sizes(volumes.iloc[:4], names(4)) == {}


def test_training_images_are_not_far_in_brightness():
    images = np.random.default_rng(0).integers(0, 200, (50, 1, 16, 16), dtype=np.uint8)
    seen_there = training_intensity(images, names(50))
    assert 0 <= seen_there["low"] < seen_there["mean_low"] <= seen_there["mean_high"] < seen_there["high"] <= 200 / 255
    inputs = Inputs(photometry="grey", intensity=seen_there)
    picture = Image(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), "grey", 0, 255, 8, "png")
    assert all(not remarks(picture, image, inputs) for image in images)
    assert training_intensity(images, ["one"] * 50) is None


def test_a_white_picture_of_one_patient_is_not_told():
    images = np.random.default_rng(0).integers(0, 200, (60, 1, 16, 16), dtype=np.uint8)
    with_white = images.copy()
    with_white[:3] = 255
    assert training_intensity(with_white, names(60)) == pytest.approx(training_intensity(images, names(60)), abs=0.02)


def test_brightness_of_several_pictures_is_that_of_each_as_in_use():
    dark, bright = (np.full((20, 1, 8, 8), level, np.uint8) for level in (50, 200))
    told = training_intensity(np.concatenate([dark, bright], axis=1), names(20), images=2)
    assert told["mean_low"] == pytest.approx(50 / 255, abs=1e-3)
    assert told["mean_high"] == pytest.approx(200 / 255, abs=1e-3)
    volumes = training_intensity(np.stack([dark, bright], axis=2), names(20), images=2)
    assert volumes["mean_low"] == volumes["mean_high"] == pytest.approx(125 / 255, abs=1e-6)
