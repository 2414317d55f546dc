from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.plan.teaching import Teaching


def test_weights_are_relative_to_those_that_are_learned_from() -> None:
    taught = Teaching(np.array([2.0, 4.0, 90.0]))
    assert taught.relative(np.array([0, 1])).tolist() == [2 / 3, 4 / 3, 30.0]


def test_without_votes_every_case_stands_there_once() -> None:
    places, lesson, counts = Teaching(np.array([1.0, 3.0, 5.0])).copies(np.array([2, 0]), np.array([0.0, 1.0, 1.0]))
    assert (places.tolist(), lesson.tolist()) == ([0, 1], [1.0, 0.0])
    np.testing.assert_allclose(counts, [5 / 3, 1 / 3])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 30))
def test_copies_hold_the_shares_and_the_weights_and_firsts_come_first(seed: int, classes: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.multinomial(3, np.full(classes, 1 / classes), n) / 3
    taught, rows = Teaching(rng.uniform(0.5, 9, n), shares), rng.permutation(n)
    places, lesson, counts = taught.copies(rows, shares.argmax(axis=1).astype(float))
    back = np.zeros((n, classes))
    np.add.at(back, (places, lesson.astype(int)), counts)
    np.testing.assert_allclose(back, shares[rows] * taught.relative(rows)[rows][:, None])
    assert places[:n].tolist() == list(range(n))
    assert (lesson[:n] == shares[rows].argmax(axis=1)).all()
