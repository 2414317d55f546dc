"""Pictures or volumes, by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semeion.cohort.cohort import CohortOptions
from semeion.cohort.gather import gather
from semeion.cohort.kinds import cohort_kind, kind_of
from semeion.cohort.problems import Problems
from semeion.errors import InputError
from support.spheres import make_spheres, write_volume
from support.tiny import make_cohort, write_picture


def kinds(references: list[Path]) -> tuple[str, list[tuple[str, str]]]:
    problems = Problems("t")
    return cohort_kind([str(path) for path in references], problems), problems.found


@pytest.fixture(name="picture")
def _picture(tmp_path: Path) -> Path:
    return write_picture(tmp_path / "a.nii.gz.png", np.zeros((8, 8), np.uint8))


@pytest.fixture(name="volume")
def _volume(tmp_path: Path) -> Path:
    return write_volume(tmp_path / "v.nii.gz", np.zeros((4, 8, 8), np.int16))


def test_names_say_nothing(tmp_path: Path, picture: Path, volume: Path) -> None:
    renamed = volume.rename(tmp_path / "brain.png")
    assert kind_of(str(picture)) == "picture"
    assert kind_of(str(renamed)) == "volume"
    assert kind_of(str(tmp_path / "missing.png")) is None


def test_rows_of_archives_by_their_shape(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", grey=np.zeros((2, 8, 8)), colour=np.zeros((2, 8, 8, 3)), deep=np.zeros((2, 8, 8, 8)))
    found = [kind_of(f"{tmp_path}/a.npz#{name}[0]") for name in ("grey", "colour", "deep", "absent")]
    assert found == ["picture", "picture", "volume", None]


def test_the_most_decide_and_halves_are_refused(picture: Path, volume: Path) -> None:
    assert kinds([volume] * 9 + [picture]) == ("volume", [])
    assert kinds([picture] * 9 + [volume]) == ("picture", [])
    assert kinds([]) == ("picture", [])
    _, found = kinds([picture] * 3 + [volume] * 2)
    assert found == [
        (
            "of 5 images looked at, 2 are volumes and 3 are pictures",
            "make a table of volumes alone or of pictures alone",
        )
    ]


def test_pictures_and_frames_are_not_segmented(tmp_path: Path) -> None:
    tiny = make_cohort(tmp_path / "p", n=8)
    tiny.rewrite(mask=tiny.rows["image"])
    with pytest.raises(InputError, match="the images are pictures, and segmentation is of volumes"):
        gather(tiny.table, CohortOptions(target="mask"))
    table = make_spheres(tmp_path / "v", n=4, images=("ED", "ES"), split=False, masks=True)
    with pytest.raises(InputError, match=r"a case has several frames \(ED, ES\), and a segmentation has one mask"):
        gather(table, CohortOptions(target="mask.ED", task="segmentation"))


def test_files_that_do_not_exist_are_not_called_pictures(tmp_path: Path) -> None:
    """What is wrong is that they are missing, which the scan says; no other complaint may hide that."""
    gone = [tmp_path / f"{n}.nii.gz" for n in range(3)]
    assert kinds(gone) == ("volume", [])
    assert kinds([tmp_path / "1.png"]) == ("picture", [])
