"""Rows of a stack of volumes, as MedMNIST keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semeion.cohort.volumes.read import is_volume, read_volume
from semeion.errors import ImageError


@pytest.fixture
def archive(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    np.savez_compressed(
        tmp_path / "nodule.npz",
        train_images=rng.integers(0, 256, (3, 4, 5, 6), dtype=np.uint8),
        deep_images=rng.normal(size=(2, 4, 5, 6, 1)),
        pictures=np.zeros((3, 28, 28), np.uint8),
        colour=np.zeros((3, 28, 28, 3), np.uint8),
        complex=np.zeros((1, 2, 2, 2), complex),
        broken=np.full((1, 2, 2, 2), np.nan),
    )
    return str(tmp_path / "nodule.npz")


def message(ref: str) -> str:
    with pytest.raises(ImageError) as caught:
        read_volume(ref)
    return str(caught.value)


def test_a_row_is_a_volume_that_says_it_has_no_millimetres(archive: str) -> None:
    wanted = np.load(archive)["train_images"]
    for row in range(3):
        volume = read_volume(f"{archive}#train_images[{row}]")
        np.testing.assert_array_equal(volume.plane, wanted[row])
        assert volume.grid.size == (6, 5, 4)
        assert volume.grid.spacing == (1.0, 1.0, 1.0)
        assert volume.notes == ("no-spacing", "no-orientation")
        assert volume.source_format == "npz"
    assert read_volume(f"{archive}#deep_images[1]").voxels.dtype == np.float32


def test_what_stacks_volumes_is_told_from_what_stacks_pictures(archive: str) -> None:
    assert is_volume(f"{archive}#train_images[0]")
    assert is_volume(f"{archive}#deep_images[0]")
    assert not is_volume(f"{archive}#pictures[0]")
    assert not is_volume(f"{archive}#colour[0]")
    assert not is_volume(f"{archive}#absent[0]")
    assert not is_volume(f"{archive[:-4]}2.npz#train_images[0]")


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("#train_images[3]", "has rows 0 to 2, not 3"),
        ("#absent[0]", "has no array 'absent'"),
        ("#pictures[0]", "has shape 3 x 28 x 28 and holds no volumes"),
        ("#complex[0]", "holds complex128 values"),
        ("#broken[0]", "holds 8 voxels that are not finite"),
    ],
)
def test_what_cannot_be_read_is_named(archive: str, ref: str, expected: str) -> None:
    assert expected in message(archive + ref)
