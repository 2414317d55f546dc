"""What makes a store prepare a case again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from semeion.prepare.volume_key import case_key
from semeion.prepare.volume_spec import VolumePreparation
from support.volumes import save_nifti

PLAIN = VolumePreparation()


def test_a_key_changes_with_steps_voxels_place_and_mask_only(tmp_path: Path) -> None:
    voxels = np.zeros((3, 4, 5), np.int16)
    image, mask = (str(save_nifti(tmp_path / name, voxels)) for name in ("a.nii.gz", "m.nii.gz"))
    moved = str(save_nifti(tmp_path / "b.nii.gz", voxels, srow=np.diag([2.0, 1.0, 1.0, 1.0])))
    key = case_key((image,), mask, PLAIN, "hash")
    assert key == case_key((image,), mask, PLAIN, "hash")
    others = {
        case_key((image,), mask, VolumePreparation(orientation="stored"), "hash"),
        case_key((image,), mask, PLAIN, "other"),
        case_key((moved,), mask, PLAIN, "hash"),
        case_key((image,), None, PLAIN, "hash"),
    }
    assert len(others | {key}) == 5
    os.utime(image, ns=(1, 1))  # what was read is what counts, not when it was written
    assert case_key((image,), mask, PLAIN, "hash") == key
    os.utime(mask, ns=(1, 1))
    assert case_key((image,), mask, PLAIN, "hash") != key


def test_without_a_hash_files_stand_for_voxels(tmp_path: Path) -> None:
    image = str(save_nifti(tmp_path / "a.nii.gz", np.zeros((3, 4, 5), np.int16)))
    key = case_key((image,), None, PLAIN, None)
    os.utime(image, ns=(1, 1))
    assert case_key((image,), None, PLAIN, None) != key
    absent = case_key((str(tmp_path / "gone.nii"),), None, PLAIN, None)
    assert absent == case_key((str(tmp_path / "gone.nii"),), None, PLAIN, None)
