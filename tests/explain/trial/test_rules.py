"""The verdict: whole intervals beyond their limits, and words for what failed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from semeion.explain.trial.repeat import LEVELS, mirrored, noisy
from semeion.explain.trial.rules import RULES, shown, verdict_of


def told(**changes: Any) -> dict[str, dict[str, Any]]:
    figures = {
        "randomised": (0.05, -0.02, 0.11),
        "noise": (0.99, 0.98, 0.995),
        "removal_gain": (0.04, 0.02, 0.06),
        **changes,
    }
    return {name: dict(zip(("value", "low", "high"), three, strict=True)) for name, three in figures.items() if three}


def test_a_method_that_keeps_every_limit_passes() -> None:
    assert verdict_of(told()) == ("passed", "")
    assert verdict_of(told(members_over_randomised=(0.4, 0.3, 0.5), random_labels=(0.1, 0.0, 0.2)))[0] == "passed"


@pytest.mark.parametrize(
    ("figure", "three", "words"),
    [
        ("randomised", (0.95, 0.9, 0.97), "hardly depends on what the network learned"),
        ("randomised", (0.25, 0.1, 0.4), "must lie below 0.3"),
        ("noise", (0.6, 0.5, 0.65), "noise that nobody sees changes it"),
        ("removal_gain", (0.0, -0.02, 0.02), "are not shown to matter more"),
        ("members_over_randomised", (-0.1, -0.2, 0.0), "do not agree on it"),
        ("random_labels", (0.8, 0.7, 0.9), "hardly depends on the labels"),
    ],
)
def test_each_trial_can_fail_and_says_so(figure: str, three: tuple[float, float, float], words: str) -> None:
    verdict, reason = verdict_of(told(**{figure: three}))
    assert verdict == "failed"
    assert words in reason
    assert not shown(verdict)


def test_an_estimate_without_an_interval_proves_nothing() -> None:
    assert verdict_of(told(removal_gain=(0.2, None, None)))[0] == "failed"


@pytest.mark.parametrize("figure", [rule.figure for rule in RULES if rule.needed])
def test_nothing_passes_without_what_is_needed(figure: str) -> None:
    assert verdict_of(told(**{figure: None}))[0] == "not_run"
    assert verdict_of({})[0] == "not_run"
    assert shown("not_run")
    assert shown(None)


def test_noise_moves_no_value_further_than_it_says() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (2, 1, 9, 9)).astype(np.uint8)
    changed = noisy(picture, 3)
    assert changed.dtype == np.uint8
    difference = changed.astype(int) - picture
    assert difference.min() >= -LEVELS
    assert difference.max() <= LEVELS
    assert len(np.unique(difference)) > 3
    np.testing.assert_array_equal(noisy(picture, 3), changed)
    np.testing.assert_array_equal(mirrored(mirrored(picture)), picture)
