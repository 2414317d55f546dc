from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semeion.errors import InputError
from semeion.model.cases import Wanted, list_cases


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str, data: bytes = b"x") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(data)


def shown(images) -> list[tuple[str, str]]:
    return [(case.case_id, case.image) for case in list_cases(images)]


def test_loose_pictures_are_numbered_and_keep_their_names(here):
    touch("b.png", "sub/a.jpg")
    assert shown(["b.png", Path("sub/a.jpg"), "./missing.png"]) == [
        ("1", "b.png"),
        ("2", "sub/a.jpg"),
        ("3", "./missing.png"),
    ]
    assert shown("b.png") == [("1", "b.png")]
    assert shown(str(here / "b.png")) == [("1", str(here / "b.png"))]


def test_a_folder_is_searched_in_order(here):
    touch("d/2.png", "d/10.PNG", "d/a/z.tiff", "d/notes.txt", "d/.hidden.png", "d/.git/x.png", "d/readme", "first.png")
    touch("d/IM0001", "d/1.2.840.113.7", data=bytes(128) + b"DICM")
    touch("d/DICOMDIR", "d/scan.txt", data=bytes(128) + b"DICM")
    names = ["d/1.2.840.113.7", "d/10.PNG", "d/2.png", "d/IM0001", "d/a/z.tiff"]
    assert [image for _, image in shown("d")] == names
    assert shown(["first.png", "d"])[:2] == [("1", "first.png"), ("2", "d/1.2.840.113.7")]


def test_an_empty_folder_and_nothing_at_all_are_refused(here):
    touch("d/notes.txt")
    with pytest.raises(InputError, match=r"d: the folder holds no images; give a folder with pictures"):
        list_cases("d")
    with pytest.raises(InputError, match="no images were given"):
        list_cases([])
    with pytest.raises(InputError, match="an image was given as int"):
        list_cases([3])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".parquet"])
def test_a_table_names_cases_relative_to_its_folder(here, suffix):
    table = pd.DataFrame(
        {
            "case_id": ["007", "x"],
            "image": ["pics/a.png", str(here / "b.png")],
            "label": ["yes", "no"],
            "age": ["3", None],
        }
    )
    path = here / "sub" / f"t{suffix}"
    path.parent.mkdir()
    writer = {".csv": table.to_csv, ".xlsx": table.to_excel, ".parquet": table.to_parquet}.get(suffix)
    writer(path, index=False) if writer else table.to_csv(path, index=False, sep="\t")
    cases = list_cases(f"sub/t{suffix}")
    assert [(case.case_id, case.image, case.source) for case in cases] == [
        ("007", "pics/a.png", "sub/pics/a.png"),
        ("x", str(here / "b.png"), str(here / "b.png")),
    ]


def test_a_table_without_ids_and_with_an_empty_image(here):
    Path("t.csv").write_text("image,age\na.png,3\n,4\n")
    cases = list_cases(["first.png", "t.csv"])
    assert [(case.case_id, case.image, case.source) for case in cases] == [
        ("1", "first.png", "first.png"),
        ("2", "a.png", "./a.png"),
        ("3", "", None),
    ]


