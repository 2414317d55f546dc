"""A target with its reference standard, and what the readings of labels share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from semeion.cohort.cohort import Target
from semeion.cohort.problems import Problems, listed
from semeion.cohort.words import is_missing

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")


@dataclass(frozen=True)
class Question:
    """A target with the reference standard of every case.

    Attributes
    ----------
    target
        The question asked.
    truth
        The columns of ``target.columns`` (float64), with the table's index.
    notes
        Sentences for the check page.
    """

    target: Target
    truth: pd.DataFrame
    notes: tuple[str, ...] = ()


def known_text(column: pd.Series[str]) -> pd.Series[str]:
    """Return stripped text; what says 'not known' is missing."""
    return column.str.strip().mask(column.map(is_missing).astype(bool))


def place(texts: pd.Series[str]) -> str:
    """Return what a case's place in the source is called: row, file or case."""
    return str(texts.index.name or "row")


def numbers_of(known: pd.Series[str]) -> tuple[pd.Series[float], bool]:
    """Return numbers (NaN where the text is none) and whether decimal commas were read as points."""
    commas = known.str.contains(",", regex=False)
    if (
        commas.any()
        and known.str.fullmatch(_DECIMAL_COMMA).all()
        and not known[commas].str.fullmatch(r".*,\d{3}").all()
    ):
        return known.str.replace(",", ".", regex=False).astype(np.float64), True
    numeric = known.where(known.str.fullmatch(NUMBER))
    return pd.to_numeric(numeric, errors="coerce").astype(np.float64), False


def codes_of(known: pd.Series[str]) -> pd.Series[str]:
    """Return whole numbers without a fraction (``1.0`` is ``1``), unless leading zeros make them names."""
    if known.str.fullmatch(r"[+-]?\d+(\.0*)?").all() and not known.str.fullmatch(r"[+-]?0\d.*").any():
        return known.map(lambda text: str(int(float(text))))
    return known


def in_order(names: list[str]) -> list[str]:
    """Sort names as a person would: numbers by value, text without regard to case."""

    def key(name: str) -> tuple[tuple[int, float, str], ...]:
        parts = re.findall(r"\d+|\D+", name.lower())
        return tuple((0, float(part), "") if part.isdigit() else (1, 0.0, part) for part in parts)

    if all(NUMBER.fullmatch(name) for name in names):
        return sorted(names, key=float)
    return sorted(names, key=key)


def renamed(known: pd.Series[str], labels: Mapping[str, str], name: str, problems: Problems) -> pd.Series[str]:
    """Give codes the names of ``--labels``."""
    if not labels:
        return known
    present = set(known)
    if not present & set(labels) and not present <= set(labels.values()):
        holds = listed(map(repr, in_order(list(present))))
        problems.add(
            f"--labels names {listed(map(repr, labels))}, and {name} holds {holds}",
            "name the codes that stand in the column",
        )
    return known.map(lambda text: labels.get(text, text))
