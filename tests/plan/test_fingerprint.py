from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.made import cohort_of, facts_of
from semeion.plan.fingerprint import counts, fingerprint, learning_rows, share, spread

SPLIT = ["train"] * 6 + ["val"] * 3 + ["test"] * 3


def spoilt(facts, rows):
    """Return the scan with everything about `rows` changed."""
    facts = facts.astype(object)
    for name in ("rows", "cols", "minimum", "p005", "mean", "p995", "maximum", "border_fraction"):
        facts.loc[rows, name] = facts.loc[rows, name].astype(float) * 3 + 17
    for name, value in {
        "channels": 3,
        "bits": 16,
        "source_format": "tiff",
        "modality": "CT",
        "unit": "HU",
        "text_fraction": 0.5,
        "salt_fraction": 0.5,
        "low_contrast": True,
    }.items():
        facts.loc[rows, name] = value
    return facts


@pytest.mark.parametrize("task", ["binary", "multilabel", "regression"])
def test_only_training_cases_shape_the_training_facts(task):
    cohort = cohort_of(12, task, split=SPLIT)
    rows = [k for k, side in enumerate(SPLIT) if side != "train"]
    table = cohort.table.copy()
    for column in cohort.target.columns:
        table.loc[rows, column] = 1 - table.loc[rows, column]
    table.loc[rows, "patient_id"] = "same"
    other = fingerprint(replace(cohort, table=table), spoilt(facts_of(12), rows))
    assert other["training"] == fingerprint(cohort, facts_of(12))["training"]
    # The check itself: the same change of training cases is seen.
    seen = fingerprint(cohort, spoilt(facts_of(12), [0]))
    assert seen["training"] != other["training"]


@given(st.lists(st.sampled_from(["train", "val", "test"]), min_size=4, max_size=20), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_held_out_pictures_never_shape_the_plan(split, seed):
    if "train" not in split:
        split = ["train", *split[1:]]
    cohort = cohort_of(len(split), split=split)
    noise = np.random.default_rng(seed).uniform(1, 400, len(split)).round()
    facts = facts_of(len(split))
    changed = facts.assign(
        **{name: np.where(np.array(split) == "train", facts[name], noise) for name in ("rows", "mean")}
    )
    assert fingerprint(cohort, changed)["training"] == fingerprint(cohort, facts)["training"]


def test_without_a_split_every_case_takes_part():
    cohort = cohort_of(10)
    assert learning_rows(cohort).all()
    found = fingerprint(cohort, facts_of(10))
    assert found["training"]["cases"] == 10
    assert found["cases"] == {"all": 10}
    assert not found["has_split"]


def test_a_given_split_is_counted():
    found = fingerprint(cohort_of(12, split=SPLIT), facts_of(12))
    assert found["cases"] == {"train": 6, "val": 3, "test": 3}
    assert found["has_split"]
    assert found["training"]["cases"] == 6
    assert found["training"]["labels"] == {"benign": 3, "malignant": 3}


def test_it_says_what_the_cohort_is():
    found = fingerprint(cohort_of(12, patients=["a", "a", "b", "b"] * 3), facts_of(12))
    assert {key: found[key] for key in ("schema", "source", "synthetic", "target", "task", "classes", "positive")} == {
        "schema": 1,
        "source": "cohort.csv",
        "synthetic": False,
        "target": "finding",
        "task": "binary",
        "classes": ["benign", "malignant"],
        "positive": "malignant",
    }
    assert found["has_patients"]
    assert found["training"]["patients"] == 2


def test_it_is_plain_json_small_and_without_identifiers():
    cohort = cohort_of(40, patients=[f"SECRET{k}" for k in range(40)])
    text = json.dumps(fingerprint(cohort, facts_of(40)), allow_nan=False)
    assert len(text) < 8000
    assert "SECRET" not in text
    assert "/nowhere" not in text


def test_labels_of_each_task():
    assert fingerprint(cohort_of(12, "multilabel"), facts_of(12))["training"]["labels"] == {"mass": 6, "cyst": 6}
    assert fingerprint(cohort_of(12, "ordinal"), facts_of(12))["training"]["labels"] == {"low": 4, "mid": 4, "high": 4}
    values = fingerprint(cohort_of(12, "regression"), facts_of(12))["training"]["labels"]
    assert (values["min"], values["median"], values["max"]) == (20, 50, 80)


def test_an_unknown_label_of_several_is_not_counted():
    cohort = cohort_of(12, "multilabel")
    cohort.table.loc[1, "y.mass"] = np.nan
    assert fingerprint(cohort, facts_of(12))["training"]["labels"] == {"mass": 5, "cyst": 6}


def test_unreadable_pictures_are_left_out_of_the_figures():
    facts = facts_of(4, rows=[10, 20, 30, 9999])
    facts.loc[3, "status"] = "unreadable"
    training = fingerprint(cohort_of(4), facts)["training"]
    assert training["rows"]["max"] == 30
    assert training["bits"] == {"8": 3}
    assert training["cases"] == 4


def test_figures_are_numpys():
    values = pd.Series(np.random.default_rng(0).normal(50, 9, 101))
    found = spread(values)
    assert found["median"] == pytest.approx(np.median(values), rel=1e-3)
    assert found["p95"] == pytest.approx(np.quantile(values, 0.95), rel=1e-3)
    assert found["sd"] == pytest.approx(values.std(ddof=0), rel=1e-3)
    assert spread(pd.Series([np.nan])) == {}


def test_counts_and_shares():
    assert counts(pd.Series(["US", None, "US", "", "CT"])) == {"US": 2, "CT": 1}
    assert share(pd.Series([True, False, False])) == 0.3333
    assert share(pd.Series([], dtype=bool)) == 0.0
