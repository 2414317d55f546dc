"""Roles of columns, and the cohort's own columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from semeion.cohort.cohort import CohortOptions
from semeion.cohort.columns import as_numbers, assemble, find_roles
from semeion.cohort.problems import Problems
from semeion.errors import InputError

FOLDER = Path("/data/hospital")


def made(columns: dict[str, list[Any]], **options: Any) -> tuple[pd.DataFrame, list[str]]:
    """Give columns their roles; problems are raised."""
    table = pd.DataFrame(
        {name: pd.Series(values, dtype="str") for name, values in columns.items()},
    )
    table.index = pd.RangeIndex(2, 2 + len(table), name="row")
    problems = Problems("cohort.csv")
    roles = find_roles(list(table.columns), CohortOptions(**{"target": "y_raw", **options}), problems)
    frame, notes = assemble(table, roles, FOLDER, problems)
    problems.raise_any()
    return frame, notes


def message(columns: dict[str, list[Any]], **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        made(columns, **options)
    return str(caught.value)


BASE: dict[str, list[Any]] = {"image": ["a.png", "b.png", "c.png"], "y_raw": ["0", "1", "0"]}


def test_the_least_that_is_needed() -> None:
    frame, notes = made(BASE)
    assert frame["case_id"].tolist() == ["1", "2", "3"]
    assert frame["patient_id"].tolist() == ["1", "2", "3"]
    assert frame["image"].tolist() == [f"/data/hospital/{name}.png" for name in "abc"]
    assert frame["site"].isna().all()
    assert frame["split"].isna().all()
    assert notes == []


def test_paths_are_absolute_and_links_are_kept() -> None:
    frame, _ = made({**BASE, "image": ["/abs/a.png", "../b.png", "s.npz#x[3]"], "mask": ["m/1.png", None, " m/2.png"]})
    assert frame["image"].tolist() == ["/abs/a.png", "/data/b.png", "/data/hospital/s.npz#x[3]"]
    assert frame["mask"].tolist()[0] == "/data/hospital/m/1.png"
    assert frame["mask"].isna().tolist() == [False, True, False]


def test_ids_stay_text_and_measures_become_numbers() -> None:
    frame, _ = made(
        {
            **BASE,
            "case_id": ["007", " 7", "x"],
            "patient_id": ["01", "1", "01"],
            "age": ["63", "NA", "41.5"],
            "n": ["1", "2", "3"],
            "zip": ["01234", "2", "3"],
            "study_id": ["11", "12", "13"],
            "long": ["123456789012345678", "1", "2"],
        }
    )
    assert frame["case_id"].tolist() == ["007", "7", "x"]
    assert frame["patient_id"].tolist() == ["01", "1", "01"]
    assert frame["age"].dtype == "float64"
    assert frame["n"].dtype == "int64"
    assert [frame[name].iloc[0] for name in ("zip", "study_id", "long")] == ["01234", "11", "123456789012345678"]


def test_as_numbers_leaves_an_empty_column_alone() -> None:
    assert as_numbers(pd.Series([None, "NA"], dtype="str", name="x")).tolist()[1] == "NA"


def test_split_words_are_understood() -> None:
    frame, notes = made({**BASE, "split": ["Training", " dev ", "held-out"]})
    assert frame["split"].tolist() == ["train", "val", "test"]
    assert notes == []
    frame, notes = made({**BASE, "split": ["train", "train", "test"]})
    assert notes == ["The given split has no val cases."]
    frame, notes = made({**BASE, "fold_set": ["train", "train", "test"]}, split="fold_set")
    assert frame["split"].notna().all()
    frame, notes = made({**BASE, "split": ["a", "b", None]}, no_split=True)
    assert frame["split"].isna().all()


def test_an_empty_split_column_is_no_split() -> None:
    frame, notes = made({**BASE, "split": ["", None, "NA"]})
    assert frame["split"].isna().all()
    assert notes == ["Column 'split' is empty: no split is given."]


def test_group_names_who_belongs_together() -> None:
    frame, notes = made({**BASE, "family": ["f1", "f1", "f2"], "patient_id": ["p1", "p2", "p3"]}, group="family")
    assert frame["patient_id"].tolist() == ["f1", "f1", "f2"]
    assert notes == ["Cases are kept together by 'family', not by 'patient_id'."]


def test_roles_of_columns() -> None:
    problems = Problems("t")
    roles = find_roles(
        ["image", "mask", "mask.lesion", "site", "y_raw", "age", "sex", "note"],
        CohortOptions(target="y_raw", covariates=("age",)),
        problems,
    )
    assert not problems.found
    assert (roles.masks, roles.site, roles.covariates, roles.unused) == (
        ("mask", "mask.lesion"),
        "site",
        ("age",),
        ("sex", "note"),
    )


def test_the_usual_name_of_a_target_is_taken_when_there_is_one() -> None:
    problems = Problems("t")
    assert find_roles(["image", "finding", "age"], CohortOptions(), problems).targets == ("finding",)
    find_roles(["image", "finding", "label"], CohortOptions(), problems)
    assert problems.found[0][0] == "no target is named (columns: image, finding, label)"


def test_several_target_columns_are_split_at_commas() -> None:
    problems = Problems("t")
    assert find_roles(["image", "a", "b"], CohortOptions(target="a, b"), problems).targets == ("a", "b")
    assert find_roles(["image", "a,b"], CohortOptions(target="a,b"), problems).targets == ("a,b",)
    assert not problems.found


@pytest.mark.parametrize(
    ("extra", "options", "words"),
    [
        ({}, {"target": "y_rw"}, "no column 'y_rw' (--target), did you mean 'y_raw'?; choose one of image, y_raw"),
        ({}, {"target": "y_raw,y_raw"}, "--target names column y_raw twice"),
        ({"sx": ["m", "f", "m"]}, {"covariates": ("sex",)}, "no column 'sex' (--covariates), did you mean 'sx'?"),
        ({"patient": ["1", "2", "3"]}, {"group": "patients"}, "(--group), did you mean 'patient'?"),
        ({}, {"split": "fold"}, "no column 'fold' (--split)"),
        ({}, {"covariates": ("y_raw",)}, "'y_raw' is the target and also an input (--covariates)"),
        ({}, {"target": "image"}, "'image' cannot be the target: it holds the images; name another --target"),
        ({"split": ["train"] * 3}, {"target": "split"}, "'split' cannot be the target: it holds the split"),
        ({"patient_id": list("abc")}, {"covariates": ("patient_id",)}, "'patient_id' cannot be a covariate"),
        (
            {"mask": list("abc")},
            {"target": "mask", "task": "binary"},
            "'mask' cannot be the target: it holds the masks",
        ),
        ({"mask": ["a", "", "c"]}, {"target": "mask"}, "no mask in row 3; fill in its path, or remove the row"),
        (
            {"image.left": list("abc"), "image.right": list("abc")},
            {},
            "'image' stands beside image.left, image.right, so nobody knows which images a case has; rename 'image'",
        ),
        (
            {"case_id": ["a", "b", "a"]},
            {},
            "the same case_id in several rows: 'a' (rows 2, 4); keep one row a case",
        ),
        (
            {"case_id": ["a", "b", "a"], "split": ["train", "val", "test"]},
            {},
            "'a' (rows 2, 4); in two splits: 'a'; keep one row a case",
        ),
        ({"case_id": ["a", None, " "]}, {}, "no case_id in rows 3, 4"),
        ({"image": ["a.png", "", None]}, {}, "no image in rows 3, 4; fill in its path, or remove the row"),
        ({"patient_id": ["a", "NA", None]}, {}, "no patient_id in rows 3, 4"),
        ({"split": ["train", None, "test"]}, {}, "no split in row 3, while other rows have one"),
        (
            {"split": ["train", "trian", "4"]},
            {},
            "split is none of train, val, test: 'trian' (row 3), '4' (row 4); correct it, or use --no-split",
        ),
        (
            {"site": list("aab"), "patient_id": list("xyy")},
            {"group": "site"},
            "1 patients (patient_id) fall into several groups of 'site' (--group)",
        ),
    ],
)
def test_what_is_wrong_with_columns(extra: dict[str, list[Any]], options: dict[str, Any], words: str) -> None:
    assert words in message({**BASE, **extra}, **options)


def test_no_image_column_suggests_the_nearest() -> None:
    assert "no column 'image', did you mean 'images'? (columns: images, y_raw)" in message(
        {"images": ["a"], "y_raw": ["1"]}
    )


def test_patient_ids_never_stand_in_messages() -> None:
    text = message({**BASE, "patient_id": ["MUSTERMANN", None, "MUSTERMANN"], "split": ["train", "test", "x"]})
    assert "MUSTERMANN" not in text


def test_everything_wrong_is_said_at_once() -> None:
    text = message({**BASE, "case_id": ["a", "a", "b"], "split": ["train", "x", "test"]}, covariates=("age",))
    assert text.startswith("cohort.csv: 3 things are wrong\n")
    assert len(text.splitlines()) == 4


SEVERAL: dict[str, list[Any]] = {
    "image.ED": ["a.nii", "b.nii"],
    "image.ES": ["c.nii", "d.nii"],
    "mask.ED": ["e.nii", ""],
    "mask.ES": ["f.nii", None],
    "y_raw": ["0", "1"],
}


def test_several_images_keep_their_columns_and_their_masks() -> None:
    frame, _ = made(SEVERAL)
    assert frame["image"].tolist() == ["/data/hospital/a.nii", "/data/hospital/b.nii"]
    assert frame["image.ES"].tolist() == ["/data/hospital/c.nii", "/data/hospital/d.nii"]
    assert frame["mask.ES"].isna().tolist() == [False, True]


def test_an_option_chooses_and_orders_the_images() -> None:
    problems = Problems("t")
    columns = ["image.T1", "image.T2", "image.FLAIR", "y_raw"]
    roles = find_roles(columns, CohortOptions(target="y_raw", channels=("FLAIR", "T1")), problems)
    assert roles.images == ("image.FLAIR", "image.T1")
    assert roles.unused == ("image.T2",)
    assert not problems.found
    find_roles(columns, CohortOptions(target="y_raw", channels=("FLAIR", "T3"), views=("a",)), problems)
    texts = [what for what, _ in problems.found]
    assert texts == [
        "--channels and --views are both given, and the images of a case have one role",
        "no column 'image.T3' (--channels)",
    ]


def test_a_missing_channel_is_named_with_its_rows() -> None:
    assert "no image (image.ES) in row 3; fill in its path" in message({**SEVERAL, "image.ES": ["c.nii", ""]})


def test_masks_belong_to_images_of_the_same_name() -> None:
    stray = {**SEVERAL, "mask.MID": ["x", "y"]}
    assert "'mask.MID' has no image of the same name; name masks as the images are named: mask.ED, mask.ES" in message(
        stray
    )
    assert "'mask' stands beside mask.ED, mask.ES" in message({**SEVERAL, "mask": ["x", "y"]})
