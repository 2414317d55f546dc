"""Maps in the gallery: of members that did not learn from the case, and only where the method passed its trials."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json, write_json
from semeion.cohort.cohort import read_cohort
from semeion.plan.files import read_plan
from semeion.prepare.store import open_store
from semeion.study.folder import RunFolder
from semeion.study.gallery_maps import add_maps, map_picture
from semeion.study.learning import Trained
from semeion.study.road import sides_of
from support.tiny import TinyRun

PASSED = {"activation": {"verdict": "passed"}}


@pytest.fixture
def run(tiny_run: TinyRun, tmp_path: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(tiny_run.path, tmp_path / "run")))


def add(run: RunFolder, explanations: dict[str, Any], split: str | None = None) -> list[dict[str, Any]]:
    """Add maps to the gallery of a finished run; with `split` as if its cases were of that split."""
    cohort, facts = read_cohort(run / "cohort.parquet"), pd.read_parquet(run / "scan.parquet")
    plan = read_plan(run / "plan.executed.yaml")
    parts = sides_of(cohort, facts, plan)  # type: ignore[arg-type]
    path = run / "gallery" / "gallery.json"
    if split == "oof":
        held_out = [str(cohort.table["case_id"].iloc[side.held_out[0]]) for side in parts]
        entries = [one | {"split": split} for one in read_json(path)["cases"][: len(parts)]]
        write_json(path, {"cases": [one | {"case_id": case} for one, case in zip(entries, held_out, strict=True)]})
    count = add_maps(run, cohort, Trained(plan), open_store(run / "store"), parts, explanations)  # type: ignore[arg-type]
    found = [one for one in read_json(path)["cases"] if one["kind"] == "where"]
    assert len(found) == count
    return found


def test_test_cases_are_read_by_all_members_that_ship(run: RunFolder) -> None:
    before = read_json(run / "gallery" / "gallery.json")["cases"]
    found = add(run, PASSED)
    assert found
    assert read_json(run / "gallery" / "gallery.json")["cases"][: len(before)] == before
    members = {member.name for member in read_plan(run / "plan.executed.yaml").members}
    shown = {one["case_id"]: one for one in before}
    for one in found:
        assert set(one["members"]) == members
        assert (one["method"], one["unit"]) == ("activation", "logit/1%")
        assert one["explains"] == one["call"] == shown[one["case_id"]]["call"]
        assert one["outcome"] == shown[one["case_id"]]["kind"]
        picture = cv2.imread(str(run / "gallery" / one["file"]))
        assert min(picture.shape[:2]) >= 192
        assert (picture[..., 0].astype(int) - picture[..., 2]).any(), "something is painted"


def test_a_held_out_case_of_a_fold_is_read_by_that_folds_members_alone(run: RunFolder) -> None:
    plan = read_plan(run / "plan.executed.yaml")
    found = add(run, PASSED, split="oof")
    cohort, facts = read_cohort(run / "cohort.parquet"), pd.read_parquet(run / "scan.parquet")
    rows = {case: row for row, case in enumerate(cohort.table["case_id"])}
    for one in found:
        [side] = [part for part in sides_of(cohort, facts, plan) if rows[one["case_id"]] in part.held_out]  # type: ignore[arg-type]
        assert set(one["members"]) == {member.name for member in plan.members if member.fold == side.fold}
        assert rows[one["case_id"]] not in side.learn


@pytest.mark.parametrize("verdict", ["failed", "not_run"])
def test_a_method_that_did_not_pass_shows_nothing(verdict: str, run: RunFolder) -> None:
    assert add(run, {"activation": {"verdict": verdict}}) == []
    assert add(run, {}) == []


def test_a_map_lies_over_each_group_and_the_slices_that_add_most() -> None:
    pixels = np.full((2, 5, 200, 220), 90, np.uint8)
    values = np.zeros((2, 5, 200, 220), np.float32)
    values[0, 1, 30:50, 40:60], values[1, 3, 140:160, 90:110] = 1.0, 0.5
    picture = map_picture(pixels, values, 1.0).astype(int)
    assert picture.shape == (3 * 200 + 4, 2 * 220 + 2, 3)
    red = picture[..., 0] - picture[..., 2]
    assert red[:, :220].max() == red.max() > 80
    assert 20 < red[:, 222:].max() < red.max(), "one scale for all groups"
    single = map_picture(np.full((3, 28, 28), 90, np.uint8), np.ones((1, 28, 28), np.float32), 1.0)
    assert single.shape[:2] == (196, 196)
