"""Several images a case, and what they are to one another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from semeion.cohort.cohort import Cohort, CohortOptions, read_cohort, write_cohort
from semeion.cohort.gather import gather
from semeion.cohort.problems import Problems
from semeion.cohort.roles import (
    FLAGS,
    ImageRole,
    find_structures,
    image_columns,
    image_references,
    mask_columns,
    mask_references,
)
from semeion.errors import InputError
from support.spheres import make_spheres, write_volume
from support.tiny import write_picture

SMALL = (6, 8, 8)


def volumes(folder: Path, names: tuple[str, ...], shapes: dict[str, tuple[int, int, int]] | None = None) -> Path:
    """A table of eight cases with one volume for each name."""
    shapes = dict.fromkeys(names, SMALL) | (shapes or {})
    return make_spheres(folder, n=8, images=names, shapes=shapes, split=False, masks=True)


def gathered(table: Path, **options: Any) -> Cohort:
    return gather(table, CohortOptions(target="finding", **options))


def message(table: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        gathered(table, **options)
    return str(caught.value)


def test_ed_and_es_are_frames_by_their_names(tmp_path: Path) -> None:
    cohort = gathered(volumes(tmp_path, ("ED", "ES")))
    assert (cohort.images.kind, cohort.images.role, cohort.images.names) == ("volume", "frames", ("ED", "ES"))
    assert image_columns(cohort) == ("image.ED", "image.ES")
    assert image_references(cohort)[1] == tuple(f"{tmp_path}/volumes/001.{name}.nii.gz" for name in ("ED", "ES"))
    assert mask_columns(cohort) == ("mask.ED", "mask.ES")
    assert mask_references(cohort)[0] == tuple(f"{tmp_path}/masks/000.{name}.nii.gz" for name in ("ED", "ES"))
    assert cohort.table["image"].equals(cohort.table["image.ED"].rename("image"))


def test_one_grid_in_every_case_means_channels(tmp_path: Path) -> None:
    cohort = gathered(volumes(tmp_path, ("FLAIR", "T1")))
    assert (cohort.images.role, cohort.images.names) == ("channels", ("FLAIR", "T1"))


def test_other_sizes_and_other_planes_mean_views(tmp_path: Path) -> None:
    table = volumes(tmp_path / "sizes", ("front", "side"), {"side": (6, 8, 10)})
    assert gathered(table).images.role == "views"
    table = volumes(tmp_path / "planes", ("axial", "coronal"))
    for file in (tmp_path / "planes" / "volumes").glob("*.coronal.nii.gz"):
        image = sitk.ReadImage(str(file))
        image.SetDirection((1, 0, 0, 0, 0, 1, 0, -1, 0))
        sitk.WriteImage(image, str(file))
    assert gathered(table).images.role == "views"


def test_what_is_not_sure_is_refused_and_an_option_decides(tmp_path: Path) -> None:
    table = volumes(tmp_path, ("a", "b"))
    write_volume(tmp_path / "volumes" / "002.b.nii.gz", np.ones((6, 8, 9), np.int16))
    text = message(table)
    assert "there are several images a case (a, b), and they lie on one grid in 7 of 8 cases looked at" in text
    assert FLAGS in text
    assert gathered(table, views=("b", "a")).images.names == ("b", "a")
    assert gathered(table, frames=("*",)).images.role == "frames"
    assert gathered(table, channels=("a",)).images.role == "single"


def test_nothing_readable_is_no_evidence(tmp_path: Path) -> None:
    table = volumes(tmp_path, ("a", "b"))
    shutil.rmtree(tmp_path / "volumes")
    assert "none of those looked at can be read" in message(table)


@pytest.mark.parametrize(("sizes", "role"), [((8, 10), "views"), ((8, 8), None)])
def test_pictures_are_views_when_their_sizes_differ(tmp_path: Path, sizes: tuple[int, int], role: str | None) -> None:
    rows = []
    for case in range(4):
        row = {"finding": "yes" if case % 2 else "no"}
        for name, side in zip(("CC", "MLO"), sizes, strict=True):
            write_picture(tmp_path / f"{case}{name}.png", np.full((side, side), 40 * case, np.uint8))
            row[f"image.{name}"] = f"{case}{name}.png"
        rows.append(row)
    pd.DataFrame(rows).to_csv(tmp_path / "c.csv", index=False)
    if role is None:
        assert "pictures of one size may be channels, frames or views" in message(tmp_path / "c.csv")
    else:
        assert gathered(tmp_path / "c.csv").images.role == role
    assert gathered(tmp_path / "c.csv", views=("CC", "MLO")).images.kind == "picture"


def test_one_column_has_no_views(tmp_path: Path) -> None:
    table = volumes(tmp_path, ("",))
    assert "--views needs several images a case, and the table has one column" in message(table, views=("a", "b"))
    assert gathered(table, channels=("T1", "T2")).images.names == ("T1", "T2")
    assert image_columns(gathered(table, channels=("T1", "T2"))) == ("image",)


def test_a_written_cohort_keeps_its_images_and_labels(tmp_path: Path) -> None:
    cohort = gather(volumes(tmp_path, ("",)), CohortOptions(target="mask", labels={"1": "sphere"}))
    write_cohort(cohort, tmp_path / "cohort.parquet")
    kept = read_cohort(tmp_path / "cohort.parquet")
    assert kept.target == cohort.target
    assert (kept.images, kept.target.values) == (cohort.images, (1,))


class TestStructures:
    """What ``--structures`` may name."""

    def found(self, columns, images, task="multiclass", **structures):
        problems = Problems("t.csv")
        options = CohortOptions(structures=structures.get("codes", {"1": "rv", "2": "myocardium", "3": "lv"}))
        return find_structures(columns, options, task, images, problems), problems

    def test_each_frame_has_its_mask(self):
        frames = ImageRole("volume", "frames", ("ED", "ES"))
        found, problems = self.found(["image.ED", "image.ES", "mask.ED", "mask.ES"], frames)
        assert found == {"rv": 1, "myocardium": 2, "lv": 3}
        problems.raise_any()
        _, problems = self.found(["image.ED", "image.ES", "mask.ED"], frames)
        with pytest.raises(InputError, match=r"needs reference masks, and there is no column 'mask.ES'"):
            problems.raise_any()

    @pytest.mark.parametrize("role", ["frames", "channels"])
    def test_images_in_one_file_are_refused(self, role):
        _, problems = self.found(["image", "mask", "mask.a", "mask.b"], ImageRole("volume", role, ("a", "b")))
        with pytest.raises(InputError, match=r"reads each of a, b from a file of its own, and the table has one"):
            problems.raise_any()

    @pytest.mark.parametrize(
        ("images", "task", "codes", "says"),
        [
            (ImageRole("picture"), "binary", {"1": "a"}, "the images are pictures"),
            (ImageRole("volume"), "regression", {"1": "a"}, "the target is a regression"),
            (ImageRole("volume"), "binary", {"0": "a"}, "masks hold whole numbers from 1 to 255"),
            (ImageRole("volume"), "binary", {"1": "a", "2": "a"}, "names 'a' twice"),
        ],
    )
    def test_what_cannot_be_measured_is_refused(self, images, task, codes, says):
        _, problems = self.found(["mask"], images, task, codes=codes)
        with pytest.raises(InputError, match=says):
            problems.raise_any()
