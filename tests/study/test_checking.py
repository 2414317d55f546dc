"""``check.json``: what is in the cohort, and what would void a result."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from semeion.artefacts import read_json
from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError
from semeion.progress import Silent
from semeion.study.checking import check_source, to_png
from semeion.study.options import RunOptions
from support.tiny import PATIENT, make_cohort, write_picture

KEYS = {
    *("schema", "semeion", "target", "task", "positive", "classes", "why", "source", "n_cases", "n_patients"),
    *("has_patients", "has_split", "splits", "images", "unused", "covariates", "notes", "flow", "audits", "cleaning"),
}


def test_the_account_of_a_cohort(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=40, split="given")
    cohort.image(5).unlink()
    options = RunOptions(CohortOptions(target="finding"), jobs=1)
    check = check_source(cohort.table, options, tmp_path / "check", Silent())
    assert set(check) >= KEYS
    assert (check["n_cases"], check["n_patients"], check["has_split"]) == (40, 20, True)
    assert (check["images"]["ok"], check["images"]["missing"], check["images"]["unreadable"]) == (39, 1, 0)
    assert check["images"]["formats"] == {"png": 39}
    assert check["audits"]["unreadable-images"]["cases"] == ["case-005"]
    written = read_json(tmp_path / "check" / "check.json")
    assert written["audits"] == check["audits"]
    page = (tmp_path / "check" / "check.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert PATIENT not in page
    assert written["examples"]


def test_without_an_output_nothing_is_written(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=20)
    before = sorted(tmp_path.rglob("*"))
    check = check_source(cohort.table, RunOptions(CohortOptions(target="finding"), jobs=1), None, Silent())
    assert check["n_cases"] == 20
    assert sorted(tmp_path.rglob("*")) == before


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=20)
    (tmp_path / "check").write_text("mine")
    with pytest.raises(InputError, match="check: is a file; choose a folder with -o"):
        check_source(cohort.table, RunOptions(CohortOptions(target="finding"), jobs=1), tmp_path / "check", Silent())


def test_mixed_sizes_and_channels_are_counted(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=20)
    rng = np.random.default_rng(0)
    write_picture(cohort.image(0), rng.integers(0, 256, (64, 48, 3), dtype=np.uint8))
    write_picture(cohort.image(1), rng.integers(0, 65536, (30, 24), dtype=np.uint16))
    images = check_source(cohort.table, RunOptions(CohortOptions(target="finding"), jobs=1), None, Silent())["images"]
    assert images["bits"] == {"8": 19, "16": 1}
    assert images["photometry"] == {"grey": 19, "colour": 1}
    assert (images["rows"]["min"], images["rows"]["max"]) == (24, 64)


def test_large_pictures_are_shown_small() -> None:
    shown = cv2.imdecode(np.frombuffer(to_png(np.zeros((640, 320), np.uint8)), np.uint8), cv2.IMREAD_UNCHANGED)
    assert shown.shape == (320, 160)
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert cv2.imdecode(np.frombuffer(to_png(red), np.uint8), cv2.IMREAD_UNCHANGED)[0, 0].tolist() == [0, 0, 255]
