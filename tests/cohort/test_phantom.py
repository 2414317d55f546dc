"""Synthetic ultrasound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semeion.cohort.gather import gather
from semeion.cohort.phantom import BENIGN, MALIGNANT, SPLIT_COUNTS, make_phantoms, write_phantoms
from semeion.cohort.reading import read_image
from semeion.errors import InputError


def test_the_same_seed_gives_the_same_phantoms() -> None:
    images, labels = make_phantoms(12, 3)
    again, _ = make_phantoms(12, 3)
    other, _ = make_phantoms(12, 4)
    assert (images.shape, images.dtype, labels.dtype) == ((12, 64, 64), np.uint8, np.uint8)
    np.testing.assert_array_equal(images, again)
    assert not np.array_equal(images, other)
    assert len({image.tobytes() for image in images}) == 12


def test_classes_have_their_share_and_the_pictures_are_no_blanks() -> None:
    images, labels = make_phantoms(40, 0, size=(40, 56), malignant_share=0.25)
    assert images.shape == (40, 40, 56)
    assert np.bincount(labels).tolist() == [10, 30]
    assert (images.std(axis=(1, 2)) > 10).all()


def test_malignant_lesions_cast_shadows_and_benign_ones_brighten_what_lies_below() -> None:
    """One of the four signs, seen in the mean: no single image must show it."""
    images, labels = make_phantoms(240, 1, malignant_share=0.5)
    below = images[:, 46:58, 20:44].mean(axis=(1, 2)) - images.mean(axis=(1, 2))
    malignant, benign = below[labels == MALIGNANT], below[labels == BENIGN]
    assert malignant.mean() < benign.mean() - 3
    # It must not give the answer away, either: the classes overlap.
    assert np.percentile(malignant, 90) > np.percentile(benign, 10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((-1, 0), "n is -1 and seed is 0"),
        ((1, 0, (8, 64)), "size is (8, 64); give rows and columns from 28 to 512"),
        ((1, 0, (64, 64), 1.5), "malignant_share is 1.5"),
    ],
)
def test_arguments_out_of_range(arguments: tuple[int, ...], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_phantoms(*arguments)  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_a_written_cohort_is_gathered(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "phantoms.npz", size=(28, 28))
    assert [path.name for path in tmp_path.iterdir()] == ["phantoms.npz"]
    cohort = gather(tmp_path / "phantoms.npz")
    assert cohort.table["split"].value_counts().to_dict() == SPLIT_COUNTS
    assert (cohort.synthetic, cohort.target.classes) == (True, ("benign", "malignant"))
    assert 0.25 < cohort.table["y"].mean() < 0.29
    assert read_image(cohort.table["image"].iloc[-1]).pixels.shape == (28, 28, 1)
