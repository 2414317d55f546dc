"""Weights of cases and votes of raters: what is refused, what a plan says, what members are taught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plan.made import cohort_of, plan_of
from semeion.audit.raters import reader_columns
from semeion.cohort.cohort import Cohort, CohortOptions, Target, read_cohort, write_cohort
from semeion.cohort.gather import gather
from semeion.errors import InputError
from semeion.study.options import RunOptions
from semeion.study.teaching import (
    as_planned,
    read_teaching,
    refuse_other_teaching,
    refuse_teaching,
    refuse_unused,
    refused_teaching,
    teaching_notes,
    vote_shares,
    with_teaching,
)

HEAD = "image,finding,w,a,b,c"


def table(folder: Path, rows: list[str], head: str = HEAD) -> Path:
    path = folder / "cohort.csv"
    path.write_text("\n".join([head, *(f"{row}.png,{text}" for row, text in enumerate(rows))]) + "\n")
    for row in range(len(rows)):
        (folder / f"{row}.png").touch()
    return path


def gathered(folder: Path, rows: list[str], **options: Any) -> Cohort:
    return gather(table(folder, rows), CohortOptions(target="finding", **options))


def voted(task: str = "binary", **columns: list[Any]) -> Cohort:
    cohort = cohort_of(6, task)
    frame = cohort.table.assign(**columns)
    return replace(cohort, table=frame, raters=tuple(columns))


def test_weights_are_read_from_their_column_and_kept(tmp_path: Path) -> None:
    cohort = gathered(tmp_path, ["benign,2.5,,,", "malignant,1,,,", "benign,10,,,"], weight="w")
    assert cohort.weight == "w" and "w" not in cohort.unused
    assert cohort.table["w"].tolist() == [2.5, 1.0, 10.0]
    write_cohort(cohort, tmp_path / "cohort.parquet")
    assert read_cohort(tmp_path / "cohort.parquet").weight == "w"


def test_weights_that_are_none_are_refused_with_their_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        gathered(
            tmp_path, ["benign,2,,,", "malignant,-1,,,", "benign,,,,", "benign,many,,,", "benign,0,,,"], weight="w"
        )
    said = str(caught.value)
    assert "w (--weight) is no number above 0" in said
    for part in ("'-1' (row 3)", "nothing (row 4)", "'many' (row 5)", "'0' (row 6)"):
        assert part in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weight": "ww"}, "no column 'ww' (--weight)"),
        ({"weight": "finding"}, "'finding' cannot be given with --weight: it holds the target"),
        ({"weight": "image"}, "'image' cannot be given with --weight: it holds the images"),
        ({"weight": "w", "covariates": ("w",)}, "'w' cannot be given with --weight: it holds an input"),
        ({"raters": ("a", "bb")}, "no column 'bb' (--raters)"),
    ],
)
def test_columns_that_cannot_be_are_refused(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        gathered(tmp_path, ["benign,2,,,", "malignant,1,,,"], **options)
    assert said in str(caught.value)


def test_a_folder_of_classes_has_no_such_columns(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").touch()
    for options, said in (({"weight": "w"}, "--weight w names a column"), ({"raters": ("a",)}, "--raters a names")):
        with pytest.raises(InputError, match=said):
            gather(tmp_path, CohortOptions(**options))


def test_shares_are_of_the_votes_that_there_are(tmp_path: Path) -> None:
    rows = ["benign,1,benign,benign,malignant", "malignant,1,malignant,,Malignant", "malignant,1,,,"]
    cohort = gathered(tmp_path, rows, raters=("a", "b", "c"))
    refuse_teaching(cohort)
    assert cohort.target.classes == ("benign", "malignant")
    np.testing.assert_allclose(vote_shares(cohort), [[2 / 3, 1 / 3], [0, 1], [0, 1]])
    assert reader_columns(cohort) == {"finding": ("a", "b", "c")}


def test_grades_are_voted_on_by_name() -> None:
    cohort = voted("ordinal", a=["low", "mid", "high"] * 2, b=["mid"] * 6)
    assert vote_shares(cohort)[:3].tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5]]


@pytest.mark.parametrize(
    ("cohort", "said"),
    [
        (voted(a=["benign"] * 6, b=["unsure", *["benign"] * 5]), "1 votes are for none of 'benign', 'malignant'"),
        (voted("ordinal", a=["low"] * 6, b=["none", *["mid"] * 5]), "1 votes are for none of 'low', 'mid', 'high'"),
        (voted(a=["benign"] * 6), "one rater has no shares of votes"),
        (
            voted("regression", a=[1.0] * 6, b=[1.0] * 6),
            "shares of votes are of classes, and 'age' is a measured value",
        ),
        (voted("multilabel", a=[1] * 6, b=[1] * 6), "'signs' is several labels"),
        (replace(voted(a=[1] * 6, b=[1] * 6), structures={"lv": 1}), "a diagnosis from measurements is not learned"),
        (
            replace(cohort_of(6), weight="w", target=Target("mask", "segmentation", ("liver",), values=(1,))),
            "masks are not learned with weight",
        ),
    ],
)
def test_votes_that_cannot_be_taught_are_refused(cohort: Cohort, said: str) -> None:
    with pytest.raises(InputError) as caught:
        refuse_teaching(cohort)
    assert said in str(caught.value)


def test_what_learns_nothing_with_them_refuses_them() -> None:
    refuse_unused(cohort_of(6), "a learning curve")
    with pytest.raises(InputError, match="--weight: a learning curve does not learn with them; leave --weight out"):
        refuse_unused(replace(cohort_of(6), weight="w"), "a learning curve")
    with pytest.raises(InputError, match="--raters: "):
        refuse_unused(replace(cohort_of(6), raters=("a", "b")), "a learning curve")


def test_a_refused_vote_is_shown_with_its_case() -> None:
    with pytest.raises(InputError) as caught:
        refuse_teaching(voted(a=["benign"] * 6, b=[*["benign"] * 5, "unsure"]))
    assert list(caught.value.details) == ["case c5: b says 'unsure'"]
    [said] = refused_teaching(voted(a=["benign"] * 6, b=[*["benign"] * 5, "unsure"]))
    assert said.startswith("Training would refuse --raters: 1 votes are for none of") and "case c5" in said
    assert refused_teaching(cohort_of(6)) == []


def test_the_plan_keeps_what_was_named_and_refuses_other_columns() -> None:
    cohort = replace(cohort_of(60), weight="w", raters=("a", "b"))
    plan = with_teaching(plan_of(), cohort)
    assert plan.teaching is not None
    assert (plan.teaching.weight, plan.teaching.raters) == ("w", ["a", "b"])
    assert with_teaching(plan_of(), cohort_of(60)).teaching is None
    refuse_other_teaching(plan, cohort, Path("plan.yaml"))
    with pytest.raises(InputError, match="the plan has --raters a, b, and none was given"):
        refuse_other_teaching(plan, replace(cohort, raters=()), Path("plan.yaml"))
    asked = as_planned(RunOptions(), plan)
    assert (asked.cohort.weight, asked.cohort.raters) == ("w", ("a", "b"))
    assert as_planned(RunOptions(), plan_of()) == RunOptions()


def test_options_are_remembered_and_left_out_where_nobody_asked() -> None:
    assert not {"weight", "raters"} & set(RunOptions().to_json()["cohort"])
    asked = RunOptions(CohortOptions(weight="w", raters=("a", "b")))
    assert RunOptions.from_json(asked.to_json()) == asked


def test_members_are_taught_what_the_run_keeps(tmp_path: Path) -> None:
    cohort = voted(a=["benign"] * 6, b=["malignant"] * 6)
    cohort = replace(cohort, table=cohort.table.assign(w=[1, 2, 3, 4, 5, 6]), weight="w")
    write_cohort(cohort, tmp_path / "cohort.parquet")
    assert read_teaching(tmp_path, plan_of()) is None
    taught = read_teaching(tmp_path, with_teaching(plan_of(), cohort))
    assert taught is not None and taught.shares is not None
    assert taught.weight.tolist() == [1, 2, 3, 4, 5, 6] and taught.shares.tolist() == [[0.5, 0.5]] * 6


def test_the_reader_is_told_what_members_were_taught() -> None:
    cohort = voted(a=["benign"] * 5 + [None], b=["malignant"] * 3 + ["benign"] * 2 + [None])
    cohort = replace(cohort, table=cohort.table.assign(w=[1.0, 1, 1, 1, 1, 5]), weight="w")
    weights, votes = teaching_notes(cohort, np.arange(6))
    assert "'w' (1 to 5)" in weights and "as much as 3 of 6 equal cases" in weights
    assert "differ in 3 of 6 cases" in votes and "of the 1 cases that nobody voted on" in votes
    assert teaching_notes(cohort_of(6), np.arange(6)) == []
