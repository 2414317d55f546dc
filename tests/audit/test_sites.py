from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from semeion.audit.sites import site_confounding
from semeion.cohort.cohort import CohortOptions, Target
from semeion.cohort.gather import gather
from semeion.prepare.scan import scan

N = 240
Y = np.arange(N) % 2


def tied(strength, seed=0, y=Y):
    """Return two levels of which each class has its own in a share of the cases, else either."""
    rng = np.random.default_rng(seed)
    side = np.where(rng.random(len(y)) < strength, y, rng.integers(0, 2, len(y)))
    return np.array(["GE", "Siemens"])[side]


def audit_of(make_cohort, make_facts, facts=None, resamples=100, n=N, **columns):
    cohort = make_cohort(
        n, unused=tuple(name for name in columns if name in ("scanner", "scan_date", "age")), **columns
    )
    return site_confounding(cohort, make_facts(cohort, **(facts or {})), resamples=resamples)


@pytest.mark.parametrize("strength", [0.45, 0.7, 1.0])
def test_a_scanner_tied_to_the_label_is_warned_of(make_cohort, make_facts, strength):
    audit = audit_of(make_cohort, make_facts, scanner=tied(strength))
    assert audit.verdict == "warn"
    first = audit.figures["associations"][0]
    assert (first["fact"], first["measure"]) == ("scanner", "cramers_v")
    assert first["value"] == pytest.approx(strength, abs=0.15)
    assert first["low"] <= first["value"] <= first["high"]
    assert first["p_adjusted"] < 0.01
    assert audit.figures["model_auroc_low"] > 0.6
    assert "it goes with scanner (Cramér's V" in audit.advice
    assert "Balance the classes over sites, scanners" in audit.advice
    json.dumps(audit.to_json(), allow_nan=False)


