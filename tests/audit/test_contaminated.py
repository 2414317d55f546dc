from __future__ import annotations

import numpy as np
import pytest

from semeion.audit.contaminated import WrongShare, standard_errors, wrong_share


def drawn(n: int, classes: int, wrong: float, seed: int = 0, sharp: float = 4.0):
    """Return labels drawn from softmax probabilities, a share of them replaced by any other class."""
    stream = np.random.default_rng(seed)
    z = stream.normal(0, sharp, (n, classes))
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < stream.random(n)[:, None]).sum(axis=1).clip(0, classes - 1)
    turned = stream.permutation(n)[: round(wrong * n)]
    y[turned] = (y[turned] + stream.integers(1, classes, len(turned))) % classes
    return y, p


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("wrong", [0.03, 0.1, 0.2])
def test_the_share_is_found_with_any_number_of_classes(classes: int, wrong: float) -> None:
    y, p = drawn(2000, classes, wrong)
    found = wrong_share(y, p)
    assert found.share == pytest.approx(wrong, abs=0.025)
    assert 0 < found.low < wrong + 0.01
    assert standard_errors(found) > 2.33


def test_no_change_of_slope_or_offset_changes_the_share() -> None:
    y, p = drawn(1500, 3, 0.08, 1)
    plain = wrong_share(y, p)
    z = 2.5 * np.log(p) + np.array([1.0, -0.5, 0.3])
    bent = np.exp(z - z.max(axis=1, keepdims=True))
    moved = wrong_share(y, bent / bent.sum(axis=1, keepdims=True))
    assert moved.share == pytest.approx(plain.share, abs=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_right_labels_have_no_share_that_chance_does_not_explain(seed: int) -> None:
    found = wrong_share(*drawn(800, 3, 0.0, seed))
    assert standard_errors(found) < 2.33
    assert found.low <= found.share


def test_cases_of_one_patient_count_less_and_very_many_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    y, p = drawn(3000, 2, 0.1, 3)
    alone, crowded = wrong_share(y, p), wrong_share(y, p, crowd=4.0)
    assert crowded.gain == pytest.approx(alone.gain / 4)
    assert crowded.low < alone.low
    monkeypatch.setattr("semeion.audit.contaminated.MOST_CASES", 1000)
    assert wrong_share(y, p).share == pytest.approx(0.1, abs=0.04)
    assert wrong_share(y, p) == wrong_share(y, p)


def test_labels_that_have_nothing_to_do_with_the_model_say_nothing() -> None:
    y, p = drawn(600, 2, 0.0, 5)
    found = wrong_share(np.random.default_rng(0).permutation(y), p)
    assert standard_errors(found) < 2.33


def test_standard_errors_are_the_root_of_twice_the_gain() -> None:
    assert standard_errors(WrongShare(0.1, 0.05, 8.0)) == 4.0
