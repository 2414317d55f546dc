from __future__ import annotations

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semeion.calibration import SMALLEST, apply_temperature, apply_temperatures, logit


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.05, 20))
def test_two_classes_scaled_are_one_logit_scaled(values: list[float], temperature: float) -> None:
    p = np.array(values)
    two = apply_temperature(np.column_stack([1 - p, p]), temperature)[:, 1]
    one = apply_temperatures(p[:, None], [temperature])[:, 0]
    np.testing.assert_allclose(two, one, rtol=1e-6, atol=1e-12)


@given(st.floats(0.05, 20), st.integers(0, 2**31))
def test_probabilities_sum_to_one_and_keep_their_order(temperature: float, seed: int) -> None:
    raw = np.random.default_rng(seed).dirichlet(np.ones(4), size=7)
    p = apply_temperature(raw, temperature)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    assert (p.argmax(axis=1) == raw.argmax(axis=1)).all()


def test_certainty_stays_finite_and_a_temperature_of_one_changes_nothing() -> None:
    raw = np.array([[0.0, 1.0], [0.5, 0.5]])
    p = apply_temperature(raw, 2.0)
    assert np.isfinite(p).all()
    assert 0 < p[0, 0] < 1e-3
    np.testing.assert_array_equal(apply_temperature(raw, 1.0), raw)
    np.testing.assert_array_equal(apply_temperatures(raw, [1.0, 2.0])[:, 0], raw[:, 0])
    np.testing.assert_allclose(logit([0.0, 0.5, 1.0]), [np.log(SMALLEST), 0, -np.log(SMALLEST)], atol=1e-6)


def test_a_known_softmax() -> None:
    logits = np.array([2.0, -1.0, 0.5])
    raw = np.exp(logits) / np.exp(logits).sum()
    halved = np.exp(logits / 2) / np.exp(logits / 2).sum()
    np.testing.assert_allclose(apply_temperature(raw, 2.0), halved, atol=1e-12)


def test_the_runtime_gets_it_without_heavy_imports() -> None:
    code = "import sys, semeion.calibration, semeion.naming; print({'scipy', 'pandas', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
