from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.audit.groups import duplicate_groups, joined_groups, near_pairs, with_copies
from semeion.cohort.cohort import Cohort, Target


def frame(words):
    """Return facts with these perceptual hashes."""
    return pd.DataFrame(
        {
            "status": ["ok"] * len(words),
            "blank": np.zeros(len(words), dtype=bool),
            "pixel_hash": [str(k) for k in range(len(words))],
            "thumb_hash": [f"{word:016x}" for word in words],
        }
    )


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=40),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)), max_size=30),
)
def test_near_pairs_are_those_of_brute_force(words, changes):
    for bit, at in changes:
        if at < len(words):
            words.append(words[at] ^ (1 << bit))
    wanted = {(i, j) for i, j in itertools.combinations(range(len(words)), 2) if (words[i] ^ words[j]).bit_count() <= 3}
    assert {tuple(pair) for pair in near_pairs(frame(words))[0].tolist()} == wanted


def test_blank_images_and_further_copies_make_no_near_pairs(make_cohort, make_facts):
    cohort = make_cohort(4)
    facts = make_facts(cohort, thumb_hash=["0" * 16] * 4, blank=[True, False, False, False])
    assert near_pairs(facts)[0].tolist() == [[1, 2], [1, 3], [2, 3]]
    facts["pixel_hash"] = ["x", "same", "same", "z"]
    assert near_pairs(facts)[0].tolist() == [[1, 3]]


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.booleans(), st.integers(-1, 3)), max_size=14),
    st.booleans(),
)
def test_groups_are_those_of_brute_force(rows, has_patients):
    n = len(rows)
    table = pd.DataFrame({"patient_id": [f"p{patient}" for patient, *_ in rows]}, index=range(n))
    cohort = Cohort(table, Target("y", "binary", ("no", "yes"), "yes"), has_patients=has_patients)
    facts = pd.DataFrame(
        {
            "status": ["ok" if ok else "missing" for _, _, ok, _ in rows],
            "pixel_hash": [str(pixels) for _, pixels, _, _ in rows],
            "copy_group": np.array([code for *_, code in rows], dtype=np.int64),
        }
    )
    groups = duplicate_groups(cohort, facts).tolist()
    linked = np.eye(n, dtype=bool)
    for i, j in itertools.product(range(n), repeat=2):
        linked[i, j] |= has_patients and rows[i][0] == rows[j][0]
        linked[i, j] |= rows[i][1] == rows[j][1] and rows[i][2] and rows[j][2]
        linked[i, j] |= rows[i][3] == rows[j][3] >= 0
    for _ in range(n):
        linked = (linked.astype(int) @ linked.astype(int)) > 0
    for i, j in itertools.product(range(n), repeat=2):
        assert (groups[i] == groups[j]) == linked[i, j]
    assert set(groups) == set(range(len(set(groups))))


def test_groups_that_share_a_row_are_one():
    found = joined_groups([np.array([5, 2]), np.array([7, 8]), np.array([2, 1]), np.array([8, 9])], 10)
    assert [rows.tolist() for rows in found] == [[1, 2, 5], [7, 8, 9]]
    assert joined_groups([], 4) == []


def test_copies_are_kept_with_the_facts(make_cohort, make_facts, tmp_path):
    facts = with_copies(make_facts(make_cohort(5)), [np.array([1, 3])])
    assert facts["copy_group"].tolist() == [-1, 0, -1, 0, -1]
    facts.to_parquet(tmp_path / "facts.parquet")
    again = pd.read_parquet(tmp_path / "facts.parquet")
    assert duplicate_groups(make_cohort(5), again).tolist() == [0, 1, 2, 1, 3]