def test_a_data_frame_is_a_table(here):
    frame = pd.DataFrame({"image": ["a.png", "b.png"], "case_id": [7, 8]})
    assert shown(frame) == [("7", "a.png"), ("8", "b.png")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,images\na,b\n", "t.csv: the table has no column 'image', did you mean 'images'"),
        ("image.ed,image.es\na,b\n", r"several images a case \(image.ed, image.es\), and the model takes one"),
        ("case_id,image\n7,a.png\n,b.png\n", "t.csv: row 3 has no case_id"),
        ("case_id,image\n7,a.png\n7,b.png\n", "the case id '7' occurs twice"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(here, text, message):
    Path("t.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        list_cases("t.csv")


def test_a_missing_table_is_refused_as_a_whole(here):
    with pytest.raises(InputError, match="does not exist"):
        list_cases("nowhere.csv")


def test_ids_of_a_table_and_running_numbers_may_not_meet(here):
    Path("t.csv").write_text("case_id,image\n2,a.png\n")
    with pytest.raises(InputError, match="'2' occurs twice; correct the tables, or read tables and loose pictures"):
        list_cases(["t.csv", "b.png"])


def test_medmnist_npz_holds_all_its_arrays(here):
    np.savez(
        "m.npz",
        train_images=np.zeros((2, 8, 8), np.uint8),
        test_images=np.zeros((1, 8, 8, 3), np.uint8),
        train_labels=[0, 1],
    )
    assert [image for _, image in shown("m.npz")] == [
        "m.npz#train_images[0]",
        "m.npz#train_images[1]",
        "m.npz#test_images[0]",
    ]
    np.savez("v.npz", test_images=np.zeros((1, 8, 8, 8, 1), np.uint8))
    with pytest.raises(InputError, match="not a stack of 2-D images"):
        list_cases("v.npz")
    np.savez("n.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="the npz file has no image arrays"):
        list_cases("n.npz")
    touch("bad.npz")
    with pytest.raises(InputError, match="not a readable npz file"):
        list_cases("bad.npz")


def test_arrays(here):
    assert shown(np.zeros((2, 8, 8), np.uint8)) == [("1", "array[0]"), ("2", "array[1]")]
    assert len(list_cases(np.zeros((3, 8, 8, 3), np.uint8))) == 3
    for bad in (
        np.zeros((8, 8), np.uint8),
        np.zeros((2, 8, 8), float),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((0, 8, 8), np.uint8),
    ):
        with pytest.raises(InputError, match=r"must be uint8 \(N, H, W\)"):
            list_cases(bad)


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_a_name_that_is_no_utf8_is_shown_escaped_and_still_read(here):
    raw = os.fsdecode(b"\xff.png")
    touch(raw)
    (case,) = list_cases(raw)
    assert case.image == "\\udcff.png"
    assert case.source == raw


NIFTI = b"\x5c\x01\x00\x00" + bytes(340) + b"n+1\x00" + bytes(200)


def test_volumes_are_found_below_a_folder(here):
    touch("d/b.nii", "d/sub/a.nii", data=NIFTI)
    touch("d/series/1", "d/series/2", "d/deep/er/x", data=bytes(128) + b"DICM")
    touch("d/notes.txt", "d/.hidden.nii", "d/p.png")
    found = list_cases("d", Wanted(volumes=True))
    assert [case.source for case in found] == ["d/b.nii", "d/deep/er", "d/series", "d/sub/a.nii"]
    touch("empty/notes.txt")
    with pytest.raises(InputError, match="empty: the folder holds no volumes"):
        list_cases("empty", Wanted(volumes=True))


def test_several_images_a_case(here):
    names = Wanted(volumes=True, names=("FLAIR", "T1"))
    (case,) = list_cases(["f.nii", "t.nii"], names)
    assert (case.case_id, case.image, case.source, case.others) == ("1", "f.nii", "f.nii", ("t.nii",))
    (whole,) = list_cases("both.nii", names)
    assert (whole.source, whole.others) == ("both.nii", ())
    table = pd.DataFrame({"case_id": ["x", "y"], "image.T1": ["t", None], "image.FLAIR": ["f", "g"]})
    assert [(case.source, case.others) for case in list_cases(table, names)] == [("./f", ("./t",)), ("./g", (None,))]
    one = pd.DataFrame({"image": ["a", "b"]})
    assert [(case.source, case.others) for case in list_cases(one, names)] == [("./a", ()), ("./b", ())]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a", "b", "c"], r"a case has 2 images \(FLAIR, T1\), and 3 files were given; give the files of one case"),
        (pd.DataFrame({"image.T1": ["t"]}), "the table has no column 'image.FLAIR'"),
        (np.zeros((1, 8, 8), np.uint8), "an array has no geometry and no channels"),
    ],
)
def test_several_images_that_do_not_fit_are_refused(here, given, message):
    with pytest.raises(InputError, match=message):
        list_cases(given, Wanted(volumes=True, names=("FLAIR", "T1")))
