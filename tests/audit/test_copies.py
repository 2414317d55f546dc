from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.audit.copies import (
    duplicate_groups,
    exact_groups,
    label_conflicts,
    near_duplicates,
    near_pairs,
    patient_overlap,
)
from semeion.cohort.cohort import Cohort, CohortOptions, Target
from semeion.cohort.gather import gather
from semeion.prepare.scan import scan


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


def splits(train, val, test):
    return ["train"] * train + ["val"] * val + ["test"] * test


def hashes(n, *pairs):
    """Return n different hashes, but for pairs of equal ones."""
    named = [f"{k:064x}" for k in range(n)]
    for first, second in pairs:
        named[second] = named[first]
    return named


def test_no_copies_is_clear(make_cohort, make_facts):
    cohort = make_cohort(20)
    audit = near_duplicates(cohort, make_facts(cohort))
    assert audit.verdict == "clear"
    assert audit.advice == "No two readable images have the same pixels."


def test_without_a_split_copies_are_grouped_and_nothing_is_void(make_cohort, make_facts):
    cohort = make_cohort(20)
    audit = near_duplicates(cohort, make_facts(cohort, pixel_hash=["same"] * 20))
    assert audit.verdict == "warn"
    assert audit.figures["extra_copies"] == 19
    assert "19 extra copies of exactly the same pixels; copies stay in one group when folds are drawn" in audit.advice


@pytest.mark.parametrize(
    ("n_test", "copies", "verdict"),
    [(100, 5, "warn"), (100, 6, "void"), (1000, 9, "warn"), (1000, 10, "void"), (10, 1, "void"), (20, 1, "warn")],
)
def test_void_from_ten_copies_or_more_than_five_percent(make_cohort, make_facts, n_test, copies, verdict):
    n = 50 + n_test
    cohort = make_cohort(n, split=splits(40, 10, n_test))
    facts = make_facts(cohort, pixel_hash=hashes(n, *((k, 50 + k) for k in range(copies))))
    audit = near_duplicates(cohort, facts)
    assert audit.verdict == verdict
    assert audit.figures["test_cases_with_a_copy_elsewhere"] == copies
    assert audit.figures["share_of_test_cases"] == copies / n_test
    if verdict == "void":
        assert audit.affected == {f"c{50 + k}" for k in range(copies)}
        assert f"{copies} of {n_test} test cases are copied outside the test set" in audit.advice
    else:
        assert audit.affected == frozenset()


def test_copies_between_train_and_val_or_on_one_side_are_a_warning(make_cohort, make_facts):
    cohort = make_cohort(40, split=splits(20, 10, 10))
    across = near_duplicates(cohort, make_facts(cohort, pixel_hash=hashes(40, (0, 20))))
    assert (across.verdict, across.figures["groups_across_train_and_val"]) == ("warn", 1)
    inside = near_duplicates(cohort, make_facts(cohort, pixel_hash=hashes(40, (30, 31))))
    assert (inside.verdict, inside.figures["test_cases_with_a_copy_elsewhere"]) == ("warn", 0)
    assert "all on one side of the split" in inside.advice


def test_likeness_alone_is_a_note_with_a_caution(make_cohort, make_facts):
    cohort = make_cohort(30, split=splits(10, 0, 20))
    thumbs = make_facts(cohort)["thumb_hash"].tolist()
    thumbs[10:20] = [f"{int(text, 16) ^ 0b101:016x}" for text in thumbs[:10]]
    audit = near_duplicates(cohort, make_facts(cohort, thumb_hash=thumbs))
    assert audit.verdict == "note"
    assert (audit.figures["near_pairs"], audit.figures["near_pairs_across_test"]) == (10, 10)
    assert "that is no proof of a copy" in audit.advice
    assert audit.cases[0] == ("c0", "c10")


def test_unreadable_images_are_no_copies_of_one_another(make_cohort, make_facts):
    cohort = make_cohort(4)
    facts = make_facts(cohort, status=["missing", "missing", "ok", "ok"], pixel_hash=["", "", "a", "b"])
    assert exact_groups(facts) == []
    assert near_duplicates(cohort, facts).verdict == "clear"


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
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.booleans()), max_size=14), st.booleans())
def test_groups_are_those_of_brute_force(rows, has_patients):
    n = len(rows)
    table = pd.DataFrame({"patient_id": [f"p{patient}" for patient, _, _ in rows]}, index=range(n))
    cohort = Cohort(table, Target("y", "binary", ("no", "yes"), "yes"), has_patients=has_patients)
    facts = pd.DataFrame(
        {"status": ["ok" if ok else "missing" for *_, ok in rows], "pixel_hash": [str(pixels) for _, pixels, _ in rows]}
    )
    groups = duplicate_groups(cohort, facts).tolist()
    linked = np.eye(n, dtype=bool)
    for i, j in itertools.product(range(n), repeat=2):
        linked[i, j] |= has_patients and rows[i][0] == rows[j][0]
        linked[i, j] |= rows[i][1] == rows[j][1] and rows[i][2] and rows[j][2]
    for _ in range(n):
        linked = (linked.astype(int) @ linked.astype(int)) > 0
    for i, j in itertools.product(range(n), repeat=2):
        assert (groups[i] == groups[j]) == linked[i, j]
    assert set(groups) == set(range(len(set(groups))))


