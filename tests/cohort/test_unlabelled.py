"""A folder of images without labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from cohort.test_tree import grow
from semeion.cohort import unlabelled
from semeion.cohort.unlabelled import find_images
from semeion.errors import InputError


def test_images_are_found_at_any_depth_and_the_rest_is_counted(tmp_path: Path) -> None:
    grow(tmp_path, "b.png", "deep/er/a.jpg", "deep/nosuffix", "v.nii.gz", ".hidden/x.png", ".y.png", "Thumbs.db")
    grow(tmp_path, "notes.txt", "table.csv", "noidea", content=b"text")
    found = find_images(tmp_path)
    assert [Path(file).name for file in found.files] == ["b.png", "a.jpg", "nosuffix", "v.nii.gz"]
    assert found.others == 3


def test_what_is_no_folder_of_images_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(tmp_path / "texts", "a.txt", "b.csv", content=b"text")
    grow(tmp_path / "full", "a.png", "b.png", "c.png")
    (tmp_path / "empty").mkdir()
    for name, says in (
        ("nowhere", "there is no folder"),
        ("texts/a.txt", "is a file; give the folder"),
        ("empty", "is empty; give a folder with images"),
        ("texts", "holds 2 files and no image"),
    ):
        with pytest.raises(InputError, match=says) as caught:
            find_images(tmp_path / name)
        assert caught.value.where == "--unlabelled"
    monkeypatch.setattr(unlabelled, "LISTED", 2)
    with pytest.raises(InputError, match="holds more than 2 files; give a folder with images alone"):
        find_images(tmp_path / "full")
