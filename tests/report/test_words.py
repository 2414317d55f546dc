"""Numbers and names as a clinician reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.report import words


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        ({"value": 0.9123, "low": 0.851, "high": 0.958}, "0.912 (0.85 to 0.96)"),
        ({"value": 0.9123, "low": 0.901, "high": 0.921}, "0.912 (0.901 to 0.921)"),
        ({"value": -0.06, "low": -0.26, "high": 0.1}, "−0.060 (−0.26 to 0.10)"),
        ({"value": None, "low": None, "high": None}, "not defined"),
        ({"value": 1.0, "low": None, "high": None}, "1.000"),
    ],
)
def test_figures(figure: dict[str, float | None], text: str) -> None:
    assert words.figure_text("auroc", figure) == text


def test_figures_in_the_unit_of_the_target_have_significant_digits() -> None:
    assert words.figure_text("mae", {"value": 1234.5, "low": 1190.2, "high": 1301.7}) == "1234 (1190 to 1302)"
    assert words.figure_text("rmse", {"value": 0.01234, "low": 0.011, "high": 0.0137}) == "0.0123 (0.0110 to 0.0137)"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (4.26, "4.3 s"), (48.4, "48 s"), (852, "14 min 12 s"), (11100, "3 h 05 min")]
)
def test_durations(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


def test_names_of_classes_are_decoded() -> None:
    assert words.metric_name("recall_normal%20or%20benign") == "Recall of normal or benign"
    assert words.metric_name("f1_macro") == "F1 score, mean of classes"
    assert words.metric_name("dice_left%20part") == "Dice: left part"
    assert words.metric_name("surprise") == "surprise"


def test_counts_and_shares() -> None:
    assert words.plural(1, "case") == "1 case"
    assert words.plural(12345, "case") == "12\u202f345 cases"
    assert words.percent(7, 39) == "18\u00a0%"
    assert words.percent(1, 39) == "2.6\u00a0%"
    assert words.percent(0, 0) == "no cases"


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_numbers_never_show_a_negative_zero_or_a_hyphen(value: float) -> None:
    for text in (words.number(value), words.significant(value)):
        assert "-" not in text
        assert text not in ("−0", "−0.000")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8))
def test_any_value_of_a_plan_can_be_written(value: object) -> None:
    written = words.plain(value)
    assert words.plain({"a": value, "b": [value, value]}) == f"a: {written}; b: {written}, {written}"
