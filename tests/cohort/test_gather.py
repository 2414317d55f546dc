"""The way in, as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.cohort.cohort import CohortOptions, Target, read_cohort, write_cohort
from semeion.cohort.gather import gather
from semeion.errors import InputError
from support.spheres import make_spheres, write_volume

TABLE = """case_id,image,patient_id,site,split,finding,age,sex,remark
01,a/1.png,p1,A,train,benign,50,f,
02,a/2.png,p1,A,train,malignant,50,f,late
03,a/3.png,p2,B,val,benign,61.5,m,
04,a/4.png,p3,B,test,malignant,70,m,
"""


def table(folder: Path, text: str = TABLE) -> Path:
    (folder / "cohort.csv").write_text(text)
    return folder / "cohort.csv"


def message(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        gather(path, CohortOptions(**options))
    return str(caught.value)


def test_a_table_becomes_a_cohort_without_reading_images(tmp_path: Path) -> None:
    cohort = gather(table(tmp_path), CohortOptions(target="finding", covariates=("age",)))
    first = ["case_id", "patient_id", "site", "split", "image", "y"]
    assert list(cohort.table.columns) == [*first, "finding", "age", "sex", "remark"]
    assert list(cohort.table.index) == [0, 1, 2, 3]
    assert cohort.table["image"].iloc[0] == str(tmp_path / "a" / "1.png")
    assert cohort.table["y"].tolist() == [0, 1, 0, 1]
    assert cohort.table["age"].tolist() == [50, 50, 61.5, 70]
    assert (cohort.covariates, cohort.unused) == (("age",), ("sex", "remark"))
    assert (cohort.has_patients, cohort.has_split, cohort.source) == (True, True, "cohort.csv")
    assert [(step.n_cases, step.n_patients) for step in cohort.flow] == [(4, 3)]


def test_a_cohort_survives_being_written(tmp_path: Path) -> None:
    cohort = gather(table(tmp_path), CohortOptions(target="finding"))
    write_cohort(cohort, tmp_path / "cohort.parquet")
    back = read_cohort(tmp_path / "cohort.parquet")
    assert (back.target, back.flow, back.unused, back.notes) == (
        cohort.target,
        cohort.flow,
        cohort.unused,
        cohort.notes,
    )
    pd.testing.assert_frame_equal(back.table, cohort.table)


def test_relative_and_absolute_sources_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path)
    monkeypatch.chdir(tmp_path)
    relative = gather(Path("cohort.csv"), CohortOptions(target="finding"))
    pd.testing.assert_frame_equal(relative.table, gather(path, CohortOptions(target="finding")).table)


def test_without_a_split_or_patients(tmp_path: Path) -> None:
    cohort = gather(table(tmp_path, "image,y\na.png,0\nb.png,1\n"), CohortOptions(target="y"))
    assert (cohort.has_patients, cohort.has_split) == (False, False)
    assert cohort.table["patient_id"].tolist() == ["1", "2"]
    assert cohort.table["y"].tolist() == [0.0, 1.0]


def test_a_column_that_the_target_would_overwrite_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "image,finding,y\na.png,x,0\nb.png,z,1\n")
    text = message(path, target="finding")
    assert "column 'y' of the table would be overwritten by the target; rename it in the table" in text


def test_an_input_that_holds_the_target_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "image,finding,copy\na.png,x,x\nb.png,z,z\n")
    text = message(path, target="finding", covariates=("copy",))
    assert "the input 'copy' (--covariates) holds the same values as the target 'finding'" in text


def test_an_unknown_target_suggests_the_nearest(tmp_path: Path) -> None:
    text = message(table(tmp_path), target="finding_")
    assert text.startswith(
        "cohort.csv: no column 'finding_' (--target), did you mean 'finding'?; choose one of case_id"
    )


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    broken = (
        TABLE.replace("02,a/2.png", "01,").replace("val", "vale").replace("61.5,m", "61.5,m").replace("malignant", "")
    )
    text = message(table(tmp_path, broken), target="finding", covariates=("weight",))
    for part in (
        "cohort.csv: 6 things are wrong",
        "no column 'weight' (--covariates)",
        "the same case_id in several rows: '01' (rows 2, 3)",
        "split is none of train, val, test: 'vale' (row 4)",
        "no image in row 3",
        "no finding in rows 3, 5",
        "every case is 'benign'",
    ):
        assert part in text
    assert "p1" not in text


def test_the_model_that_is_weighed_says_what_the_classes_are(tmp_path: Path) -> None:
    expected = Target("finding", "binary", ("benign", "malignant"), "malignant", "as the model was trained")
    path = table(tmp_path, "image,diagnosis\na.png,malignant\nb.png,malignant\n")
    cohort = gather(path, CohortOptions(target="diagnosis", no_split=True), expected=expected)
    assert (cohort.target.name, cohort.target.classes) == ("diagnosis", ("benign", "malignant"))
    assert cohort.table["y"].tolist() == [1.0, 1.0]


def test_a_missing_source_suggests_the_nearest(tmp_path: Path) -> None:
    table(tmp_path)
    assert "cohort.cvs: does not exist, did you mean 'cohort.csv'?" in message(tmp_path / "cohort.cvs")


def test_importing_the_room_loads_no_pandas() -> None:
    code = "import sys\nfrom semeion.cohort import Image, read_image\nprint('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.real_data
def test_real_breast_ultrasound(data: Path) -> None:
    source = data / "busi" / "cases.csv"
    cohort = gather(source, CohortOptions(target="finding"))
    assert (cohort.target.task, cohort.target.classes) == ("multiclass", ("benign", "malignant", "normal"))
    assert all(Path(path).is_file() for path in cohort.table["image"])
    assert cohort.unused == ("n_lesions",)
    merged = gather(source, CohortOptions(target="finding", labels={"normal": "other", "benign": "other"}))
    assert (merged.target.classes, int(merged.table["y"].sum())) == (("other", "malignant"), 210)
    assert "holds a table (cases.csv)" in message(data / "busi")


def nnunet(folder: Path) -> Path:
    """A data set of four cases with two channels on one grid."""
    make_spheres(folder / "made", n=4, images=("a", "b"), split=False, masks=True)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir()
    for case in range(4):
        for number, channel in enumerate("ab"):
            made = folder / "made" / "volumes" / f"{case:03d}.{channel}.nii.gz"
            made.rename(folder / "imagesTr" / f"p{case}_{number:04d}.nii.gz")
        (folder / "made" / "masks" / f"{case:03d}.a.nii.gz").rename(folder / "labelsTr" / f"p{case}.nii.gz")
    facts = {"channel_names": {"0": "FLAIR", "1": "T1"}, "labels": {"background": 0, "lesion": 1}}
    (folder / "dataset.json").write_text(json.dumps(facts))
    return folder


def test_a_dataset_json_is_segmented(tmp_path: Path) -> None:
    for source in (nnunet(tmp_path), tmp_path / "dataset.json"):
        cohort = gather(source)
        assert (cohort.target.task, cohort.target.classes, cohort.target.values) == ("segmentation", ("lesion",), (1,))
        assert (cohort.images.kind, cohort.images.role) == ("volume", "channels")
        assert cohort.images.names == ("FLAIR", "T1")
        assert not cohort.has_patients
    with pytest.raises(InputError, match="holds masks and no diagnoses"):
        gather(tmp_path, CohortOptions(target="finding"))
    with pytest.raises(InputError, match=r"--group p names a column, and a dataset\.json has none"):
        gather(tmp_path, CohortOptions(group="p"))


def test_class_folders_may_hold_volumes(tmp_path: Path) -> None:
    for name in ("no", "yes"):
        for case in range(2):
            write_volume(tmp_path / name / f"{case}.nii.gz", np.full((4, 8, 8), case, np.int16))
    cohort = gather(tmp_path)
    assert (cohort.images.kind, cohort.target.positive, len(cohort.table)) == ("volume", "yes", 4)
