"""Label randomisation and agreement of a frozen member beside a network, neither of which learned from the case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.plan.files import write_plan
from semeion.plan.schema import Plan
from semeion.study.explained_labels import random_labels
from semeion.study.explained_run import OpenedRun, opened_run
from semeion.study.explaining import FEWEST_CASES, held_out_sides, trial_of
from support.tiny import make_cohort, make_plan, train_tiny


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> OpenedRun:
    home = tmp_path_factory.mktemp("frozen")
    fields = make_plan(scheme="given").model_dump(mode="json", by_alias=True)
    fields["recipes"] = {"frozen": {"kind": "frozen", "side": 32, "layers": ["stride8", "head"]}}
    fields["members"].append({"name": "frozen-seed0", "recipe": "frozen", "fold": -1, "seed": 1, "steps": 0})
    write_plan(Plan.model_validate(fields), home / "fixed.yaml")
    run = train_tiny(make_cohort(home / "source", split="given"), home / "fixed.yaml", home / "run")
    return opened_run(run.path)


def told(opened: OpenedRun) -> dict[str, Any]:
    return opened.trials(seed=0)["activation"]


def test_a_head_is_learned_again_and_two_members_are_compared(opened: OpenedRun) -> None:
    found = told(opened)
    assert found["cases"] == "validation cases, read by all members"
    assert "neither of which learned from the case" in found["members"]
    figures = found["figures"]
    assert {"members", "members_over_randomised", "random_labels"} <= set(figures)
    assert "frozen-seed0 learned again" in found["labels"]
    assert figures["random_labels"]["cases"] == "held-out cases of frozen-seed0 alone"
    # What was learned from real labels of bright and dark discs is not what chance teaches.
    assert figures["random_labels"]["value"] < 0.7
    assert figures["randomised"]["value"] < 0.5
    assert figures["noise"]["value"] > 0.8


def test_labels_are_not_tried_where_time_is_short(opened: OpenedRun) -> None:
    args = (opened.cohort, opened.trained, opened.store, "activation", {}, 0)
    trial = trial_of(opened.run, *args)
    sides = held_out_sides(opened.run, opened.trained, opened.parts)
    given = (opened.trained, opened.store, opened.y, opened.groups, opened.parts, sides)
    short = random_labels(opened.run, trial, *given, 0.0)
    assert short.values is None
    assert "more than was left" in short.told
    assert trial.fewest == FEWEST_CASES


def test_the_head_of_one_member_is_drawn_anew_with_the_graph_shared(opened: OpenedRun) -> None:
    sides = held_out_sides(opened.run, opened.trained, opened.parts)
    heads = {one.name: one.head is not None for one in sides[0].members}
    assert heads == {"seed0": False, "frozen-seed0": True}
    assert sum(one.share for one in sides[0].members) == pytest.approx(1.0)
    assert {one.graph for one in sides[0].members} == {"seed0", "frozen"}
    assert not set(sides[0].rows) & set(np.flatnonzero(opened.cohort.table["split"] != "val"))


def test_the_folder_is_left_as_it_was(opened: OpenedRun) -> None:
    before = {path: path.stat().st_size for path in Path(opened.run.path).rglob("*") if path.name != "log.jsonl"}
    told(opened)
    after = {path: path.stat().st_size for path in Path(opened.run.path).rglob("*") if path.name != "log.jsonl"}
    assert before == after
