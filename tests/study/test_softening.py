"""Words about cases that were learned from become as unsure as those about cases that were not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import entropy

from semeion.study.softening import MOST, mixed, soften, tempered, unsureness

SURE = np.array([[0.98, 0.01, 0.01], [0.03, 0.95, 0.02], [0.6, 0.3, 0.1]])


def test_a_temperature_divides_the_logits() -> None:
    logits = np.log(SURE)
    np.testing.assert_allclose(np.log(tempered(SURE, "multiclass", 2.0)), log_softmax(logits / 2, axis=1))
    p = np.array([[0.9, 0.2]])
    np.testing.assert_allclose(
        np.log(1 / tempered(p, "multilabel", 3.0) - 1), np.log(1 / p - 1) / 3, err_msg="each label by itself"
    )
    values = np.array([[12.0]])
    assert tempered(values, "regression", 5.0) is values


def test_unsureness_is_the_mean_entropy() -> None:
    assert unsureness(SURE, "ordinal") == pytest.approx(entropy(SURE, axis=1).mean())
    p = np.array([[0.9, 0.5]])
    assert unsureness(p, "multilabel") == pytest.approx(entropy([0.9, 0.1]) + np.log(2))
    assert unsureness(np.array([[1.0, 0.0]]), "binary") == pytest.approx(0, abs=1e-4), "sure ones have a logarithm too"


@given(st.floats(0.05, 1.09), st.integers(0, 1000))
def test_softened_words_are_as_unsure_as_asked_and_keep_their_order(aim: float, seed: int) -> None:
    words = np.random.default_rng(seed).dirichlet([0.2, 0.3, 0.2], 40)
    found, temperature = soften(words, aim, "multiclass")
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert 1 <= temperature <= MOST + 1e-9
    if unsureness(words, "multiclass") >= aim:
        assert (temperature, found is words) == (1.0, True), "nothing is made surer"
    elif temperature < MOST * (1 - 1e-6):
        assert unsureness(found, "multiclass") == pytest.approx(aim, abs=1e-6)
        assert (found.argmax(axis=1) == words.argmax(axis=1)).all()


def test_values_stay_and_a_temperature_has_its_limit() -> None:
    values = np.array([[3.0], [5.0]])
    assert soften(values, 0.5, "regression") == (values, 1.0)
    _, temperature = soften(np.array([[1.0, 0.0]] * 3), 0.69, "binary")
    assert temperature == pytest.approx(MOST)


def test_what_is_taught_is_between_words_and_reference_and_unknown_labels_have_the_words() -> None:
    words, reference = np.array([[0.6, 0.4], [0.2, 0.9]]), np.array([[1.0, 0.0], [0.0, np.nan]])
    np.testing.assert_allclose(mixed(words, reference, 0.7), [[0.72, 0.28], [0.14, 0.9]])
    np.testing.assert_allclose(mixed(words, np.nan_to_num(reference), 0.0), np.nan_to_num(reference))
