from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.audit.permutation import label_permutation, permuted_labels


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 100))
def test_labels_are_dealt_out_anew(patients: list[int], seed: int) -> None:
    labels = np.arange(len(patients))
    found = permuted_labels(labels, np.array(patients), np.random.default_rng(seed))
    assert sorted(found.tolist()) == labels.tolist()


def test_patients_of_equal_size_take_over_labels_whole() -> None:
    patients = np.repeat(np.array(["a", "b", "c", "d"]), 3)
    labels = np.repeat([0, 1, 2, 3], 3)
    seen = set()
    for seed in range(20):
        found = permuted_labels(labels, patients, np.random.default_rng(seed)).reshape(4, 3)
        assert (found == found[:, :1]).all()
        seen.add(tuple(found[:, 0]))
    assert len(seen) > 10


def test_several_labels_stay_together() -> None:
    labels = np.column_stack([np.arange(6), np.arange(6) + 10])
    found = permuted_labels(labels, np.arange(6), np.random.default_rng(0))
    assert (found[:, 1] - found[:, 0] == 10).all()


def test_the_band_is_that_of_the_mann_whitney_statistic() -> None:
    audit = label_permutation([0.5] * 5, [(40, 60)], 1.0, seconds=60)
    error = np.sqrt(101 / (12 * 40 * 60)) / np.sqrt(5)
    assert audit.figures["band_high"] == pytest.approx(0.5 + 3.2905 * error)
    twice = label_permutation([0.5] * 5, [(40, 60)], 4.0, seconds=60)
    assert twice.figures["band_high"] - 0.5 == pytest.approx(2 * 3.2905 * error)


@pytest.mark.parametrize(("mean", "verdict"), [(0.5, "clear"), (0.55, "clear"), (0.65, "warn"), (0.35, "warn")])
def test_a_mean_outside_the_band_is_warned_of(mean: float, verdict: str) -> None:
    audit = label_permutation([mean - 0.02, mean, mean + 0.02, mean, mean], [(40, 60)], 1.0, seconds=60)
    assert (audit.verdict, audit.tier) == (verdict, "full")
    assert f"{mean:.3f}" in audit.advice


def test_few_permutations_say_nothing() -> None:
    audit = label_permutation([0.9, float("nan"), 0.9, 0.9, 0.9], [(40, 60)], 1.0, seconds=60)
    assert audit.verdict == "not_run"
    assert "4 permutations could be weighed, and 5 are needed" in audit.advice


def test_of_several_labels_rare_ones_widen_the_band() -> None:
    one = label_permutation([0.5] * 5, [(500, 500)], 1.0, seconds=60)
    many = label_permutation([0.5] * 5, [(500, 500), *[(5, 995)] * 13, (0, 1000)], 1.0, seconds=60)
    wanted = (np.sqrt(1001 / (12 * 500 * 500)) + 13 * np.sqrt(1001 / (12 * 5 * 995))) / 14 / np.sqrt(5)
    assert many.figures["band_high"] == pytest.approx(0.5 + 3.2905 * wanted)
    assert many.figures["band_high"] > one.figures["band_high"]
