from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.audit.levels import holm, levels_of


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_nothing_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    for one, own in zip(p, adjusted, strict=True):
        assert one <= own <= min(1.0, len(p) * one) + 1e-12
    assert np.argsort(p, kind="stable").tolist() == sorted(range(len(p)), key=lambda k: (adjusted[k], p[k], k))


def test_numbers_become_quarters_and_words_stay() -> None:
    columns = pd.DataFrame(
        {
            "age": np.arange(100.0),
            "sex": ["f", "m"] * 50,
            "name": [f"n{k}" for k in range(100)],
            "same": ["x"] * 100,
            "rare": ["a"] * 95 + ["b"] * 5,
        }
    )
    found = levels_of(columns)
    assert [(one.column, int(one.rows.sum())) for one in found] == [*[("age", 25)] * 4, ("sex", 50), ("sex", 50)]
    ages = [one.name for one in found if one.column == "age"]
    assert ages[0] == "0 to below 24.75"
    assert ages[-1] == "74.25 to 99"
    assert np.sum([one.rows for one in found if one.column == "age"], axis=0).tolist() == [1] * 100


def test_unknown_values_are_in_no_level() -> None:
    columns = pd.DataFrame({"sex": ["f"] * 30 + ["m"] * 30 + [None] * 30})
    assert sum(int(one.rows.sum()) for one in levels_of(columns)) == 60
