"""Cohorts and facts for the tests of audits, made without images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.cohort.cohort import Cohort, Target

BINARY = Target("finding", "binary", ("benign", "malignant"), "malignant")


def cohort_of(n: int, *, target: Target = BINARY, **columns: Any) -> Cohort:
    """Return a cohort of n cases; `columns` replace or join the plain ones, attributes of Cohort go by name."""
    known = ("covariates", "unused", "has_patients", "notes", "source")
    given = {name: columns.pop(name) for name in known if name in columns}
    table = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(n)],
            "patient_id": [f"p{k}" for k in range(n)],
            "site": pd.array([None] * n, dtype="str"),
            "split": pd.array([None] * n, dtype="str"),
            "image": [f"/nowhere/{k}.png" for k in range(n)],
        }
    )
    if target.task != "multilabel":
        table["y"] = np.arange(n) % 2.0
    for name, values in columns.items():
        table[name] = values
    return Cohort(table, target, **given)


def facts_of(cohort: Cohort, **columns: Any) -> pd.DataFrame:
    """Return facts in which every image is readable and its own."""
    n = len(cohort.table)
    facts = pd.DataFrame(
        {
            "case_id": cohort.table["case_id"],
            "status": ["ok"] * n,
            "pixel_hash": [f"{k:064x}" for k in range(n)],
            # A permutation of 64-bit words: neighbours differ in about half of the bits.
            "thumb_hash": [f"{(k + 1) * 0x9E3779B97F4A7C15 % (1 << 64):016x}" for k in range(n)],
            "blank": [False] * n,
            "minimum": [0.0] * n,
            "maximum": [255.0] * n,
        }
    )
    for name, values in columns.items():
        facts[name] = values
    return facts


@pytest.fixture
def make_cohort():
    return cohort_of


@pytest.fixture
def make_facts():
    return facts_of
