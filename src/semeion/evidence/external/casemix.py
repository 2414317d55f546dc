"""Who the cases from elsewhere are, beside those that a model was built on: characteristic by characteristic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from semeion.errors import InputError

NOTABLE = 0.1
"""Standardised difference beyond which two groups are said to differ (Austin, Stat Med 28:3083, 2009)."""
MOST_LEVELS = 12
"""Levels of a characteristic that are shown one by one: those most frequent on either side, the same on both."""
OTHER = "others"


@dataclass(frozen=True)
class Trait:
    """A characteristic of cases.

    Attributes
    ----------
    column
        Of the tables.
    title
        What it is called.
    kind
        ``number``, or ``levels`` of which a case has one.
    unit
        Of a number.
    """

    column: str
    title: str
    kind: Literal["number", "levels"]
    unit: str = ""


def case_mix(traits: Sequence[Trait], external: pd.DataFrame, internal: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the characteristics of two groups side by side.

    Parameters
    ----------
    traits
        In the order wanted. One that a table has no column of is not known there.
    external, internal
        A row a case (or a patient); `internal` None: nothing is known of those the model was built on.

    Returns
    -------
    list
        ``{column, title, kind, unit, internal, external, difference, notable, reason}`` of each. Of a number a side is
        ``{n, missing, mean, sd, median, low, high}`` (quartiles), of levels ``{n, missing, levels: {name: n}}``, None
        where it is not known. ``difference`` is the standardised one, external less internal over the root of the mean
        variance; of levels the Mahalanobis distance of the shares (Yang and Dalton, SAS Global Forum 2012, paper 335),
        which has no sign. None, with ``reason``, where it is undefined. ``notable``: it is beyond 0.1.

    Raises
    ------
    InputError
        When a number is not one.
    """
    rows = []
    for trait in traits:
        sides = [_side(trait, table) for table in (internal, external)]
        shown = _shown(trait, sides)
        difference, reason = _difference(trait, *sides)
        rows.append(
            {
                **vars(trait),
                "internal": _told(trait, sides[0], shown),
                "external": _told(trait, sides[1], shown),
                "difference": difference,
                "notable": None if difference is None else abs(difference) > NOTABLE,
                "reason": reason,
            }
        )
    return rows


def _side(trait: Trait, table: pd.DataFrame | None) -> pd.Series[Any] | None:
    """Return the values of one group as numbers or trimmed text, missing ones missing; None where none is known."""
    if table is None or trait.column not in table or not table[trait.column].notna().any():
        return None
    values = table[trait.column]
    if trait.kind == "number":
        try:
            numbers = pd.to_numeric(values).astype("float64")
        except (TypeError, ValueError) as error:
            raise InputError(
                "a value is not a number", where=f"column {trait.column!r}", fix="give it as levels"
            ) from error
        return numbers.where(np.isfinite(numbers))
    texts = values.map(lambda value: None if pd.isna(value) or not str(value).strip() else str(value).strip())
    return texts if texts.notna().any() else None


def _shown(trait: Trait, sides: Sequence[pd.Series[Any] | None]) -> list[str]:
    """Return the levels that are shown one by one, most frequent first; the same on both sides, so that one that is
    rare on one side is not among its others while the reader looks for it.
    """
    known = [side.dropna() for side in sides if side is not None]
    if trait.kind == "number" or not known:
        return []
    # Shares and not counts: the larger side would hide the levels of the smaller one.
    shares = [side.value_counts(normalize=True) for side in known]
    together = pd.concat(shares).groupby(level=0).max()
    return [str(name) for name in together.sort_index().sort_values(ascending=False, kind="stable").index]


def _told(trait: Trait, values: pd.Series[Any] | None, shown: list[str]) -> dict[str, Any] | None:
    if values is None:
        return None
    kept = values.dropna()
    told: dict[str, Any] = {"n": len(kept), "missing": len(values) - len(kept)}
    if trait.kind == "number":
        low, median, high = (float(kept.quantile(share)) for share in (0.25, 0.5, 0.75))
        spread = float(kept.std(ddof=1)) if len(kept) > 1 else None
        return {**told, "mean": float(kept.mean()), "sd": spread, "median": median, "low": low, "high": high}
    counts = {name: int(count) for name, count in kept.value_counts().items()}
    levels = {name: counts.get(name, 0) for name in shown[:MOST_LEVELS]}
    if len(shown) > MOST_LEVELS:
        levels[f"{len(shown) - MOST_LEVELS} {OTHER}"] = sum(counts.get(name, 0) for name in shown[MOST_LEVELS:])
    return {**told, "levels": levels}


def _difference(
    trait: Trait, internal: pd.Series[Any] | None, external: pd.Series[Any] | None
) -> tuple[float | None, str]:
    if internal is None and external is None:
        return None, "known on neither side"
    if internal is None:
        return None, "not known of the cases the model was built on"
    if external is None:
        return None, "not known of these cases"
    a, b = internal.dropna(), external.dropna()
    if trait.kind == "number":
        if min(len(a), len(b)) < 2:
            return None, "fewer than 2 cases on a side"
        gap, spread = float(b.mean() - a.mean()), math.sqrt((float(a.var(ddof=1)) + float(b.var(ddof=1))) / 2)
        if spread > 1e-12 * max(1.0, abs(float(a.mean()))):
            return gap / spread, ""
        return (0.0, "") if abs(gap) <= 1e-9 * max(1.0, abs(float(a.mean()))) else (None, "varies on neither side")
    names = sorted({*a.unique(), *b.unique()})
    shares = [np.array([float((side == name).mean()) for name in names]) for side in (a, b)]
    if not (np.minimum(*shares) > 0).any():
        return None, "no level in common"
    return _distance(shares[0][1:], shares[1][1:]), ""


def _distance(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """Return the Mahalanobis distance of two vectors of shares, the first level left out of both."""
    if not len(a):
        return 0.0
    covariance = (np.diag(a) - np.outer(a, a) + np.diag(b) - np.outer(b, b)) / 2
    gap = b - a
    # A level that all of one side and none of the other have leaves the matrix singular in that direction.
    return float(math.sqrt(max(0.0, float(gap @ np.linalg.pinv(covariance) @ gap))))
