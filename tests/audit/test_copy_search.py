from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.audit import copy_search
from semeion.audit.copies import find_copies, label_conflicts, near_duplicates
from semeion.audit.copy_search import copies_among
from semeion.cohort.cohort import Cohort, Target
from semeion.cohort.roles import ImageRole
from semeion.prepare.scan import scan
from support.altered import WAYS, altered, save, texture

TARGET = Target("finding", "binary", ("no", "yes"), "yes")


def cohort_of(files, *, patients=None, split=None, y=None):
    n = len(files)
    table = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(n)],
            "patient_id": patients if patients is not None else [f"p{k}" for k in range(n)],
            "site": pd.array([None] * n, dtype="str"),
            "split": split if split is not None else pd.array([None] * n, dtype="str"),
            "image": [str(file) for file in files],
            "y": y if y is not None else np.arange(n) % 2.0,
        }
    )
    return Cohort(table, TARGET, has_patients=patients is not None)


def pictures(folder, n=10, side=120):
    return [save(folder / f"{k}.png", texture(side, side + 10, k)) for k in range(n)]


def with_changed(folder, *ways, n=10, side=120):
    """Return files of which the last are changed copies of the first."""
    files = pictures(folder, n, side)
    return files + [
        save(folder / f"copy{k}.png", altered(texture(side, side + 10, k), how)) for k, how in enumerate(ways)
    ]


def test_every_change_is_found_and_said(tmp_path):
    cohort = cohort_of(with_changed(tmp_path, *WAYS, side=170))
    copies = find_copies(cohort, scan(cohort))
    found = [rows.tolist() for rows in copies.groups]
    assert found == [[k, 10 + k] for k in range(len(WAYS))]
    assert copies.exact == []
    assert copies.figures["pairs_confirmed"] >= len(WAYS)
    assert copies.figures["pairs_left_unchecked"] == copies.figures["pairs_not_read_again"] == 0
    audit = near_duplicates(cohort, scan(cohort), copies)
    assert audit.verdict == "warn"
    assert audit.cases == tuple((f"c{k}", f"c{10 + k}") for k in range(len(WAYS)))
    assert "8 extra copies of a changed picture" in audit.advice
    said = " ".join(audit.figures["verified"])
    assert "mirrored, registered, detail" in said
    assert "turned, registered, detail" in said


@pytest.mark.parametrize(("n_test", "verdict"), [(3, "void"), (60, "warn")])
def test_confirmed_copies_across_the_test_set_count_as_exact_ones_do(tmp_path, n_test, verdict):
    files = with_changed(tmp_path, "mirrored", "bright")
    split = ["train"] * 10 + ["test"] * 2
    more = n_test - 2
    files += [save(tmp_path / f"more{k}.png", texture(40, 40, 500 + k)) for k in range(more)]
    cohort = cohort_of(files, split=split + ["test"] * more)
    audit = near_duplicates(cohort, scan(cohort))
    assert audit.verdict == verdict
    assert audit.figures["test_cases_with_a_copy_elsewhere"] == 2
    assert audit.affected == (frozenset({"c10", "c11"}) if verdict == "void" else frozenset())


def test_without_copies_it_is_clear_and_says_what_was_compared(tmp_path):
    cohort = cohort_of(pictures(tmp_path))
    audit = near_duplicates(cohort, scan(cohort))
    assert audit.verdict == "clear"
    assert audit.figures["searched"] == "all pictures, whole in eight orientations and cropped"
    assert "verified" not in audit.figures


def test_copies_with_two_labels_conflict(tmp_path):
    cohort = cohort_of(with_changed(tmp_path, "bright", "jpeg"), y=[0.0] * 10 + [1.0, 0.0])
    facts = scan(cohort)
    copies = find_copies(cohort, facts)
    audit = label_conflicts(cohort, facts, copies)
    assert (audit.verdict, audit.cases) == ("warn", (("c0", "c10"),))
    assert audit.advice.startswith("1 group of copies of one picture carries different labels")
    assert label_conflicts(cohort, facts).verdict == "clear"
    assert "1 group of copies with more than one label." in near_duplicates(cohort, facts, copies).advice


def test_one_patient_on_one_side_is_not_compared(tmp_path):
    files = with_changed(tmp_path, "bright")
    patients = [f"p{k}" for k in range(10)] + ["p0"]
    together = cohort_of(files, patients=patients)
    assert find_copies(together, scan(together)).groups == []
    across = cohort_of(files, patients=patients, split=["train"] * 10 + ["test"])
    assert len(find_copies(across, scan(across)).groups) == 1


