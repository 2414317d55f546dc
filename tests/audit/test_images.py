from __future__ import annotations

import numpy as np
import pytest

from semeion.audit.images import blank_images, unmatched_files, unreadable_images
from semeion.cohort.cohort import CohortOptions
from semeion.cohort.gather import gather


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png", "c.jpg", "d.dcm", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "e.png").write_bytes(b"x")
    return tmp_path


def test_unreadable_and_missing_are_counted_apart(make_cohort, make_facts):
    cohort = make_cohort(4)
    audit = unreadable_images(cohort, make_facts(cohort, status=["ok", "missing", "unreadable", "missing"]))
    assert audit.verdict == "warn"
    assert audit.figures == {"cases": 4, "missing": 2, "unreadable": 1}
    assert audit.cases == ("c1", "c2", "c3")
    assert "2 images are missing and 1 unreadable; train stops on them" in audit.advice
    assert "--skip-bad" in audit.advice
    assert unreadable_images(cohort, make_facts(cohort)).verdict == "clear"


def test_blank_images(make_cohort, make_facts):
    cohort = make_cohort(3)
    audit = blank_images(
        cohort, make_facts(cohort, blank=[True, False, True], minimum=[7.0, 0, 0], maximum=[7.0, 9, 9])
    )
    assert (audit.verdict, audit.figures, audit.cases) == ("warn", {"blank": 2, "constant": 1}, ("c0", "c2"))
    assert blank_images(cohort, make_facts(cohort)).verdict == "clear"


def test_an_unreadable_image_is_not_blank(make_cohort, make_facts):
    cohort = make_cohort(1)
    facts = make_facts(cohort, status=["missing"], blank=[True], minimum=[np.nan], maximum=[np.nan])
    assert blank_images(cohort, facts).verdict == "clear"


def test_many_files_that_no_row_names_are_a_warning(make_cohort, folder):
    audit = unmatched_files(make_cohort(2, image=[str(folder / "a.png"), str(folder / "b.png")]))
    assert audit.verdict == "warn"
    assert audit.cases == (f"{folder.name}/c.jpg", f"{folder.name}/d.dcm")
    assert audit.figures["files_unmatched"] == 2
    assert "2 image files beside the cohort's images are named by no row" in audit.advice


@pytest.mark.parametrize(
    ("extra", "verdict", "like", "companions"),
    [
        (["scan_0200.png"], "note", 1, 0),
        (["scan_0200.png", "scan_0201.png"], "warn", 2, 0),
        (["logo.png"] + [f"plan{sign}.png" for sign in "abcdefgh"], "note", 0, 0),
        ([f"picture-{sign}.png" for sign in "abcdefghijk"], "warn", 0, 0),
        ([f"scan_{k:04d}_mask.png" for k in range(150)], "note", 0, 150),
        ([f"scan_{k:04d}.jpg" for k in range(150)], "note", 0, 150),
    ],
)
def test_how_many_files_of_which_names_are_a_warning(make_cohort, tmp_path, extra, verdict, like, companions):
    names = [f"scan_{k:04d}.png" for k in range(200)]
    for name in [*names, *extra]:
        (tmp_path / name).write_bytes(b"x")
    audit = unmatched_files(make_cohort(200, image=[str(tmp_path / name) for name in names]))
    assert audit.verdict == verdict
    assert audit.figures["files_unmatched"] == len(extra)
    assert audit.figures["files_unmatched_named_alike"] == like
    assert audit.figures["files_unmatched_companions"] == companions
    assert "say why they were left out" in audit.advice


def test_every_file_named_is_clear(make_cohort, folder):
    names = ["a.png", "b.png", "c.jpg", "d.dcm"]
    audit = unmatched_files(make_cohort(4, image=[str(folder / name) for name in names]))
    assert (audit.verdict, audit.figures["files_unmatched"], audit.figures["folders"]) == ("clear", 0, 1)


def test_a_file_of_two_rows_is_a_warning(make_cohort, folder):
    images = [str(folder / "a.png"), str(folder / "below" / ".." / "a.png"), str(folder / "below" / "e.png")]
    audit = unmatched_files(make_cohort(3, image=images))
    assert audit.verdict == "warn"
    assert audit.cases[0] == ("c0", "c1")
    assert "1 image file stands in several rows" in audit.advice


def test_masks_beside_the_images_are_matched(make_cohort, folder):
    images = [str(folder / "a.png"), str(folder / "b.png")]
    masks = ["c.jpg", str(folder / "d.dcm")]
    assert unmatched_files(make_cohort(2, image=images, mask=masks)).verdict == "clear"


def test_files_of_the_source_may_be_given(make_cohort, folder):
    cohort = make_cohort(1, image=[str(folder / "a.png")])
    audit = unmatched_files(cohort, [folder / "a.png", folder / "below" / "e.png"])
    assert audit.cases == ("below/e.png",)


def test_a_link_to_the_folder_is_the_folder(make_cohort, folder, tmp_path_factory):
    link = tmp_path_factory.mktemp("elsewhere") / "link"
    link.symlink_to(folder)
    names = ["a.png", "b.png", "c.jpg", "d.dcm"]
    images = [str((link if k % 2 else folder) / name) for k, name in enumerate(names)]
    assert unmatched_files(make_cohort(4, image=images)).verdict == "clear"


def test_archives_and_missing_folders(make_cohort):
    audit = unmatched_files(make_cohort(2, image=["/x/a.npz#train_images[0]", "/x/a.npz#train_images[1]"]))
    assert audit.verdict == "clear"
    assert "the images are rows of an array file" in audit.advice
    assert unmatched_files(make_cohort(2)).verdict == "clear"


def test_busi_names_every_file(data):
    cohort = gather(data / "busi" / "cases.csv", CohortOptions(target="finding"))
    assert unmatched_files(cohort).verdict == "clear"