def test_overlap_is_not_run_without_patients(make_cohort):
    audit = patient_overlap(make_cohort(4, has_patients=False, split=splits(2, 1, 1)))
    assert audit.verdict == "not_run"
    assert "Bring a patient_id column, or name another with --group." in audit.advice


def test_patients_without_a_split_are_clear(make_cohort):
    assert patient_overlap(make_cohort(4, patient_id=["a", "a", "b", "b"])).verdict == "clear"


def test_a_patient_on_both_sides_of_test_is_void_and_named_by_cases_only(make_cohort):
    cohort = make_cohort(6, patient_id=["Miller", "b", "c", "d", "Miller", "e"], split=splits(3, 1, 2))
    audit = patient_overlap(cohort)
    assert audit.verdict == "void"
    assert audit.cases == (("c0", "c4"),)
    assert audit.affected == {"c4"}
    assert audit.figures["test_cases_of_such_patients"] == 1
    assert "Miller" not in str(audit.to_json())
    assert "1 patient are" not in audit.advice


def test_a_patient_in_train_and_val_is_a_warning(make_cohort):
    audit = patient_overlap(make_cohort(6, patient_id=["a", "b", "c", "a", "d", "e"], split=splits(3, 1, 2)))
    assert (audit.verdict, audit.figures["patients_across_train_and_val"]) == ("warn", 1)
    clean = patient_overlap(make_cohort(6, patient_id=["a", "a", "c", "b", "d", "d"], split=splits(3, 1, 2)))
    assert clean.verdict == "clear"


def test_same_pixels_with_two_labels(make_cohort, make_facts):
    cohort = make_cohort(6, y=[0.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    audit = label_conflicts(cohort, make_facts(cohort, pixel_hash=hashes(6, (0, 1), (2, 3))))
    assert audit.verdict == "warn"
    assert audit.cases == (("c0", "c1"),)
    assert audit.figures == {"groups_of_copies": 2, "groups_in_conflict": 1, "cases_in_conflict": 2}
    assert audit.advice.startswith("1 group of exactly the same pixels carries different labels")


def test_an_unknown_label_conflicts_with_nothing(make_cohort, make_facts):
    target = Target("a,b", "multilabel", ("a", "b"))
    columns = {"y.a": [1.0, np.nan, 0.0], "y.b": [0.0, np.nan, np.nan]}
    cohort = make_cohort(3, target=target, **columns)
    assert label_conflicts(cohort, make_facts(cohort, pixel_hash=hashes(3, (0, 1)))).verdict == "clear"
    assert label_conflicts(cohort, make_facts(cohort, pixel_hash=hashes(3, (0, 2)))).verdict == "warn"


def test_official_breastmnist_has_a_few_copies_across_its_split(data):
    cohort = gather(data / "breastmnist" / "breastmnist.npz", CohortOptions())
    facts = scan(cohort)
    audit = near_duplicates(cohort, facts)
    assert audit.verdict == "warn"
    assert audit.figures["test_cases_with_a_copy_elsewhere"] == 1
    assert audit.figures["near_pairs_across_test"] > 20
    assert label_conflicts(cohort, facts).verdict == "warn"


def test_pneumoniamnist_has_27_groups_none_in_test(data):
    cohort = gather(data / "pneumoniamnist" / "pneumoniamnist.npz", CohortOptions())
    audit = near_duplicates(cohort, scan(cohort))
    assert audit.verdict == "warn"
    assert audit.figures["groups"] == 27
    assert audit.figures["groups_across_train_and_val"] == 8
    assert audit.figures["test_cases_with_a_copy_elsewhere"] == 0


def test_brain_slices_hold_22_groups_and_25_extra_copies(data):
    cohort = gather(data / "brain_tumor_yesno", CohortOptions())
    facts = scan(cohort)
    audit = near_duplicates(cohort, facts)
    assert (audit.verdict, audit.figures["groups"], audit.figures["extra_copies"]) == ("warn", 22, 25)
    assert duplicate_groups(cohort, facts).nunique() == len(cohort.table) - 25


def test_busi_has_one_group_with_two_labels(data):
    cohort = gather(data / "busi" / "cases.csv", CohortOptions(target="finding"))
    facts = scan(cohort)
    audit = label_conflicts(cohort, facts)
    assert (audit.verdict, audit.figures["groups_in_conflict"]) == ("warn", 1)
    assert near_duplicates(cohort, facts).figures["groups"] == 1
