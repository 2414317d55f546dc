from __future__ import annotations

import numpy as np
import pytest

from semeion.audit.strata import hidden_strata
from support.judged import judged, known, table, wrongly_sure


def looks(n: int, apart: np.ndarray) -> np.ndarray:
    """Return an embedding in which the rows `apart` lie by themselves."""
    values = np.random.default_rng(0).normal(0, 1, (n, 4))
    values[apart, 0] += 12
    return values


@pytest.mark.parametrize("by", [0.7, 0.85, 1.0])
def test_a_cluster_that_nobody_named_is_found(by: float) -> None:
    found = table(600, strength=4.0)
    rows = np.arange(0, 600, 8)
    spoiled = wrongly_sure(found, rows, by)
    audit = hidden_strata(judged(spoiled), looks(600, rows))
    assert audit.verdict == "warn"
    assert audit.figures["worst_part"].startswith("cluster ")
    inside = {f"c{row}" for row in rows}
    assert np.mean([case in inside for case in audit.cases]) > 0.9


def test_a_level_of_a_column_is_found_too() -> None:
    found = table(400, strength=4.0)
    site = np.where(np.arange(400) < 50, "north", "south")
    audit = hidden_strata(judged(wrongly_sure(found, np.arange(50), 1.0), known(found, site=site)))
    assert audit.verdict == "warn"
    assert "In site north (50 cases)" in audit.advice
    assert audit.figures["clusters"] == 0


def test_chance_seldom_warns() -> None:
    warned = 0
    for seed in range(15):
        found = table(200, seed=seed)
        embedding = np.random.default_rng(seed).normal(0, 1, (200, 4))
        warned += hidden_strata(judged(found), embedding).verdict == "warn"
    assert warned <= 2


def test_errors_of_one_patient_are_no_stratum() -> None:
    """Forty patients with ten cases each, alike within a patient: two who fail are chance, not a cluster."""
    found = table(400, strength=6.0, patients=40)
    who = np.arange(400) % 40
    spoiled = wrongly_sure(found, np.flatnonzero(who < 2), 1.0)
    embedding = np.random.default_rng(0).normal(0, 1, (40, 3))[who]
    assert hidden_strata(judged(spoiled), embedding).verdict != "warn"


def test_nothing_to_part_the_cases_is_not_run() -> None:
    assert hidden_strata(judged(table(100))).verdict == "not_run"
    unknown = np.full((100, 3), np.nan)
    assert hidden_strata(judged(table(100)), unknown).verdict == "not_run"


def test_cases_without_a_known_look_are_in_no_cluster() -> None:
    embedding = looks(400, np.arange(0, 400, 4))
    embedding[:100] = np.nan
    audit = hidden_strata(judged(table(400)), embedding)
    assert audit.figures["clusters"] >= 2


def test_independent_errors_of_few_patients_are_no_stratum() -> None:
    """Twenty patients of 40 cases with errors that are independent: chance must have as much room as there is."""
    warned = 0
    for seed in range(10):
        found = table(800, seed=seed, patients=20)
        embedding = np.random.default_rng(seed).normal(0, 1, (800, 3))
        warned += hidden_strata(judged(found), embedding).verdict == "warn"
    assert warned <= 1
    assert hidden_strata(judged(table(400, patients=10)), np.zeros((400, 3))).verdict == "not_run"
