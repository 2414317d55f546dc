"""The scan of volumes: facts of every case, and a problem in words for what does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.cohort.cohort import Cohort, Target
from semeion.cohort.roles import ImageRole
from semeion.cohort.volume import Volume
from semeion.cohort.volumes.read import read_volume
from semeion.errors import MachineError
from semeion.prepare import volume_scan as module
from semeion.prepare.volume_scan import COLUMNS, describe, scan_volumes
from support.volumes import AFFINE, blob, save_nifti

SEGMENTS = Target("mask", "segmentation", ("anterior", "posterior"), values=(1, 2))
VALUES = blob((8, 20, 24))
LABELS = np.where(VALUES > 130, 2, np.where(VALUES > 50, 1, 0)).astype(np.uint8)


def cohort(table: dict[str, list[Any]], target: Target = SEGMENTS, role: ImageRole | None = None) -> Cohort:
    frame = pd.DataFrame({"case_id": [f"c{n}" for n in range(len(next(iter(table.values()))))]} | table)
    if "image" not in frame:
        frame.insert(1, "image", frame[next(name for name in frame if name.startswith("image."))])
    return Cohort(table=frame, target=target, images=role or ImageRole("volume"))


@pytest.fixture
def image(tmp_path: Path) -> str:
    return save_nifti(tmp_path / "image.nii.gz", VALUES)


@pytest.fixture
def mask(tmp_path: Path) -> str:
    return save_nifti(tmp_path / "mask.nii.gz", LABELS)


def problem(image: str, mask: str | None, **more: Any) -> str:
    """Return the problem of a case among good ones would-be."""
    row = scan_volumes(cohort({"image": [image], "mask": [mask]}, **more)).iloc[0]
    assert row["status"] in ("missing", "unreadable")
    assert np.isnan(row["mean"])
    return str(row["problem"])


def test_the_facts_of_a_case(image: str, mask: str) -> None:
    facts = scan_volumes(cohort({"image": [image], "mask": [mask]}))
    assert tuple(facts.columns) == COLUMNS
    row = facts.iloc[0]
    assert (row["case_id"], row["status"], row["problem"], row["notes"]) == ("c0", "ok", "", "")
    assert (row["size_i"], row["size_j"], row["size_k"]) == (24, 20, 8)
    assert (row["spacing_i"], row["spacing_j"], row["spacing_k"]) == (1.5, 1.25, 4.0)
    assert (row["orientation"], row["planes"], row["source_format"]) == ("LPS", 1, "nifti")
    inside = VALUES[LABELS > 0].astype(np.float64)
    assert row["mean"] == pytest.approx(VALUES.mean(), rel=1e-5)
    assert row["std"] == pytest.approx(VALUES.std(dtype=np.float64), rel=1e-5)
    assert (row["minimum"], row["maximum"]) == (VALUES.min(), VALUES.max())
    assert row["fg_mean"] == pytest.approx(inside.mean(), rel=1e-5)
    assert row["fg_std"] == pytest.approx(inside.std(), rel=1e-5)
    assert row["fg_p005"] == pytest.approx(np.quantile(inside, 0.005), abs=2)
    assert row["mask_labels"] == "1;2"
    assert json.loads(row["mask_voxels"]) == {str(n): int((n == LABELS).sum()) for n in (1, 2)}
    assert json.loads(row["channels"])[0]["p995"] == row["p995"]
    assert bool(row["aligned"])
    assert len(row["pixel_hash"]) == 64


def test_without_a_mask_the_foreground_is_what_is_not_nought(image: str) -> None:
    facts = scan_volumes(cohort({"image": [image]}, target=Target("y", "binary", ("no", "yes"), "yes")))
    row = facts.iloc[0]
    assert row["fg_mean"] == pytest.approx(VALUES[VALUES != 0].mean(dtype=np.float64), rel=1e-5)
    assert (row["mask_labels"], row["mask_voxels"]) == ("", "")


def test_equal_voxels_have_one_hash_whatever_the_container(image: str, tmp_path: Path) -> None:
    again = save_nifti(tmp_path / "again.nii", VALUES, order=">")
    other = save_nifti(tmp_path / "other.nii", VALUES + 1)
    hashes = scan_volumes(cohort({"image": [image, again, other]}))["pixel_hash"]
    assert hashes[0] == hashes[1] != hashes[2]


def test_memory_that_runs_out_is_not_taken_for_a_bad_file(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_reference: str, **_: Any) -> Volume:
        raise MemoryError

    monkeypatch.setattr(module, "read_volume", full)
    with pytest.raises(MachineError, match="memory ran out while this image was read; give fewer --jobs"):
        scan_volumes(cohort({"image": [image], "mask": [None]}), jobs=1)


def test_bad_cases_are_told_and_do_not_end_the_reading_of_others(image: str, mask: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(Path(image).read_bytes()[:-200])
    absent = str(tmp_path / "absent.nii.gz")
    facts = scan_volumes(
        cohort({"image": [image, str(bad), absent, image], "mask": [mask, mask, mask, absent]}), jobs=1
    )
    assert facts["status"].tolist() == ["ok", "unreadable", "missing", "missing"]
    assert "cut short" in facts["problem"][1]
    assert facts["problem"][2] == "absent.nii.gz: does not exist"
    assert facts["size_i"].isna().tolist() == [False, True, True, True]


def test_a_mask_on_another_grid_is_told(image: str, tmp_path: Path) -> None:
    smaller = save_nifti(tmp_path / "m.nii", LABELS[:-1])
    assert problem(image, smaller) == "m.nii: the mask has 24 x 20 x 7 voxels and its image has 24 x 20 x 8"
    moved = AFFINE.copy()
    moved[2, 3] += 4
    shifted = save_nifti(tmp_path / "m.nii", LABELS, srow=moved)
    assert problem(image, shifted) == "m.nii: the mask lies up to 4.00 mm from its image"


def test_an_undeclared_label_is_told(image: str, tmp_path: Path) -> None:
    odd = save_nifti(tmp_path / "m.nii", LABELS * 2)
    assert problem(image, odd) == "m.nii: the mask holds label 4, which --labels does not name (1, 2)"
    open_target = Target("mask", "segmentation")
    facts = scan_volumes(cohort({"image": [image], "mask": [odd]}, target=open_target))
    assert facts["mask_labels"].tolist() == ["2;4"]


def test_a_mask_of_probabilities_is_told_and_whole_floats_are_taken(image: str, tmp_path: Path) -> None:
    soft = save_nifti(tmp_path / "m.nii", LABELS * np.float32(0.3))
    assert problem(image, soft) == "m.nii: the mask holds fractions, and labels are whole numbers"
    whole = save_nifti(tmp_path / "w.nii", LABELS.astype(np.float32))
    assert scan_volumes(cohort({"image": [image], "mask": [whole]}))["mask_labels"][0] == "1;2"


def test_an_empty_mask_is_noted(image: str, tmp_path: Path) -> None:
    empty = save_nifti(tmp_path / "m.nii", LABELS * 0)
    row = scan_volumes(cohort({"image": [image], "mask": [empty]})).iloc[0]
    assert (row["status"], row["notes"], row["mask_labels"]) == ("ok", "empty-mask", "")
    assert row["fg_mean"] == pytest.approx(VALUES[VALUES != 0].mean(dtype=np.float64), rel=1e-5)


def test_a_picture_and_a_single_slice_among_volumes_are_told(image: str, tmp_path: Path) -> None:
    picture, slice_ = str(tmp_path / "p.png"), save_nifti(tmp_path / "s.nii", VALUES[:1])
    cv2.imwrite(picture, VALUES[0].astype(np.uint8))
    flat = save_nifti(tmp_path / "f.nii", VALUES[0], dim=(2, 24, 20))
    facts = scan_volumes(cohort({"image": [image, image, image, picture, slice_, flat]}))
    assert facts["status"].tolist() == ["ok"] * 3 + ["unreadable"] * 3
    assert facts["problem"][3] == "is a 2-D picture (png) where a volume is meant"
    assert facts["problem"][4] == "holds one slice of 24 x 20, and the other cases are volumes"
    assert facts["problem"][5] == "holds one picture of 24 x 20 and no volume (dim[0] is 2)"
    alone = scan_volumes(cohort({"image": [slice_, slice_]}))
    assert alone["status"].tolist() == ["ok", "ok"]


def test_four_dimensions_where_three_are_meant_are_told_and_named_ones_read(tmp_path: Path) -> None:
    both = save_nifti(tmp_path / "b.nii", np.stack([VALUES, 100 - VALUES]))
    assert problem(both, None).startswith("b.nii: holds 2 volumes (24 x 20 x 8 x 2) where one is meant")
    facts = scan_volumes(cohort({"image": [both]}, role=ImageRole("volume", "channels", ("T1", "T2"))))
    assert (facts["status"][0], facts["planes"][0]) == ("ok", 2)
    assert [round(one["maximum"]) for one in json.loads(facts["channels"][0])] == [
        round(float(VALUES.max())),
        round(float((100 - VALUES).max())),
    ]


def test_other_numbers_of_channels_or_frames_are_told(tmp_path: Path) -> None:
    both = save_nifti(tmp_path / "b.nii", np.stack([VALUES, 100 - VALUES]))
    three = ImageRole("volume", "channels", ("T1", "T2", "FLAIR"))
    assert problem(both, None, role=three) == "holds 2 channels, and --channels names 3"
    one = ImageRole("volume", "frames", ("ED",))
    assert problem(both, None, role=one) == "holds 2 frames, and --frames names 1"


def test_a_film_where_one_volume_is_meant_is_told(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_volume(image)
    film = replace(whole, voxels=np.concatenate([whole.voxels] * 3), names=("0", "1", "2"), axis="time")
    monkeypatch.setattr(module, "read_volume", lambda *_, **__: film)
    assert problem(image, None) == "holds 3 frames where one volume is meant"


def test_channels_are_aligned_when_on_one_grid_and_doubted_when_shifted(image: str, tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 3
    other = save_nifti(tmp_path / "o.nii", 100 - VALUES)
    away = save_nifti(tmp_path / "a.nii", 100 - VALUES, srow=moved)
    rolled = save_nifti(tmp_path / "r.nii", np.roll(100 - VALUES, 3, axis=2))
    role = ImageRole("volume", "channels", ("T1", "T2"))
    table = {"image.T1": [image] * 3, "image.T2": [other, away, rolled]}
    facts = scan_volumes(cohort(table, role=role))
    assert facts["aligned"].tolist() == [True, False, True]
    assert facts["notes"][0] == ""
    assert facts["notes"][2].startswith("misaligned: channel 2 fits better shifted by")
    assert facts["planes"].tolist() == [2, 2, 2]


def test_frames_have_masks_of_their_own(image: str, mask: str, tmp_path: Path) -> None:
    late = save_nifti(tmp_path / "late.nii", VALUES[:, :-1])
    late_mask = save_nifti(tmp_path / "late_mask.nii", LABELS[:, :-1])
    table = {"image.ED": [image], "image.ES": [late], "mask.ED": [mask], "mask.ES": [late_mask]}
    role = ImageRole("volume", "frames", ("ED", "ES"))
    facts = scan_volumes(cohort(table, target=Target("y", "binary", ("no", "yes"), "yes"), role=role))
    assert facts["status"].tolist() == ["ok"], facts["problem"][0]
    assert json.loads(facts["mask_voxels"][0])["1"] == int((LABELS == 1).sum() + (LABELS[:, :-1] == 1).sum())


def test_a_constant_volume_is_noted(tmp_path: Path) -> None:
    flat = save_nifti(tmp_path / "c.nii", VALUES * 0 + 5)
    assert scan_volumes(cohort({"image": [flat]}))["notes"][0] == "constant"


@pytest.mark.real_data
def test_real_volumes_differ_by_four_orders_of_magnitude(data: Path) -> None:
    images = [str(path) for path in sorted((data / "hippocampus" / "imagesTr").glob("*.nii.gz"))]
    masks = [one.replace("imagesTr", "labelsTr") for one in images]
    facts = scan_volumes(cohort({"image": images, "mask": masks}))
    assert (facts["status"] == "ok").all()
    assert set(facts["mask_labels"]) == {"1;2"}
    assert facts["fg_mean"].max() / facts["fg_mean"].min() > 1000
    one = describe([read_volume(images[0])], [read_volume(masks[0])])
    assert one["fg_mean"] == facts["fg_mean"][0]
