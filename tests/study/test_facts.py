"""Facts of cases whose images are volumes, or several pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semeion.audit.copies import near_pairs
from semeion.cohort.cohort import CohortOptions
from semeion.cohort.gather import gather
from semeion.errors import InputError
from semeion.prepare.scan import scan
from semeion.progress import Silent
from semeion.study.facts import read_everything
from semeion.study.inspect import inspect
from semeion.study.options import RunOptions
from support.spheres import make_spheres, write_volume
from support.tiny import write_picture


def pictures(folder: Path) -> Path:
    rows = []
    for case in range(6):
        row = {"finding": "yes" if case % 2 else "no"}
        for name in ("left", "right"):
            row[f"image.{name}"] = f"{case}{name}.png"
            pixels = np.random.default_rng([case, len(name)]).integers(0, 255, (12, 12), np.uint8)
            write_picture(folder / row[f"image.{name}"], pixels)
        rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "c.csv", index=False)
    return folder / "c.csv"


def test_several_pictures_make_one_row(tmp_path: Path) -> None:
    table = pictures(tmp_path)
    (tmp_path / "2right.png").unlink()
    (tmp_path / "3left.png").write_bytes(b"no picture")
    (tmp_path / "5right.png").write_bytes((tmp_path / "1right.png").read_bytes())
    (tmp_path / "5left.png").write_bytes((tmp_path / "1left.png").read_bytes())
    (tmp_path / "4left.png").write_bytes((tmp_path / "0left.png").read_bytes())
    cohort = gather(table, CohortOptions(target="finding", views=("left", "right")))
    facts = read_everything(cohort, jobs=1, progress=Silent())
    assert facts["status"].tolist() == ["ok", "ok", "missing", "unreadable", "ok", "ok"]
    assert facts["problem"][2].startswith("image.right: does not exist")
    assert facts["problem"][3].startswith("image.left: ")
    # Copies are cases all of whose pictures are equal.
    assert facts["pixel_hash"][5] == facts["pixel_hash"][1]
    assert facts["pixel_hash"][4] != facts["pixel_hash"][0]
    assert list(facts.columns) == list(scan(cohort).columns)


def test_volumes_have_the_columns_that_audits_read(tmp_path: Path) -> None:
    table = make_spheres(tmp_path, n=8)
    write_volume(tmp_path / "volumes" / "001.nii.gz", np.full((10, 16, 14), 3, np.int16))
    facts = read_everything(gather(table, CohortOptions(target="finding")), jobs=1, progress=Silent())
    assert facts["blank"].tolist() == [False, True, *[False] * 6]
    assert facts[["rows", "cols", "size_k"]].iloc[0].tolist() == [16, 14, 10]
    pairs, compared = near_pairs(facts)
    assert (len(pairs), compared) == (0, "none")


def test_labels_are_named_by_what_training_masks_hold(tmp_path: Path) -> None:
    table = make_spheres(tmp_path, n=8, masks=True)
    seen = inspect(table, RunOptions(CohortOptions(target="mask")), Silent())
    assert (seen.cohort.target.classes, seen.cohort.target.values) == (("1",), (1,))
    assert seen.audits["class-counts"].figures["cases_1"] == 8
    assert seen.audits["class-counts"].advice.startswith("Label '1' is in the masks of 8 cases.")
    for file in (tmp_path / "masks").iterdir():
        write_volume(file, np.zeros((10, 16, 14), np.uint8))
    with pytest.raises(InputError, match="no mask of a training case holds a label"):
        inspect(table, RunOptions(CohortOptions(target="mask")), Silent())
