from __future__ import annotations

import json

import numpy as np
import pytest

from semeion.audit.sources import source_class
from semeion.cohort.cohort import CohortOptions, Target
from semeion.cohort.gather import gather
from semeion.prepare.scan import scan

N = 200
Y = np.arange(N) % 2


def tied(strength, levels=("north", "south"), seed=0, y=Y):
    rng = np.random.default_rng(seed)
    return np.array(levels)[np.where(rng.random(len(y)) < strength, y, rng.integers(0, 2, len(y)))]


def folders(*parts):
    """Return references below one folder, a part a level."""
    return ["/data/set/" + "/".join(each) + f"/{k}.png" for k, each in enumerate(zip(*parts, strict=True))]


def audit_of(make_cohort, make_facts, facts=None, n=N, **columns):
    cohort = make_cohort(n, unused=tuple(name for name in columns if name in ("hospital", "scanner", "age")), **columns)
    return source_class(cohort, make_facts(cohort, **(facts or {})), permutations=999)


@pytest.mark.parametrize(
    ("strength", "verdict", "blocks"),
    [(1.0, "warn", True), (0.96, "warn", True), (0.8, "warn", False), (0.6, "note", False), (0.2, "clear", False)],
)
def test_a_site_tied_to_a_class(make_cohort, make_facts, strength, verdict, blocks):
    audit = audit_of(make_cohort, make_facts, site=tied(strength))
    assert (audit.verdict, audit.figures["blocks_valid"]) == (verdict, blocks)
    assert audit.figures["cramers_v"] == pytest.approx(strength, abs=0.1)
    assert ("No result on these data can be called valid" in audit.advice) == blocks
    json.dumps(audit.to_json(), allow_nan=False)


def test_a_class_with_a_source_to_itself_blocks_whatever_v_is(make_cohort, make_facts):
    y = np.array([0.0] * 190 + [1.0] * 10)
    site = [["a", "b", "c"][k % 3] for k in range(190)] + ["d"] * 10
    audit = audit_of(make_cohort, make_facts, y=y, site=site)
    assert audit.figures["blocks_valid"]
    assert (
        "All of class 'malignant' comes from one source (site 'd'), and nothing else comes from there" in audit.advice
    )
    few = audit_of(make_cohort, make_facts, n=194, y=y[:194], site=site[:194])
    assert not few.figures["blocks_valid"]


def test_several_sources_each_with_one_class_block(make_cohort, make_facts):
    site = [["a", "b"][k // 2 % 2] if y == 0 else ["c", "d"][k // 2 % 2] for k, y in enumerate(Y)]
    audit = audit_of(make_cohort, make_facts, site=site)
    assert audit.figures["blocks_valid"]
    assert "the classes come from different sources" in audit.advice.lower()


def test_file_type_and_scanner_are_sources_and_age_is_none(make_cohort, make_facts):
    facts = {"source_format": np.where(Y == 1, "jpeg", "png"), "manufacturer": tied(1.0)}
    assert audit_of(make_cohort, make_facts, facts).figures["strongest_source"] in ("file type", "manufacturer")
    assert audit_of(make_cohort, make_facts, hospital=tied(1.0)).verdict == "warn"
    assert audit_of(make_cohort, make_facts, age=Y).verdict == "not_run"


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (("benign", "malignant"), None),
        (("Benign cases", "malignant_2020"), None),
        (("0", "1"), ["0", "1"]),
        (("no", "yes"), None),
        (("healthy", "tumour"), None),
    ],
)
def test_folders_named_as_the_classes_are_the_label(make_cohort, make_facts, names, classes):
    written = {} if classes is None else {"finding": np.array(classes)[Y]}
    audit = audit_of(make_cohort, make_facts, image=folders(np.array(names)[Y]), **written)
    assert audit.verdict == "not_run"
    assert not audit.figures["blocks_valid"]


