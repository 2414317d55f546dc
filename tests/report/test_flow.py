"""The flow of cases adds up to the row, or the page says that it does not."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.report.evidence import Evidence
from semeion.report.flow import flow_content
from semeion.report.flow_picture import WIDTH, flow_picture
from semeion.report.page import write_report
from semeion.report.people import People
from semeion.report.reading import Artefacts


def artefacts(steps: list[int], splits: dict[str, int], reason: str = "unreadable", **more: Any) -> Artefacts:
    flow = [{"step": f"step {k}", "n_cases": n, "n_patients": n, "reason": reason} for k, n in enumerate(steps)]
    parts = {
        name: {"n": n, "n_patients": n, "class_counts": {"a": n - n // 3, "b": n // 3}} for name, n in splits.items()
    }
    given = {"schema": 1, "semeion": "0", "target": "t", "task": "binary", "positive": "b", "classes": ["a", "b"]}
    return Artefacts(Evidence.model_validate({**given, "flow": flow, "splits": parts}), **more)


def nobody() -> People:
    return People(pd.DataFrame({"case_id": [], "split": []}), "", True, pd.DataFrame({"patient_id": [], "side": []}))


@given(st.lists(st.integers(0, 50), max_size=4), st.tuples(*[st.integers(0, 90)] * 3), st.integers(0, 20))
def test_every_case_is_left_out_or_in_one_split(left: list[int], sizes: tuple[int, int, int], unplaced: int) -> None:
    splits = dict(zip(("train", "val", "test"), sizes, strict=True))
    last = sum(sizes) + unplaced
    steps = [last + sum(left[k:]) for k in range(len(left) + 1)]
    found = flow_content(artefacts(steps, splits), nobody())
    assert [row["left_out"] for row in found["steps"]] == [0, *left]
    total = (
        sum(row["left_out"] for row in found["steps"]) + sum(part["n"] for part in found["parts"]) + found["unplaced"]
    )
    assert total == steps[0]
    assert found["adds_up"] == (unplaced == 0) and not found["gaps"]
    for part in found["parts"]:
        assert part["events"] == {"b": splits[part["split"]] // 3}


def test_out_of_fold_cases_are_not_counted_twice() -> None:
    found = flow_content(artefacts([30], {"oof": 20, "test": 10}), nobody())
    assert found["adds_up"]
    found = flow_content(artefacts([30], {"train": 20, "oof": 20, "test": 10}), nobody())
    assert [part["split"] for part in found["parts"]] == ["train", "test"] and found["adds_up"]


@pytest.mark.parametrize(
    ("steps", "splits", "gap"),
    [
        ([20, 30], {"train": 20, "test": 10}, "step 1 has 10 cases more than the step before"),
        ([30], {"train": 20, "test": 12}, "the splits hold 2 cases more than entered"),
    ],
)
def test_what_does_not_add_up_is_said(steps: list[int], splits: dict[str, int], gap: str) -> None:
    found = flow_content(artefacts(steps, splits), nobody())
    assert found["gaps"] == [gap] and not found["adds_up"]
    assert found["sentence"] == f"The numbers do not add up: {gap}."


def test_a_cohort_of_other_rows_than_its_flow_is_said() -> None:
    table = pd.DataFrame({"case_id": ["1", "2"], "split": "test"})
    people = People(table, "cohort.parquet", True, table.assign(patient_id="1", side="test"))
    found = flow_content(artefacts([3], {"test": 3}, cohort={"flow": [{"n_cases": 3}]}), people)
    assert found["gaps"] == ["cohort.parquet has 2 rows, and its flow ends with 3"]


def test_the_page_sounds_the_alarm(build: ModuleType, tmp_path: Path) -> None:
    evidence = build.binary()
    evidence["splits"]["train"]["n"] += 5
    write_report(build.write_run(tmp_path, evidence))
    page = (tmp_path / "report.html").read_text()
    assert '<p class="alarm">The numbers do not add up: the splits hold 5 cases more than entered.</p>' in page


def test_the_picture_holds_every_number_and_stays_inside(build: ModuleType) -> None:
    long = "the file is damaged, or of a kind that nobody has heard of, or <b>missing</b> " * 5
    found = flow_content(artefacts([812, 806, 780], {"train": 546, "val": 70, "test": 150}, long), nobody())
    root = ET.fromstring(flow_picture(found))
    texts = [element.text or "" for element in root.iter("text")]
    for shown in (
        "812 cases, 812 patients",
        "6 cases left out",
        "26 cases left out",
        "546",
        "70",
        "150",
        "b: 182",
        "14",
    ):
        assert shown in texts, shown
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    assert width == WIDTH
    for box in root.iter("rect"):
        x, y, wide, tall = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + wide <= width and y + tall <= height
    assert (root.find("desc") is not None) and "<b>missing</b>" in str(root.find("desc").text)  # type: ignore[union-attr]
    assert root.attrib["role"] == "img"


def test_many_splits_stand_below_one_another() -> None:
    found = flow_content(artefacts([40], {"train": 10, "val": 10, "test": 10, "external": 10}), nobody())
    root = ET.fromstring(flow_picture(found))
    assert len({box.attrib["y"] for box in root.iter("rect")}) == 3


def test_nothing_recorded_gives_a_picture_without_boxes() -> None:
    found = flow_content(artefacts([], {}), nobody())
    assert not list(ET.fromstring(flow_picture(found)).iter("rect"))
    assert found["sentence"] == "The flow of cases was not recorded."
