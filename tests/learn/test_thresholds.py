"""Thresholds are nobody's value, part the learning cases as before, and are few."""

from __future__ import annotations

import numpy as np
import pytest

from semeion.learn.covariates import fit_covariates
from semeion.learn.tabular import KINDS, _arrays, _make, fit_measurements
from semeion.learn.thresholds import drawn_thresholds
from semeion.model.trees import TreeMember, Trees

NAMES = ["volume", "age", "sign"]


def cases(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Patients with a volume, an age in whole years, and a sign that is there or not."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 2
    age = np.round(random.normal(60, 12, n) + 6 * y)
    return np.stack([random.lognormal(4, 0.5, n) + 20 * y, age, random.integers(0, 2, n)], axis=1), y


def grown(kind: str, x: np.ndarray, y: np.ndarray) -> dict:
    return _arrays(_make(kind, 0).fit(x, y), kind, 2)


def member(nodes: dict) -> TreeMember:
    return TreeMember(Trees.model_validate({"features": NAMES, "fill": [0.0] * 3, "outputs": 2, **nodes}))


def questions(nodes: dict, feature: int) -> np.ndarray:
    asked = np.array(nodes["feature"]) == feature
    return np.array(nodes["threshold"])[asked]


@pytest.mark.parametrize("kind", KINDS)
def test_answers_of_the_learning_cases_stay(kind):
    x, y = cases()
    before = grown(kind, x, y)
    after = drawn_thresholds(before, x, 7)
    assert (member(after).probabilities(x) == member(before).probabilities(x)).all()
    assert {name: value for name, value in after.items() if name != "threshold"} == {
        name: value for name, value in before.items() if name != "threshold"
    }


@pytest.mark.parametrize("kind", ["forest", "boosting"])
def test_no_threshold_is_a_value_or_the_middle_of_two(kind):
    x, y = cases()
    before = grown(kind, x, y)
    after = drawn_thresholds(before, x, 7)
    values = np.unique(x[:, 0].astype(np.float32).astype(np.float64))
    middles = {float(a + b) / 2 for a in values for b in values}
    assert set(questions(before, 0).tolist()) <= middles
    own = questions(after, 0)
    assert not set(own.tolist()) & (middles | set(values.tolist()))
    # Between two neighbours there is at most one number, so that several do not close in on a patient.
    assert len(np.unique(np.searchsorted(values, np.unique(own)))) == len(np.unique(own))
    assert len(np.unique(own)) <= len(np.unique(questions(before, 0)))


def test_a_question_about_whole_numbers_does_not_say_where_patients_are():
    x, y = cases()
    before = grown("forest", x, y)
    after = drawn_thresholds(before, x, 7)
    assert set((questions(before, 1) % 1).tolist()) <= {0.0, 0.5}
    parts = questions(after, 1) % 1
    # Anywhere between two ages, whether or not anybody has one of the two.
    assert len(np.unique(parts.round(3))) > 10
    assert parts.min() < 0.4 and parts.max() > 0.6


def test_what_is_drawn_cannot_be_drawn_by_who_lacks_a_case():
    x, y = cases()
    nodes = grown("boosting", x, y)
    told = drawn_thresholds(nodes, x, 7)["threshold"]
    assert drawn_thresholds(nodes, x, 7)["threshold"] == told
    # The trees ask nothing of a further number, and it changes all that is drawn.
    known, other = (np.column_stack([x, number]) for number in (np.zeros(len(x)), np.eye(len(x))[0]))
    drawn = [drawn_thresholds(nodes, more, 7)["threshold"] for more in (known, other)]
    asked = [place for place, feature in enumerate(nodes["feature"]) if feature >= 0]
    assert np.mean([drawn[0][place] != drawn[1][place] for place in asked]) > 0.9


def test_values_that_are_nearly_alike_are_told_apart():
    x = np.array([[1.0], [1.0 + 2**-22], [1.0 + 2**-21], [2.0]])
    threshold = 1.0 + 3 * 2**-23
    nodes = {"feature": [0, -1, -1], "threshold": [threshold, 0.0, 0.0], "left": [1, 0, 0], "right": [2, 0, 0]}
    drawn = drawn_thresholds({**nodes, "roots": [0]}, x, 0)["threshold"][0]
    assert 1.0 + 2**-22 < drawn < 1.0 + 2**-21


def test_what_ships_has_drawn_thresholds():
    x, y = cases()
    patients = np.arange(len(y))
    values = np.unique(x[:, 0].astype(np.float32).astype(np.float64))
    middles = {float(a + b) / 2 for a in values for b in values}
    measured = fit_measurements(x, y, patients, NAMES, 2, seed=0, kinds=("boosting",)).arrays
    told = fit_covariates(x, y, patients, NAMES, "binary", 2, seed=0, learners=("boosting",)).head["trees"][0]
    for nodes in (measured, told):
        assert len(questions(nodes, 0))
        assert not set(questions(nodes, 0).tolist()) & middles
