"""Looks at pixels: what is blurred, grainy, cut off or written over, against training images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from semeion.cohort.image import Image
from semeion.model.gate_image import (
    FEWEST_PATIENTS,
    array_remarks,
    looks_of,
    pictures_of,
    text_remarks,
    training_looks,
)
from semeion.model.manifest_inputs import Looks


def scan(seed: int, side: int = 64) -> np.ndarray:
    """A soft blob with fine texture on an even ground: uint8 (1, side, side)."""
    random = np.random.default_rng(seed)
    y, x = np.indices((side, side)) / side - 0.5
    inside = np.exp(-(((x - random.normal(0, 0.04)) / 0.18) ** 2 + ((y - random.normal(0, 0.04)) / 0.22) ** 2))
    texture = cv2.GaussianBlur(random.normal(0, 1, (side, side)), (0, 0), 1.0)
    return np.clip(20 + 170 * inside * (1 + 0.5 * texture), 0, 255).astype(np.uint8)[None]


@pytest.fixture(scope="module")
def looks() -> Looks:
    found = training_looks([scan(k) for k in range(80)], list(range(80)), 0.0)
    assert found is not None
    return found


def codes(array: np.ndarray, looks: Looks) -> list[str]:
    return [text.split(":")[0] for text in array_remarks(array, looks)]


def test_images_of_the_same_kind_pass(looks: Looks) -> None:
    assert sum(bool(codes(scan(1000 + k), looks)) for k in range(100)) <= 2


def test_each_fault_has_its_code(looks: Looks) -> None:
    image = scan(500)
    assert codes(cv2.GaussianBlur(image[0], (0, 0), 4)[None], looks) == ["blurred"]
    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64), dtype=np.uint8)
    assert "grainy" in codes(noise, looks)
    part = cv2.resize(image[0, 24:56, 24:56], (64, 64), interpolation=cv2.INTER_LINEAR)
    assert "cropped" in codes(part[None], looks)


def test_margins_say_nothing_where_training_images_end_in_their_content() -> None:
    random = np.random.default_rng(1)
    made = [cv2.GaussianBlur(random.integers(0, 256, (64, 64)).astype(np.uint8), (0, 0), 2)[None] for _ in range(60)]
    found = training_looks(made, range(60), None)
    assert found is not None and found.edge is None and found.text is None


def test_few_patients_set_no_limit() -> None:
    few = [scan(k) for k in range(2 * FEWEST_PATIENTS)]
    assert training_looks(few, [k % (FEWEST_PATIENTS - 1) for k in range(len(few))], None) is None
    assert training_looks([], [], None) is None
    assert array_remarks(few[0], None) == []


def test_an_image_of_one_value_has_no_looks(looks: Looks) -> None:
    assert np.isnan(looks_of(np.zeros((1, 16, 16), np.uint8))).all()
    assert array_remarks(np.zeros((1, 16, 16), np.uint8), looks) == []


def test_detail_does_not_change_with_contrast_and_slices_of_a_volume_are_looked_at() -> None:
    image = scan(3)
    assert looks_of(image)[0] == pytest.approx(looks_of(image // 2)[0], abs=0.1)
    volume = np.repeat(image[:, None], 9, axis=1)
    assert looks_of(volume) == pytest.approx(looks_of(image))


def test_writing_is_told_where_training_pictures_have_none(looks: Looks) -> None:
    pixels = np.full((240, 320), 40, np.uint8)
    cv2.putText(pixels, "LEFT BREAST", (20, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
    image = Image(pixels[..., None], "grey", 0, 255, 8, "png")
    assert [text.split(":")[0] for text in text_remarks(image, looks)] == ["burned-in-text"]
    assert text_remarks(image, looks.model_copy(update={"text": 0.4})) == []
    assert text_remarks(Image(np.full((240, 320, 1), 40, np.uint8), "grey", 0, 255, 8, "png"), looks) == []


def test_several_pictures_of_a_case_are_looked_at_each_for_itself() -> None:
    views = np.concatenate([scan(1), scan(2)])
    assert [one.tolist() for one in pictures_of(views, 2)] == [scan(1).tolist(), scan(2).tolist()]
    assert len(pictures_of(views, 1)) == 1
    volume = np.zeros((2, 4, 8, 8), np.uint8)
    assert [one.shape for one in pictures_of(volume, 2)] == [volume.shape]