@pytest.mark.parametrize(("share", "verdict"), [(0.67, "warn"), (0.57, "clear")])
def test_a_weak_tie_is_warned_of_where_it_matters_and_chance_does_not_explain_it(
    make_cohort, make_facts, share, verdict
):
    """So many of one class, and so many less of the other, come from one scanner."""
    n = 300
    place = np.arange(n // 2) < round(share * n / 2)
    scanner = np.where(np.stack([place, ~place], axis=1).ravel(), "GE", "Siemens")
    audit = audit_of(make_cohort, make_facts, n=n, y=np.arange(n) % 2.0, scanner=scanner)
    assert audit.verdict == verdict
    if verdict == "warn":
        assert audit.figures["model_auroc"] >= 0.6
        assert 0.5 < audit.figures["model_auroc_low"] < 0.62


@pytest.mark.parametrize("shift", [20, 40, 80])
def test_image_size_that_differs_by_class_is_warned_of(make_cohort, make_facts, shift):
    rng = np.random.default_rng(1)
    rows = (300 + 25 * rng.normal(size=N) + shift * Y).astype(int)
    facts = {"rows": pd.array(rows, dtype="Int64"), "cols": pd.array([300] * N, dtype="Int64")}
    audit = audit_of(make_cohort, make_facts, facts)
    assert audit.verdict == "warn"
    assert "the image's height" in audit.advice


def test_a_middling_size_is_found_by_the_model(make_cohort, make_facts):
    rng = np.random.default_rng(2)
    rows = np.where(Y == 1, 300 + rng.integers(-20, 20, N), 300 + rng.choice([-1, 1], N) * rng.integers(40, 90, N))
    facts = {"rows": pd.array(rows, dtype="Int64"), "source_format": list(tied(0.4, seed=3))}
    assert audit_of(make_cohort, make_facts, facts).figures["model_auroc"] > 0.9


def test_years_that_separate_the_classes_are_warned_of(make_cohort, make_facts):
    dates = [f"{(2008 if y else 2016) + k % 6}-03-0{k % 9 + 1}" for k, y in enumerate(Y)]
    audit = audit_of(make_cohort, make_facts, scan_date=dates)
    assert audit.verdict == "warn"
    assert audit.figures["associations"][0]["fact"] == "scan_date"
    assert audit.figures["associations"][0]["value"] > 0.99


def test_clean_cohorts_are_rarely_even_noted(make_cohort, make_facts):
    verdicts = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        n = 120
        facts = {
            "rows": pd.array(rng.integers(200, 400, n), dtype="Int64"),
            "cols": pd.array(rng.integers(200, 400, n), dtype="Int64"),
            "source_format": rng.choice(["png", "jpeg"], n),
        }
        columns = {"site": rng.choice(list("abcd"), n), "scanner": rng.choice(["GE", "Siemens"], n)}
        patient = [f"p{k}" for k in rng.integers(0, 90, n)]
        y = rng.permuted(Y[:n]).astype(float)
        audit = audit_of(make_cohort, make_facts, facts, 20, n, y=y, patient_id=patient, **columns)
        verdicts.append(audit.verdict)
    assert verdicts.count("warn") == 0
    assert verdicts.count("note") <= 1


def test_a_real_but_small_association_is_noted(make_cohort, make_facts):
    n = 1200
    y = np.arange(n) % 2
    audit = audit_of(make_cohort, make_facts, n=n, scanner=tied(0.16, seed=4, y=y))
    assert audit.verdict == "note"
    assert "too little to make a diagnosis" in audit.advice


def test_age_is_clinical_and_no_confounding(make_cohort, make_facts):
    audit = audit_of(make_cohort, make_facts, age=Y * 30 + 40)
    assert audit.verdict == "not_run"
    assert "Nothing beside the pictures' content is known to vary" in audit.advice


def test_file_size_alone_is_no_more_than_a_note(make_cohort, make_facts):
    rng = np.random.default_rng(5)
    facts = {
        "rows": pd.array([100] * N, dtype="Int64"),
        "cols": pd.array([100] * N, dtype="Int64"),
        "file_bytes": pd.array((5000 + 2000 * Y + 300 * rng.normal(size=N)).astype(int), dtype="Int64"),
    }
    audit = audit_of(make_cohort, make_facts, facts)
    assert audit.verdict == "note"
    assert "that follows what the pictures show, but also how they are stored" in audit.advice
    assert audit.figures["model_auroc"] is None


def test_patients_not_cases_are_witnesses(make_cohort, make_facts):
    patient = np.repeat(np.arange(12), 20)
    y = (np.arange(12) % 2)[patient].astype(float)
    scanner = np.array(["GE", "Siemens"])[(np.arange(12) // 2 % 2)[patient]]
    honest = audit_of(make_cohort, make_facts, y=y, patient_id=[f"p{k}" for k in patient], scanner=scanner)
    assert honest.verdict == "clear"
    flipped = np.where(patient == 0, 1 - y, y)
    same = audit_of(make_cohort, make_facts, y=flipped, scanner=np.array(["GE", "Siemens"])[flipped.astype(int)])
    assert same.verdict == "warn"
    assert "intervals may be too narrow" not in same.advice


def test_too_few_cases_for_a_model_are_judged_by_the_fact_itself(make_cohort, make_facts):
    y = np.repeat([0.0, 1.0], [40, 12])
    patient = [f"p{k}" for k in range(40)] + [f"q{k // 3}" for k in range(12)]
    cohort = make_cohort(52, y=y, patient_id=patient, scanner=tied(1.0, y=y.astype(int)), unused=("scanner",))
    audit = site_confounding(cohort, make_facts(cohort), resamples=100)
    assert audit.figures["model_auroc"] is None
    assert "5 are needed" in audit.figures["model_reason"]
    assert audit.verdict == "warn"


def test_what_cannot_be_asked_is_not_run(make_cohort, make_facts):
    few = make_cohort(12, scanner=["GE", "Siemens"] * 6, unused=("scanner",))
    audit = site_confounding(few, make_facts(few))
    assert (audit.verdict, "No two classes have 10 cases" in audit.advice) == ("not_run", True)
    masks = make_cohort(40, target=Target("mask", "segmentation", ("a",), values=(1,)), site=["a", "b"] * 20)
    assert site_confounding(masks, make_facts(masks)).verdict == "not_run"
    empty = make_cohort(0)
    assert site_confounding(empty, make_facts(empty)).verdict == "not_run"


def test_a_date_that_cannot_be_read_is_told(make_cohort, make_facts):
    audit = audit_of(make_cohort, make_facts, scan_date=["1/2/2020"] * N, scanner=tied(0.0))
    assert audit.verdict == "clear"
    assert "Not compared: column 'scan_date' does not tell" in audit.advice


def test_each_label_and_a_measured_value_are_asked(make_cohort, make_facts):
    target = Target("mass,cyst", "multilabel", ("mass", "cyst"))
    free = np.random.default_rng(6).permuted(Y).astype(float)
    columns = {"y.mass": Y.astype(float), "y.cyst": free}
    cohort = make_cohort(N, target=target, scanner=tied(0.9), unused=("scanner",), **columns)
    audit = site_confounding(cohort, make_facts(cohort), resamples=50)
    assert audit.verdict == "warn"
    assert audit.figures["mass_model_auroc_low"] > 0.8
    assert audit.figures["cyst_model_auroc_low"] < 0.6
    assert "'mass' with scanner" in audit.advice
    value = make_cohort(
        N, target=Target("v", "regression"), y=Y + np.linspace(0, 0.5, N), scanner=tied(0.9), unused=("scanner",)
    )
    assert site_confounding(value, make_facts(value), resamples=50).verdict == "warn"


def test_many_cases_are_drawn_by_patient(make_cohort, make_facts, monkeypatch):
    monkeypatch.setattr("semeion.audit.sites.MOST_CASES", 150)
    audit = audit_of(make_cohort, make_facts, scanner=tied(0.9), patient_id=[f"p{k // 2}" for k in range(N)])
    assert 140 <= audit.figures["cases_compared"] <= 150
    assert audit.verdict == "warn"


def test_brain_slices_of_the_web_differ_in_size_and_that_is_real(data):
    cohort = gather(data / "brain_tumor_yesno", CohortOptions())
    audit = site_confounding(cohort, scan(cohort), resamples=100)
    assert audit.verdict == "warn"
    assert audit.figures["model_auroc_low"] > 0.6


def test_ultrasound_pictures_differ_little(data):
    cohort = gather(data / "busi" / "cases.csv", CohortOptions(target="finding"))
    audit = site_confounding(cohort, scan(cohort), resamples=100)
    assert audit.verdict in ("note", "clear")


def test_archives_of_one_size_have_nothing_to_compare(data):
    cohort = gather(data / "breastmnist" / "breastmnist.npz", CohortOptions())
    assert site_confounding(cohort, scan(cohort), resamples=100).verdict == "not_run"
