"""The best of many: the naive loss flatters, the corrected one does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.evidence.chosen import choose_corrected


def noise(seed: int, trials: int = 30, patients: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return log losses of probabilities that know nothing of the answer, two cases a patient."""
    rng = np.random.default_rng(seed)
    p = np.clip(0.5 + 0.15 * rng.normal(size=(trials, 2 * patients)), 0.02, 0.98)
    y = np.repeat(rng.integers(0, 2, patients), 2)
    return -np.log(np.where(y == 1, p, 1 - p)), np.arange(2 * patients) // 2


def test_of_pure_noise_the_best_flatters_and_the_corrected_loss_does_not() -> None:
    rng = np.random.default_rng(99)
    p = np.clip(0.5 + 0.15 * rng.normal(size=200_000), 0.02, 0.98)
    chance = float(-np.log(p).mean())  # what any of them will do to new cases
    found = [choose_corrected(*noise(seed), seed=seed, resamples=200) for seed in range(40)]
    naive = np.array([one.naive for one in found])
    corrected = np.array([one.value for one in found])
    error = corrected.std(ddof=1) / np.sqrt(len(found))
    assert naive.mean() < chance - 0.05, "the best of thirty looks better than it is"
    assert corrected.mean() > chance - 3 * error, "corrected, it looks no better than chance"
    covered = np.mean([one.low <= chance <= one.high for one in found])
    assert covered >= 0.9


def test_the_gain_over_a_reference_is_none_for_noise_and_shown_where_it_is_real() -> None:
    losses, patient = noise(1)
    none = choose_corrected(losses, patient, reference=0, seed=1)
    assert none.gain_low is not None
    assert none.gain_low < 0
    losses[7] -= 0.4
    real = choose_corrected(losses, patient, reference=0, seed=1)
    assert real.best == 7
    assert real.gain_low is not None
    assert real.gain_low > 0.1


def test_one_configuration_has_nothing_to_correct() -> None:
    losses, patient = noise(3, trials=1, patients=200)
    one = choose_corrected(losses, patient, seed=3)
    assert one.value == pytest.approx(one.naive, abs=0.01)
    assert one.gain is None


def test_patients_are_drawn_whole() -> None:
    losses, _ = noise(5)
    patient = np.arange(losses.shape[1])
    twice = choose_corrected(np.repeat(losses, 2, axis=1), np.repeat(patient, 2), seed=1)
    once = choose_corrected(losses, patient, seed=1)
    assert twice.value == pytest.approx(once.value, abs=1e-12)
    assert twice.low == pytest.approx(once.low, abs=1e-12)


def test_a_case_without_a_known_label_is_left_out() -> None:
    losses, patient = noise(6)
    unknown = losses.copy()
    unknown[:, 3] = np.nan
    kept = np.arange(losses.shape[1]) != 3
    assert choose_corrected(unknown, patient, seed=2) == choose_corrected(losses[:, kept], patient[kept], seed=2)


def test_one_patient_tells_nothing() -> None:
    one = choose_corrected([[0.5, 0.4], [0.3, 0.2]], [4, 4], seed=0)
    assert (one.best, one.naive, one.value) == (1, 0.25, None)
    assert "one patient" in one.reason
    with pytest.raises(ValueError, match="no table"):
        choose_corrected([], [], seed=0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(3, 15))
def test_the_choice_hangs_neither_on_the_order_of_cases_nor_on_names_of_patients(
    seed: int, trials: int, patients: int
) -> None:
    losses, patient = noise(seed, trials, patients)
    order = np.random.default_rng(seed).permutation(losses.shape[1])
    first = choose_corrected(losses, patient, seed=7, resamples=50)
    again = choose_corrected(losses[:, order], patient[order], seed=7, resamples=50)
    assert again.best == first.best
    assert again.value == pytest.approx(first.value, abs=1e-9)
    assert first.low <= first.value <= first.high
