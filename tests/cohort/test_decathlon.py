"""Decathlon and nnU-Net data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from semeion.cohort.decathlon import read_dataset
from semeion.errors import InputError

LABELS = {"0": "background", "1": "Anterior", "2": "Posterior"}


def write(folder: Path, facts: Any, *files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "dataset.json").write_text(facts if isinstance(facts, str) else json.dumps(facts))
    return folder


def message(folder: Path, facts: Any, *files: str) -> str:
    with pytest.raises(InputError) as caught:
        read_dataset(write(folder, facts, *files))
    return str(caught.value)


def listing(*names: str) -> list[dict[str, str]]:
    return [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]


def test_decathlon_lists_its_cases(tmp_path: Path) -> None:
    facts = {"name": "Hippocampus", "labels": LABELS, "modality": {"0": "MRI"}, "test": ["./imagesTs/9.nii.gz"]}
    facts["training"] = listing("h_001.nii.gz", "h_003.nii.gz")
    folder = write(tmp_path, facts, "imagesTr/h_001.nii.gz", "imagesTr/h_003.nii.gz")
    found = read_dataset(folder / "dataset.json")
    assert found.table["image"].tolist() == [f"{tmp_path}/imagesTr/h_00{n}.nii.gz" for n in (1, 3)]
    assert found.table["mask"].tolist()[1] == f"{tmp_path}/labelsTr/h_003.nii.gz"
    assert found.table["case_id"].tolist() == ["1", "2"]
    assert (found.labels, found.channels, found.name) == ({"1": "Anterior", "2": "Posterior"}, ("MRI",), "Hippocampus")
    assert found.notes == ("1 test images of dataset.json have no mask and are left out.",)
    assert read_dataset(folder).table.equals(found.table)


def test_nnunet_finds_its_cases_by_name(tmp_path: Path) -> None:
    facts = {
        "labels": {"background": 0, "lesion": 1},
        "channel_names": {"0": "FLAIR", "1": "T1"},
        "file_ending": ".nii.gz",
        "numTraining": 2,
    }
    images = [f"imagesTr/p{case}_000{channel}.nii.gz" for case in (1, 2) for channel in (0, 1)]
    found = read_dataset(write(tmp_path, facts, *images, "labelsTr/p1.nii.gz", "labelsTr/p2.nii.gz"))
    assert list(found.table.columns) == ["case_id", "image.FLAIR", "image.T1", "mask"]
    assert found.table["image.T1"].tolist()[1] == f"{tmp_path}/imagesTr/p2_0001.nii.gz"
    assert found.labels == {"1": "lesion"}


def test_the_first_nnunet_lists_names_without_their_channel(tmp_path: Path) -> None:
    facts = {"labels": LABELS, "modality": {"0": "T1", "1": "T2"}, "training": listing("a.nii.gz")}
    found = read_dataset(write(tmp_path, facts, "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz"))
    assert found.table["image.T2"].tolist() == [f"{tmp_path}/imagesTr/a_0001.nii.gz"]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ("{", "is no JSON that can be read"),
        ([1], "names no labels"),
        ({"labels": {}}, "'labels' holds no labels"),
        ({"labels": {"whole": [1, 2], "background": 0}}, "the label 'whole' is a region of several integers"),
        ({"labels": {"background": 0}}, "names nothing but the background"),
        ({"labels": {"background": 0, "a": 1, "ignore": 2}}, "an 'ignore' label"),
        ({"labels": {"background": 0, "a": "x1"}}, "correct labels in dataset.json"),
        ({"labels": {"1": "a", "01": "b"}}, "the label 1 is named twice"),
        ({"labels": LABELS, "modality": {"0": "T1", "1": "T1"}}, "two channels are called 'T1'"),
        ({"labels": LABELS, "training": [{"image": "./i/1.nii"}]}, "training[0] names no image and label"),
        ({"labels": LABELS, "training": listing("../../x.nii")}, "training[0] names a path outside the folder"),
        (
            {"labels": LABELS, "training": [{"image": "/etc/passwd", "label": "a"}]},
            "training[0] names a path outside the folder",
        ),
        ({"labels": LABELS, "training": []}, "names no training case"),
        ({"labels": LABELS}, "there is no folder 'imagesTr'"),
        ({"labels": LABELS, "file_ending": "../x"}, "file_ending '../x' is no suffix"),
    ],
)
def test_what_is_refused(tmp_path: Path, facts: Any, words: str) -> None:
    assert words in message(tmp_path / "d", facts)


def test_links_do_not_lead_outside(tmp_path: Path) -> None:
    (tmp_path / "secret.nii.gz").write_bytes(b"x")
    folder = write(tmp_path / "d", {"labels": LABELS, "training": listing("a.nii.gz")}, "labelsTr/a.nii.gz")
    (folder / "imagesTr").mkdir()
    (folder / "imagesTr" / "a.nii.gz").symlink_to(tmp_path / "secret.nii.gz")
    with pytest.raises(InputError, match="leads outside the folder by a link"):
        read_dataset(folder)


def test_a_mask_without_image_and_a_missing_channel(tmp_path: Path) -> None:
    facts = {"labels": {"background": 0, "a": 1}, "channel_names": {"0": "T1", "1": "T2"}}
    files = ["imagesTr/p1_0000.nii.gz", "imagesTr/p1_0001.nii.gz", "imagesTr/p2_0000.nii.gz"]
    masks = ["labelsTr/p1.nii.gz", "labelsTr/p2.nii.gz"]
    text = message(tmp_path / "a", facts, *files, *masks)
    assert "labelsTr[1] have another number of files than the first case" in text
    text = message(tmp_path / "b", facts, *files[:2], *masks)
    assert "mask p2.nii.gz of labelsTr have no image <case>_0000.nii.gz in imagesTr" in text
