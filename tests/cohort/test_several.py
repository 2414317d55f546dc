"""When columns are several targets, what of the options is of which, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from semeion.cli.options import cohort_options
from semeion.cohort.cohort import CohortOptions
from semeion.cohort.gather import gather
from semeion.cohort.several import folder_names, refuse_several, targets_of, with_known
from semeion.errors import InputError


def line(row: int) -> str:
    kind, grade = ("benign", "malignant")[row % 2], ("low", "mid", "high")[row % 3]
    return f"{row}.png,{kind},{grade},{row}.5,{row % 2},{row // 2 % 2}"


ROWS = "image,type,grade,size,left,right\n" + "\n".join(map(line, range(24))) + "\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for row in range(24):
        (tmp_path / f"{row}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "cohort.csv").write_text(ROWS)
    return tmp_path / "cohort.csv"


def asked(table: Path, target: str, **options: Any) -> dict[str, CohortOptions]:
    return targets_of(table, cohort_options(target, **options))


def test_columns_of_0_and_1_are_labels_of_one_question_as_ever(table: Path) -> None:
    assert asked(table, "left,right") == {}
    assert asked(table, "left,right", task="multilabel") == {}
    assert gather(table, CohortOptions(target="left,right")).target.task == "multilabel"


def test_other_columns_are_targets_of_their_own(table: Path) -> None:
    found = asked(table, "type,size")
    assert list(found) == ["type", "size"]
    assert found["type"].target == "type" and found["type"].beside == ("size",)
    assert gather(table, found["type"]).target.task == "binary"
    assert gather(table, found["size"]).target.task == "regression"


def test_options_speak_of_targets_by_name(table: Path) -> None:
    found = asked(
        table,
        "type,grade,left",
        task="grade=ordinal,left=binary",
        order="grade=low,mid,high",
        positive="type=benign,left=0",
        labels="left:1=sick,left:0=well",
    )
    assert (found["grade"].task, found["grade"].order) == ("ordinal", ("low", "mid", "high"))
    assert found["type"].positive == "benign" and found["type"].task is None
    assert found["left"].labels == {"1": "sick", "0": "well"} and found["left"].positive == "0"
    assert gather(table, found["grade"]).target.classes == ("low", "mid", "high")
    assert gather(table, found["type"]).target.positive == "benign"
    assert gather(table, found["left"]).target.positive == "well"


def test_columns_of_0_and_1_are_targets_where_an_option_says_so(table: Path) -> None:
    assert list(asked(table, "left,right", task="left=binary")) == ["left", "right"]
    assert list(asked(table, "left,right", positive="left=1")) == ["left", "right"]


def test_what_another_target_says_is_no_column_to_weigh_by(table: Path) -> None:
    cohort = gather(table, asked(table, "type,grade")["type"])
    assert cohort.unused == ("size", "left", "right")


def test_a_case_without_a_target_serves_the_others(table: Path) -> None:
    table.write_text(ROWS.replace("3.png,malignant", "3.png,").replace("5.png,malignant,high", "5.png,malignant,"))
    found = asked(table, "type,grade")
    kind = with_known(gather(table, found["type"]), found["type"].beside)
    grade = with_known(gather(table, found["grade"]), found["grade"].beside)
    # The end of a name that another one shares must not be taken for it.
    lacking = 24 - len(kind.table)
    assert lacking >= 1 and kind.flow[-1].reason.endswith("serve the other target alone (grade)")
    assert len(grade.table) < 24 and grade.flow[-1].step == "with grade"
    table.write_text(ROWS.replace("\n3.png,malignant,low", "\n3.png,,"))
    with pytest.raises(InputError, match="no type or grade in row 5"):
        gather(table, asked(table, "type,grade")["type"])


def test_one_mistyped_cell_makes_no_target(table: Path) -> None:
    """Nearly all cells are 0 or 1: labels with a slip, told with both ways out."""
    table.write_text(ROWS.replace("7.png,malignant,mid,7.5,1,1", "7.png,malignant,mid,7.5,2,1"))
    assert asked(table, "left,right") == {}
    with pytest.raises(InputError, match=r"left is neither 0 nor 1: '2' \(row 9\)") as refused:
        gather(table, CohortOptions(target="left,right"))
    assert "--task left=TASK" in str(refused.value.fix)


@pytest.mark.parametrize(
    ("target", "options", "said", "fix"),
    [
        (
            "type,grade",
            {"task": "ordinal"},
            "--task ordinal does not say of which target, and 2 are named",
            "write --task type=ordinal,grade=ordinal; or --task multilabel when the columns are labels of 0 and 1",
        ),
        (
            "type,grade",
            {"task": "tipe=binary"},
            "--task speaks of 'tipe', which is no target, did you mean 'type'?",
            "the targets are type, grade",
        ),
        ("type,grade", {"task": "type=binari"}, "unknown task 'binari' of 'type'", None),
        ("type,grade", {"task": "type=multilabel"}, "'type' is to be a multilabel target beside others", None),
        ("type", {"task": "type=binary"}, "--task type=binary speaks of targets by their names", "write --task binary"),
        (
            "type,grade",
            {"positive": "malignant"},
            "--positive 'malignant' does not say of which target",
            "the targets are type, grade: write for example --positive type=malignant",
        ),
        ("type,grade", {"positive": "type=benign,type=malignant"}, "--positive names two classes of 'type'", None),
        (
            "type,grade",
            {"order": "low,mid,high"},
            "--order 'low' does not say of which target",
            "the targets are type, grade: write for example --order grade=low,mid,high",
        ),
        ("type,grade", {"order": "grade=low,mid,high,grade=a"}, "--order orders 'grade' twice", None),
        (
            "type,grade",
            {"labels": "0=benign"},
            "--labels '0=benign' does not say of which target",
            "the targets are type, grade: write for example --labels type:0=benign",
        ),
        ("type,grade", {"covariates": "grade"}, "'grade' is a target and also an input (--covariates)", None),
        ("type,grade", {"weight": "size"}, "--weight speaks of one target, and 2 are named", None),
        ("type,grade", {"raters": "left,right"}, "--raters speaks of one target, and 2 are named", None),
        ("type,grade", {"structures": "1=lv"}, "a diagnosis from measurements is of one target", None),
    ],
)
def test_what_is_ambiguous_or_impossible_names_the_way_out(
    table: Path, target: str, options: dict[str, str], said: str, fix: str | None
) -> None:
    with pytest.raises(InputError) as refused:
        asked(table, target, **options)
    assert said in refused.value.what
    assert refused.value.fix if fix is None else refused.value.fix == fix


def test_masks_and_delimited_labels_are_no_targets_beside_others(table: Path) -> None:
    table.write_text(ROWS.replace("right\n", "mask\n", 1))
    with pytest.raises(InputError, match="'mask' holds masks, and one run does not segment and diagnose"):
        asked(table, "type,mask")
    table.write_text(ROWS.replace("4.png,benign,mid", "4.png,benign,mid;low"))
    found = asked(table, "type,grade")
    with pytest.raises(InputError, match="one run does not learn a multi-label target beside others"):
        gather(table, found["grade"])


def test_a_wrong_name_is_told_with_all_else_that_is_wrong_with_the_table(table: Path) -> None:
    assert asked(table, "type,grde", task="type=binary") == {}
    with pytest.raises(InputError, match=r"no column 'grde' \(--target\), did you mean 'grade'\?"):
        gather(table, cohort_options("type,grde"))


def test_who_takes_one_target_says_so(table: Path) -> None:
    with pytest.raises(InputError, match=r"a learning curve is of one target, and 2 are named \(type, grade\)"):
        refuse_several(table, CohortOptions(target="type,grade"), "a learning curve")
    refuse_several(table, CohortOptions(target="type"), "a learning curve")


def test_folders_are_portable_and_differ() -> None:
    assert folder_names(["type", "Grade (WHO)", "grade-WHO", "度"]) == {
        "type": "type",
        "Grade (WHO)": "Grade-WHO",
        "grade-WHO": "grade-WHO-3",
        "度": "target-4",
    }
    names = ["a-b-3", "a b", "a-b", "a_b", "A-B", "a.b"]
    assert len({folder.lower() for folder in folder_names(names).values()}) == len(names)
