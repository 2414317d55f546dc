"""What labels mean, and which ones are slips of spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.cohort.words import edits, is_missing, near_misses, presence, says_nothing_found, sense


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("malignant", 1),
        ("1", 1),
        ("yes", 1),
        ("Pneumonia", 1),
        ("brain tumour", 1),
        ("normal or benign", -1),
        ("no tumor", -1),
        ("non-malignant", -1),
        ("0", -1),
        ("benign tumor", 0),
        ("left", 0),
        ("2", 0),
        ("", 0),
    ],
)
def test_sense(name: str, expected: int) -> None:
    assert sense(name) == expected


@pytest.mark.parametrize(
    ("counts", "pairs"),
    [
        ({"malignant": 50, "benign": 100, "malignent": 1}, [("malignent", "malignant")]),
        ({"malignant": 50, "benign": 100, "bengin": 2}, [("bengin", "benign")]),
        ({"Malignant": 40, "malignant": 50, "benign": 100}, [("Malignant", "malignant")]),
        ({"no finding": 40, "No_Finding": 3, "x": 9}, [("No_Finding", "no finding")]),
        ({"benign": 9, "begnin": 1}, [("begnin", "benign")]),
        ({"grade1": 100, "grade2": 1}, []),
        ({"grade 1": 100, "grade 10": 1}, []),
        ({"grade I": 100, "grade II": 1}, []),
        ({"type A": 100, "type B": 1}, []),
        ({"BI-RADS 4a": 100, "BI-RADS 4b": 1}, []),
        ({"typical": 100, "atypical": 1}, []),
        ({"normal": 100, "abnormal": 2}, []),
        ({"hypothyroid": 100, "hyperthyroid": 1}, []),
        ({"nv": 100, "mv": 1}, []),
        ({"adenoma": 30, "adenomas": 20}, []),
        ({"0": 10, "1": 10, "2": 1}, []),
    ],
)
def test_near_misses(counts: dict[str, int], pairs: list[tuple[str, str]]) -> None:
    assert near_misses(counts) == pairs


def test_what_the_user_wrote_out_stands() -> None:
    assert near_misses({"benign": 90, "begnin": 1}, meant=("begnin",)) == []


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_edits_are_a_distance(a: str, b: str, c: str) -> None:
    assert edits(a, b) == edits(b, a)
    assert (edits(a, b) == 0) == (a == b)
    assert edits(a, b) <= max(len(a), len(b))
    assert edits(a + c, b + c) <= edits(a, b)


def test_a_swap_is_one_edit() -> None:
    assert edits("begnin", "benign") == 2
    assert edits("bengin", "benign") == 1


def test_small_words() -> None:
    assert [presence(word) for word in ("1", "No", " TRUE ", "0.0", "maybe")] == [1.0, 0.0, 1.0, 0.0, None]
    assert [is_missing(cell) for cell in ("NA", " nan ", "", None, "none", "0")] == [
        True,
        True,
        True,
        True,
        False,
        False,
    ]
    assert says_nothing_found("No Finding")
    assert not says_nothing_found("normal")
