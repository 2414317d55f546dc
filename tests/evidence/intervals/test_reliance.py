from __future__ import annotations

import pytest

from semeion.evidence.intervals.reliance import RULES, unreliable


@pytest.mark.parametrize(
    ("name", "patients", "events", "said"),
    [
        ("brier", 200, 5, ""),
        ("brier", 19, 9, "interval unreliable: 19 patients, fewer than 20"),
        ("mae", 12, None, "interval unreliable: 12 patients, fewer than 20"),
        ("calibration_slope", 200, 9, "interval unreliable: 9 patients of the rarest class, fewer than 10"),
        ("calibration_slope", 200, 10, ""),
        ("f1_macro", 200, 3, "interval unreliable: 3 patients of the rarest class, fewer than 10"),
        ("f1_a%20b", 200, 3, "interval unreliable: 3 patients of the rarest class, fewer than 10"),
        ("auprc", 200, None, ""),
    ],
)
def test_too_few_patients_or_events_are_said(name: str, patients: int, events: int | None, said: str) -> None:
    assert unreliable(name, patients=patients, events=events) == said


def test_every_rule_says_where_it_comes_from() -> None:
    assert all(len(rule.source) > 40 for rule in RULES)
