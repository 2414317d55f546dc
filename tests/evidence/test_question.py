from __future__ import annotations

import pytest

from semeion.errors import InputError
from semeion.evidence.question import Question, figure_class


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("t", "guess"),
            "target 't': unknown task 'guess'; use one of binary, multiclass, multilabel, ordinal, regression",
        ),
        (("t", "binary", ("a", "b", "c")), "target 't': 3 classes for the task binary; name exactly 2 of them"),
        (("t", "multiclass", ("a",)), "target 't': 1 classes for the task multiclass; name at least 2 of them"),
        (("t", "multilabel", ()), "target 't': 0 classes for the task multilabel; name at least 1 of them"),
        (("t", "ordinal", ("a", "a")), "target 't': a class is named twice; give every class its own name"),
        (
            ("t", "binary", ("a", "b"), "c"),
            "target 't': the positive class 'c' is not among the classes; use one of a, b",
        ),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Question(*arguments)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_class_named_macro_does_not_hide_the_average() -> None:
    assert figure_class("macro") == "%6Dacro"
    assert figure_class("a b") == "a%20b"


def test_targets_and_positive_class() -> None:
    assert Question("t", "binary", ("a", "b"), "a").positive_index == 0
    assert Question("t", "binary", ("a", "b")).positive_index == 1
    assert Question("x,y", "multilabel", ("x", "y")).targets == ("x", "y")
    assert Question("t", "regression").targets == ("t",)
