"""What ships of headers: words that five patients share, where nearly every case has one."""

from __future__ import annotations

import pandas as pd

from semeion.study.inputs_seen import header_inputs


def seen(**columns) -> tuple[pd.DataFrame, pd.Series]:
    n = len(next(iter(columns.values())))
    return pd.DataFrame(columns), pd.Series([f"p{row}" for row in range(n)])


def test_words_of_nearly_every_case_ship():
    facts, patients = seen(
        body_part=["breast"] * 38 + ["chest breast"] + [""],
        laterality=["left"] * 39 + ["right"],
        bits=pd.array([8] * 39 + [12], dtype="Int64"),
        blank=[False] * 38 + [True] * 2,
    )
    expected = {"body_part": ["breast"], "laterality": ["left"], "bits": (8, 12), "blank": 0.05}
    assert header_inputs(facts, patients) == expected


def test_headers_that_are_wrong_too_often_are_held_against_nobody():
    wrong = ["abdomen", "abdomen", "hand", "hand", "knee", "knee"]
    facts, patients = seen(body_part=["chest"] * 34 + wrong)
    assert header_inputs(facts, patients)["body_part"] == []
    # Words of several parts count where one of them is known.
    facts, patients = seen(body_part=["chest"] * 34 + ["abdomen chest"] * 3 + ["chest neck"] * 3)
    assert header_inputs(facts, patients)["body_part"] == ["chest"]


def test_what_many_do_not_say_is_not_known():
    facts, patients = seen(body_part=["breast"] * 15 + [""] * 5, laterality=["left"] * 20)
    assert header_inputs(facts, patients)["body_part"] == []
    # Twenty images of four patients are four.
    assert header_inputs(facts, pd.Series([f"p{row % 4}" for row in range(20)]))["laterality"] == []


def test_orientation_counts_where_volumes_are_taken_as_stored():
    facts, patients = seen(orientation=["LPS"] * 10, size_k=[3] * 10, bits=[""] * 10)
    assert header_inputs(facts, patients) == {"body_part": [], "laterality": []}
    assert header_inputs(facts, patients, stored=True)["orientation"] == ["LPS"]
    assert header_inputs(pd.DataFrame(), pd.Series([], dtype=object)) == {"body_part": [], "laterality": []}
