"""Folders of class folders."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from semeion.cohort.cohort import CohortOptions
from semeion.cohort.gather import gather
from semeion.errors import InputError

PNG = cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()


def grow(folder: Path, *names: str, content: bytes = PNG) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def message(folder: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        gather(folder, CohortOptions(**options))  # type: ignore[arg-type]
    return str(caught.value)


def test_classes_are_folders(tmp_path: Path) -> None:
    cohort = gather(grow(tmp_path / "brain", "yes/1.png", "yes/deep/2.png", "no/1.png"))
    assert (cohort.target.name, cohort.target.classes, cohort.target.positive) == ("class", ("no", "yes"), "yes")
    assert cohort.table["case_id"].tolist() == ["1", "2", "3"]
    assert cohort.table["y"].tolist() == [0.0, 1.0, 1.0]
    assert cohort.table["image"].tolist()[1] == str(tmp_path / "brain" / "yes" / "1.png")
    assert (cohort.has_split, cohort.has_patients, cohort.source) == (False, False, "brain")
    assert [(step.step, step.n_cases) for step in cohort.flow] == [("files found", 3), ("images of a class", 3)]
    assert cohort.notes == ()


def test_splits_may_stand_above_classes(tmp_path: Path) -> None:
    names = [f"{split}/{name}/{n}.jpg" for split in ("train", "valid", "test") for name in "ab" for n in range(2)]
    cohort = gather(grow(tmp_path, *names))
    assert cohort.has_split
    assert cohort.table["split"].value_counts().to_dict() == {"train": 4, "val": 4, "test": 4}
    assert cohort.target.classes == ("a", "b")
    assert not gather(tmp_path, CohortOptions(no_split=True)).has_split


def test_files_that_are_no_case_are_listed(tmp_path: Path) -> None:
    grow(tmp_path, "yes/1.png", "no/1.png", "no/2", "loose.png", ".git/x.png", "yes/.DS_Store", "no/Thumbs.db")
    grow(tmp_path, "no/readme.txt", "LICENSE", content=b"text")
    cohort = gather(tmp_path)
    assert len(cohort.table) == 3
    unmatched = next(note for note in cohort.notes if "no case" in note)
    for name in ("loose.png", "LICENSE", "no/readme.txt"):
        assert name in unmatched
    assert "3 files are no case" in unmatched
    assert any("3 hidden files are left alone" in note for note in cohort.notes)
    assert [step.n_cases for step in cohort.flow] == [6, 3]
    assert cohort.flow[1].reason == "3 files are no image of a class"


def test_a_target_option_names_the_target(tmp_path: Path) -> None:
    grow(tmp_path, "yes/1.png", "no/1.png")
    assert gather(tmp_path, CohortOptions(target="tumour")).target.name == "tumour"


def test_labels_and_positive_apply_to_folders(tmp_path: Path) -> None:
    grow(tmp_path, "A/1.png", "B/1.png")
    cohort = gather(tmp_path, CohortOptions(labels={"A": "left", "B": "right"}, positive="left"))
    assert cohort.target.classes == ("right", "left")


def test_a_misspelt_folder_is_found(tmp_path: Path) -> None:
    grow(
        tmp_path, *[f"benign/{n}.png" for n in range(12)], *[f"malignant/{n}.png" for n in range(9)], "malignent/1.png"
    )
    text = message(tmp_path)
    assert "class 'malignent' in file malignent/1.png (1 of 22 cases) is probably 'malignant' misspelt" in text


def test_what_is_no_tree(tmp_path: Path) -> None:
    assert "holds no folders, and a class a folder is expected" in message(grow(tmp_path / "a", "1.png"))
    assert "its class folders hold no images" in message(grow(tmp_path / "b", "x/1.txt", "y/2.txt", content=b"t"))
    assert "its splits hold no class folders with images" in message(grow(tmp_path / "c", "train/1.png", "test/2.png"))
    assert "class has one class only" in message(grow(tmp_path / "d", "yes/1.png"))
    assert "holds a table (cases.csv)" in message(grow(tmp_path / "e", "images/1.png", "masks/1.png", "cases.csv"))
    assert "is no JSON that can be read" in message(grow(tmp_path / "f", "imagesTr/1.x", "dataset.json"))


def test_options_of_tables_are_refused(tmp_path: Path) -> None:
    grow(tmp_path, "yes/1.png", "no/1.png")
    text = message(tmp_path, group="patient", covariates=("age",))
    assert "--group patient names a column, and a folder of class folders has none" in text
    assert "--covariates age names a column" in text


@pytest.mark.real_data
def test_real_brain_tumours(data: Path) -> None:
    cohort = gather(data / "brain_tumor_yesno")
    assert cohort.target.positive == "yes"
    assert cohort.table["class"].value_counts().to_dict() == {"yes": 155, "no": 98}
    assert "LICENSE-repo" in cohort.notes[0]
