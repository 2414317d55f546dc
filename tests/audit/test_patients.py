from __future__ import annotations

import pytest

from semeion.audit.patients import patient_overlap

STUDY = "1.2.840.113619.2.55.3.{}"


def splits(train, val, test):
    return ["train"] * train + ["val"] * val + ["test"] * test


def hashes(n, *pairs):
    """Return n different hashes, but for pairs of equal ones."""
    named = [f"{k:064x}" for k in range(n)]
    for first, second in pairs:
        named[second] = named[first]
    return named


def studies(n, *pairs):
    named = [STUDY.format(k) for k in range(n)]
    for first, second in pairs:
        named[second] = named[first]
    return named


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


@pytest.mark.parametrize("name", ["study_uid", "StudyInstanceUID", "study_instance_uid"])
def test_one_study_under_two_ids_across_test_is_void(make_cohort, make_facts, name):
    cohort = make_cohort(8, split=splits(4, 2, 2), **{name: studies(8, (0, 6))})
    audit = patient_overlap(cohort, make_facts(cohort))
    assert audit.verdict == "void"
    assert audit.affected == {"c6"}
    assert audit.cases == (("c0", "c6"),)
    assert audit.figures["studies_under_two_ids_across_test"] == 1
    assert "1 study is on both sides of the test set under two patient ids" in audit.advice
    assert "113619" not in str(audit.to_json())


def test_the_files_own_study_counts(make_cohort, make_facts):
    cohort = make_cohort(8, split=splits(4, 2, 2))
    audit = patient_overlap(cohort, make_facts(cohort, study_uid=studies(8, (0, 6))))
    assert audit.verdict == "void"


def test_one_study_in_train_and_val_or_without_a_split_is_a_warning(make_cohort, make_facts):
    given = make_cohort(8, split=splits(4, 2, 2), study_uid=studies(8, (0, 4)))
    assert patient_overlap(given, make_facts(given)).verdict == "warn"
    drawn = make_cohort(8, study_uid=studies(8, (0, 4)))
    audit = patient_overlap(drawn, make_facts(drawn))
    assert audit.verdict == "warn"
    assert "Folds are drawn by patient id, so such a patient may be on two sides" in audit.advice
    inside = make_cohort(8, split=splits(4, 2, 2), study_uid=studies(8, (0, 1)))
    assert patient_overlap(inside, make_facts(inside)).verdict == "note"


def test_several_pictures_of_one_patient_are_no_second_id(make_cohort, make_facts):
    cohort = make_cohort(8, patient_id=["a", "a", *"bcdefg"], split=splits(4, 2, 2), study_uid=studies(8, (0, 1)))
    assert patient_overlap(cohort, make_facts(cohort, pixel_hash=hashes(8, (0, 1)))).verdict == "clear"


def test_the_same_pixels_under_two_ids(make_cohort, make_facts):
    cohort = make_cohort(8, split=splits(4, 2, 2))
    across = patient_overlap(cohort, make_facts(cohort, pixel_hash=hashes(8, (0, 6))))
    assert across.verdict == "warn"
    assert across.affected == frozenset()
    assert across.figures["pictures_under_two_ids_across_test"] == 1
    assert "1 picture stands under two patient ids with exactly the same pixels" in across.advice
    inside = patient_overlap(cohort, make_facts(cohort, pixel_hash=hashes(8, (0, 1))))
    assert inside.verdict == "note"
    drawn = make_cohort(8)
    audit = patient_overlap(drawn, make_facts(drawn, pixel_hash=hashes(8, (0, 6))))
    assert (audit.verdict, audit.cases) == ("note", (("c0", "c6"),))
    assert "stay together when folds are drawn" in audit.advice


def test_blank_pictures_and_placeholders_link_nobody(make_cohort, make_facts):
    cohort = make_cohort(20, split=splits(10, 4, 6), study_uid=[STUDY.format(0)] * 20)
    facts = make_facts(cohort, pixel_hash=hashes(20, (0, 15)), blank=[k in (0, 15) for k in range(20)])
    audit = patient_overlap(cohort, facts)
    assert audit.verdict == "clear"
    assert audit.figures["studies_under_two_ids"] == audit.figures["pictures_under_two_ids"] == 0
    numbered = make_cohort(8, split=splits(4, 2, 2), study_uid=["1", "2"] * 4)
    assert patient_overlap(numbered, make_facts(numbered)).verdict == "clear"
    empty = make_cohort(8, split=splits(4, 2, 2), study_uid=[None] * 8)
    assert patient_overlap(empty, make_facts(empty)).verdict == "clear"


def test_without_patients_a_study_on_both_sides_of_test_is_void(make_cohort, make_facts):
    cohort = make_cohort(8, has_patients=False, split=splits(4, 2, 2), study_uid=studies(8, (0, 6), (1, 2)))
    audit = patient_overlap(cohort, make_facts(cohort))
    assert (audit.verdict, audit.affected, audit.cases) == ("void", {"c6"}, (("c0", "c6"),))
    assert "bring a patient_id column" in audit.advice
    apart = make_cohort(8, has_patients=False, split=splits(4, 2, 2), study_uid=studies(8, (1, 2)))
    assert patient_overlap(apart, make_facts(apart)).verdict == "not_run"


def test_ids_and_studies_add_up(make_cohort, make_facts):
    cohort = make_cohort(
        8, patient_id=["a", "b", "c", "d", "e", "f", "a", "g"], split=splits(4, 2, 2), study_uid=studies(8, (1, 7))
    )
    audit = patient_overlap(cohort, make_facts(cohort))
    assert audit.affected == {"c6", "c7"}
    assert audit.cases == (("c0", "c6"), ("c1", "c7"))
    assert "1 study stands under two patient ids" in audit.advice
