from __future__ import annotations

import json

import pytest

from semeion.artefacts import finite
from semeion.audit.checks import NAMES, affected_cases, is_void, run_checks
from semeion.errors import InputError


def test_every_audit_is_present_and_plain(make_cohort, make_facts):
    cohort = make_cohort(60)
    audits = run_checks(cohort, make_facts(cohort))
    assert tuple(audits) == NAMES
    unlooked = {name for name, audit in audits.items() if audit.verdict == "not_run"}
    without_pictures = {"border-shortcut", "background-signal"}
    assert unlooked == {"site-confounding", "source-class", "time-order", "rater-agreement", *without_pictures}
    assert {audit.verdict for name, audit in audits.items() if name not in unlooked} == {"clear"}
    for name, audit in audits.items():
        assert audit.name == name
        assert audit.tier == "check"
        assert audit.advice.endswith(".")
        json.dumps(finite(audit.to_json()), allow_nan=False)
    assert is_void(audits) == []
    assert affected_cases(audits) == {}


def test_what_is_void_is_named_with_the_cases_to_leave_out(make_cohort, make_facts):
    cohort = make_cohort(
        60,
        patient_id=["p0"] * 2 + [f"p{k}" for k in range(2, 59)] + ["p2"],
        split=["train"] * 40 + ["test"] * 20,
        code=[k % 2 for k in range(60)],
        covariates=("code",),
    )
    hashes = make_facts(cohort)["pixel_hash"].tolist()
    hashes[40], hashes[41] = hashes[0], hashes[1]
    audits = run_checks(cohort, make_facts(cohort, pixel_hash=hashes))
    assert is_void(audits) == ["near-duplicates", "patient-overlap", "target-leak"]
    assert affected_cases(audits) == {
        "near-duplicates": {"c40", "c41"},
        "patient-overlap": {"c59"},
        "target-leak": set(),
    }


def test_audits_of_metadata_look_at_what_the_table_brings(make_cohort, make_facts):
    n = 100
    side = ["a" if k % 2 else "b" for k in range(n)]
    columns = {
        "site": side,
        "scan_date": ["2020-01-02"] * n,
        "diagnosis_date": ["2020-01-01"] * n,
        "finding_rater1": side,
        "finding_rater2": side[::-1],
    }
    cohort = make_cohort(n, unused=tuple(columns)[1:], **columns)
    audits = run_checks(cohort, make_facts(cohort))
    names = ("site-confounding", "source-class", "time-order", "rater-agreement")
    assert [audits[name].verdict for name in names] == ["warn"] * 4
    assert audits["source-class"].figures["blocks_valid"] is True
    for name in names:
        json.dumps(finite(audits[name].to_json()), allow_nan=False)


def test_facts_of_other_cases_are_refused(make_cohort, make_facts):
    with pytest.raises(InputError, match="facts: the facts are not of these cases; scan this cohort"):
        run_checks(make_cohort(3), make_facts(make_cohort(4)))


def test_an_empty_cohort_and_unreadable_images_break_nothing(make_cohort, make_facts):
    empty = make_cohort(0)
    assert set(run_checks(empty, make_facts(empty))) == set(NAMES)
    cohort = make_cohort(12)
    facts = make_facts(cohort, status=["missing"] * 12, pixel_hash=[""] * 12, thumb_hash=[""] * 12)
    audits = run_checks(cohort, facts)
    assert audits["unreadable-images"].verdict == "warn"
    assert audits["near-duplicates"].verdict == "clear"
