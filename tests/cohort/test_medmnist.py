"""MedMNIST archives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.cohort.cohort import CohortOptions, Target
from semeion.cohort.gather import gather
from semeion.cohort.medmnist import NAMES
from semeion.cohort.reading import read_image
from semeion.errors import InputError

RNG = np.random.default_rng(0)


def archive(path: Path, labels: int, width: int = 1, shape: tuple[int, ...] = (8, 8), **changes: Any) -> Path:
    """An archive of 24 + 8 + 8 images; `labels` classes, or `width` columns of 0 and 1."""
    arrays: dict[str, Any] = {}
    for split, n in (("train", 24), ("val", 8), ("test", 8)):
        arrays[f"{split}_images"] = RNG.integers(0, 255, (n, *shape), dtype=np.uint8)
        if width == 1:
            arrays[f"{split}_labels"] = (np.arange(n) % labels).astype(np.uint8)[:, None]
        else:
            arrays[f"{split}_labels"] = (np.arange(n)[:, None] // (1 + np.arange(width)) % 2).astype(np.uint8)
    arrays |= changes
    np.savez_compressed(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def message(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        gather(path, CohortOptions(**options))
    return str(caught.value)


def test_breastmnist_needs_no_target_and_names_its_classes(tmp_path: Path) -> None:
    cohort = gather(archive(tmp_path / "breastmnist.npz", 2))
    assert cohort.target == Target("label", "binary", ("normal or benign", "malignant"), "malignant", cohort.target.why)
    assert cohort.table["case_id"].is_unique
    assert cohort.table["case_id"].tolist()[24] == "val-0"
    assert cohort.table["split"].value_counts().to_dict() == {"train": 24, "val": 8, "test": 8}
    assert (cohort.has_patients, cohort.has_split, cohort.source) == (False, True, "breastmnist")
    assert cohort.table["y"].tolist()[:2] == [1.0, 0.0]
    assert cohort.table["image"].iloc[17] == f"{tmp_path}/breastmnist.npz#train_images[17]"
    assert read_image(cohort.table["image"].iloc[39]).pixels.shape == (8, 8, 1)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"chestmnist", "retinamnist", "phantoms"}))
def test_every_data_set_has_names(tmp_path: Path, name: str) -> None:
    known = NAMES[name]
    cohort = gather(archive(tmp_path / f"{name}_64.npz", len(known), shape=(8, 8, 3)))
    assert set(cohort.target.classes) == set(known)
    if len(known) > 2:
        assert cohort.target.classes == known
    assert cohort.source == name


def test_retinamnist_is_ordinal(tmp_path: Path) -> None:
    target = gather(archive(tmp_path / "retinamnist.npz", 5)).target
    assert (target.task, target.classes) == ("ordinal", ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"))


def test_chestmnist_is_multilabel(tmp_path: Path) -> None:
    cohort = gather(archive(tmp_path / "chestmnist.npz", 2, width=14))
    assert (cohort.target.name, cohort.target.task, len(cohort.target.classes)) == ("label", "multilabel", 14)
    assert cohort.target.classes[0] == "atelectasis"
    assert cohort.table["y.hernia"].notna().all()


def test_another_archive_in_the_layout_keeps_its_codes(tmp_path: Path) -> None:
    path = archive(tmp_path / "mine.npz", 3)
    assert gather(path).target.classes == ("0", "1", "2")
    named = gather(path, CohortOptions(labels={"0": "a", "1": "b", "2": "c"}, target="organ"))
    assert (named.target.name, named.target.classes) == ("organ", ("a", "b", "c"))


def test_its_split_can_be_ignored(tmp_path: Path) -> None:
    assert not gather(archive(tmp_path / "breastmnist.npz", 2), CohortOptions(no_split=True)).has_split


def test_phantoms_say_that_they_are(tmp_path: Path) -> None:
    cohort = gather(archive(tmp_path / "phantoms.npz", 2))
    assert cohort.synthetic
    assert cohort.target.positive == "malignant"
    assert "synthetic" in cohort.notes[-1]


def test_archives_of_volumes_are_told_by_their_shape(tmp_path: Path) -> None:
    cohort = gather(archive(tmp_path / "nodulemnist3d.npz", 2, shape=(9, 9, 9)))
    assert (cohort.images.kind, cohort.target.positive) == ("volume", "malignant")
    assert gather(archive(tmp_path / "colour.npz", 2, shape=(9, 9, 3))).images.kind == "picture"


def test_what_is_no_archive(tmp_path: Path) -> None:
    odd = archive(tmp_path / "organmnist3d.npz", 2, shape=(2, 9, 9, 9))
    assert "holds images of shape 2 x 9 x 9 x 9, which are neither pictures nor volumes" in message(odd)
    np.savez(tmp_path / "other.npz", a=np.zeros(3), b=np.zeros(3))
    assert "is no MedMNIST archive: it holds a, b; give an npz with train_images" in message(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("hello")
    assert "is no npz archive" in message(tmp_path / "text.npz")
    short = archive(tmp_path / "short.npz", 2, train_labels=np.zeros((3, 1), np.uint8))
    assert "has 24 images, and labels of shape (3, 1) and type uint8" in message(short)
    uneven = archive(tmp_path / "uneven.npz", 2, val_labels=np.zeros((8, 2), np.uint8))
    assert "its splits have different numbers of labels" in message(uneven)
    objects = archive(tmp_path / "objects.npz", 2, train_labels=np.array([{}] * 24, dtype=object))
    assert "holds Python objects or records, which are never loaded" in message(objects)
    assert "--group site names a column" in message(archive(tmp_path / "g.npz", 2), group="site")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "counts", "positive"),
    [
        ("breastmnist", {"train": 546, "val": 78, "test": 156}, "malignant"),
        ("pneumoniamnist", {"train": 4708, "val": 524, "test": 624}, "pneumonia"),
    ],
)
def test_real_archives(data: Path, name: str, counts: dict[str, int], positive: str) -> None:
    cohort = gather(data / name / f"{name}.npz")
    assert cohort.table["split"].value_counts().to_dict() == counts
    assert cohort.target.positive == positive
    with np.load(data / name / f"{name}.npz") as arrays:
        coded = (arrays["test_labels"][:, 0] == NAMES[name].index(positive)).astype(float)
    np.testing.assert_array_equal(cohort.table.loc[cohort.table["split"] == "test", "y"], coded)
