"""Parts of a cohort that a column names, and p-values of looking at many of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

FEWEST_CASES = 20
"""A level with fewer cases is not compared: its figures mean nothing."""
FEWEST_OF_A_CLASS = 5
MOST_LEVELS = 12
BANDS = 4
"""Parts of equally many cases into which numbers such as age are cut."""


@dataclass(frozen=True)
class Level:
    """The cases of one level of a column."""

    column: str
    name: str
    rows: npt.NDArray[np.bool_]


def levels_of(columns: pd.DataFrame) -> list[Level]:
    """Return the levels of every column that parts the cases: few values as they are, numbers in quarters.

    Levels of fewer than 20 cases are left out, and so are columns with fewer than two levels left.
    """
    found: list[Level] = []
    for name in columns.columns:
        column = columns[name]
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
        measured = column.notna().any() and bool(np.isfinite(numbers)[column.notna().to_numpy()].all())
        if measured and column.nunique() > MOST_LEVELS:
            edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, BANDS + 1)))
            band = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
            own = [
                Level(
                    str(name),
                    f"{edges[k]:.4g} to {'' if k == len(edges) - 2 else 'below '}{edges[k + 1]:.4g}",
                    (band == k) & np.isfinite(numbers),
                )
                for k in range(len(edges) - 1)
            ]
        elif 2 <= column.nunique() <= MOST_LEVELS:
            text = column.astype("str").where(column.notna())
            own = [
                Level(str(name), str(level), (text == level).to_numpy(dtype=bool))
                for level in sorted(text.dropna().unique())
            ]
        else:
            continue
        own = [level for level in own if level.rows.sum() >= FEWEST_CASES]
        if len(own) > 1:
            found += own
    return found
