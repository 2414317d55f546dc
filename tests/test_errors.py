"""The family of errors: its wording, its exit statuses, its way across processes."""

from __future__ import annotations

import difflib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.errors import (
    ImageError,
    InputError,
    Interrupted,
    MachineError,
    ModelRefused,
    SemeionError,
    nearest,
)

FAMILY = (SemeionError, InputError, ImageError, ModelRefused, MachineError, Interrupted)


def test_a_message_says_where_what_and_what_to_do() -> None:
    error = InputError("image 'a/17.png' does not exist", where="cohort.csv row 17", fix="correct the path")
    assert str(error) == "cohort.csv row 17: image 'a/17.png' does not exist; correct the path"
    assert (error.what, error.where, error.fix) == (
        "image 'a/17.png' does not exist",
        "cohort.csv row 17",
        "correct the path",
    )


@pytest.mark.parametrize(
    ("where", "fix", "message"),
    [
        (None, None, "the table is empty"),
        ("t.csv", None, "t.csv: the table is empty"),
        (None, "add rows", "the table is empty; add rows"),
    ],
)
def test_where_and_fix_may_be_absent(where: str | None, fix: str | None, message: str) -> None:
    assert str(InputError("the table is empty", where=where, fix=fix)) == message


@pytest.mark.parametrize(
    ("kind", "status"),
    [(SemeionError, 2), (InputError, 2), (ImageError, 2), (ModelRefused, 3), (MachineError, 4), (Interrupted, 130)],
)
def test_exit_statuses_are_the_documented_ones(kind: type[SemeionError], status: int) -> None:
    assert kind("x").exit_status == status
    assert issubclass(kind, SemeionError)


def test_an_image_error_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"^a\.png: truncated$"):
        raise ImageError("truncated", where="a.png")


@given(
    kind=st.sampled_from(FAMILY),
    what=st.text(),
    where=st.none() | st.text(),
    fix=st.none() | st.text(),
)
def test_an_error_survives_pickling(kind: type[SemeionError], what: str, where: str | None, fix: str | None) -> None:
    error = kind(what, where=where, fix=fix)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.what, copy.where, copy.fix, str(copy)) == (what, where, fix, str(error))


def test_a_near_name_is_suggested_and_a_far_one_is_not() -> None:
    assert nearest("fnding", ["finding", "age", "site"]) == ", did you mean 'finding'?"
    assert nearest("fnding", ["age", "site"]) == ""
    assert nearest("fnding", []) == ""


@pytest.mark.parametrize(
    ("name", "right"),
    [("sx", "sex"), ("sexx", "sex"), ("aeg", "age"), ("agf", "age"), ("tset", "test"), ("malign", "malignant")],
)
def test_a_short_name_is_near_by_one_slip_or_as_a_beginning(name: str, right: str) -> None:
    assert nearest(name, ["image", right, "finding"]) == f", did you mean {right!r}?"


@pytest.mark.parametrize("name", ["age", "ID", "mag", "ind", "in"])
def test_a_short_name_is_not_near_for_letters_in_common(name: str) -> None:
    assert nearest(name, ["image", "finding", "width"]) == ""


@given(st.text(min_size=1, max_size=9), st.integers(0, 8), st.sampled_from("abc"))
def test_one_slip_never_hides_a_name(name: str, place: int, letter: str) -> None:
    place %= len(name)
    slips = {
        name[:place] + name[place + 1 :],
        name[:place] + letter + name[place:],
        name[:place] + letter + name[place + 1 :],
        name[:place] + name[place : place + 2][::-1] + name[place + 2 :],
    }
    for slip in slips - {""}:
        # Of one or two letters a slip leaves little in common.
        alike = difflib.SequenceMatcher(None, name, slip).ratio() >= 0.6
        assert bool(nearest(slip, [name])) == alike
