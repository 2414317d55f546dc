"""Task, classes, order and positive class: understood, shown, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.cohort.classes import infer_positive
from semeion.cohort.cohort import CohortOptions, Target
from semeion.cohort.problems import Problems
from semeion.cohort.question import Question
from semeion.cohort.target import ask, name_found_labels
from semeion.errors import InputError


def asked(values: Any, expected: Target | None = None, **options: Any) -> Question:
    """Ask about one column (a list) or several (a dict)."""
    columns = values if isinstance(values, dict) else {"finding": values}
    table = pd.DataFrame({name: pd.Series(list(column), dtype="str") for name, column in columns.items()})
    table.index = pd.RangeIndex(2, 2 + len(table), name="row")
    problems = Problems("cohort.csv")
    question = ask(table, tuple(columns), CohortOptions(**options), problems, expected)
    problems.raise_any()
    assert question is not None
    return question


def message(values: Any, expected: Target | None = None, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        asked(values, expected, **options)
    return str(caught.value)


def y(question: Question) -> list[float]:
    return question.truth["y"].tolist()


@pytest.mark.parametrize(
    ("values", "classes", "why"),
    [
        (["benign", "malignant", "benign"], ("benign", "malignant"), "because its name says a disease or a yes"),
        (["0", "1", "1"], ("0", "1"), "because its name says a disease or a yes"),
        (["1", "2", "2"], ("2", "1"), "being the rarer one"),
        (["yes", "no", "yes"], ("no", "yes"), "because its name says a disease or a yes"),
        (["normal", "GBM", "GBM"], ("normal", "GBM"), "because 'normal' names the healthy or negative one"),
        (["A", "B", "B"], ("B", "A"), "being the rarer one"),
        (["A", "B"], ("A", "B"), "being the last by name of two equally frequent classes"),
        (["normal", "abnormal"], ("normal", "abnormal"), "because its name says a disease or a yes"),
        (["true", "false", "false"], ("false", "true"), "because its name says a disease or a yes"),
        (["0.0", "1.0", "1"], ("0", "1"), "because its name says a disease or a yes"),
    ],
)
def test_the_positive_class_of_a_binary_target(values: list[str], classes: tuple[str, ...], why: str) -> None:
    target = asked(values).target
    assert (target.task, target.classes, target.positive) == ("binary", classes, classes[1])
    assert why in target.why
    assert target.why.endswith("(--positive names another).")


def test_a_named_positive_class() -> None:
    question = asked(["0", "1", "1"], positive="0")
    assert question.target.classes == ("1", "0")
    assert y(question) == [1.0, 0.0, 0.0]
    assert "as asked by --positive" in question.target.why


def test_labels_name_codes() -> None:
    question = asked(["0", "1", "1"], labels={"0": "malignant", "1": "normal or benign"})
    assert question.target.classes == ("normal or benign", "malignant")
    assert y(question) == [1.0, 0.0, 0.0]
    by_code = asked(["0", "1", "1"], labels={"0": "left", "1": "right"}, positive="0")
    assert by_code.target.positive == "left"


def test_labels_merge_classes() -> None:
    labels = {"normal": "other", "benign": "other"}
    question = asked(["benign", "malignant", "normal"], labels=labels)
    assert question.target.classes == ("other", "malignant")
    assert y(question) == [0.0, 1.0, 0.0]


def test_several_classes_are_sorted_as_a_person_would() -> None:
    assert asked(["10", "9", "1", "10", "9", "1"]).target.classes == ("1", "9", "10")
    names = asked(["b", "A", "c", "b", "A", "c"]).target
    assert (names.task, names.classes, names.positive) == ("multiclass", ("A", "b", "c"), None)
    assert asked(["t10", "t9", "t1", "t9"]).target.classes == ("t1", "t9", "t10")
    assert asked(["a", "b"], task="multiclass").target.task == "multiclass"


def test_codes_with_leading_zeros_are_names() -> None:
    assert asked(["01", "02", "02", "01"]).target.classes in (("01", "02"), ("02", "01"))


def test_numbers_with_many_values_are_measurements() -> None:
    values = [str(value) for value in np.linspace(20, 80, 30).round(1)]
    question = asked(values)
    assert (question.target.task, question.target.classes) == ("regression", ())
    assert y(question)[:2] == [20.0, 22.1]
    assert asked([str(age) for age in range(40, 70)]).target.task == "regression"
    assert asked(["1", "2", "3", "4"] * 3).target.task == "multiclass"
    assert asked(["1", "2", "3"] * 3, task="regression").target.task == "regression"


def test_decimal_commas_are_read_and_said() -> None:
    question = asked(["1,5", "2,25", "3", "4,125"] * 3)
    assert y(question)[:4] == [1.5, 2.25, 3.0, 4.125]
    assert question.notes == ("finding: decimal commas are read as points.",)


def test_an_ordinal_target() -> None:
    by_number = asked(["grade 2", "grade 0", "grade 10"], task="ordinal")
    assert by_number.target.classes == ("grade 0", "grade 2", "grade 10")
    named = asked(["mild", "none", "severe"], task="ordinal", order=("none", "mild", "severe"))
    assert y(named) == [1.0, 0.0, 2.0]
    assert "none < mild < severe" in named.target.why
    assert asked(["mild", "none", "severe"], order=("none", "mild", "severe")).target.task == "ordinal"


def test_several_columns_are_several_labels() -> None:
    question = asked({"a": ["1", "0", None], "b": ["yes", "no", "0"]})
    assert (question.target.name, question.target.task, question.target.classes) == ("a,b", "multilabel", ("a", "b"))
    np.testing.assert_array_equal(question.truth["y.a"], [1, 0, np.nan])
    np.testing.assert_array_equal(question.truth["y.b"], [1, 0, 0])
    assert question.notes == ("1 of 6 labels are not known and count as neither.",)


def test_one_column_of_presence_is_one_label() -> None:
    question = asked({"mass": ["1", "0", None]}, task="multilabel")
    assert (question.target.name, question.target.classes) == ("mass", ("mass",))
    np.testing.assert_array_equal(question.truth["y.mass"], [1, 0, np.nan])
    again = asked({"mass": ["1", "1"]}, question.target)
    np.testing.assert_array_equal(again.truth["y.mass"], [1, 1])


def test_one_delimited_column_is_several_labels() -> None:
    question = asked(["effusion; mass", "No Finding", "mass", None, "nodule"])
    assert question.target.classes == ("effusion", "mass", "nodule")
    np.testing.assert_array_equal(question.truth["y.mass"], [1, 0, 1, np.nan, 0])
    assert asked(["a|b", "a", "b"], delimiter="|").target.task == "multilabel"


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (["a", None, "b", "NA"], {}, "no finding in rows 3, 5; fill it in, or remove such cases from the table"),
        ([None, "NA"], {}, "the target 'finding' is empty; name another --target"),
        (["a", "a"], {}, "every case is 'a': finding has one class only; add cases of the other class"),
        (
            ["benign"] * 9 + ["malignant"] * 9 + ["bengin"],
            {},
            "finding 'bengin' in row 20 (1 of 19 cases) is probably 'benign' misspelt; correct it, or",
        ),
        (
            ["benign"] * 4 + ["Benign"] * 3 + ["malignant"] * 9,
            {},
            "finding 'Benign' in rows 6, 7, 8 (3 of 16 cases) is probably 'benign' misspelt",
        ),
        (["a", "b"], {"positive": "c"}, "--positive 'c' is no class of finding; choose 'a' or 'b'"),
        (["benign", "malignant"], {"positive": "malignent"}, "did you mean 'malignant'?"),
        (["a", "b", "c"], {"positive": "a"}, "--positive 'a' needs a binary target, and this one is multiclass"),
        (["a", "b", "c"], {"task": "binary"}, "--task binary, and finding holds 3 classes (a, b, c); merge classes"),
        (["a", "b", "c"], {"task": "ordinal"}, "the order of the grades 'a', 'b', 'c' cannot be known"),
        (["a", "b"], {"order": ("a", "bb", "b")}, "--order names 'bb', which no case has, did you mean 'b'?"),
        (["a", "b", "c"], {"order": ("a", "b")}, "--order leaves out 'c'"),
        (["a", "b"], {"order": ("a", "b", "a")}, "--order names a grade twice"),
        (["0", "1"], {"labels": {"2": "x"}}, "--labels names '2', and finding holds '0', '1'"),
        ([str(n / 7) for n in range(20)] + ["unk"], {}, "finding is no number: 'unk' (row 22)"),
        (["1", "x", "nan"], {"task": "regression"}, "finding is no number: 'x' (row 3)"),
        (["1", "1e999", "2"], {"task": "regression"}, "finding is no number: '1e999' (row 3)"),
        (["5", "5"], {"task": "regression"}, "every case has the same finding: 5"),
        ([f"case {c}" for c in "abcdefghijklmnop"], {}, "finding holds 16 different values in 16 cases, which are no"),
        ({"a": ["1", "2", "0"], "b": ["1", "0", "0"]}, {}, "a is neither 0 nor 1: '2' (row 3)"),
        ({"a": ["0", "0"], "b": ["1", "0"]}, {}, "label 'a' of a,b has one class only; leave such labels out"),
        (
            {"a": ["0", "1"], "b": ["1", "0"]},
            {"task": "binary"},
            "--task binary needs one target column, and 2 are named",
        ),
        (["a;nodule", "a", "nodule"] * 5 + ["nodlue"], {}, "finding 'nodlue' in row 17 is probably 'nodule' misspelt"),
    ],
)
def test_what_is_wrong_with_a_target(values: Any, options: dict[str, Any], words: str) -> None:
    assert words in message(values, **options)


def test_rows_are_counted_when_there_are_many() -> None:
    text = message(["a", "b"] * 20 + [None] * 45)
    assert "rows 42, 43" in text
    assert "61 and 25 more (45 in all)" in text


def test_a_slip_that_is_meant_can_be_named() -> None:
    values = ["benign"] * 9 + ["malignant"] * 9 + ["bengin"]
    assert len(asked(values, labels={"bengin": "benign"}).target.classes) == 2
    assert len(asked(values, labels={"bengin": "bengin"}).target.classes) == 3


BINARY = Target("finding", "binary", ("benign", "malignant"), "malignant")


def test_the_target_of_a_model_is_taken_as_it_is() -> None:
    question = asked(["malignant", "malignant"], BINARY)
    assert (question.target.classes, question.target.positive, y(question)) == (BINARY.classes, "malignant", [1.0, 1.0])
    named = asked(["0", "1"], BINARY, labels={"0": "malignant", "1": "benign"})
    assert y(named) == [1.0, 0.0]


def test_labels_that_the_model_does_not_know_are_refused() -> None:
    text = message(["malignant", "Benign", "benign"], BINARY)
    assert "finding 'Benign' in row 3 is no class of the model ('benign', 'malignant'), did you mean 'benign'?" in text
    assert "name it with --labels Benign=CLASS" in text


def test_other_tasks_as_a_model_expects_them() -> None:
    assert y(asked(["5", "5"], Target("age", "regression"))) == [5.0, 5.0]
    several = Target("a,b", "multilabel", ("a", "b"))
    question = asked({"b": ["1", "1"], "a": ["0", None]}, several)
    assert list(question.truth.columns) == ["y.a", "y.b"]
    assert "no column for label 'b' of the model" in message({"a": ["1", "0"], "c": ["1", "0"]}, several)
    one = asked(["a", "no finding"], Target("finding", "multilabel", ("a", "b")))
    assert one.truth["y.b"].tolist() == [0.0, 0.0]
    assert "holds label 'c', unknown to the model ('a', 'b')" in message(["a;c"], several)
    assert "the model's target is one column, and 2 are named" in message({"a": ["1"], "b": ["0"]}, BINARY)


@given(st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta"]), min_size=4, max_size=40))
def test_truth_and_classes_agree(values: list[str]) -> None:
    if len(set(values)) < 2:
        return
    question = asked(values)
    assert [question.target.classes[int(index)] for index in question.truth["y"]] == values
    assert (question.target.positive is not None) == (question.target.task == "binary")


def test_one_beside_two_says_nothing() -> None:
    assert infer_positive(["1", "2"], {"1": 5, "2": 3}) == ("2", "being the rarer one")


def masks(**options: Any) -> Question | None:
    """Ask for masks; problems are raised."""
    problems = Problems("cohort.csv")
    table = pd.DataFrame({"mask": pd.Series(["a.nii", "b.nii"], dtype="str")})
    question = ask(table, ("mask",), CohortOptions(target="mask", **options), problems)
    problems.raise_any()
    return question


def test_a_column_of_masks_is_segmented() -> None:
    question = masks(labels={"0": "background", "2": "posterior", "1": "anterior"})
    assert question is not None
    target = question.target
    assert (target.task, target.classes, target.values) == ("segmentation", ("anterior", "posterior"), (1, 2))
    assert target.columns == ()
    assert question.truth.shape == (2, 0)
    assert target.why == "The task is segmentation, since 'mask' holds masks."


def test_labels_that_nothing_names_are_called_by_their_numbers() -> None:
    question = masks(task="segmentation")
    assert question is not None
    assert question.target.values == ()
    found = name_found_labels(question.target, {0, 3, 1})
    assert (found.classes, found.values) == (("1", "3"), (1, 3))
    assert "called by the numbers in the masks" in found.why
    assert name_found_labels(found, {7}) == found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": {"a": "lesion"}}, "--labels names 'a', and masks hold whole numbers from 0 to 255"),
        ({"labels": {"256": "lesion"}}, "--labels names '256', and masks hold whole numbers from 0 to 255"),
        ({"labels": {"1": "x", "2": "x"}}, "--labels calls two labels 'x'"),
        ({"labels": {"0": "background"}}, "--labels names nothing but the background"),
        ({"positive": "1"}, "--positive 1 has no meaning for a segmentation"),
    ],
)
def test_what_is_wrong_with_labels_of_masks(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        masks(**options)
    assert words in str(caught.value)


def test_a_model_of_masks_wants_masks() -> None:
    expected = Target("mask", "segmentation", ("lesion",), values=(1,))
    problems = Problems("t")
    table = pd.DataFrame({"truth": pd.Series(["a.nii"], dtype="str")})
    question = ask(table, ("truth",), CohortOptions(target="truth", task="segmentation"), problems, expected)
    assert question is not None
    assert (question.target.name, question.target.values) == ("truth", (1,))
    ask(table, ("truth",), CohortOptions(task="segmentation"), problems, Target("x", "regression"))
    assert problems.found[0][0] == "the model's target is regression, and 'truth' holds masks"
