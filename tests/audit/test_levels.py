from __future__ import annotations

import numpy as np
import pandas as pd

from semeion.audit.levels import levels_of


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