def test_a_picture_that_is_gone_is_said(tmp_path):
    files = with_changed(tmp_path, "bright", "mirrored")
    cohort = cohort_of(files)
    facts = scan(cohort)
    files[10].unlink()
    copies = find_copies(cohort, facts)
    assert [rows.tolist() for rows in copies.groups] == [[1, 11]]
    assert copies.figures["pairs_not_read_again"] >= 1


def test_the_number_of_comparisons_is_bounded_the_test_set_first(tmp_path, monkeypatch):
    monkeypatch.setattr(copy_search, "MOST_REGISTERED", 1)
    files = with_changed(tmp_path, "bright", "bright")
    cohort = cohort_of(files, split=["train"] * 11 + ["test"])
    copies = find_copies(cohort, scan(cohort))
    assert [rows.tolist() for rows in copies.groups] == [[1, 11]]
    assert copies.figures["pairs_registered"] == 1
    assert copies.figures["pairs_left_unchecked"] >= 1
    assert "were not compared closely" in near_duplicates(cohort, scan(cohort), copies).advice


def test_many_pictures_are_compared_by_equal_hashes_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(copy_search, "MOST_SEARCHED", 5)
    cohort = cohort_of(with_changed(tmp_path, "jpeg"))
    copies = find_copies(cohort, scan(cohort))
    assert copies.figures["searched"] == "equal perceptual hashes only"


def test_of_several_pictures_all_must_agree(tmp_path):
    left, right = with_changed(tmp_path / "left", "bright", "bright"), pictures(tmp_path / "right", 12)
    right[11] = save(tmp_path / "right" / "copy.png", altered(texture(120, 130, 1), "bright"))
    cohort = cohort_of(left)
    table = cohort.table.assign(**{"image.left": list(map(str, left)), "image.right": list(map(str, right))})
    role = ImageRole("picture", "views", ("left", "right"))
    several = Cohort(table, TARGET, has_patients=False, images=role)
    copies = find_copies(several, scan(cohort))
    assert [rows.tolist() for rows in copies.groups] == [[1, 11]]


def test_small_pictures_are_compared_pixel_for_pixel(tmp_path):
    cohort = cohort_of(with_changed(tmp_path, "mirrored", "bright", "gamma", "turned", side=40))
    copies = find_copies(cohort, scan(cohort))
    assert len(copies.groups) == 4
    assert copies.figures["pairs_registered"] == 0
    assert "pixel for pixel up to a change of grey levels" in str(copies.confirmed[0])


@pytest.mark.parametrize("factor", [0.8, 0.5, 0.3])
def test_copies_made_smaller_across_the_test_set_are_void(tmp_path, factor):
    files = pictures(tmp_path, 20, 96)
    for k in range(10):
        small = cv2.resize(texture(96, 106, k), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        files.append(save(tmp_path / f"copy{k}.png", small))
    cohort = cohort_of(files, split=["train"] * 20 + ["test"] * 10)
    audit = near_duplicates(cohort, scan(cohort))
    assert audit.verdict == "void"
    assert audit.figures["test_cases_with_a_copy_elsewhere"] == 10
    assert audit.figures["pairs_left_unchecked"] == 0


def test_facts_without_thumbnails_and_volumes_are_compared_by_exact_pixels(make_cohort, make_facts):
    cohort = make_cohort(6)
    copies = find_copies(cohort, make_facts(cohort))
    assert copies.figures["searched"] == "exact pixels only"
    assert copies.groups == []


def test_threads_change_nothing(tmp_path):
    cohort = cohort_of(with_changed(tmp_path, "jpeg", "mirrored", "cropped"))
    facts = scan(cohort)
    one, two = find_copies(cohort, facts, jobs=1), find_copies(cohort, facts, jobs=3)
    assert [str(pair) for pair in one.confirmed] == [str(pair) for pair in two.confirmed]
    assert one.figures == two.figures


def test_copies_among_some_of_the_cases_are_those_found_among_them(tmp_path):
    ways = WAYS[:3]
    files = with_changed(tmp_path, *ways, n=5, side=170)
    cohort = cohort_of([*files, files[4]])
    facts = scan(cohort)
    kept = np.array([row for row in range(9) if row not in (1, 2)])
    among = copies_among(find_copies(cohort, facts), kept, 9)
    table = cohort.table.iloc[kept].reset_index(drop=True)
    alone = find_copies(Cohort(table, TARGET, has_patients=False), facts.iloc[kept].reset_index(drop=True))
    for part in ("exact", "groups"):
        assert [rows.tolist() for rows in getattr(among, part)] == [rows.tolist() for rows in getattr(alone, part)]
    assert [set(one.rows) for one in among.confirmed] == [set(one.rows) for one in alone.confirmed] == [{0, 3}]
    assert among.alike.shape[1:] == (2,)