def test_levels_above_and_below_the_class_count(make_cohort, make_facts):
    own = np.array(["benign", "malignant"])[Y]
    below = audit_of(make_cohort, make_facts, image=folders(own, tied(1.0)))
    assert (below.figures["strongest_source"], below.figures["blocks_valid"]) == ("folder, level 2", True)
    above = audit_of(make_cohort, make_facts, image=folders(tied(1.0), own))
    assert above.figures["strongest_source"] == "folder, level 1"
    fair = audit_of(make_cohort, make_facts, image=folders(tied(0.0), own))
    assert fair.verdict == "clear"
    split = audit_of(make_cohort, make_facts, image=folders(np.where(np.arange(N) < 150, "train", "test"), own))
    assert split.verdict == "not_run"


def test_folders_named_otherwise_are_sources(make_cohort, make_facts):
    audit = audit_of(make_cohort, make_facts, image=folders(tied(1.0, ("archive", "clinic"))))
    assert audit.figures["blocks_valid"]
    assert "If such folders are patients, bring a column patient_id." in audit.advice


def test_folders_of_patients_are_no_sources(make_cohort, make_facts):
    own = np.array(["benign", "malignant"])[Y]
    patient = [f"p{k % 20}" for k in range(N)]
    audit = audit_of(make_cohort, make_facts, image=folders(own, patient), patient_id=patient)
    assert audit.verdict == "not_run"


def test_a_series_of_ids_is_warned_of_and_never_blocks(make_cohort, make_facts):
    ids = [("EXT-" if y else "INT-") + f"{k:04}" for k, y in enumerate(Y)]
    audit = audit_of(make_cohort, make_facts, patient_id=ids)
    assert (audit.verdict, audit.figures["blocks_valid"]) == ("warn", False)
    assert "If the ids only write the label in another way, nothing is wrong" in audit.advice
    named = audit_of(
        make_cohort, make_facts, patient_id=[f"{'malignant' if y else 'benign'}_{k}" for k, y in enumerate(Y)]
    )
    assert named.verdict == "not_run"


def test_patients_are_counted_once(make_cohort, make_facts):
    patient = np.repeat([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 20)
    audit = audit_of(
        make_cohort,
        make_facts,
        patient_id=[f"p{k}" for k in patient],
        y=(patient % 2).astype(float),
        site=np.where(patient < 2, "a", "b"),
    )
    assert audit.verdict in ("clear", "not_run")


def test_clean_cohorts_are_not_warned_of(make_cohort, make_facts):
    verdicts = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(20, 120))
        columns = {"site": rng.choice(list("abc"), n), "scanner": rng.choice(["GE", "Siemens"], n)}
        y = (rng.random(n) < 0.3).astype(float)
        facts = {"source_format": rng.choice(["png", "jpeg"], n)}
        verdicts.append(audit_of(make_cohort, make_facts, facts, n, y=y, **columns).verdict)
    assert verdicts.count("warn") == 0
    assert verdicts.count("note") <= 1


def test_each_label_is_looked_at_and_values_have_no_class(make_cohort, make_facts):
    free = np.random.default_rng(1).permuted(Y).astype(float)
    target = Target("mass,cyst", "multilabel", ("mass", "cyst"))
    columns = {"y.mass": free, "y.cyst": Y.astype(float)}
    audit = audit_of(make_cohort, make_facts, target=target, site=tied(1.0), **columns)
    assert audit.figures["ties"][0]["label"] == "cyst"
    assert "'cyst'" in audit.advice
    value = audit_of(make_cohort, make_facts, target=Target("v", "regression"), site=tied(1.0))
    assert value.verdict == "not_run"
    empty = make_cohort(0)
    assert source_class(empty, make_facts(empty)).verdict == "not_run"


def test_a_real_tree_does_not_trip_on_its_own_folders(data):
    cohort = gather(data / "brain_tumor_yesno", CohortOptions())
    audit = source_class(cohort, scan(cohort), permutations=999)
    assert audit.verdict == "clear"
    assert {tie["source"] for tie in audit.figures["ties"]} == {"file type"}
