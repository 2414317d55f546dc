from __future__ import annotations

import numpy as np
import pytest

from semeion.audit.copies import (
    duplicate_groups,
    exact_groups,
    find_copies,
    label_conflicts,
    near_duplicates,
    with_copies,
)
from semeion.cohort.cohort import CohortOptions, Target
from semeion.cohort.gather import gather
from semeion.prepare.scan import scan


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


def test_same_pixels_with_two_labels(make_cohort, make_facts):
    cohort = make_cohort(6, y=[0.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    audit = label_conflicts(cohort, make_facts(cohort, pixel_hash=hashes(6, (0, 1), (2, 3))))
    assert audit.verdict == "warn"
    assert audit.cases == (("c0", "c1"),)
    assert audit.figures == {
        "groups_of_copies": 2,
        "groups_in_conflict": 1,
        "cases_in_conflict": 2,
        "groups_of_exact_copies_in_conflict": 1,
    }
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
    # One is exact; three more tell each other's pixels but for a change of grey levels.
    assert audit.figures["groups_of_exact_copies"] == 1
    assert audit.figures["test_cases_with_a_copy_elsewhere"] == 4
    assert audit.figures["pairs_registered"] == 0
    assert audit.figures["near_pairs_across_test"] > 20
    assert "that is no proof of a copy" in audit.advice
    assert label_conflicts(cohort, facts).verdict == "warn"


def test_pneumoniamnist_has_27_groups_none_in_test(data):
    cohort = gather(data / "pneumoniamnist" / "pneumoniamnist.npz", CohortOptions())
    facts = scan(cohort)
    # The search for changed copies among 5,856 pictures takes long in a test, and finds none.
    audit = near_duplicates(cohort, facts.drop(columns="thumb"))
    assert audit.verdict == "warn"
    assert audit.figures["groups"] == 27
    assert audit.figures["groups_across_train_and_val"] == 8
    assert audit.figures["test_cases_with_a_copy_elsewhere"] == 0


def test_brain_slices_hold_22_exact_groups_and_more_that_were_changed(data):
    cohort = gather(data / "brain_tumor_yesno", CohortOptions())
    facts = scan(cohort)
    copies = find_copies(cohort, facts)
    audit = near_duplicates(cohort, facts, copies)
    assert audit.verdict == "warn"
    assert (audit.figures["groups_of_exact_copies"], audit.figures["extra_exact_copies"]) == (22, 25)
    assert audit.figures["groups"] >= 35
    assert all("registered" in told for told in audit.figures["verified"])
    assert duplicate_groups(cohort, facts).nunique() == len(cohort.table) - 25
    together = duplicate_groups(cohort, with_copies(facts, copies.groups)).nunique()
    assert together == len(cohort.table) - audit.figures["extra_copies"] < len(cohort.table) - 50


def test_busi_has_copies_with_two_labels(data):
    cohort = gather(data / "busi" / "cases.csv", CohortOptions(target="finding"))
    facts = scan(cohort)
    # Pairs that their hashes name are enough here, and sooner compared.
    copies = find_copies(cohort, facts.drop(columns="thumb"))
    exact, every = label_conflicts(cohort, facts), label_conflicts(cohort, facts, copies)
    assert (exact.verdict, exact.figures["groups_in_conflict"]) == ("warn", 1)
    assert every.figures["groups_of_exact_copies_in_conflict"] == 1
    assert every.figures["groups_in_conflict"] > 2
    audit = near_duplicates(cohort, facts, copies)
    assert audit.figures["groups_of_exact_copies"] == 1
    assert audit.figures["groups"] > 50
    assert "groups of copies with more than one label." in audit.advice
