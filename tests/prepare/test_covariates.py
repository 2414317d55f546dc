import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from semeion.errors import InputError
from semeion.prepare.covariate_fit import fit_encoding
from semeion.prepare.covariates import (
    Encoding,
    Levels,
    Number,
    YesNo,
    covariate_remarks,
    number_of,
    refuse_unread,
    text_of,
)

AGE = Number(name="age", fill=60, low=40, high=80, margin=20)
SMOKER = YesNo(name="smoker")
HAND = Levels(name="hand", levels=["left", "Right"])
ENCODING = Encoding(columns=[AGE, SMOKER, HAND])
ANY = st.one_of(st.none(), st.floats(), st.integers(), st.booleans(), st.text())


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), ("1.0", "1"), (True, "yes"), (" a  b ", "a b"), ("n/a", None), (float("nan"), None), ("inf", "inf")],
)
def test_a_cell_says_the_same_however_it_is_written(value, text):
    assert text_of(value) == text


def test_numbers_are_read_and_words_are_none():
    assert number_of("7.50") == 7.5
    assert np.isnan(number_of(""))
    assert number_of("about 7") is None
    assert number_of("5,4") is None


def test_features_by_hand():
    rows = {"age": [50, "", 1000], "smoker": ["No", True, "sometimes"], "hand": ["RIGHT", None, "both"]}
    assert ENCODING.features == (
        *("age", "age: (missing)", "smoker", "smoker: (missing)", "smoker: (other)"),
        *("hand: left", "hand: Right", "hand: (missing)", "hand: (other)"),
    )
    assert ENCODING.encode(rows).tolist() == [
        [50, 0, 0, 0, 0, 0, 1, 0, 0],
        [60, 1, 1, 0, 0, 0, 0, 1, 0],  # the median, and that it was missing
        [100, 0, 0.5, 0, 1, 0, 0, 0, 1],  # cut where it is far
    ]
    assert ENCODING.owner.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2]


def test_what_is_odd_is_said_of_its_case():
    assert covariate_remarks(ENCODING.columns, {"age": 100, "smoker": "yes", "hand": "left"}) == ()
    said = covariate_remarks(ENCODING.columns, {"age": 101, "smoker": "x", "hand": "both"})
    assert said == (
        "covariate-far: age 101, trained on 40 to 80",
        "covariate-unseen: smoker 'x' is no yes or no",
        "covariate-unseen: hand 'both', trained on left, Right",
    )
    said = covariate_remarks(ENCODING.columns, {"age": "old", "hand": ""})
    assert said == (
        "covariate-missing: age 'old' is no number, the median stands in",
        "covariate-missing: smoker",
        "covariate-missing: hand",
    )


@given(st.lists(st.tuples(ANY, ANY, ANY), min_size=1, max_size=8))
def test_whatever_a_table_holds_becomes_finite_numbers(rows):
    columns = dict(zip(("age", "smoker", "hand"), zip(*rows, strict=True), strict=True))
    x = ENCODING.encode(columns)
    assert x.shape == (len(rows), len(ENCODING.features))
    assert np.isfinite(x).all()
    assert ((x[:, 0] >= 20) & (x[:, 0] <= 100)).all()
    for row in rows:
        assert all(
            text.startswith("covariate-")
            for text in covariate_remarks(ENCODING.columns, dict(zip(columns, row, strict=True)))
        )


def test_a_missing_column_is_named():
    with pytest.raises(InputError) as refused:
        ENCODING.encode({"age": [1], "smoker": [1]})
    assert str(refused.value) == (
        "the table: the model needs the covariate hand; give a table with the columns age, smoker, hand; single values "
        "may be missing"
    )


def test_a_column_of_another_type_is_refused():
    rows = {"age": ["old", "young"], "smoker": [1, 0], "hand": ["a", "b"]}
    with pytest.raises(InputError, match=r"'age' was a number in training, and no value here is \(first: 'old'\)"):
        refuse_unread(ENCODING.columns, rows, "new.csv")
    rows = {"age": ["old", "7"], "smoker": ["m", ""], "hand": ["a", "b"]}
    with pytest.raises(InputError, match="'smoker' was yes or no in training"):
        refuse_unread(ENCODING.columns, rows, "new.csv")
    refuse_unread(ENCODING.columns, {"age": ["", None], "smoker": ["", "yes"], "hand": [1, 2]}, "new.csv")
    # A case that comes alone is answered, and warned of, as it is among others.
    refuse_unread(ENCODING.columns, {"age": ["old"], "smoker": ["sometimes"], "hand": ["left"]}, "new.csv")


def test_it_ships_as_json_and_what_is_wrong_in_it_is_refused():
    text = ENCODING.model_dump_json(by_alias=True)
    assert Encoding.model_validate_json(text, strict=True) == ENCODING
    for change in (
        {"columns": []},
        {"columns": [json.loads(AGE.model_dump_json())] * 2},
        {"columns": [{"kind": "number", "name": "a", "fill": 1, "low": 0, "high": 2, "margin": -1}]},
        {"columns": [{"kind": "code", "name": "a"}]},
        {"columns": [{"kind": "levels", "name": "a", "levels": [f"l{k}" for k in range(31)]}]},
        {"columns": [{"kind": "yes-no", "name": f"c{k}"} for k in range(101)]},
        {"more": 1},
    ):
        with pytest.raises(ValidationError):
            Encoding.model_validate({**json.loads(text), **change})


def test_contributions_are_added_up_by_column():
    added = np.arange(18.0).reshape(1, 9, 2)
    assert ENCODING.by_column(added).tolist() == [[[0 + 2, 1 + 3], [4 + 6 + 8, 5 + 7 + 9], [52, 56]]]


def test_levels_of_few_patients_have_no_name():
    hands = ["left"] * 5 + ["Right"] * 3 + ["right"] * 4 + ["both"] * 4 + ["unknown hand"] * 9
    patients = [*range(16), *[99] * 9]  # nine cases of one patient name nothing
    encoding = fit_encoding({"hand": hands}, {"hand": "levels"}, patients)
    assert encoding.columns[0].levels == ["left", "right"]
    assert "both" not in encoding.model_dump_json()
    assert encoding.encode({"hand": ["both", "never seen"]})[:, -1].tolist() == [1, 1]


def test_numbers_are_described_by_quantiles():
    rng = np.random.default_rng(0)
    ages = rng.normal(60, 10, 500).round(3)
    column = fit_encoding({"age": [*ages, None, float("nan")]}, {"age": "number"}, range(502)).columns[0]
    low, middle, high = np.percentile(ages, [5, 50, 95])
    assert (column.low, column.fill, column.high) == pytest.approx((low, middle, high), abs=0.5)
    assert column.margin == pytest.approx((column.high - column.low) / 2, rel=1e-3)
    # 95 of 100 have none: the range has no width, and the others are not cut away.
    column = fit_encoding({"n": [0] * 95 + [3] * 5}, {"n": "number"}, range(100)).columns[0]
    assert column.margin > 1
    empty = fit_encoding({"n": [None, ""]}, {"n": "number"}, range(2))
    assert empty.encode({"n": [5, None]}).tolist() == [[0, 0], [0, 1]]
